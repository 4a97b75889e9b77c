use std::{fmt, hash::Hash, sync::Arc, time::Duration};

use actor_runtime::{BoxFuture, Namespace, ResolveResult};
use tokio::{sync::watch, time::Instant};

use crate::clock;

/// Why a backend could not be asked, or a question cannot be put to it.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A backend that can be followed.
pub(crate) trait Source: fmt::Debug + Send + Sync + 'static {
    /// What one task follows: all that this covers is answered from one state.
    type Key: Clone + Eq + Hash + fmt::Debug + Send + Sync + 'static;

    /// What the backend said.
    type State: Send + Sync + 'static;

    /// What has to be followed for the answer to this question.
    ///
    /// # Errors
    /// If the backend has no place for such a name.
    fn key(&self, namespace: &Namespace, name: &str) -> Result<Self::Key, BoxError>;

    /// Follows the backend and publishes what it says, until that fails; gives the reason. It is called again after a pause,
    /// and dropped when nobody asks any more. Every wait in it ends: a backend that is silent is a failure, too.
    fn follow<'a>(
        &'a self,
        key: &'a Self::Key,
        publisher: &'a Publisher<Self::State>,
    ) -> BoxFuture<'a, BoxError>;

    /// What the state says about a name. If that is stale by itself, its age is that of now.
    fn answer(&self, state: &Self::State, namespace: &Namespace, name: &str) -> ResolveResult;

    /// How long what was published is right without another word of the source, which says one more often than that unless its
    /// task cannot run: on a runtime that is not driven, or a machine that was suspended. `None` if it says nothing by itself.
    fn good_for(&self) -> Option<Duration> {
        None
    }
}

/// Where a source puts what it heard.
#[derive(Debug)]
pub(crate) struct Publisher<S> {
    seen: watch::Sender<Seen<S>>,
}

/// What has been heard of a backend.
#[derive(Debug)]
pub(super) struct Seen<S> {
    /// The last state, and when it was last known to be right.
    pub(super) state: Option<(Arc<S>, Instant)>,
    /// Why it is not known to be right now.
    pub(super) failure: Option<Arc<Failed>>,
    /// Whether the state was heard by a task that has ended, and nothing since.
    pub(super) is_old: bool,
    /// How often it was known to be right.
    pub(super) heard: u64,
    /// Whether the task is gone that followed the backend.
    pub(super) ended: bool,
}

/// What went wrong, and when.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: BoxError,
    pub(super) at: Instant,
}

impl<S> Publisher<S> {
    /// Begins with what another one has heard, which serves if the backend cannot be asked.
    pub(super) fn new(state: Option<(Arc<S>, Instant)>) -> Self {
        let is_old = state.is_some();
        Self { seen: watch::Sender::new(Seen { state, failure: None, is_old, heard: 0, ended: false }) }
    }

    /// The backend says this now.
    pub(crate) fn set(&self, state: S) {
        self.seen.send_modify(|seen| {
            seen.state = Some((Arc::new(state), clock::now()));
            (seen.failure, seen.is_old) = (None, false);
            seen.heard += 1;
        });
    }

    /// The backend still says what it said last.
    #[allow(dead_code, reason = "features decide which sources there are")]
    pub(crate) fn confirm(&self) {
        self.seen.send_if_modified(|seen| {
            let Some((_, confirmed)) = &mut seen.state else { return false };
            *confirmed = clock::now();
            seen.heard += 1;
            let was_old = std::mem::take(&mut seen.is_old);
            seen.failure.take().is_some() || was_old
        });
    }

    /// The last state, for a source that goes on where it was.
    #[allow(dead_code, reason = "features decide which sources there are")]
    pub(crate) fn last(&self) -> Option<Arc<S>> {
        self.seen.borrow().state.as_ref().map(|(state, _)| state.clone())
    }

    /// The backend cannot be followed; gives the text of that.
    pub(super) fn fail(&self, error: BoxError) -> String {
        let failed = Arc::new(Failed { error, at: clock::now() });
        let text = failed.text();
        self.seen.send_modify(|seen| seen.failure = Some(failed));
        text
    }

    pub(super) fn end(&self) {
        self.seen.send_modify(|seen| seen.ended = true);
    }

    pub(super) fn heard(&self) -> u64 {
        self.seen.borrow().heard
    }

    pub(super) fn state(&self) -> Option<(Arc<S>, Instant)> {
        self.seen.borrow().state.clone()
    }

    pub(super) fn is_ended(&self) -> bool {
        self.seen.borrow().ended
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Seen<S>> {
        self.seen.subscribe()
    }

    pub(super) fn watchers(&self) -> usize {
        self.seen.receiver_count()
    }
}
