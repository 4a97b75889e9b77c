//! Calls that go through a pool: a member is chosen for each, and another one if the first does not take it.
//!
//! ```text
//!   Gate ──pass──► Pooled ──► a member's route
//!    ▲  └─ keeps what comes before the pool knows its members
//!    └── refused: another member, now or after a pause, within the one deadline and the one budget
//! ```

use std::{
    any::Any,
    collections::VecDeque,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Weak},
};

use tokio::time::Instant;

use super::{
    gate::{Gate, Queued},
    route::Route,
};
use crate::{
    Node,
    actor_id::ActorId,
    call::{AnyCall, CallHead, Delivery, Failure, FailureKind, Refused, Stage, Tried},
    names::BoxFuture,
    panics::text_of,
    sync::lock,
    transport::Reroute,
};

/// A pool, as the gate of its client sees it.
pub(crate) trait Pooled: Any + fmt::Debug + Send + Sync {
    /// A place at a member for a call that its caller alone has, and the way there; `None` if there is none now.
    fn seat(&self, head: &mut CallHead) -> Option<Arc<Route>>;

    /// Sends a call to a member, now; `avoid` is the one that has just refused it.
    fn pass(
        &self,
        node: &Node,
        now: Instant,
        call: Arc<dyn AnyCall>,
        tried: &mut Option<Box<Tried>>,
        avoid: Option<ActorId>,
        client: &Weak<Gate>,
    ) -> Passed;

    /// Waits until it is known whether there are members.
    fn ready(&self) -> BoxFuture<'static, ()>;

    /// A member did not take a call, or may not have run it. Gives how many members there are for another attempt.
    fn refused(&self, call: &dyn AnyCall, failure: &Failure) -> usize;

    /// Whether calls are for one member and no other.
    fn is_for_one(&self) -> bool;

    /// A call was sent once more.
    fn again(&self);
}

/// What became of a call that was to be sent to a member.
pub(crate) enum Passed {
    Sent,
    /// Nobody knows yet whether there are members.
    NotYet(Arc<dyn AnyCall>),
    /// There is no member for it, or the one that there is did not take it.
    Refused(Refused, Option<ActorId>),
}

impl Gate {
    /// Sends a call to the member at which it has its first place, by the way there.
    pub(super) fn begin(
        &self,
        pool: &dyn Pooled,
        way: Option<Arc<Route>>,
        node: &Node,
        now: Instant,
        call: Arc<dyn AnyCall>,
    ) {
        let passed = match way {
            None => pool.pass(node, now, call, &mut None, None, self.this()),
            Some(way) => match way.send(node, call, now, &mut None, None, || self.this().clone()) {
                Ok(()) => return,
                Err(refused) => Passed::Refused(refused, way.endpoint().actor),
            },
        };
        self.go_on(pool, node, passed, None);
    }

    /// Sends a call to a member of the pool, or to another one.
    pub(super) fn pass_on(&self, pool: &dyn Pooled, node: &Node, now: Instant, queued: Queued) {
        let Queued { call, mut tried, avoid } = queued;
        let passed = pool.pass(node, now, call, &mut tried, avoid, self.this());
        self.go_on(pool, node, passed, tried);
    }

    #[cold]
    fn go_on(&self, pool: &dyn Pooled, node: &Node, mut passed: Passed, mut tried: Option<Box<Tried>>) {
        loop {
            match passed {
                Passed::Sent => return,
                Passed::NotYet(back) if back.head().now => {
                    let detail = format!(
                        "the members of the pool {:?} are not known yet, and the call was made with `try_now()`; call \
                         again in a moment, or `wait_for_size` first",
                        self.name()
                    );
                    let failure = Failure::new(FailureKind::Overloaded, Delivery::NotDelivered, detail);
                    return back.fail(&mut |_| failure.clone());
                }
                Passed::NotYet(back) => return self.keep(node, Queued { call: back, tried, avoid: None }),
                Passed::Refused(refused, from) => {
                    let Refused { call: back, failure } = refused;
                    match self.elsewhere(pool, node, &*back, failure, tried.take(), from) {
                        Err(failure) => return back.fail(&mut |_| failure.clone()),
                        Ok((again, _)) if back.head().now => {
                            let failure = again.told().clone();
                            return back.fail(&mut |_| failure.clone());
                        }
                        Ok((again, at_once)) => {
                            pool.again();
                            if !at_once {
                                let queued = Queued { call: back, tried: Some(again), avoid: None };
                                return self.keep(node, queued);
                            }
                            tried = Some(again);
                            passed = pool.pass(node, node.now(), back, &mut tried, from, self.this());
                        }
                    }
                }
            }
        }
    }

    /// A call came back from a member. It is not sent from here: the caller has locks, and the arguments' own code runs when
    /// they are encoded.
    pub(super) fn refused_by_member(
        &self,
        pool: &dyn Pooled,
        node: &Node,
        refused: Refused,
        tried: Option<Box<Tried>>,
        from: Option<ActorId>,
    ) {
        let Refused { call, failure } = refused;
        match self.elsewhere(pool, node, &*call, failure, tried, from) {
            Err(failure) => call.fail(&mut |_| failure.clone()),
            Ok((again, _)) if call.head().now => {
                let failure = again.told().clone();
                call.fail(&mut |_| failure.clone());
            }
            Ok((again, at_once)) => {
                pool.again();
                self.keep(node, Queued { call, tried: Some(again), avoid: from.filter(|_| at_once) });
            }
        }
    }

    /// When the first of the kept calls is to be sent; `None` if one is now, or there is none.
    pub(super) fn next_kept(&self) -> Option<Instant> {
        let state = lock(self.state());
        let live = state.queue.iter().filter(|queued| queued.call.stage() != Stage::Over);
        // `None` is the least: it comes before each time.
        live.map(Queued::not_before).min().flatten()
    }

    /// Sends what was kept and has rested.
    pub(super) fn pass_on_queued(&self, pool: &dyn Pooled, node: &Node) {
        let now = node.now();
        // Those that come back to wait are for the next time.
        let rests = |queued: &Queued| {
            queued.call.stage() != Stage::Over && queued.not_before().is_some_and(|until| until > now)
        };
        let due: VecDeque<_> = {
            let mut state = lock(self.state());
            let (resting, due) = std::mem::take(&mut state.queue).into_iter().partition(rests);
            state.queue = resting;
            due
        };
        for queued in due {
            let call = queued.call.clone();
            if call.stage() == Stage::Over {
                continue;
            }
            let sent = AssertUnwindSafe(|| self.pass_on(pool, node, now, queued));
            if let Err(panic) = catch_unwind(sent) {
                let detail = format!(
                    "the arguments panicked while they were encoded, or the pool's balance did: {}",
                    text_of(&*panic)
                );
                let failure = Failure::new(FailureKind::Malformed, Delivery::NotDelivered, detail);
                call.fail(&mut |_| failure.clone());
            }
        }
    }

    /// Whether a call that a member did not take, or may not have run, goes to a member once more; else what its caller is
    /// told. The flag says that there is no pause before.
    fn elsewhere(
        &self,
        pool: &dyn Pooled,
        node: &Node,
        call: &dyn AnyCall,
        failure: Failure,
        tried: Option<Box<Tried>>,
        from: Option<ActorId>,
    ) -> Result<(Box<Tried>, bool), Failure> {
        use FailureKind::{
            ConnectionLost, NotFound, Overloaded, SchemaMismatch, Stale, Stopped, Unimplemented, Unreachable,
        };
        let (head, members) = (call.head(), pool.refused(call, &failure));
        let (kind, delivery) = (failure.kind(), failure.delivery());
        let repeatable = head.method.idempotent || head.number != 0;
        let is_unknown = tried.as_ref().is_some_and(|tried| tried.is_unknown());
        // Only the member that may have run a `#[dedup]` call knows what came of it, and that one is gone.
        let is_lost = head.number != 0 && is_unknown && matches!(kind, Stale | NotFound | Stopped);
        let is_first = tried.is_none();
        let helps = match (delivery, kind) {
            (Delivery::NotDelivered, Unreachable | ConnectionLost | NotFound | Stale | Stopped) => !is_lost,
            // Each costs one try elsewhere: others are likely to be as full, or as old.
            (Delivery::NotDelivered, Overloaded | SchemaMismatch | Unimplemented) => {
                is_first && from.is_some() && members > 1
            }
            (_, ConnectionLost | Unreachable | Stopped) => repeatable && !is_lost,
            _ => false,
        };
        if !helps && is_first || call.is_spent() || pool.is_for_one() {
            return Err(failure);
        }
        let retry = head.retry.as_deref().or(self.options().retry.as_deref());
        let mut tried = match tried {
            Some(mut tried) => {
                tried.failed(failure);
                tried
            }
            None => {
                Tried::first(failure, retry.copied().unwrap_or(node.config().retry), || node.random_u64())
            }
        };
        if from.is_some() && delivery != Delivery::NotDelivered {
            tried.may_have_run(from);
        }
        // One member after the other is asked at once; then there is a pause before they are asked again.
        let at_once = from.is_some() && (tried.attempts() as usize) <= members && !tried.is_unknown();
        if !helps || tried.is_spent() || !(at_once || tried.rest(node.now(), head.deadline)) {
            return Err(tried.tell());
        }
        tracing::debug!(
            method = %head.method,
            pool = %head.name,
            attempt = tried.attempts() + 1,
            after = %kind,
            %delivery,
            "a call is tried at another member"
        );
        Ok((tried, at_once))
    }
}

impl Reroute for Gate {
    fn reroute(&self, refused: Refused, tried: Option<Box<Tried>>, from: Option<ActorId>) {
        match (self.pool(), self.node()) {
            (Some(pool), Ok(node)) => self.refused_by_member(&**pool, node, refused, tried, from),
            _ => self.refused(refused, tried, from),
        }
    }
}
