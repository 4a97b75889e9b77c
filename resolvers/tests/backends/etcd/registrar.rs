//! What is announced, for as long as it should be.

use std::time::Duration;

use actor_resolvers::{EtcdOptions, EtcdRegistrar, EtcdResolver};
use actor_runtime::{AnnounceError, Config, ResolveResult, prelude::*};
use serde_json::json;
use tokio::time::Instant;

use super::{Etcd, at, resolve, resolver, told, told_within, watch};
use crate::server::{Proxy, Weather, free_port, until};

#[actor_service]
pub(super) trait Calc {
    async fn double(&self, x: u32) -> u32;
}

pub(super) struct Doubling;

#[actor_service]
impl Calc for Doubling {
    async fn double(&self, x: u32) -> u32 {
        2 * x
    }
}

/// A server with an actor of this name.
pub(super) async fn serving(name: &str) -> ActorServer {
    let server = empty().await;
    server.register(name, Doubling).expect("a name that is free");
    server
}

pub(super) async fn empty() -> ActorServer {
    let config = Config { default_timeout: Duration::from_secs(3), ..Config::default() };
    let node = Node::builder().config(config).build().expect("there is a runtime");
    ActorServer::bind_on(&node, "127.0.0.1:0").await.expect("a free port")
}

/// A registrar that finds out soon that etcd says nothing, with the shortest lease.
pub(super) fn registrar(url: &str) -> EtcdRegistrar {
    let options = EtcdOptions::new(url).silence(Duration::from_millis(500));
    EtcdRegistrar::new(options).expect("options").ttl(Duration::from_secs(2))
}

/// Why what is wanted is not announced.
pub(super) async fn failure(server: &ActorServer) -> String {
    match server.announced().await {
        Err(AnnounceError::Late { reason: Some(reason), .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_registered_is_found_under_one_lease_and_what_ends_is_not() {
    let Some(etcd) = Etcd::start().await else { return };
    let server = serving("a").await;
    server.node().set_registrar(registrar(&etcd.url()));
    server.registration("b", Doubling).metadata("zone", "eu").register().unwrap();
    server.announced().await.unwrap();
    let resolver = resolver(etcd.url());
    let found = resolve(&resolver, "b").await.unwrap();
    let endpoint = found.first().unwrap();
    assert_eq!(endpoint.address.to_string(), server.address().to_string());
    assert_eq!(endpoint.actor.unwrap().node(), server.node().id());
    assert_eq!(endpoint.metadata["zone"], "eu");
    let keys = etcd.keys().await;
    assert_eq!((keys.len(), etcd.leases().await), (2, 1));
    assert!(keys[0].1 != 0 && keys[0].1 == keys[1].1, "{keys:?}");
    assert!(keys[0].0.starts_with(&format!("/actors/<local>/a/{}-", server.node().id())), "{keys:?}");

    server.unregister("b").await;
    server.announced().await.unwrap();
    assert_eq!(etcd.keys().await, keys[..1]);

    let mut times = Vec::new();
    let mut results = watch(&resolver, "c");
    for _ in 0..20 {
        let began = Instant::now();
        server.register("c", Doubling).unwrap();
        told(&mut results, "it is there", |result| result.endpoints.len() == 1).await;
        times.push(began.elapsed());
        server.unregister("c").await;
        told(&mut results, "it is not there", ResolveResult::is_empty).await;
    }
    eprintln!("etcd: from a registration to a watcher elsewhere: {}", super::p50_max(times));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_actors_are_announced_in_few_requests() {
    let Some(etcd) = Etcd::start().await else { return };
    let server = empty().await;
    for number in 0..1000 {
        server.register(format!("actor {number:04} of 100%/\u{e4}").replace('/', "_"), Doubling).unwrap();
    }
    let began = Instant::now();
    server.node().set_registrar(registrar(&etcd.url()));
    server.announced().await.unwrap();
    let announced = began.elapsed();
    assert_eq!((etcd.keys().await.len(), etcd.leases().await), (1000, 1));
    let found = resolve(&resolver(etcd.url()), "actor 0007 of 100%_\u{e4}").await.unwrap();
    assert_eq!(found.endpoints.len(), 1);
    for number in 0..500 {
        server.unregister(&format!("actor {number:04} of 100%_\u{e4}")).await;
    }
    server.announced().await.unwrap();
    assert_eq!(etcd.keys().await.len(), 500);
    let began = Instant::now();
    server.shutdown(Duration::from_secs(5)).await.unwrap();
    assert_eq!((etcd.keys().await.len(), etcd.leases().await), (0, 0));
    eprintln!(
        "etcd: 1,000 actors announced within {announced:.1?}, 500 withdrawn by a shutdown of {:.1?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_withdraws_and_so_does_the_end_of_the_node() {
    let Some(etcd) = Etcd::start().await else { return };
    let (one, two) = (serving("calc").await, serving("calc").await);
    let slow = EtcdRegistrar::new(etcd.url()).unwrap().ttl(Duration::from_secs(600));
    one.node().set_registrar(slow.clone());
    two.node().set_registrar(slow);
    one.announced().await.unwrap();
    two.announced().await.unwrap();
    let mut results = watch(&resolver(etcd.url()), "calc");
    told(&mut results, "both", |result| result.endpoints.len() == 2).await;
    let began = Instant::now();
    let shut = one.shutdown(Duration::from_secs(5));
    let told_of_it = told(&mut results, "one", |result| result.endpoints.len() == 1);
    let (_, (left, after)) = futures::join!(shut, told_of_it);
    assert_eq!(left.first().unwrap().actor.unwrap().node(), two.node().id());
    assert!(began.elapsed() < Duration::from_secs(5));
    drop(two);
    told(&mut results, "none", ResolveResult::is_empty).await;
    until("no lease is left", async || etcd.leases().await == 0).await;
    eprintln!("etcd: a shutdown is told after {after:.1?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_is_not_found_when_its_lease_has_ended() {
    let Some(etcd) = Etcd::start().await else { return };
    let stays = serving("calc").await;
    stays.node().set_registrar(registrar(&etcd.url()));
    stays.announced().await.unwrap();
    let mut results = watch(&resolver(etcd.url()), "calc");
    for _ in 0..3 {
        let mut process = super::whole::process(&etcd);
        told(&mut results, "both", |result| result.endpoints.len() == 2).await;
        let began = Instant::now();
        process.kill();
        let bound = Duration::from_secs(2 + 2);
        let (left, _) =
            told_within(bound, &mut results, "its end", |result| result.endpoints.len() == 1).await;
        eprintln!("etcd: killed, and told after {:.1?}; the lease has 2 s", began.elapsed());
        assert_eq!(left.first().unwrap().actor.unwrap().node(), stays.node().id());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_is_lost_is_got_again_and_so_are_keys_that_somebody_deletes() {
    let Some(etcd) = Etcd::start().await else { return };
    let server = serving("calc").await;
    server.node().set_registrar(registrar(&etcd.url()));
    server.announced().await.unwrap();
    let mut results = watch(&resolver(etcd.url()), "calc");
    told(&mut results, "it is there", |result| result.endpoints.len() == 1).await;
    let (key, lease) = etcd.keys().await.remove(0);
    let began = Instant::now();
    etcd.ask("/v3/lease/revoke", &json!({ "ID": lease.to_string() })).await.expect("it answers");
    told(&mut results, "it is lost", ResolveResult::is_empty).await;
    told_within(Duration::from_secs(3), &mut results, "it is back", |result| result.endpoints.len() == 1)
        .await;
    eprintln!(
        "etcd: a lost lease: found again {:.1?} after it was revoked; it is renewed every 0.7 s",
        began.elapsed()
    );
    let (again, new) = etcd.keys().await.remove(0);
    assert!(again == key && new != lease && etcd.leases().await == 1);

    let began = Instant::now();
    etcd.delete(&key).await;
    told(&mut results, "it is deleted", ResolveResult::is_empty).await;
    told_within(Duration::from_secs(5), &mut results, "it is back", |result| result.endpoints.len() == 1)
        .await;
    eprintln!("etcd: a deleted key: back after {:.1?}; every fourth renewal looks", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_registration_has_put_is_left_alone() {
    let Some(etcd) = Etcd::start().await else { return };
    let server = serving("calc").await;
    server.register("other", Doubling).unwrap();
    server.node().set_registrar(registrar(&etcd.url()).ttl(Duration::from_secs(60)));
    server.announced().await.unwrap();
    let (key, _) = etcd.keys().await.remove(0);
    etcd.put(&key, &at(7000)).await;
    server.unregister("calc").await;
    server.announced().await.unwrap();
    assert_eq!(etcd.keys().await.iter().filter(|(_, lease)| *lease == 0).count(), 1, "no lease is ours");
    server.shutdown(Duration::from_secs(5)).await.unwrap();
    assert_eq!(etcd.keys().await, [(key, 0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_that_comes_late_or_again_is_told_everything() {
    let Some(mut etcd) = Etcd::start().await else { return };
    etcd.server.kill();
    let server = serving("calc").await;
    server.node().set_registrar(registrar(&etcd.url()));
    let reason = failure(&server).await;
    assert!(reason.contains("cannot be reached") && reason.contains("refused"), "{reason}");
    etcd.restart().await;
    let began = Instant::now();
    until("it is announced", async || server.announced().await.is_ok()).await;
    eprintln!("etcd: announced {:.1?} after etcd came", began.elapsed());
    assert_eq!(etcd.keys().await.len(), 1);

    // For longer than the lease.
    etcd.server.freeze();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let reason = failure(&server).await;
    assert!(reason.contains("did not answer within"), "{reason}");
    server.register("later", Doubling).unwrap();
    etcd.server.thaw();
    let began = Instant::now();
    until("it is announced again", async || server.announced().await.is_ok()).await;
    eprintln!("etcd: frozen for 7 s: announced again {:.1?} after it thaws", began.elapsed());
    until("both are there", async || etcd.keys().await.len() == 2 && etcd.leases().await == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_ends_in_time_when_etcd_does_not_answer() {
    let Some(etcd) = Etcd::start().await else { return };
    for weather in [Weather::Paused, Weather::Cut] {
        let proxy = Proxy::new(etcd.address()).await;
        let server = serving("calc").await;
        server.node().set_registrar(registrar(&format!("http://{}", proxy.address())));
        server.announced().await.unwrap();
        proxy.set(weather);
        let began = Instant::now();
        server.shutdown(Duration::from_secs(1)).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        drop(server);
        until("the lease ends by itself", async || etcd.leases().await == 0).await;
        assert!(etcd.keys().await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_etcd_keeps_the_lease() {
    let Some(etcd) = Etcd::start().await else { return };
    let proxy = Proxy::new(etcd.address()).await;
    let server = serving("calc").await;
    server.node().set_registrar(registrar(&format!("http://{}", proxy.address())));
    server.announced().await.unwrap();
    let keys = etcd.keys().await;
    proxy.set(Weather::Slow(Duration::from_millis(100)));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(etcd.keys().await, keys);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_cannot_reach_is_not_announced() {
    let Some(etcd) = Etcd::start().await else { return };
    let node =
        Node::builder().config(Config { default_timeout: Duration::from_secs(1), ..Config::default() });
    let local = ActorServer::bind_on(&node.build().unwrap(), "loopback:0").await.unwrap();
    local.register("here", Doubling).unwrap();
    local.node().set_registrar(registrar(&etcd.url()));
    let reason = failure(&local).await;
    assert!(reason.contains("within its own process only"), "{reason}");
    assert!(etcd.keys().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn times_without_end_are_as_long_as_can_be() {
    let Some(etcd) = Etcd::start().await else { return };
    let options = EtcdOptions::new(etcd.url()).silence(Duration::MAX);
    let server = serving("calc").await;
    server.node().set_registrar(EtcdRegistrar::new(options.clone()).unwrap().ttl(Duration::MAX));
    server.announced().await.unwrap();
    let resolver = EtcdResolver::with(options, super::soon()).unwrap();
    let mut results = watch(&resolver, "calc");
    told(&mut results, "it is there", |result| result.endpoints.len() == 1).await;
    server.unregister("calc").await;
    server.announced().await.unwrap();
    let (none, _) = told(&mut results, "it is not there", ResolveResult::is_empty).await;
    assert_eq!(none.stale, None);
    server.shutdown(Duration::from_secs(5)).await.unwrap();
    assert_eq!(etcd.leases().await, 0);
}

#[test]
fn options_that_cannot_be_are_errors() {
    for bad in ["", "ftp://x", "http://a/path"] {
        assert!(EtcdRegistrar::new(bad).is_err(), "{bad}");
    }
    let url = format!("http://127.0.0.1:{}", free_port());
    let registrar = EtcdRegistrar::new(EtcdOptions::new(&url).prefix("/x")).unwrap();
    assert_eq!(format!("{registrar:?}"), format!("etcd at {url} under \"/x/\""));
}
