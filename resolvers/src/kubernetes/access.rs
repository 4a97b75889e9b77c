//! How the API server is reached, and who we are to it.
//!
//! kube reads kubeconfigs, runs their plugins, and knows when a token has to be read again. The connections are our own: kube's
//! take rustls' crypto provider from the process, and panic in a program that has two of them and has chosen none.

use std::{env, fmt, fs, path::PathBuf, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, Uri};
use kube::{
    Config,
    client::{
        ConfigExt,
        middleware::{AuthLayer, ExtraHeadersLayer},
    },
    config::{AuthInfo, KubeConfigOptions, Kubeconfig},
};
use secrecy::ExposeSecret;
use tokio::{sync::Mutex, task::JoinHandle};
use tower::{Layer, ServiceExt, service_fn};

use super::{builder::KubernetesError, credentials};
use crate::{
    clock,
    holdoff::Holdoff,
    http::{Http, HttpTrust},
    view::BoxError,
};

const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// How long credentials may take: a plugin may ask somebody else for them.
const LOGIN: Duration = Duration::from_secs(10);

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
            auth,
            program,
            headers: config.extra_headers_layer()?,
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
        let config = tokio::runtime::Handle::current().block_on(reading);
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
    auth: Option<AuthLayer>,
    /// What gives the credentials, for texts.
    program: Option<String>,
    headers: ExtraHeadersLayer,
}

impl Access {
    /// A request for this path, with all that shows who asks.
    pub(super) async fn request(&self, path: &str) -> Result<Request<Bytes>, BoxError> {
        let request = Request::get(format!("{}{path}", self.base)).body(Full::<Bytes>::default())?;
        let request = self.headers.layer(service_fn(given_back)).oneshot(request).await?.into_body();
        let Some(auth) = &self.auth else { return Ok(request.map(|_| Bytes::new())) };
        let authorized = clock::within(LOGIN, auth.layer(service_fn(given_back)).oneshot(request)).await;
        let authorized = authorized.ok_or_else(|| format!("there were no credentials within {LOGIN:?}"))?;
        let request =
            authorized.map_err(|error| credentials::reason(&*error, self.program.as_deref()))?.into_body();
        Ok(request.map(|_| Bytes::new()))
    }
}

/// The service that a request is put through by the layers: nothing is sent, it gives it back with what they put into it.
async fn given_back(request: Request<Full<Bytes>>) -> Result<Response<Request<Full<Bytes>>>, BoxError> {
    Ok(Response::new(request))
}

/// The present access, which is shared, and made again after it was refused.
pub(super) struct Accesses {
    login: Arc<Login>,
    state: Mutex<State>,
    pub(super) holdoff: Holdoff,
}

#[derive(Default)]
struct State {
    present: Option<Arc<Access>>,
    /// One at a time, also when nobody waits for it any more.
    opening: Option<JoinHandle<Result<Access, BoxError>>>,
}

impl Accesses {
    pub(super) fn new(login: Login) -> Self {
        Self { login: Arc::new(login), state: Mutex::default(), holdoff: Holdoff::default() }
    }

    pub(super) async fn present(&self) -> Result<Arc<Access>, BoxError> {
        let opened = clock::within(LOGIN, self.open()).await;
        opened.unwrap_or_else(|| Err(format!("there were no credentials within {LOGIN:?}").into()))
    }

    async fn open(&self) -> Result<Arc<Access>, BoxError> {
        let mut state = self.state.lock().await;
        if let Some(present) = &state.present {
            return Ok(present.clone());
        }
        let login = self.login.clone();
        let opening = state.opening.get_or_insert_with(|| clock::spawn_blocking(move || login.open()));
        let opened = opening.await;
        state.opening = None;
        let access = Arc::new(opened.map_err(|error| format!("its credentials were not read: {error}"))??);
        state.present = Some(access.clone());
        Ok(access)
    }

    /// This one does not serve: the next one is made from the files as they are then.
    pub(super) async fn forget(&self, access: &Arc<Access>) {
        let mut state = self.state.lock().await;
        state.present.take_if(|present| Arc::ptr_eq(present, access));
    }
}

impl fmt::Display for Accesses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.login.place.fmt(f)
    }
}
