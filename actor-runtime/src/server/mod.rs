//! A node that listens: actors get names, and calls from elsewhere get to actors.
//!
//! ```text
//!   frame ──► accept: envelope, namespace, name, id, method ──► Target::admit
//! ```
//!
//! Every server has one actor of its own (`builtin`), which answers questions about the server: [`crate::inspect`].

mod accept;
mod bind;
mod builtin;
mod register;
mod shutdown;
mod signal;

pub use bind::{ActorServer, BindError, ServerBuilder};
pub use register::{RegisterError, Registration};
pub use shutdown::ShutdownError;
pub use signal::ServeError;
