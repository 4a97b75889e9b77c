//! DNS: SRV records, or the addresses of a name.
//!
//! ```text
//!   namespace, name ──names──► DNS name ──servers──► records, TTL ──found──► endpoints
//!                                            ▲                                  │
//!                                            └────── asked anew after the TTL ◄─┘
//! ```

mod answer;
mod found;
mod names;
mod servers;

use std::{
    convert::Infallible,
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actor_runtime::{BoxFuture, Namespace, ResolveResult, ResolvedEndpoint};
use found::{Found, Wanted};
use hickory_resolver::proto::rr::Name;
use names::Names;
use servers::Servers;

use crate::{
    ViewOptions, clock,
    view::{BoxError, Publisher, Source, Views, resolves_by_views},
};

/// The shortest time between two questions, however short the TTL.
const SHORTEST: Duration = Duration::from_secs(1);

/// Finds actors by the SRV records of their names, or by the addresses of their hosts.
///
/// The actor `calc` of the namespace `<local>` has the records of `_calc._udp.DOMAIN`, that of the namespace `training`
/// those of `_calc._udp.training.DOMAIN`; [`template`](Self::template) changes this. Names are asked for as they are: the
/// search list of the system is not used. A name or a namespace that is no DNS label (1 to 63 letters, digits, `-` and `_`)
/// is refused. DNS does not tell upper from lower case, so the actors `calc` and `Calc` have the same records; two namespaces
/// never do: one with an upper-case letter is refused.
///
/// **Order.** SRV targets come by their priority, lowest first, and those of a priority by their weight, highest first.
/// Each endpoint says both in its metadata, `priority` and `weight`. The order is the same for everybody: a client takes the
/// first endpoint that can be called, and a pool takes all of them as its members and balances by itself.
///
/// **Certificates.** The certificate of a server is checked for the host that is dialled. A target is dialled by its name,
/// so its certificate is for the target's name; the system looks the name up. With
/// [`target_addresses`](Self::target_addresses) or [`port`](Self::port) addresses are dialled: then certificates are for IP
/// addresses, or all nodes have one [`server_name`](actor_runtime::TrustBuilder::server_name).
///
/// **Freshness.** The servers are asked anew when the shortest TTL of the answer has ended, after a second at the earliest
/// and after [`refresh_within`](Self::refresh_within) at the latest. Nothing else is cached. A name that does not exist is
/// an empty answer; that the server fails, refuses or is silent is a failure: the last good answer serves, with its age, as
/// [`ViewOptions`] say. Clones share what they know; a method that changes the resolver begins anew.
///
/// ```no_run
/// # use actor_runtime::{Namespace, Resolver};
/// use actor_resolvers::DnsResolver;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let dns = DnsResolver::system().domain("cluster.example");
/// let found = dns.resolve(&Namespace::local(), "calc").await?;
/// for endpoint in &found.endpoints {
///     println!("{endpoint}, priority {}", endpoint.metadata["priority"]);
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct DnsResolver {
    dns: Dns,
    options: ViewOptions,
    views: Views<Dns>,
}

resolves_by_views!(DnsResolver);

impl DnsResolver {
    /// Asks the servers of `/etc/resolv.conf`. It is read when there is something to ask, and again after each failure.
    pub fn system() -> Self {
        Self::over(None)
    }

    /// Asks these servers, each of which knows all names: first the one that answered last, and another one when it fails
    /// or is silent.
    pub fn with_servers(servers: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self::over(Some(servers.into_iter().collect()))
    }

    fn over(servers: Option<Arc<[SocketAddr]>>) -> Self {
        let dns = Dns {
            servers,
            names: Names::default(),
            wanted: Wanted::default(),
            patience: Duration::from_secs(2),
            refresh_within: Duration::from_secs(30),
            preferred: Arc::default(),
        };
        Self::new(dns, ViewOptions::default())
    }

    fn new(dns: Dns, options: ViewOptions) -> Self {
        Self { views: Views::new(dns.clone(), options.clone()), dns, options }
    }

    fn changed(mut self, change: impl FnOnce(&mut Dns)) -> Self {
        change(&mut self.dns);
        Self::new(self.dns, self.options)
    }

    /// The end of every name, with or without a dot at its own end. Without it the [`template`](Self::template) has to give
    /// complete names.
    #[must_use]
    pub fn domain(self, domain: impl Into<String>) -> Self {
        self.changed(|dns| dns.names.domain = Some(domain.into()))
    }

    /// How names are made: `"_{name}._udp.{namespace}"` unless this is called, or `"{name}.{namespace}"` with
    /// [`port`](Self::port). The [`domain`](Self::domain), if there is one, follows.
    ///
    /// In the namespace `<local>` a label that is `{namespace}` is left out. Without `{namespace}` the template has no place
    /// for other namespaces, and their names are refused. Both cannot stand in one label, since `a-b` in `c` and `a` in
    /// `b-c` would meet.
    #[must_use]
    pub fn template(self, template: impl Into<String>) -> Self {
        self.changed(|dns| dns.names.template = Some(template.into()))
    }

    /// Asks for addresses (A and AAAA) instead of SRV records: every address with this port is an endpoint. For headless
    /// services of Kubernetes, say.
    ///
    /// `<local>` has no label, so the domain has to say in which Kubernetes namespace the services of `<local>` are: the actor
    /// `calc` is `calc.prod.svc.cluster.local` here. With `domain("svc.cluster.local")` it would be
    /// `calc.svc.cluster.local`, which does not exist, while `calc` of the namespace `training` would be the service `calc`
    /// of the Kubernetes namespace `training`.
    ///
    /// ```
    /// use actor_resolvers::DnsResolver;
    ///
    /// let dns = DnsResolver::system().domain("prod.svc.cluster.local").port(7000);
    /// assert_eq!(format!("{dns:?}"), "DNS of this system under \"prod.svc.cluster.local\"");
    /// ```
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        self.changed(|dns| dns.wanted.port = Some(port))
    }

    /// Gives the addresses of SRV targets in place of their names: those that came with the answer, else they are asked
    /// for. For servers whose names the system cannot look up.
    ///
    /// A target without an address, and any after the first 256 that would have to be asked for, is told in
    /// [`rejected`](ResolveResult::rejected). If the question for its addresses fails, those that it had before serve on with
    /// the others; that is told there, too, and the answer is [`stale`](ResolveResult::stale) for as long.
    #[must_use]
    pub fn target_addresses(self) -> Self {
        self.changed(|dns| dns.wanted.target_addresses = true)
    }

    /// Wants no AAAA records. For servers that do not answer questions for them, which is a failure otherwise.
    #[must_use]
    pub fn only_ipv4(self) -> Self {
        self.changed(|dns| dns.wanted.families = found::IPV4)
    }

    /// Wants no A records.
    #[must_use]
    pub fn only_ipv6(self) -> Self {
        self.changed(|dns| dns.wanted.families = found::IPV6)
    }

    /// When the servers are asked anew at the latest, however long the TTL; 30 seconds unless this is called, and never less
    /// than one.
    #[must_use]
    pub fn refresh_within(self, time: Duration) -> Self {
        self.changed(|dns| dns.refresh_within = time.max(SHORTEST))
    }

    /// How long a server has for an answer, over UDP and then TCP together; two seconds unless this is called.
    #[must_use]
    pub fn patience(self, time: Duration) -> Self {
        self.changed(|dns| dns.patience = time.clamp(Duration::from_millis(1), Duration::from_secs(60)))
    }

    /// As it was, with these times.
    #[must_use]
    pub fn options(self, options: ViewOptions) -> Self {
        Self::new(self.dns, options)
    }
}

/// `DNS at 127.0.0.1:53 under "cluster.example"`.
impl fmt::Debug for DnsResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.dns.fmt(f)
    }
}

#[derive(Clone)]
struct Dns {
    /// `None` are those of the system.
    servers: Option<Arc<[SocketAddr]>>,
    names: Names,
    wanted: Wanted,
    patience: Duration,
    refresh_within: Duration,
    /// The server that answered last.
    preferred: Arc<AtomicUsize>,
}

impl Dns {
    async fn servers(&self) -> Result<Servers, BoxError> {
        let addresses = match &self.servers {
            Some(addresses) => addresses.to_vec(),
            None => servers::of_system().await?,
        };
        Servers::new(addresses, self.patience, self.preferred.load(Ordering::Relaxed))
    }

    async fn follow(&self, name: &Name, publisher: &Publisher<Found>) -> Result<Infallible, BoxError> {
        let servers = self.servers().await?;
        loop {
            let last = publisher.last();
            let (found, ttl) = self.wanted.find(&servers, name, last.as_deref()).await?;
            self.preferred.store(servers.preferred(), Ordering::Relaxed);
            let (is_same, outdated) = (last.is_some_and(|last| *last == found), found.outdated.clone());
            if !is_same {
                publisher.set(found);
            }
            // The rest is as right as it was; that it is not asked for more often is for the pauses after failures.
            if let Some(reason) = outdated {
                return Err(reason.into());
            }
            if is_same {
                publisher.confirm();
            }
            clock::sleep(ttl.clamp(SHORTEST, self.refresh_within)).await;
        }
    }
}

impl Source for Dns {
    type Key = Name;
    type State = Found;

    fn key(&self, namespace: &Namespace, name: &str) -> Result<Name, BoxError> {
        self.names.of(namespace, name, self.wanted.port.is_some())
    }

    fn follow<'a>(&'a self, name: &'a Name, publisher: &'a Publisher<Found>) -> BoxFuture<'a, BoxError> {
        Box::pin(async move {
            let Err(error) = self.follow(name, publisher).await;
            error
        })
    }

    fn good_for(&self) -> Option<Duration> {
        // Each server has its patience, and a target its own.
        Some(self.refresh_within.saturating_add(self.patience * 8).saturating_mul(2))
    }

    fn answer(&self, found: &Found, _: &Namespace, name: &str) -> ResolveResult {
        let endpoints = found.endpoints.iter().map(|(address, metadata)| {
            let mut endpoint = ResolvedEndpoint::new(address.clone(), name);
            endpoint.metadata = metadata.clone();
            endpoint
        });
        let mut result = ResolveResult::new(endpoints);
        result.rejected.clone_from(&found.rejected);
        result
    }
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.servers {
            Some(servers) => {
                let servers: Vec<_> = servers.iter().map(ToString::to_string).collect();
                write!(f, "DNS at {}", servers.join(", "))?;
            }
            None => f.write_str("DNS of this system")?,
        }
        match &self.names.domain {
            Some(domain) => write!(f, " under {domain:?}"),
            None => Ok(()),
        }
    }
}
