//! What travels between two nodes: the records, and the machine that says which may follow which.
//!
//! Bytes and time go in, bytes and events come out; there is no socket, no task and no clock here. The format is
//! specified to the byte in `docs/wire.md`.
//!
//! ```text
//!                     ┌────────────── Machine ──────────────┐
//!   call, cancel ───► │ calling: numbers, credit, queues    │ ──► Outbox: control, lane, bodies
//!   reply, started ─► │ serving: bodies, order, credit      │
//!   FrameReader ────► │ handshake, services, goodbye, limits│ ──► Event: call, reply, abandoned, …
//!                     └─────────────────────────────────────┘
//! ```
//!
//! A record with a tag that the reader does not know is skipped, and so is a frame of an unknown kind; one that is known
//! and malformed is an error, named by its tag. No input makes these functions panic, or keep more than the limits say.

mod call;
mod credit;
mod frame;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
#[cfg(test)]
mod golden;
mod hello;
mod items;
mod machine;
mod record;
mod reply;
#[cfg(test)]
mod samples;
mod stream;

pub(crate) use call::{Bind, CallContext, CallHeader};
use frame::kind;
pub(crate) use frame::{Frame, FrameReader, RawFrames};
pub(crate) use hello::{Grants, Hello, ServiceDigest, ServiceTable, VERSIONS};
pub(crate) use items::{Part, Room, StreamId, put_length, take_length};
pub(crate) use machine::{
    Abort, Account, Body, CloseCode, Closing, Event, Expected, Lost, Machine, NewCall, Order, Ready,
    Settings, StreamRoom, StreamWork, Weight, Woken,
};
pub(crate) use record::FrameError;
pub(crate) use reply::ReplyHeader;
pub(crate) use stream::StreamKind;
