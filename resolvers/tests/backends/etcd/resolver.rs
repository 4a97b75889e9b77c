//! What is found, and when it is told.

use std::{collections::BTreeSet, time::Duration};

use actor_runtime::{Namespace, Resolver};
use tokio::time::Instant;

use super::{Etcd, at, p50_max, ports, resolve, resolver, told, told_within, watch};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_is_found_and_each_change_is_told() {
    let Some(etcd) = Etcd::start().await else { return };
    etcd.put("/actors/<local>/calc/1", &at(7000)).await;
    etcd.put("/actors/other/calc/1", &at(7009)).await;
    etcd.put("/actors/<local>x/calc/1", &at(7008)).await;
    let resolver = resolver(etcd.url());
    assert_eq!(format!("{resolver:?}"), format!("etcd at {} under \"/actors/\"", etcd.url()));
    let found = resolve(&resolver, "calc").await.unwrap();
    assert_eq!(found.first().unwrap().to_string(), "actor://127.0.0.1:7000/calc");
    assert_eq!((found.endpoints.len(), found.stale), (1, None));
    let other = Namespace::new("other").unwrap();
    assert_eq!(ports(&resolver.resolve(&other, "calc").await.unwrap()), [7009]);
    let none = resolve(&resolver, "model").await.unwrap();
    assert_eq!((none.is_empty(), none.known), (true, vec![r#""calc" in <local>"#.to_owned()]));

    let mut results = watch(&resolver, "calc");
    told(&mut results, "what is there", |result| ports(result) == [7000]).await;
    let mut times = Vec::new();
    for turn in 0..25 {
        let began = Instant::now();
        etcd.put("/actors/<local>/calc/2", &at(7100 + turn)).await;
        let put = began.elapsed();
        told(&mut results, "the change", |result| ports(result) == [7000, 7100 + turn]).await;
        times.push(began.elapsed());
        assert!(put < Duration::from_secs(5));
    }
    etcd.delete("/actors/<local>/calc/1").await;
    told(&mut results, "the deletion", |result| ports(result) == [7124]).await;
    eprintln!("etcd: from a put to its watcher: {}", p50_max(times));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_keys_come_change_and_go_and_the_last_state_is_told() {
    let Some(etcd) = Etcd::start().await else { return };
    let resolver = resolver(etcd.url());
    let mut results = watch(&resolver, "calc");
    let began = Instant::now();
    for round in 0..2 {
        let puts = (0..200).map(|id| {
            let (key, value) = (format!("/actors/<local>/calc/{id:03}"), at(10_000 + round * 1000 + id));
            let etcd = &etcd;
            async move { etcd.put(&key, &value).await }
        });
        futures::future::join_all(puts).await;
    }
    for id in (0..200).step_by(2) {
        etcd.delete(&format!("/actors/<local>/calc/{id:03}")).await;
    }
    let changed = began.elapsed();
    let left: Vec<u16> = (0..200).filter(|id| id % 2 == 1).map(|id| 11_000 + id).collect();
    let (_, after) = told(&mut results, "the last state", |result| ports(result) == left).await;
    eprintln!("etcd: 500 changes in {changed:.1?}, the last state told {after:.1?} later");
    assert_eq!(ports(&resolve(&resolver, "calc").await.unwrap()), left);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_lists_come_page_by_page_however_long_their_values_are() {
    let Some(etcd) = Etcd::start().await else { return };
    for from in (0..1500).step_by(100) {
        let puts = (from..from + 100).map(|id| {
            let (key, value) = (format!("/actors/<local>/calc/{id:04}"), at(10_000 + id));
            let etcd = &etcd;
            async move { etcd.put(&key, &value).await }
        });
        futures::future::join_all(puts).await;
    }
    // A page of these is longer than a page may be.
    let long = format!(r#"{{"address":"127.0.0.1:7","metadata":{{"x":"{}"}}}}"#, "y".repeat(60_000));
    for id in 0..200 {
        etcd.put(&format!("/actors/<local>/long/{id:03}"), &long).await;
    }
    let resolver = resolver(etcd.url());
    let began = Instant::now();
    let found = resolve(&resolver, "calc").await.unwrap();
    eprintln!("etcd: 1,700 keys with 12 MB listed within {:.1?}", began.elapsed());
    let all: BTreeSet<u16> = ports(&found).into_iter().collect();
    assert_eq!((all.len(), found.rejected.len()), (1500, 0));
    assert_eq!(resolve(&resolver, "long").await.unwrap().endpoints.len(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_entry_is_told_and_spoils_nothing() {
    let Some(etcd) = Etcd::start().await else { return };
    etcd.put("/actors/<local>/calc/1", &at(7000)).await;
    let resolver = resolver(etcd.url());
    let mut results = watch(&resolver, "calc");
    told(&mut results, "the good one", |result| ports(result) == [7000]).await;
    let huge = vec![b'x'; 1 << 20];
    let bad: [(&str, &[u8]); 9] = [
        ("a", b"nonsense"),
        ("b", b""),
        ("c", b"\xff\xfe"),
        ("d", br#"{"metadata":{}}"#),
        ("e", br#"{"address":"nowhere"}"#),
        ("f", br#"{"address":"127.0.0.1:1","metadata":{"a":7}}"#),
        ("g", br#"{"address":"127.0.0.1:1","actor":"me"}"#),
        ("h", br#"{"address":"loopback:1"}"#),
        ("i", &huge),
    ];
    for (id, value) in bad {
        etcd.put_bytes(format!("/actors/<local>/calc/{id}").as_bytes(), value).await;
    }
    etcd.put_bytes(b"/actors/<local>/calc/\xff", b"{}").await;
    etcd.put_bytes(b"/actors/<local>/no id", b"{}").await;
    etcd.put("/actors/<local>/calc/z", r#"{"address":"127.0.0.1:7001","ours":{"x":[1,2]}}"#).await;
    let both = |result: &actor_runtime::ResolveResult| ports(result) == [7000, 7001];
    let (found, _) = told(&mut results, "both good ones", both).await;
    assert_eq!(found.rejected.len(), bad.len(), "{:?}", found.rejected);
    for (reason, (id, _)) in found.rejected.iter().zip(bad) {
        assert!(reason.starts_with(&format!("/actors/<local>/calc/{id}: ")), "{reason}");
        assert!(reason.len() < 300, "{reason}");
    }
    // A list finds the same as the watch.
    let listed = resolve(&super::resolver(etcd.url()), "calc").await.unwrap();
    assert_eq!((ports(&listed), &listed.rejected), (vec![7000, 7001], &found.rejected));
    assert_eq!(resolve(&resolver, "no id").await.unwrap().rejected.len(), 2, "keys that belong to no name");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_etcd_with_nothing_new_for_us_is_no_dead_watch() {
    let Some(etcd) = Etcd::start().await else { return };
    etcd.put("/actors/<local>/calc/1", &at(7000)).await;
    let resolver = resolver(etcd.url());
    let mut results = watch(&resolver, "calc");
    told(&mut results, "what is there", |result| ports(result) == [7000]).await;
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        etcd.put("/elsewhere", "x").await;
        let found = resolve(&resolver, "calc").await.unwrap();
        assert_eq!(found.stale, None);
    }
    etcd.put("/actors/<local>/calc/1", &at(7001)).await;
    let (_, after) = told_within(Duration::from_secs(2), &mut results, "the change", |result| {
        assert_eq!(result.stale, None);
        ports(result) == [7001]
    })
    .await;
    eprintln!("etcd: told after {after:.1?} by a watch that was silent for three seconds");
}
