//! Three members, one of which is lost.

use std::{process::Command, time::Duration};

use actor_resolvers::EtcdRegistrar;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::{at, ports, post, registrar, registrar::serving, resolver, text, told, told_within, watch};
use crate::server::{Folder, Server, free_port, program, until};

struct Cluster {
    urls: Vec<String>,
    members: Vec<Server>,
    _folder: Folder,
}

impl Cluster {
    async fn start() -> Option<Self> {
        let program = program("etcd", "ACTOR_ETCD")?;
        let folder = Folder::new("etcd-cluster");
        let free = || format!("http://127.0.0.1:{}", free_port());
        let (urls, peers) = ([free(), free(), free()], [free(), free(), free()]);
        let all: Vec<String> = (0..3).map(|member| format!("m{member}={}", peers[member])).collect();
        let mut members = Vec::new();
        for (member, (url, peer)) in urls.iter().zip(&peers).enumerate() {
            let mut command = Command::new(&program);
            command.arg("--data-dir").arg(folder.path().join(format!("data{member}")));
            command.args(["--name", &format!("m{member}"), "--initial-cluster", &all.join(",")]);
            command.args(["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]);
            command.args(["--listen-client-urls", url, "--advertise-client-urls", url]);
            members.push(Server::start(command, &folder.path().join(format!("log{member}"))));
        }
        let cluster = Self { urls: urls.to_vec(), members, _folder: folder };
        until("the cluster has a leader", async || cluster.put(2, "/x", "y").await).await;
        Some(cluster)
    }

    fn url(&self) -> String {
        self.urls.join(",")
    }

    /// Puts it at this member; gives whether that was done.
    async fn put(&self, member: usize, key: &str, value: &str) -> bool {
        let asks = json!({ "key": text(key), "value": text(value) });
        let done = post(&format!("{}/v3/kv/put", self.urls[member]), &asks).await;
        done.is_some_and(|done| done["header"].is_object())
    }

    /// The first member that does not lead.
    async fn follower(&self) -> usize {
        for (member, url) in self.urls.iter().enumerate() {
            let status = post(&format!("{url}/v3/maintenance/status"), &json!({})).await.expect("it answers");
            if status["leader"] != status["header"]["member_id"] {
                return member;
            }
        }
        panic!("all of them lead");
    }

    /// What this member has of the actors: keys with their leases.
    async fn leases(&self, member: usize) -> Vec<(String, String)> {
        let asks = json!({ "key": text("/actors/"), "range_end": text("/actors0") });
        let has = post(&format!("{}/v3/kv/range", self.urls[member]), &asks).await.expect("it answers");
        let field = |entry: &Value, name: &str| entry[name].as_str().expect("a text").to_owned();
        let keys = has["kvs"].as_array().into_iter().flatten();
        keys.map(|entry| (field(entry, "key"), field(entry, "lease"))).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_lease_is_kept_though_the_first_member_is_frozen_and_much_silence_is_borne() {
    let Some(cluster) = Cluster::start().await else { return };
    // A new leader would give all leases more time.
    let first = cluster.follower().await;
    let urls: Vec<&str> = (first..first + 3).map(|member| &*cluster.urls[member % 3]).collect();
    let server = serving("model").await;
    let registrar = EtcdRegistrar::new(urls.join(",")).unwrap().ttl(Duration::from_secs(4));
    server.node().set_registrar(registrar);
    server.announced().await.unwrap();
    let there = cluster.leases(2).await;
    assert_eq!(there.len(), 1);
    cluster.members[first].freeze();
    // Two leases later. Where one was lost all is put under another.
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(cluster.leases(2).await, there);
    server.register("later", registrar::Doubling).unwrap();
    server.announced().await.unwrap();
    assert_eq!(cluster.leases(2).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_freezes_or_is_lost_is_left_for_another_one() {
    let Some(mut cluster) = Cluster::start().await else { return };
    assert!(cluster.put(2, "/actors/<local>/calc/1", &at(7000)).await);
    let resolver = resolver(cluster.url());
    let mut results = watch(&resolver, "calc");
    told(&mut results, "what is there", |result| ports(result) == [7000]).await;
    let server = serving("model").await;
    server.node().set_registrar(registrar::registrar(&cluster.url()).ttl(Duration::from_secs(10)));
    server.announced().await.unwrap();

    for (what, port) in [("frozen", 7001), ("killed", 7002)] {
        let began = Instant::now();
        if what == "frozen" {
            cluster.members[0].freeze();
        } else {
            cluster.members[0].thaw();
            cluster.members[0].kill();
        }
        // There may have to be another leader first.
        until("it is put", async || {
            let value = at(port);
            let put = cluster.put(2, "/actors/<local>/calc/1", &value);
            timeout(Duration::from_secs(2), put).await.is_ok_and(|done| done)
        })
        .await;
        let bound = Duration::from_secs(10);
        told_within(bound, &mut results, what, |result| ports(result) == [port] && result.stale.is_none())
            .await;
        eprintln!("etcd: one of three members {what}: a change is told {:.1?} later", began.elapsed());
    }
    server.register("later", registrar::Doubling).unwrap();
    until("it is announced", async || server.announced().await.is_ok()).await;
    let mut results = watch(&resolver, "later");
    told(&mut results, "it is found", |result| result.endpoints.len() == 1).await;
}
