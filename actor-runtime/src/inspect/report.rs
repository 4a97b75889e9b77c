//! What a server tells about itself.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use crate::{
    Counts, Health,
    actor_id::ActorId,
    call::StopReason,
    message,
    service::{Access, MethodTimeout},
};

/// A server at one moment.
#[message(crate = crate)]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerHealth {
    /// Whether it is being shut down: queued calls are still run, new ones are refused.
    pub draining: bool,
    /// How long it has been listening.
    pub uptime: Duration,
    /// What is registered, in the order of the names.
    pub actors: Vec<ActorHealth>,
}

impl ServerHealth {
    /// The actor of this name.
    pub fn actor(&self, name: &str) -> Option<&ActorHealth> {
        self.actors.iter().find(|actor| actor.name == name)
    }
}

/// An actor at one moment.
#[message(crate = crate)]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActorHealth {
    /// The name that it was registered under.
    pub name: String,
    /// Which registration it is.
    pub id: ActorId,
    /// What it does.
    pub state: ActorState,
    /// How many calls its mailbox holds; at most the mailbox's capacity, calls back into a running chain apart.
    pub queued: u64,
    /// How many calls wait at their callers because the mailbox is full. Callers that left are not counted, neither
    /// here nor in `queued`.
    pub waiting: u64,
    /// How many turns are running.
    pub running: u64,
    /// For how long none of its turns has started or ended although there are calls: how long its present turns have
    /// been running, if there are any, else how long its oldest call has been waiting. Zero if there is nothing to do.
    ///
    /// It may be too long by what at most 64 turns took that ran back to back without suspending, and too short by what
    /// a turn took until its first await.
    pub since_progress: Duration,
    /// What it says of itself.
    pub health: HookAnswer,
    /// What it has done since it was registered.
    pub counts: Counts,
}

/// What an actor does.
#[message(crate = crate)]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ActorState {
    /// It has no calls.
    Idle,
    /// It has calls, running or queued.
    Running,
    /// It takes no new calls, and ends when those that it has are done.
    Stopping,
    /// It has stopped, and its name is free.
    Stopped {
        /// Why.
        reason: String,
    },
    /// It has stopped because a handler panicked, and its name is free.
    Panicked {
        /// `Service/method`.
        method: String,
        /// What the panic said.
        message: String,
    },
    /// It has not started yet: its calls wait for that.
    Starting,
    /// It has ended and waits to be started again by its supervisor: its calls wait for that.
    Restarting,
}

/// What an actor says of itself, if it could be asked.
#[message(crate = crate)]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HookAnswer {
    /// What its [`Actor::health`](crate::Actor::health) returned.
    Said(Health),
    /// It was not free in time: it is in a `&mut self` turn, or a handler blocks its thread.
    Busy,
    /// It has stopped.
    Ended,
}

/// A registered actor.
#[message(crate = crate)]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActorInfo {
    /// The name that it was registered under.
    pub name: String,
    /// Which registration it is.
    pub id: ActorId,
    /// How often it has been restarted since it was registered.
    pub generation: u64,
    /// When it was registered, by the server's clock.
    pub registered: SystemTime,
    /// What was said about it with [`Registration::metadata`](crate::Registration::metadata).
    pub metadata: BTreeMap<String, String>,
    /// The names of its services.
    pub services: Vec<String>,
}

/// A service of an actor.
#[message(crate = crate)]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceInfo {
    /// The service's name.
    pub name: String,
    /// The trait's documentation.
    pub docs: String,
    /// The methods in the order of the trait.
    pub methods: Vec<MethodInfo>,
}

/// A method of a service.
#[message(crate = crate)]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MethodInfo {
    /// The method's name.
    pub name: String,
    /// What names it on the wire.
    pub id: u32,
    /// The signature as written.
    pub signature: String,
    /// The documentation comment.
    pub docs: String,
    /// Whether calls may overlap.
    pub access: Access,
    /// Whether it is marked `#[deprecated]`.
    pub deprecated: bool,
    /// The deadline of calls that say nothing of their own.
    pub timeout: MethodTimeout,
    /// The arguments in order.
    pub arguments: Vec<ArgumentInfo>,
    /// The reply's type as written.
    pub reply_type: String,
    /// What the reply looks like on the wire, or the `Ok` of a `Result`, as a line of Rust-like text.
    pub reply: String,
    /// What the `Err` of a `Result` looks like.
    pub error: Option<String>,
    /// A hash of all schemas: two sides with the same one understand each other.
    pub fingerprint: u64,
    /// Whether every part of the arguments and the reply is known, so that a difference between two sides shows.
    pub checked: bool,
}

/// An argument of a method.
#[message(crate = crate)]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArgumentInfo {
    /// Its name.
    pub name: String,
    /// Its type as written.
    pub ty: String,
    /// What it looks like on the wire, as a line of Rust-like text.
    pub schema: String,
}

/// Why a question about an actor has no answer.
#[message(crate = crate)]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// Nothing has the name; or it is the empty one, and not exactly one actor is registered.
    #[error("no actor is registered as {name:?}; what is registered: {known:?}")]
    NoSuchActor {
        /// Which.
        name: String,
        /// What is registered.
        known: Vec<String>,
    },
}

/// How an actor ended.
#[message(crate = crate)]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct End {
    /// In short.
    pub kind: EndKind,
    /// In words.
    pub reason: String,
}

impl End {
    pub(crate) fn of(reason: &StopReason) -> Self {
        let kind = match reason {
            StopReason::Killed => EndKind::Killed,
            reason if reason.is_failure() => EndKind::Failed,
            _ => EndKind::Stopped,
        };
        Self { kind, reason: reason.to_string() }
    }
}

/// How an actor ended, in short.
#[message(crate = crate)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndKind {
    /// It was asked to stop, or stopped itself, and did so well.
    Stopped,
    /// It was killed, or had not ended when the grace of its stop was over.
    Killed,
    /// It failed.
    Failed,
}
