use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use actor_runtime::Namespace;

use super::{
    KubernetesResolver, Slices,
    access::{Accesses, Login, Place},
    names::{Names, ServiceOf},
};
use crate::{ViewOptions, view::Views};

/// The least that [`KubernetesBuilder::silence`] can be.
const LEAST_SILENCE: Duration = Duration::from_secs(2);

/// And the most.
const MOST_SILENCE: Duration = Duration::from_secs(60 * 60);

/// How a [`KubernetesResolver`] reaches the cluster, and what names mean there.
pub struct KubernetesBuilder {
    place: Place,
    context: Option<String>,
    account: Option<PathBuf>,
    own: Option<String>,
    entries: Vec<(Namespace, String)>,
    service_of: Option<ServiceOf>,
    port_name: String,
    silence: Duration,
    options: ViewOptions,
}

impl KubernetesBuilder {
    pub(super) fn new() -> Self {
        Self {
            place: Place::Cluster,
            context: None,
            account: None,
            own: None,
            entries: Vec::new(),
            service_of: None,
            port_name: "actor".to_owned(),
            silence: Duration::from_secs(75),
            options: ViewOptions::default(),
        }
    }

    /// Reaches the cluster as `kubectl` does: by the files that `KUBECONFIG` names, or `~/.kube/config`.
    ///
    /// Not understood, and refused when the cluster is asked: proxies (those of `HTTPS_PROXY`, too),
    /// `insecure-skip-tls-verify`, `tls-server-name`, and plugins that give a certificate and no token.
    #[must_use]
    pub fn kubeconfig(mut self) -> Self {
        self.place = Place::Kubeconfig(None);
        self
    }

    /// As [`kubeconfig`](Self::kubeconfig), by this file.
    #[must_use]
    pub fn kubeconfig_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.place = Place::Kubeconfig(Some(path.into()));
        self
    }

    /// The context of the kubeconfig; its current one unless this is called.
    #[must_use]
    pub fn context(mut self, name: impl Into<String>) -> Self {
        self.context = Some(name.into());
        self
    }

    /// Reaches the API server at this URL: `http://127.0.0.1:8001` is that of `kubectl proxy`. Without credentials, unless
    /// [`service_account`](Self::service_account) is called, too.
    #[must_use]
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.place = Place::Url(url.into());
        self
    }

    /// The directory with the `token`, `ca.crt` and `namespace` of the pod's service account;
    /// `/var/run/secrets/kubernetes.io/serviceaccount` unless this is called.
    #[must_use]
    pub fn service_account(mut self, directory: impl Into<PathBuf>) -> Self {
        self.account = Some(directory.into());
        self
    }

    /// The Kubernetes namespace that `<local>` means. Unless this is called: the pod's own one, or that of the kubeconfig's
    /// context.
    #[must_use]
    pub fn namespace(mut self, name: impl Into<String>) -> Self {
        self.own = Some(name.into());
        self
    }

    /// The Kubernetes namespace that a namespace of actors means; the one of the same name unless this is called.
    #[must_use]
    pub fn map_namespace(mut self, namespace: Namespace, there: impl Into<String>) -> Self {
        self.entries.push((namespace, there.into()));
        self
    }

    /// The service of an actor, by its name; `None` refuses the question. Unless this is called it is the service of the same
    /// name. Several actors may have one service, if one program serves them.
    #[must_use]
    pub fn service_of(mut self, function: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        self.service_of = Some(Box::new(function));
        self
    }

    /// The name of the port of a service that actors are served at; `actor` unless this is called. The only port of a service
    /// needs no name.
    #[must_use]
    pub fn port_name(mut self, name: impl Into<String>) -> Self {
        self.port_name = name.into();
        self
    }

    /// How long the server may say nothing before it counts as gone; 75 seconds unless this is called; at least two, at most an hour.
    /// A watch is asked for with four fifths of it, after which a server that is well ends it, and it is asked for again.
    #[must_use]
    pub fn silence(mut self, time: Duration) -> Self {
        self.silence = time.clamp(LEAST_SILENCE, MOST_SILENCE);
        self
    }

    /// How it keeps up with the cluster.
    #[must_use]
    pub fn options(mut self, options: ViewOptions) -> Self {
        self.options = options;
        self
    }

    /// The resolver. Small files may be read; nothing is asked of the cluster yet.
    ///
    /// # Errors
    /// [`KubernetesError`] if this is no pod and no other place was given, if a file cannot be read, or if namespaces are
    /// given that cannot be or that would be one.
    pub fn build(self) -> Result<KubernetesResolver, KubernetesError> {
        let login = Login::new(self.place, self.context, self.account);
        let (login, own) = login.and_then(|login| {
            let own = self.own.map_or_else(|| login.namespace(), Ok)?;
            Ok((login, own))
        })?;
        let source = Slices {
            names: Names::new(own, self.entries, self.service_of)?,
            accesses: Arc::new(Accesses::new(login)),
            port_name: self.port_name,
            silence: self.silence,
        };
        Ok(KubernetesResolver { views: Views::new(source, self.options) })
    }
}

impl fmt::Debug for KubernetesBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a resolver for {}", self.place)
    }
}

/// Why there is no [`KubernetesResolver`].
#[derive(Debug)]
pub struct KubernetesError {
    text: String,
}

impl KubernetesError {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }
}

impl fmt::Display for KubernetesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for KubernetesError {}
