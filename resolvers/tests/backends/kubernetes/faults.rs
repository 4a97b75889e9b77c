use std::time::Duration;

use actor_runtime::{Namespace, Resolver};

use super::{builder, cluster, resolver};
use crate::{
    cluster::{Cluster, forbidden, status},
    standin::Reply,
    watched::{Watched, a_minute, addresses, failure, now, pause, quick},
};

#[tokio::test]
async fn a_server_that_is_gone_for_a_minute_leaves_the_last_answer_with_its_age() {
    let cluster = Cluster::new();
    cluster.put("prod", "calc", "calc-0", &["10.0.0.1"], 7000);
    let server = cluster.serve().await;
    let address = server.address;
    let resolver = resolver(&server);
    let mut watched = Watched::new(&resolver, "calc");
    watched.has(&["10.0.0.1:7000"]).await;
    let began = now();
    drop(server);
    let reason = watched.is_stale().await;
    let noticed = began.elapsed();
    assert!(reason.contains("cannot be reached") || reason.contains("broke off"), "{reason}");
    pause(a_minute()).await;
    cluster.put("prod", "calc", "calc-0", &["10.0.0.2"], 7000);
    let result = resolver.resolve(&Namespace::local(), "calc").await.unwrap();
    assert_eq!(addresses(&result), ["10.0.0.1:7000"]);
    let age = result.stale.expect("it is an earlier answer").age;
    assert!(age >= a_minute(), "{age:?}");
    let began = now();
    let _server = cluster.serve_at(address, None).await;
    watched.has(&["10.0.0.2:7000"]).await;
    eprintln!(
        "kubernetes: gone for {:?}: noticed after {noticed:.2?}, served {age:.1?} old, fresh {:.2?} after it was back",
        a_minute(),
        began.elapsed()
    );
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_server_that_is_silent_is_noticed_and_recovers() {
    let (cluster, server) = cluster().await;
    cluster.put("prod", "calc", "calc-0", &["10.0.0.1"], 7000);
    let resolver = builder(&server).silence(Duration::from_secs(2)).build().unwrap();
    let mut watched = Watched::new(&resolver, "calc");
    watched.has(&["10.0.0.1:7000"]).await;
    cluster.mute(true);
    let began = now();
    let reason = watched.is_stale().await;
    let noticed = began.elapsed();
    assert!(reason.contains("said nothing for 2s"), "{reason}");
    cluster.put("prod", "calc", "calc-0", &["10.0.0.2"], 7000);
    cluster.mute(false);
    let began = now();
    watched.has(&["10.0.0.2:7000"]).await;
    eprintln!(
        "kubernetes: silence with a bound of 2 s noticed after {noticed:.2?}, fresh after {:.2?}",
        began.elapsed()
    );
    assert!(noticed < Duration::from_secs(6), "{noticed:?}");
}

#[tokio::test]
async fn bookmarks_keep_a_quiet_watch_alive() {
    let (cluster, server) = cluster().await;
    cluster.put("prod", "calc", "calc-0", &["10.0.0.1"], 7000);
    let resolver = builder(&server).silence(Duration::from_secs(10)).build().unwrap();
    let mut watched = Watched::new(&resolver, "calc");
    watched.has(&["10.0.0.1:7000"]).await;
    cluster.watched(1).await;
    for _ in 0..4 {
        cluster.bookmark();
        pause(Duration::from_millis(100)).await;
    }
    cluster.put("prod", "calc", "calc-0", &["10.0.0.2"], 7000);
    watched.has(&["10.0.0.2:7000"]).await;
    assert_eq!((cluster.watches().len(), watched.stale), (1, 0));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_told_of_in_time_and_a_slow_one_is_waited_for() {
    let (cluster, server) = cluster().await;
    cluster.put("prod", "calc", "calc-0", &["10.0.0.1"], 7000);
    cluster.script(Reply::Never);
    let resolver =
        builder(&server).options(quick().answer_within(Duration::from_millis(300))).build().unwrap();
    let began = now();
    let error = failure(&resolver, "calc").await;
    assert!(error.contains("gave no answer within 300ms"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(2));
    let mut watched = Watched::new(&resolver, "calc");
    watched.has(&["10.0.0.1:7000"]).await;
    eprintln!(
        "kubernetes: a list without an answer is given up, and the next one serves, after {:.1?}",
        began.elapsed()
    );
    assert!(began.elapsed() < Duration::from_secs(13));
}

#[tokio::test]
async fn nonsense_is_a_failure_and_the_last_answer_serves_on() {
    let (cluster, server) = cluster().await;
    cluster.put("prod", "calc", "calc-0", &["10.0.0.1"], 7000);
    let resolver = resolver(&server);
    let mut watched = Watched::new(&resolver, "calc");
    watched.has(&["10.0.0.1:7000"]).await;
    let mut watches = 0;
    for (line, expected) in [
        ("<html>502</html>", "is not an event of a watch"),
        ("{\"type\":\"EXPLODED\",\"object\":{}}", "is not an event of a watch"),
        ("{\"type\":\"ADDED\",\"object\":{}}", "has no name or no resourceVersion"),
        ("{\"type\":\"ADDED\",\"object\":7}", "has no name or no resourceVersion"),
        ("{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{}}}", "is not an event of a watch"),
    ] {
        watches += 1;
        cluster.watched(watches).await;
        cluster.line(line);
        let reason = watched.is_stale().await;
        assert!(reason.contains(expected), "{line}: {reason}");
        watched.has(&["10.0.0.1:7000"]).await;
    }
}

#[tokio::test]
async fn a_list_that_is_nonsense_is_a_failure_with_its_reason() {
    for (reply, expected) in [
        (Reply::text(200, "<html>"), "is not a list of slices"),
        (
            Reply::text(200, "{\"metadata\":{\"resourceVersion\":\"\"},\"items\":[]}"),
            "has no resourceVersion",
        ),
        (Reply::text(200, "{\"items\":[]}"), "is not a list of slices"),
        (Reply::text(502, "<html>bad gateway"), "was answered with 502: <html>bad gateway"),
        (status(404, "NotFound", "the server could not find the requested resource"), "came with 1.21"),
    ] {
        let (cluster, server) = cluster().await;
        cluster.script(reply);
        let error = failure(&resolver(&server), "calc").await;
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn answers_without_an_end_are_cut_off() {
    let (cluster, server) = cluster().await;
    cluster.script(Reply::endless(&"[".repeat(64 << 10)));
    let resolver = resolver(&server);
    let began = now();
    let mut watched = Watched::new(&resolver, "calc");
    let error = watched.next().await.unwrap_err();
    assert!(error.contains("has over 8388608 bytes") || error.contains("did not answer within"), "{error}");
    watched.until(|result| result.stale.is_none()).await;
    eprintln!("kubernetes: an endless list is cut off after {:.1?}", began.elapsed());
}

#[tokio::test]
async fn an_event_without_an_end_is_cut_off() {
    let (cluster, server) = cluster().await;
    let list = serde_json::json!({"metadata": {"resourceVersion": "100"}, "items": []});
    cluster.script(Reply::json(200, &list));
    cluster.script(Reply::endless(&"x".repeat(64 << 10)));
    let resolver = resolver(&server);
    let mut watched = Watched::new(&resolver, "calc");
    let reason = watched.is_stale().await;
    assert!(reason.contains("an event of the watch has over 4194304 bytes"), "{reason}");
}

#[tokio::test]
async fn what_is_forbidden_says_which_verb_resource_and_namespace() {
    let (cluster, server) = cluster().await;
    cluster.script(forbidden("list", "prod"));
    let error = failure(&resolver(&server), "calc").await;
    for part in [
        "\"list\"",
        "\"endpointslices\"",
        "\"discovery.k8s.io\"",
        "namespace \"prod\"",
        "serviceaccount:prod",
    ] {
        assert!(error.contains(part), "{error}");
    }
    let list = serde_json::json!({"metadata": {"resourceVersion": "100"}, "items": []});
    cluster.script(Reply::json(200, &list));
    cluster.script(forbidden("watch", "prod"));
    let resolver = resolver(&server);
    let reason = Watched::new(&resolver, "calc").is_stale().await;
    assert!(reason.contains("not allowed: \"watch\" of \"endpointslices\""), "{reason}");
}

#[tokio::test]
async fn a_role_that_lists_and_may_not_watch_is_asked_ever_less_and_tells_one_stale_answer() {
    for at_once in [false, true] {
        let (cluster, server) = cluster().await;
        cluster.put("prod", "calc", "calc-0", &["10.0.0.1"], 7000);
        let list = serde_json::json!({"metadata": {"resourceVersion": "100"}, "items": []});
        for _ in 0..200 {
            cluster.script(Reply::json(200, &list));
            cluster.script(if at_once { Reply::text(200, "nonsense\n") } else { forbidden("watch", "prod") });
        }
        let pauses = quick().retry(Duration::from_millis(20), Duration::from_secs(60));
        let resolver = builder(&server).options(pauses).build().unwrap();
        let mut watched = Watched::new(&resolver, "calc");
        let reason = watched.is_stale().await;
        let fresh =
            tokio::time::timeout(Duration::from_secs(3), watched.until(|result| result.stale.is_none()));
        assert!(fresh.await.is_err(), "{reason}");
        let lists = cluster.lists().len();
        eprintln!("kubernetes: {lists} lists within 3 s of watches that fail (at once: {at_once}): {reason}");
        assert!((3..=10).contains(&lists), "{lists}");
    }
}

#[tokio::test]
async fn a_server_with_too_much_to_do_is_left_alone_for_as_long_as_it_asks() {
    let (cluster, server) = cluster().await;
    cluster.put("prod", "calc", "calc-0", &["10.0.0.1"], 7000);
    cluster.script(status(429, "TooManyRequests", "please try again later").with("retry-after", 2));
    let resolver = resolver(&server);
    let mut watched = Watched::new(&resolver, "calc");
    let error = watched.next().await.unwrap_err();
    assert!(error.contains("was answered with 429: please try again later"), "{error}");
    let began = now();
    watched.has(&["10.0.0.1:7000"]).await;
    let waited = began.elapsed();
    assert!((Duration::from_millis(1800)..Duration::from_secs(4)).contains(&waited), "{waited:?}");
}

#[tokio::test]
async fn a_service_that_is_asked_for_while_the_server_is_left_alone_hears_why_at_once() {
    let (cluster, server) = cluster().await;
    cluster.put("prod", "store", "store-0", &["10.0.0.1"], 7000);
    cluster.script(status(429, "TooManyRequests", "please try again later").with("retry-after", 5));
    let resolver = resolver(&server);
    let error = failure(&resolver, "calc").await;
    assert!(error.contains("was answered with 429: please try again later"), "{error}");
    let began = now();
    let error = failure(&resolver, "store").await;
    assert!(
        error.contains("it is left alone, since it said: ") && error.contains("please try again"),
        "{error}"
    );
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(cluster.asked().len(), 1);
    Watched::new(&resolver, "store").has(&["10.0.0.1:7000"]).await;
    assert!((4..8).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}
