//! Actors: state that calls take turns on.
//!
//! ```text
//!   Target::admit ──► cycle? join? ──► Mailbox ──► turn loop ──► Services::{shared, exclusive} ──► handler
//!                     (S5)             (S1, S3)    (S1, S4)
//!
//!   on_start ──► turn loop ──► children end ──► on_stop ──► dropped ──► ended, or the next run    (`life`, `hooks`)
//! ```
//!
//! `roster` has the actors of a node, and which of them started which; `handle` is what a program holds of one.

mod cell;
mod counts;
mod failed;
mod handle;
mod health;
mod hooks;
mod layered;
mod life;
mod mailbox;
mod roster;
mod settings;
mod shared;
mod stuck;
mod turn;
mod turns;

use std::{error::Error, future::Future};

pub(crate) use cell::{ActorCell, Care, Limits, Registered};
pub use counts::Counts;
pub use failed::FailedCall;
pub use handle::{ActorHandle, Ended};
pub use health::Health;
pub(crate) use hooks::discard;
pub(crate) use life::{run, run_parallel};
pub use mailbox::Overflow;
pub(crate) use mailbox::{Answer, Look, Mailbox};
pub(crate) use roster::Roster;
pub(crate) use settings::{Launcher, Place, Settings};
pub(crate) use stuck::{LookAtTurns, Vigil};
pub use stuck::{Stuck, StuckTurn};

use crate::{call::StopReason, service::Services, timer::Timeout, watch::Down};

/// What a loop of turns sees of its mailbox, for models of what else reaches it.
#[cfg(all(test, actor_loom))]
pub(crate) mod model {
    pub(crate) use super::mailbox::{Admit, Mailbox, Overflow, Step};
}

/// A type whose values live behind a mailbox: state, and the services that reach it.
///
/// `#[actor_service]` on the impl of a service writes this for an actor of one service. An actor of several services
/// marks their impls `#[actor_service(part)]` and says which they are:
///
/// ```
/// use actor_runtime::prelude::*;
///
/// #[actor_service]
/// trait Add {
///     async fn add(&mut self, n: u64) -> u64;
/// }
///
/// #[actor_service]
/// trait Reset {
///     async fn reset(&mut self);
/// }
///
/// #[derive(Default)]
/// struct Counter(u64);
///
/// impl Actor for Counter {
///     type Services = (AddService, ResetService);
/// }
///
/// #[actor_service(part)]
/// impl Add for Counter {
///     async fn add(&mut self, n: u64) -> u64 {
///         self.0 += n;
///         self.0
///     }
/// }
///
/// #[actor_service(part)]
/// impl Reset for Counter {
///     async fn reset(&mut self) {
///         self.0 = 0;
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an actor",
    label = "not an actor",
    note = "write `#[actor_service]` above the `impl SomeService for {Self}`",
    note = "for several services, write `#[actor_service(part)]` above each impl, and \
            `impl Actor for {Self} {{ type Services = (FooService, BarService); }}`"
)]
pub trait Actor: Sized + Send + 'static {
    /// The services that reach this actor: a tuple of what `#[actor_service]` calls `FooService`.
    type Services: Services<Self>;

    /// Runs before the first turn, in the actor's own task; calls queue meanwhile. Written as an `async fn`.
    ///
    /// [`current_ctx`](crate::current_ctx) works in it; there is no call. The actor takes no turns before it ends, so a
    /// call to itself would wait for ever: it is cut off with the rest after
    /// [`Config::start_timeout`](crate::Config::start_timeout).
    ///
    /// # Errors
    /// What is returned says why the actor cannot run: it ends as
    /// [`StopReason::StartFailed`], and so it does if this panics or takes too long. Its
    /// `on_stop` is not run then, since it has not started; it is dropped. A supervisor may try again, with another one.
    ///
    /// ```
    /// use std::error::Error;
    /// use actor_runtime::{Node, StopReason, prelude::*};
    ///
    /// #[actor_service]
    /// trait Log {
    ///     async fn append(&mut self, line: String);
    /// }
    ///
    /// #[derive(Default)]
    /// struct Memory(Vec<String>);
    ///
    /// impl Actor for Memory {
    ///     type Services = (LogService,);
    ///
    ///     async fn on_start(&mut self) -> Result<(), Box<dyn Error + Send + Sync>> {
    ///         self.0.push(format!("{} begins", current_ctx()?.actor_name()));
    ///         Ok(())
    ///     }
    ///
    ///     async fn on_stop(&mut self, reason: &StopReason) {
    ///         println!("{} lines, and then {reason}", self.0.len());
    ///     }
    /// }
    ///
    /// #[actor_service(part)]
    /// impl Log for Memory {
    ///     async fn append(&mut self, line: String) {
    ///         self.0.push(line);
    ///     }
    /// }
    ///
    /// # #[actor_runtime::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let node = Node::builder().build()?;
    /// let memory = node.actor("memory", Memory::default()).start()?;
    /// memory.client::<LogClient>().append("one".into()).await?;
    /// assert_eq!(memory.stop(Duration::from_secs(1)).await, StopReason::Stopped);
    /// # Ok(()) }
    /// ```
    fn on_start(&mut self) -> impl Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + Send {
        async { Ok(()) }
    }

    /// Runs after the last turn, whether the actor was stopped, failed, or is to be restarted; not after a kill, and not
    /// if it has not started. Written as an `async fn`.
    ///
    /// [`current_ctx`](crate::current_ctx) works in it; there is no call. The actors that it had started have ended
    /// before. What it still holds of [`ReplyTo`](crate::ReplyTo)s it can answer. It is dropped at its next await after
    /// [`Config::stop_timeout`](crate::Config::stop_timeout), or when the actor is killed.
    ///
    /// After a panic nobody knows what the state is worth. If it panics itself, or takes too long, an actor that was to
    /// stop ends as [`StopReason::StopFailed`]; one that had failed keeps that reason.
    fn on_stop(&mut self, reason: &StopReason) -> impl Future<Output = ()> + Send {
        let _ = reason;
        async {}
    }

    /// How the actor is. Asked when somebody asks the server by [`InspectClient::health`], never for a call.
    ///
    /// It runs between turns or while `&self` turns are suspended, on the actor's own task, and in front of all calls
    /// that are queued; so it has to be quick and must not block. An actor that is in a `&mut self` turn is not asked.
    /// A text longer than [`Health::MAX_BYTES`] is cut. If it panics, the answer is [`Health::Failing`] with the
    /// panic's text, and the actor goes on.
    ///
    /// ```
    /// # use actor_runtime::prelude::*;
    /// # #[actor_service] trait Store { async fn put(&mut self, line: String); }
    /// struct Disk { lines: Vec<String> }
    ///
    /// impl Actor for Disk {
    ///     type Services = (StoreService,);
    ///
    ///     fn health(&self) -> Health {
    ///         match self.lines.len() {
    ///             0..1000 => Health::Ok,
    ///             lines => Health::Degraded(format!("{lines} lines are not written yet")),
    ///         }
    ///     }
    /// }
    ///
    /// #[actor_service(part)]
    /// impl Store for Disk {
    ///     async fn put(&mut self, line: String) {
    ///         self.lines.push(line);
    ///     }
    /// }
    /// ```
    ///
    /// [`InspectClient::health`]: crate::inspect::InspectClient::health
    fn health(&self) -> Health {
        Health::Ok
    }

    /// An actor has ended that this one watches, with [`ActorContext::watch`]: exactly once for each watch.
    ///
    /// It is a turn as [`on_timeout`](Self::on_timeout) is: alone, in its place behind the calls that were queued before, with
    /// [`current_ctx`], and not seen by layers. A supervised actor that is started again watches nobody until it says so.
    ///
    /// Unless it is written, the end is logged as a warning.
    ///
    /// [`ActorContext::watch`]: crate::ActorContext::watch
    /// [`current_ctx`]: crate::current_ctx
    fn on_down(&mut self, down: Down) -> impl Future<Output = ()> + Send {
        tracing::warn!(
            actor = std::any::type_name::<Self>(),
            %down,
            "an actor that is watched has ended, and the one that watches has no `on_down`"
        );
        std::future::ready(())
    }

    /// A timer has fired that was set with [`ActorContext::timers`].
    ///
    /// It is a turn like that of a `&mut self` method: it runs alone, and takes its place behind the calls that were queued
    /// when the timer fired. [`current_ctx`] works in it; there is no caller and no deadline. What was accepted is run: the
    /// turn is not dropped at an await before its actor ends. A panic ends the actor, as a handler's does. Layers do not
    /// see it.
    ///
    /// Written as `async fn on_timeout(&mut self, timeout: Timeout)`; an example stands at [`Timers`]. Unless it is written,
    /// a timer that fires is logged as a warning.
    ///
    /// [`ActorContext::timers`]: crate::ActorContext::timers
    /// [`current_ctx`]: crate::current_ctx
    /// [`Timers`]: crate::Timers
    fn on_timeout(&mut self, timeout: Timeout) -> impl Future<Output = ()> + Send {
        tracing::warn!(
            actor = std::any::type_name::<Self>(),
            id = %timeout.id(),
            "a timer has fired, and the actor has no `on_timeout`"
        );
        std::future::ready(())
    }
}
