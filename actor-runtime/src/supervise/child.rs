//! What a supervisor looks after: how it is made, and when it is made anew.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::Supervisor;
use crate::{
    Actor, Node, Overflow, RegisterError, Task,
    actor::{ActorCell, Care, Launcher, Place, Settings, discard},
    call::StopReason,
    layer::Layer,
    panics::text_of,
};

/// When a child is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    /// When it has failed, and when it has stopped itself.
    #[default]
    Permanent,
    /// When it has failed.
    Transient,
    /// Never.
    Temporary,
}

/// An actor, or a supervisor of others, in the care of a [`Supervisor`].
pub struct Child {
    pub(super) name: String,
    pub(super) restart: Restart,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Actor(Box<dyn Plan>),
    Supervisor(Supervisor),
}

impl Child {
    #[expect(
        clippy::new_ret_no_self,
        reason = "what is built is a child; it has its actor's type until it is given away"
    )]
    /// An actor of this name that `make` makes: at the start, and for each restart. It runs as code of the supervisor's node.
    pub fn new<A: Actor>(name: impl Into<String>, make: impl Fn() -> A + Send + 'static) -> ChildBuilder<A> {
        let name = name.into();
        ChildBuilder { name, restart: Restart::default(), make: Box::new(make), changes: Vec::new() }
    }

    /// A supervisor of its own. If it gives up, it counts as a child that has failed: all that it looks after is started
    /// again, with its ids and queues.
    pub fn supervisor(name: impl Into<String>, supervisor: Supervisor) -> Self {
        Self { name: name.into(), restart: Restart::default(), kind: Kind::Supervisor(supervisor) }
    }
}

/// Something that is said of an actor before it starts.
type Change<A> = Box<dyn FnOnce(&mut Settings<A>) + Send>;

/// An actor about to be looked after. Made by [`Child::new`].
#[must_use = "give it to `Supervisor::child`"]
pub struct ChildBuilder<A> {
    name: String,
    restart: Restart,
    make: Box<dyn Fn() -> A + Send>,
    changes: Vec<Change<A>>,
}

impl<A: Actor> ChildBuilder<A> {
    /// Starts it again when it has failed, and when it has stopped itself. So it is unless something else is said.
    pub fn permanent(self) -> Self {
        Self { restart: Restart::Permanent, ..self }
    }

    /// Starts it again when it has failed.
    pub fn transient(self) -> Self {
        Self { restart: Restart::Transient, ..self }
    }

    /// Never starts it again.
    pub fn temporary(self) -> Self {
        Self { restart: Restart::Temporary, ..self }
    }

    /// As [`Registration::mailbox`](crate::Registration::mailbox).
    pub fn mailbox(self, capacity: usize) -> Self {
        self.with(move |settings| settings.mailbox(capacity))
    }

    /// As [`Registration::overflow`](crate::Registration::overflow).
    pub fn overflow(self, overflow: Overflow) -> Self {
        self.with(move |settings| settings.overflow = overflow)
    }

    /// As [`Registration::overlap`](crate::Registration::overlap).
    pub fn overlap(self, turns: usize) -> Self {
        self.with(move |settings| settings.overlap(turns))
    }

    /// As [`Registration::parallel`](crate::Registration::parallel).
    pub fn parallel(self, tasks: usize) -> Self
    where
        A: Sync,
    {
        self.with(move |settings| settings.parallel(tasks))
    }

    /// As [`Registration::metadata`](crate::Registration::metadata).
    pub fn metadata(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into());
        self.with(move |settings| settings.metadata(name, value))
    }

    /// As [`Registration::layer`](crate::Registration::layer).
    pub fn layer(self, layer: impl Layer) -> Self {
        self.with(move |settings| settings.layers.push(Arc::new(layer)))
    }

    /// As [`Registration::inline`](crate::Registration::inline).
    pub fn inline(self) -> Self {
        self.with(Settings::inline)
    }

    fn with(mut self, change: impl FnOnce(&mut Settings<A>) + Send + 'static) -> Self {
        self.changes.push(Box::new(change));
        self
    }
}

impl<A: Actor> From<ChildBuilder<A>> for Child {
    fn from(builder: ChildBuilder<A>) -> Self {
        let ChildBuilder { name, restart, make, changes } = builder;
        let plan = ActorPlan { name: name.clone(), first: None, make, changes };
        Self { name, restart, kind: Kind::Actor(Box::new(plan)) }
    }
}

/// An actor that was not given its name yet.
pub(super) trait Plan: Send {
    fn enroll(
        self: Box<Self>,
        node: &Node,
        supervisor: u64,
        restart: Restart,
    ) -> Result<Box<dyn Runs>, RegisterError>;
}

struct ActorPlan<A> {
    name: String,
    first: Option<A>,
    make: Box<dyn Fn() -> A + Send>,
    changes: Vec<Change<A>>,
}

impl<A: Actor> Plan for ActorPlan<A> {
    fn enroll(
        self: Box<Self>,
        node: &Node,
        supervisor: u64,
        restart: Restart,
    ) -> Result<Box<dyn Runs>, RegisterError> {
        let mut settings = Settings::new(node.config(), Some(self.name));
        for change in self.changes {
            change(&mut settings);
        }
        let place = Place { node, server: None, parent: None, supervisor };
        Ok(Box::new(enroll(settings, place, restart, self.first, self.make)?))
    }
}

/// Gives a supervised actor its id, its name and its mailbox.
pub(super) fn enroll<A: Actor>(
    mut settings: Settings<A>,
    place: Place<'_>,
    restart: Restart,
    first: Option<A>,
    make: Box<dyn Fn() -> A + Send>,
) -> Result<ActorRuns<A>, RegisterError> {
    let care = match restart {
        Restart::Permanent => Care::Permanent,
        Restart::Transient => Care::Supervisor,
        Restart::Temporary => Care::Nobody,
    };
    let cell = settings.enroll(place, care)?;
    Ok(ActorRuns { cell, launcher: settings.launcher(), first, make })
}

/// An actor that can be run, again and again.
pub(super) trait Runs: Send {
    fn cell(&self) -> &Arc<ActorCell>;

    /// Starts the next run; the task ends with it. `None` if the actor has ended meanwhile.
    ///
    /// # Errors
    /// The factory panicked.
    fn launch(&mut self) -> Option<Result<Task<()>, StopReason>>;
}

pub(super) struct ActorRuns<A> {
    cell: Arc<ActorCell>,
    launcher: Launcher<A>,
    first: Option<A>,
    make: Box<dyn Fn() -> A + Send>,
}

impl<A: Actor> Runs for ActorRuns<A> {
    fn cell(&self) -> &Arc<ActorCell> {
        &self.cell
    }

    fn launch(&mut self) -> Option<Result<Task<()>, StopReason>> {
        // What nobody wants is not made.
        if self.cell.mailbox.end_reason().is_some() {
            return None;
        }
        let made = match self.first.take() {
            Some(first) => Ok(first),
            // The factory is not used again if the supervisor gives up, and has only itself to answer for if not.
            None => catch_unwind(AssertUnwindSafe(|| (self.make)())),
        };
        let actor = match made {
            Ok(actor) => actor,
            Err(panic) => {
                let message = format!("its factory panicked: {}", text_of(&*panic));
                tracing::error!(actor = %self.cell.identity.name, %message, "an actor was not made");
                return Some(Err(StopReason::StartFailed { message }));
            }
        };
        if self.cell.limits.care != Care::Nobody && !self.cell.mailbox.resume() {
            // It has said what went wrong; the actor has ended already.
            let _ = discard(actor, &self.cell);
            return None;
        }
        Some(Ok(self.launcher.clone().launch(actor, self.cell.clone())))
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("name", &self.name)
            .field("restart", &self.restart)
            .finish_non_exhaustive()
    }
}

impl<A> fmt::Debug for ChildBuilder<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildBuilder")
            .field("name", &self.name)
            .field("restart", &self.restart)
            .finish_non_exhaustive()
    }
}
