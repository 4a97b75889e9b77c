//! Timers of actors: once and periodic, by id, fired through the mailbox.
//!
//! ```text
//!   ctx.timers().once(id, after) ──► set: the timers of one actor ──► driver, one a node: wheel, one sleeping task
//!                                     ▲                                  │
//!                  begin: is it set?  │                                  │ fire
//!   Actor::on_timeout ◄── turn ◄── mailbox ◄── a turn that nobody called for (call/hook) ◄┘
//! ```
//!
//! There is no task, and no sleep of the runtime, a timer. An actor without timers has no set, and a node without them no
//! wheel.

mod driver;
mod id;
mod period;
mod set;
mod timers;
mod wheel;

pub(crate) use driver::Driver;
pub use id::TimerId;
pub use period::{MissedTicks, Period};
pub(crate) use set::{Deliver, DueTurn, TimerSet};
pub use timers::{Timeout, TimerError, Timers};
