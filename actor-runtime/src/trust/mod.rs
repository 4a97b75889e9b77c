//! Who a node is, and whom it believes.
//!
//! ```text
//!   Authority ──issues──► Identity: certificates + key ─┐
//!       └──────certificate──────────────────────────────┴─► Trust ──► TLS of both directions ──► Peer
//! ```
//!
//! 1. Both sides show a certificate, and both verify it against the authorities of their [`Trust`], always.
//! 2. The side that dials also asks that the other's certificate is one of the host it dialled, or of the one name
//!    that all nodes of the cluster carry.
//! 3. TLS 1.3 only; no session is resumed, and nothing is sent before the handshake is over.
//! 4. The crypto is the one that the `Trust` names. What the rest of the process chose has no say in it.
//! 5. The development domain serves loopback addresses only.
//!
//! Nothing here does input or output except [`Identity::from_files`] and the development domain.

mod authority;
mod der;
mod development;
mod domain;
mod error;
mod identity;
mod peer;
mod tls;

#[cfg(test)]
mod handshakes;

pub use authority::Authority;
pub use domain::{Crypto, Trust, TrustBuilder};
pub use error::TrustError;
pub use identity::Identity;
pub use peer::Peer;
