//! Finds the actors of [`actor_runtime`] through what a cluster has already.
//!
//! Every resolver follows its backend with one task a question, and answers from what it heard last. While the backend cannot
//! be asked, the last good answer is served, and says its age and what is in the way
//! ([`ResolveResult::stale`](actor_runtime::ResolveResult::stale)); [`ViewOptions`] says for how long, and how the backend is
//! tried again.

mod cached;
mod chain;
mod clock;
#[cfg(feature = "etcd")]
mod etcd;
#[cfg(feature = "dns")]
mod dns;
#[cfg(feature = "file")]
mod file;
#[cfg(feature = "_http")]
mod http;
mod sync;
mod view;

pub use cached::CachedResolver;
#[cfg(feature = "etcd")]
pub use etcd::{EtcdError, EtcdOptions, EtcdRegistrar, EtcdResolver};
pub use chain::ChainResolver;
#[cfg(feature = "dns")]
pub use dns::DnsResolver;
#[cfg(feature = "file")]
pub use file::FileResolver;
pub use view::ViewOptions;
