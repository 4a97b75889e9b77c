//! The calls of one client of a pool: each gets a seat at a member, which learns how it ended.

use std::{
    any::Any,
    fmt,
    sync::{Arc, Weak},
};

use tokio::time::Instant;

use super::{
    core::Core,
    member::{Inner, Member},
};
use crate::{
    Node,
    actor_id::ActorId,
    call::{AnyCall, Delivery, Failure, FailureKind, Refused, Seat, Tried},
    client::{Gate, Passed, Pooled},
    names::BoxFuture,
    sync::{AtomicU64, Ordering, lock},
    transport::Reroute,
};

/// The way of a client's calls through a pool.
pub(super) struct Through {
    core: Arc<Core>,
    aim: Aim,
    /// Attempts beyond the first, for reports.
    again: AtomicU64,
}

/// Whom calls are for.
#[derive(Clone, Debug)]
pub(super) enum Aim {
    /// Whom the pool chooses.
    Anyone,
    /// Who has the key.
    Key(u64),
    /// This member and no other.
    Only(Member),
}

impl Through {
    pub(super) fn new(core: Arc<Core>, aim: Aim) -> Arc<Self> {
        Arc::new(Self { core, aim, again: AtomicU64::new(0) })
    }

    /// How often a call was sent once more.
    pub(super) fn retries(&self) -> u64 {
        self.again.load(Ordering::Relaxed)
    }

    fn choose(&self, call: &dyn AnyCall, tried: Option<&Tried>, avoid: Option<ActorId>) -> Option<Member> {
        // What may have been run is asked for again where it may have been run, and nowhere else.
        if call.head().number != 0
            && let Some(tried) = tried.filter(|tried| tried.is_unknown())
        {
            return self.core.find(tried.who_may_have_run()?);
        }
        match &self.aim {
            Aim::Anyone => self.core.choose(None, avoid),
            Aim::Key(key) => self.core.choose(Some(*key), avoid),
            Aim::Only(member) => Some(member.clone()),
        }
    }
}

impl Pooled for Through {
    fn pass(
        &self,
        node: &Node,
        now: Instant,
        call: Arc<dyn AnyCall>,
        tried: &mut Option<Box<Tried>>,
        avoid: Option<ActorId>,
        client: &Weak<Gate>,
    ) -> Passed {
        let choose = || self.choose(&*call, tried.as_deref(), avoid);
        let Some(member) = choose().or_else(|| self.core.view().settled.then(choose).flatten()) else {
            if !self.core.view().settled {
                return Passed::NotYet(call);
            }
            return Passed::Refused(Refused { call, failure: self.core.nobody() }, None);
        };
        let before = lock(&call.head().seat).replace(Seat::at(member.enter(), now));
        drop(before);
        let client = || -> Weak<dyn Reroute> { client.clone() };
        match member.0.route.send(node, call, now, tried, None, client) {
            Ok(()) => Passed::Sent,
            Err(refused) => Passed::Refused(refused, Some(member.id())),
        }
    }

    fn ready(&self) -> BoxFuture<'static, ()> {
        let core = self.core.clone();
        Box::pin(async move { core.wait_for(|view| view.settled).await })
    }

    fn refused(&self, call: &dyn AnyCall, failure: &Failure) -> usize {
        use FailureKind::{ConnectionLost, NotFound, Stale, Stopped, Unreachable};
        let left = |seat: &mut Seat| seat.leave().then(|| (seat.host().clone(), seat.since()));
        let host = lock(&call.head().seat).as_mut().and_then(left);
        if let Some((host, since)) = host {
            let host: &dyn Any = &*host;
            // Also of one that was lost by another call: this one may have been its probe.
            if let Some(member) = host.downcast_ref::<Inner>() {
                if is_to_blame(failure, call, since, &self.core.node) {
                    member.failed(&failure.to_string());
                } else {
                    member.unanswered();
                }
                if matches!(failure.kind(), ConnectionLost | NotFound | Stale | Stopped | Unreachable) {
                    self.core.lost(member.id, failure);
                }
            }
        }
        if matches!(self.aim, Aim::Only(_)) { 0 } else { self.core.callable() }
    }

    fn again(&self) {
        self.again.fetch_add(1, Ordering::Relaxed);
    }

    fn is_for_one(&self) -> bool {
        matches!(self.aim, Aim::Only(_))
    }

    fn over(&self, call: &dyn AnyCall, failed: Option<bool>) {
        let Some(mut seat) = lock(&call.head().seat).take() else { return };
        if !seat.leave() {
            return;
        }
        let host: &dyn Any = &**seat.host();
        let Some(member) = host.downcast_ref::<Inner>() else { return };
        match failed {
            Some(false) => {
                let now = self.core.node.now();
                member.took(now.saturating_duration_since(seat.since()));
                member.succeeded(now);
            }
            Some(true) => match call.peek() {
                Err(failure) if is_to_blame(&failure, call, seat.since(), &self.core.node) => {
                    member.failed(&failure.to_string());
                    if failure.kind() == FailureKind::ConnectionLost {
                        self.core.lost(member.id, &failure);
                    }
                }
                _ => member.unanswered(),
            },
            None => member.unanswered(),
        }
    }

    fn endpoint(&self, call: &dyn AnyCall) -> String {
        let seat = lock(&call.head().seat);
        let host: Option<&dyn Any> = seat.as_ref().map(|seat| &**seat.host() as &dyn Any);
        let member = host.and_then(|host| host.downcast_ref::<Inner>());
        member.map(|member| member.endpoint.to_string()).unwrap_or_default()
    }
}

/// Whether a failure says something against the member where it happened.
fn is_to_blame(failure: &Failure, call: &dyn AnyCall, since: Instant, node: &Node) -> bool {
    use FailureKind::{ConnectionLost, DeadlineExceeded, Internal, Overloaded, Panicked, Unreachable};
    match failure.kind() {
        // Who is busy with something else does not begin. Time that passed before the call was there is not the member's.
        DeadlineExceeded if failure.delivery() == Delivery::NotDelivered => {
            let made = call.head().made.unwrap_or(since);
            node.now().saturating_duration_since(since) > since.saturating_duration_since(made)
        }
        ConnectionLost | DeadlineExceeded | Internal | Overloaded | Panicked | Unreachable => true,
        _ => false,
    }
}

/// For error texts.
impl fmt::Debug for Through {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}
