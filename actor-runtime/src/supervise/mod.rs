//! Supervision: actors that fail are started again (S4, S9, S12).
//!
//! ```text
//!   Supervisor ──start──► Team (a task) ──launch──► run of a child ──┐
//!                          ▲   │                                     │ ends: failed, stopped itself
//!                          │   └─ retires siblings, waits, launches ◄┘
//!                          └── Order (stop, kill, make way) from its handle or the supervisor above
//! ```
//!
//! | | |
//! |---|---|
//! | here | what is said of a supervisor |
//! | `child` | what is said of a child; a factory behind a mailbox |
//! | `intensity` | how often, and after which pauses |
//! | `team` | the task that looks after the children |
//! | `order` | what a team is told, and what it tells |
//! | `post` | the supervisors of a node, for those who look |
//!
//! Invariants:
//! 1. A restart keeps the id, the name and the mailbox of an actor. What is queued is run by the next run, once.
//! 2. A child has one run at a time: the next one is made after the one before was dropped.
//! 3. Children are started in their order and ended in the reverse one.
//! 4. Within `intensity`'s window there are at most so many restarts; the next one makes the supervisor give up.
//! 5. When a supervisor with nobody above it has ended, so have its children, and every call to them.

mod child;
mod intensity;
mod order;
mod post;
mod team;

use std::{fmt, ops::Range, sync::Arc, time::Duration};

pub use child::{Child, ChildBuilder, Restart};
use intensity::{Backoff, Intensity};
pub use order::SupervisorHandle;
pub(crate) use post::Posts;

use crate::{Actor, ActorHandle, Node, RegisterError, Registration};

/// Which children are started again when one of them is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// That one.
    OneForOne,
    /// All of them.
    OneForAll,
    /// That one and those that were given after it.
    RestForOne,
}

impl Strategy {
    fn affected(self, child: usize, children: usize) -> Range<usize> {
        match self {
            Self::OneForOne => child..child + 1,
            Self::OneForAll => 0..children,
            Self::RestForOne => child..children,
        }
    }
}

/// Looks after actors, and starts them again when they fail.
///
/// A restarted actor has its id, its name, its mailbox and what is queued in it; its state is what its factory makes. The
/// call whose handler panicked was answered with [`Panicked`](crate::FailureKind::Panicked) and is not run again. The
/// others that were running end with the run: if it is restarted because another child failed, its turns get
/// [`Config::stop_timeout`](crate::Config::stop_timeout) to end. While an actor waits to be started again, its callers
/// wait within their deadlines, and within the bounds of its mailbox.
///
/// ```
/// use actor_runtime::{Node, prelude::*, supervise::{Child, Strategy, Supervisor}};
///
/// #[actor_service]
/// trait Divider {
///     async fn divide(&mut self, a: u32, b: u32) -> u32;
/// }
///
/// struct Calculator;
///
/// #[actor_service]
/// impl Divider for Calculator {
///     async fn divide(&mut self, a: u32, b: u32) -> u32 {
///         a / b
///     }
/// }
///
/// # #[actor_runtime::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let node = Node::builder().build()?;
/// let supervisor = Supervisor::new(Strategy::OneForOne)
///     .intensity(3, Duration::from_secs(5))
///     .backoff(Duration::from_millis(1), Duration::from_secs(1))
///     .child(Child::new("divider", || Calculator).mailbox(16))
///     .start(&node)?;
///
/// let divider = supervisor.child("divider").ok_or("it has one")?.client::<DividerClient>();
/// assert_eq!(divider.divide(1, 0).await.unwrap_err().kind(), FailureKind::Panicked);
/// assert_eq!(divider.divide(6, 3).await?, 2);
/// supervisor.stop(Duration::from_secs(1)).await;
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "call `start`"]
pub struct Supervisor {
    strategy: Strategy,
    intensity: Intensity,
    backoff: Backoff,
    children: Vec<Child>,
}

impl Supervisor {
    /// At most 3 restarts within 5 s, after pauses from 50 ms to 5 s, unless something else is said.
    pub fn new(strategy: Strategy) -> Self {
        Self {
            strategy,
            intensity: Intensity { restarts: 3, within: Duration::from_secs(5) },
            backoff: Backoff { first: Duration::from_millis(50), longest: Duration::from_secs(5) },
            children: Vec::new(),
        }
    }

    /// How often children may be restarted in so much time. Once more, and the supervisor gives up: it ends its children,
    /// and counts as failed for the supervisor above it; if there is none, their calls fail with
    /// [`StopReason::RestartsExhausted`](crate::StopReason::RestartsExhausted). A restart of several counts once.
    /// `u32::MAX` is no bound.
    pub fn intensity(mut self, restarts: u32, within: Duration) -> Self {
        self.intensity = Intensity { restarts, within };
        self
    }

    /// The pause before a child is started again, and the length that it doubles up to as long as the child does not run
    /// for the window of the [`intensity`](Self::intensity). Pauses are drawn from the upper half of their length, by the
    /// node's randomness. Zero for none.
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.backoff = Backoff { first, longest: longest.max(first) };
        self
    }

    /// Looks after this one too. Children are started in the order in which they are given, and ended in the reverse one.
    pub fn child(mut self, child: impl Into<Child>) -> Self {
        self.children.push(child.into());
        self
    }

    /// Gives the children their names and starts them. Dropping the handle does not end them.
    ///
    /// They start one after the other without waiting for each other's `on_start`; calls to those that have not started
    /// are queued.
    ///
    /// # Errors
    /// [`RegisterError`], of the first child that did not get its name. None is started then.
    pub fn start(self, node: &Node) -> Result<SupervisorHandle, RegisterError> {
        let (team, handle) = team::Team::enroll(self, node, 0, "", "")?;
        Ok(handle.begin(team))
    }
}

impl<A: Actor> Registration<'_, A> {
    /// As [`start`](Registration::start), with the actor started again when it fails, as [`Restart::Transient`] says:
    /// made by `make`, by the intensity and after the pauses of [`Supervisor::new`].
    ///
    /// ```
    /// # use actor_runtime::{Node, prelude::*};
    /// # #[actor_service] trait Work { async fn step(&mut self); }
    /// # #[derive(Default)] struct Hand;
    /// # #[actor_service] impl Work for Hand { async fn step(&mut self) {} }
    /// # #[actor_runtime::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let node = Node::builder().build()?;
    /// let hand = node.actor("hand", Hand).supervised(Hand::default)?;
    /// # hand.client::<WorkClient>().step().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`RegisterError`]. The actor is dropped then.
    pub fn supervised(self, make: impl Fn() -> A + Send + 'static) -> Result<ActorHandle, RegisterError> {
        let (place, settings, actor) = self.into_parts();
        let node = place.node;
        let serial = node.next_serial();
        let above = place.parent.map_or(0, |parent| parent.serial);
        let place = crate::actor::Place { supervisor: serial, ..place };
        let runs = child::enroll(settings, place, Restart::Transient, Some(actor), Box::new(make))?;
        let handle = ActorHandle::new(child::Runs::cell(&runs).clone());
        let (team, supervisor) =
            team::Team::of_one(&Supervisor::new(Strategy::OneForOne), node, (serial, above), Box::new(runs));
        drop(supervisor.begin(team));
        Ok(handle)
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneForOne => "one for one",
            Self::OneForAll => "one for all",
            Self::RestForOne => "rest for one",
        })
    }
}

/// What the children of a supervisor are called in front of.
fn path(above: &str, name: &str) -> Arc<str> {
    if above.is_empty() { name.into() } else { format!("{above}/{name}").into() }
}
