use std::{
    fmt,
    future::{Future, pending},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use actor_runtime::{Announcement, BoxFuture, Registrar, Wanted};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

use super::{
    EtcdError, EtcdOptions,
    gateway::{Gateway, GatewayError, causes},
    keys::Keys,
    lease::{Entries, Lease, LeaseError},
    value,
};
use crate::clock;

/// Pauses between attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long it is tried to withdraw everything at the end; after that the lease ends by itself.
const FAREWELL: Duration = Duration::from_secs(5);

/// Announces the actors of a node in etcd, for [`EtcdResolver`](crate::EtcdResolver).
///
/// A node has one lease, under which all of its keys are put: if the process dies, etcd deletes them when the lease ends, and
/// tells all who watch. The lease is renewed at a third of its time; if it was lost, by an outage that was longer than it, all
/// is put again under a new one, and every fourth time it is seen whether all keys are there. Where etcd cannot be asked it is
/// tried again, with pauses that grow to five seconds, and the node is told why
/// ([`ActorServer::announced`](actor_runtime::ActorServer::announced)). When the server shuts down its keys are withdrawn with
/// the lease.
///
/// An actor whose server is reached within its own process only (`loopback:1`), or whose metadata have over 64 KiB, is not
/// announced, which the node is told, too.
///
/// ```no_run
/// # use actor_runtime::prelude::*;
/// use actor_resolvers::EtcdRegistrar;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = ActorServer::bind("10.0.0.7:7000").await?;
/// server.node().set_registrar(EtcdRegistrar::new("http://127.0.0.1:2379")?);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct EtcdRegistrar {
    gateway: Arc<Gateway>,
    keys: Keys,
    ttl: Duration,
}

impl EtcdRegistrar {
    /// Announces in this etcd. Nothing is asked of it before there is an actor.
    ///
    /// # Errors
    /// [`EtcdError`] if the options cannot be.
    pub fn new(options: impl Into<EtcdOptions>) -> Result<Self, EtcdError> {
        let options = options.into();
        let gateway = Arc::new(Gateway::new(&options)?);
        Ok(Self { gateway, keys: options.keys()?, ttl: Duration::from_secs(15) })
    }

    /// For how long the actors of a process that has died are found, in whole seconds, at least two and at most 9,000,000,000,
    /// which is the most that etcd grants; 15 seconds unless this is called. A short time costs etcd more: each node asks it
    /// three times within this.
    #[must_use]
    pub fn ttl(mut self, time: Duration) -> Self {
        self.ttl = time.max(Duration::from_secs(2));
        self
    }
}

impl Registrar for EtcdRegistrar {
    fn announce(&self, announcement: Announcement) -> BoxFuture<'static, ()> {
        let registrar = self.clone();
        Box::pin(async move { registrar.run(announcement).await })
    }
}

/// `etcd at http://127.0.0.1:2379 under "/actors/"`.
impl fmt::Debug for EtcdRegistrar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} under {:?}", self.gateway, self.keys.prefix())
    }
}

impl EtcdRegistrar {
    async fn run(self, mut announcement: Announcement) {
        let wanted = announcement.changed().await;
        let mut wants = Wants { announcement, wanted, next: None };
        let mut lease = None;
        let mut pauses = new_pauses();
        while !wants.wanted.is_last() {
            let (entries, unfit) = self.entries(&wants.announcement, &wants.wanted);
            match wants.during(self.bring(&mut lease, &entries)).await {
                None => {}
                Some(Ok(())) => {
                    pauses = new_pauses();
                    match unfit {
                        None => wants.announcement.announced(&wants.wanted),
                        Some(reason) => wants.announcement.failed(reason),
                    }
                    wants.change_until(lease.as_ref().map(Lease::due)).await;
                }
                Some(Err(error)) => {
                    let reason = causes(&error);
                    tracing::debug!(registrar = ?self, %reason, "actors are not announced; it is tried again");
                    // A lease that lasts still keeps what is announced.
                    if !lease.as_ref().is_some_and(|lease| !lease.is_over() && lease.has(&entries)) {
                        wants.announcement.failed(reason);
                    }
                    wants.during(clock::sleep(next_pause(&mut pauses, lease.as_ref()))).await;
                }
            }
            wants.go_on();
        }
        let withdrawn = match &lease {
            Some(lease) => self.farewell(lease).await,
            None => true,
        };
        if withdrawn {
            wants.announcement.announced(&wants.wanted);
        }
    }

    /// What is to be in etcd, and why something of what is wanted cannot be.
    fn entries(&self, announcement: &Announcement, wanted: &Wanted) -> (Entries, Option<String>) {
        let (mut entries, mut unfit) = (Entries::new(), None);
        for endpoint in wanted.endpoints() {
            let id = endpoint.actor.map_or_else(|| endpoint.address.to_string(), |actor| actor.to_string());
            match value::write(endpoint) {
                Ok(value) => {
                    let key = self.keys.key(announcement.namespace(), &endpoint.name, &id);
                    entries.insert(key, value);
                }
                Err(reason) => unfit = unfit.or(Some(reason)),
            }
        }
        (entries, unfit)
    }

    /// Has this in etcd, under a lease that lasts; without entries there is no lease.
    async fn bring<'a>(
        &'a self,
        lease: &mut Option<Lease<'a>>,
        entries: &Entries,
    ) -> Result<(), GatewayError> {
        if entries.is_empty() {
            if let Some(there) = lease {
                there.revoke(FAREWELL).await?;
                *lease = None;
            }
            return Ok(());
        }
        // The second time if the lease was lost.
        for _ in 0..2 {
            let there = match lease {
                Some(there) => there,
                None => lease.insert(Lease::grant(&self.gateway, self.ttl).await?),
            };
            let brought = async {
                if there.due() <= clock::now() {
                    there.renew().await?;
                }
                there.bring(entries).await
            };
            match brought.await {
                Ok(()) => return Ok(()),
                Err(LeaseError::Failed(error)) => return Err(error),
                Err(LeaseError::Lost) => {
                    tracing::info!(registrar = ?self, "the lease was lost; all is announced again under a new one");
                    *lease = None;
                }
            }
        }
        Err(GatewayError::NoLease)
    }

    /// Withdraws everything; gives whether that was done in a short time.
    async fn farewell(&self, lease: &Lease<'_>) -> bool {
        let mut pauses = new_pauses();
        let withdrawn = async {
            // Twice, if all members are silent.
            while let Err(error) = lease.revoke(FAREWELL / 2).await {
                let reason = causes(&error);
                tracing::debug!(registrar = ?self, %reason, "actors are not withdrawn; it is tried again");
                clock::sleep(next_pause(&mut pauses, Some(lease))).await;
            }
        };
        let done = clock::within(FAREWELL, withdrawn).await.is_some();
        if !done {
            tracing::warn!(registrar = ?self, "actors could not be withdrawn; they are when the lease ends");
        }
        done
    }
}

/// Pauses that grow and vary.
fn new_pauses() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(FIRST_PAUSE)
        // What varies comes on top, and is as long again at most.
        .with_max_delay(LONGEST_PAUSE / 2)
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .build()
}

/// The next pause, which leaves a lease time to be renewed.
fn next_pause(pauses: &mut ExponentialBackoff, lease: Option<&Lease<'_>>) -> Duration {
    let pause = pauses.next().unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE);
    lease.map_or(pause, |lease| pause.min(lease.longest_pause().max(FIRST_PAUSE)))
}

/// What is wanted, and what will be next.
struct Wants {
    announcement: Announcement,
    wanted: Wanted,
    next: Option<Wanted>,
}

impl Wants {
    /// Goes on with this until it ends, whatever changes meanwhile; `None` if nothing is wanted any more before that.
    async fn during<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        while self.next.as_ref().is_none_or(|next| !next.is_last()) {
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                next = self.announcement.changed() => self.next = Some(next),
            }
        }
        None
    }

    /// Waits for a change, or until then.
    async fn change_until(&mut self, at: Option<Instant>) {
        let until = async {
            match at {
                Some(at) => clock::sleep(at.saturating_duration_since(clock::now())).await,
                None => pending().await,
            }
        };
        if self.next.is_none() {
            tokio::select! {
                biased;
                next = self.announcement.changed() => self.next = Some(next),
                () = until => {}
            }
        }
    }

    fn go_on(&mut self) {
        if let Some(next) = self.next.take() {
            self.wanted = next;
        }
    }
}
