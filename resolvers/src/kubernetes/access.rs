//! How the API server is reached, and who we are to it.
//!
//! kube reads kubeconfigs, runs their plugins, and knows when a token has to be read again. The connections are our own: kube's
//! take rustls' crypto provider from the process, and panic in a program that has two of them and has chosen none.

use std::{env, fmt, fs, path::PathBuf, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{HeaderMap, Request, Response, Uri};
use kube::{
    Config,
    client::{
        ConfigExt,
        middleware::{AuthLayer, ExtraHeadersLayer},
    },
    config::{AuthInfo, KubeConfigOptions, Kubeconfig},
};
use secrecy::ExposeSecret;
use tokio::{runtime::Handle, time::Instant};
use tower::{Layer, ServiceExt, service_fn};

use super::{builder::KubernetesError, credentials, single::Single};
use crate::{
    clock,
    holdoff::Holdoff,
    http::{Http, HttpTrust},
    sync::{Mutex, lock},
    view::BoxError,
};

const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// How long credentials may take: a plugin may ask somebody else for them.
const LOGIN: Duration = Duration::from_secs(10);

/// What nobody refuses is not read anew more often than this.
const OLD: Duration = Duration::from_secs(30);

/// Where the API server is found.
#[derive(Debug)]
pub(super) enum Place {
    /// This is a pod of the cluster.
    Cluster,
    Kubeconfig(Option<PathBuf>),
    Url(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => f.write_str("Kubernetes around this pod"),
            Self::Kubeconfig(None) => f.write_str("Kubernetes of the kubeconfig"),
            Self::Kubeconfig(Some(path)) => write!(f, "Kubernetes of {}", path.display()),
            Self::Url(url) => write!(f, "Kubernetes at {url}"),
        }
    }
}

/// What is needed to find the server and to be let in.
pub(super) struct Login {
    place: Place,
    context: Option<String>,
    account: Option<PathBuf>,
}

impl Login {
    pub(super) fn new(
        place: Place,
        context: Option<String>,
        account: Option<PathBuf>,
    ) -> Result<Self, KubernetesError> {
        if let Place::Url(url) = &place {
            server(url).map_err(KubernetesError::new)?;
        }
        Ok(Self { place, context, account })
    }

    /// The Kubernetes namespace that is the own one.
    pub(super) fn namespace(&self) -> Result<String, KubernetesError> {
        if let Place::Kubeconfig(_) = &self.place {
            let config = self.kubeconfig().map_err(|error| KubernetesError::new(error.to_string()))?;
            let name = self.context.as_ref().or(config.current_context.as_ref());
            let found = config.contexts.iter().find(|context| Some(&context.name) == name);
            let context = found.and_then(|found| found.context.as_ref()).ok_or_else(|| {
                KubernetesError::new(format!("{} has no context {:?}", self.place, name.map_or("", |it| it)))
            })?;
            return Ok(context.namespace.clone().unwrap_or_else(|| "default".to_owned()));
        }
        let path = self.account().join("namespace");
        fs::read_to_string(&path).map_err(|error| {
            KubernetesError::new(format!(
                "the own namespace of this pod cannot be read from {}: {error}; outside of a pod call \
                 `KubernetesBuilder::namespace`, or `kubeconfig`",
                path.display()
            ))
        })
    }

    fn account(&self) -> PathBuf {
        self.account.clone().unwrap_or_else(|| ACCOUNT.into())
    }

    fn kubeconfig(&self) -> Result<Kubeconfig, BoxError> {
        let read = match &self.place {
            Place::Kubeconfig(Some(path)) => Kubeconfig::read_from(path),
            _ => Kubeconfig::read(),
        };
        Ok(read.map_err(|error| credentials::unread(&error))?)
    }

    /// Reads the files, and runs the plugin if there is one. It may block.
    fn open(&self) -> Result<Access, BoxError> {
        let (config, trust) = match &self.place {
            Place::Cluster => {
                let variable =
                    |name| env::var(name).map_err(|_| format!("this is no pod: there is no {name}"));
                let (host, port) =
                    (variable("KUBERNETES_SERVICE_HOST")?, variable("KUBERNETES_SERVICE_PORT")?);
                let host = if host.contains(':') { format!("[{host}]") } else { host };
                self.of_account(&format!("https://{host}:{port}"), &self.account())?
            }
            Place::Url(url) => match &self.account {
                Some(account) => self.of_account(url, account)?,
                None => (Config::new(server(url)?), HttpTrust::default()),
            },
            Place::Kubeconfig(_) => self.of_kubeconfig()?,
        };
        let program = credentials::program(&config);
        let auth = config.auth_layer().map_err(|error| credentials::reason(&error, program.as_deref()))?;
        if auth.is_none() && config.auth_info.exec.is_some() {
            return Err("the plugin of the kubeconfig gives no token, and nothing else is understood".into());
        }
        Ok(Access {
            http: Http::new(trust)?,
            base: config.cluster_url.to_string().trim_end_matches('/').to_owned(),
            auth: auth.map(Arc::new),
            program,
            authorizing: Single::new(),
            headers: config.extra_headers_layer()?,
            opened: clock::now(),
        })
    }

    fn of_account(&self, url: &str, account: &std::path::Path) -> Result<(Config, HttpTrust), BoxError> {
        let mut config = Config::new(server(url)?);
        config.auth_info.token_file = Some(account.join("token").display().to_string());
        let path = account.join("ca.crt");
        let authorities = fs::read_to_string(&path).map_err(|error| {
            format!("the authority of the cluster cannot be read from {}: {error}", path.display())
        })?;
        Ok((config, HttpTrust { authorities: Some(authorities), identity: None }))
    }

    fn of_kubeconfig(&self) -> Result<(Config, HttpTrust), BoxError> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let reading = Config::from_custom_kubeconfig(self.kubeconfig()?, &options);
        let config = Handle::current().block_on(reading);
        let config = config.map_err(|error| credentials::unread(&error))?;
        let unknown = [
            (config.accept_invalid_certs, "insecure-skip-tls-verify; give its certificate-authority instead"),
            (
                config.tls_server_name.is_some(),
                "tls-server-name; give a server by the name that its certificate has",
            ),
            (config.proxy_url.is_some(), "a proxy (or HTTPS_PROXY does)"),
        ];
        if let Some((_, what)) = unknown.into_iter().find(|(is_there, _)| *is_there) {
            return Err(format!("not understood: the kubeconfig asks for {what}").into());
        }
        let authorities = config.root_cert.as_ref().map(|authorities| {
            let pem = |der: &Vec<u8>| pem::encode(&pem::Pem::new("CERTIFICATE", &**der));
            authorities.iter().map(pem).collect()
        });
        let identity = identity(&config.auth_info)?;
        Ok((config, HttpTrust { authorities, identity }))
    }
}

/// The address of a server, as a whole URL.
fn server(url: &str) -> Result<Uri, String> {
    let uri = url.parse::<Uri>().map_err(|error| format!("{url:?} is not a URL: {error}"))?;
    match uri.scheme_str() {
        Some("http" | "https")
            if uri.query().is_some() || uri.authority().is_some_and(|it| it.as_str().contains('@')) =>
        {
            Err("the URL of a server has no query, and nobody's name and password".to_owned())
        }
        Some("http" | "https") if uri.host().is_some_and(|host| !host.is_empty()) => Ok(uri),
        _ => Err(format!("{url:?} is not the URL of a server: write `http://127.0.0.1:8001`")),
    }
}

/// The chain and the key that a kubeconfig gives, as PEM.
fn identity(user: &AuthInfo) -> Result<Option<(String, String)>, BoxError> {
    let read = |data: Option<&str>, path: Option<&String>| -> Result<Option<String>, BoxError> {
        Ok(match (data, path) {
            (Some(data), _) => Some(String::from_utf8(STANDARD.decode(data)?)?),
            (None, Some(path)) => Some(fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?),
            (None, None) => None,
        })
    };
    let failed =
        |what: &str, error: BoxError| format!("the {what} of the kubeconfig cannot be read: {error}");
    let chain = read(user.client_certificate_data.as_deref(), user.client_certificate.as_ref())
        .map_err(|error| failed("client-certificate", error))?;
    let key = user.client_key_data.as_ref().map(ExposeSecret::expose_secret);
    let key = read(key, user.client_key.as_ref()).map_err(|error| failed("client-key", error))?;
    match (chain, key) {
        (None, None) => Ok(None),
        (Some(chain), Some(key)) => Ok(Some((chain, key))),
        _ => Err("the kubeconfig gives one of client-certificate and client-key, and not the other".into()),
    }
}

/// A server that can be asked.
pub(super) struct Access {
    pub(super) http: Http,
    base: String,
    auth: Option<Arc<AuthLayer>>,
    /// What gives the credentials, for texts.
    program: Option<String>,
    /// Credentials are made again when they are about to end.
    authorizing: Single<HeaderMap>,
    headers: ExtraHeadersLayer,
    opened: Instant,
}

impl Access {
    /// A request for this path, with all that shows who asks.
    pub(super) async fn request(&self, path: &str) -> Result<Request<Bytes>, BoxError> {
        let request = Request::get(format!("{}{path}", self.base)).body(Full::<Bytes>::default())?;
        let request = self.headers.layer(service_fn(given_back)).oneshot(request).await?.into_body();
        let mut request = request.map(|_| Bytes::new());
        if let Some(auth) = self.auth.clone() {
            let (program, runtime) = (self.program.clone(), Handle::current());
            let authorize = move || {
                let authorized = auth.layer(service_fn(given_back)).oneshot(Request::default());
                let authorized = runtime.block_on(authorized);
                let authorized =
                    authorized.map_err(|error| credentials::reason(&*error, program.as_deref()))?;
                Ok(authorized.into_body().into_parts().0.headers)
            };
            request.headers_mut().extend(self.authorizing.run(LOGIN, authorize).await?);
        }
        Ok(request)
    }
}

/// The service that a request is put through by the layers: nothing is sent, it gives it back with what they put into it.
async fn given_back(request: Request<Full<Bytes>>) -> Result<Response<Request<Full<Bytes>>>, BoxError> {
    Ok(Response::new(request))
}

/// The present access, which is shared, and made again after it was refused.
pub(super) struct Accesses {
    login: Arc<Login>,
    present: Mutex<Option<Arc<Access>>>,
    opening: Single<Arc<Access>>,
    pub(super) holdoff: Holdoff,
}

impl Accesses {
    pub(super) fn new(login: Login) -> Self {
        Self {
            login: Arc::new(login),
            present: Mutex::default(),
            opening: Single::new(),
            holdoff: Holdoff::default(),
        }
    }

    pub(super) async fn present(self: &Arc<Self>) -> Result<Arc<Access>, BoxError> {
        if let Some(present) = &*lock(&self.present) {
            return Ok(present.clone());
        }
        let accesses = self.clone();
        let open = move || {
            // Another one may have been made while this one was waited for.
            if let Some(present) = &*lock(&accesses.present) {
                return Ok(present.clone());
            }
            let access = Arc::new(accesses.login.open().map_err(|error| error.to_string())?);
            *lock(&accesses.present) = Some(access.clone());
            Ok(access)
        };
        Ok(self.opening.run(LOGIN, open).await?)
    }

    /// This one is refused: the next one is made from the files as they are then.
    pub(super) fn forget(&self, access: &Arc<Access>) {
        lock(&self.present).take_if(|present| Arc::ptr_eq(present, access));
    }

    /// This one may be out of date: another one is made if it is old. So an outage has no plugin run at each attempt.
    pub(super) fn forget_old(&self, access: &Arc<Access>) {
        if access.opened.elapsed() >= OLD {
            self.forget(access);
        }
    }
}

impl fmt::Display for Accesses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.login.place.fmt(f)
    }
}
