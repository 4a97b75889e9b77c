use std::{io, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream};
use serde_json::json;

use super::{builder, cluster, resolver};
use crate::{
    cluster::status,
    standin::Reply,
    watched::{Watched, half_and_most, now},
};

#[tokio::test]
async fn a_change_is_told_at_once() {
    let (cluster, server) = cluster().await;
    let resolver = resolver(&server);
    let mut watched = Watched::new(&resolver, "calc");
    assert!(watched.next().await.unwrap().is_empty());
    cluster.watched(1).await;
    let mut times = Vec::new();
    for number in 1..=40 {
        let (address, began) = (format!("10.0.0.{number}"), now());
        cluster.put("prod", "calc", "calc-0", &[&address], 7000);
        watched.has(&[&format!("{address}:7000")]).await;
        times.push(began.elapsed());
    }
    cluster.delete("prod", "calc-0");
    watched.has(&[]).await;
    let (half, most) = half_and_most(times);
    eprintln!("kubernetes: a watcher is told of a change after {half:.2?} (half of 40), {most:.2?} (most)");
    assert!(most < Duration::from_secs(2), "{most:?}");
    assert_eq!((cluster.lists().len(), watched.stale), (1, 0));
}

#[tokio::test]
async fn a_watch_whose_time_is_over_goes_on_from_the_last_version_without_a_list_and_is_not_stale() {
    let (cluster, server) = cluster().await;
    cluster.put("prod", "calc", "calc-0", &["10.0.0.1"], 7000);
    let resolver = resolver(&server);
    let mut watched = Watched::new(&resolver, "calc");
    watched.has(&["10.0.0.1:7000"]).await;
    cluster.watched(1).await;
    cluster.put("prod", "calc", "calc-1", &["10.0.0.2"], 7000);
    watched.has(&["10.0.0.1:7000", "10.0.0.2:7000"]).await;
    cluster.end_watches();
    cluster.watched(2).await;
    let version = cluster.bookmark();
    cluster.end_watches();
    cluster.watched(3).await;
    cluster.delete("prod", "calc-0");
    watched.has(&["10.0.0.2:7000"]).await;
    let versions: Vec<_> =
        cluster.watches().iter().map(|asked| asked.value("resourceVersion").to_owned()).collect();
    assert_eq!(versions, ["101", "102", &version]);
    assert_eq!((cluster.lists().len(), watched.stale), (1, 0));
}

#[tokio::test]
async fn a_watch_ends_by_its_own_time_and_is_asked_for_again() {
    let (cluster, server) = cluster().await;
    cluster.put("prod", "calc", "calc-0", &["10.0.0.1"], 7000);
    let resolver = builder(&server).silence(Duration::from_secs(2)).build().unwrap();
    let mut watched = Watched::new(&resolver, "calc");
    watched.has(&["10.0.0.1:7000"]).await;
    cluster.watched(4).await;
    assert_eq!(cluster.watches()[0].value("timeoutSeconds"), "1");
    assert_eq!((cluster.lists().len(), watched.stale), (1, 0));
}

#[tokio::test]
async fn what_happened_between_two_watches_is_not_missed() {
    let (cluster, server) = cluster().await;
    let resolver = resolver(&server);
    let mut watched = Watched::new(&resolver, "calc");
    watched.has(&[]).await;
    cluster.watched(1).await;
    cluster.end_watches();
    cluster.put("prod", "calc", "calc-0", &["10.0.0.1"], 7000);
    cluster.delete("prod", "calc-0");
    cluster.put("prod", "calc", "calc-1", &["10.0.0.2"], 7000);
    watched.has(&["10.0.0.2:7000"]).await;
    assert_eq!((cluster.lists().len(), watched.stale), (1, 0));
}

#[tokio::test]
async fn a_version_that_is_gone_is_followed_by_a_new_list_in_both_forms() {
    for told_by_event in [false, true] {
        let (cluster, server) = cluster().await;
        cluster.put("prod", "calc", "calc-0", &["10.0.0.1"], 7000);
        let resolver = resolver(&server);
        let mut watched = Watched::new(&resolver, "calc");
        watched.has(&["10.0.0.1:7000"]).await;
        cluster.watched(1).await;
        cluster.compact(told_by_event);
        cluster.delete("prod", "calc-0");
        cluster.end_watches();
        watched.has(&[]).await;
        cluster.put("prod", "calc", "calc-1", &["10.0.0.2"], 7000);
        watched.has(&["10.0.0.2:7000"]).await;
        assert_eq!(watched.stale, 0, "told by an event: {told_by_event}");
    }
}

#[tokio::test]
async fn a_version_that_is_gone_in_the_middle_of_a_watch_is_followed_by_a_new_list() {
    let (cluster, server) = cluster().await;
    cluster.put("prod", "calc", "calc-0", &["10.0.0.1"], 7000);
    let resolver = resolver(&server);
    let mut watched = Watched::new(&resolver, "calc");
    watched.has(&["10.0.0.1:7000"]).await;
    cluster.watched(1).await;
    let object = crate::cluster::status_object(410, "Expired", "too old resource version: 101 (700)");
    cluster.line(&json!({"type": "ERROR", "object": object}).to_string());
    cluster.watched(2).await;
    assert_eq!((cluster.lists().len(), watched.stale), (2, 0));
}

#[tokio::test]
async fn a_page_that_is_gone_begins_the_list_again() {
    let (cluster, server) = cluster().await;
    for number in 0..60 {
        cluster.put("prod", "calc", &format!("calc-{number:02}"), &[&format!("10.0.0.{number}")], 7000);
    }
    let page = json!({"metadata": {"resourceVersion": "7", "continue": "7@1"}, "items": []});
    cluster.script(Reply::json(200, &page));
    cluster.script(status(410, "Expired", "The provided continue parameter is too old"));
    let resolver = resolver(&server);
    let mut watched = Watched::new(&resolver, "calc");
    let result = watched.until(|result| !result.is_empty()).await;
    assert_eq!((result.endpoints.len(), watched.stale), (60, 0));
}

#[tokio::test]
async fn a_server_that_forgets_everything_at_once_is_a_failure_and_not_asked_all_the_time() {
    let (cluster, server) = cluster().await;
    for _ in 0..3 {
        cluster.script(status(410, "Expired", "too old"));
    }
    cluster.script(Reply::text(500, "it is enough"));
    let resolver = resolver(&server);
    let mut watched = Watched::new(&resolver, "calc");
    let error = watched.next().await.unwrap_err();
    assert!(error.contains("forgets versions as soon as it has told them"), "{error}");
    assert_eq!(cluster.lists().len(), 3);
}

#[tokio::test]
async fn a_server_that_ends_each_watch_at_once_is_not_asked_all_the_time() {
    let (cluster, server) = cluster().await;
    let resolver = resolver(&server);
    let mut watched = Watched::new(&resolver, "calc");
    watched.has(&[]).await;
    let began = now();
    for round in 1..=3 {
        cluster.watched(round).await;
        cluster.put("prod", "calc", "calc-0", &["10.0.0.1"], 7000);
        cluster.end_watches();
    }
    cluster.watched(4).await;
    assert!(began.elapsed() >= Duration::from_millis(2900), "{:?}", began.elapsed());
    assert_eq!((cluster.lists().len(), watched.stale), (1, 0));
}

#[tokio::test]
async fn pages_without_an_end_are_a_failure() {
    let (cluster, server) = cluster().await;
    for _ in 0..200 {
        let page = json!({"metadata": {"resourceVersion": "7", "continue": "again"}, "items": []});
        cluster.script(Reply::json(200, &page));
    }
    let resolver = resolver(&server);
    let error = Watched::new(&resolver, "calc").next().await.unwrap_err();
    assert!(error.contains("has over 200 pages"), "{error}");
}

#[tokio::test]
async fn a_watch_that_always_breaks_off_is_a_failure() {
    let (cluster, server) = cluster().await;
    cluster.put("prod", "calc", "calc-0", &["10.0.0.1"], 7000);
    let resolver = resolver(&server);
    let mut watched = Watched::new(&resolver, "calc");
    watched.has(&["10.0.0.1:7000"]).await;
    cluster.watched(1).await;
    for _ in 0..3 {
        let broken = vec![Ok(Bytes::from_static(b"{\"type\"")), Err(io::Error::other("broken off"))];
        cluster.script(Reply::Pieces(stream::iter(broken).boxed()));
    }
    cluster.break_watches();
    let reason = watched.is_stale().await;
    assert!(reason.contains("broke off") || reason.contains("connection closed"), "{reason}");
    watched.has(&["10.0.0.1:7000"]).await;
}

#[tokio::test]
async fn a_watch_that_breaks_off_goes_on_from_the_last_version_and_is_not_stale() {
    let (cluster, server) = cluster().await;
    cluster.put("prod", "calc", "calc-0", &["10.0.0.1"], 7000);
    let resolver = resolver(&server);
    let mut watched = Watched::new(&resolver, "calc");
    watched.has(&["10.0.0.1:7000"]).await;
    for round in 1..=2 {
        cluster.watched(round).await;
        cluster.break_watches();
    }
    cluster.watched(3).await;
    cluster.put("prod", "calc", "calc-1", &["10.0.0.2"], 7000);
    watched.has(&["10.0.0.1:7000", "10.0.0.2:7000"]).await;
    assert_eq!((cluster.lists().len(), watched.stale), (1, 0));
}

#[tokio::test]
async fn events_may_come_in_pieces_of_any_size() {
    let event = |kind: &str, name: &str, version: &str, address: &str| {
        let object = json!({
            "metadata": {"name": name, "resourceVersion": version}, "addressType": "FQDN",
            "ports": [{"port": 7000}], "endpoints": [{"addresses": [address]}], "note": "größer \u{2028}\n",
        });
        format!("{}\n", json!({"type": kind, "object": object}))
    };
    let all = [
        event("ADDED", "a", "201", "a.example"),
        event("ADDED", "b", "202", "b.example"),
        "\r\n\n".to_owned(),
        event("DELETED", "a", "203", "a.example"),
        event("ADDED", "half", "204", "never.example")[..60].to_owned(),
    ];
    let bytes = all.concat().into_bytes();
    for size in [1, 7, 61, bytes.len()] {
        let (cluster, server) = cluster().await;
        let list = json!({"metadata": {"resourceVersion": "200"}, "items": null});
        cluster.script(Reply::json(200, &list));
        let pieces: Vec<io::Result<Bytes>> =
            bytes.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        cluster.script(Reply::Pieces(stream::iter(pieces).boxed()));
        let resolver = resolver(&server);
        let mut watched = Watched::new(&resolver, "calc");
        watched.has(&["b.example:7000"]).await;
        cluster.watched(2).await;
        // What was begun and did not come whole is asked for again.
        assert_eq!(cluster.watches()[1].value("resourceVersion"), "203");
        assert_eq!(watched.stale, 0);
    }
}
