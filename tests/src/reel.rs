//! An actor that streams, and what a test sees of its producers.

#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test's actor may panic as the test may"
)]

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use actor_runtime::prelude::*;
use tokio::sync::Notify;

use crate::Fixture;

/// What a projector shows, and what it is shown.
#[actor_service]
pub trait Reel {
    /// Numbers from 0 on.
    fn count_to(&self, n: u64) -> impl Stream<Item = u64>;
    /// For ever, by an exclusive turn.
    fn for_ever(&mut self) -> impl Stream<Item = u64>;
    /// Items of these lengths, each filled with its place.
    fn lengths(&self, lengths: Vec<u32>) -> impl Stream<Item = Vec<u8>>;
    /// Fails at once, or streams.
    async fn open(&self, name: &str) -> Result<impl Stream<Item = String>, String>;
    /// Panics after so many items.
    fn panics_after(&self, n: u64) -> impl Stream<Item = u64>;
    /// Nothing, for ever.
    fn silent(&self) -> impl Stream<Item = u64>;
    /// The actor that streams.
    fn who(&self) -> impl Stream<Item = (String, bool)>;
    /// The sum of what came, and how it ended.
    async fn sum(&self, label: &str, numbers: Streaming<u64>) -> (u64, Option<String>);
    /// Reads this many and returns.
    async fn read_some(&self, n: u64, items: Streaming<Vec<u8>>) -> Vec<u32>;
    /// Each item back, as it comes.
    fn echo(&mut self, items: Streaming<String>) -> impl Stream<Item = String>;
    /// Reads to the end, in a turn that goes on without its caller, and notes how it ended.
    async fn note(&mut self, numbers: Streaming<u64>) -> u64;
    /// An ordinary turn.
    async fn add(&mut self, n: u64) -> u64;
}

/// What a test sees of the producers.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    made: Arc<AtomicU64>,
    dropped: Arc<AtomicU64>,
    changed: Arc<Notify>,
    notes: Arc<Mutex<Vec<String>>>,
}

impl Seen {
    /// How many items were made.
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::SeqCst)
    }

    fn note(&self, note: String) {
        self.notes.lock().expect("nobody panics here").push(note);
        self.changed.notify_waiters();
    }

    /// Waits for the first note.
    pub async fn noted(&self) -> String {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(note) = self.notes.lock().expect("nobody panics here").pop() {
                return note;
            }
            changed.await;
        }
    }

    /// Waits until so many producers are gone.
    pub async fn dropped(&self, count: u64) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.dropped.load(Ordering::SeqCst) >= count {
                return;
            }
            changed.await;
        }
    }
}

/// Counts what is made of a stream, and that it was dropped.
#[derive(Debug)]
pub struct Watched<S>(pub S, pub Seen);

impl<S: Stream + Unpin> Stream for Watched<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let polled = self.0.poll_next_unpin(cx);
        if let Poll::Ready(Some(_)) = &polled {
            self.1.made.fetch_add(1, Ordering::SeqCst);
        }
        polled
    }
}

impl<S> Drop for Watched<S> {
    fn drop(&mut self) {
        self.1.dropped.fetch_add(1, Ordering::SeqCst);
        self.1.changed.notify_waiters();
    }
}

/// Shows films.
#[derive(Debug, Default)]
pub struct Projector {
    /// What its producers do.
    pub seen: Seen,
    total: u64,
}

impl Projector {
    fn watched<S: Stream + Unpin>(&self, stream: S) -> Watched<S> {
        Watched(stream, self.seen.clone())
    }
}

#[actor_service]
impl Reel for Projector {
    fn count_to(&self, n: u64) -> impl Stream<Item = u64> {
        self.watched(stream::iter(0..n))
    }

    fn for_ever(&mut self) -> impl Stream<Item = u64> {
        self.watched(stream::iter(0..))
    }

    fn lengths(&self, lengths: Vec<u32>) -> impl Stream<Item = Vec<u8>> {
        self.watched(stream::iter((0_u8..).zip(lengths)).map(|(place, length)| vec![place; length as usize]))
    }

    async fn open(&self, name: &str) -> Result<impl Stream<Item = String>, String> {
        if name.is_empty() {
            return Err("no name".to_owned());
        }
        let name = name.to_owned();
        Ok(self.watched(stream::iter(0..3).map(move |n| format!("{name} {n}"))))
    }

    fn panics_after(&self, n: u64) -> impl Stream<Item = u64> {
        self.watched(stream::iter(0..).map(move |item| {
            assert!(item < n, "the film tears");
            item
        }))
    }

    fn silent(&self) -> impl Stream<Item = u64> {
        self.watched(stream::pending())
    }

    fn who(&self) -> impl Stream<Item = (String, bool)> {
        stream::once(async {
            let context = current_ctx().expect("a stream belongs to its actor");
            (context.actor_name().to_owned(), context.remaining().is_none())
        })
    }

    async fn sum(&self, label: &str, mut numbers: Streaming<u64>) -> (u64, Option<String>) {
        assert_eq!(label, "label");
        let mut sum = 0;
        loop {
            match numbers.try_next().await {
                Ok(Some(number)) => sum += number,
                Ok(None) => return (sum, None),
                Err(failure) => return (sum, Some(failure.kind().to_string())),
            }
        }
    }

    async fn read_some(&self, n: u64, items: Streaming<Vec<u8>>) -> Vec<u32> {
        let some = items.take(n as usize).map(|item| item.expect("an item").len() as u32);
        some.collect().await
    }

    fn echo(&mut self, items: Streaming<String>) -> impl Stream<Item = String> {
        self.watched(items.map(|item| item.unwrap_or_else(|failure| failure.kind().to_string())))
    }

    async fn note(&mut self, mut numbers: Streaming<u64>) -> u64 {
        let mut sum = 0;
        let end = loop {
            match numbers.try_next().await {
                Ok(Some(number)) => sum += number,
                Ok(None) => break "the end".to_owned(),
                Err(failure) => break failure.kind().to_string(),
            }
        };
        self.seen.note(format!("{sum}, {end}"));
        sum
    }

    async fn add(&mut self, n: u64) -> u64 {
        self.total += n;
        self.total
    }
}

/// A projector of this fixture, a client of it, and what its producers do.
pub fn projector(fixture: &Fixture) -> (ReelClient, Seen) {
    let actor = Projector::default();
    let seen = actor.seen.clone();
    fixture.register("projector", actor);
    (ReelClient::on(&fixture.node, &fixture.resolver, "projector"), seen)
}
