//! Actors as the endpoints of Kubernetes services.
//!
//! ```text
//!   list ──► version ──► watch ──► ADDED MODIFIED DELETED ──► Slices ──► endpoints
//!    ▲                    ▲ │ └──► BOOKMARK: still the same, and a later version
//!    │   410 Gone         │ │ its time is over, or it broke off
//!    └────────────────────┼─┘
//!                         └── from the last version on
//! ```

mod access;
mod api;
mod builder;
mod credentials;
mod follow;
mod lines;
mod names;
mod single;
mod slice;
mod slices;

use std::{fmt, sync::Arc, time::Duration};

use actor_runtime::{BoxFuture, Namespace, ResolveResult};

pub use builder::{KubernetesBuilder, KubernetesError};

use crate::view::{BoxError, Publisher, Source, Views, resolves_by_views};

/// Finds actors as the endpoints of Kubernetes services: lists their `EndpointSlices`, and watches them.
///
/// An actor `calc` in `<local>` is the service `calc` in the pod's own namespace; a namespace of actors is the Kubernetes
/// namespace of its name. [`KubernetesBuilder::map_namespace`] and [`KubernetesBuilder::service_of`] say otherwise. Two
/// namespaces of actors are never one in Kubernetes: if `<local>` is `prod`, there is no other way to it unless it is given.
///
/// The endpoints are the addresses of the pods, with the port that is named `actor`, or the only one if it has no name. Those
/// that are not ready, or are about to end, are left out. A pod with addresses of both families is one endpoint, by IPv4. The
/// metadata has `node`, `zone` and `pod`, where Kubernetes tells them. A service for actors is headless: calls go to the pods.
///
/// ```yaml
/// apiVersion: v1
/// kind: Service
/// metadata: { name: calc }
/// spec:
///   clusterIP: None
///   selector: { app: calc }
///   ports: [{ name: actor, port: 7000, protocol: UDP }]
/// ---
/// apiVersion: rbac.authorization.k8s.io/v1
/// kind: Role                       # and a RoleBinding to the service account of whoever resolves
/// metadata: { name: finds-actors }
/// rules:
///   - { apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch] }
/// ```
///
/// A change is told as soon as the server tells it. A server that is silent for longer than
/// [`KubernetesBuilder::silence`] counts as gone; the last answer serves on then, and says its age
/// ([`ViewOptions`](crate::ViewOptions)). Clones share what they know. The connections use ring, whatever crypto provider the
/// process has or has not chosen.
///
/// ```no_run
/// use actor_resolvers::KubernetesResolver;
/// use actor_runtime::{Namespace, Resolver};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let resolver = KubernetesResolver::in_cluster()?;
/// let found = resolver.resolve(&Namespace::local(), "calc").await?;
/// println!("{:?}", found.endpoints);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct KubernetesResolver {
    views: Views<Slices>,
}

resolves_by_views!(KubernetesResolver);

impl KubernetesResolver {
    /// For a pod: reaches the cluster that it is in, as its service account. Small files are read.
    ///
    /// # Errors
    /// [`KubernetesError`] if this is no pod.
    pub fn in_cluster() -> Result<Self, KubernetesError> {
        Self::builder().build()
    }

    /// For a pod, unless told otherwise.
    pub fn builder() -> KubernetesBuilder {
        KubernetesBuilder::new()
    }
}

/// `Kubernetes at http://127.0.0.1:8001`.
impl fmt::Debug for KubernetesResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.views.fmt(f)
    }
}

/// The slices of services, as a backend.
struct Slices {
    names: names::Names,
    accesses: Arc<access::Accesses>,
    port_name: String,
    silence: Duration,
}

impl Source for Slices {
    type Key = names::Service;
    type State = slices::Slices;

    fn key(&self, namespace: &Namespace, name: &str) -> Result<Self::Key, BoxError> {
        self.names.service(namespace, name)
    }

    fn follow<'a>(
        &'a self,
        service: &'a Self::Key,
        publisher: &'a Publisher<Self::State>,
    ) -> BoxFuture<'a, BoxError> {
        Box::pin(follow::follow(self, service, publisher))
    }

    fn good_for(&self) -> Option<Duration> {
        Some(self.silence.saturating_mul(2))
    }

    fn answer(&self, state: &Self::State, _: &Namespace, name: &str) -> ResolveResult {
        state.answer(name)
    }
}

impl fmt::Debug for Slices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&*self.accesses, f)
    }
}
