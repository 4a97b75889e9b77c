//! What a handler knows about its call, and that turns never see each other's context.

#![allow(clippy::unwrap_used, reason = "an actor of a test may panic as the test may")]

use std::{sync::Arc, time::Duration};

use actor_runtime::{
    ActorId, BoxFuture, Config, Failure, FailureKind, Layer, LayerCall, Namespace, Next, NodeBuilder, Status,
    prelude::*,
};
use futures::future::join_all;
use tests::{Fixture, Path, Script, on_each_path, runtime};

#[message]
#[derive(Debug, PartialEq)]
struct Seen {
    name: String,
    namespace: String,
    job: Option<String>,
    controller: Option<String>,
    caller_node: Option<String>,
    called_by_actor: bool,
    tenant: Option<String>,
    extension: Option<u32>,
    millis: Option<u64>,
}

#[actor_service]
trait Look {
    async fn look(&self) -> Seen;
    /// Looks before and after it waits, `n` times.
    async fn look_often(&self, tenant: &str, n: u32) -> bool;
    async fn look_in_a_task(&self) -> (bool, bool, bool);
    async fn ask(&self, other: &str) -> Seen;
}

struct Looker(Script);

fn seen() -> Seen {
    let ctx = current_ctx().unwrap();
    Seen {
        name: ctx.actor_name().to_owned(),
        namespace: ctx.namespace().to_string(),
        job: ctx.job_id().map(str::to_owned),
        controller: ctx.controller_address().map(str::to_owned),
        caller_node: ctx.caller().map(|caller| caller.node.to_string()),
        called_by_actor: ctx.caller().is_some_and(|caller| caller.actor.is_some()),
        tenant: ctx.metadata().value("tenant").map(str::to_owned),
        extension: ctx.extension::<u32>().map(|n| *n),
        millis: ctx.remaining().and_then(|left| u64::try_from(left.as_millis()).ok()),
    }
}

#[actor_service]
impl Look for Looker {
    async fn look(&self) -> Seen {
        seen()
    }

    async fn look_often(&self, tenant: &str, n: u32) -> bool {
        let mut same = true;
        for _ in 0..n {
            same &= current_ctx().unwrap().metadata().value("tenant") == Some(tenant);
            tokio::task::yield_now().await;
        }
        same
    }

    async fn look_in_a_task(&self) -> (bool, bool, bool) {
        let ctx = current_ctx().unwrap();
        let id: ActorId = ctx.actor_id();
        let inside = ctx.spawn(async move {
            let ctx = current_ctx().unwrap();
            (
                ctx.actor_id() == id && ctx.caller().is_none() && ctx.remaining().is_none(),
                ctx.metadata().is_empty(),
            )
        });
        let bare = ctx.node().spawn(async { current_ctx().is_err() });
        let ((same_actor, no_call), bare) = (inside.await.unwrap(), bare.await.unwrap());
        self.0.log("looked");
        (same_actor, no_call, bare)
    }

    async fn ask(&self, other: &str) -> Seen {
        let ctx = current_ctx().unwrap();
        LookClient::new(&ctx.resolver(), other).look().await.unwrap()
    }
}

/// Runs a test over each path, on nodes that are built with settings of their own.
fn on_each_path_with(configure: impl Fn(NodeBuilder) -> NodeBuilder, test: impl AsyncFn(&Fixture)) {
    for path in Path::ALL {
        runtime(path).block_on(async { test(&Fixture::with(path, &configure).await).await });
    }
}

#[test]
fn a_handler_knows_its_actor_its_node_and_its_call() {
    let config = Config {
        namespace: Namespace::new("job-7").unwrap(),
        job_id: Some("job-7".into()),
        controller_address: Some("10.0.0.1:7000".into()),
        ..Config::default()
    };
    let configure = |builder: NodeBuilder| builder.config(config.clone());
    on_each_path_with(configure, async |fixture| {
        let Fixture { node, server, path, .. } = fixture;
        server.node().extend(42_u32);
        server.register("one", Looker(Script::default())).unwrap();
        server.register("two", Looker(Script::default())).unwrap();
        let one = LookClient::on(node, &server.resolver(), "one");
        let expected = Seen {
            name: "one".into(),
            namespace: "job-7".into(),
            job: Some("job-7".into()),
            controller: Some("10.0.0.1:7000".into()),
            caller_node: Some(node.id().to_string()),
            called_by_actor: false,
            tenant: Some("a".into()),
            extension: Some(42),
            millis: Some(2_000),
        };
        let call = one.look().metadata("tenant", "a").timeout(Duration::from_secs(2));
        assert_eq!(timely(*path, call.await.unwrap()), expected);

        let inner = one.ask("two").metadata("tenant", "a").timeout(Duration::from_secs(2)).await.unwrap();
        let expected = Seen {
            name: "two".into(),
            caller_node: Some(server.node().id().to_string()),
            called_by_actor: true,
            tenant: None,
            ..expected
        };
        assert_eq!(timely(*path, inner), expected, "metadata is not handed on, the deadline is");
    });
}

/// The same with the time that there was at first: connecting takes some of it.
fn timely(path: Path, mut seen: Seen) -> Seen {
    if path.crosses_nodes() && seen.millis.is_some_and(|millis| (1_000..=2_000).contains(&millis)) {
        seen.millis = Some(2_000);
    }
    seen
}

#[test]
fn overlapping_turns_on_one_task_never_see_each_others_context() {
    on_each_path(async |fixture| {
        fixture.server.register("look", Looker(Script::default())).unwrap();
        let look = LookClient::on(&fixture.node, &fixture.server.resolver(), "look");
        let calls = (0..20).map(|n| {
            let tenant = format!("tenant-{n}");
            look.look_often(&tenant, 10 + n).metadata("tenant", tenant.clone())
        });
        assert!(join_all(calls).await.into_iter().all(Result::unwrap));
        assert!(current_ctx().is_err(), "and it is left where it was entered");
    });
}

#[test]
fn tasks_of_the_context_know_the_actor_and_belong_to_no_call() {
    on_each_path(async |fixture| {
        fixture.server.register("look", Looker(Script::default())).unwrap();
        let look = LookClient::on(&fixture.node, &fixture.server.resolver(), "look");
        assert_eq!(look.look_in_a_task().metadata("tenant", "a").await.unwrap(), (true, true, true));
    });
}

/// Logs on the way in and out; refuses what its tenant may not call.
struct Recorder(Script, &'static str);

impl Layer for Recorder {
    fn call<'a>(&'a self, call: LayerCall<'a>, next: Next<'a>) -> BoxFuture<'a, Result<Status, Failure>> {
        Box::pin(async move {
            let Self(script, name) = self;
            script.log(format!("{name} in {} on {}", call.method(), call.actor_name()));
            if call.metadata().value("tenant") == Some("stranger") {
                return Err(Failure::new(FailureKind::Denied, Delivery::NotDelivered, "not for strangers"));
            }
            let end = next.run().await;
            script.log(format!("{name} out {:?}", end.as_ref().map_err(Failure::kind)));
            end
        })
    }
}

#[test]
fn layers_stand_around_every_call_on_both_sides_in_order() {
    for path in Path::ALL {
        let script = Script::default();
        let layers = |builder: NodeBuilder| {
            builder
                .client_layer(Recorder(script.clone(), "client 1"))
                .client_layer(Recorder(script.clone(), "client 2"))
                .server_layer(Recorder(script.clone(), "server"))
        };
        let test = async |fixture: &Fixture| {
            let probe = fixture.puppet("p");
            assert_eq!(probe.add(2).await.unwrap(), 2);
            let ways = [
                "client 1 in Probe/add on p",
                "client 2 in Probe/add on p",
                "server in Probe/add on p",
                "server out Ok(Replied)",
                "client 2 out Ok(Replied)",
                "client 1 out Ok(Replied)",
            ];
            assert_eq!(script.lines(), ways);
            let error = probe.relay(&["no colon".to_owned()]).await.unwrap_err();
            assert!(matches!(error, CallError::Application(_)), "{error}");
            assert_eq!(script.lines().last().map(String::as_str), Some("client 1 out Ok(ApplicationError)"));
            assert_eq!(probe.panic("no").await.unwrap_err().kind(), FailureKind::Panicked);
            assert_eq!(script.lines().last().map(String::as_str), Some("client 1 out Err(Panicked)"));
        };
        runtime(path).block_on(async { test(&Fixture::with(path, layers).await).await });
    }
}

#[test]
fn a_layer_of_either_side_can_refuse_a_call() {
    for side in ["client", "server"] {
        let configure = |builder: NodeBuilder| {
            let recorder = Recorder(Script::default(), "layer");
            if side == "client" { builder.client_layer(recorder) } else { builder.server_layer(recorder) }
        };
        on_each_path_with(configure, async |fixture| {
            fixture.server.register("look", Looker(Script::default())).unwrap();
            let look = LookClient::on(&fixture.node, &fixture.server.resolver(), "look");
            let failure = look.look().metadata("tenant", "stranger").await.unwrap_err();
            assert_eq!((failure.kind(), failure.detail()), (FailureKind::Denied, "not for strangers"));
            assert_eq!(failure.method(), "Look/look");
            look.look().metadata("tenant", "friend").await.unwrap();
        });
    }
}

#[derive(Debug)]
struct Unused;

#[test]
fn extensions_are_found_by_their_type_and_replaced_by_a_later_one() {
    on_each_path(async |fixture| {
        assert!(fixture.node.extension::<u32>().is_none());
        assert_eq!(fixture.node.extend(1_u32), None);
        assert_eq!(fixture.node.extend(2_u32), Some(Arc::new(1)));
        assert_eq!(fixture.node.extension::<u32>(), Some(Arc::new(2)));
        assert!(fixture.node.extension::<Unused>().is_none());
    });
}
