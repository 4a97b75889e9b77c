//! Sockets: those that connections are made from, and those that listen.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc, Mutex, Once, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use quinn::{AsyncUdpSocket, Endpoint, Incoming, Runtime, ServerConfig};
use rustls::pki_types::CertificateDer;
use tokio::{runtime::Handle, sync::watch};

use super::{
    Place, config, drive, failures,
    runtime::{NetworkRuntime, begun},
};
use crate::{
    call::{Delivery, Failure, FailureKind},
    names::Address,
    node::{Node, WeakNode, clock, task},
    transport::{Link, unreachable},
    trust::{Peer, Trust, TrustError},
};

/// The sockets of one node.
pub(super) struct Endpoints {
    /// Connections are made from these, one for each family of addresses.
    v4: Mutex<Option<Endpoint>>,
    v6: Mutex<Option<Endpoint>>,
    #[cfg(feature = "testing")]
    simulated: Option<(crate::testing::SimNet, crate::testing::SimHost)>,
}

/// Why a server cannot listen at a socket.
#[derive(Debug)]
pub(crate) enum ListenError {
    Io(io::Error),
    Trust(TrustError),
}

impl std::fmt::Display for ListenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Trust(error) => error.fmt(f),
        }
    }
}

/// A socket that listens, until this is dropped.
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    endpoint: Endpoint,
    /// What the port is taken by.
    socket: Weak<dyn AsyncUdpSocket>,
    handle: Handle,
    /// Dropped, no more connections are taken.
    _stop: watch::Sender<()>,
}

/// What is asked of the kernel for a socket's buffers. With its default of some 200 KiB, bulk overflows them.
const BUFFER: usize = 4 * 1024 * 1024;

/// Handshakes that may be under way at a time; further ones wait in quinn's own bounded queue. Few: what they cost is taken
/// from the connections that there are, and with more of them more take so long that they are given up.
const HANDSHAKES: usize = 64;

/// With so many under way, strangers have to show first that they are where they say: packets with forged addresses are
/// to leave room for others.
const TRUSTING: usize = 32;

/// How long a stranger has to prove who he is.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);

impl Endpoints {
    #[cfg(feature = "testing")]
    pub(super) fn new(simulated: Option<(crate::testing::SimNet, crate::testing::SimHost)>) -> Self {
        Self { v4: Mutex::default(), v6: Mutex::default(), simulated }
    }

    #[cfg(not(feature = "testing"))]
    pub(super) fn new() -> Self {
        Self { v4: Mutex::default(), v6: Mutex::default() }
    }

    /// Makes a connection. Runs on the network thread.
    pub(super) async fn dial(
        &self,
        network: &Place,
        node: &Node,
        address: &Address,
    ) -> Result<Arc<Link>, Failure> {
        let (host, candidates) = match address {
            Address::Socket(socket) => (socket.ip().to_string(), vec![*socket]),
            Address::Host(host, port) => (host.clone(), look_up(host, *port).await?),
            Address::Loopback(_) => return Err(unreachable(format!("{address} is not a socket"))),
        };
        let mut last = unreachable(format!("{host} has no address"));
        for candidate in candidates {
            match self.dial_one(network, node, address, &host, candidate).await {
                Ok(link) => return Ok(link),
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }

    async fn dial_one(
        &self,
        network: &Place,
        node: &Node,
        address: &Address,
        host: &str,
        at: SocketAddr,
    ) -> Result<Arc<Link>, Failure> {
        let denied = |error: TrustError| {
            Failure::new(FailureKind::Unauthenticated, Delivery::NotDelivered, error.to_string())
        };
        let trust = &network.trust;
        trust.check_address(at.ip()).map_err(denied)?;
        let name = trust.server_name_for(host).map_err(denied)?;
        let client = config::client(trust, node.config()).map_err(denied)?;
        let endpoint = self
            .client(network, node, at.ip())
            .map_err(|error| unreachable(format!("no socket to reach {address} from: {error}")))?;
        let far = address.to_string();
        let (connecting, pump) = begun(|| endpoint.connect_with(client, at, &name.to_str()));
        let connecting = connecting.map_err(|error| failures::connect(&far, &error))?;
        let connection =
            connecting.await.map_err(|error| failures::dial(&far, &error, node.config().idle_timeout))?;
        let peer = identify(network, &connection).map_err(denied)?;
        let link = Link::new(node, far, Some(peer));
        drive::start(network, &link, connection, pump, node.config().idle_timeout);
        Ok(link)
    }

    /// The endpoint that connections to such an address are made from.
    fn client(&self, network: &Place, node: &Node, to: IpAddr) -> io::Result<Endpoint> {
        let (slot, any): (_, IpAddr) = match to {
            IpAddr::V4(_) => (&self.v4, Ipv4Addr::UNSPECIFIED.into()),
            IpAddr::V6(_) => (&self.v6, Ipv6Addr::UNSPECIFIED.into()),
        };
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(endpoint) = &*slot {
            return Ok(endpoint.clone());
        }
        let (endpoint, _) = self.open(network, node, SocketAddr::new(any, 0), None)?;
        Ok(slot.insert(endpoint).clone())
    }

    /// Listens. Runs on the network thread.
    pub(super) fn listen(
        &self,
        network: &Place,
        node: &Node,
        at: SocketAddr,
    ) -> Result<Listener, ListenError> {
        network.trust.check_address(at.ip())?;
        let server = config::server(&network.trust, node.config())?;
        let (endpoint, socket) = self.open(network, node, at, Some(server))?;
        let address = endpoint.local_addr()?;
        let (stop, stopped) = watch::channel(());
        let accepting = accept(network.clone(), node.downgrade(), endpoint.clone(), stopped);
        drop(task::spawn(&network.handle, accepting));
        Ok(Listener { address, endpoint, socket, handle: network.handle.clone(), _stop: stop })
    }

    fn open(
        &self,
        network: &Place,
        node: &Node,
        at: SocketAddr,
        server: Option<ServerConfig>,
    ) -> io::Result<(Endpoint, Weak<dyn AsyncUdpSocket>)> {
        #[cfg(not(feature = "testing"))]
        let _ = node;
        let runtime = Arc::new(NetworkRuntime(network.handle.clone()));
        #[cfg(feature = "testing")]
        if let Some((net, host)) = &self.simulated {
            let mut seed = [0; 32];
            seed.as_chunks_mut::<8>().0.iter_mut().for_each(|word| *word = node.random_u64().to_le_bytes());
            let socket = net.bind(host, at.port())?;
            let settings = config::endpoint(&network.trust, Some(seed))?;
            let weak = Arc::downgrade(&socket);
            let endpoint = Endpoint::new_with_abstract_socket(settings, server, socket, runtime)?;
            return Ok((endpoint, weak));
        }
        let settings = config::endpoint(&network.trust, None)?;
        let socket = runtime.wrap_udp_socket(socket(at)?)?;
        let weak = Arc::downgrade(&socket);
        Ok((Endpoint::new_with_abstract_socket(settings, server, socket, runtime)?, weak))
    }
}

impl Listener {
    /// Waits until the connections have ended, and the port is free again.
    pub(crate) async fn closed(self) {
        let handle = self.handle.clone();
        // There, where the socket is dropped: when it is seen to be gone, it has been closed.
        let closing = task::spawn(&handle, async move {
            self.endpoint.close(0_u32.into(), b"the server has ended");
            self.endpoint.wait_idle().await;
            let socket = self.socket.clone();
            drop(self);
            // quinn's own task drops it, some time after the last endpoint is gone, and tells nobody.
            while socket.strong_count() > 0 {
                clock::sleep_until(clock::now() + Duration::from_millis(1)).await;
            }
        });
        // An error means that the network has ended, and the socket with it.
        let _ = closing.await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.endpoint.set_server_config(None);
    }
}

async fn look_up(host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    match tokio::net::lookup_host((host, port)).await {
        Ok(found) => Ok(found.collect()),
        Err(error) => Err(unreachable(format!("the address of {host} cannot be found: {error}"))),
    }
}

/// Takes connections until the socket is closed.
async fn accept(network: Place, node: WeakNode, endpoint: Endpoint, mut stop: watch::Receiver<()>) {
    let under_way = Arc::new(AtomicUsize::new(0));
    let room = Arc::new(tokio::sync::Notify::new());
    loop {
        let incoming = tokio::select! {
            Some(incoming) = endpoint.accept() => incoming,
            // The listener is gone, or the socket is.
            _ = stop.changed() => return,
            else => return,
        };
        if under_way.load(Ordering::Acquire) >= TRUSTING && !incoming.remote_address_validated() {
            // It is legal for whoever has not been asked yet, and only he comes here.
            let _ = incoming.retry();
            continue;
        }
        while under_way.load(Ordering::Acquire) >= HANDSHAKES {
            room.notified().await;
        }
        let Some(node) = node.upgrade() else { return incoming.ignore() };
        if node.links().count_accepted() >= node.config().max_connections {
            tracing::warn!(peer = %incoming.remote_address(), "refused a connection: there are `Config::max_connections`");
            incoming.refuse();
            continue;
        }
        under_way.fetch_add(1, Ordering::AcqRel);
        let (network, under_way, room) = (network.clone(), under_way.clone(), room.clone());
        let handle = network.handle.clone();
        drop(task::spawn(&handle, async move {
            let peer = incoming.remote_address();
            let limit = node.sleep_until(node.now() + HANDSHAKE_WITHIN);
            let welcomed = tokio::select! {
                welcomed = welcome(&network, &node, incoming) => welcomed,
                () = limit => Err(format!("it did not prove who it is within {HANDSHAKE_WITHIN:?}")),
            };
            if let Err(cause) = welcomed {
                tracing::warn!(%peer, %cause, "refused a connection");
            }
            under_way.fetch_sub(1, Ordering::AcqRel);
            room.notify_one();
        }));
    }
}

async fn welcome(network: &Place, node: &Node, incoming: Incoming) -> Result<(), String> {
    let (accepted, pump) = begun(|| incoming.accept());
    let connection = accepted.map_err(|error| error.to_string())?.await.map_err(|error| error.to_string())?;
    let peer = identify(network, &connection).map_err(|error| error.to_string())?;
    let link = Link::new(node, connection.remote_address().to_string(), Some(peer));
    let chain = chain(&connection);
    // First: it may end at once, and then it is to be forgotten again.
    node.links().accepted(link.clone());
    drive::start(network, &link, connection, pump, node.config().idle_timeout);
    drop(task::spawn(&network.handle, lead_back(network.trust.clone(), node.downgrade(), link, chain)));
    Ok(())
}

/// Has calls to where the other side listens go over the connection that it made, if it may listen there.
async fn lead_back(trust: Trust, node: WeakNode, link: Arc<Link>, chain: Vec<CertificateDer<'static>>) {
    // Why it is not opened is told elsewhere.
    if let Ok(()) = link.opened().await
        && let Some(address) = listens_at(&trust, &link, &chain)
        && let Some(node) = node.upgrade()
    {
        node.links().leads_to(address, &link);
    }
    link.settle();
}

/// Where the other side listens, if it has proved that it may.
fn listens_at(trust: &Trust, link: &Link, chain: &[CertificateDer<'static>]) -> Option<Address> {
    let address = link.introduced()?.address.clone()?;
    let host = match &address {
        Address::Socket(socket) => socket.ip().to_string(),
        Address::Host(host, _) => host.clone(),
        Address::Loopback(_) => return None,
    };
    trust.is_valid_for(chain, &host).then_some(address)
}

/// Who the other side has proved to be.
fn identify(network: &Place, connection: &quinn::Connection) -> Result<Peer, TrustError> {
    network.trust.peer(&chain(connection))
}

fn chain(connection: &quinn::Connection) -> Vec<CertificateDer<'static>> {
    let chain =
        connection.peer_identity().and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok());
    chain.map(|chain| *chain).unwrap_or_default()
}

/// A socket with large buffers. What was granted is logged, once.
fn socket(at: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(at),
        socket2::Type::DGRAM,
        Some(socket2::Protocol::UDP),
    )?;
    if at.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Less is granted where the system allows less; that is told below.
    let _ = socket.set_recv_buffer_size(BUFFER);
    let _ = socket.set_send_buffer_size(BUFFER);
    socket.bind(&at.into())?;
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        let (receive, send) =
            (socket.recv_buffer_size().unwrap_or_default(), socket.send_buffer_size().unwrap_or_default());
        if receive.min(send) < BUFFER {
            tracing::warn!(
                receive,
                send,
                wanted = BUFFER,
                "the system grants small UDP buffers, which costs speed in bulk; raise net.core.rmem_max and \
                 net.core.wmem_max"
            );
        } else {
            tracing::debug!(receive, send, "UDP buffers");
        }
    });
    Ok(socket.into())
}
