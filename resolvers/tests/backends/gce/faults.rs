use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use actor_resolvers::{
    GceResolver,
    gce::{GceApi, GceError, GceInstance},
};
use actor_runtime::{BoxFuture, Namespace, Resolver};
use serde_json::json;
use tokio::time::Instant;

use super::{RUNNING, builder, project, resolver};
use crate::{
    project::{Project, error},
    standin::Reply,
    watched::{Watched, a_minute, addresses, failure, now, pause, quick},
};

#[tokio::test]
async fn a_server_that_is_gone_for_a_minute_leaves_the_last_answer_with_its_age() {
    let project = Project::new();
    project.put("vm-1", RUNNING, Some("10.0.0.1"), &[("actor_calc", "7000")]);
    let server = project.serve().await;
    let address = server.address;
    let resolver = resolver(&server);
    let mut watched = Watched::new(&resolver, "calc");
    watched.has(&["10.0.0.1:7000"]).await;
    let began = now();
    drop(server);
    let reason = watched.is_stale().await;
    let noticed = began.elapsed();
    assert!(reason.contains("cannot be reached"), "{reason}");
    pause(a_minute()).await;
    project.put("vm-1", RUNNING, Some("10.0.0.2"), &[("actor_calc", "7000")]);
    let result = resolver.resolve(&Namespace::local(), "calc").await.unwrap();
    assert_eq!(addresses(&result), ["10.0.0.1:7000"]);
    let age = result.stale.expect("it is an earlier answer").age;
    assert!(age >= a_minute(), "{age:?}");
    let began = now();
    let _server = project.serve_at(address).await;
    watched.has(&["10.0.0.2:7000"]).await;
    eprintln!(
        "gce: gone for {:?}: noticed after {noticed:.2?} (a list each second), served {age:.1?} old, fresh {:.2?} after it \
         was back",
        a_minute(),
        began.elapsed()
    );
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_told_of_in_time() {
    let (project, server) = project().await;
    project.script(Reply::Never);
    let resolver = builder(&server).options(quick().answer_within(Duration::from_millis(300))).build();
    let began = now();
    let error = failure(&resolver, "calc").await;
    assert!(error.contains("gave no answer within 300ms"), "{error}");
    let mut watched = Watched::new(&resolver, "calc");
    watched.has(&[]).await;
    eprintln!(
        "gce: a list without an answer is given up, and the next one serves, after {:.1?}",
        began.elapsed()
    );
    assert!((Duration::from_secs(19)..Duration::from_secs(24)).contains(&began.elapsed()));
}

#[tokio::test]
async fn nonsense_is_a_failure_and_the_last_answer_serves_on() {
    let (project, server) = project().await;
    project.put("vm-1", RUNNING, Some("10.0.0.1"), &[("actor_calc", "7000")]);
    let resolver = resolver(&server);
    let mut watched = Watched::new(&resolver, "calc");
    watched.has(&["10.0.0.1:7000"]).await;
    for (reply, expected) in [
        (Reply::text(200, "<html>"), "is not a list of instances"),
        (Reply::text(200, "{\"items\": 7}"), "is not a list of instances"),
        (Reply::text(503, "backend error"), "was answered with 503 Service Unavailable (backend error)"),
    ] {
        project.script(reply);
        let reason = watched.is_stale().await;
        assert!(reason.contains(expected), "{reason}");
        watched.has(&["10.0.0.1:7000"]).await;
    }
}

#[tokio::test]
async fn all_instances_may_go() {
    let (project, server) = project().await;
    project.put("vm-1", RUNNING, Some("10.0.0.1"), &[("actor_calc", "7000")]);
    let resolver = resolver(&server);
    let mut watched = Watched::new(&resolver, "calc");
    watched.has(&["10.0.0.1:7000"]).await;
    project.clear();
    watched.has(&[]).await;
    assert_eq!(watched.stale, 0);
}

#[tokio::test]
async fn a_quota_is_respected_in_all_forms_for_as_long_as_is_asked() {
    let text = "Quota exceeded for quota metric 'Read requests' of service 'compute.googleapis.com'";
    for reply in [
        error(403, text, "rateLimitExceeded"),
        error(403, text, "quotaExceeded"),
        error(429, text, "RESOURCE_EXHAUSTED"),
        Reply::json(
            403,
            &json!({"error": {"code": 403, "message": text, "status": "PERMISSION_DENIED", "details": [
                {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED"},
            ]}}),
        ),
    ] {
        let (project, server) = project().await;
        project.put("vm-1", RUNNING, Some("10.0.0.1"), &[("actor_calc", "7000")]);
        let resolver = resolver(&server);
        let mut watched = Watched::new(&resolver, "calc");
        watched.has(&["10.0.0.1:7000"]).await;
        project.script(reply.with("retry-after", 3));
        let reason = watched.is_stale().await;
        assert!(
            reason.contains("the quota of project \"p\" for requests is used up (Quota exceeded"),
            "{reason}"
        );
        let (began, lists) = (now(), project.lists().len());
        watched.has(&["10.0.0.1:7000"]).await;
        let waited = began.elapsed();
        assert!((Duration::from_millis(2800)..Duration::from_secs(5)).contains(&waited), "{waited:?}");
        assert_eq!(project.lists().len(), lists + 1);
    }
}

#[tokio::test]
async fn what_is_refused_says_what_to_do() {
    for (reply, expected) in [
        (
            error(403, "Required 'compute.instances.list' permission for 'projects/p'", "forbidden"),
            [
                "roles/compute.viewer",
                "compute.readonly",
                "project \"p\", zone \"z1\"",
                "Required 'compute.instances.list'",
            ],
        ),
        (
            error(403, "Request had insufficient authentication scopes.", "insufficientPermissions"),
            ["auth/compute.readonly", "the scope", "insufficient authentication scopes", "\"p\""],
        ),
        (
            error(404, "The resource 'projects/p' was not found", "notFound"),
            ["there is no project \"p\"", "no zone \"z1\"", "europe-west1-b", "was not found"],
        ),
    ] {
        let (project, server) = project().await;
        project.script(reply);
        let text = failure(&resolver(&server), "calc").await;
        for part in expected {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    let (project, server) = project().await;
    project.script(error(401, "invalid", "authError"));
    project.script(error(401, "invalid", "authError"));
    let text = failure(&resolver(&server), "calc").await;
    assert!(text.contains("the token is not accepted, nor was a new one"), "{text}");
}

/// An API that always has too much.
struct Busy(Arc<Mutex<Vec<Instant>>>);

impl GceApi for Busy {
    fn list_instances<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Vec<GceInstance>, GceError>> {
        self.0.lock().expect("nobody panics").push(now());
        Box::pin(async { Err(GceError::too_many_requests("too much", None)) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_quota_without_a_time_is_left_alone_for_longer_each_time() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let resolver = GceResolver::with_api("p", "z1", Busy(asked.clone()));
    let _watched = resolver.watch(&Namespace::local(), "calc");
    let mut watched = Watched::new(&resolver, "calc");
    assert!(watched.next().await.unwrap_err().contains("too much"));
    pause(Duration::from_secs(1200)).await;
    let times = asked.lock().expect("nobody panics").clone();
    let pauses: Vec<_> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
    assert_eq!(pauses[..6], [20, 40, 80, 160, 300, 300]);
}

/// An API that never answers.
struct Silent;

impl GceApi for Silent {
    fn list_instances<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Vec<GceInstance>, GceError>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_that_never_answers_is_given_up_after_a_minute() {
    let resolver = GceResolver::with_api("p", "z1", Silent);
    let began = now();
    assert!(failure(&resolver, "calc").await.contains("gave no answer within 5s"));
    while !failure(&resolver, "calc").await.contains("there was no list within 60s") {}
    assert!(began.elapsed() < Duration::from_secs(70), "{:?}", began.elapsed());
}
