//! Finds the actors of [`actor_runtime`] through what a cluster has already.
//!
//! Every resolver follows its backend with one task a question, and answers from what it heard last. While the backend cannot
//! be asked, the last good answer is served, and says its age and what is in the way
//! ([`ResolveResult::stale`](actor_runtime::ResolveResult::stale)); [`ViewOptions`] says for how long, and how the backend is
//! tried again.
//!
//! | feature | | |
//! |---|---|---|
//! | `dns` | [`DnsResolver`] | SRV records, or addresses |
//! | `etcd` | [`EtcdResolver`], [`EtcdRegistrar`] | keys under a prefix, each with the lease of its node |
//! | `file` | [`FileResolver`] | a TOML file |
//! | `gce` | [`GceResolver`], also named [`GcsResolver`] | metadata of virtual machines of Google Compute Engine |
//! | `kubernetes` | [`KubernetesResolver`] | the endpoints of services |
//! | | [`ChainResolver`], [`CachedResolver`] | several as one; one of your own, kept |
//!
//! None is on by default. The chapter `docs/guide/resolvers.md` compares them.
#![cfg_attr(
    not(all(feature = "dns", feature = "etcd", feature = "file", feature = "gce", feature = "kubernetes")),
    allow(rustdoc::broken_intra_doc_links)
)]

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

/// The guide's programs.
#[cfg(all(doctest, feature = "etcd", feature = "file"))]
mod guide {
    #[doc = include_str!("../../docs/guide/resolvers.md")]
    mod resolvers {}
}
