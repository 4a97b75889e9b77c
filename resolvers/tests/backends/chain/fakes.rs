//! Members of chains that do as they are told.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actor_runtime::{
    BoxFuture, BoxStream, Namespace, ResolveError, ResolveResult, ResolvedEndpoint, Resolver, Staleness,
};
use futures::{FutureExt, StreamExt, future::pending, stream};
use tokio::sync::watch;

pub(super) type Said = Result<ResolveResult, String>;

/// A member that says what it is told to say; `None` is silence.
#[derive(Clone)]
pub(super) struct Fake {
    who: &'static str,
    says: watch::Sender<Option<Said>>,
    pub(super) asked: Arc<AtomicUsize>,
}

impl Fake {
    pub(super) fn new(who: &'static str, says: Option<Said>) -> Self {
        Self { who, says: watch::Sender::new(says), asked: Arc::default() }
    }

    pub(super) fn with(who: &'static str, addresses: &[&str]) -> Self {
        Self::new(who, Some(has(addresses)))
    }

    pub(super) fn failing(who: &'static str, reason: &str) -> Self {
        Self::new(who, Some(Err(reason.to_owned())))
    }

    pub(super) fn silent(who: &'static str) -> Self {
        Self::new(who, None)
    }

    pub(super) fn say(&self, said: Said) {
        self.says.send_replace(Some(said));
    }
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.who)
    }
}

impl Resolver for Fake {
    fn resolve<'a>(
        &'a self,
        namespace: &'a Namespace,
        name: &'a str,
    ) -> BoxFuture<'a, Result<ResolveResult, ResolveError>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let said = self.says.borrow().clone();
        Box::pin(async move {
            match said {
                Some(said) => said.map_err(|text| ResolveError::new(namespace, name, text)),
                None => pending().await,
            }
        })
    }

    fn watch(
        &self,
        namespace: &Namespace,
        name: &str,
    ) -> BoxStream<'static, Result<ResolveResult, ResolveError>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let (namespace, name) = (namespace.clone(), name.to_owned());
        let mut says = self.says.subscribe();
        says.mark_changed();
        let said = stream::unfold(says, |mut says| async move {
            loop {
                says.changed().await.ok()?;
                let said = says.borrow_and_update().clone();
                if let Some(said) = said {
                    return Some((said, says));
                }
            }
        });
        said.map(move |said| said.map_err(|text| ResolveError::new(&namespace, &*name, text))).boxed()
    }
}

/// Panics whenever it is asked.
#[derive(Debug)]
pub(super) struct Panics;

impl Resolver for Panics {
    fn resolve<'a>(
        &'a self,
        _: &'a Namespace,
        _: &'a str,
    ) -> BoxFuture<'a, Result<ResolveResult, ResolveError>> {
        panic!("no resolve")
    }

    fn watch(&self, _: &Namespace, _: &str) -> BoxStream<'static, Result<ResolveResult, ResolveError>> {
        async { panic!("no watch") }.into_stream().boxed()
    }
}

/// Its watch always has the same to say at once.
#[derive(Debug)]
pub(super) struct Chatters;

impl Resolver for Chatters {
    fn resolve<'a>(
        &'a self,
        _: &'a Namespace,
        _: &'a str,
    ) -> BoxFuture<'a, Result<ResolveResult, ResolveError>> {
        Box::pin(async { Ok(ResolveResult::default()) })
    }

    fn watch(&self, _: &Namespace, _: &str) -> BoxStream<'static, Result<ResolveResult, ResolveError>> {
        stream::repeat_with(|| Ok(ResolveResult::default())).boxed()
    }
}

/// Says one thing, and its watch ends, each time.
#[derive(Clone, Debug, Default)]
pub(super) struct Ends(Arc<AtomicUsize>);

impl Resolver for Ends {
    fn resolve<'a>(
        &'a self,
        _: &'a Namespace,
        _: &'a str,
    ) -> BoxFuture<'a, Result<ResolveResult, ResolveError>> {
        Box::pin(async { Ok(ResolveResult::default()) })
    }

    fn watch(&self, _: &Namespace, _: &str) -> BoxStream<'static, Result<ResolveResult, ResolveError>> {
        let port = 7000 + self.0.fetch_add(1, Ordering::Relaxed);
        let said = has(&[&format!("10.9.9.9:{port}")]).expect("an answer");
        stream::iter([Ok(said)]).boxed()
    }
}

pub(super) fn has(addresses: &[&str]) -> Said {
    let endpoint = |address: &&str| ResolvedEndpoint::new(address.parse().expect("an address"), "calc");
    Ok(ResolveResult::new(addresses.iter().map(endpoint)))
}

pub(super) fn knows(name: &str) -> Said {
    let mut result = ResolveResult::default();
    result.known.push(name.to_owned());
    Ok(result)
}

pub(super) fn stale(mut said: Said, age: u64) -> Said {
    if let Ok(result) = &mut said {
        result.stale = Some(Staleness::new(Duration::from_secs(age), "it is away"));
    }
    said
}
