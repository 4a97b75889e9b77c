//! Finds the actors of [`actor_runtime`] through what a cluster has already.
//!
//! Every resolver follows its backend with one task a question, and answers from what it heard last. While the backend cannot
//! be asked, the last good answer is served, and says its age and what is in the way
//! ([`ResolveResult::stale`](actor_runtime::ResolveResult::stale)); [`ViewOptions`] says for how long, and how the backend is
//! tried again.

mod cached;
mod chain;
mod clock;
#[cfg(feature = "dns")]
mod dns;
#[cfg(any(feature = "gce", feature = "kubernetes"))]
mod escaped;
#[cfg(feature = "etcd")]
mod etcd;
#[cfg(feature = "file")]
mod file;
#[cfg(feature = "gce")]
pub mod gce;
#[cfg(any(feature = "gce", feature = "kubernetes"))]
mod holdoff;
#[cfg(feature = "_http")]
mod http;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod sync;
mod view;

pub use cached::CachedResolver;
pub use chain::ChainResolver;
#[cfg(feature = "dns")]
pub use dns::DnsResolver;
#[cfg(feature = "etcd")]
pub use etcd::{EtcdError, EtcdOptions, EtcdRegistrar, EtcdResolver};
#[cfg(feature = "file")]
pub use file::FileResolver;
#[cfg(feature = "gce")]
pub use gce::{GceResolver, GcsResolver};
#[cfg(feature = "kubernetes")]
pub use kubernetes::{KubernetesBuilder, KubernetesError, KubernetesResolver};
pub use view::ViewOptions;
