//! Actors get their names, and start.

use std::{fmt, sync::Arc};

use super::{ActorServer, bind::retire};
use crate::{
    Actor, ActorHandle, Group, Node, Overflow,
    actor::{Care, Place, Settings},
    actor_id::ActorId,
    call::{MetadataError, StopReason},
    layer::Layer,
};

/// An actor about to start. Made by [`ActorServer::registration`], [`Node::actor`] and
/// [`ActorContext::actor`](crate::ActorContext::actor).
#[must_use = "call `register` or `start`"]
pub struct Registration<'a, A> {
    place: Place<'a>,
    settings: Settings<A>,
    actor: A,
}

impl Node {
    /// An actor about to start on this node, under a name. Clients of the node's resolver find it, and those of other nodes
    /// if the node has a server; it is the same as [`ActorServer::registration`] otherwise. A server's shutdown ends
    /// all actors of its node.
    ///
    /// ```
    /// # use actor_runtime::{Node, prelude::*};
    /// # #[actor_service] trait Model { async fn predict(&self, x: f64) -> f64; }
    /// # struct Linear;
    /// # #[actor_service] impl Model for Linear { async fn predict(&self, x: f64) -> f64 { 2.0 * x } }
    /// # #[actor_runtime::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let node = Node::builder().build()?;
    /// let model = node.actor("model", Linear).mailbox(16).start()?;
    /// assert_eq!(model.client::<ModelClient>().predict(2.0).await?, 4.0);
    /// # Ok(()) }
    /// ```
    pub fn actor<A: Actor>(&self, name: impl Into<String>, actor: A) -> Registration<'_, A> {
        Registration::new(self, Some(name.into()), actor)
    }

    /// An actor about to start on this node without a name: it is reached by its handle
    /// ([`ActorHandle::client`]).
    pub fn unnamed_actor<A: Actor>(&self, actor: A) -> Registration<'_, A> {
        Registration::new(self, None, actor)
    }
}

impl<'a, A: Actor> Registration<'a, A> {
    pub(crate) fn new(node: &'a Node, name: Option<String>, actor: A) -> Self {
        let place = Place { node, server: None, parent: None, supervisor: 0 };
        Self { place, settings: Settings::new(node.config(), name), actor }
    }

    pub(super) fn on_server(mut self, server: &'a ActorServer) -> Self {
        self.place.server = Some(server);
        self
    }

    pub(crate) fn child_of(mut self, parent: ActorId) -> Self {
        self.place.parent = Some(parent);
        self
    }

    /// How many calls the mailbox holds, at least 1; 64 unless [`Config`](crate::Config) says otherwise.
    pub fn mailbox(mut self, capacity: usize) -> Self {
        self.settings.mailbox(capacity);
        self
    }

    /// What a full mailbox does with a call; [`Overflow::Wait`] unless this is called.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.settings.overflow = overflow;
        self
    }

    /// How many `&self` turns may overlap, at least 1; 1024 unless [`Config`](crate::Config) says otherwise.
    pub fn overlap(mut self, turns: usize) -> Self {
        self.settings.overlap(turns);
        self
    }

    /// Runs `&self` turns on up to so many tasks of their own, so that they use several processors; at least 1. They
    /// otherwise overlap on the actor's one task.
    pub fn parallel(mut self, tasks: usize) -> Self
    where
        A: Sync,
    {
        self.settings.parallel(tasks);
        self
    }

    /// Says something about the actor to whoever finds it: it comes with
    /// [`ResolvedEndpoint::metadata`](crate::ResolvedEndpoint::metadata) and
    /// [`InspectClient::actors`](crate::inspect::InspectClient::actors). What is set again is replaced; the bounds are
    /// those of [`Metadata`](crate::Metadata).
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.metadata(name.into(), value.into());
        self
    }

    /// Puts code around the calls that this actor answers, inside the layers of its node and those added before.
    pub fn layer(mut self, layer: impl Layer) -> Self {
        self.settings.layers.push(Arc::new(layer));
        self
    }

    /// Runs the actor on the node's network thread: its calls from other nodes change threads once less on their way.
    ///
    /// Only for short handlers that never block: whatever they do holds up every connection of the node.
    pub fn inline(mut self) -> Self {
        self.settings.inline();
        self
    }

    /// Runs the actor on the threads of a group: one task, as without [`parallel`](Self::parallel) and
    /// [`inline`](Self::inline). Of these three, what is called last holds.
    pub fn group(mut self, group: &Group) -> Self {
        self.settings.group(group);
        self
    }

    pub(crate) fn into_parts(self) -> (Place<'a>, Settings<A>, A) {
        (self.place, self.settings, self.actor)
    }

    /// Gives the actor its name and starts it.
    ///
    /// # Errors
    /// [`RegisterError`]. The actor is dropped then.
    pub fn register(self) -> Result<ActorId, RegisterError> {
        Ok(self.start()?.id())
    }

    /// Gives the actor its name and starts it, also if another actor has the name: that one takes no more calls, runs those
    /// that are queued, and ends, as with [`ActorServer::unregister`]. Waits for that; the new actor runs already, so both
    /// run for a while.
    ///
    /// An actor that replaces itself in a turn is not waited for: it ends after that turn and its queue.
    ///
    /// Clients that follow the name go on with the new actor, without a gap. Those that are pinned to the old one get
    /// [`Stale`](crate::FailureKind::Stale).
    ///
    /// ```
    /// # use actor_runtime::prelude::*;
    /// # #[actor_service] trait Model { async fn predict(&self, x: f64) -> f64; }
    /// # struct Linear { by: f64 }
    /// # #[actor_service] impl Model for Linear { async fn predict(&self, x: f64) -> f64 { self.by * x } }
    /// # #[actor_runtime::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = ActorServer::bind("loopback:0").await?;
    /// server.register("model", Linear { by: 2.0 })?;
    /// let model: ModelClient = server.client("model")?;
    /// assert!(server.register("model", Linear { by: 3.0 }).is_err());
    /// server.registration("model", Linear { by: 3.0 }).replace().await?;
    /// assert_eq!(model.predict(1.0).await?, 3.0);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`RegisterError`], but not that the name is taken. The actor is dropped then, and the old one keeps the name.
    ///
    /// # Cancel safety
    /// Once it was polled, the future can be dropped: the new actor has the name, and the old one ends all the same.
    pub async fn replace(self) -> Result<ActorId, RegisterError> {
        let Self { place, mut settings, actor } = self;
        let node = place.node;
        let (cell, replaced) = settings.enroll_in_place(place)?;
        let id = cell.identity.id;
        drop(settings.launcher().launch(actor, cell));
        if let Some(replaced) = replaced {
            retire(node, &*replaced, StopReason::Replaced { by: id }).await;
        }
        Ok(id)
    }

    /// As [`register`](Self::register), and gives a handle of the actor. It may not have started yet:
    /// [`ActorHandle::started`] waits for that.
    ///
    /// # Errors
    /// [`RegisterError`]. The actor is dropped then.
    pub fn start(self) -> Result<ActorHandle, RegisterError> {
        let Self { place, mut settings, actor } = self;
        let cell = settings.enroll(place, Care::Nobody)?;
        drop(settings.launcher().launch(actor, cell.clone()));
        Ok(ActorHandle::new(cell))
    }
}

impl<A> fmt::Debug for Registration<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Why an actor did not get its name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The name cannot stand in an address.
    #[error("{name:?} cannot be an actor's name: write 1 to 255 bytes without `/` and control characters")]
    Name {
        /// Which.
        name: String,
    },
    /// What is to be said about the actor is too much.
    #[error("{name:?} was not registered: {error}")]
    Metadata {
        /// Which.
        name: String,
        /// What it is that is too much.
        #[source]
        error: MetadataError,
    },
    /// The name belongs to the server itself.
    #[error(
        "{name:?} cannot be an actor's name: names that begin with `$` belong to the server itself, as `$inspect` does; \
         write another first character"
    )]
    Reserved {
        /// Which.
        name: String,
    },
    /// The actor that was to start it as its child is ending.
    #[error("{name:?} was not started: the actor that starts it is ending, and its children end with it")]
    ParentEnded {
        /// Which.
        name: String,
    },
    /// The server was shut down, or the program has dropped the node.
    #[error("{name:?} was not registered: the server was shut down, or the node was dropped")]
    ShutDown {
        /// Which.
        name: String,
    },
    /// A running actor has the name.
    #[error(
        "only `replace` of a `registration` takes a name from another actor, and {name:?} is the name of the actor \
         {present}, which is running; unregister that one, or choose another name"
    )]
    Taken {
        /// Which.
        name: String,
        /// Who has it.
        present: ActorId,
    },
}
