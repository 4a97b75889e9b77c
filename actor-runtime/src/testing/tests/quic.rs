//! Endpoints of quinn on a simulated network, with certificates that are verified.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use quinn::{
    ClientConfig, Connection, Endpoint, EndpointConfig, IdleTimeout, ServerConfig, TokioRuntime,
    TransportConfig,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SignatureAlgorithm};
use rustls::{
    RootCertStore,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer},
    version::TLS13,
};

use crate::{
    node::task,
    testing::{SimHost, SimNet},
};

pub(super) const IDLE: Duration = Duration::from_secs(10);
pub(super) const PORT: u16 = 443;

/// Both sides of an authority's trust.
pub(super) struct Trust {
    client: ClientConfig,
    server: ServerConfig,
}

impl Trust {
    /// New keys and certificates, of the same sizes every time.
    pub(super) fn new() -> Self {
        Self::with_keys(&rcgen::PKCS_ED25519)
    }

    pub(super) fn with_keys(algorithm: &'static SignatureAlgorithm) -> Self {
        let (authority, certificate, key) = certificates(algorithm);
        let provider: Arc<CryptoProvider> = ring::default_provider().into();

        let mut roots = RootCertStore::empty();
        roots.add(authority).unwrap();
        let client = rustls::ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut client = ClientConfig::new(Arc::new(QuicClientConfig::try_from(client).unwrap()));
        client.transport_config(transport());

        let server = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let mut server = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(server).unwrap()));
        server.transport_config(transport());
        Self { client, server }
    }

    pub(super) fn client(self) -> ClientConfig {
        self.client
    }
}

fn certificates(
    algorithm: &'static SignatureAlgorithm,
) -> (CertificateDer<'static>, CertificateDer<'static>, PrivateKeyDer<'static>) {
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.serial_number = Some(1.into());
    let authority_key = KeyPair::generate_for(algorithm).unwrap();
    let authority_certificate = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, authority_key);

    let mut server = CertificateParams::new(["server".to_owned()]).unwrap();
    server.serial_number = Some(2.into());
    let key = KeyPair::generate_for(algorithm).unwrap();
    let certificate = server.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    (authority_certificate.der().clone(), certificate.der().clone(), key)
}

fn transport() -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    transport.max_idle_timeout(Some(IdleTimeout::try_from(IDLE).unwrap()));
    transport.into()
}

/// A client and a server that sends back what it is sent.
pub(super) struct Pair {
    pub(super) client: SimHost,
    pub(super) server: SimHost,
    pub(super) endpoint: Endpoint,
}

impl Pair {
    pub(super) fn new(net: &SimNet, trust: &Trust) -> Self {
        let (client, server) = (net.host("client"), net.host("server"));
        let server_endpoint = endpoint(net, &server, PORT, 1, Some(trust.server.clone()));
        let mut endpoint = endpoint(net, &client, 0, 2, None);
        endpoint.set_default_client_config(trust.client.clone());
        spawn(echo(server_endpoint));
        Self { client, server, endpoint }
    }

    pub(super) async fn connect(&self) -> Connection {
        self.endpoint.connect(self.address(), "server").unwrap().await.unwrap()
    }

    pub(super) fn address(&self) -> SocketAddr {
        (self.server.ip(), PORT).into()
    }
}

pub(super) fn endpoint(
    net: &SimNet,
    host: &SimHost,
    port: u16,
    seed: u8,
    server: Option<ServerConfig>,
) -> Endpoint {
    let mut config = EndpointConfig::default();
    config.rng_seed(Some([seed; 32]));
    let socket = net.bind(host, port).unwrap();
    Endpoint::new_with_abstract_socket(config, server, socket, Arc::new(TokioRuntime)).unwrap()
}

pub(super) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    drop(task::spawn(&tokio::runtime::Handle::current(), future));
}

async fn echo(endpoint: Endpoint) {
    while let Some(incoming) = endpoint.accept().await {
        spawn(async move {
            let Ok(connection) = incoming.await else { return };
            while let Ok((mut send, mut receive)) = connection.accept_bi().await {
                spawn(async move {
                    let Ok(body) = receive.read_to_end(1 << 20).await else { return };
                    let _ = send.write_all(&body).await;
                    let _ = send.finish();
                });
            }
        });
    }
}

/// A call of `size` bytes, both ways.
pub(super) async fn call(connection: &Connection, size: usize) -> Result<(), quinn::ConnectionError> {
    let (mut send, mut receive) = connection.open_bi().await?;
    let body = vec![7; size];
    // What fails here fails below as well.
    let _ = send.write_all(&body).await;
    let _ = send.finish();
    match receive.read_to_end(size).await {
        Ok(reply) => {
            assert_eq!(reply, body);
            Ok(())
        }
        Err(quinn::ReadToEndError::Read(quinn::ReadError::ConnectionLost(error))) => Err(error),
        Err(error) => panic!("{error}"),
    }
}
