//! The task that follows a backend: again after each failure, until nobody asks any more.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Weak},
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures::FutureExt;
use tokio::sync::Notify;

use super::{BoxError, Publisher, Shared, Source, ViewOptions};
use crate::clock;

/// A backend that was followed for less than this is not well, whatever it said.
const WELL: Duration = Duration::from_secs(1);

pub(super) struct Task<S: Source> {
    pub(super) source: Arc<S>,
    pub(super) key: S::Key,
    pub(super) publisher: Arc<Publisher<S::State>>,
    pub(super) options: ViewOptions,
    pub(super) wanted: Arc<Notify>,
    pub(super) shared: Weak<Shared<S>>,
}

impl<S: Source> Task<S> {
    pub(super) async fn run(self) {
        let _ended = Ended(&self.publisher);
        tokio::select! {
            biased;
            () = self.unwanted() => {}
            never = self.follow() => match never {},
        }
    }

    async fn follow(&self) -> std::convert::Infallible {
        let mut pauses = self.pauses();
        let mut pause = Duration::ZERO;
        loop {
            let (began, heard) = (clock::now(), self.publisher.heard());
            let error = self.follow_once().await;
            // What is heard and fails at once, again and again, is not well.
            let was_well = self.publisher.heard() != heard && began.elapsed() >= pause.max(WELL);
            if was_well {
                pauses = self.pauses();
            }
            let is_first = pause.is_zero();
            pause = pauses.next().unwrap_or(self.options.longest_pause).min(self.options.longest_pause);
            let text = self.publisher.fail(error);
            if was_well || is_first {
                tracing::warn!(source = ?self.source, key = ?self.key, error = %text, "not followed any more; tries again");
            } else {
                tracing::debug!(source = ?self.source, key = ?self.key, error = %text, ?pause, "not followed again");
            }
            clock::sleep(self.options.first_pause).await;
            tokio::select! {
                () = self.wanted.notified() => {}
                () = clock::sleep(pause.saturating_sub(self.options.first_pause)) => {}
            }
        }
    }

    async fn follow_once(&self) -> BoxError {
        let followed = async { self.source.follow(&self.key, &self.publisher).await };
        match AssertUnwindSafe(followed).catch_unwind().await {
            Ok(error) => error,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
                format!("it panicked: {text}").into()
            }
        }
    }

    /// Pauses that grow and vary.
    fn pauses(&self) -> ExponentialBackoff {
        ExponentialBuilder::default()
            .with_min_delay(self.options.first_pause)
            .with_max_delay(self.options.longest_pause)
            .with_factor(2.0)
            .with_jitter()
            .without_max_times()
            .build()
    }

    /// Ends when the question was forgotten, or its resolver is gone.
    async fn unwanted(&self) {
        loop {
            let Some(shared) = self.shared.upgrade() else { return };
            let Some(next) = shared.forget(&self.key, &self.publisher) else { return };
            drop(shared);
            clock::sleep(next.saturating_duration_since(clock::now())).await;
        }
    }
}

/// However the task ends, whoever waits for it finds out.
struct Ended<'a, T>(&'a Publisher<T>);

impl<T> Drop for Ended<'_, T> {
    fn drop(&mut self) {
        self.0.end();
    }
}
