//! Asking a server how it is and what it serves: the service that every server has.
//!
//! ```text
//!   InspectClient ──call──► "$inspect" ──┬─ looks ──► mailboxes          queues, turns, time since progress
//!                           (its own     └─ asks ───► loops of turns     Actor::health, at most MAX_WAIT
//!                            mailbox)
//! ```
//!
//! It is an actor like any other, reached by the same resolvers and over the same transports, and the node's server
//! layers stand around its calls. It has a mailbox of its own, so it is never behind the traffic of other actors; it is
//! not among [`ActorServer::actors`](crate::ActorServer::actors); and it answers until a shutdown has ended all others.
//!
//! ```
//! # #[actor_runtime::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use actor_runtime::{inspect::{self, InspectClient}, prelude::*};
//!
//! let server = ActorServer::bind("loopback:0").await?;
//! let resolver = FixedResolver::new([(inspect::NAME, server.address())]);
//! let health = InspectClient::new(&resolver, inspect::NAME).health().await?;
//! assert!(!health.draining);
//! # Ok(()) }
//! ```

mod inspector;
mod report;
mod tree;

use std::time::Duration;

pub(crate) use inspector::Inspector;
pub use report::{
    ActorHealth, ActorInfo, ActorState, ArgumentInfo, HookAnswer, InspectError, MethodInfo, ServerHealth,
    ServiceInfo,
};

pub use tree::{ActorNode, ActorTree};

use crate::actor_service;

/// The name that the service has on every server. Names that begin with `$` cannot be registered.
pub const NAME: &str = "$inspect";

/// How long [`InspectClient::health`] waits for what actors say of themselves: a quarter of a second, or half of what
/// the call has left if that is less. All are asked at once.
pub const MAX_WAIT: Duration = Duration::from_millis(250);

/// What every server can be asked.
#[actor_service(name = "actor.Inspect", crate = crate)]
pub trait Inspect {
    /// How the server and each of its actors are. Actors that are busy are not waited for longer than `MAX_WAIT`.
    async fn health(&self) -> ServerHealth;

    /// What is registered, in the order of the names.
    async fn actors(&self) -> Vec<ActorInfo>;

    /// The services of an actor with their methods. The empty name means the only actor that is registered.
    async fn methods(&self, actor: String) -> Result<Vec<ServiceInfo>, InspectError>;
}
