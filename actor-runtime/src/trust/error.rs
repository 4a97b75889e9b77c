use std::{
    error::Error,
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Why there is no [`Trust`](crate::Trust), [`Identity`](crate::Identity), [`Authority`](crate::Authority) or
/// [`Peer`](crate::Peer).
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// A text is not PEM.
    #[error("this is not PEM; write a text with `-----BEGIN …-----` and `-----END …-----`")]
    Pem {
        /// What the reader met.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// There is no certificate where one has to be.
    #[error("there is no certificate; the PEM needs a `BEGIN CERTIFICATE` section")]
    NoCertificate,
    /// There is no private key where one has to be.
    #[error("there is no private key; the PEM needs a `BEGIN PRIVATE KEY` section")]
    NoKey,
    /// A certificate cannot be read or used.
    #[error("a certificate cannot be used; make it anew as X.509 version 3, DER or PEM")]
    Certificate {
        /// What is wrong with it.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// A private key cannot be read or used.
    #[error("the private key cannot be used; make it anew as ECDSA P-256, Ed25519 or RSA in PKCS #8")]
    Key {
        /// What is wrong with it.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The private key is not the one of the certificate.
    #[error(
        "the private key is not the certificate's; give the key that was made with it, and the certificate of the \
         node before those of its issuers"
    )]
    OtherKey,
    /// A node's certificate names nobody.
    #[error(
        "the certificate names no node; issue it with a URI, a DNS name or an IP address as alternative name"
    )]
    NoNames,
    /// A text cannot be a name in a certificate.
    #[error("{name:?} cannot be a node's name; write a URI, a DNS name or an IP address in ASCII")]
    Name {
        /// The text.
        name: String,
    },
    /// A text cannot be the name of an authority.
    #[error("{name:?} cannot be the name of an authority; write 1 to 64 characters")]
    AuthorityName {
        /// The text.
        name: String,
    },
    /// A text is not a host that could be dialled.
    #[error("{host:?} is not a host; write a DNS name or an IP address, or give the `Trust` a `server_name`")]
    Host {
        /// The text.
        host: String,
    },
    /// A time from which, or until which, a certificate would be valid is none that a certificate can say.
    #[error("a certificate cannot be valid then; give a start before its end, both from 1970 to 9999")]
    Validity,
    /// The authority could not make a key or a certificate.
    #[error("the authority could not make a certificate; check its key")]
    Issue {
        /// Why not.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The certificate is not one of an authority that [`Authority`](crate::Authority) made.
    #[error(
        "this is not an authority of ours; give what `Authority::to_pem` wrote, and let others issue their own \
         certificates"
    )]
    NotOurAuthority,
    /// The builder was given no identity.
    #[error("a node has to show who it is; give the builder an `identity`")]
    NoIdentity,
    /// The builder was given no authority.
    #[error("a node has to believe somebody; give the builder an `authority` or `authority_pem`")]
    NoAuthority,
    /// The chosen crypto cannot do TLS 1.3.
    #[error("the chosen crypto cannot do what is needed; choose another `Crypto`")]
    Crypto {
        /// What it lacks.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// A file or directory could not be read or written.
    #[error("{} could not be read or written; check that it exists and whose it is", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: Arc<io::Error>,
    },
    /// The environment does not say where the user's state is kept.
    #[error(
        "no directory for the development trust domain; set {variable}, or give the node a `Trust` of its own"
    )]
    NoStateDirectory {
        /// Which variable to set.
        variable: &'static str,
    },
    /// The environment names a state directory that would be another one in every working directory.
    #[error("ACTOR_STATE_DIR is {}, which is not absolute; write the whole path", path.display())]
    RelativeStateDirectory {
        /// What it says.
        path: PathBuf,
    },
    /// Others may read or change the secrets of the development domain.
    #[error(
        "others than its owner may use {} (mode {mode:o}); if nobody else has read it, take their rights away \
         (chmod go=), else remove the directory",
        path.display()
    )]
    Exposed {
        /// Which file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The secrets of the development domain belong to somebody else.
    #[error("{} belongs to user {owner}, not to this process; set ACTOR_STATE_DIR to a directory of your own", path.display())]
    Foreign {
        /// Which file or directory.
        path: PathBuf,
        /// The number of the user it belongs to.
        owner: u32,
    },
    /// The development domain on disk cannot be used.
    #[error("the development trust domain is broken; remove {} and start again", directory.display())]
    Broken {
        /// Where it is.
        directory: PathBuf,
        /// What is wrong with it.
        source: Box<Self>,
    },
    /// The development domain was asked to serve or dial another machine.
    #[error(
        "{address} is not a loopback address, and the development trust domain serves no others; use 127.0.0.1 or \
         ::1, or give the node a `Trust` of your cluster"
    )]
    NotLoopback {
        /// Which address.
        address: IpAddr,
    },
}

impl TrustError {
    pub(super) fn pem(source: rustls::pki_types::pem::Error) -> Self {
        Self::Pem { source: Arc::new(source) }
    }

    pub(super) fn certificate(source: impl Error + Send + Sync + 'static) -> Self {
        Self::Certificate { source: Arc::new(source) }
    }

    pub(super) fn key(source: rustls::Error) -> Self {
        match source {
            rustls::Error::InconsistentKeys(_) => Self::OtherKey,
            rustls::Error::InvalidCertificate(_) => Self::certificate(source),
            _ => Self::Key { source: Arc::new(source) },
        }
    }

    pub(super) fn issue(source: rcgen::Error) -> Self {
        Self::Issue { source: Arc::new(source) }
    }

    pub(crate) fn crypto(source: impl Error + Send + Sync + 'static) -> Self {
        Self::Crypto { source: Arc::new(source) }
    }

    pub(super) fn file(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::File { path: path.to_owned(), source: Arc::new(source) }
    }
}

/// Equal if they say the same, their sources included.
impl PartialEq for TrustError {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}
