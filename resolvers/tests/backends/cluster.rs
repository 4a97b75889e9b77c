//! The part of a Kubernetes API server that a resolver asks, as the real one answers: lists in pages, watches from a version
//! on, bookmarks, and versions that are forgotten.
#![expect(clippy::disallowed_methods, reason = "a watch ends after its time")]

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::standin::{Asked, Reply, StandIn};

/// A cluster on loopback. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Cluster {
    state: Arc<Mutex<State>>,
    changed: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    version: u64,
    /// Versions before this one are forgotten.
    oldest: u64,
    /// Whether that is told by an event of the watch, and not by the status of the answer.
    told_by_event: bool,
    /// By namespace and name.
    slices: BTreeMap<(String, String), Value>,
    log: Vec<Entry>,
    asked: Vec<Asked>,
    /// Answers in place of the true ones.
    scripted: VecDeque<Reply>,
    token: Option<String>,
    /// Watches say nothing any more.
    is_mute: bool,
}

#[derive(Clone)]
enum Entry {
    Event {
        version: u64,
        namespace: String,
        service: String,
        line: String,
    },
    /// For those that watch at that moment.
    Line(String),
    End,
    Break,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let state = State { version: 100, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), changed: watch::Sender::new(0) }
    }

    pub(crate) async fn serve(&self) -> StandIn {
        self.serve_at("127.0.0.1:0".parse().expect("an address"), None).await
    }

    pub(crate) async fn serve_at(&self, address: SocketAddr, tls: Option<TlsAcceptor>) -> StandIn {
        let cluster = self.clone();
        StandIn::start_at(address, tls, move |asked| {
            let reply = cluster.answer(asked);
            async move { reply }
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics with it")
    }

    /// Puts a slice of a service into place, with these addresses and this port.
    pub(crate) fn put(&self, namespace: &str, service: &str, slice: &str, addresses: &[&str], port: u16) {
        let endpoints = addresses.iter().map(|address| {
            json!({
                "addresses": [address],
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "nodeName": "node-1",
                "zone": "zone-a",
                "targetRef": {"kind": "Pod", "name": format!("{service}-{address}"), "namespace": namespace},
            })
        });
        let ports = json!([{"name": "actor", "port": port, "protocol": "UDP"}]);
        let object =
            json!({"addressType": "IPv4", "endpoints": endpoints.collect::<Vec<_>>(), "ports": ports});
        self.put_object(namespace, service, slice, object);
    }

    pub(crate) fn put_object(&self, namespace: &str, service: &str, slice: &str, mut object: Value) {
        let mut state = self.lock();
        state.version += 1;
        let (version, key) = (state.version, (namespace.to_owned(), slice.to_owned()));
        object["apiVersion"] = json!("discovery.k8s.io/v1");
        object["kind"] = json!("EndpointSlice");
        object["metadata"] = json!({
            "name": slice,
            "namespace": namespace,
            "resourceVersion": version.to_string(),
            "labels": {"kubernetes.io/service-name": service},
        });
        let kind = if state.slices.insert(key, object.clone()).is_some() { "MODIFIED" } else { "ADDED" };
        self.log_event(state, kind, service, &object);
    }

    pub(crate) fn delete(&self, namespace: &str, slice: &str) {
        let mut state = self.lock();
        state.version += 1;
        let mut object =
            state.slices.remove(&(namespace.to_owned(), slice.to_owned())).expect("the slice is there");
        object["metadata"]["resourceVersion"] = json!(state.version.to_string());
        let service = service_of(&object).to_owned();
        self.log_event(state, "DELETED", &service, &object);
    }

    fn log_event(&self, mut state: MutexGuard<'_, State>, kind: &str, service: &str, object: &Value) {
        let (version, service) = (state.version, service.to_owned());
        let namespace = object["metadata"]["namespace"].as_str().expect("it has one").to_owned();
        let line = format!("{}\n", json!({"type": kind, "object": object}));
        state.log.push(Entry::Event { version, namespace, service, line });
        let count = state.log.len();
        drop(state);
        self.changed.send_replace(count);
    }

    fn log(&self, entry: Entry) {
        let mut state = self.lock();
        state.log.push(entry);
        let count = state.log.len();
        drop(state);
        self.changed.send_replace(count);
    }

    /// Tells all that watch that nothing has changed until a version that is new. Gives it.
    pub(crate) fn bookmark(&self) -> String {
        let mut state = self.lock();
        state.version += 10;
        let version = state.version.to_string();
        drop(state);
        let object = json!({
            "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1",
            "metadata": {"resourceVersion": version},
            "endpoints": null, "addressType": "", "ports": null,
        });
        self.line(&json!({"type": "BOOKMARK", "object": object}).to_string());
        version
    }

    /// Tells all that watch this.
    pub(crate) fn line(&self, line: &str) {
        self.log(Entry::Line(format!("{line}\n")));
    }

    /// Ends all watches as if their time was over.
    pub(crate) fn end_watches(&self) {
        self.log(Entry::End);
    }

    /// Breaks off the connections of all watches.
    pub(crate) fn break_watches(&self) {
        self.log(Entry::Break);
    }

    /// Forgets all versions until now, and says so by an event or by the status of the answer.
    pub(crate) fn compact(&self, told_by_event: bool) {
        let mut state = self.lock();
        state.version += 1;
        (state.oldest, state.told_by_event) = (state.version, told_by_event);
    }

    pub(crate) fn mute(&self, is_mute: bool) {
        self.lock().is_mute = is_mute;
    }

    /// Whoever asks needs this token.
    pub(crate) fn require(&self, token: &str) {
        self.lock().token = Some(token.to_owned());
    }

    /// The next request is answered so.
    pub(crate) fn script(&self, reply: Reply) {
        self.lock().scripted.push_back(reply);
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.lock().asked.clone()
    }

    pub(crate) fn lists(&self) -> Vec<Asked> {
        self.asked().into_iter().filter(|asked| asked.value("watch").is_empty()).collect()
    }

    pub(crate) fn watches(&self) -> Vec<Asked> {
        self.asked().into_iter().filter(|asked| asked.value("watch") == "true").collect()
    }

    /// Waits until this many watches have been asked for.
    pub(crate) async fn watched(&self, count: usize) {
        let mut changed = self.changed.subscribe();
        let watched = async {
            while self.watches().len() < count {
                changed.changed().await.expect("the cluster is there");
            }
        };
        tokio::time::timeout(Duration::from_secs(20), watched).await.expect("there is a watch in time");
    }

    fn answer(&self, asked: Asked) -> Reply {
        let mut state = self.lock();
        state.asked.push(asked.clone());
        let reply = match state.scripted.pop_front() {
            Some(reply) => reply,
            None => self.true_answer(&state, &asked),
        };
        drop(state);
        self.changed.send_modify(|_| {});
        reply
    }

    fn true_answer(&self, state: &State, asked: &Asked) -> Reply {
        let authorized = state.token.as_ref().map(|token| format!("Bearer {token}"));
        if authorized.is_some_and(|authorized| authorized != asked.header("authorization")) {
            return status(401, "Unauthorized", "Unauthorized");
        }
        let parts: Vec<_> = asked.path.trim_start_matches('/').split('/').collect();
        let ["apis", "discovery.k8s.io", "v1", "namespaces", namespace, "endpointslices"] = parts[..] else {
            return status(404, "NotFound", "the server could not find the requested resource");
        };
        let selector = asked.value("labelSelector").split_once('=');
        let ("kubernetes.io/service-name", service) = selector.expect("a label is asked for") else {
            panic!("another label is asked for: {asked:?}")
        };
        if asked.value("watch") == "true" {
            return self.watch(state, asked, namespace, service);
        }
        list(state, asked, namespace, service)
    }

    fn watch(&self, state: &State, asked: &Asked, namespace: &str, service: &str) -> Reply {
        let from: u64 = asked.value("resourceVersion").parse().expect("a version is asked for");
        if from < state.oldest {
            let text = format!("too old resource version: {from} ({})", state.oldest);
            return if state.told_by_event {
                let event = json!({"type": "ERROR", "object": status_object(410, "Expired", &text)});
                Reply::Pieces(stream::iter([Ok(Bytes::from(format!("{event}\n")))]).boxed())
            } else {
                status(410, "Expired", &text)
            };
        }
        let of = |entry: &Entry| match entry {
            Entry::Event { namespace: of, service: in_it, .. } => of == namespace && in_it == service,
            _ => true,
        };
        let missed = |entry: &&Entry| matches!(entry, Entry::Event { version, .. } if *version > from);
        let backlog: VecDeque<_> = state.log.iter().filter(missed).filter(|it| of(it)).cloned().collect();
        let seconds: u64 = asked.value("timeoutSeconds").parse().expect("a time is asked for");
        let live = (self.clone(), self.changed.subscribe(), state.log.len(), backlog);
        let (namespace, service) = (namespace.to_owned(), service.to_owned());
        let events = stream::unfold(live, move |(cluster, mut changed, mut next, mut backlog)| {
            let (namespace, service) = (namespace.clone(), service.clone());
            async move {
                loop {
                    let entry = backlog.pop_front().or_else(|| {
                        let entry = cluster.lock().log.get(next).cloned();
                        next += usize::from(entry.is_some());
                        entry
                    });
                    let is_mute = cluster.lock().is_mute;
                    let piece = match entry {
                        None => {
                            changed.changed().await.ok()?;
                            continue;
                        }
                        Some(_) if is_mute => continue,
                        Some(Entry::Event { namespace: of, service: in_it, line, .. }) => {
                            if of != namespace || in_it != service {
                                continue;
                            }
                            Ok(Bytes::from(line))
                        }
                        Some(Entry::Line(line)) => Ok(Bytes::from(line)),
                        Some(Entry::End) => return None,
                        Some(Entry::Break) => Err(io::Error::other("broken off")),
                    };
                    return Some((piece, (cluster, changed, next, backlog)));
                }
            }
        });
        if state.is_mute {
            return Reply::Pieces(stream::pending().boxed());
        }
        Reply::Pieces(events.take_until(tokio::time::sleep(Duration::from_secs(seconds))).boxed())
    }
}

fn list(state: &State, asked: &Asked, namespace: &str, service: &str) -> Reply {
    let limit: usize = asked.value("limit").parse().expect("a limit is asked for");
    let (version, from) = match asked.value("continue").split_once('@') {
        Some((version, from)) => (version.to_owned(), from.parse().expect("a place")),
        None => (state.version.to_string(), 0),
    };
    let here = |key: &&(String, String), object: &&Value| key.0 == namespace && service_of(object) == service;
    let all: Vec<_> =
        state.slices.iter().filter(|(key, object)| here(key, object)).map(|(_, it)| it).collect();
    let page: Vec<_> = all.iter().skip(from).take(limit).collect();
    let end = from + page.len();
    let mut metadata = json!({"resourceVersion": version});
    if end < all.len() {
        metadata["continue"] = json!(format!("{version}@{end}"));
        metadata["remainingItemCount"] = json!(all.len() - end);
    }
    Reply::json(
        200,
        &json!({
            "kind": "EndpointSliceList", "apiVersion": "discovery.k8s.io/v1",
            "metadata": metadata, "items": page,
        }),
    )
}

fn service_of(object: &Value) -> &str {
    object["metadata"]["labels"]["kubernetes.io/service-name"].as_str().expect("it has a service")
}

/// A `Status`, as the API server gives it instead of what was asked for.
pub(crate) fn status(code: u16, reason: &str, message: &str) -> Reply {
    Reply::json(code, &status_object(code, reason, message))
}

pub(crate) fn status_object(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    })
}

/// What the API server says to an account without a role.
pub(crate) fn forbidden(verb: &str, namespace: &str) -> Reply {
    let message = format!(
        "endpointslices.discovery.k8s.io is forbidden: User \"system:serviceaccount:{namespace}:default\" cannot {verb} \
         resource \"endpointslices\" in API group \"discovery.k8s.io\" in the namespace \"{namespace}\""
    );
    let mut object = status_object(403, "Forbidden", &message);
    object["details"] = json!({"group": "discovery.k8s.io", "kind": "endpointslices"});
    Reply::json(403, &object)
}
