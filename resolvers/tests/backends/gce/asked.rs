use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use actor_resolvers::gce::{GceError, GceToken};
use actor_runtime::{Namespace, Resolver};

use super::{RUNNING, builder, project, resolver};
use crate::{
    standin::Reply,
    watched::{Watched, failure, half_and_most, now},
};

#[tokio::test]
async fn a_list_is_asked_for_in_pages_with_what_is_needed_of_each_instance() {
    let (project, server) = project().await;
    for number in 0..7 {
        let (name, ip) = (format!("vm-{number}"), format!("10.0.0.{number}"));
        project.put(&name, RUNNING, Some(&ip), &[("actor_calc", "7000")]);
    }
    project.pages_of(3);
    let result = resolver(&server).resolve(&Namespace::local(), "calc").await.unwrap();
    assert_eq!(result.endpoints.len(), 7);
    let lists = project.lists();
    assert!(lists.iter().all(|asked| asked.path == "/compute/v1/projects/p/zones/z1/instances"));
    assert!(lists.iter().all(|asked| asked.value("maxResults") == "500"));
    let fields = "items(name,status,metadata/items,networkInterfaces/networkIP),nextPageToken";
    assert!(lists.iter().all(|asked| asked.value("fields") == fields));
    let pages: Vec<_> = lists.iter().map(|asked| asked.value("pageToken")).collect();
    assert_eq!(pages, ["", "CkL/=3", "CkL/=6"]);
}

#[tokio::test]
async fn a_page_that_is_too_large_is_asked_for_with_fewer_instances() {
    let (project, server) = project().await;
    let script = "#".repeat(100_000);
    for number in 0..400 {
        let (name, ip) = (format!("vm-{number}"), format!("10.0.{}.{}", number / 200, number % 200));
        project.put(&name, RUNNING, Some(&ip), &[("actor_calc", "7000"), ("startup-script", &script)]);
    }
    let resolver = resolver(&server);
    let result = Watched::new(&resolver, "calc").until(|result| result.stale.is_none()).await;
    assert_eq!(result.endpoints.len(), 400);
    let lists = project.lists();
    let sizes: Vec<_> = lists.iter().map(|asked| asked.value("maxResults")).collect();
    assert_eq!(sizes, ["500", "250", "250"]);
}

#[tokio::test]
async fn an_answer_without_an_end_is_cut_off() {
    let (project, server) = project().await;
    for _ in 0..9 {
        project.script(Reply::endless(&"[".repeat(64 << 10)));
    }
    let resolver = resolver(&server);
    let mut watched = Watched::new(&resolver, "calc");
    let reason = watched.until_failure().await;
    assert!(reason.contains("has over 33554432 bytes") || reason.contains("no list within"), "{reason}");
    watched.has(&[]).await;
}

#[tokio::test]
async fn pages_without_an_end_are_a_failure() {
    let (project, server) = project().await;
    for _ in 0..200 {
        project.script(Reply::text(200, "{\"nextPageToken\": \"again\"}"));
    }
    let error = failure(&resolver(&server), "calc").await;
    assert!(error.contains("has over 200 pages"), "{error}");
}

#[tokio::test]
async fn a_token_is_kept_until_shortly_before_it_expires() {
    let (project, server) = project().await;
    let resolver = resolver(&server);
    let mut watched = Watched::new(&resolver, "calc");
    watched.has(&[]).await;
    project.put("vm-1", RUNNING, Some("10.0.0.1"), &[("actor_calc", "7000")]);
    watched.has(&["10.0.0.1:7000"]).await;
    assert_eq!((project.lists().len() >= 2, project.tokens()), (true, 1));
}

#[tokio::test]
async fn a_token_that_is_about_to_expire_is_renewed() {
    let (project, server) = project().await;
    project.tokens_are_good_for(1);
    let resolver = resolver(&server);
    let mut watched = Watched::new(&resolver, "calc");
    watched.has(&[]).await;
    project.put("vm-1", RUNNING, Some("10.0.0.1"), &[("actor_calc", "7000")]);
    watched.has(&["10.0.0.1:7000"]).await;
    assert_eq!(project.tokens(), project.lists().len());
}

#[tokio::test]
async fn a_token_that_is_refused_is_renewed_at_once() {
    let (project, server) = project().await;
    let resolver = resolver(&server);
    let mut watched = Watched::new(&resolver, "calc");
    watched.has(&[]).await;
    project.revoke();
    project.put("vm-1", RUNNING, Some("10.0.0.1"), &[("actor_calc", "7000")]);
    watched.has(&["10.0.0.1:7000"]).await;
    assert_eq!((project.tokens(), watched.stale), (2, 0));
}

#[tokio::test]
async fn tokens_can_come_from_elsewhere_and_fail() {
    let (project, server) = project().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let resolver = builder(&server)
        .token_by(move || {
            let number = count.fetch_add(1, Relaxed);
            async move {
                match number {
                    0 => Err(GceError::new("the vault is locked")),
                    _ => Ok(GceToken::new("ya29.0", Duration::from_secs(3000))),
                }
            }
        })
        .build();
    let mut watched = Watched::new(&resolver, "calc");
    let error = watched.next().await.unwrap_err();
    assert!(error.contains("the vault is locked"), "{error}");
    watched.has(&[]).await;
    assert_eq!((asked.load(Relaxed), project.tokens()), (2, 0));
    assert_eq!(format!("{:?}", GceToken::new("secret", Duration::from_secs(7))), "a token, good for 7s");
}

#[tokio::test]
async fn where_there_is_no_token_that_is_said() {
    for (reply, expected) in [
        (Reply::text(404, "not found"), "this machine has no service account"),
        (Reply::text(200, "<html>"), "gave something else than a token"),
        (Reply::text(500, ""), "the metadata server answered with 500"),
    ] {
        let (project, server) = project().await;
        project.script_token(reply);
        let error = failure(&resolver(&server), "calc").await;
        assert!(error.contains(expected), "{error}");
        assert!(project.lists().is_empty());
    }
    let (_, server) = project().await;
    let error = failure(&builder(&server).metadata_server("http://127.0.0.1:1").build(), "calc").await;
    assert!(error.contains("there is no token") && error.contains("token_by"), "{error}");
}

#[tokio::test]
async fn a_change_is_told_within_the_time_between_two_lists() {
    let (project, server) = project().await;
    let resolver = resolver(&server);
    let mut watched = Watched::new(&resolver, "calc");
    watched.has(&[]).await;
    let mut times = Vec::new();
    for number in 1..=20 {
        let began = now();
        project.put("vm-1", RUNNING, Some("10.0.0.1"), &[("actor_calc", &number.to_string())]);
        watched.has(&[&format!("10.0.0.1:{number}")]).await;
        times.push(began.elapsed());
        // Changes come at any time between two lists.
        crate::watched::pause(Duration::from_millis(number * 47)).await;
    }
    let (half, most) = half_and_most(times);
    eprintln!(
        "gce: with a list each second, a watcher is told of a change after {half:.2?} (half of 20), {most:.2?} (most)"
    );
    assert!(most < Duration::from_secs(3), "{most:?}");
}
