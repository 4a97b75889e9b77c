use std::{fmt, sync::Arc, time::Duration};

use super::{Period, TimerId, TimerSet};

/// The timers of an actor: made by [`ActorContext::timers`](crate::ActorContext::timers), and cheap to clone.
///
/// A timer that fires takes a place in the actor's mailbox, behind the calls that are queued there, and its turn is
/// [`Actor::on_timeout`](crate::Actor::on_timeout). Timers belong to the actor and not to this handle or to whoever set
/// them: dropping the handle changes nothing, and they are gone when the actor ends. None of the methods waits.
///
/// They never fire early, and at most 2 ms late by themselves: a tick of the node's timers is a millisecond long. Times
/// longer than 139 years are that.
///
/// ```
/// use actor_runtime::{Period, Timeout, TimerError, TimerId, prelude::*};
///
/// const FLUSH: TimerId = TimerId::named("flush");
///
/// #[actor_service]
/// trait Log {
///     /// Adds a line, which is written within 5 ms.
///     async fn add(&mut self, line: String);
///     async fn written(&self) -> u64;
/// }
///
/// #[derive(Default)]
/// struct Buffered {
///     lines: Vec<String>,
///     written: u64,
/// }
///
/// impl Actor for Buffered {
///     type Services = (LogService,);
///
///     async fn on_timeout(&mut self, timeout: Timeout) {
///         if timeout.id() == FLUSH {
///             self.written += self.lines.drain(..).len() as u64;
///         }
///     }
/// }
///
/// #[actor_service(part)]
/// impl Log for Buffered {
///     async fn add(&mut self, line: String) {
///         if self.lines.is_empty() {
///             let timers = current_ctx().expect("this is a turn").timers();
///             timers.once(FLUSH, Duration::from_millis(5)).expect("one timer");
///         }
///         self.lines.push(line);
///     }
///
///     async fn written(&self) -> u64 {
///         self.written
///     }
/// }
///
/// #[actor_runtime::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let server = ActorServer::bind("loopback:0").await?;
///     server.register("log", Buffered::default())?;
///     let log = LogClient::new(&server.resolver(), "log");
///     log.add("one".to_owned()).await?;
///     while log.written().await? == 0 {}
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Timers(Arc<TimerSet>);

impl Timers {
    pub(crate) fn new(set: Arc<TimerSet>) -> Self {
        Self(set)
    }

    /// Has the timer fire once, `after` from now. A timer of this id that is set already is replaced, as by
    /// [`cancel`](Self::cancel).
    ///
    /// # Errors
    /// [`TimerError::TooMany`] or [`TimerError::Stopped`]; nothing has changed then.
    pub fn once(&self, id: impl Into<TimerId>, after: Duration) -> Result<(), TimerError> {
        self.0.set(id.into(), after, None)
    }

    /// Has the timer fire again and again, until it is cancelled: every so often, given as a [`Duration`], or as a
    /// [`Period`] that also says when it fires first and what becomes of missed ticks. A timer of this id that is set
    /// already is replaced, as by [`cancel`](Self::cancel).
    ///
    /// # Errors
    /// [`TimerError::TooShort`], [`TimerError::TooMany`] or [`TimerError::Stopped`]; nothing has changed then.
    pub fn periodic(&self, id: impl Into<TimerId>, period: impl Into<Period>) -> Result<(), TimerError> {
        let period = period.into();
        self.0.set(id.into(), period.first, Some(period))
    }

    /// Takes the timer back. Once this has returned no turn of it begins, also if it had fired and its turn was queued. A
    /// turn that has begun, which is that it was handed out of the mailbox, goes on.
    ///
    /// True if the timer was set. Then a [`once`](Self::once) timer will not have a turn at all. False if it was not set:
    /// it was never, or was taken back, or it was for once and its turn has begun.
    pub fn cancel(&self, id: impl Into<TimerId>) -> bool {
        self.0.cancel(id.into())
    }

    /// Takes all timers of the actor back, as [`cancel`](Self::cancel) does; gives how many there were.
    pub fn cancel_all(&self) -> usize {
        self.0.clear()
    }

    /// Whether the timer will have a turn that has not begun. A periodic timer is set until it is taken back.
    #[must_use]
    pub fn is_set(&self, id: impl Into<TimerId>) -> bool {
        self.0.is_set(id.into())
    }

    /// How many timers of the actor are set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers").field("set", &self.len()).finish_non_exhaustive()
    }
}

/// A timer of the actor has fired: what [`Actor::on_timeout`](crate::Actor::on_timeout) is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout {
    pub(super) id: TimerId,
    pub(super) ticks: u64,
    pub(super) late: Duration,
}

impl Timeout {
    /// Which timer.
    #[must_use]
    pub const fn id(&self) -> TimerId {
        self.id
    }

    /// For how many ticks of a periodic timer this stands, at least 1: more if the actor had no time for earlier ones, and
    /// [`MissedTicks`](crate::MissedTicks) does not say that each gets a turn.
    #[must_use]
    pub const fn ticks(&self) -> u64 {
        self.ticks
    }

    /// How long after its time the turn began; of several ticks, after the time of the first.
    #[must_use]
    pub const fn late(&self) -> Duration {
        self.late
    }
}

/// Why a timer was not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimerError {
    /// The actor has as many timers as it may.
    #[error("the actor has {limit} timers set, which is the most (`Config::max_timers`)")]
    TooMany {
        /// How many these are.
        limit: usize,
    },
    /// A periodic timer would have to fire again at once.
    #[error("a period of {period:?} is too short: the shortest is {:?}", Period::MIN)]
    TooShort {
        /// What was asked for.
        period: Duration,
    },
    /// The actor has ended or takes no more turns.
    #[error("the actor has stopped, and has no turns in which a timer could fire")]
    Stopped,
}
