//! This project: an actor that echoes, and a typed client, in three shapes.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use actor_runtime::{
    ActorServer, FixedResolver, LocalCalls, NetworkMode, Node, ServiceClient, Trust, actor_service,
};
use bytes::Bytes;

use super::{Connection, Peer};
use crate::net::{
    places::{Handles, Places},
    trust::{Identity, NAME},
    wire::Small,
};

#[actor_service]
pub(crate) trait Echo {
    async fn small(&self, value: &Small) -> Small;
    async fn body(&self, body: Bytes) -> Bytes;
}

struct Mirror;

#[actor_service]
impl Echo for Mirror {
    async fn small(&self, value: &Small) -> Small {
        value.clone()
    }

    async fn body(&self, body: Bytes) -> Bytes {
        body
    }
}

/// A network thread and an actor on two workers.
pub(crate) const A: u8 = b'a';
/// The same, and the actor on the network thread.
pub(crate) const C: u8 = b'c';
/// One thread for everything.
pub(crate) const E: u8 = b'e';

#[derive(Clone)]
pub(crate) struct Ours<const SHAPE: u8> {
    node: Node,
    /// How many connections were made.
    made: Arc<AtomicU32>,
}

fn mode(shape: u8) -> NetworkMode {
    if shape == E { NetworkMode::Shared } else { NetworkMode::OwnThread }
}

fn node(identity: &Identity, network: NetworkMode) -> io::Result<Node> {
    let own = actor_runtime::Identity::from_pkcs8([identity.certificate.clone()], identity.key.clone());
    let trust = Trust::builder()
        .identity(own.map_err(io::Error::other)?)
        .authority_pem(pem(&identity.authority))
        .server_name(NAME)
        .build()
        .map_err(io::Error::other)?;
    let node = Node::builder().trust(trust).network(network).local_calls(LocalCalls::Encoded);
    node.build().map_err(io::Error::other)
}

fn pem(der: &[u8]) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD};
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", BASE64_STANDARD.encode(der))
}

impl<const SHAPE: u8> Peer for Ours<SHAPE> {
    type Connection = EchoClient;

    fn places() -> io::Result<Places> {
        // The network thread of the shapes (a) and (c) is the node's own; this one is for further connections.
        if SHAPE == E { Places::one_thread() } else { Places::network_thread() }
    }

    async fn serve(_: Handles, identity: Identity) -> io::Result<SocketAddr> {
        let node = node(&identity, mode(SHAPE))?;
        // At each address of this machine, for `connect`.
        let server = ActorServer::builder("0.0.0.0:0").node(&node).advertise("127.0.0.1").bind().await;
        let server = server.map_err(io::Error::other)?;
        let registration = server.registration("echo", Mirror).mailbox(1024);
        let registration = if SHAPE == C { registration.inline() } else { registration };
        registration.register().map_err(io::Error::other)?;
        let address = server.address().to_string().parse().map_err(io::Error::other)?;
        // It lives as long as the process.
        std::mem::forget(server);
        Ok(address)
    }

    async fn client(_: Handles, identity: Identity) -> io::Result<Self> {
        Ok(Self { node: node(&identity, mode(SHAPE))?, made: Arc::default() })
    }

    async fn connect(&self, mut server: SocketAddr) -> io::Result<EchoClient> {
        // A node has one connection to an address, and every one in 127.0.0.0/8 is this machine's.
        let n = self.made.fetch_add(1, Ordering::Relaxed);
        server.set_ip(Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + n).into());
        let client = EchoClient::on(&self.node, &FixedResolver::new([("echo", server)]), "echo");
        client.pinned().await.map_err(io::Error::other)?;
        Ok(client)
    }
}

impl Connection for EchoClient {
    async fn small(&self, value: &Small) -> io::Result<Small> {
        Self::small(self, value).await.map_err(io::Error::other)
    }

    async fn body(&self, body: Bytes) -> io::Result<Bytes> {
        Self::body(self, body).await.map_err(io::Error::other)
    }
}
