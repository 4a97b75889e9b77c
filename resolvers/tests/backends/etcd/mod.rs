//! `EtcdResolver` and `EtcdRegistrar` against etcd itself: the one in the PATH, or the one that `ACTOR_ETCD` says.

mod access;
mod cluster;
mod faults;
mod registrar;
mod resolver;
mod stand_in;
mod whole;

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use actor_resolvers::{EtcdOptions, EtcdResolver, ViewOptions};
use actor_runtime::{BoxStream, Namespace, ResolveError, ResolveResult, Resolver};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::StreamExt;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::server::{Folder, Server, free_port, program, until};

/// An etcd of one member, with its own folder.
pub(super) struct Etcd {
    program: PathBuf,
    port: u16,
    arguments: Vec<String>,
    pub(super) server: Server,
    /// After the server, which shows its log when it ends.
    folder: Folder,
}

impl Etcd {
    /// `None` if there is no etcd here.
    pub(super) async fn start() -> Option<Self> {
        Self::start_with(&[]).await
    }

    /// With these arguments too.
    pub(super) async fn start_with(arguments: &[&str]) -> Option<Self> {
        Self::start_also_at("", arguments).await
    }

    /// It listens there too, unless that is empty.
    pub(super) async fn start_also_at(url: &str, arguments: &[&str]) -> Option<Self> {
        let program = program("etcd", "ACTOR_ETCD")?;
        let (port, folder) = (free_port(), Folder::new("etcd"));
        let peers = format!("http://127.0.0.1:{}", free_port());
        let clients = format!("http://127.0.0.1:{port}");
        let at = if url.is_empty() { clients.clone() } else { format!("{clients},{url}") };
        let own = [
            ("--data-dir", folder.path().join("data").display().to_string()),
            ("--listen-peer-urls", peers.clone()),
            ("--initial-advertise-peer-urls", peers.clone()),
            ("--initial-cluster", format!("default={peers}")),
            ("--listen-client-urls", at),
            ("--advertise-client-urls", clients),
        ];
        let own = own.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
        let arguments: Vec<String> = own.chain(arguments.iter().map(ToString::to_string)).collect();
        let server = launch(&program, &arguments, &folder);
        let mut etcd = Self { program, port, arguments, server, folder };
        etcd.ready().await;
        Some(etcd)
    }

    /// Starts it again, with what it had.
    pub(super) async fn restart(&mut self) {
        self.server.kill();
        self.server = launch(&self.program, &self.arguments, &self.folder);
        self.ready().await;
    }

    async fn ready(&mut self) {
        let range = json!({ "key": text("x"), "limit": "1" });
        until("etcd answers", async || {
            assert!(self.server.is_running(), "etcd has ended");
            let asked = timeout(Duration::from_secs(1), self.ask("/v3/kv/range", &range)).await;
            asked.is_ok_and(|answer| answer.is_some())
        })
        .await;
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it answers, if it does; an answer that is not JSON is null.
    pub(super) async fn ask(&self, path: &str, asks: &Value) -> Option<Value> {
        post(&format!("{}{path}", self.url()), asks).await
    }

    pub(super) async fn put(&self, key: &str, value: &str) {
        self.put_bytes(key.as_bytes(), value.as_bytes()).await;
    }

    pub(super) async fn put_bytes(&self, key: &[u8], value: &[u8]) -> i64 {
        let asks = json!({ "key": STANDARD.encode(key), "value": STANDARD.encode(value) });
        let done = self.ask("/v3/kv/put", &asks).await.expect("a put is answered");
        let revision = done["header"]["revision"].as_str().unwrap_or_else(|| panic!("{done}"));
        revision.parse().expect("a revision")
    }

    pub(super) async fn delete(&self, key: &str) {
        let done = self.ask("/v3/kv/deleterange", &json!({ "key": text(key) })).await;
        assert!(done.expect("a deletion is answered")["deleted"].is_string());
    }

    pub(super) async fn compact(&self, revision: i64) {
        let done = self.ask("/v3/kv/compaction", &json!({ "revision": revision.to_string() })).await;
        assert!(done.expect("a compaction is answered")["code"].is_null());
    }

    /// The keys with their leases.
    pub(super) async fn keys(&self) -> Vec<(String, i64)> {
        let asks = json!({ "key": text("/"), "range_end": text("0") });
        let has = self.ask("/v3/kv/range", &asks).await.expect("a range is answered");
        let read = |entry: &Value| {
            let key = STANDARD.decode(entry["key"].as_str().expect("a key")).expect("base64");
            let lease = entry["lease"].as_str().map_or(0, |lease| lease.parse().expect("a lease"));
            (String::from_utf8(key).expect("UTF-8"), lease)
        };
        has["kvs"].as_array().map_or_else(Vec::new, |entries| entries.iter().map(read).collect())
    }

    pub(super) async fn leases(&self) -> usize {
        let has = self.ask("/v3/lease/leases", &json!({})).await.expect("leases are answered");
        has["leases"].as_array().map_or(0, Vec::len)
    }
}

fn launch(program: &Path, arguments: &[String], folder: &Folder) -> Server {
    let mut command = Command::new(program);
    command.args(arguments);
    Server::start(command, &folder.path().join("log"))
}

/// The whole answer to a request, if there is one.
pub(super) async fn post(url: &str, asks: &Value) -> Option<Value> {
    post_as(url, "", asks).await
}

/// With this token.
pub(super) async fn post_as(url: &str, token: &str, asks: &Value) -> Option<Value> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let mut request = Request::post(url);
    if !token.is_empty() {
        request = request.header("Authorization", token);
    }
    let request = request.body(Full::from(asks.to_string())).expect("a request");
    let answer = client.request(request).await.ok()?;
    let body = answer.into_body().collect().await.ok()?.to_bytes();
    Some(serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// As base64.
pub(super) fn text(text: &str) -> String {
    STANDARD.encode(text)
}

/// Times that let tests end soon.
pub(super) fn soon() -> ViewOptions {
    ViewOptions::default()
        .answer_within(Duration::from_secs(3))
        .retry(Duration::from_millis(50), Duration::from_millis(500))
}

/// A resolver that finds out soon that etcd says nothing.
pub(super) fn resolver(url: impl AsRef<str>) -> EtcdResolver {
    let options = EtcdOptions::new(url).silence(Duration::from_millis(500));
    EtcdResolver::with(options, soon()).expect("options")
}

pub(super) type Results = BoxStream<'static, Result<ResolveResult, ResolveError>>;

pub(super) fn watch(resolver: &EtcdResolver, name: &str) -> Results {
    resolver.watch(&Namespace::local(), name)
}

pub(super) async fn resolve(resolver: &EtcdResolver, name: &str) -> Result<ResolveResult, ResolveError> {
    resolver.resolve(&Namespace::local(), name).await
}

/// The first result that is like this, and how long it took; at most 30 seconds. Errors are passed over.
pub(super) async fn told(
    results: &mut Results,
    what: &str,
    like: impl Fn(&ResolveResult) -> bool,
) -> (ResolveResult, Duration) {
    told_within(Duration::from_secs(30), results, what, like).await
}

pub(super) async fn told_within(
    time: Duration,
    results: &mut Results,
    what: &str,
    like: impl Fn(&ResolveResult) -> bool,
) -> (ResolveResult, Duration) {
    let began = Instant::now();
    let mut last = None;
    let found = timeout(time, async {
        loop {
            let result = results.next().await.expect("watches do not end");
            match result {
                Ok(result) if like(&result) => return result,
                other => last = Some(other),
            }
        }
    })
    .await;
    let Ok(found) = found else { panic!("not told within {time:?}: {what}; the last was {last:?}") };
    (found, began.elapsed())
}

/// A value as the registrar writes it.
pub(super) fn at(port: u16) -> String {
    format!(r#"{{"address":"127.0.0.1:{port}"}}"#)
}

/// The ports of what was found, in order.
pub(super) fn ports(result: &ResolveResult) -> Vec<u16> {
    let port = |text: String| text.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let mut ports: Vec<u16> =
        result.endpoints.iter().map(|endpoint| port(endpoint.address.to_string())).collect();
    ports.sort_unstable();
    ports
}

/// The middle and the longest of these times.
pub(super) fn p50_max(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    format!("p50 {:.1?}, max {:.1?} of {}", times[times.len() / 2], times[times.len() - 1], times.len())
}
