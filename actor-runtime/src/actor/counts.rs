//! How many turns an actor has had, and how they ended.
//!
//! ```text
//!   push ──► found it busy? ──► delayed        ┐
//!   turn given back ──────────► ended          ├─ plain numbers under the mailbox's lock, which is held anyway
//!   run over, turns left ─────► ended, cut off ┘
//!   a turn that ended otherwise than with a reply ──► Marks: a call that ends well does not touch them
//! ```
//!
//! No clock is read: that would be as long as the rest of a short turn's bookkeeping.

use super::Look;
use crate::{
    message,
    sync::{AtomicU64, Ordering},
};

/// What an actor has done since it was registered, over all its runs.
///
/// `handled - errors - failed - cancelled` turns have ended with a reply. A call whose turn never began is in none of them: one
/// that was refused, or whose caller left or whose deadline passed while it was queued. The turns of
/// [`Actor::on_timeout`](crate::Actor::on_timeout) and [`Actor::on_down`](crate::Actor::on_down) count as those of methods do;
/// the other hooks have no turns.
#[message(crate = crate)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Turns that began and have ended, however.
    pub handled: u64,
    /// Those that answered with the method's own error, the `Err` of its `Result`. What a `ReplyTo` answers later, and what
    /// a stream ends with, is not seen by its turn.
    pub errors: u64,
    /// Those that ended with a [`Failure`](crate::Failure): their handler panicked, their arguments could not be read or
    /// their reply not be written, or a layer refused them.
    pub failed: u64,
    /// Those that were dropped before their end: the caller left or the deadline passed, which ends `&self` and
    /// `#[cancel_safe]` turns, or the actor was killed. A `&mut self` turn whose caller has left runs to its end, and is none
    /// of these.
    pub cancelled: u64,
    /// Calls, of those in the mailbox so far, that could not start at once: the actor was in a turn that they have to wait
    /// for, others were queued before, or it had not started. If calls come at random, the share of those that were delayed
    /// is the share of the time that the actor is busy: this stands for the time that it spends in turns, which is not
    /// measured.
    pub delayed: u64,
}

/// The turns of an actor that ended otherwise than with a reply. Turns of one actor may run on several tasks.
#[derive(Default)]
pub(crate) struct Marks {
    errors: AtomicU64,
    failed: AtomicU64,
    cancelled: AtomicU64,
    /// Those that were over before their handler began.
    none: AtomicU64,
}

/// How a turn ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mark {
    Error,
    Failed,
    Cancelled,
    NotBegun,
}

impl Marks {
    #[cold]
    pub(super) fn note(&self, mark: Mark) {
        let count = match mark {
            Mark::Error => &self.errors,
            Mark::Failed => &self.failed,
            Mark::Cancelled => &self.cancelled,
            Mark::NotBegun => &self.none,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// With what the mailbox has counted.
    pub(super) fn with(&self, look: &Look) -> Counts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            // A turn marks first and is given back then, so what has been marked may not be counted yet.
            handled: (look.turns + look.cut_off).saturating_sub(read(&self.none)),
            errors: read(&self.errors),
            failed: read(&self.failed),
            cancelled: read(&self.cancelled) + look.cut_off,
            delayed: look.delayed,
        }
    }
}
