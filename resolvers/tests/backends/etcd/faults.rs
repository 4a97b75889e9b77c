//! What is answered while etcd is gone, frozen, slow or silent, and when it is right again.

use std::time::Duration;

use actor_runtime::ResolveResult;
use tokio::time::Instant;

use super::{Etcd, Results, at, ports, resolve, resolver, soon, told, told_within, watch};
use crate::server::{Proxy, Weather, short_or_long};

/// How long a minute is.
fn minute() -> Duration {
    short_or_long(Duration::from_secs(5), Duration::from_secs(60))
}

fn is_fresh(result: &ResolveResult, wanted: &[u16]) -> bool {
    result.stale.is_none() && ports(result) == wanted
}

/// An etcd, a proxy before it, and a watcher of `calc` who has been told of 7000.
async fn behind_a_proxy() -> Option<(Etcd, Proxy, actor_resolvers::EtcdResolver, Results)> {
    let etcd = Etcd::start().await?;
    etcd.put("/actors/<local>/calc/1", &at(7000)).await;
    let proxy = Proxy::new(etcd.address()).await;
    let resolver = resolver(proxy.address().to_string());
    let mut results = watch(&resolver, "calc");
    told(&mut results, "what is there", |result| is_fresh(result, &[7000])).await;
    Some((etcd, proxy, resolver, results))
}

/// Asks until the time is over: each answer is the last good one, at once. Gives the age of the last.
async fn stale_for(time: Duration, resolver: &actor_resolvers::EtcdResolver) -> Duration {
    let began = Instant::now();
    let mut age = Duration::ZERO;
    while began.elapsed() < time {
        let asked = Instant::now();
        let found = resolve(resolver, "calc").await.expect("the last good answer serves");
        assert!(asked.elapsed() < Duration::from_millis(500), "at once: {:?}", asked.elapsed());
        assert_eq!(ports(&found), [7000]);
        age = found.stale.expect("it says that it is old").age;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    age
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_answer_serves_while_etcd_is_gone_for_a_minute_and_what_changed_is_told_after() {
    let Some(mut etcd) = Etcd::start().await else { return };
    etcd.put("/actors/<local>/calc/1", &at(7000)).await;
    let resolver = resolver(etcd.url());
    let mut results = watch(&resolver, "calc");
    told(&mut results, "what is there", |result| is_fresh(result, &[7000])).await;
    let killed = Instant::now();
    etcd.server.kill();
    let (stale, after) = told(&mut results, "that it is gone", |result| result.stale.is_some()).await;
    let age = stale_for(minute(), &resolver).await;
    let gone = killed.elapsed();
    assert!(gone.abs_diff(age) < Duration::from_secs(2), "{age:?} of {gone:?}");
    let reason = stale.stale.expect("it is stale").reason;
    etcd.restart().await;
    let began = Instant::now();
    told_within(Duration::from_secs(5), &mut results, "that it is back", |found| is_fresh(found, &[7000]))
        .await;
    let back = began.elapsed();
    etcd.put("/actors/<local>/calc/1", &at(7001)).await;
    told(&mut results, "a change", |found| is_fresh(found, &[7001])).await;
    eprintln!(
        "etcd: gone for {gone:.1?}: told after {after:.1?} ({reason}), served {age:.1?} old, right {back:.1?} after it \
         answers again"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_with_the_same_data_is_told_as_no_change_of_the_endpoints() {
    let Some(mut etcd) = Etcd::start().await else { return };
    etcd.put("/actors/<local>/calc/1", &at(7000)).await;
    let mut results = watch(&resolver(etcd.url()), "calc");
    told(&mut results, "what is there", |result| is_fresh(result, &[7000])).await;
    etcd.server.terminate();
    etcd.restart().await;
    let began = Instant::now();
    etcd.put("/actors/<local>/calc/2", &at(7001)).await;
    told(&mut results, "a change after it", |result| {
        assert!(ports(result).contains(&7000), "{result:?}");
        is_fresh(result, &[7000, 7001])
    })
    .await;
    eprintln!("etcd: told {:.1?} after a put to a restarted etcd", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changed_and_was_compacted_while_the_watcher_was_away_is_told() {
    let Some((etcd, proxy, _resolver, mut results)) = behind_a_proxy().await else { return };
    proxy.set(Weather::Cut);
    told(&mut results, "that it is gone", |result| result.stale.is_some()).await;
    etcd.delete("/actors/<local>/calc/1").await;
    for port in 7100..7120 {
        etcd.put("/actors/<local>/calc/2", &at(port)).await;
    }
    let last = etcd.put_bytes(b"/actors/<local>/calc/3", at(7003).as_bytes()).await;
    etcd.compact(last).await;
    proxy.set(Weather::Fair);
    let (_, after) = told(&mut results, "the last state", |result| is_fresh(result, &[7003, 7119])).await;
    eprintln!("etcd: changed and compacted while away: right {after:.1?} after the way was open");
    etcd.put("/actors/<local>/calc/3", &at(7004)).await;
    told(&mut results, "a change", |result| is_fresh(result, &[7004, 7119])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_etcd_is_found_out_and_a_thawed_one_is_right_again() {
    let Some(etcd) = Etcd::start().await else { return };
    etcd.put("/actors/<local>/calc/1", &at(7000)).await;
    let resolver = resolver(etcd.url());
    let mut results = watch(&resolver, "calc");
    told(&mut results, "what is there", |result| is_fresh(result, &[7000])).await;
    etcd.server.freeze();
    let silent = Duration::from_secs(3);
    let (_, after) =
        told_within(silent, &mut results, "that it is silent", |result| result.stale.is_some()).await;
    stale_for(Duration::from_secs(2), &resolver).await;
    etcd.server.thaw();
    let began = Instant::now();
    told(&mut results, "that it is back", |result| is_fresh(result, &[7000])).await;
    eprintln!(
        "etcd: frozen: found out after {after:.1?} (a silence of 0.5 s is borne), right {:.1?} after it thaws",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_etcd_is_followed_all_the_same() {
    let Some((etcd, proxy, resolver, mut results)) = behind_a_proxy().await else { return };
    proxy.set(Weather::Slow(Duration::from_millis(100)));
    let mut times = Vec::new();
    for port in 7100..7120 {
        let began = Instant::now();
        etcd.put("/actors/<local>/calc/1", &at(port)).await;
        let bound = Duration::from_secs(2);
        told_within(bound, &mut results, "a change", |result| is_fresh(result, &[port])).await;
        times.push(began.elapsed());
    }
    assert_eq!(resolve(&resolver, "calc").await.unwrap().stale, None);
    eprintln!("etcd: from a put to its watcher, each piece 100 ms late: {}", super::p50_max(times));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_way_that_is_paused_is_found_out() {
    let Some((_etcd, proxy, resolver, mut results)) = behind_a_proxy().await else { return };
    proxy.set(Weather::Paused);
    let bound = Duration::from_secs(3);
    let (_, after) = told_within(bound, &mut results, "the silence", |result| result.stale.is_some()).await;
    stale_for(Duration::from_secs(1), &resolver).await;
    proxy.set(Weather::Fair);
    let (_, back) = told(&mut results, "that it is back", |result| is_fresh(result, &[7000])).await;
    eprintln!("etcd: paused: found out after {after:.1?}, right {back:.1?} after it goes on");
}

/// The watch's connection stays and tells nothing, while all else is as ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_dies_in_silence_is_found_out_when_something_has_changed() {
    let Some((etcd, proxy, _resolver, mut results)) = behind_a_proxy().await else { return };
    for (what, port) in [("a put", Some(7001)), ("a deletion", None)] {
        // Told by a watch, which there is then; what was told before may have been in a list.
        etcd.put("/actors/<local>/calc/1", &at(7500)).await;
        told(&mut results, "a change", |result| is_fresh(result, &[7500])).await;
        proxy.forget("/v3/watch");
        let began = Instant::now();
        match port {
            Some(port) => etcd.put("/actors/<local>/calc/1", &at(port)).await,
            None => etcd.delete("/actors/<local>/calc/1").await,
        }
        let wanted: Vec<u16> = port.into_iter().collect();
        let bound = Duration::from_secs(4);
        told_within(bound, &mut results, what, |result| is_fresh(result, &wanted)).await;
        eprintln!(
            "etcd: a dead watch: {what} is told after {:.1?} (0.5 s of silence are borne)",
            began.elapsed()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_old_is_not_served_and_an_etcd_that_never_was_is_an_error_that_says_why() {
    let Some(mut etcd) = Etcd::start().await else { return };
    etcd.put("/actors/<local>/calc/1", &at(7000)).await;
    let view = soon().serve_stale_for(Duration::from_secs(1));
    let resolver = actor_resolvers::EtcdResolver::with(etcd.url(), view).unwrap();
    let mut results = watch(&resolver, "calc");
    told(&mut results, "what is there", |result| is_fresh(result, &[7000])).await;
    etcd.server.kill();
    crate::server::until("it is too old", async || resolve(&resolver, "calc").await.is_err()).await;
    let error = resolve(&resolver, "calc").await.unwrap_err().to_string();
    assert!(error.contains("too old") && error.contains("refused"), "{error}");

    let nowhere = super::resolver(format!("http://127.0.0.1:{}", crate::server::free_port()));
    let error = resolve(&nowhere, "calc").await.unwrap_err().to_string();
    assert!(error.contains("cannot be reached") && error.contains("refused"), "{error}");
}
