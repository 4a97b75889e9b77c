//! Connections over QUIC.
//!
//! ```text
//!   network thread: endpoint ── connection ─┬─ control: one stream a direction
//!                                           ├─ lane:    one stream a direction, all calls and replies
//!                                           └─ bodies:  a stream each
//! ```
//!
//! Everything of quinn is made on the network thread, which receives, keeps the time, and reads. Callers and actors put frames
//! into a link's outbox; they, or the network thread, have the connection's [pump] send what comes together. The
//! reader hands over what arrived together at once.

mod alarm;
mod config;
mod drive;
mod endpoint;
mod failures;
mod ids;
mod pump;
mod read;
mod runtime;
#[cfg(unix)]
mod socket;
mod write;

use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use quinn::VarInt;
use tokio::runtime::Handle;

use endpoint::Endpoints;
pub(crate) use endpoint::{ListenError, Listener};

use super::{links::Unclaimed, unreachable};
use crate::{
    call::Failure,
    names::Address,
    node::{Node, Task, linger::Linger, task, thread::NetworkThread},
    trust::{Trust, TrustError},
};

/// What a stream is reset or stopped with that nobody needs any more.
const NOT_NEEDED: VarInt = VarInt::from_u32(1);

/// The same for one of a kind that this release does not know.
const UNKNOWN: VarInt = VarInt::from_u32(2);

/// Where the network of a node runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NetworkMode {
    /// On a thread of its own: handlers that block their threads cost no connection. The right choice unless measured
    /// otherwise.
    #[default]
    OwnThread,
    /// On the tokio runtime of the node, beside the handlers: fewer changes of threads a call, above all on a
    /// runtime of one thread. A handler that blocks its thread then holds up all connections of the node, and one that
    /// does so for longer than `Config::idle_timeout` loses them.
    Shared,
}

/// The network of one node; nothing is started before it is needed.
pub(crate) struct Network {
    mode: NetworkMode,
    trust: Option<Trust>,
    #[cfg(feature = "testing")]
    simulated: Option<(crate::testing::SimNet, crate::testing::SimHost)>,
    running: Mutex<Option<Arc<Running>>>,
}

/// The network, once it is needed.
struct Running {
    place: Place,
    endpoints: Endpoints,
    /// Last: the tasks of the others run on it.
    _thread: Option<NetworkThread>,
}

/// Where the network runs, and what it proves itself with.
#[derive(Clone)]
struct Place {
    trust: Trust,
    handle: Handle,
    /// Of the network's own thread: is told of what comes.
    linger: Option<Arc<Linger>>,
}

impl Network {
    pub(crate) fn new(mode: NetworkMode, trust: Option<Trust>) -> Self {
        Self {
            mode,
            trust,
            #[cfg(feature = "testing")]
            simulated: None,
            running: Mutex::default(),
        }
    }

    /// Runs over a simulated network instead of sockets.
    #[cfg(feature = "testing")]
    pub(crate) fn simulated(mut self, host: (crate::testing::SimNet, crate::testing::SimHost)) -> Self {
        self.mode = NetworkMode::Shared;
        self.simulated = Some(host);
        self
    }

    /// A connection to this address; its handshake may still be under way. Dropped on the way, it is given up.
    pub(super) async fn dial(&self, node: &Node, address: &Address) -> Result<Unclaimed, Failure> {
        let running = self.running(node).map_err(|error| unreachable(error.to_string()))?;
        let (dialler, address) = (node.clone(), address.clone());
        let network = running.clone();
        let dialled = running.run(async move {
            network.endpoints.dial(&network.place, &dialler, &address).await.map(Unclaimed::new)
        });
        let _given_up = dialled.abort_on_drop();
        dialled.await.unwrap_or_else(|_| Err(unreachable("the network thread has ended")))
    }

    /// Listens at this address.
    pub(crate) async fn listen(&self, node: &Node, at: SocketAddr) -> Result<Listener, ListenError> {
        let running = self.running(node)?;
        let (server, network) = (node.clone(), running.clone());
        let listening = running.run(async move { network.endpoints.listen(&network.place, &server, at) });
        listening
            .await
            .unwrap_or_else(|_| Err(ListenError::Io(io::Error::other("the network thread has ended"))))
    }

    /// Where actors run that are to be on the network thread; the node's own runtime if there is no such thread.
    pub(crate) fn handle(&self, node: &Node) -> Handle {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.as_ref().map_or_else(|| node.runtime().clone(), |running| running.place.handle.clone())
    }

    fn running(&self, node: &Node) -> Result<Arc<Running>, ListenError> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = &*running {
            return Ok(running.clone());
        }
        let trust = match &self.trust {
            Some(trust) => trust.clone(),
            None => Trust::development()?,
        };
        if trust.is_development() {
            tracing::info!(
                "the node uses the development trust domain, which serves addresses of this machine only"
            );
        }
        let thread = match self.mode {
            NetworkMode::OwnThread => {
                node.links().relay_replies(node);
                let config = node.config();
                Some(NetworkThread::start(config.linger, config.follow_workers)?)
            }
            NetworkMode::Shared => None,
        };
        let linger = thread.as_ref().map(|thread| thread.linger().clone());
        let handle = thread.as_ref().map_or_else(|| node.runtime().clone(), |thread| thread.handle().clone());
        #[cfg(feature = "testing")]
        let endpoints = Endpoints::new(self.simulated.clone());
        #[cfg(not(feature = "testing"))]
        let endpoints = Endpoints::new();
        let started =
            Arc::new(Running { place: Place { trust, handle, linger }, endpoints, _thread: thread });
        *running = Some(started.clone());
        Ok(started)
    }
}

impl Running {
    fn run<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        task::spawn(&self.place.handle, future)
    }
}

impl From<TrustError> for ListenError {
    fn from(error: TrustError) -> Self {
        Self::Trust(error)
    }
}

impl From<io::Error> for ListenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
