//! Many items through a pool: a bounded window of calls, one result an item, and a report.
//!
//! ```text
//!   items ──► at most `window` at a time ──► pool.call() ──► Outcome { index, result }
//!                     ▲                        │ infrastructure failed: once more, as often as allowed
//!                     └────────────────────────┘
//! ```

mod report;

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{Stream, StreamExt, stream::FuturesUnordered};
use tokio::time::Instant;

pub use report::{Progress, Report};

use self::report::Tally;
use super::{
    ActorPool, client,
    through::{Aim, Through},
};
use crate::{
    Node, ServiceClient,
    call::{CallError, Delivery, Failure},
    client::Client,
    names::BoxFuture,
};

/// An error that may be a failure of the infrastructure: [`Failure`] and [`CallError`]. Implement it for an error of your
/// own if the closure of a [`map`](ActorPool::map) returns that.
#[diagnostic::on_unimplemented(
    message = "a batch cannot tell whether `{Self}` is a failure of the infrastructure",
    label = "the closure's future fails with `{Self}`",
    note = "return what the call gives (`|model, item| model.predict(*item)`), or implement `pool::MaybeFailure`"
)]
pub trait MaybeFailure {
    /// The failure; `None` if it is an answer.
    fn failure(&self) -> Option<&Failure>;
}

impl MaybeFailure for Failure {
    fn failure(&self) -> Option<&Failure> {
        Some(self)
    }
}

impl<E> MaybeFailure for CallError<E> {
    fn failure(&self) -> Option<&Failure> {
        Self::failure(self)
    }
}

/// What became of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome<T, E> {
    /// The item's place among the items, from 0 on.
    pub index: usize,
    /// What its call gave in the end.
    pub result: Result<T, E>,
    /// How often it was called, at least once. What the pool tried elsewhere by itself is in [`Report::retries`] only.
    pub attempts: u32,
}

impl<C: ServiceClient> ActorPool<C> {
    /// Calls a member for each item: at most a window of them at a time, and the next one as soon as one is done. Each item
    /// has exactly one [`Outcome`].
    ///
    /// ```
    /// # use actor_runtime::prelude::*;
    /// # #[actor_service] trait Model { async fn predict(&self, x: f64) -> f64; }
    /// # async fn f(pool: ActorPool<ModelClient>) {
    /// let batch = pool.map([1.0, 2.0, 3.0], |model, x| model.predict(*x)).window(16);
    /// let (predictions, report) = batch.run().await;
    /// assert_eq!(predictions.len(), 3);
    /// println!("{report}");
    ///
    /// // Or one by one, as they come:
    /// let mut batch = pool.map(vec![4.0, 5.0], |model, x| model.predict(*x));
    /// while let Some(done) = batch.next().await {
    ///     println!("item {}: {:?}", done.index, done.result);
    /// }
    /// # }
    /// ```
    ///
    /// The closure gets a client and an item by reference, and gives a call, which borrows neither. An `async` block may
    /// not borrow them either: give it clones.
    ///
    /// - Calls are tried elsewhere as those of [`call`](Self::call) are. An item whose call did not reach an actor even so
    ///   is called again, [`attempts`](Batch::attempts) times in all; one that may have been run only if
    ///   [`repeatable`](Batch::repeatable) says that this does no harm. What a method answered is never asked again.
    /// - The iterator is asked for the next item when there is room in the window: it may be endless, or read a file.
    ///
    /// # Cancel safety
    /// Dropping the batch cancels the calls that are under way (S7). `next()` can be dropped at any time without losing an
    /// outcome.
    pub fn map<I, F, Fut, T, E>(&self, items: I, call: F) -> Batch<C, I::IntoIter, F, T, E>
    where
        I: IntoIterator,
        F: Fn(&C, &I::Item) -> Fut,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        E: MaybeFailure,
    {
        let through = self.part.as_ref().ok().map(|part| Through::new(part.core.clone(), Aim::Anyone));
        let client = match (&self.part, &through) {
            (Ok(part), Some(through)) => {
                let pool = through.clone();
                C::from_client(Client::of_pool(&part.node, self.name.clone(), pool, self.options.clone()))
            }
            _ => client(&self.part, &self.name, Aim::Anyone, &self.options),
        };
        let node = self.part.as_ref().ok().map(|part| part.node.clone());
        let items = items.into_iter();
        let total = match items.size_hint() {
            (least, Some(most)) if least == most => Some(most),
            _ => None,
        };
        Batch {
            client,
            node,
            through,
            call,
            items: Some(items),
            next: 0,
            window: WINDOW,
            attempts: ATTEMPTS,
            repeatable: false,
            ordered: false,
            running: FuturesUnordered::new(),
            kept: BTreeMap::new(),
            due: 0,
            tally: Tally::new(total),
            told: None,
        }
    }
}

/// How many items are under way at a time, unless the caller says otherwise.
const WINDOW: usize = 64;

/// How often an item is called, unless the caller says otherwise.
const ATTEMPTS: u32 = 3;

/// Items that go through a pool: a stream of their [`Outcome`]s, made by [`ActorPool::map`].
#[must_use = "a batch does nothing unless it is read or run"]
pub struct Batch<C, I: Iterator, F, T, E> {
    client: C,
    node: Option<Node>,
    through: Option<Arc<Through>>,
    call: F,
    /// None once they are at their end.
    items: Option<I>,
    next: usize,
    window: usize,
    attempts: u32,
    repeatable: bool,
    ordered: bool,
    running: FuturesUnordered<BoxFuture<'static, Ended<I::Item, T, E>>>,
    /// Outcomes that wait for one before them.
    kept: BTreeMap<usize, Outcome<T, E>>,
    /// The next one to be given, if they are given in order.
    due: usize,
    tally: Tally,
    told: Option<Told>,
}

type Told = Box<dyn FnMut(&Progress) + Send>;

/// A call of an item that has ended.
struct Ended<Item, T, E> {
    index: usize,
    item: Item,
    attempts: u32,
    since: Option<Instant>,
    result: Result<T, E>,
}

impl<C, I, F, Fut, T, E> Batch<C, I, F, T, E>
where
    C: ServiceClient,
    I: Iterator,
    I::Item: Send + 'static,
    F: Fn(&C, &I::Item) -> Fut,
    Fut: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: MaybeFailure + Send + 'static,
{
    /// How many items are under way at a time, those included whose outcomes wait for others before them; 0 counts as 1.
    /// Without this, 64.
    pub fn window(mut self, items: usize) -> Self {
        self.window = items.max(1);
        self
    }

    /// How often an item is called in all if the infrastructure fails; 0 counts as 1. Without this, three times.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// Items may be run twice: one whose call may or may not have been run, as when its member dies, is called again too.
    pub fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// Gives the outcomes in the order of the items, instead of as they come.
    pub fn ordered(mut self) -> Self {
        self.ordered = true;
        self
    }

    /// Tells how far it is, after each item. With the feature `progress`, `bar` is one that is ready made.
    pub fn on_progress(mut self, told: impl FnMut(&Progress) + Send + 'static) -> Self {
        self.told = Some(Box::new(told));
        self
    }

    /// Shows how far it is as a bar on the terminal; nothing where standard error is none. With the feature `progress`.
    #[cfg(feature = "progress")]
    pub fn bar(self) -> Self {
        let bar = report::bar(self.tally.total());
        self.on_progress(move |progress| report::show(&bar, progress))
    }

    /// Runs all of it: the results in the order of the items, and the report.
    pub async fn run(mut self) -> (Vec<Result<T, E>>, Report) {
        let mut all = Vec::new();
        while let Some(outcome) = self.next().await {
            all.push(outcome);
        }
        all.sort_unstable_by_key(|outcome| outcome.index);
        let report = self.report();
        (all.into_iter().map(|outcome| outcome.result).collect(), report)
    }

    /// What has been done so far.
    pub fn report(&self) -> Report {
        let retries = self.through.as_ref().map_or(0, |through| through.retries());
        self.tally.report(retries, self.now())
    }

    fn now(&self) -> Option<Instant> {
        self.node.as_ref().map(Node::now)
    }

    fn begin(&mut self, index: usize, item: I::Item, attempts: u32, since: Option<Instant>) {
        let call = (self.call)(&self.client, &item);
        self.running
            .push(Box::pin(async move { Ended { index, item, attempts, since, result: call.await } }));
    }

    /// Begins what there is room for.
    fn fill(&mut self) {
        while self.running.len() + self.kept.len() < self.window
            && let Some(items) = &mut self.items
        {
            let Some(item) = items.next() else {
                self.items = None;
                return;
            };
            let now = self.now();
            self.tally.begin(now);
            self.begin(self.next, item, 1, now);
            self.next += 1;
        }
    }

    /// The outcome of an item, unless it is called once more.
    fn settle(&mut self, ended: Ended<I::Item, T, E>) -> Option<Outcome<T, E>> {
        let Ended { index, item, attempts, since, result } = ended;
        let failure = result.as_ref().err().and_then(MaybeFailure::failure);
        let again = failure.is_some_and(|failure| match failure.delivery() {
            Delivery::NotDelivered => may_pass(failure),
            Delivery::Unknown => self.repeatable,
            Delivery::Executed => false,
        });
        if again && attempts < self.attempts {
            self.tally.again();
            self.begin(index, item, attempts + 1, since);
            return None;
        }
        let now = self.now();
        self.tally
            .end(result.is_ok(), now.zip(since).map(|(now, since)| now.saturating_duration_since(since)));
        let retries = self.through.as_ref().map_or(0, |through| through.retries());
        if let Some(told) = &mut self.told {
            told(&self.tally.progress(retries, now));
        }
        Some(Outcome { index, result, attempts })
    }
}

/// Whether a call that did not reach an actor may reach one later.
fn may_pass(failure: &Failure) -> bool {
    use crate::FailureKind::{ConnectionLost, NotFound, Overloaded, Stale, Stopped, Unreachable};
    matches!(failure.kind(), ConnectionLost | NotFound | Overloaded | Stale | Stopped | Unreachable)
}

impl<C, I, F, Fut, T, E> Stream for Batch<C, I, F, T, E>
where
    C: ServiceClient,
    I: Iterator,
    I::Item: Send + 'static,
    F: Fn(&C, &I::Item) -> Fut,
    Fut: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: MaybeFailure + Send + 'static,
{
    type Item = Outcome<T, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            let due = this.due;
            if let Some(outcome) = this.kept.remove(&due) {
                this.due += 1;
                return Poll::Ready(Some(outcome));
            }
            this.fill();
            match this.running.poll_next_unpin(cx) {
                Poll::Ready(Some(ended)) => match this.settle(ended) {
                    Some(outcome) if this.ordered => {
                        this.kept.insert(outcome.index, outcome);
                    }
                    Some(outcome) => return Poll::Ready(Some(outcome)),
                    None => {}
                },
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<C, I: Iterator, F, T, E> Unpin for Batch<C, I, F, T, E> {}

impl<C, I: Iterator, F, T, E> fmt::Debug for Batch<C, I, F, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("begun", &self.next)
            .field("running", &self.running.len())
            .finish_non_exhaustive()
    }
}
