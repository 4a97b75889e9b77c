//! Typed distributed actors: annotate a trait and its impl, get a typed client.
//!
//! ```
//! use actor_runtime::prelude::*;
//!
//! #[message]
//! #[derive(Debug)]
//! enum CalcError {
//!     DivideByZero,
//! }
//!
//! /// A calculator that remembers.
//! #[actor_service]
//! trait Calculator {
//!     /// Fails with a typed error that the caller gets back as itself.
//!     async fn divide(&self, a: f64, b: f64) -> Result<f64, CalcError>;
//!     /// `&mut self`: runs alone, in order. `&self` methods may overlap each other.
//!     async fn accumulate(&mut self, by: i64) -> i64;
//! }
//!
//! #[derive(Default)]
//! struct Desk {
//!     total: i64,
//! }
//!
//! #[actor_service]
//! impl Calculator for Desk {
//!     async fn divide(&self, a: f64, b: f64) -> Result<f64, CalcError> {
//!         if b == 0.0 { Err(CalcError::DivideByZero) } else { Ok(a / b) }
//!     }
//!
//!     async fn accumulate(&mut self, by: i64) -> i64 {
//!         self.total += by;
//!         self.total
//!     }
//! }
//!
//! #[actor_runtime::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let server = ActorServer::bind("loopback:0").await?;
//!     server.register("calc", Desk::default())?;
//!
//!     let calc = CalculatorClient::new(&FixedResolver::new([("calc", server.address())]), "calc");
//!     assert_eq!(calc.accumulate(2).timeout(Duration::from_secs(1)).await?, 2);
//!     assert!(matches!(
//!         calc.divide(1.0, 0.0).await,
//!         Err(CallError::Application(CalcError::DivideByZero))
//!     ));
//!
//!     server.shutdown(Duration::from_secs(5)).await?;
//!     Ok(())
//! }
//! ```
//!
//! Where to go from here:
//! - [`actor_service`]: what a trait and its impl may look like, and what is generated.
//! - [`Actor`]: actors of several services.
//! - [`ActorServer`]: giving names to actors. [`ServiceClient`]: what every client can do.
//! - [`Failure`] and [`CallError`]: every way a call can end.
//! - [`ReplyTo`]: answering a call later than its turn. [`Call::try_now`]: not waiting for room.
//! - [`current_ctx`]: what a handler knows about its call. [`Timers`]: turns at their time.
//! - [`Node::actor`] and [`ActorHandle`]: actors without a server, and their ends. [`supervise`]: starting them again.
//! - [`Monitor`]: being told that an actor has ended, wherever it was. [`Link`]: ending with it.
//! - [`ActorPool`]: several actors of one name, called one at a time or all together; [`pool`]: batches, balances, ejection.
//! - [`inspect`]: asking a server how it is, and what it serves.
//! - [`Node::stuck`]: handlers that block, or wait for what does not come. The module `testing`, a feature: fakes, faults, paused
//!   time, simulated networks.
//! - [`layers`]: traces, limits and metrics around calls; [`Layer`] to write another.
//! - [`Node`]: several nodes in one process, settings, layers. [`BlockingNode`] and [`Call::wait`]: programs that are not
//!   async.
//! - [`Trust`]: certificates, and whom a node believes.
//!
//! The promises about order, ending and delivery (S1 to S13) stand in `docs/semantics.md` of the repository.

mod actor;
mod actor_id;
mod call;
mod client;
pub mod codec;
mod context;
mod cork;
mod entry;
mod group;
pub mod inspect;
mod layer;
pub mod layers;
mod names;
mod node;
mod panics;
pub mod pool;
pub mod prelude;
mod proto;
mod reply;
pub mod schema;
mod server;
pub mod service;
mod stream;
pub mod supervise;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
mod texts;
mod timer;
mod transport;
mod trust;
mod watch;

pub use actor::{Actor, ActorHandle, Counts, Ended, FailedCall, Health, Overflow, Stuck, StuckTurn};
pub use actor_id::{ActorId, IdError, NodeId};
pub use actor_macros::{actor_service, main, message, test};
pub use call::{
    CallError, CallOptions, Caller, Delivery, Failure, FailureKind, Hop, MalformedMetadata, Metadata,
    MetadataError, MetadataValue, Retry, StopReason,
};
pub use client::{Call, ServiceClient};
pub use context::{ActorContext, Cancelled, NoContext, current_ctx};
pub use group::{Group, GroupBuilder, GroupError};
pub use layer::{Interest, Layer, LayerCall, Next, OutgoingCall, Side};
pub use names::{
    Address, AddressError, AnnounceError, Announcement, BoxFuture, BoxStream, DialPolicy, FixedResolver,
    Namespace, NamespaceError, Registrar, ResolveError, ResolveResult, ResolvedEndpoint, Resolver, Staleness,
    Wanted, default_namespace,
};
pub use node::{BlockingNode, Config, LocalCalls, Node, NodeBuilder, NodeError, Task, TaskError};
pub use pool::{ActorPool, BroadcastFuture, CallResult};
pub use reply::{Answer, ReplyTo};
pub use server::{
    ActorServer, BindError, RegisterError, Registration, ServeError, ServerBuilder, ShutdownError,
};
pub use service::Status;
pub use stream::Streaming;
pub use timer::{MissedTicks, Period, Timeout, TimerError, TimerId, Timers};
pub use transport::quic::NetworkMode;
pub use trust::{Authority, Crypto, Identity, Peer, Trust, TrustBuilder, TrustError};
pub use watch::{Down, DownReason, Link, Monitor, Watch};

/// The guide's programs.
#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../../docs/guide/actors.md")]
    mod actors {}

    #[doc = include_str!("../../docs/guide/names.md")]
    mod names {}

    #[doc = include_str!("../../docs/guide/pools.md")]
    mod pools {}

    #[doc = include_str!("../../docs/guide/supervising.md")]
    mod supervising {}

    #[doc = include_str!("../../docs/guide/timers.md")]
    mod timers {}

    #[doc = include_str!("../../docs/guide/watching.md")]
    mod watching {}

    #[cfg(feature = "testing")]
    #[doc = include_str!("../../docs/guide/testing.md")]
    mod testing {}
}

/// For the fuzzer only.
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod __fuzz {
    use crate::proto::fuzz;

    pub fn frames(bytes: &[u8]) {
        fuzz::frames(bytes);
    }

    pub fn machine(bytes: &[u8]) {
        fuzz::machine(bytes);
    }
}

/// What generated code uses. Nothing here is for people, and all of it may change.
#[doc(hidden)]
pub mod __private {
    pub use bytes::Bytes;
    pub use futures::Stream;
    pub use serde;
    pub use std::{string::String, vec::Vec};

    #[cfg(feature = "testing")]
    pub use crate::entry::test_paused;
    pub use crate::{
        call::{
            AnyCall, CallHead, Far, Leave, Link, ResultType, Stage, WireReply, accepted, take, wrong_reply,
        },
        client::{Client, deserialize as deserialize_client, serialize as serialize_client},
        codec::Message,
        entry::{main, test},
        pool::Broadcast,
        reply::{answer, reply_to},
        service::{NotResult, PlainReply},
        stream::{AnyStreaming, Outgoing},
    };
}
