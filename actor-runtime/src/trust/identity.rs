use std::{fmt, fs, path::Path, sync::Arc};

use rustls::{
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
    sign::CertifiedKey,
};

use super::{Peer, TrustError};

/// What a node shows: its certificate, those of its issuers up to the authority that the others know, and the key
/// that proves the certificate is its own.
///
/// That the key is the certificate's is checked when an identity is made. A copy costs nothing.
///
/// ```
/// use actor_runtime::{Authority, Identity};
///
/// let authority = Authority::new("cluster")?;
/// let issued = authority.issue(["actor://cluster/node-1", "node-1.example"])?;
/// let same = Identity::from_pem(issued.certificate_pem(), issued.key_pem())?;
/// assert_eq!(same.names(), ["actor://cluster/node-1", "node-1.example"]);
/// # Ok::<(), actor_runtime::TrustError>(())
/// ```
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    names: Peer,
}

impl Identity {
    /// From PEM: the node's certificate followed by those of its issuers, and its private key.
    ///
    /// Sections of other kinds are passed over, so that both may be the same text.
    ///
    /// # Errors
    /// [`TrustError`], above all [`OtherKey`](TrustError::OtherKey) if key and certificate do not belong together.
    pub fn from_pem(chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Self, TrustError> {
        Self::new(certificates(chain.as_ref())?, private_key(key.as_ref())?)
    }

    /// From DER: the node's certificate followed by those of its issuers, and its private key in PKCS #8.
    ///
    /// # Errors
    /// As of [`from_pem`](Self::from_pem).
    pub fn from_pkcs8(
        chain: impl IntoIterator<Item = Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Result<Self, TrustError> {
        let chain = chain.into_iter().map(CertificateDer::from).collect();
        Self::new(chain, PrivatePkcs8KeyDer::from(key.into()).into())
    }

    /// From two PEM files, read once and now.
    ///
    /// # Errors
    /// [`TrustError::File`] if one cannot be read; else as of [`from_pem`](Self::from_pem).
    pub fn from_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, TrustError> {
        let read = |path: &Path| fs::read(path).map_err(TrustError::file(path));
        Self::from_pem(read(chain.as_ref())?, read(key.as_ref())?)
    }

    /// The names in the node's certificate, as a [`Peer`] of it sees them.
    pub fn names(&self) -> &[String] {
        self.0.names.names()
    }

    /// The node's certificate and those of its issuers, as PEM.
    pub fn certificate_pem(&self) -> String {
        self.0.chain.iter().map(|certificate| pem("CERTIFICATE", certificate)).collect()
    }

    /// The private key as PEM. Whoever has it is this node for all others: keep it where only the node can read it.
    pub fn key_pem(&self) -> String {
        let tag = match self.0.key {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        pem(tag, self.0.key.secret_der())
    }

    /// The private key.
    pub(crate) fn secret(&self) -> &[u8] {
        self.0.key.secret_der()
    }

    pub(super) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, TrustError> {
        let names = Peer::read(chain.first().ok_or(TrustError::NoCertificate)?)?;
        let signer = ring::default_provider().key_provider.load_private_key(key.clone_key());
        let pair = CertifiedKey::new(chain, signer.map_err(TrustError::key)?);
        pair.keys_match().map_err(TrustError::key)?;
        Ok(Self(Arc::new(Inner { chain: pair.cert, key, names })))
    }

    pub(super) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.0.chain
    }

    pub(super) fn key(&self) -> &PrivateKeyDer<'static> {
        &self.0.key
    }
}

/// The names only.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("names", &self.names()).finish_non_exhaustive()
    }
}

/// All certificates in a PEM text, at least one.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    Some(found.map_err(TrustError::pem)?).filter(|found| !found.is_empty()).ok_or(TrustError::NoCertificate)
}

/// The first private key in a PEM text.
pub(super) fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, TrustError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => TrustError::NoKey,
        error => TrustError::pem(error),
    })
}

pub(super) fn pem(tag: &str, der: &[u8]) -> String {
    let lines = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(tag, der), lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Authority;

    #[test]
    fn a_certificate_with_the_key_of_another_is_refused() {
        let authority = Authority::new("test").unwrap();
        let [victim, thief] =
            ["victim.example", "thief.example"].map(|name| authority.issue([name]).unwrap());
        let stolen = Identity::from_pem(victim.certificate_pem(), thief.key_pem());
        assert_eq!(stolen.unwrap_err(), TrustError::OtherKey);
        assert!(Identity::from_pem(victim.certificate_pem(), victim.key_pem()).is_ok());
    }

    #[test]
    fn der_and_pem_and_files_are_the_same_identity() {
        let issued = Authority::new("test").unwrap().issue(["a.example"]).unwrap();
        let chain = issued.chain().iter().map(|certificate| certificate.to_vec());
        let der = Identity::from_pkcs8(chain, issued.key().secret_der()).unwrap();
        assert_eq!(der.certificate_pem(), issued.certificate_pem());

        let both = issued.certificate_pem() + &issued.key_pem();
        assert_eq!(Identity::from_pem(&both, &both).unwrap().key_pem(), issued.key_pem());

        let missing = Identity::from_files("no/such/file", "no/such/key").unwrap_err();
        assert!(missing.to_string().contains("no/such/file"), "{missing}");
    }

    #[test]
    fn what_is_missing_is_said() {
        let issued = Authority::new("test").unwrap().issue(["a.example"]).unwrap();
        let [certificate, key] = [issued.certificate_pem(), issued.key_pem()];
        assert_eq!(Identity::from_pem(&key, &key).unwrap_err(), TrustError::NoCertificate);
        assert_eq!(Identity::from_pem(&certificate, &certificate).unwrap_err(), TrustError::NoKey);
        let cut = &certificate[..certificate.len() / 2];
        assert!(matches!(Identity::from_pem(cut, &key).unwrap_err(), TrustError::Pem { .. }));
        let nonsense = Identity::from_pkcs8([vec![1, 2, 3]], vec![4, 5]).unwrap_err();
        assert!(matches!(nonsense, TrustError::Certificate { .. }), "{nonsense:?}");
    }

    #[test]
    fn the_key_is_never_printed() {
        let issued = Authority::new("test").unwrap().issue(["a.example"]).unwrap();
        assert_eq!(format!("{issued:?}"), r#"Identity { names: ["a.example"], .. }"#);
    }
}
