//! Who the two processes are: a certificate each, of an authority that lives as long as one measurement.

use std::{
    io::{self, BufRead, Write},
    sync::Arc,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::Resumption,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
    version::TLS13,
};

/// What both certificates are made out to.
pub(crate) const NAME: &str = "bench";

/// What a process trusts and shows, in DER.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) authority: Vec<u8>,
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

impl Identity {
    /// One for the client and one for the server.
    pub(crate) fn pair() -> io::Result<[Self; 2]> {
        let mut params = CertificateParams::new(Vec::new()).map_err(io::Error::other)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let authority = CertifiedIssuer::self_signed(params, key).map_err(io::Error::other)?;
        let one = || {
            let key = KeyPair::generate()?;
            let certificate = CertificateParams::new(vec![NAME.to_owned()])?.signed_by(&key, &authority)?;
            Ok(Self {
                authority: authority.der().to_vec(),
                certificate: certificate.der().to_vec(),
                key: key.serialize_der(),
            })
        };
        (|| Ok([one()?, one()?]))().map_err(|error: rcgen::Error| io::Error::other(error))
    }

    /// Three lines of hexadecimal digits, for a process that reads them.
    pub(crate) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        for part in [&self.authority, &self.certificate, &self.key] {
            let line: String = part.iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(to, "{line}")?;
        }
        to.flush()
    }

    pub(crate) fn read(from: &mut impl BufRead) -> io::Result<Self> {
        let mut part = || {
            let mut line = String::new();
            from.read_line(&mut line)?;
            let digits = line.trim_end().as_bytes().chunks(2);
            let bytes: Option<Vec<u8>> =
                digits.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()).collect();
            bytes.filter(|bytes| !bytes.is_empty()).ok_or_else(|| io::Error::other("no identity was given"))
        };
        Ok(Self { authority: part()?, certificate: part()?, key: part()? })
    }

    /// TLS 1.3 that shows the certificate and resumes nothing: each connection pays for its handshake.
    pub(crate) fn tls_client(&self) -> io::Result<ClientConfig> {
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(io::Error::other)?
            .with_root_certificates(self.roots()?)
            .with_client_auth_cert(self.chain(), self.key())
            .map_err(io::Error::other)?;
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![NAME.into()];
        Ok(config)
    }

    /// TLS 1.3 that asks for a certificate of the same authority.
    pub(crate) fn tls_server(&self) -> io::Result<ServerConfig> {
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(self.roots()?), provider());
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(io::Error::other)?
            .with_client_cert_verifier(verifier.build().map_err(io::Error::other)?)
            .with_single_cert(self.chain(), self.key())
            .map_err(io::Error::other)?;
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![NAME.into()];
        Ok(config)
    }

    fn roots(&self) -> io::Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.authority.clone())).map_err(io::Error::other)?;
        Ok(roots)
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![CertificateDer::from(self.certificate.clone())]
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
