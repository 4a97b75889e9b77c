//! What the caller of a method that can fail by itself gets.

use std::{
    error::Error,
    fmt::{self, Write},
};

use super::Failure;

/// How a call of a method that returns `Result<T, E>` can go wrong.
///
/// A handler that calls other actors and hands their failures on keeps them as what they are, with a variant of its own:
///
/// ```
/// use actor_runtime::{CallError, NoContext, prelude::*};
///
/// #[message]
/// #[derive(Debug)]
/// enum OrderError {
///     SoldOut,
///     /// Something else than the stock said no.
///     Unavailable(String),
/// }
///
/// impl From<Failure> for OrderError {
///     fn from(failure: Failure) -> Self {
///         Self::Unavailable(failure.to_string())
///     }
/// }
///
/// impl From<CallError<OrderError>> for OrderError {
///     fn from(error: CallError<OrderError>) -> Self {
///         match error {
///             CallError::Application(error) => error,
///             CallError::Failed(failure) => failure.into(),
///         }
///     }
/// }
///
/// impl From<NoContext> for OrderError {
///     fn from(error: NoContext) -> Self {
///         Self::Unavailable(error.to_string())
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError<E> {
    /// The method ran and returned this error.
    Application(E),
    /// There is no answer of the method.
    Failed(Failure),
}

impl<E> CallError<E> {
    /// The longest text of an application error in [`Display`](fmt::Display), in bytes. Errors that are made of the texts
    /// of other errors would otherwise grow with every actor on their way.
    const MAX_TEXT: usize = 512;

    /// The failure, if the method did not answer.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Application(_) => None,
            Self::Failed(failure) => Some(failure),
        }
    }
}

impl<E> From<Failure> for CallError<E> {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl<E: fmt::Debug> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Application(error) => {
                let mut text = Bounded { text: String::new(), room: Self::MAX_TEXT };
                // The only error is the one of the bound.
                let cut = write!(text, "{error:?}").is_err();
                write!(f, "the method returned an error: {}{}", text.text, if cut { "…" } else { "" })
            }
            Self::Failed(failure) => failure.fmt(f),
        }
    }
}

/// A text up to a bound.
struct Bounded {
    text: String,
    room: usize,
}

impl Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let mut fits = more.len().min(self.room);
        while !more.is_char_boundary(fits) {
            fits -= 1;
        }
        self.text.push_str(&more[..fits]);
        self.room -= fits;
        if fits < more.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

impl<E: fmt::Debug> Error for CallError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.failure().map(|failure| failure as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_an_application_error_is_bounded() {
        let text = CallError::Application("ä\\".repeat(10_000)).to_string();
        assert!(text.len() < 600 && text.ends_with('…'), "{} bytes", text.len());
        assert_eq!(CallError::Application(7).to_string(), "the method returned an error: 7");
    }
}
