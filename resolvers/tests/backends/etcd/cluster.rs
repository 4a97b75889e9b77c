//! Three members, one of which is lost.

use std::{process::Command, time::Duration};

use serde_json::json;
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
