//! A peer made of quinn alone.

#![allow(clippy::disallowed_methods, reason = "it is a program of its own, and belongs to no node")]
#![allow(clippy::expect_used, clippy::missing_panics_doc, reason = "a test's peer may panic as the test may")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use actor_runtime::{Authority, Identity};
use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, RecvStream, SendStream, ServerConfig,
    TransportConfig, VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rustls::{
    RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
    version::TLS13,
};

use crate::{
    logged,
    wire::{self, Frame, Got, Read},
};

const ALPN: &[u8] = b"actor/1";

/// An endpoint that dials, and shows this identity if any.
#[must_use]
pub fn dialler(believes: &Authority, shows: Option<&Identity>, transport: Arc<TransportConfig>) -> Endpoint {
    let builder = rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .expect("ring has it")
        .with_root_certificates(roots(believes));
    let mut tls = match shows {
        Some(identity) => builder.with_client_auth_cert(chain(identity), key(identity)).expect("they match"),
        None => builder.with_no_client_auth(),
    };
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let mut client = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).expect("TLS 1.3")));
    client.transport_config(transport);
    let mut endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("a socket");
    endpoint.set_default_client_config(client);
    logged::forget(&endpoint.local_addr().expect("a socket").to_string());
    endpoint
}

/// An endpoint that listens.
#[must_use]
pub fn listener(authority: &Authority, identity: &Identity) -> Endpoint {
    let provider = Arc::new(ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots(authority)), provider.clone()).build();
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .expect("ring has it")
        .with_client_cert_verifier(verifier.expect("roots"))
        .with_single_cert(chain(identity), key(identity))
        .expect("they match");
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let mut server = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).expect("TLS 1.3")));
    server.transport_config(Arc::new(transport()));
    Endpoint::server(server, (Ipv4Addr::LOCALHOST, 0).into()).expect("a socket")
}

/// Kept alive, as an honest peer keeps its connections.
#[must_use]
pub fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .keep_alive_interval(Some(Duration::from_millis(500)))
        .max_concurrent_uni_streams(VarInt::from_u32(64))
        .initial_rtt(Duration::from_millis(20));
    transport
}

fn roots(authority: &Authority) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).expect("PEM"))
        .expect("a root");
    roots
}

fn chain(identity: &Identity) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(identity.certificate_pem().as_bytes())
        .map(|pem| pem.expect("PEM"))
        .collect()
}

fn key(identity: &Identity) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_slice(identity.key_pem().as_bytes()).expect("PEM")
}

/// One connection of a raw peer.
pub struct Raw {
    /// Kept: without it the connection ends.
    pub endpoint: Endpoint,
    /// The connection.
    pub connection: Connection,
    /// Our control stream.
    pub control: SendStream,
    /// Our lane.
    pub lane: SendStream,
}

impl Raw {
    /// Dials with an identity of the authority, and says nothing yet.
    pub async fn connect(authority: &Authority, to: SocketAddr) -> (Endpoint, Connection) {
        let identity = authority.issue(["actor://test/raw"]).expect("a name");
        let endpoint = dialler(authority, Some(&identity), transport().into());
        let connection = endpoint.connect(to, "127.0.0.1").expect("settings").await.expect("a server");
        (endpoint, connection)
    }

    /// Dials, opens both streams and sends this first frame.
    pub async fn hello(authority: &Authority, to: SocketAddr, hello: Frame) -> Self {
        let (endpoint, connection) = Self::connect(authority, to).await;
        Self::streams(endpoint, connection, hello).await
    }

    /// Opens both streams and sends this first frame.
    pub async fn streams(endpoint: Endpoint, connection: Connection, hello: Frame) -> Self {
        let mut control = connection.open_uni().await.expect("a stream");
        control
            .write_all(&[wire::varint(wire::stream::CONTROL), hello.encode()].concat())
            .await
            .expect("a peer");
        let mut lane = connection.open_uni().await.expect("a stream");
        lane.write_all(&wire::varint(wire::stream::LANE)).await.expect("a peer");
        Self { endpoint, connection, control, lane }
    }

    /// Dials as an honest peer, and binds this actor as target 1.
    pub async fn bound(authority: &Authority, to: SocketAddr, name: &str) -> Self {
        let mut raw = Self::hello(authority, to, wire::hello(1, 1)).await;
        raw.send(&[wire::bind(1, name)]).await;
        raw
    }

    /// Sends frames on the lane; that the other side has broken off is no error here.
    pub async fn send(&mut self, frames: &[Frame]) {
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
        let _ = self.lane.write_all(&bytes).await;
    }

    /// The other side's lane.
    pub async fn their_lane(&self) -> Incoming {
        loop {
            let incoming = Incoming::accept(&self.connection).await.expect("a lane");
            if incoming.kind == wire::stream::LANE {
                return incoming;
            }
            // It stays open, and its bytes unread.
            std::mem::forget(incoming);
        }
    }

    /// How the other side ended the connection.
    pub async fn ended(&self, within: Duration) -> Option<Ended> {
        ended(&self.connection, within).await
    }
}

/// How a connection was ended by the other side.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The code of the application; none if it was something else.
    pub code: Option<u64>,
    /// What was said, or what happened.
    pub reason: String,
}

/// How the other side ended the connection, within so much time.
pub async fn ended(connection: &Connection, within: Duration) -> Option<Ended> {
    let error = tokio::time::timeout(within, connection.closed()).await.ok()?;
    Some(match error {
        ConnectionError::ApplicationClosed(close) => Ended {
            code: Some(close.error_code.into_inner()),
            reason: String::from_utf8_lossy(&close.reason).into_owned(),
        },
        error => Ended { code: None, reason: error.to_string() },
    })
}

/// A stream of the other side.
pub struct Incoming {
    /// What it is for.
    pub kind: u64,
    stream: RecvStream,
    read: Read,
}

impl Incoming {
    /// The next stream.
    pub async fn accept(connection: &Connection) -> Option<Self> {
        let mut stream = connection.accept_uni().await.ok()?;
        let chunk = stream.read_chunk(64 * 1024, true).await.ok()??.bytes;
        let mut read = Read::default();
        read.push(&chunk[1..]);
        Some(Self { kind: u64::from(chunk[0]), stream, read })
    }

    /// The next frame; none at the end.
    pub async fn frame(&mut self) -> Option<Got> {
        loop {
            if let Some(frame) = self.read.frame() {
                return Some(frame);
            }
            let chunk = self.stream.read_chunk(64 * 1024, true).await.ok()??;
            self.read.push(&chunk.bytes);
        }
    }

    /// The next frame of this kind.
    pub async fn next(&mut self, kind: u8) -> Option<Got> {
        loop {
            let frame = self.frame().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }
}
