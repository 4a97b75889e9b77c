use std::{fmt, future::Future, sync::Arc, time::Duration};

use super::{
    GceApi, GceError, GceResolver, GceToken, Machines,
    instances::Keys,
    rest::{PAGE, Rest},
    token::{Source as TokenSource, Tokens, of_metadata_server},
};
use crate::{
    ViewOptions,
    holdoff::Holdoff,
    http::{Http, HttpTrust},
    view::Views,
};

/// The least that [`GceBuilder::poll_every`] can be.
const LEAST_POLL: Duration = Duration::from_secs(1);

/// And the most.
const MOST_POLL: Duration = Duration::from_secs(24 * 60 * 60);

/// How a [`GceResolver`] asks, and which metadata it reads.
pub struct GceBuilder {
    project: String,
    zones: Vec<String>,
    keys: Keys,
    poll: Duration,
    endpoint: String,
    metadata_server: String,
    tokens: Option<TokenSource>,
    api: Option<Arc<dyn GceApi>>,
    options: ViewOptions,
}

impl GceBuilder {
    pub(super) fn new(project: String, zone: String) -> Self {
        Self {
            project,
            zones: vec![zone],
            keys: Keys { prefix: "actor_".to_owned(), namespace: "actor_namespace".to_owned() },
            poll: Duration::from_secs(30),
            endpoint: "https://compute.googleapis.com".to_owned(),
            metadata_server: "http://metadata.google.internal".to_owned(),
            tokens: None,
            api: None,
            options: ViewOptions::default(),
        }
    }

    /// Looks in this zone, too. Each is listed for itself, one after the other; if one cannot be listed, the last answer of all
    /// serves on.
    #[must_use]
    pub fn and_zone(mut self, zone: impl Into<String>) -> Self {
        self.zones.push(zone.into());
        self
    }

    /// What stands before the name of an actor in the key of its port; `actor_` unless this is called. Fluster's is
    /// `fluster_actor_`.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.keys.prefix = prefix.into();
        self
    }

    /// The key of an instance's namespace; `actor_namespace` unless this is called. Fluster's is `fluster_namespace`. An
    /// instance without it belongs to `<local>`.
    #[must_use]
    pub fn namespace_key(mut self, key: impl Into<String>) -> Self {
        self.keys.namespace = key.into();
        self
    }

    /// How often the instances are listed; 30 seconds unless this is called; at least one, at most a day. A change is told after this
    /// time at the latest, if the list comes at once.
    #[must_use]
    pub fn poll_every(mut self, time: Duration) -> Self {
        self.poll = time.clamp(LEAST_POLL, MOST_POLL);
        self
    }

    /// The URL of Compute Engine; `https://compute.googleapis.com` unless this is called.
    #[must_use]
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = url.into().trim_end_matches('/').to_owned();
        self
    }

    /// The URL of the metadata server; `http://metadata.google.internal` unless this is called.
    #[must_use]
    pub fn metadata_server(mut self, url: impl Into<String>) -> Self {
        self.metadata_server = url.into().trim_end_matches('/').to_owned();
        self
    }

    /// Takes tokens from here, and not from the metadata server: for programs outside of Google Cloud. It is asked when there
    /// is no token, when the last one is about to expire, and when it was refused; one that takes over ten seconds is given up.
    ///
    /// ```
    /// use std::time::Duration;
    /// use actor_resolvers::{GceResolver, gce::{GceError, GceToken}};
    ///
    /// let resolver = GceResolver::builder("my-project", "europe-west1-b")
    ///     .token_by(|| async {
    ///         let token = std::env::var("GCE_TOKEN").map_err(GceError::new)?;
    ///         Ok(GceToken::new(token, Duration::from_secs(3000)))
    ///     })
    ///     .build();
    /// # drop(resolver);
    /// ```
    #[must_use]
    pub fn token_by<F, A>(mut self, function: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<GceToken, GceError>> + Send + 'static,
    {
        self.tokens = Some(Box::new(move || Box::pin(function())));
        self
    }

    /// Lists instances by this, and not by Compute Engine.
    #[must_use]
    pub fn api(mut self, api: impl GceApi) -> Self {
        self.api = Some(Arc::new(api));
        self
    }

    /// How it keeps up with the instances.
    #[must_use]
    pub fn options(mut self, options: ViewOptions) -> Self {
        self.options = options;
        self
    }

    /// The resolver. Nothing is asked yet; what cannot be asked for is told by each question.
    pub fn build(self) -> GceResolver {
        let api = self.api.map_or_else(
            || {
                let http = Http::new(HttpTrust::default())?;
                let tokens =
                    self.tokens.unwrap_or_else(|| of_metadata_server(http.clone(), self.metadata_server));
                let rest =
                    Rest { http, endpoint: self.endpoint, tokens: Tokens::new(tokens), page: PAGE.into() };
                Ok(Arc::new(rest) as Arc<dyn GceApi>)
            },
            Ok,
        );
        let machines = Machines {
            project: self.project,
            zones: self.zones,
            keys: self.keys,
            poll: self.poll,
            api: api.map_err(|error: crate::view::BoxError| error.to_string()),
            holdoff: Holdoff::default(),
            refused: 0.into(),
        };
        GceResolver { views: Views::new(machines, self.options) }
    }
}

impl fmt::Debug for GceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a resolver for project {:?}", self.project)
    }
}
