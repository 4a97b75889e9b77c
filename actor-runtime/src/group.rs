//! Threads of their own for actors: how many, where, and what they are called.
//!
//! ```text
//!   Group ──► Workers: N threads ──► the tasks of its actors
//!                                      each actor is one task: its turns keep their order whichever thread runs them
//! ```

use std::{fmt, future::Future, sync::Arc};

use crate::{
    Node, Task,
    node::{
        affinity,
        workers::{Workers, WorkersError},
    },
};

/// Threads that run actors: many light ones on a few threads, or one that blocks on a thread of its own.
///
/// An actor runs on the threads of its node's runtime, with all other actors there. One that computes for long, or blocks
/// its thread, holds the others up. Registered with [`Registration::group`](crate::Registration::group), it runs on those
/// of its group instead. Each actor is one task: its turns keep their order, whichever thread runs them.
///
/// Clones are the same group. Its threads end when the last clone is dropped and the last of its actors has ended.
///
/// Timers of a group run by the real clock: in a test with simulated time use [`Group::none`].
///
/// ```
/// use actor_runtime::{Group, prelude::*};
///
/// #[actor_service]
/// trait Model {
///     async fn weigh(&mut self, line: String) -> usize;
/// }
///
/// struct Slow;
///
/// #[actor_service]
/// impl Model for Slow {
///     async fn weigh(&mut self, line: String) -> usize {
///         // It may take its time: nobody but the actors of its group waits for the thread.
///         line.split(' ').count()
///     }
/// }
///
/// # #[actor_runtime::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let models = Group::builder().name("models").threads(2).build()?;
/// let server = ActorServer::bind("loopback:0").await?;
/// for number in 0..100 {
///     server.registration(format!("model-{number}"), Slow).group(&models).register()?;
/// }
/// let model = ModelClient::new(&server.resolver(), "model-7");
/// assert_eq!(model.weigh("as quick as that".to_owned()).await?, 4);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Group {
    inner: Option<Arc<Inner>>,
}

struct Inner {
    name: String,
    threads: usize,
    workers: Workers,
}

impl Group {
    /// The most threads of a group.
    pub const MAX_THREADS: usize = 1024;

    /// A group about to get its threads.
    pub fn builder() -> GroupBuilder {
        GroupBuilder { name: "group".to_owned(), threads: 1, cpus: Vec::new() }
    }

    /// No threads: its actors run where they would without a group. For tests of code that wants to be given one.
    pub fn none() -> Self {
        Self { inner: None }
    }

    /// What its threads are called; empty for [`none`](Self::none).
    pub fn name(&self) -> &str {
        self.inner.as_ref().map_or("", |inner| &inner.name)
    }

    /// How many threads it has.
    pub fn threads(&self) -> usize {
        self.inner.as_ref().map_or(0, |inner| inner.threads)
    }

    /// Whether it has threads.
    pub(crate) fn has_threads(&self) -> bool {
        self.inner.is_some()
    }

    /// Runs a task as code of this node, on the threads of the group if it has any. They live as long as the task.
    pub(crate) fn spawn(self, node: &Node, future: impl Future<Output = ()> + Send + 'static) -> Task<()> {
        let Some(inner) = &self.inner else { return node.spawn(future) };
        let handle = inner.workers.handle().clone();
        node.spawn_on(&handle, async move {
            let _kept = self;
            future.await;
        })
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("name", &self.name()).field("threads", &self.threads()).finish()
    }
}

/// A group about to get its threads. Made by [`Group::builder`].
#[derive(Clone, Debug)]
#[must_use = "call `build`"]
pub struct GroupBuilder {
    name: String,
    threads: usize,
    cpus: Vec<usize>,
}

impl GroupBuilder {
    /// What its threads are called, for debuggers and `top -H`; `group` unless this is called. Systems cut long names:
    /// Linux shows 15 bytes.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How many threads, from 1 to [`Group::MAX_THREADS`]; 1 unless this is called.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Binds each thread to one processor: the first thread to the first of these, and so on, around. Processors are
    /// numbered as the system numbers them, from 0.
    ///
    /// Linux only; elsewhere [`build`](Self::build) fails with [`GroupError::Affinity`].
    pub fn cpus(mut self, cpus: impl IntoIterator<Item = usize>) -> Self {
        self.cpus = cpus.into_iter().collect();
        self
    }

    /// Starts the threads, and returns when each of them runs where it is to run.
    ///
    /// # Errors
    /// [`GroupError`]; no thread is left then.
    pub fn build(self) -> Result<Group, GroupError> {
        let Self { name, threads, cpus } = self;
        if !(1..=Group::MAX_THREADS).contains(&threads) {
            return Err(GroupError::Count { name, threads });
        }
        if name.contains('\0') {
            return Err(GroupError::Name { name });
        }
        match Workers::start(&name, threads, &cpus) {
            Ok(workers) => Ok(Group { inner: Some(Arc::new(Inner { name, threads, workers })) }),
            Err(WorkersError::Start(error)) => {
                Err(GroupError::Start { name, threads, reason: error.to_string() })
            }
            Err(WorkersError::Affinity { cpu, error }) => {
                let allowed = affinity::allowed().unwrap_or_default();
                Err(GroupError::Affinity { name, cpu, reason: error.to_string(), allowed })
            }
        }
    }
}

/// Why a group did not get its threads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// No group has so many threads, or none.
    #[error("the group {name:?} cannot have {threads} threads: ask for 1 to {}", Group::MAX_THREADS)]
    Count {
        /// Which group.
        name: String,
        /// How many were asked for.
        threads: usize,
    },
    /// No thread can be called so.
    #[error("{name:?} cannot be the name of threads: leave out the NUL")]
    Name {
        /// The name.
        name: String,
    },
    /// The system started no more threads.
    #[error("the {threads} threads of the group {name:?} could not be started: {reason}")]
    Start {
        /// Which group.
        name: String,
        /// How many were asked for.
        threads: usize,
        /// What the system said.
        reason: String,
    },
    /// A thread cannot be bound to this processor.
    #[error("a thread of the group {name:?} cannot run on processor {cpu}: {reason}{}", may_use(allowed))]
    Affinity {
        /// Which group.
        name: String,
        /// Which processor.
        cpu: usize,
        /// What the system said.
        reason: String,
        /// The processors that this process may use; empty where the system does not say.
        allowed: Vec<usize>,
    },
}

fn may_use(allowed: &[usize]) -> String {
    if allowed.is_empty() { String::new() } else { format!("; this process may use {allowed:?}") }
}
