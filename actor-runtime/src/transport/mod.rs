//! From one node to another: links, what carries their bytes, and which link leads where.
//!
//! ```text
//!   client/route ──► Link ── Machine ── driver ── streams of a connection: quic
//!   server/accept ◄──┘                └─ pump ─── the next node of this process: loopback
//! ```

mod link;
mod links;
pub(crate) mod loopback;
pub(crate) mod quic;
mod signal;

pub(crate) use link::{Accept, Binding, Carry, Differences, Link, Outgoing, Relay, Reroute};
pub(crate) use links::{Links, unreachable};
