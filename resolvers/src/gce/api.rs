use std::{collections::BTreeMap, fmt, time::Duration};

use actor_runtime::BoxFuture;

use crate::view::BoxError;

/// Lists virtual machines. [`GceResolver::new`](super::GceResolver::new) asks Compute Engine; tests, and other clouds, give
/// their own to [`GceResolver::with_api`](super::GceResolver::with_api).
///
/// ```
/// use actor_resolvers::{GceResolver, gce::{GceApi, GceError, GceInstance}};
/// use actor_runtime::{BoxFuture, Namespace, Resolver};
///
/// struct Two;
///
/// impl GceApi for Two {
///     fn list_instances<'a>(
///         &'a self,
///         _project: &'a str,
///         zone: &'a str,
///     ) -> BoxFuture<'a, Result<Vec<GceInstance>, GceError>> {
///         let vm = |name: &str, ip: &str| GceInstance {
///             name: format!("{name}-{zone}"),
///             status: "RUNNING".to_owned(),
///             internal_ip: Some(ip.to_owned()),
///             metadata: [("actor_calc".to_owned(), "7000".to_owned())].into(),
///         };
///         let all = vec![vm("a", "10.0.0.1"), vm("b", "10.0.0.2")];
///         Box::pin(async move { Ok(all) })
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let resolver = GceResolver::with_api("project", "europe-west1-b", Two);
/// assert_eq!(resolver.resolve(&Namespace::local(), "calc").await?.endpoints.len(), 2);
/// # Ok(()) }
/// ```
pub trait GceApi: Send + Sync + 'static {
    /// All instances of the zone, in any order. Those that do not run may be left out. Called again after each pause of
    /// [`poll_every`](super::GceBuilder::poll_every), never twice at the same time by one resolver; given up after a minute.
    ///
    /// # Errors
    /// [`GceError`] if they cannot be listed. The last answer serves on then.
    ///
    /// # Cancel safety
    /// The future is dropped when nobody asks any more.
    fn list_instances<'a>(
        &'a self,
        project: &'a str,
        zone: &'a str,
    ) -> BoxFuture<'a, Result<Vec<GceInstance>, GceError>>;
}

/// A virtual machine, as far as it matters for finding actors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GceInstance {
    /// Its name.
    pub name: String,
    /// `RUNNING`, or why it does not serve.
    pub status: String,
    /// The address that it has in its network.
    pub internal_ip: Option<String>,
    /// Its own metadata, not that of its project.
    pub metadata: BTreeMap<String, String>,
}

/// Why instances cannot be listed, or there is no token.
pub struct GceError {
    reason: BoxError,
    /// Set if it was asked too often; then for how long it wants to be left alone, if it said so.
    quota: Option<Option<Duration>>,
}

impl GceError {
    /// It failed for this reason.
    pub fn new(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { reason: reason.into(), quota: None }
    }

    /// It was asked too often. It is left alone for this long, at most five minutes; if it does not say, for twenty seconds, and
    /// twice as long each time that this comes again.
    pub fn too_many_requests(
        reason: impl Into<Box<dyn std::error::Error + Send + Sync>>,
        retry_after: Option<Duration>,
    ) -> Self {
        Self { reason: reason.into(), quota: Some(retry_after) }
    }

    pub(super) fn quota(&self) -> Option<Option<Duration>> {
        self.quota
    }

    pub(super) fn into_reason(self) -> BoxError {
        self.reason
    }
}

impl fmt::Debug for GceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.reason, f)
    }
}

impl fmt::Display for GceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.reason, f)
    }
}

impl std::error::Error for GceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.reason.source()
    }
}
