//! What is said of an actor before it starts, and its way onto its node.

use std::{fmt, sync::Arc};

use super::{Actor, ActorCell, Care, Limits, Mailbox, Overflow, Registered, run, run_parallel};
use crate::{
    ActorServer, Config, Group, Node, RegisterError, Task,
    actor_id::ActorId,
    call::{Metadata, MetadataError, Target},
    context::Identity,
    cork::Corked,
    layer::Layer,
    names::{MAX_NAME, is_reserved},
    node::task,
    service::fingerprints,
};

/// Where an actor is to be.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) node: &'a Node,
    /// The server that gives it its name.
    pub(crate) server: Option<&'a ActorServer>,
    /// The actor that starts it.
    pub(crate) parent: Option<ActorId>,
    /// The serial number of the supervisor that looks after it; 0 if none does.
    pub(crate) supervisor: u64,
}

/// What is said of an actor before it starts.
pub(crate) struct Settings<A> {
    name: Option<String>,
    mailbox: usize,
    pub(crate) overflow: Overflow,
    overlap: usize,
    inline: bool,
    metadata: Option<Box<Metadata>>,
    refused: Option<MetadataError>,
    pub(crate) layers: Vec<Arc<dyn Layer>>,
    launcher: Launcher<A>,
}

/// Runs an actor behind a cell, where its settings say.
pub(crate) struct Launcher<A> {
    whereabouts: Whereabouts,
    run: fn(A, Arc<ActorCell>, Whereabouts) -> Task<()>,
}

/// Which threads and tasks an actor runs on.
#[derive(Clone)]
enum Whereabouts {
    /// One task of the node's runtime, or of its network thread.
    Node,
    /// Shared turns on so many tasks.
    Tasks(usize),
    /// One task, on the threads of a group.
    Group(Group),
}

impl<A: Actor> Settings<A> {
    pub(crate) fn new(config: &Config, name: Option<String>) -> Self {
        Self {
            name,
            mailbox: config.mailbox_capacity,
            overflow: Overflow::default(),
            overlap: config.max_overlap.max(1),
            inline: false,
            metadata: None,
            refused: None,
            layers: Vec::new(),
            launcher: Launcher { whereabouts: Whereabouts::Node, run: on_a_task },
        }
    }

    pub(crate) fn mailbox(&mut self, capacity: usize) {
        self.mailbox = capacity.max(1);
    }

    pub(crate) fn overlap(&mut self, turns: usize) {
        self.overlap = turns.max(1);
    }

    pub(crate) fn parallel(&mut self, tasks: usize)
    where
        A: Sync,
    {
        self.inline = false;
        self.launcher = Launcher { whereabouts: Whereabouts::Tasks(tasks.max(1)), run: on_tasks };
    }

    pub(crate) fn inline(&mut self) {
        self.inline = true;
        self.launcher = Launcher { whereabouts: Whereabouts::Node, run: on_the_network_thread };
    }

    pub(crate) fn group(&mut self, group: &Group) {
        if group.has_threads() {
            self.inline = false;
            self.launcher = Launcher { whereabouts: Whereabouts::Group(group.clone()), run: on_a_task };
        }
    }

    pub(crate) fn metadata(&mut self, name: String, value: String) {
        if let Err(error) = self.metadata.get_or_insert_default().insert(name, value) {
            self.refused = Some(error);
        }
    }

    pub(crate) fn launcher(&self) -> Launcher<A> {
        self.launcher.clone()
    }

    /// Gives the actor its id, its name and its mailbox; calls queue from now on.
    pub(crate) fn enroll(&mut self, place: Place<'_>, care: Care) -> Result<Arc<ActorCell>, RegisterError> {
        self.enroll_or(place, care, false).map(|(cell, _)| cell)
    }

    /// The same, also if another actor has the name: that one is given back.
    pub(crate) fn enroll_in_place(&mut self, place: Place<'_>) -> Result<Enrolled, RegisterError> {
        self.enroll_or(place, Care::Nobody, true)
    }

    fn enroll_or(&mut self, place: Place<'_>, care: Care, replaces: bool) -> Result<Enrolled, RegisterError> {
        let mut replaced = None;
        let Place { node, server, parent, supervisor } = place;
        let id = node.next_actor_id();
        let name = self.checked_name(id)?;
        let (overlap, inline) = (u32::try_from(self.overlap).unwrap_or(u32::MAX), self.inline);
        let shut_down = || RegisterError::ShutDown { name: name.to_string() };
        if server.is_some_and(ActorServer::is_closed) {
            return Err(shut_down());
        }
        let parent = parent.map(|parent| {
            let running = node.roster().find(parent.serial);
            running.ok_or_else(|| RegisterError::ParentEnded { name: name.to_string() })
        });
        let parent = parent.transpose()?;
        let cell = ActorCell::new(
            Identity::new(id, name.clone(), node.quiet()),
            Mailbox::new(self.mailbox, self.overflow),
            Limits { overlap, inline, care },
            Registered {
                at: node.unix_millis(),
                // One that an actor started is looked after from there, by a supervisor that nobody else knows.
                parent: parent.as_ref().map_or(supervisor, |parent| parent.identity.id.serial),
                metadata: self.metadata.take(),
            },
            node.methods().of::<A, A::Services>(),
            node.server_layers().and(std::mem::take(&mut self.layers)),
        );
        if care != Care::Nobody {
            cell.mailbox.await_first_run();
        }
        // First: whoever ends the actors of the node, or of the parent, says so before it looks who there is.
        node.roster().insert(&cell);
        node.keep_watch();
        let refused = if node.directory().is_draining() {
            Some(shut_down())
        } else if parent.is_some_and(|parent| parent.mailbox.is_childless()) {
            Some(RegisterError::ParentEnded { name: name.to_string() })
        } else if self.name.is_some() && replaces {
            replaced = node.directory().replace(name.clone(), cell.clone());
            None
        } else if self.name.is_some() {
            let taken = node.directory().insert(name.clone(), cell.clone()).err();
            taken.map(|present| RegisterError::Taken { name: name.to_string(), present: present.id() })
        } else {
            None
        };
        if let Some(refused) = refused {
            node.roster().remove(&cell);
            return Err(refused);
        }
        let services = fingerprints::digests(cell.service_methods());
        for link in node.links().all() {
            link.announce(&services);
        }
        Ok((cell, replaced))
    }

    fn checked_name(&self, id: ActorId) -> Result<Arc<str>, RegisterError> {
        let name = match self.name.clone() {
            None => format!("#{}", id.serial),
            Some(name) if name.is_empty() || name.len() > MAX_NAME => {
                return Err(RegisterError::Name { name });
            }
            Some(name) if name.contains(|c: char| c.is_control() || c == '/') => {
                return Err(RegisterError::Name { name });
            }
            Some(name) if is_reserved(&name) => return Err(RegisterError::Reserved { name }),
            Some(name) => name,
        };
        match self.refused.clone() {
            Some(error) => Err(RegisterError::Metadata { name, error }),
            None => Ok(name.into()),
        }
    }
}

impl<A: Actor> Launcher<A> {
    /// Starts a run of the actor.
    pub(crate) fn launch(self, actor: A, cell: Arc<ActorCell>) -> Task<()> {
        (self.run)(actor, cell, self.whereabouts)
    }
}

impl<A> Clone for Launcher<A> {
    fn clone(&self) -> Self {
        Self { whereabouts: self.whereabouts.clone(), run: self.run }
    }
}

/// An actor that has its name, and the one that it was taken from.
type Enrolled = (Arc<ActorCell>, Option<Arc<dyn Target>>);

fn on_a_task<A: Actor>(actor: A, cell: Arc<ActorCell>, whereabouts: Whereabouts) -> Task<()> {
    let node = cell.identity.node.clone();
    let run = Corked::new(run(actor, cell));
    match whereabouts {
        Whereabouts::Group(group) => group.spawn(&node, run),
        Whereabouts::Node | Whereabouts::Tasks(_) => node.spawn(run),
    }
}

fn on_tasks<A: Actor + Sync>(actor: A, cell: Arc<ActorCell>, whereabouts: Whereabouts) -> Task<()> {
    let tasks = if let Whereabouts::Tasks(tasks) = whereabouts { tasks } else { 1 };
    cell.identity.node.clone().spawn(run_parallel(actor, cell, tasks))
}

fn on_the_network_thread<A: Actor>(actor: A, cell: Arc<ActorCell>, _: Whereabouts) -> Task<()> {
    let node = cell.identity.node.clone();
    let handle = node.network().handle(&node);
    task::spawn(&handle, Corked::new(run(actor, cell)))
}

impl<A> fmt::Debug for Settings<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("name", &self.name)
            .field("mailbox", &self.mailbox)
            .field("overflow", &self.overflow)
            .field("overlap", &self.overlap)
            .field("inline", &self.inline)
            .finish_non_exhaustive()
    }
}
