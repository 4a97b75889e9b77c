//! What the transport asks of a [`Trust`].

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::{
    ClientConfig,
    RootCertStore,
    ServerConfig,
    // The trait that verifiers of all kinds implement; the one used here is webpki's, and it is only called.
    client::{Resumption, WebPkiServerVerifier, danger::ServerCertVerifier as _},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::TLS13,
};

use super::{Crypto, Identity, Peer, Trust, TrustError};
use crate::node::clock;

/// The protocol that both sides have to name in the handshake.
pub(crate) const ALPN: &[u8] = b"actor/1";

impl Trust {
    /// For the side that listens. Who dials has to show a certificate.
    pub(crate) fn server_config(&self) -> Arc<ServerConfig> {
        self.0.tls.server.clone()
    }

    /// For the side that dials, with the name of [`server_name_for`](Self::server_name_for).
    ///
    /// With TLS 1.3 its handshake is over before the server has looked at its certificate: a refusal arrives later,
    /// as an alert that ends the connection.
    pub(crate) fn client_config(&self) -> Arc<ClientConfig> {
        self.0.tls.client.clone()
    }

    /// The name that the certificate of the server at this host has to carry. IPv6 addresses may be in brackets.
    pub(crate) fn server_name_for(&self, host: &str) -> Result<ServerName<'static>, TrustError> {
        match &self.0.server_name {
            Some(name) => Ok(name.clone()),
            None => server_name(host),
        }
    }

    /// Who showed these certificates, as the handshake verified them: the peer's own first.
    pub(crate) fn peer(&self, chain: &[CertificateDer<'_>]) -> Result<Peer, TrustError> {
        Peer::read(chain.first().ok_or(TrustError::NoCertificate)?)
    }

    /// Whether a server at this host that shows these certificates would be believed now. Then calls to this host may
    /// go over a connection that the peer dialled, if the peer showed them in its handshake.
    ///
    /// With a common server name that is so for every node of the cluster and every host.
    pub(crate) fn is_valid_for(&self, chain: &[CertificateDer<'_>], host: &str) -> bool {
        self.is_valid_at(clock::calendar(), chain, host).is_ok()
    }

    /// Whether this is the development domain.
    pub(crate) fn is_development(&self) -> bool {
        self.0.development
    }

    /// Refuses to listen at, or to dial, an address that the domain does not serve: for the development domain all
    /// but loopback.
    pub(crate) fn check_address(&self, address: IpAddr) -> Result<(), TrustError> {
        if self.0.development && !address.to_canonical().is_loopback() {
            return Err(TrustError::NotLoopback { address });
        }
        Ok(())
    }
}

impl Trust {
    /// Whether a server at this host that shows these certificates would be believed at this time.
    pub(super) fn is_valid_at(
        &self,
        at: SystemTime,
        chain: &[CertificateDer<'_>],
        host: &str,
    ) -> Result<(), TrustError> {
        let (own, issuers) = chain.split_first().ok_or(TrustError::NoCertificate)?;
        let name = self.0.server_name.clone().map_or_else(|| server_name(host), Ok)?;
        let since_1970 = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let at = UnixTime::since_unix_epoch(since_1970);
        let verified = self.0.tls.verifier.verify_server_cert(own, issuers, &name, &[], at);
        verified.map(drop).map_err(TrustError::certificate)
    }
}

/// The name of a host as certificates have it.
pub(super) fn server_name(host: &str) -> Result<ServerName<'static>, TrustError> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(address.into());
    }
    ServerName::try_from(host)
        .map(|name| name.to_owned())
        .map_err(|_| TrustError::Host { host: host.to_owned() })
}

/// TLS of both directions.
pub(super) struct Configs {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    verifier: Arc<WebPkiServerVerifier>,
}

impl Configs {
    pub(super) fn new(
        identity: &Identity,
        roots: Arc<RootCertStore>,
        crypto: Crypto,
    ) -> Result<Self, TrustError> {
        let provider = provider(crypto);
        let chain = || identity.chain().to_vec();
        let key = || identity.key().clone_key();

        let of_clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .map_err(TrustError::crypto)?;
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(TrustError::crypto)?
            .with_client_cert_verifier(of_clients)
            .with_single_cert(chain(), key())
            .map_err(TrustError::key)?;
        server.alpn_protocols = vec![ALPN.to_vec()];
        // A resumed session is not verified again: its certificate may have expired in between.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        // What arrives before the handshake is over can be replayed.
        server.max_early_data_size = 0;

        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
            .build()
            .map_err(TrustError::crypto)?;
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(TrustError::crypto)?
            .with_webpki_verifier(verifier.clone())
            .with_client_auth_cert(chain(), key())
            .map_err(TrustError::key)?;
        client.alpn_protocols = vec![ALPN.to_vec()];
        client.resumption = Resumption::disabled();
        client.enable_early_data = false;

        Ok(Self { server: Arc::new(server), client: Arc::new(client), verifier })
    }
}

fn provider(crypto: Crypto) -> Arc<CryptoProvider> {
    Arc::new(match crypto {
        Crypto::Ring => ring::default_provider(),
        #[cfg(feature = "aws-lc-rs")]
        Crypto::AwsLcRs => rustls::crypto::aws_lc_rs::default_provider(),
    })
}
