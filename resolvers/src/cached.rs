//! Any resolver, kept.

use std::fmt;

use actor_runtime::{BoxFuture, Namespace, ResolveResult, Resolver};
use futures::StreamExt;
use tokio::time::Instant;

use crate::{
    ViewOptions, clock,
    view::{BoxError, Publisher, Source, Views, resolves_by_views},
};

/// Keeps what another resolver says: each name is watched once, however many clients ask for it, and the last good answer
/// serves, with its age, while that resolver fails. Clones share what they know.
///
/// For resolvers of one's own. Those of this crate do this by themselves.
///
/// ```
/// # use actor_runtime::{FixedResolver, Namespace, Resolver};
/// use actor_resolvers::CachedResolver;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let own = FixedResolver::new([("calc", "127.0.0.1:7000")]);
/// let cached = CachedResolver::new(own);
/// let found = cached.resolve(&Namespace::local(), "calc").await?;
/// assert_eq!(found.first().unwrap().to_string(), "actor://127.0.0.1:7000/calc");
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct CachedResolver {
    views: Views<Other>,
}

resolves_by_views!(CachedResolver);

impl CachedResolver {
    /// Keeps what `resolver` says, and asks it by its [`watch`](Resolver::watch).
    pub fn new(resolver: impl Resolver) -> Self {
        Self::with(resolver, ViewOptions::default())
    }

    /// As [`new`](Self::new), with these times.
    pub fn with(resolver: impl Resolver, options: ViewOptions) -> Self {
        Self { views: Views::new(Other { resolver: Box::new(resolver) }, options) }
    }
}

impl fmt::Debug for CachedResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.views.fmt(f)
    }
}

struct Other {
    resolver: Box<dyn Resolver>,
}

impl Source for Other {
    type Key = (Namespace, String);
    /// And when it was heard.
    type State = (ResolveResult, Instant);

    fn key(&self, namespace: &Namespace, name: &str) -> Result<Self::Key, BoxError> {
        Ok((namespace.clone(), name.to_owned()))
    }

    fn follow<'a>(
        &'a self,
        (namespace, name): &'a Self::Key,
        publisher: &'a Publisher<Self::State>,
    ) -> BoxFuture<'a, BoxError> {
        Box::pin(async move {
            let mut results = self.resolver.watch(namespace, name);
            while let Some(result) = results.next().await {
                match result {
                    Ok(result) => publisher.set((result, clock::now())),
                    Err(error) => return error.into(),
                }
            }
            "its watch has ended".into()
        })
    }

    fn answer(&self, (result, heard): &Self::State, _: &Namespace, _: &str) -> ResolveResult {
        let mut result = result.clone();
        if let Some(stale) = &mut result.stale {
            stale.age += heard.elapsed();
        }
        result
    }
}

impl fmt::Debug for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, kept", self.resolver)
    }
}
