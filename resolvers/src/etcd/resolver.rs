use std::{fmt, time::Duration};

use actor_runtime::{BoxFuture, Namespace, ResolveResult};

use super::{
    EtcdError, EtcdOptions,
    following::{self, Shared},
    gateway::Gateway,
    keys::Keys,
};
use crate::{
    ViewOptions,
    sync::lock,
    view::{BoxError, Publisher, Source, Views, resolves_by_views},
};

/// Finds actors that are announced in etcd, by [`EtcdRegistrar`](crate::EtcdRegistrar) or by anybody else who writes such
/// keys:
///
/// ```text
/// etcdctl put '/actors/<local>/calc/1' '{"address":"10.0.0.7:7000"}'
/// ```
///
/// A key is the prefix, the namespace, the name and an id, with `/` between; a `/`, a `%` and control characters are written
/// `%2F`. The id may be any text: each is one endpoint. A value is JSON with an `address`, and may have an `actor`, which is the
/// id of a registration, and `metadata`, which are texts by name; other fields are for others. An entry that is not like that
/// is told in [`ResolveResult::rejected`], and spoils no other.
///
/// One watch serves all names of a namespace, and all clones. It begins with a list, so that what is answered is what etcd had
/// at one revision. A watch that tells nothing is looked after, and begun anew when it is dead or etcd is silent
/// ([`EtcdOptions::silence`]). At most 65,536 keys of a namespace are followed, with 64 MiB, and an answer has at most 10,000
/// endpoints; what is beyond is told in `rejected`.
///
/// ```no_run
/// # use actor_runtime::{Namespace, Resolver};
/// use actor_resolvers::EtcdResolver;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let resolver = EtcdResolver::new("http://127.0.0.1:2379")?;
/// let found = resolver.resolve(&Namespace::local(), "calc").await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct EtcdResolver {
    views: Views<Etcd>,
}

resolves_by_views!(EtcdResolver);

impl EtcdResolver {
    /// Finds actors in this etcd. Nothing is asked of it before a name is.
    ///
    /// # Errors
    /// [`EtcdError`] if the options cannot be.
    pub fn new(options: impl Into<EtcdOptions>) -> Result<Self, EtcdError> {
        Self::with(options, ViewOptions::default())
    }

    /// As [`new`](Self::new), with these times.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn with(options: impl Into<EtcdOptions>, view: ViewOptions) -> Result<Self, EtcdError> {
        let options = options.into();
        let source = Etcd { gateway: Gateway::new(&options)?, keys: options.keys()? };
        Ok(Self { views: Views::new(source, view) })
    }
}

/// `etcd at http://127.0.0.1:2379 under "/actors/"`.
impl fmt::Debug for EtcdResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.views.fmt(f)
    }
}

struct Etcd {
    gateway: Gateway,
    keys: Keys,
}

impl Source for Etcd {
    type Key = Namespace;
    type State = Shared;

    fn key(&self, namespace: &Namespace, _: &str) -> Result<Namespace, BoxError> {
        Ok(namespace.clone())
    }

    fn follow<'a>(
        &'a self,
        namespace: &'a Namespace,
        publisher: &'a Publisher<Shared>,
    ) -> BoxFuture<'a, BoxError> {
        Box::pin(async move {
            let beginning = self.keys.namespace(namespace);
            following::follow(&self.gateway, &beginning, publisher).await
        })
    }

    fn good_for(&self) -> Option<Duration> {
        // A watch that is dead is known after three times this, and who has more to do is later.
        Some(self.gateway.silence().saturating_mul(6))
    }

    fn answer(&self, state: &Shared, namespace: &Namespace, name: &str) -> ResolveResult {
        let mut result = lock(state).answer(name);
        for known in &mut result.known {
            known.push_str(&format!(" in {namespace}"));
        }
        result
    }
}

impl fmt::Debug for Etcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} under {:?}", self.gateway, self.keys.prefix())
    }
}
