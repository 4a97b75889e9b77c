use std::{fmt, hash::Hash, sync::Arc};

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

    /// What the state says about a name.
    fn answer(&self, state: &Self::State, namespace: &Namespace, name: &str) -> ResolveResult;
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
    pub(super) fn new() -> Self {
        Self { seen: watch::Sender::new(Seen { state: None, failure: None, heard: 0, ended: false }) }
    }

    /// The backend says this now.
    pub(crate) fn set(&self, state: S) {
        self.seen.send_modify(|seen| {
            seen.state = Some((Arc::new(state), clock::now()));
            seen.failure = None;
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
            seen.failure.take().is_some()
        });
    }

    /// The last state, for a source that goes on where it was.
    #[allow(dead_code, reason = "features decide which sources there are")]
    pub(crate) fn last(&self) -> Option<Arc<S>> {
        self.seen.borrow().state.as_ref().map(|(state, _)| state.clone())
    }

    /// Gives whether this is the first failure since the backend was heard.
    pub(super) fn fail(&self, error: BoxError) -> bool {
        let failed = Arc::new(Failed { error, at: clock::now() });
        let mut first = false;
        self.seen.send_modify(|seen| first = seen.failure.replace(failed).is_none());
        first
    }

    pub(super) fn end(&self) {
        self.seen.send_modify(|seen| seen.ended = true);
    }

    pub(super) fn heard(&self) -> u64 {
        self.seen.borrow().heard
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
