//! Whom a connection over TLS trusts, and who we are to it.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::view::BoxError;

/// Certificates as PEM.
#[derive(Clone, Default)]
pub(crate) struct HttpTrust {
    /// The authorities; those of the system if there are none.
    pub(crate) authorities: Option<String>,
    /// The chain and the key that are shown to the server.
    pub(crate) identity: Option<(String, String)>,
}

impl HttpTrust {
    pub(super) fn config(self) -> Result<ClientConfig, BoxError> {
        let mut roots = RootCertStore::empty();
        match &self.authorities {
            Some(pem) => {
                for certificate in certificates(pem, "the authorities")? {
                    roots
                        .add(certificate)
                        .map_err(|error| format!("an authority cannot be used: {error}"))?;
                }
            }
            // A system without any is told of when a connection over TLS is made.
            None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        }
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = config.with_root_certificates(roots);
        let Some((chain, key)) = &self.identity else { return Ok(config.with_no_client_auth()) };
        let chain = certificates(chain, "the own chain")?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes());
        let key = key.map_err(|error| format!("the own key is not one in PEM: {error}"))?;
        Ok(config.with_client_auth_cert(chain, key)?)
    }
}

fn certificates(pem: &str, what: &str) -> Result<Vec<CertificateDer<'static>>, BoxError> {
    let found = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|error| format!("{what} are not certificates in PEM: {error}"))?;
    if found.is_empty() { Err(format!("{what} have no certificate in PEM").into()) } else { Ok(found) }
}
