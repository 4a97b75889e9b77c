//! What an actor says of itself.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::{Actor, mailbox::Question};
use crate::{message, panics::text_of, texts::start_of};

/// How an actor says that it is: what [`Actor::health`] returns.
#[message(crate = crate)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It does its work.
    #[default]
    Ok,
    /// It does its work, but not as well as it should, and why.
    Degraded(String),
    /// It does not do its work, and why.
    Failing(String),
}

impl Health {
    /// The longest text in bytes; what is longer is cut.
    pub const MAX_BYTES: usize = 512;

    /// Whether it is [`Health::Ok`].
    pub fn is_ok(&self) -> bool {
        *self == Self::Ok
    }

    fn bounded(mut self) -> Self {
        if let Self::Degraded(text) | Self::Failing(text) = &mut self {
            text.truncate(start_of(text, Self::MAX_BYTES).len());
        }
        self
    }
}

/// `ok`, `degraded: …` or `failing: …`.
impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::Degraded(why) => write!(f, "degraded: {why}"),
            Self::Failing(why) => write!(f, "failing: {why}"),
        }
    }
}

/// Asks the actor's hook, if somebody still waits for what it says.
#[cold]
#[inline(never)]
pub(super) fn answer<A: Actor>(actor: &A, question: Question) {
    if question.is_closed() {
        return;
    }
    // The hook has `&self` and no await: a panic leaves behind what a shared turn's would, and no call has failed by
    // it. So the actor goes on, and its keepers are told.
    let said = catch_unwind(AssertUnwindSafe(|| actor.health())).unwrap_or_else(|panic| {
        let message = text_of(&*panic);
        tracing::error!(actor = std::any::type_name::<A>(), %message, "a health hook panicked");
        Health::Failing(format!("its health hook panicked: {message}"))
    });
    question.send_replace(Some(said.bounded()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let Health::Failing(text) = Health::Failing("ä".repeat(300) + "x").bounded() else {
            panic!("failing")
        };
        assert_eq!(text, "ä".repeat(256));
        let Health::Degraded(text) = Health::Degraded("x".to_owned() + &"ä".repeat(300)).bounded() else {
            panic!("degraded")
        };
        assert_eq!(text.len(), 511);
    }
}
