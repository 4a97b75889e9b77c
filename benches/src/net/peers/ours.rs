//! This project: an actor that echoes, and a typed client, in three shapes.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
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
trait Echo {
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
    on: Handles,
    identity: Identity,
    /// Whether the next connection is the first: it is the one whose calls are measured.
    first: Arc<AtomicBool>,
}

/// The client of one connection, and the node that it belongs to.
#[derive(Clone)]
pub(crate) struct Client {
    client: EchoClient,
    _node: Node,
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
    type Connection = Client;

    fn places() -> io::Result<Places> {
        // The network thread of the shapes (a) and (c) is the node's own; this one is for further connections.
        if SHAPE == E { Places::one_thread() } else { Places::network_thread() }
    }

    async fn serve(_: Handles, identity: Identity) -> io::Result<SocketAddr> {
        let node = node(&identity, mode(SHAPE))?;
        let server = ActorServer::bind_on(&node, "127.0.0.1:0").await.map_err(io::Error::other)?;
        let registration = server.registration("echo", Mirror).mailbox(1024);
        let registration = if SHAPE == C { registration.inline() } else { registration };
        registration.register().map_err(io::Error::other)?;
        let address = server.address().to_string().parse().map_err(io::Error::other)?;
        // It lives as long as the process.
        std::mem::forget(server);
        Ok(address)
    }

    async fn client(on: Handles, identity: Identity) -> io::Result<Self> {
        Ok(Self { on, identity, first: Arc::new(AtomicBool::new(true)) })
    }

    async fn connect(&self, server: SocketAddr) -> io::Result<Client> {
        let node = if self.first.swap(false, Ordering::Relaxed) {
            node(&self.identity, mode(SHAPE))?
        } else {
            // A node has one connection to a server: further ones are those of further nodes, and their network is
            // that of the others.
            let identity = self.identity.clone();
            self.on.on_network(async move { node(&identity, NetworkMode::Shared) }).await?
        };
        let client = EchoClient::on(&node, &FixedResolver::new([("echo", server)]), "echo");
        client.pinned().await.map_err(io::Error::other)?;
        Ok(Client { client, _node: node })
    }
}

impl Connection for Client {
    async fn small(&self, value: &Small) -> io::Result<Small> {
        self.client.small(value).await.map_err(io::Error::other)
    }

    async fn body(&self, body: Bytes) -> io::Result<Bytes> {
        self.client.body(body).await.map_err(io::Error::other)
    }
}
