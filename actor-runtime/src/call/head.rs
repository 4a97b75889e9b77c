use std::sync::{Arc, OnceLock};

use tokio::time::Instant;

use super::{Hop, InPoll, Link, Metadata, Retry, Seats};
use crate::{
    actor_id::{ActorId, Instance, NodeId},
    service::Method,
    trust::Peer,
};

/// What everybody who carries a call may know of it. Fixed before the call is handed to anyone.
#[derive(Debug)]
pub struct CallHead {
    pub(crate) method: &'static Method,
    /// The name that the caller called.
    pub(crate) name: Arc<str>,
    /// On the clock of the node that holds the call.
    pub(crate) deadline: Option<Instant>,
    /// Whether this node allows it less time than its caller did.
    pub(crate) clamped: bool,
    /// When it was made, or came to this node; on the same clock.
    pub(crate) made: Option<Instant>,
    /// The turn that waits for this call.
    pub(crate) chain: Option<Arc<Link>>,
    pub(crate) caller: Option<Caller>,
    /// The node that made it, where its reply arrives; none for a call that came to this node.
    pub(crate) home: Option<Instance>,
    pub(crate) metadata: Option<Box<Metadata>>,
    /// How often it is tried, if its caller said so.
    pub(crate) retry: Option<Box<Retry>>,
    /// What its attempts have in common, among all calls of its caller's node; 0 if it is not `#[dedup]`.
    pub(crate) number: u64,
    /// It fails rather than wait for room.
    pub(crate) now: bool,
    /// The member of a pool that it is at, if it goes through one.
    pub(crate) seats: Seats,
    /// The poll that its turn is in, if that has a task to itself.
    pub(crate) in_poll: InPoll,
    /// Its own turn, once that has made a call itself.
    pub(crate) turn: OnceLock<Arc<Link>>,
}

impl CallHead {
    /// A call of a method that nobody has made yet.
    #[inline(always)]
    pub(crate) fn new(method: &'static Method, name: Arc<str>) -> Self {
        let turn = OnceLock::new();
        Self {
            method,
            name,
            deadline: None,
            clamped: false,
            made: None,
            chain: None,
            caller: None,
            home: None,
            metadata: None,
            retry: None,
            number: 0,
            now: false,
            seats: Seats::NONE,
            in_poll: InPoll::default(),
            turn,
        }
    }

    /// What travels with it.
    pub(crate) fn metadata(&self) -> &Metadata {
        static NONE: Metadata = Metadata::NONE;
        self.metadata.as_deref().unwrap_or(&NONE)
    }

    /// Until when its turn has time. The deadline of a oneway call is for being accepted.
    pub(crate) fn turn_deadline(&self) -> Option<Instant> {
        if self.method.oneway { None } else { self.deadline }
    }

    /// What the turn of this call waits for, if it is known.
    pub(crate) fn waits_for(&self) -> Option<Hop> {
        self.turn.get()?.waits_for()
    }
}

/// Who made a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caller {
    /// The caller's node.
    pub node: NodeId,
    /// The actor in whose turn the call was made; none if it was made outside a turn.
    pub actor: Option<ActorId>,
    /// Who the caller's node has proved to be; none for a caller of this process.
    pub identity: Option<Peer>,
}

impl Caller {
    /// A caller of this process.
    pub(crate) fn here(node: NodeId, actor: Option<ActorId>) -> Self {
        Self { node, actor, identity: None }
    }
}
