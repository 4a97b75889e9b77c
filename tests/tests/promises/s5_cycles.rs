//! S5: a call that comes back to an actor of its own chain joins at once or fails at once.

use std::time::Duration;

use actor_runtime::{FailureKind, prelude::*};
use tests::{ProbeClient, on_each_path};

fn route(hops: &[&str]) -> Vec<String> {
    hops.iter().map(|hop| (*hop).to_owned()).collect()
}

#[test]
fn shared_turns_come_back_to_their_actor() {
    on_each_path(async |fixture| {
        let a = fixture.puppet("a");
        fixture.puppet("b");
        fixture.script.open("a");
        let answer = a.relay(&route(&["shared:b", "shared:a", "shared:b", "end:a"])).await.unwrap();
        assert_eq!(answer, "a");
    });
}

#[test]
fn a_call_that_joins_does_not_wait_behind_a_queued_exclusive_one() {
    on_each_path(async |fixture| {
        let a = fixture.puppet("a");
        let b = fixture.puppet("b");
        // b holds the chain up until an exclusive call is queued at a.
        let holds = async {
            let (held, ()) = tokio::join!(b.exclusive("b"), async {
                fixture.script.seen("b begins").await;
                let ((), answer, ()) = tokio::join!(
                    async {
                        // Behind the relay's turn at a, and in front of the joining call.
                        for _ in 0..20 {
                            tokio::task::yield_now().await;
                        }
                        let (added, ()) = tokio::join!(a.add(1), async {
                            for _ in 0..20 {
                                tokio::task::yield_now().await;
                            }
                            fixture.script.open("b");
                            fixture.script.open("a");
                        });
                        assert_eq!(added.unwrap(), 1);
                    },
                    async { a.relay(&route(&["shared:b", "end:a"])).timeout(Duration::from_secs(5)).await },
                    async {}
                );
                assert_eq!(answer.unwrap(), "a");
            });
            held.unwrap();
        };
        holds.await;
    });
}

#[test]
fn an_exclusive_turn_that_would_wait_for_itself_fails_at_once_and_names_the_circle() {
    on_each_path(async |fixture| {
        let front = fixture.puppet("front");
        fixture.puppet("a");
        fixture.puppet("b");
        for circle in [
            ["exclusive:a", "shared:b", "shared:a"],
            ["shared:a", "shared:b", "exclusive:a"],
            ["exclusive:a", "exclusive:b", "exclusive:a"],
        ] {
            let error = front.relay(&route(&circle)).timeout(Duration::from_secs(5)).await.unwrap_err();
            let CallError::Application(text) = error else { panic!("{error}") };
            assert!(text.starts_with("Cycle: "), "{text}");
            assert!(text.contains("would wait for itself"), "{text}");
            assert!(text.contains("on \"a\" →") && text.contains("on \"b\" →"), "{text}");
        }
        assert_eq!(front.total().await.unwrap(), 0, "nobody is stuck");
    });
}

#[test]
fn an_actor_that_calls_itself_exclusively_is_the_smallest_circle() {
    on_each_path(async |fixture| {
        let a = fixture.puppet("a");
        let error = a.relay_exclusive(&route(&["exclusive:a"])).await.unwrap_err();
        let CallError::Application(text) = error else { panic!("{error}") };
        assert!(
            text.contains(
                "Probe/relay_exclusive on \"a\" → Probe/relay_exclusive on \"a\" would wait for itself; make the \
                 methods on the way `&self`, or start the call with `ctx.spawn` and do not wait for it"
            ),
            "{text}"
        );
    });
}

#[test]
fn a_chain_that_never_ends_is_cut() {
    on_each_path(async |fixture| {
        let a = fixture.puppet("a");
        let error = a.relay(&vec!["shared:a".to_owned(); 100]).await.unwrap_err();
        let CallError::Application(text) = error else { panic!("{error}") };
        assert!(text.starts_with("TooLarge: ") && text.contains("more than 64 turns"), "{text}");
    });
}

/// Calls itself from a task that belongs to no call.
#[actor_service]
trait Later {
    async fn start(&mut self) -> bool;
    async fn done(&mut self) -> u32;
}

struct SelfCaller {
    done: u32,
}

#[actor_service]
impl Later for SelfCaller {
    async fn start(&mut self) -> bool {
        let ctx = current_ctx().expect("a handler");
        let me = LaterClient::new(&ctx.resolver(), ctx.actor_name());
        drop(ctx.spawn(async move { me.done().await }));
        true
    }

    async fn done(&mut self) -> u32 {
        self.done += 1;
        self.done
    }
}

#[test]
fn a_task_of_the_context_starts_a_chain_of_its_own() {
    on_each_path(async |fixture| {
        fixture.server.register("self", SelfCaller { done: 0 }).unwrap();
        let later = LaterClient::on(&fixture.node, &fixture.server.resolver(), "self");
        assert!(later.start().await.unwrap());
        while later.done().await.unwrap() < 3 {}
    });
}

#[test]
fn circles_are_seen_across_nodes() {
    on_each_path(async |fixture| {
        let server = fixture.another_server("other").await;
        let puppet =
            tests::Puppet { script: fixture.script.clone(), resolver: fixture.resolver.clone(), total: 0 };
        server.register("far", puppet).unwrap();
        fixture.resolver.set("far", [server.address()]);
        fixture.puppet("near");
        let near = ProbeClient::on(&fixture.node, &fixture.resolver, "near");
        let error = near.relay_exclusive(&route(&["shared:far", "exclusive:near"])).await.unwrap_err();
        let CallError::Application(text) = error else { panic!("{error}") };
        assert!(text.starts_with("Cycle: "), "{text}");
        fixture.script.open("near");
        assert_eq!(near.relay(&route(&["shared:far", "end:near"])).await.unwrap(), "near");
    });
}

#[test]
fn a_deadlock_across_chains_ends_by_its_deadline_and_says_who_waited() {
    on_each_path(async |fixture| {
        let (a, b) = (fixture.puppet("a"), fixture.puppet("b"));
        let limit = Duration::from_secs(2);
        // Each holds itself, and wants the other once that one does too, in a chain of its own.
        let both = async {
            for held in ["a holds", "b holds"] {
                fixture.script.seen(&format!("{held} begins")).await;
            }
            ["a holds", "b holds"].iter().for_each(|held| fixture.script.open(held));
        };
        let (one, two, ()) = tokio::join!(
            a.relay_exclusive(&route(&["held:a holds", "exclusive:b"])).timeout(limit),
            b.relay_exclusive(&route(&["held:b holds", "exclusive:a"])).timeout(limit),
            both,
        );
        let texts = [one, two].map(|end| end.unwrap_err().to_string());
        let waited = "still queued behind a turn of Probe/relay_exclusive";
        let named = texts.iter().any(|text| text.contains("deadline exceeded"));
        assert!(named, "{texts:?}");
        assert!(texts.iter().any(|text| text.contains(waited) || text.contains("waiting for")), "{texts:?}");
        let _ = FailureKind::DeadlineExceeded;
        assert_eq!(a.total().await.unwrap() + b.total().await.unwrap(), 0, "both are free again");
    });
}
