//! What tests of actors need: a client of any actor in one line, stand-ins, faults, time, and a network.
//!
//! | | |
//! |---|---|
//! | [`client`](client()) | a client of an actor, without a server, a name or an address |
//! | [`fake`](fake()), [`unexpected`] | an actor that is a function of the calls that come |
//! | [`Recorder`] | which calls came |
//! | [`Faults`] | calls that fail, before or after they were run; delays, lost replies, panics |
//! | [`idle`](idle()) | waits until a node has nothing left to do |
//! | [`pass`](pass()) | lets time pass; at once under `#[actor_runtime::test(start_paused = true)]` |
//! | [`SimNet`] | several nodes on a network with faults, the same in every run |
//!
//! `docs/guide/testing.md` of the repository shows each of them in a program.
//!
//! # The network
//!
//! It exists only in memory, with faults, for tests that repeat exactly.
//!
//! A [`SimNet`] carries the datagrams of QUIC between [`SimHost`]s. Everything it decides it draws from its seed, and
//! its time is tokio's, which a test pauses: seconds of the network then pass in milliseconds, and the same seed gives
//! the same run, datagram for datagram.
//!
//! ```text
//!   endpoint → SimSocket ─ send ─▶ World ── lost · cut · duplicated
//!                                    │
//!                                    ▼ ordered by (due time, sequence)
//!                                 on the way ◀── driver: one task, one timer
//!                                    │
//!                                    ▼ cut · full · unreachable
//!   endpoint ◀─ receive ─ SimSocket: its buffer
//! ```
//!
//! ```
//! use std::time::Duration;
//! use actor_runtime::testing::SimNet;
//!
//! let net = SimNet::new(7);
//! let (client, server) = (net.host("client"), net.host("server"));
//! net.latency(Duration::from_millis(20)..=Duration::from_millis(60)).loss(0.05);
//! net.link(&client, &server).duplicate(0.01); // that direction only
//! net.partition(&client, &server);
//! net.heal_all();
//! assert_eq!(net.counts().sent, 0); // nobody has sent anything yet
//! ```
//!
//! # A test of two nodes
//!
//! ```
//! use actor_runtime::{prelude::*, testing::SimNet};
//!
//! #[actor_service]
//! trait Counter {
//!     async fn add(&mut self, by: u64) -> u64;
//! }
//!
//! struct Tally(u64);
//!
//! #[actor_service]
//! impl Counter for Tally {
//!     async fn add(&mut self, by: u64) -> u64 {
//!         self.0 += by;
//!         self.0
//!     }
//! }
//!
//! // In a test: `#[tokio::test(start_paused = true)]`, with tokio's feature `test-util`.
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let net = SimNet::new(7);
//! let (here, there) = (net.host("here"), net.host("there"));
//! let near = Node::builder().seed(1).simulated(&net, &here).build()?;
//! let far = Node::builder().seed(2).simulated(&net, &there).build()?;
//! let server = ActorServer::bind_on(&far, format!("{}:7000", there.ip())).await?;
//! server.register("tally", Tally(0))?;
//!
//! let resolver = FixedResolver::new([("tally", server.address())]);
//! let tally = CounterClient::on(&near, &resolver, "tally");
//! assert_eq!(tally.add(2).await?, 2);
//! net.partition(&here, &there);
//! assert_eq!(tally.add(3).await.unwrap_err().kind(), FailureKind::ConnectionLost);
//! net.heal(&here, &there);
//! assert_eq!(tally.add(4).await?, 6);
//! # Ok(()) }
//! ```
//!
//! # What it takes for runs to repeat
//!
//! 1. A runtime of tokio's `current_thread` flavour whose clock is paused from the start (`start_paused`). On any other
//!    the network works too, in the order that threads and real time give.
//! 2. Endpoints whose own randomness is seeded (`EndpointConfig::rng_seed`): QUIC draws packet numbers, the order and
//!    padding of its parameters, and the sizes of stateless resets from it.
//! 3. Certificates whose sizes do not vary. Keys, nonces and connection ids come from the operating system in every
//!    run: they change what datagrams contain, but not how long they are, and the network looks at lengths only. A
//!    signature of ECDSA is 70 to 72 bytes by chance, both in a certificate and in the handshake, and moves everything
//!    that follows it: use Ed25519, whose signatures have 64. The serial number that `rcgen` derives from a key loses its
//!    leading zero bytes: set one.
//! 4. Configurations of TLS that are new in each run. A client's remembers sessions, and its second run resumes those
//!    of the first with a shorter handshake.
//!
//! Nodes see to the last three themselves: what [`SimNet::trust`] makes has keys and certificates of that kind, and a
//! [simulated](crate::NodeBuilder::simulated) node draws from [`NodeBuilder::seed`](crate::NodeBuilder::seed).
//!
//! # How exact time is
//!
//! Tokio's timers end at whole milliseconds. A datagram is due at the exact time that was drawn for it, and datagrams
//! arrive in the order of those times, but a receiver is woken at the first millisecond that is not before it. Bounds
//! of latency in whole milliseconds are therefore kept exactly; finer ones are seen rounded up.

mod client;
mod counts;
mod datagram;
mod driver;
mod fake;
pub(crate) mod faults;
mod host;
mod idle;
mod link;
mod log;
mod net;
mod pass;
mod recorder;
mod socket;
#[cfg(test)]
mod tests;
mod trust;
mod world;

pub use client::client;
pub use counts::Counts;
pub use fake::{Fake, Faked, fake, unexpected};
pub use faults::{Fault, FaultCounts, Faults};
pub use host::SimHost;
pub use idle::{Busy, BusyActor, Idle, idle};
pub use link::SimLink;
pub use log::{Event, Fate, Log};
pub use net::SimNet;
pub use pass::pass;
pub use recorder::Recorder;
