use std::{fmt, sync::Arc};

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

use super::{TrustError, der};

/// Who the other side of a connection is: what its verified certificate says, not what it says of itself.
///
/// Equal if the names are. A copy costs nothing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer {
    names: Arc<[String]>,
}

impl Peer {
    /// The first of its [`names`](Self::names), and the one to decide by: `actor://cluster/node-1`.
    pub fn identity(&self) -> &str {
        &self.names[0]
    }

    /// All names in its certificate, at least one: the URIs first, then the DNS names, then the IP addresses, each
    /// kind as the certificate has them. A name that is not of these kinds is left out.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// One of this name, for tests.
    #[cfg(test)]
    pub(crate) fn named(name: &str) -> Self {
        Self { names: Arc::new([name.to_owned()]) }
    }

    /// The names in a certificate that somebody else has verified.
    pub(super) fn read(certificate: &CertificateDer<'_>) -> Result<Self, TrustError> {
        let parsed = EndEntityCert::try_from(certificate).map_err(TrustError::certificate)?;
        let texts = parsed.valid_uri_names().chain(parsed.valid_dns_names()).map(str::to_owned);
        let addresses = der::addresses(certificate).into_iter().map(|address| address.to_string());
        let names: Arc<[String]> = texts.chain(addresses).filter(|name| !name.is_empty()).collect();
        if names.is_empty() { Err(TrustError::NoNames) } else { Ok(Self { names }) }
    }
}

/// The identity.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.identity())
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Peer").field(&self.names).finish()
    }
}
