use std::fmt;

/// Which timer of an actor: a word, a number, or both.
///
/// It is a constant that can stand in a pattern, and is made from a word or a number where one is wanted:
///
/// ```
/// use actor_runtime::{TimerId, Timeout, Timers, TimerError};
/// use std::time::Duration;
///
/// const FLUSH: TimerId = TimerId::named("flush");
///
/// fn set(timers: &Timers, session: u64) -> Result<(), TimerError> {
///     timers.once(FLUSH, Duration::from_secs(5))?;
///     timers.once("flush", Duration::from_secs(1))?; // the same timer, set anew
///     timers.once(7, Duration::from_secs(5))?;
///     timers.once(TimerId::of("idle", session), Duration::from_secs(60)) // one a session
/// }
///
/// fn fired(timeout: Timeout) -> String {
///     match timeout.id() {
///         FLUSH => "the lines are written".to_owned(),
///         id if id.name() == "idle" => format!("session {} is closed", id.number()),
///         id => format!("timer {id}"),
///     }
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimerId {
    name: &'static str,
    number: u64,
}

impl TimerId {
    /// The timer of this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self { name: "", number }
    }

    /// The timer of this name.
    #[must_use]
    pub const fn named(name: &'static str) -> Self {
        Self { name, number: 0 }
    }

    /// One of several timers of this name.
    #[must_use]
    pub const fn of(name: &'static str, number: u64) -> Self {
        Self { name, number }
    }

    /// Its name; empty if it has none.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// Its number; 0 if it has none.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.number
    }
}

impl From<u64> for TimerId {
    fn from(number: u64) -> Self {
        Self::new(number)
    }
}

impl From<&'static str> for TimerId {
    fn from(name: &'static str) -> Self {
        Self::named(name)
    }
}

/// `flush`, `7` or `idle/7`.
impl fmt::Display for TimerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name, self.number) {
            ("", number) => write!(f, "{number}"),
            (name, 0) => f.write_str(name),
            (name, number) => write!(f, "{name}/{number}"),
        }
    }
}

impl fmt::Debug for TimerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimerId({self})")
    }
}
