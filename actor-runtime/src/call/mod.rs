//! A call in flight, seen from nowhere in particular: the client makes it, queues carry it, an actor answers it.
//!
//! ```text
//!   client ──► TypedCall<S>  ─┐                          ┌─ head: method, deadline, chain, caller, metadata
//!                             ├─ Arc<dyn AnyCall> ──────►│  phase: waiting → running → over
//!   wire   ──► InboundCall   ─┘   in gates, mailboxes,   └─ who waits: the caller's waker, the turn's, watchers'
//!                                 turns
//! ```
//!
//! There is one allocation a call: the request, the reply and both wakers live in it. Nothing here knows an actor, a
//! node or a transport.
//!
//! Invariants:
//! 1. A call is over exactly once, by whoever comes first: its reply, a failure, its deadline, or its caller leaving.
//! 2. What comes later is dropped without an effect.
//! 3. A call is claimed for running at most once, and never when it is over.
//! 4. A oneway call is accepted at most once, and not when it is over. From then on its caller knows one end, and the call
//!    another: see `oneway`.
//! 5. No waker is woken and no user value is dropped while a lock is held. The failure that `AnyCall::fail` and `expire` ask
//!    for is made under the call's lock, so that it suits the stage: what makes it takes no lock and runs no code of users.

mod any;
mod chain;
#[cfg(debug_assertions)]
mod check;
mod dedup;
mod dispatch;
mod error;
mod failure;
mod head;
mod hook;
mod inbound;
mod kind;
#[cfg(all(test, actor_loom))]
mod loom;
mod metadata;
mod oneway;
mod options;
mod phase;
mod polling;
mod retry;
#[cfg(test)]
pub(crate) mod sample;
mod seat;
mod stop;
mod target;
mod typed;

pub use any::AnyCall;
pub use chain::Link;
pub(crate) use dedup::{Attempt, Dedup, Key, Window};
pub(crate) use dispatch::{accept_response, take_request};
pub use error::CallError;
pub use failure::{Failure, Hop};
pub use head::{CallHead, Caller};
pub(crate) use hook::{HookCall, Withdrawn};
pub use inbound::WireReply;
pub(crate) use inbound::{InboundCall, ReplySink};
pub use kind::{Delivery, FailureKind};
pub use metadata::{MalformedMetadata, Metadata, MetadataError, MetadataValue};
pub use oneway::accepted;
pub use options::CallOptions;
pub(crate) use options::Timeout;
pub use phase::{Far, Leave, Stage};
pub(crate) use polling::{InPoll, Polling};
pub use retry::Retry;
pub(crate) use retry::Tried;
pub(crate) use seat::{Host, Judge, Seats};
pub use stop::StopReason;
pub(crate) use target::{Refused, Target};
pub(crate) use typed::{Payload, Streamed, TypedCall};
pub use typed::{ResultType, take, wrong_reply};
