use std::{fmt, sync::Arc};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, ServerName},
};

use super::{Authority, Identity, TrustError, development, identity, tls};

/// What a node shows of itself, and whom it believes. A copy costs nothing.
///
/// Both sides of every connection show a certificate and verify the other's; there is no way to skip it.
///
/// ```
/// use actor_runtime::{Authority, Trust};
///
/// let authority = Authority::new("cluster")?;
/// let node = authority.issue(["actor://cluster/node-1", "node.cluster.internal"])?;
/// let trust = Trust::builder()
///     .identity(node)
///     .authority_pem(authority.certificate_pem())
///     .server_name("node.cluster.internal")
///     .build()?;
/// assert_eq!(trust.identity().names()[0], "actor://cluster/node-1");
/// # Ok::<(), actor_runtime::TrustError>(())
/// ```
#[derive(Clone)]
pub struct Trust(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) identity: Identity,
    pub(super) tls: tls::Configs,
    pub(super) server_name: Option<ServerName<'static>>,
    pub(super) development: bool,
}

impl Trust {
    /// Says what a node shows and whom it believes.
    pub fn builder() -> TrustBuilder {
        TrustBuilder {
            identity: None,
            authorities: Vec::new(),
            server_name: None,
            crypto: Crypto::default(),
            development: false,
        }
    }

    /// The development trust domain: all processes of this user on this machine believe each other, and nobody else.
    /// It serves loopback addresses only.
    ///
    /// It is made on first use, in `development-trust` under `ACTOR_STATE_DIR`, else under `$XDG_STATE_HOME/actor`,
    /// else under `$HOME/.local/state/actor` (on Windows `%LOCALAPPDATA%\actor`), for the user alone. It is valid for
    /// ten years and is made anew in its last month; processes that began before have to be started again then.
    ///
    /// Reads and writes files, and waits for other processes only if it is made anew.
    ///
    /// # Errors
    /// [`TrustError::NoStateDirectory`] or [`RelativeStateDirectory`](TrustError::RelativeStateDirectory) if the
    /// environment names none, [`File`](TrustError::File) if it cannot be read or written,
    /// [`Exposed`](TrustError::Exposed) or [`Foreign`](TrustError::Foreign) if others could have read or written it,
    /// and [`Broken`](TrustError::Broken) if it makes no sense.
    pub fn development() -> Result<Self, TrustError> {
        Self::development_in(&development::directory()?)
    }

    /// The development trust domain of this directory, which is made if there is none.
    pub(crate) fn development_in(directory: &std::path::Path) -> Result<Self, TrustError> {
        development::open(directory)
    }

    /// What this node shows.
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust")
            .field("identity", &self.0.identity)
            .field("server_name", &self.0.server_name.as_ref().map(|name| name.to_str()))
            .field("development", &self.0.development)
            .finish_non_exhaustive()
    }
}

/// Makes a [`Trust`]: it needs an identity and at least one authority.
#[must_use]
pub struct TrustBuilder {
    identity: Option<Identity>,
    authorities: Vec<Result<CertificateDer<'static>, TrustError>>,
    server_name: Option<String>,
    crypto: Crypto,
    development: bool,
}

impl TrustBuilder {
    /// What the node shows. It need not be of an authority that the node itself believes, only of one that its
    /// peers do.
    pub fn identity(self, identity: Identity) -> Self {
        Self { identity: Some(identity), ..self }
    }

    /// Believes another authority too.
    pub fn authority(mut self, authority: &Authority) -> Self {
        self.authorities.push(Ok(authority.certificate().clone()));
        self
    }

    /// Believes other authorities too: every certificate in this PEM text.
    pub fn authority_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        match identity::certificates(pem.as_ref()) {
            Ok(certificates) => self.authorities.extend(certificates.into_iter().map(Ok)),
            Err(error) => self.authorities.push(Err(error)),
        }
        self
    }

    /// The one DNS name or IP address that all nodes of the cluster carry in their certificates, whatever host they
    /// run at. Without it, the host that is dialled has to be in the certificate of the server there.
    ///
    /// With it any node of the cluster can pass for the one at any host: what tells nodes apart is
    /// [`Peer::identity`](crate::Peer::identity) alone.
    pub fn server_name(self, name: impl Into<String>) -> Self {
        Self { server_name: Some(name.into()), ..self }
    }

    /// Which crypto to use: ring if nothing is said.
    pub fn crypto(self, crypto: Crypto) -> Self {
        Self { crypto, ..self }
    }

    /// Serves loopback addresses only.
    pub(super) fn development(self) -> Self {
        Self { development: true, ..self }
    }

    /// Done.
    ///
    /// Whether the certificates are valid now is not asked: each handshake does.
    ///
    /// # Errors
    /// [`TrustError`]: what is missing, or which part of what was given is of no use.
    pub fn build(self) -> Result<Trust, TrustError> {
        let identity = self.identity.ok_or(TrustError::NoIdentity)?;
        if self.authorities.is_empty() {
            return Err(TrustError::NoAuthority);
        }
        let mut roots = RootCertStore::empty();
        for authority in self.authorities {
            roots.add(authority?).map_err(TrustError::certificate)?;
        }
        let server_name = self.server_name.as_deref().map(tls::server_name).transpose()?;
        let tls = tls::Configs::new(&identity, Arc::new(roots), self.crypto)?;
        Ok(Trust(Arc::new(Inner { identity, tls, server_name, development: self.development })))
    }
}

impl fmt::Debug for TrustBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustBuilder")
            .field("identity", &self.identity)
            .field("authorities", &self.authorities.len())
            .field("server_name", &self.server_name)
            .field("crypto", &self.crypto)
            .finish_non_exhaustive()
    }
}

/// Whose cryptography does the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Crypto {
    /// The crate `ring`.
    #[default]
    Ring,
    /// The crate `aws-lc-rs`, with post-quantum key exchange.
    #[cfg(feature = "aws-lc-rs")]
    AwsLcRs,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trust_needs_an_identity_and_an_authority() {
        let authority = Authority::new("test").unwrap();
        let identity = authority.issue(["a"]).unwrap();
        let no_identity = Trust::builder().authority(&authority).build().unwrap_err();
        assert_eq!(no_identity, TrustError::NoIdentity);
        let no_authority = Trust::builder().identity(identity.clone()).build().unwrap_err();
        assert_eq!(no_authority, TrustError::NoAuthority);
        let empty = Trust::builder().identity(identity).authority_pem("").build().unwrap_err();
        assert_eq!(empty, TrustError::NoCertificate);
    }

    #[test]
    fn nothing_secret_is_printed() {
        let authority = Authority::new("test").unwrap();
        let builder =
            Trust::builder().identity(authority.issue(["a"]).unwrap()).authority(&authority).server_name("a");
        let before = format!("{builder:?}");
        let printed = format!("{before} {:?}", builder.build().unwrap());
        assert!(!printed.to_lowercase().contains("key"), "{printed}");
    }
}
