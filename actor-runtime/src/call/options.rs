//! How a call is to be made.

use std::time::Duration;

use super::{Metadata, MetadataError, MetadataValue, Retry};

/// How calls are made: set for all calls of a client by its `with_options`, or for one [`Call`](crate::Call).
///
/// What is not set is taken from the next wider place: the call, the client, the method's attributes, the node's
/// [`Config`](crate::Config).
///
/// ```
/// use std::time::Duration;
/// use actor_runtime::CallOptions;
///
/// let patient = CallOptions::new().timeout(Duration::from_secs(300));
/// ```
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    pub(crate) timeout: Option<Timeout>,
    pub(crate) retry: Option<Box<Retry>>,
    pub(crate) metadata: Option<Box<Metadata>>,
    pub(crate) refused: Option<Box<MetadataError>>,
}

/// How long a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timeout {
    After(Duration),
    Never,
}

impl CallOptions {
    /// Nothing set.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long a call may take from its first poll to its end, resolving and waiting included. A call that is made
    /// inside a turn never gets more time than the turn has left.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(Timeout::After(timeout));
        self
    }

    /// No deadline at all: a call then waits until its callee ends or its caller drops it.
    #[must_use]
    pub fn no_timeout(mut self) -> Self {
        self.timeout = Some(Timeout::Never);
        self
    }

    /// How often a call is tried. See [`Retry`] for when it is at all.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = Some(Box::new(retry));
        self
    }

    /// Adds an entry to the [`Metadata`] of the calls. One that passes the bounds makes the calls fail with
    /// [`TooLarge`](crate::FailureKind::TooLarge).
    #[must_use]
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        if let Err(error) = self.metadata.get_or_insert_default().insert(name, value) {
            self.refused = Some(Box::new(error));
        }
        self
    }

    /// Adds a typed entry to the [`Metadata`] of the calls, as [`metadata`](Self::metadata) does.
    #[must_use]
    pub fn with<T: MetadataValue>(self, value: T) -> Self {
        self.metadata(T::NAME, value.encode())
    }

    /// Whether there is more in them than a timeout, which is rare.
    pub(crate) fn is_beyond_timeout(&self) -> bool {
        self.metadata.is_some() || self.refused.is_some() || self.retry.is_some()
    }

    /// These options where they are set, else those.
    #[must_use]
    pub(crate) fn or(mut self, wider: &Self) -> Self {
        self.timeout = self.timeout.or(wider.timeout);
        self.retry = self.retry.or_else(|| wider.retry.clone());
        if wider.metadata.is_none() && wider.refused.is_none() {
            return self;
        }
        if let Some(outer) = &wider.metadata {
            let inner = self.metadata.replace(outer.clone());
            for (name, value) in inner.iter().flat_map(|inner| inner.iter()) {
                self = self.metadata(name, value);
            }
        }
        self.refused = self.refused.or_else(|| wider.refused.clone());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrower_option_wins_and_metadata_is_joined() {
        let client =
            CallOptions::new().timeout(Duration::from_secs(1)).metadata("tenant", "a").metadata("zone", "x");
        let call = CallOptions::new().metadata("tenant", "b").or(&client);
        assert_eq!(call.timeout, Some(Timeout::After(Duration::from_secs(1))));
        let metadata = call.metadata.unwrap();
        assert_eq!(metadata.iter().collect::<Vec<_>>(), [("tenant", "b"), ("zone", "x")]);
        assert_eq!(CallOptions::new().no_timeout().or(&client).timeout, Some(Timeout::Never));
    }
}
