//! The end of a connection.

use std::sync::{TryLockError, Weak, atomic::Ordering};

use super::{Link, Progress, Sent};
use crate::{
    call::{AnyCall, Delivery, Failure, FailureKind, Stage},
    proto::{CloseCode, Lost},
};

impl Link {
    /// This side takes no more calls.
    pub(crate) fn goodbye(&self, reason: &str) {
        self.with(|machine| machine.goodbye(reason));
    }

    /// The actors that the other side has called are not there any more. A connection that stays would keep them, and
    /// they their node.
    pub(crate) fn forget_actors(&self) {
        self.forgetting.store(true, Ordering::SeqCst);
        self.forget_if_asked();
    }

    /// Whoever tells what arrived may be the one who asks, by what is dropped with a call; so it is done by whoever has
    /// `inbound` last.
    pub(super) fn forget_if_asked(&self) {
        while self.forgetting.load(Ordering::SeqCst) {
            let mut inbound = match self.inbound.try_lock() {
                Ok(inbound) => inbound,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            self.forgetting.store(false, Ordering::SeqCst);
            let forgotten = inbound.forget_actors();
            drop(inbound);
            drop(forgotten);
        }
    }

    /// Ends the connection from this side.
    pub(crate) fn close(&self, reason: &str) {
        self.with(|machine| machine.violated(CloseCode::Done, reason));
        self.lost(FailureKind::Stopped, reason);
    }

    /// The other side ended the connection.
    pub(crate) fn closed_by_peer(&self, code: u32, reason: &str) {
        if code == CloseCode::Done.code() {
            self.lost(FailureKind::Stopped, reason);
        } else {
            self.lost(
                FailureKind::ConnectionLost,
                &format!("{} broke the connection off: {reason}", self.far),
            );
        }
    }

    /// The connection is gone, for this reason: nothing of it stays pending.
    pub(crate) fn lost(&self, kind: FailureKind, reason: &str) {
        let failure = |delivery| {
            // What did not leave may be sent elsewhere.
            let lost = kind == FailureKind::ConnectionLost && delivery == Delivery::NotDelivered;
            let kind = if lost { FailureKind::Unreachable } else { kind };
            Failure::new(kind, delivery, reason)
        };
        // Before any call ends: who makes another one then is to find a new connection, not this one.
        self.advance(Progress::Ended(failure(Delivery::NotDelivered)));
        if let Some(node) = self.node.upgrade() {
            node.links().remove(self);
        }
        let (calls, served) = self.with(|machine| {
            let ended = machine.end();
            machine.set_watched(false);
            ended
        });
        for Lost { call, delivery } in calls {
            self.failed(call, failure(delivery));
        }
        self.end_streams(failure);
        for call in served.iter().filter_map(Weak::upgrade) {
            // What runs and is remembered goes on to its end: another attempt may come to ask for it. What waits is run by
            // that attempt: else a caller that comes and goes would have more calls wait than it was granted.
            let asked_for = call.head().number != 0 && call.head().method.dedup;
            if !asked_for || call.stage() == Stage::Waiting {
                AnyCall::abandon(&*call);
            }
        }
    }

    /// The other side took leave before this call was sent.
    pub(super) fn returned(&self, sent: Sent) {
        let detail = format!("{} took leave before the call was sent", self.far());
        let failure = Failure::new(FailureKind::Stopped, Delivery::NotDelivered, detail);
        self.failed(sent, failure);
    }
}
