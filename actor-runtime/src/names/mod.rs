//! Names, and where what they name is found.
//!
//! ```text
//!   name + Namespace ──Resolver──► ResolveResult ──► ResolvedEndpoint: actor://address/name, id, metadata
//! ```

mod address;
mod directory;
mod fixed;
mod namespace;
mod refusal;
mod resolver;

pub use address::{Address, AddressError};
pub(crate) use directory::{Directory, LocalResolver, is_reserved};
pub use fixed::FixedResolver;
pub use namespace::{Namespace, NamespaceError, default_namespace};
pub(crate) use refusal::{stale, unknown};
pub use resolver::{BoxFuture, BoxStream, ResolveError, ResolveResult, ResolvedEndpoint, Resolver};
