//! Actors on virtual machines of Google Compute Engine, found by their metadata.
//!
//! ```text
//!   instances.list of each zone ──► Instances ──► actor_calc = 7000 ──► 10.0.0.1:7000
//!     ▲         every 30 s              │
//!     └── token of the metadata server  └── answers all names: one list, however many are asked for
//! ```

mod api;
mod builder;
mod instances;
mod rest;
mod token;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use actor_runtime::{BoxFuture, Namespace, ResolveResult};

pub use api::{GceApi, GceError, GceInstance};
pub use builder::GceBuilder;
use instances::{Instances, Keys};
pub use token::GceToken;

use crate::{
    clock,
    holdoff::Holdoff,
    view::{BoxError, Publisher, Source, Views, resolves_by_views},
};

/// How long one list of all zones may take.
const LIST: Duration = Duration::from_secs(60);

/// For how long an API is left alone that was asked too often and does not say for how long; doubled each time.
const FIRST_HOLDOFF: Duration = Duration::from_secs(20);

/// The longest key of metadata.
const LONGEST_KEY: usize = 128;

/// The name that the seeds of this project have for [`GceResolver`].
pub type GcsResolver = GceResolver;

/// Finds actors on virtual machines of Google Compute Engine, by the machines' metadata.
///
/// A machine with `actor_calc=7000` in its metadata serves the actor `calc` at port 7000 of its internal address. With
/// `actor_namespace=job-7`, its actors are in that namespace, else in `<local>`. Only machines that are `RUNNING` count. What
/// has no internal address, or a port that is none, is told in `rejected`. The metadata of an endpoint has `instance` and `zone`.
///
/// ```text
/// gcloud compute instances create worker-1 --metadata=actor_calc=7000,actor_namespace=job-7
/// ```
///
/// All instances of a zone are listed every 30 seconds ([`GceBuilder::poll_every`]), and one list answers all names: a change
/// is told within that time. A quota that is used up is respected; the last answer serves on meanwhile, and says its age
/// ([`ViewOptions`](crate::ViewOptions)). The token is that of the machine's service account, which needs the role
/// `roles/compute.viewer` and the scope `compute.readonly`; [`GceBuilder::token_by`] gives another one. Clones share what they
/// know.
///
/// ```no_run
/// use actor_resolvers::GceResolver;
/// use actor_runtime::{Namespace, Resolver};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let resolver = GceResolver::new("my-project", "europe-west1-b");
/// let found = resolver.resolve(&Namespace::local(), "calc").await?;
/// println!("{:?}", found.endpoints);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct GceResolver {
    views: Views<Machines>,
}

resolves_by_views!(GceResolver);

impl GceResolver {
    /// Looks in one zone, as the service account of the machine that it runs on.
    pub fn new(project: impl Into<String>, zone: impl Into<String>) -> Self {
        Self::builder(project, zone).build()
    }

    /// Looks in one zone by way of another API: for tests.
    pub fn with_api(project: impl Into<String>, zone: impl Into<String>, api: impl GceApi) -> Self {
        Self::builder(project, zone).api(api).build()
    }

    /// Looks in one zone, unless told otherwise.
    pub fn builder(project: impl Into<String>, zone: impl Into<String>) -> GceBuilder {
        GceBuilder::new(project.into(), zone.into())
    }
}

/// `Compute Engine, project "my-project", zone "europe-west1-b"`.
impl fmt::Debug for GceResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.views.fmt(f)
    }
}

/// The instances of some zones, as a backend.
struct Machines {
    project: String,
    zones: Vec<String>,
    keys: Keys,
    poll: Duration,
    /// Or why there is none.
    api: Result<Arc<dyn GceApi>, String>,
    holdoff: Holdoff,
    /// How often in a row it was too much.
    refused: AtomicU32,
}

impl Machines {
    async fn list(&self) -> Result<Instances, GceError> {
        let api = self.api.as_ref().map_err(|error| GceError::new(error.clone()))?;
        let mut zones = Vec::new();
        for zone in &self.zones {
            let mut instances = api.list_instances(&self.project, zone).await?;
            for instance in &mut instances {
                instance.metadata.retain(|key, _| self.keys.matters(key));
            }
            zones.push((zone.clone(), instances));
        }
        Ok(Instances { zones })
    }

    async fn poll(&self, publisher: &Publisher<Instances>) -> GceError {
        loop {
            // Who asks has the failure that it began with: there is one question.
            if let Err(reason) = self.holdoff.passed(true).await {
                return GceError::new(reason);
            }
            let listed = clock::within(LIST, self.list()).await;
            match listed.unwrap_or_else(|| Err(GceError::new(format!("there was no list within {LIST:?}")))) {
                Ok(same) if publisher.last().is_some_and(|last| *last == same) => publisher.confirm(),
                Ok(instances) => publisher.set(instances),
                Err(error) => return error,
            }
            self.refused.store(0, Relaxed);
            clock::sleep(self.poll).await;
        }
    }
}

impl Source for Machines {
    type Key = ();
    type State = Instances;

    fn key(&self, _: &Namespace, name: &str) -> Result<(), BoxError> {
        let plain = |text: &str, others: &[u8]| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
        };
        for (what, text) in
            std::iter::once(("project", &self.project)).chain(self.zones.iter().map(|zone| ("zone", zone)))
        {
            if !plain(text, b"-_.:") || text.contains("..") {
                return Err(format!("{text:?} cannot be the name of a {what}").into());
            }
        }
        let key = format!("{}{name}", self.keys.prefix);
        if name.is_empty() || !plain(&key, b"-_") || key.len() > LONGEST_KEY {
            return Err(format!(
                "the actor {name:?} would have the key {key:?}, which metadata of instances cannot have: write a-z, A-Z, \
                 0-9, '-' and '_', at most {LONGEST_KEY} with the prefix"
            )
            .into());
        }
        if key == self.keys.namespace {
            return Err(format!("{key:?} is the key of the namespace, and not of an actor").into());
        }
        Ok(())
    }

    fn follow<'a>(&'a self, (): &'a (), publisher: &'a Publisher<Instances>) -> BoxFuture<'a, BoxError> {
        Box::pin(async move {
            let error = self.poll(publisher).await;
            if let Some(asked) = error.quota() {
                let doubled = FIRST_HOLDOFF.saturating_mul(1 << self.refused.fetch_add(1, Relaxed).min(8));
                self.holdoff.begin(asked.unwrap_or(doubled), &error.to_string());
            }
            error.into_reason()
        })
    }

    fn good_for(&self) -> Option<Duration> {
        Some((self.poll + LIST).saturating_mul(2))
    }

    fn answer(&self, instances: &Instances, namespace: &Namespace, name: &str) -> ResolveResult {
        instances.answer(&self.keys, namespace, name)
    }
}

impl fmt::Debug for Machines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.zones.len() == 1 { "zone" } else { "zones" };
        let zones: Vec<_> = self.zones.iter().map(|zone| format!("{zone:?}")).collect();
        write!(f, "Compute Engine, project {:?}, {word} {}", self.project, zones.join(", "))
    }
}
