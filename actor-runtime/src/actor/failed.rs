//! The calls whose panics ended an actor's runs: which, whose, when, and what they said.
//!
//! Nothing is written down for a call that does not panic.

use std::{collections::VecDeque, fmt, time::SystemTime};

use crate::{
    call::{AnyCall, Caller, Hop},
    sync::{Mutex, lock},
    texts::start_of,
};

/// A call whose handler panicked, which ended a run of its actor. It is never run again (S10); whoever calls again by
/// itself makes another one.
///
/// An actor has the last [`KEPT`](Self::KEPT) of them, over all its runs: [`ActorHandle::failures`](crate::ActorHandle::failures)
/// and [`Node::actors`](crate::Node::actors) show them. The arguments are not kept.
///
/// As text: `run 0 ended by Divider/divide, called by node 1f03…: attempt to divide by zero`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailedCall {
    /// `Service/method`; `Actor/on_timeout` or `Actor/on_down` for a turn that nobody called for.
    pub method: String,
    /// Who made the call; none if nobody did, or the caller did not say.
    pub caller: Option<Caller>,
    /// The turn in which the call was made; none if it was made outside a turn, is one-way, or nobody made it.
    pub turn: Option<Hop>,
    /// What the attempts of a `#[dedup]` call have in common, among the calls of the caller's node.
    pub number: Option<u64>,
    /// When the handler panicked, by the clock of the actor's node.
    pub at: SystemTime,
    /// Which run of the actor it ended: how often the actor had been restarted before. Several calls of one run are those of
    /// `&self` methods that panicked while it came to its end.
    pub run: u64,
    /// What the panic said; at most [`MAX_BYTES`](Self::MAX_BYTES), what is longer is cut.
    pub message: String,
}

impl FailedCall {
    /// How many of them an actor keeps.
    pub const KEPT: usize = 8;

    /// The longest text of a panic that is kept, in bytes.
    pub const MAX_BYTES: usize = 512;

    pub(super) fn new(call: &dyn AnyCall, message: &str, at: SystemTime, run: u64) -> Self {
        let head = call.head();
        let made_in = head.chain.as_ref();
        Self {
            method: head.method.to_string(),
            caller: head.caller.clone(),
            turn: made_in.map(|link| Hop { actor: link.name.to_string(), method: link.method.to_string() }),
            number: (head.number != 0).then_some(head.number),
            at,
            run,
            message: start_of(message, Self::MAX_BYTES).to_owned(),
        }
    }
}

impl fmt::Display for FailedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run {} ended by {}", self.run, self.method)?;
        match (&self.turn, &self.caller) {
            (Some(turn), _) => write!(f, ", called by {turn}")?,
            (None, Some(Caller { actor: Some(actor), .. })) => write!(f, ", called by actor {actor}")?,
            (None, Some(caller)) => write!(f, ", called by node {}", caller.node)?,
            (None, None) => {}
        }
        if let Some(identity) = self.caller.as_ref().and_then(|caller| caller.identity.as_ref()) {
            write!(f, " as {identity}")?;
        }
        // A tree has a line for each.
        write!(f, ": {}", self.message.lines().next().unwrap_or_default())
    }
}

/// Those of one actor.
#[derive(Default)]
pub(super) struct FailedCalls(Mutex<VecDeque<FailedCall>>);

impl FailedCalls {
    pub(super) fn note(&self, failed: FailedCall) {
        let mut kept = lock(&self.0);
        let oldest = if kept.len() == FailedCall::KEPT { kept.pop_front() } else { None };
        kept.push_back(failed);
        drop(kept);
        drop(oldest);
    }

    /// The oldest first.
    pub(super) fn all(&self) -> Vec<FailedCall> {
        lock(&self.0).iter().cloned().collect()
    }
}
