//! Names, and where what they name is found.
//!
//! ```text
//!   name + Namespace ──Resolver──► ResolveResult ──► ResolvedEndpoint: actor://address/name, id, metadata
//!   Directory: the node's own actors ──Registrar──► where resolvers elsewhere look
//! ```

mod address;
mod announcing;
mod dial;
mod directory;
mod fixed;
mod namespace;
mod refusal;
mod registrar;
mod resolver;
pub(crate) mod text;

/// The longest name of an actor, in bytes.
pub(crate) const MAX_NAME: usize = 255;

pub use address::{Address, AddressError};
pub(crate) use announcing::{Announcing, Waiter};
pub use dial::DialPolicy;
pub(crate) use directory::{Directory, LocalResolver, is_reserved};
pub use fixed::FixedResolver;
pub use namespace::{Namespace, NamespaceError, default_namespace};
pub(crate) use refusal::{elsewhere, stale, unknown};
pub use registrar::{AnnounceError, Announcement, Registrar, Wanted};
pub use resolver::{
    BoxFuture, BoxStream, ResolveError, ResolveResult, ResolvedEndpoint, Resolver, Staleness,
};
