//! What a backend says, kept: one task follows it, and everybody who asks is answered from what it heard last.
//!
//! ```text
//!   resolve ──┐  answered from the last state, with its age if the backend cannot be asked
//!   watch ────┴──► Views ──► View ◄── Publisher: a new state · still the same ◄── Source::follow
//!                    │ one a key         ▲                                            │ fails
//!                    │                   └── failure, pause that grows, again ◄───────┘
//!                    └─ nobody asks any more: forgotten
//! ```

mod follow;
mod options;
mod source;
#[cfg(test)]
mod tests;
mod watching;

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use actor_runtime::{BoxFuture, BoxStream, Namespace, ResolveError, ResolveResult, Resolver, Staleness};
use futures::{FutureExt, StreamExt, stream};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::Instant,
};

pub use options::ViewOptions;
pub(crate) use source::{BoxError, Publisher, Source};
use source::{Failed, Seen};

use crate::{
    clock,
    sync::{Mutex, lock},
};

/// How often it is looked, at most, whether a question is still watched.
const LOOK: Duration = Duration::from_secs(1);

/// How many questions one resolver follows at a time.
const MOST: usize = 4096;

/// A resolver over a backend that can be followed. Clones share what they know.
pub(crate) struct Views<S: Source> {
    shared: Arc<Shared<S>>,
}

struct Shared<S: Source> {
    source: Arc<S>,
    options: ViewOptions,
    views: Mutex<HashMap<S::Key, View<S::State>>>,
}

/// One question that is followed.
struct View<T> {
    publisher: Arc<Publisher<T>>,
    /// Has a failed task try again sooner.
    wanted: Arc<Notify>,
    asked: Instant,
    task: JoinHandle<()>,
}

impl<T> Drop for View<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<S: Source> Views<S> {
    pub(crate) fn new(source: S, options: ViewOptions) -> Self {
        let (source, views) = (Arc::new(source), Mutex::default());
        Self { shared: Arc::new(Shared { source, options, views }) }
    }
}

impl<S: Source> Shared<S> {
    /// What is seen of this question from now on.
    fn enter(self: &Arc<Self>, key: &S::Key) -> Result<Entered<S::State>, BoxError> {
        let mut views = lock(&self.views);
        let state = match views.get_mut(key) {
            Some(view) if !view.publisher.is_ended() => {
                view.asked = clock::now();
                return Ok(Entered { seen: view.publisher.subscribe(), wanted: view.wanted.clone() });
            }
            // The runtime that followed has ended, and what it heard last may be long ago.
            Some(view) => view.publisher.state(),
            None => None,
        };
        if views.len() >= MOST {
            views.retain(|_, view| !view.publisher.is_ended());
            if views.len() >= MOST {
                let text =
                    format!("{:?} follows {MOST} questions already; ask it for fewer names", self.source);
                return Err(text.into());
            }
        }
        let publisher = Arc::new(Publisher::new(state));
        let wanted = Arc::new(Notify::new());
        let entered = Entered { seen: publisher.subscribe(), wanted: wanted.clone() };
        let task = follow::Task {
            source: self.source.clone(),
            key: key.clone(),
            publisher: publisher.clone(),
            options: self.options.clone(),
            wanted: wanted.clone(),
            shared: Arc::downgrade(self),
        };
        let task =
            clock::spawn(task.run()).ok_or("it follows its backend on a tokio runtime, and this is none")?;
        views.insert(key.clone(), View { publisher, wanted, asked: clock::now(), task });
        Ok(entered)
    }

    /// Whether nobody has asked for long; the question is forgotten then. Else when to look again.
    fn forget(&self, key: &S::Key, publisher: &Arc<Publisher<S::State>>) -> Option<Instant> {
        let mut views = lock(&self.views);
        let view = views.get(key).filter(|view| Arc::ptr_eq(&view.publisher, publisher))?;
        let now = clock::now();
        if publisher.watchers() > 0 {
            return Some(later(now, self.options.forget_after.max(LOOK)));
        }
        let until = later(view.asked, self.options.forget_after);
        if now < until {
            return Some(until);
        }
        let forgotten = views.remove(key);
        drop(views);
        drop(forgotten);
        None
    }

    async fn resolve(self: &Arc<Self>, namespace: &Namespace, name: &str) -> Result<ResolveResult, BoxError> {
        let key = self.source.key(namespace, name)?;
        let until = later(clock::now(), self.options.answer_within);
        loop {
            let Entered { mut seen, wanted } = self.enter(&key)?;
            let unknown = seen.borrow_and_update().unknown();
            let before = unknown.filter(|failed| failed.at.elapsed() >= self.options.first_pause);
            if before.is_some() {
                wanted.notify_one();
            }
            let settled = async { drop(seen.wait_for(|seen| seen.is_settled(before.as_ref())).await) };
            let left = until.saturating_duration_since(clock::now());
            clock::within(left, settled).await;
            {
                let seen = seen.borrow();
                if !seen.ended {
                    return self.judge(&seen, namespace, name);
                }
            }
            if until <= clock::now() {
                return Err(self.silent());
            }
            // The task's runtime has ended; this one may be about to.
            clock::sleep(self.options.first_pause).await;
        }
    }

    /// What is answered from what has been seen.
    fn judge(
        &self,
        seen: &Seen<S::State>,
        namespace: &Namespace,
        name: &str,
    ) -> Result<ResolveResult, BoxError> {
        let Some((state, confirmed)) = &seen.state else {
            return Err(seen.failure.as_ref().map_or_else(|| self.silent(), |failed| failed.text().into()));
        };
        let mut result = self.source.answer(state, namespace, name);
        let age = confirmed.elapsed();
        let reason = match &seen.failure {
            Some(failed) => Some(failed.text()),
            None if seen.is_old => Some("it is not followed yet on this runtime".to_owned()),
            None if self.source.good_for().is_some_and(|time| time < age) => Some(
                "its backend was not heard since; the runtime that follows it may stand still".to_owned(),
            ),
            None => None,
        };
        if let Some(reason) = reason {
            // What was stale when it was heard is older by that.
            let age = result.stale.map_or(age, |stale| stale.age.max(age));
            result.stale = Some(Staleness::new(age, reason));
        }
        match (&result.stale, self.options.serve_stale_for) {
            (Some(stale), Some(limit)) if limit < stale.age => {
                let text =
                    format!("what is known is older than {limit:?}, which is too old: {}", stale.reason);
                Err(text.into())
            }
            _ => Ok(result),
        }
    }

    fn silent(&self) -> BoxError {
        format!("{:?} gave no answer within {:?}", self.source, self.options.answer_within).into()
    }
}

/// A question that is followed, for one who asks.
struct Entered<T> {
    seen: watch::Receiver<Seen<T>>,
    wanted: Arc<Notify>,
}

impl<T> Seen<T> {
    /// The failure, if nothing else is known.
    fn unknown(&self) -> Option<Arc<Failed>> {
        self.failure.clone().filter(|_| self.state.is_none() || self.is_old)
    }

    /// Whether there is an answer, or a failure other than that one.
    fn is_settled(&self, before: Option<&Arc<Failed>>) -> bool {
        let failed = self.failure.as_ref();
        let again = failed.is_some_and(|failed| before.is_none_or(|before| !Arc::ptr_eq(before, failed)));
        self.ended || again || self.state.is_some() && !self.is_old
    }
}

impl Failed {
    /// The error with its causes.
    fn text(&self) -> String {
        let causes = std::iter::successors(self.error.source(), |error| error.source());
        causes.fold(self.error.to_string(), |text, cause| {
            let cause = cause.to_string();
            if text.ends_with(&cause) { text } else { format!("{text}: {cause}") }
        })
    }
}

/// A time that far from now is none.
fn later(at: Instant, time: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);
    at + time.min(FAR)
}

impl<S: Source> Resolver for Views<S> {
    fn resolve<'a>(
        &'a self,
        namespace: &'a Namespace,
        name: &'a str,
    ) -> BoxFuture<'a, Result<ResolveResult, ResolveError>> {
        let resolved = self.shared.resolve(namespace, name);
        resolved.map(move |result| result.map_err(|error| ResolveError::new(namespace, name, error))).boxed()
    }

    fn watch(
        &self,
        namespace: &Namespace,
        name: &str,
    ) -> BoxStream<'static, Result<ResolveResult, ResolveError>> {
        let (namespace, name) = (namespace.clone(), name.to_owned());
        match self.shared.source.key(&namespace, &name) {
            Ok(key) => watching::stream(self.shared.clone(), key, namespace, name).boxed(),
            // Asked again, it would say the same.
            Err(error) => {
                let refused = ResolveError::new(&namespace, name, error);
                stream::iter([Err(refused)]).chain(stream::pending()).boxed()
            }
        }
    }
}

impl<S: Source> Clone for Views<S> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<S: Source> fmt::Debug for Views<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.source.fmt(f)
    }
}

/// `Resolver` for a type whose field `views` is one.
macro_rules! resolves_by_views {
    ($resolver:ty) => {
        impl actor_runtime::Resolver for $resolver {
            fn resolve<'a>(
                &'a self,
                namespace: &'a actor_runtime::Namespace,
                name: &'a str,
            ) -> actor_runtime::BoxFuture<
                'a,
                Result<actor_runtime::ResolveResult, actor_runtime::ResolveError>,
            > {
                actor_runtime::Resolver::resolve(&self.views, namespace, name)
            }

            fn watch(
                &self,
                namespace: &actor_runtime::Namespace,
                name: &str,
            ) -> actor_runtime::BoxStream<
                'static,
                Result<actor_runtime::ResolveResult, actor_runtime::ResolveError>,
            > {
                actor_runtime::Resolver::watch(&self.views, namespace, name)
            }
        }
    };
}
pub(crate) use resolves_by_views;
