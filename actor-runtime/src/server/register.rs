use std::{fmt, sync::Arc};

use super::ActorServer;
use crate::{
    Actor, Task,
    actor::{ActorCell, Limits, Overflow, Registered, run, run_parallel},
    actor_id::ActorId,
    call::{Metadata, MetadataError, StopReason, Target},
    context::Identity,
    cork::Corked,
    layer::Layer,
    names::{MAX_NAME, is_reserved},
    node::task,
    reply::Pending,
    service::fingerprints,
    sync::lock,
};

/// An actor about to get its name. Made by [`ActorServer::registration`].
#[must_use = "call `register`"]
pub struct Registration<'a, A> {
    server: &'a ActorServer,
    name: String,
    actor: A,
    limits: Limits,
    metadata: Option<Box<Metadata>>,
    refused: Option<MetadataError>,
    layers: Vec<Arc<dyn Layer>>,
    start: Start<A>,
}

type Start<A> = Box<dyn FnOnce(A, Arc<ActorCell>) -> Task<()> + Send>;

impl<'a, A: Actor> Registration<'a, A> {
    pub(super) fn new(server: &'a ActorServer, name: String, actor: A) -> Self {
        let config = server.node.config();
        let limits = Limits {
            mailbox: config.mailbox_capacity,
            overflow: Overflow::default(),
            overlap: config.max_overlap.max(1),
            inline: false,
        };
        let start =
            |actor, cell: Arc<ActorCell>| cell.identity.node.clone().spawn(Corked::new(run(actor, cell)));
        let start = Box::new(start);
        Self { server, name, actor, limits, metadata: None, refused: None, layers: Vec::new(), start }
    }

    /// How many calls the mailbox holds, at least 1; 64 unless [`Config`](crate::Config) says otherwise.
    pub fn mailbox(mut self, capacity: usize) -> Self {
        self.limits.mailbox = capacity.max(1);
        self
    }

    /// What a full mailbox does with a call; [`Overflow::Wait`] unless this is called.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.limits.overflow = overflow;
        self
    }

    /// How many `&self` turns may overlap, at least 1; 1024 unless [`Config`](crate::Config) says otherwise.
    pub fn overlap(mut self, turns: usize) -> Self {
        self.limits.overlap = turns.max(1);
        self
    }

    /// Runs `&self` turns on up to so many tasks of their own, so that they use several processors; at least 1. They
    /// otherwise overlap on the actor's one task.
    pub fn parallel(mut self, tasks: usize) -> Self
    where
        A: Sync,
    {
        let tasks = tasks.max(1);
        self.start = Box::new(move |actor, cell: Arc<ActorCell>| {
            cell.identity.node.clone().spawn(run_parallel(actor, cell, tasks))
        });
        self
    }

    /// Says something about the actor to whoever finds it: it comes with
    /// [`ResolvedEndpoint::metadata`](crate::ResolvedEndpoint::metadata) and
    /// [`InspectClient::actors`](crate::inspect::InspectClient::actors). What is set again is replaced; the bounds are
    /// those of [`Metadata`].
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        if let Err(error) = self.metadata.get_or_insert_default().insert(name, value) {
            self.refused = Some(error);
        }
        self
    }

    /// Puts code around the calls that this actor answers, inside the layers of its node and those added before.
    pub fn layer(mut self, layer: impl Layer) -> Self {
        self.layers.push(Arc::new(layer));
        self
    }

    /// Runs the actor on the node's network thread: its calls from other nodes change threads once less on their way.
    ///
    /// Only for short handlers that never block: whatever they do holds up every connection of the node.
    pub fn inline(mut self) -> Self {
        self.limits.inline = true;
        self.start = Box::new(move |actor, cell: Arc<ActorCell>| {
            let node = cell.identity.node.clone();
            let handle = node.network().handle(&node);
            task::spawn(&handle, Corked::new(run(actor, cell)))
        });
        self
    }

    /// Gives the actor its name and starts it.
    ///
    /// # Errors
    /// [`RegisterError`]. The actor is dropped then.
    pub fn register(self) -> Result<ActorId, RegisterError> {
        self.start(false).map(|(id, _)| id)
    }

    /// Gives the actor its name and starts it, also if another actor has the name: that one takes no more calls, runs those
    /// that are queued, and ends, as with [`ActorServer::unregister`]. Waits for that; the new actor runs already, so both
    /// run for a while.
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
        let server = self.server;
        let (id, replaced) = self.start(true)?;
        if let Some(replaced) = replaced {
            server.retire(&*replaced, StopReason::Replaced { by: id }).await;
        }
        Ok(id)
    }

    /// Gives the actor its name and starts it; gives the one that had the name before, if it may be replaced.
    fn start(self, replaces: bool) -> Result<(ActorId, Option<Arc<dyn Target>>), RegisterError> {
        let Self { server, name, actor, limits, metadata, refused, layers, start } = self;
        if name.is_empty() || name.len() > MAX_NAME || name.contains(|c: char| c.is_control() || c == '/') {
            return Err(RegisterError::Name { name });
        }
        if is_reserved(&name) {
            return Err(RegisterError::Reserved { name });
        }
        if let Some(error) = refused {
            return Err(RegisterError::Metadata { name, error });
        }
        let node = server.node.clone();
        let mut hosted = lock(&server.hosted);
        if hosted.is_closed() {
            return Err(RegisterError::ShutDown { name });
        }
        let id = node.next_actor_id();
        let shared: Arc<str> = name.as_str().into();
        let identity = Identity { id, name: shared.clone(), node: node.clone(), pending: Pending::default() };
        let registered = Registered { at: node.unix_millis(), metadata };
        let (methods, layers) = (node.methods().of::<A, A::Services>(), node.server_layers().and(layers));
        let cell = ActorCell::new(identity, limits, registered, methods, layers);
        let replaced = if replaces {
            node.directory().replace(shared.clone(), cell.clone())
        } else if let Err(present) = node.directory().insert(shared.clone(), cell.clone()) {
            return Err(RegisterError::Taken { name, present: present.id() });
        } else {
            None
        };
        let services = fingerprints::digests(cell.service_methods());
        hosted.add(id, shared, start(actor, cell));
        drop(hosted);
        for link in node.links().all() {
            link.announce(&services);
        }
        Ok((id, replaced))
    }
}

impl<A> fmt::Debug for Registration<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("name", &self.name)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
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
    /// The server was shut down.
    #[error("{name:?} was not registered: the server was shut down")]
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
