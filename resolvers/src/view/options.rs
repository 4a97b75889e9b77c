use std::time::Duration;

/// How a resolver keeps up with its backend: how long it waits, how it tries again, and how long an answer serves while the
/// backend cannot be asked.
///
/// ```
/// use std::time::Duration;
/// use actor_resolvers::ViewOptions;
///
/// let options = ViewOptions::default()
///     .answer_within(Duration::from_secs(2))
///     .retry(Duration::from_millis(100), Duration::from_secs(5))
///     .serve_stale_for(Duration::from_secs(300));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewOptions {
    pub(super) answer_within: Duration,
    pub(super) first_pause: Duration,
    pub(super) longest_pause: Duration,
    pub(super) serve_stale_for: Option<Duration>,
    pub(super) forget_after: Duration,
}

impl ViewOptions {
    /// How long [`resolve`](actor_runtime::Resolver::resolve) waits for the first answer of the backend; five seconds unless
    /// this is called.
    #[must_use]
    pub fn answer_within(mut self, time: Duration) -> Self {
        self.answer_within = time;
        self
    }

    /// The pause after a failure, which doubles with each one that follows up to `longest`, and is varied by chance; 200 ms
    /// and ten seconds unless this is called. Pauses begin again at `first` when the backend was followed for a second, and for as
    /// long as the last pause.
    #[must_use]
    pub fn retry(mut self, first: Duration, longest: Duration) -> Self {
        self.first_pause = first.max(Duration::from_millis(1));
        self.longest_pause = longest.max(self.first_pause);
        self
    }

    /// How long the last good answer serves while the backend cannot be asked; after that there is the failure in its place.
    /// Without a limit unless this is called: actors that were there mostly are there, and a call to one that is not fails
    /// by itself.
    #[must_use]
    pub fn serve_stale_for(mut self, time: Duration) -> Self {
        self.serve_stale_for = Some(time);
        self
    }

    /// How long a question is followed after it was last asked; five minutes unless this is called. What is watched, by a
    /// pool for example, is followed for as long as that.
    #[must_use]
    pub fn forget_after(mut self, time: Duration) -> Self {
        self.forget_after = time;
        self
    }
}

impl Default for ViewOptions {
    fn default() -> Self {
        Self {
            answer_within: Duration::from_secs(5),
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(10),
            serve_stale_for: None,
            forget_after: Duration::from_secs(300),
        }
    }
}
