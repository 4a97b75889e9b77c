//! The calls of one client of a pool: each gets a seat at a member, which learns how it ended.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use tokio::time::Instant;

use super::{
    core::Core,
    member::{Member, way_of},
};
use crate::{
    Node,
    actor_id::ActorId,
    call::{AnyCall, CallHead, Failure, Refused, Tried},
    client::{Gate, Passed, Pooled, Route},
    names::BoxFuture,
    sync::{AtomicU64, Ordering},
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
    /// The member at which a call has its place from the beginning, and no other.
    Seated,
}

impl Through {
    pub(super) fn new(core: Arc<Core>, aim: Aim) -> Arc<Self> {
        Arc::new(Self { core, aim, again: AtomicU64::new(0) })
    }

    /// The pool.
    pub(super) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// How often a call was sent once more.
    pub(super) fn retries(&self) -> u64 {
        self.again.load(Ordering::Relaxed)
    }

    /// The way to the member at which a call is from now on, which it was not before unless it is for that one alone.
    fn way(
        &self,
        call: &dyn AnyCall,
        now: Instant,
        tried: Option<&Tried>,
        avoid: Option<ActorId>,
    ) -> Option<Arc<Route>> {
        let key = match self.aim {
            Aim::Anyone => None,
            Aim::Key(key) => Some(key),
            Aim::Seated => return seated(call.head()),
        };
        let choose = || self.choose(key, call, tried, avoid);
        // Once more: one may have come before it was known that there is none.
        let member = choose().or_else(|| self.core.view().settled.then(choose).flatten())?;
        let route = member.route().clone();
        call.head().seats.change(member.enter(), now);
        Some(route)
    }

    fn choose(
        &self,
        key: Option<u64>,
        call: &dyn AnyCall,
        tried: Option<&Tried>,
        avoid: Option<ActorId>,
    ) -> Option<Member> {
        // What may have been run is asked for again where it may have been run, and nowhere else.
        if call.head().number != 0
            && let Some(tried) = tried.filter(|tried| tried.is_unknown())
        {
            return self.core.find(tried.who_may_have_run()?);
        }
        self.core.choose(key, avoid)
    }

    /// Nobody was found for a call.
    #[cold]
    fn nobody(&self, call: Arc<dyn AnyCall>) -> Passed {
        if !self.core.view().settled {
            return Passed::NotYet(call);
        }
        Passed::Refused(Refused { call, failure: self.core.nobody() }, None)
    }
}

/// The way to the member at which a call has its place.
fn seated(head: &CallHead) -> Option<Arc<Route>> {
    head.seats.host().as_deref().and_then(way_of).cloned()
}

impl Pooled for Through {
    fn seat(&self, head: &mut CallHead) -> Option<Arc<Route>> {
        let member = match &self.aim {
            Aim::Anyone => self.core.in_turn(),
            Aim::Key(key) => self.core.choose(Some(*key), None),
            Aim::Seated => return seated(head),
        };
        let Some(member) = member else {
            head.seats.open();
            return None;
        };
        let route = member.route().clone();
        head.seats.begin(member.enter());
        Some(route)
    }

    fn pass(
        &self,
        node: &Node,
        now: Instant,
        call: Arc<dyn AnyCall>,
        tried: &mut Option<Box<Tried>>,
        avoid: Option<ActorId>,
        client: &Weak<Gate>,
    ) -> Passed {
        let Some(way) = self.way(&*call, now, tried.as_deref(), avoid) else { return self.nobody(call) };
        let client = || -> Weak<dyn Reroute> { client.clone() };
        match way.send(node, call, now, tried, None, client) {
            Ok(()) => Passed::Sent,
            Err(refused) => Passed::Refused(refused, way.endpoint().actor),
        }
    }

    fn ready(&self) -> BoxFuture<'static, ()> {
        let core = self.core.clone();
        Box::pin(async move { core.wait_for(|view| view.settled).await })
    }

    fn refused(&self, call: &dyn AnyCall, failure: &Failure) -> usize {
        call.head().seats.refused(call, failure);
        if self.is_for_one() { 0 } else { self.core.callable() }
    }

    fn again(&self) {
        self.again.fetch_add(1, Ordering::Relaxed);
    }

    fn is_for_one(&self) -> bool {
        matches!(self.aim, Aim::Seated)
    }
}

/// For error texts.
impl fmt::Debug for Through {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}
