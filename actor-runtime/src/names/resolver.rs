use std::{collections::BTreeMap, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use futures::Stream;
use serde::{Deserialize, Serialize};

use super::{Address, MAX_NAME, Namespace, text::text};
use crate::actor_id::ActorId;

/// A boxed future, as the methods of [`Resolver`] return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A boxed stream, as the methods of [`Resolver`] return it.
pub type BoxStream<'a, T> = Pin<Box<dyn Stream<Item = T> + Send + 'a>>;

/// Finds the endpoints of a name.
///
/// A client keeps a clone of its resolver; so a resolver is cheap to clone, or stands in an [`Arc`].
pub trait Resolver: fmt::Debug + Send + Sync + 'static {
    /// The endpoints that have the name now. A name that nothing has is an empty result, not an error.
    ///
    /// # Errors
    /// [`ResolveError`] if the question could not be answered.
    ///
    /// # Cancel safety
    /// The future can be dropped at any time.
    fn resolve<'a>(
        &'a self,
        namespace: &'a Namespace,
        name: &'a str,
    ) -> BoxFuture<'a, Result<ResolveResult, ResolveError>>;

    /// The endpoints of the name from now on: the present result at once, then each new one. Results that follow each
    /// other quickly may be left out, the last one never.
    fn watch(
        &self,
        namespace: &Namespace,
        name: &str,
    ) -> BoxStream<'static, Result<ResolveResult, ResolveError>>;
}

impl<R: Resolver + ?Sized> Resolver for Arc<R> {
    fn resolve<'a>(
        &'a self,
        namespace: &'a Namespace,
        name: &'a str,
    ) -> BoxFuture<'a, Result<ResolveResult, ResolveError>> {
        (**self).resolve(namespace, name)
    }

    fn watch(
        &self,
        namespace: &Namespace,
        name: &str,
    ) -> BoxStream<'static, Result<ResolveResult, ResolveError>> {
        (**self).watch(namespace, name)
    }
}

/// What a resolver found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResolveResult {
    /// The endpoints, in the resolver's order: a client calls the first that can be called, a pool all of them.
    ///
    /// One that is silent gives way to the next after 250 ms, and the first 8 are tried. A pinned client takes the one of
    /// its registration.
    pub endpoints: Vec<ResolvedEndpoint>,
    /// Entries that were left out because they are not endpoints, each with the reason.
    pub rejected: Vec<String>,
    /// Other names that exist, if the resolver knows and nothing has the one that was asked for. For error texts.
    pub known: Vec<String>,
    /// Set if this is an earlier answer, because the resolver cannot ask at the moment.
    pub stale: Option<Staleness>,
}

/// An answer is an earlier one: what was asked for could not be asked again since.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Staleness {
    /// How long ago the answer was last known to be right. In a result of [`Resolver::watch`], when that was told.
    pub age: Duration,
    /// What is in the way.
    pub reason: String,
}

impl Staleness {
    /// The last good answer is this old, and this is why there is no newer one.
    pub fn new(age: Duration, reason: impl Into<String>) -> Self {
        Self { age, reason: reason.into() }
    }
}

/// `12.5s old: connection refused`.
impl fmt::Display for Staleness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1?} old: {}", self.age, self.reason)
    }
}

impl ResolveResult {
    /// These endpoints.
    pub fn new(endpoints: impl IntoIterator<Item = ResolvedEndpoint>) -> Self {
        Self { endpoints: endpoints.into_iter().collect(), ..Self::default() }
    }

    /// Whether there is no endpoint.
    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// The first endpoint.
    pub fn first(&self) -> Option<&ResolvedEndpoint> {
        self.endpoints.first()
    }
}

/// One place where an actor is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResolvedEndpoint {
    /// Where its server listens.
    pub address: Address,
    /// The name that the actor has there.
    #[serde(deserialize_with = "text::<MAX_NAME, _>")]
    pub name: String,
    /// Which registration it is, if the resolver knows.
    #[serde(default)]
    pub actor: Option<ActorId>,
    /// What was registered with it.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

impl ResolvedEndpoint {
    /// The actor of this name at this address.
    pub fn new(address: Address, name: impl Into<String>) -> Self {
        Self { address, name: name.into(), actor: None, metadata: BTreeMap::new() }
    }
}

/// `actor://127.0.0.1:7000/calc`.
impl fmt::Display for ResolvedEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "actor://{}/{}", self.address, self.name)
    }
}

/// A resolver could not answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("resolving {name:?} in namespace {namespace} failed: {reason}")]
pub struct ResolveError {
    namespace: Namespace,
    name: String,
    #[source]
    reason: Arc<dyn std::error::Error + Send + Sync>,
}

impl ResolveError {
    /// The question and the reason why it was not answered.
    pub fn new(
        namespace: &Namespace,
        name: impl Into<String>,
        reason: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { namespace: namespace.clone(), name: name.into(), reason: Arc::from(reason.into()) }
    }
}
