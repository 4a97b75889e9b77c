//! The part of Compute Engine and of the metadata server that a resolver asks, as the real ones answer.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use serde_json::{Value, json};

use crate::standin::{Asked, Reply, StandIn};

/// A project on loopback. Clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Project {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// By zone, in the order of the API.
    instances: Vec<(String, Value)>,
    asked: Vec<Asked>,
    /// Answers of Compute Engine in place of the true ones.
    scripted: VecDeque<Reply>,
    /// Answers of the metadata server in place of the true ones.
    scripted_tokens: VecDeque<Reply>,
    /// The number of the token that is good.
    token: u32,
    /// For how many seconds tokens are good.
    good_for: u64,
    /// Pages are this long, if that is less than what is asked for.
    page: Option<usize>,
}

impl Project {
    pub(crate) fn new() -> Self {
        let project = Self::default();
        project.lock().good_for = 3599;
        project
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics with it")
    }

    pub(crate) async fn serve(&self) -> StandIn {
        let project = self.clone();
        StandIn::start(move |asked| {
            let reply = project.answer(asked);
            async move { reply }
        })
        .await
    }

    pub(crate) async fn serve_at(&self, address: SocketAddr) -> StandIn {
        let project = self.clone();
        StandIn::start_at(address, None, move |asked| {
            let reply = project.answer(asked);
            async move { reply }
        })
        .await
    }

    /// A machine in zone `z1`.
    pub(crate) fn put(&self, name: &str, status: &str, ip: Option<&str>, metadata: &[(&str, &str)]) {
        let items: Vec<_> = metadata.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
        let mut object = json!({
            "kind": "compute#instance", "id": "8195478613", "name": name, "status": status,
            "zone": "https://www.googleapis.com/compute/v1/projects/p/zones/z1",
            "metadata": {"kind": "compute#metadata", "fingerprint": "JZt8", "items": items},
            "networkInterfaces": [{"kind": "compute#networkInterface", "name": "nic0", "stackType": "IPV4_ONLY"}],
        });
        if let Some(ip) = ip {
            object["networkInterfaces"][0]["networkIP"] = json!(ip);
        }
        self.put_object("z1", object);
    }

    /// In the place of the one of its name.
    pub(crate) fn put_object(&self, zone: &str, object: Value) {
        let mut state = self.lock();
        state.instances.retain(|(_, other)| other["name"].is_null() || other["name"] != object["name"]);
        state.instances.push((zone.to_owned(), object));
    }

    pub(crate) fn clear(&self) {
        self.lock().instances.clear();
    }

    pub(crate) fn script(&self, reply: Reply) {
        self.lock().scripted.push_back(reply);
    }

    pub(crate) fn script_token(&self, reply: Reply) {
        self.lock().scripted_tokens.push_back(reply);
    }

    /// Tokens that were given are good no more.
    pub(crate) fn revoke(&self) {
        self.lock().token += 1;
    }

    pub(crate) fn tokens_are_good_for(&self, seconds: u64) {
        self.lock().good_for = seconds;
    }

    pub(crate) fn pages_of(&self, size: usize) {
        self.lock().page = Some(size);
    }

    pub(crate) fn lists(&self) -> Vec<Asked> {
        self.lock().asked.iter().filter(|asked| asked.path.starts_with("/compute/")).cloned().collect()
    }

    pub(crate) fn tokens(&self) -> usize {
        self.lock().asked.iter().filter(|asked| asked.path.starts_with("/computeMetadata/")).count()
    }

    fn answer(&self, asked: Asked) -> Reply {
        let mut state = self.lock();
        state.asked.push(asked.clone());
        if asked.path == "/computeMetadata/v1/instance/service-accounts/default/token" {
            return state.scripted_tokens.pop_front().unwrap_or_else(|| token(&state, &asked));
        }
        state.scripted.pop_front().unwrap_or_else(|| list(&state, &asked))
    }
}

fn token(state: &State, asked: &Asked) -> Reply {
    if asked.header("metadata-flavor") != "Google" {
        return Reply::text(403, "Missing Metadata-Flavor:Google header.");
    }
    let token = format!("ya29.{}", state.token);
    let given = json!({"access_token": token, "expires_in": state.good_for, "token_type": "Bearer"});
    Reply::json(200, &given).with("metadata-flavor", "Google")
}

fn list(state: &State, asked: &Asked) -> Reply {
    if asked.header("authorization") != format!("Bearer ya29.{}", state.token) {
        let text = "Request had invalid authentication credentials. Expected OAuth 2 access token.";
        return error(401, text, "authError");
    }
    let parts: Vec<_> = asked.path.trim_start_matches('/').split('/').collect();
    let ["compute", "v1", "projects", "p", "zones", zone, "instances"] = parts[..] else {
        return error(404, "The resource 'projects/x' was not found", "notFound");
    };
    let runs = |object: &Value| asked.value("filter").is_empty() || object["status"] == "RUNNING";
    let here: Vec<_> = state.instances.iter().filter(|(place, it)| place == zone && runs(it)).collect();
    let most: usize = asked.value("maxResults").parse().expect("a size is asked for");
    let size = state.page.map_or(most, |page| page.min(most));
    let from: usize =
        asked.value("pageToken").strip_prefix("CkL/=").map_or(0, |from| from.parse().expect("a place"));
    let page: Vec<_> = here.iter().skip(from).take(size).map(|(_, object)| object).collect();
    let end = from + page.len();
    let mut answer = json!({"kind": "compute#instanceList", "id": "projects/p/zones/z1/instances"});
    if !page.is_empty() {
        answer["items"] = json!(page);
    }
    if end < here.len() {
        answer["nextPageToken"] = json!(format!("CkL/={end}"));
    }
    Reply::json(200, &answer)
}

/// The error of Google's APIs.
pub(crate) fn error(code: u16, message: &str, reason: &str) -> Reply {
    let domain = if reason.ends_with("Exceeded") { "usageLimits" } else { "global" };
    Reply::json(
        code,
        &json!({"error": {
            "code": code, "message": message,
            "errors": [{"message": message, "domain": domain, "reason": reason}],
        }}),
    )
}
