//! Why a run ended early.

use std::fmt::{self, Debug, Display, Formatter};

use serde::de;

use super::position::PositionId;

/// A run's end before it had a value. Boxed, since it is the rare arm of every result in every traced type.
#[derive(Debug)]
pub(super) struct Refusal(Box<Content>);

#[derive(Debug)]
struct Content {
    /// The innermost place that the refusal passed on its way out.
    at: Option<PositionId>,
    message: String,
}

impl Refusal {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self(Box::new(Content { at: None, message: message.into() }))
    }

    pub(super) fn panicked() -> Self {
        Self::new("it panicked on a sample value")
    }

    /// Notes the place, if no place further in has been noted.
    #[inline(never)]
    pub(super) fn passing(mut self, position: PositionId) -> Self {
        self.0.at.get_or_insert(position);
        self
    }

    pub(super) fn at(&self) -> Option<PositionId> {
        self.0.at
    }

    pub(super) fn into_message(self) -> String {
        self.0.message
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Refusal {}

impl de::Error for Refusal {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(message.to_string())
    }
}
