//! The service that every server has: how its actors are, what is registered, which methods there are.
#![expect(clippy::disallowed_methods, reason = "the bounds are bounds of time")]

use std::{
    pin::pin,
    time::{Duration, SystemTime},
};

use actor_runtime::{
    Actor, Delivery, FailureKind, Health, Overflow, RegisterError, Resolver, ServiceClient, actor_service,
    inspect::{self, ActorHealth, ActorState, HookAnswer, InspectClient, InspectError, ServerHealth},
    service::{Access, MethodTimeout, Service},
};
use futures::{FutureExt, future::join_all};
use tests::{Fixture, Path, ProbeClient, ProbeService, Puppet, on_each_path, on_each_path_but};

/// An actor that says of itself what its test wants.
struct Patient {
    says: fn() -> Health,
    total: u64,
}

/// What a patient does.
#[actor_service]
trait Work {
    /// Adds
    /// to the total.
    #[deprecated = "counts nothing"]
    #[timeout = "2s"]
    async fn add(&mut self, n: u64, why: &str) -> Result<u64, String>;
    async fn total(&self) -> u64;
}

impl Actor for Patient {
    type Services = (WorkService,);

    fn health(&self) -> Health {
        (self.says)()
    }
}

#[actor_service(part)]
impl Work for Patient {
    async fn add(&mut self, n: u64, _: &str) -> Result<u64, String> {
        self.total += n;
        Ok(self.total)
    }

    async fn total(&self) -> u64 {
        self.total
    }
}

/// Without a shared method, and so not `Sync`.
#[actor_service]
trait Tally {
    async fn more(&mut self);
}

struct Unshared(std::cell::Cell<u64>);

impl Actor for Unshared {
    type Services = (TallyService,);

    fn health(&self) -> Health {
        self.0.set(self.0.get() + 1);
        Health::Degraded(format!("asked {} times", self.0.get()))
    }
}

#[actor_service(part)]
impl Tally for Unshared {
    async fn more(&mut self) {
        self.0.set(self.0.get() + 10);
    }
}

fn inspect(fixture: &Fixture) -> InspectClient {
    fixture.resolver.set(inspect::NAME, [fixture.server.address()]);
    InspectClient::on(&fixture.node, &fixture.resolver, inspect::NAME)
}

async fn health(fixture: &Fixture) -> ServerHealth {
    inspect(fixture).health().await.expect("the server listens")
}

/// What is known of `p`.
async fn of_p(fixture: &Fixture) -> ActorHealth {
    health(fixture).await.actor("p").expect("it is registered").clone()
}

fn counts(actor: &ActorHealth) -> (u64, u64, u64) {
    (actor.queued, actor.waiting, actor.running)
}

const OK: HookAnswer = HookAnswer::Said(Health::Ok);

#[test]
fn an_idle_actor_is_well_and_has_nothing_to_do() {
    on_each_path_but(&[Path::Quic], "a minute of real time", async |fixture| {
        let probe = fixture.puppet("p");
        probe.add(1).await.unwrap();
        fixture.pass(Duration::from_secs(60)).await;
        let health = health(fixture).await;
        assert!(!health.draining);
        fixture.check_time(health.uptime, Duration::from_secs(60));
        assert_eq!(health.actors.len(), 1, "the server's own actor is not listed");
        let actor = &health.actors[0];
        assert_eq!((&*actor.name, &actor.state, &actor.health), ("p", &ActorState::Idle, &OK));
        assert_eq!(actor.id, probe.pinned().await.unwrap().pinned_actor().unwrap());
        assert_eq!((counts(actor), actor.since_progress), ((0, 0, 0), Duration::ZERO));
    });
}

#[test]
fn an_actor_in_an_exclusive_turn_is_busy_and_not_waited_for() {
    on_each_path_but(&[Path::Quic], "seven seconds of real time", async |fixture| {
        let probe = fixture.configured("p", |registration| registration.mailbox(2));
        fixture.puppet("other");
        let test = async {
            fixture.script.seen("held begins").await;
            let mut calls = pin!(join_all((0..5).map(|_| probe.add(1))));
            assert!(calls.as_mut().now_or_never().is_none());
            fixture.pass(Duration::from_secs(7)).await;
            let asked = tokio::time::Instant::now();
            let health = health(fixture).await;
            fixture.check_time(asked.elapsed(), inspect::MAX_WAIT);
            let actor = health.actor("p").unwrap();
            assert_eq!((&actor.state, &actor.health), (&ActorState::Running, &HookAnswer::Busy));
            assert_eq!(counts(actor), (2, 3, 1));
            fixture.check_time(actor.since_progress, Duration::from_secs(7) + inspect::MAX_WAIT);
            assert_eq!(health.actor("other").unwrap().health, OK, "the others are asked all the same");
            fixture.script.open("held");
            calls.await
        };
        let (held, calls) = tokio::join!(probe.exclusive("held"), test);
        held.unwrap();
        assert!(calls.into_iter().all(|call| call.is_ok()));
        assert_eq!(counts(&of_p(fixture).await), (0, 0, 0));
    });
}

#[test]
fn an_actor_is_asked_as_soon_as_its_exclusive_turn_has_ended_and_before_what_is_queued() {
    on_each_path(async |fixture| {
        let probe = fixture.puppet("p");
        let test = async {
            fixture.script.seen("first begins").await;
            let second = probe.exclusive("second");
            let opens = async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                fixture.script.open("first");
                fixture.script.seen("second begins").await;
                tokio::time::sleep(Duration::from_secs(1)).await;
                fixture.script.open("second");
            };
            let (actor, second, ()) = tokio::join!(of_p(fixture), second, opens);
            second.unwrap();
            assert_eq!(actor.health, OK);
        };
        let (first, ()) = tokio::join!(probe.exclusive("first"), test);
        first.unwrap();
    });
}

#[test]
fn a_caller_in_a_hurry_gets_its_answer_in_time() {
    on_each_path(async |fixture| {
        let probe = fixture.puppet("p");
        let test = async {
            fixture.script.seen("held begins").await;
            let health = inspect(fixture).health().timeout(Duration::from_millis(50)).await.unwrap();
            assert_eq!(health.actor("p").unwrap().health, HookAnswer::Busy);
            fixture.script.open("held");
        };
        let (held, ()) = tokio::join!(probe.exclusive("held"), test);
        held.unwrap();
    });
}

#[test]
fn an_actor_with_suspended_shared_turns_is_asked_in_front_of_its_queue() {
    for parallel in [false, true] {
        on_each_path(async |fixture| {
            let probe = fixture.configured("p", |registration| {
                if parallel { registration.parallel(2) } else { registration.overlap(2) }
            });
            let (one, two) = (probe.clone(), probe.clone());
            let test = async {
                fixture.script.seen("one begins").await;
                fixture.script.seen("two begins").await;
                let mut behind = pin!(futures::future::join(probe.exclusive("alone"), probe.shared("late")));
                assert!(behind.as_mut().now_or_never().is_none());
                fixture.settle().await;
                let asked = tokio::time::Instant::now();
                let actor = of_p(fixture).await;
                assert_eq!((counts(&actor), &actor.health), ((2, 0, 2), &OK));
                fixture.check_time(asked.elapsed(), Duration::ZERO);
                for name in ["one", "two", "alone", "late"] {
                    fixture.script.open(name);
                }
                let (alone, late) = behind.await;
                alone.unwrap();
                late.unwrap();
            };
            let (one, two, ()) = tokio::join!(one.shared("one"), two.shared("two"), test);
            one.unwrap();
            two.unwrap();
        });
    }
}

#[test]
fn callers_that_left_are_not_counted() {
    on_each_path(async |fixture| {
        let probe = fixture.configured("p", |registration| registration.mailbox(1));
        let test = async {
            fixture.script.seen("held begins").await;
            let mut stays = pin!(probe.add(1));
            assert!(stays.as_mut().now_or_never().is_none());
            for _ in 0..10 {
                assert!(probe.add(100).now_or_never().is_none());
            }
            assert_eq!(counts(&of_p(fixture).await), (1, 0, 1));
            fixture.script.open("held");
            assert_eq!(stays.await.unwrap(), 1);
        };
        let (held, ()) = tokio::join!(probe.exclusive("held"), test);
        held.unwrap();
    });
}

#[test]
fn an_actor_whose_handler_blocks_its_thread_is_busy_and_shows_for_how_long() {
    for path in Path::ALL {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new(path).await;
            let probe = fixture.puppet("p");
            // It was idle for some time before: that does not count.
            probe.add(1).await.unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
            let called = std::time::Instant::now();
            let blocked = fixture.node.spawn(probe.block("door").no_timeout());
            fixture.script.seen("door begins").await;
            let queued = fixture.node.spawn(probe.add(1).no_timeout());
            let asked = std::time::Instant::now();
            let actor = loop {
                let actor = of_p(&fixture).await;
                if actor.queued == 1 {
                    break actor;
                }
            };
            assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
            assert_eq!((&actor.state, &actor.health), (&ActorState::Running, &HookAnswer::Busy));
            assert_eq!(counts(&actor), (1, 0, 1));
            let known = actor.since_progress;
            assert!(inspect::MAX_WAIT <= known && known <= called.elapsed(), "{known:?}");
            fixture.script.open("door");
            blocked.await.unwrap().unwrap();
            assert_eq!(queued.await.unwrap().unwrap(), 2);
            assert_eq!(of_p(&fixture).await.health, OK);
        });
    }
}

#[test]
fn an_actor_that_panicked_says_where_and_what() {
    on_each_path(async |fixture| {
        fixture.puppet("p").panic("no").await.unwrap_err();
        let actor = of_p(fixture).await;
        let (method, message) = ("Probe/panic".to_owned(), "no".to_owned());
        assert_eq!(actor.state, ActorState::Panicked { method, message });
        assert_eq!((counts(&actor), actor.health), ((0, 0, 0), HookAnswer::Ended));
        assert_eq!(actor.since_progress, Duration::ZERO);
    });
}

#[test]
fn time_since_progress_begins_anew_with_every_turn() {
    on_each_path_but(&[Path::Quic], "eighteen seconds of real time", async |fixture| {
        let probe = fixture.puppet("p");
        let (first, second) = (probe.clone(), probe.clone());
        let test = async {
            fixture.script.seen("first begins").await;
            fixture.pass(Duration::from_secs(10)).await;
            fixture.check_time(of_p(fixture).await.since_progress, Duration::from_secs(10));
            let starts = async {
                fixture.script.seen("second begins").await;
                fixture.check_time(of_p(fixture).await.since_progress, Duration::ZERO);
                fixture.pass(Duration::from_secs(3)).await;
                fixture.check_time(of_p(fixture).await.since_progress, Duration::from_secs(3));
                fixture.script.open("second");
            };
            let (second, ()) = tokio::join!(second.shared("second"), starts);
            second.unwrap();
            // A turn has ended.
            fixture.check_time(of_p(fixture).await.since_progress, Duration::ZERO);
            fixture.pass(Duration::from_secs(5)).await;
            let actor = of_p(fixture).await;
            assert_eq!(actor.running, 1);
            fixture.check_time(actor.since_progress, Duration::from_secs(5));
            fixture.script.open("first");
        };
        let (first, ()) = tokio::join!(first.shared("first"), test);
        first.unwrap();
    });
}

#[test]
fn what_an_actor_says_of_itself_is_told() {
    on_each_path(async |fixture| {
        for (says, told) in [
            ((|| Health::Ok) as fn() -> Health, Health::Ok),
            (|| Health::Degraded("slow disk".to_owned()), Health::Degraded("slow disk".to_owned())),
            (|| Health::Failing("x".repeat(600)), Health::Failing("x".repeat(Health::MAX_BYTES))),
        ] {
            fixture.server.registration("p", Patient { says, total: 0 }).parallel(2).register().unwrap();
            assert_eq!(of_p(fixture).await.health, HookAnswer::Said(told));
            assert!(fixture.server.unregister("p").await);
        }
    });
}

#[test]
fn an_actor_that_is_not_sync_is_asked_too() {
    on_each_path(async |fixture| {
        fixture.register("p", Unshared(std::cell::Cell::new(0)));
        let tally = TallyClient::on(&fixture.node, &fixture.resolver, "p");
        tally.more().await.unwrap();
        for asked in [11, 12] {
            let says = Health::Degraded(format!("asked {asked} times"));
            assert_eq!(of_p(fixture).await.health, HookAnswer::Said(says));
        }
    });
}

#[test]
fn many_who_ask_at_once_share_what_is_said() {
    on_each_path(async |fixture| {
        fixture.register("p", Unshared(std::cell::Cell::new(0)));
        let client = inspect(fixture);
        for health in join_all((0..10).map(|_| client.health())).await {
            let said = health.unwrap().actors[0].health.clone();
            assert!(matches!(said, HookAnswer::Said(Health::Degraded(_))), "{said:?}");
        }
    });
}

#[test]
fn a_panic_in_the_hook_is_told_and_the_actor_goes_on() {
    on_each_path(async |fixture| {
        fixture.register("p", Patient { says: || panic!("no pulse"), total: 0 });
        let client = WorkClient::on(&fixture.node, &fixture.resolver, "p");
        for _ in 0..2 {
            let actor = of_p(fixture).await;
            let says = Health::Failing("its health hook panicked: no pulse".to_owned());
            assert_eq!((actor.health, actor.state), (HookAnswer::Said(says), ActorState::Idle));
            assert_eq!(client.total().await.unwrap(), 0);
        }
    });
}

#[test]
fn actors_are_listed_with_what_was_said_of_them() {
    on_each_path(async |fixture| {
        let before = SystemTime::now();
        let at_most = |time: SystemTime| time <= SystemTime::now();
        fixture.configured("p", |registration| {
            registration.metadata("zone", "a").metadata("gpu", "2").metadata("zone", "b")
        });
        fixture.register("a", Patient { says: Health::default, total: 0 });
        let actors = inspect(fixture).actors().await.unwrap();
        assert_eq!(fixture.server.actors(), ["a", "p"], "the server's own actor is not listed");
        let names: Vec<&str> = actors.iter().map(|actor| &*actor.name).collect();
        assert_eq!(names, ["a", "p"]);
        assert_eq!(
            (&*actors[0].services, &*actors[1].services),
            (&["Work".into()][..], &["Probe".into()][..])
        );
        assert!(actors[0].metadata.is_empty());
        let metadata = [("gpu", "2"), ("zone", "b")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(actors[1].metadata, metadata.clone().into());
        assert_eq!((actors[1].generation, actors[1].id.node()), (0, fixture.server.node().id()));
        let registered = actors[1].registered;
        assert!(before <= registered + Duration::from_millis(1) && at_most(registered));
        // Whoever resolves the name learns it too.
        let found = fixture.server.resolver().resolve(fixture.node.namespace(), "p").await.unwrap();
        assert_eq!(found.first().unwrap().metadata, metadata.into());
    });
}

#[test]
fn metadata_is_bounded() {
    on_each_path(async |fixture| {
        let patient = Patient { says: Health::default, total: 0 };
        let registration = fixture.server.registration("p", patient).metadata("notes", "x".repeat(10_000));
        let error = registration.register().unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"p\" was not registered: metadata `notes` makes 1 entries of 10005 bytes; at most 32 entries of 8192 \
             bytes together are carried"
        );
    });
}

#[test]
fn methods_are_listed_as_they_are_written() {
    on_each_path(async |fixture| {
        fixture.register("p", Patient { says: Health::default, total: 0 });
        let client = inspect(fixture);
        let services = client.methods("p".to_owned()).await.unwrap();
        assert_eq!(services.len(), 1);
        let (service, described) = (&services[0], WorkService::description());
        assert_eq!((&*service.name, &*service.docs), ("Work", "What a patient does."));
        let [add, total] = &service.methods[..] else { panic!("two methods") };
        assert_eq!(add.signature, "async fn add(&mut self, n: u64, why: &str) -> Result<u64, String>");
        assert_eq!((&*add.name, &*add.docs), ("add", "Adds\nto the total."));
        assert_eq!((add.access, add.deprecated), (Access::Exclusive, true));
        assert_eq!(add.timeout, MethodTimeout::After(Duration::from_secs(2)));
        let arguments: Vec<_> = add.arguments.iter().map(|a| (&*a.name, &*a.ty, &*a.schema)).collect();
        assert_eq!(arguments, [("n", "u64", "u64"), ("why", "&str", "String")]);
        assert_eq!((&*add.reply, add.error.as_deref()), ("u64", Some("String")));
        assert_eq!(add.reply_type, "Result<u64, String>");
        assert!(add.checked);
        assert_eq!((add.id, add.fingerprint), (described.methods[0].id, described.methods[0].fingerprint));
        assert_eq!((total.access, total.deprecated), (Access::Shared, false));
        assert_eq!((total.timeout, total.error.as_deref()), (MethodTimeout::Default, None));
        assert_eq!(client.methods(String::new()).await.unwrap(), services, "it is the only actor");
        // The service describes itself too.
        let own = client.methods(inspect::NAME.to_owned()).await.unwrap();
        assert_eq!(own[0].methods[0].signature, "async fn health(&self) -> ServerHealth");
        assert!(own[0].methods.iter().all(|method| method.checked));

        let error = client.methods("q".to_owned()).await.unwrap_err();
        let actor_runtime::CallError::Application(error) = error else { panic!("{error}") };
        assert!(
            matches!(&error, InspectError::NoSuchActor { name, known } if name == "q" && known == &["p"])
        );
    });
}

#[test]
fn names_that_begin_with_a_dollar_are_the_servers_own() {
    on_each_path(async |fixture| {
        for name in [inspect::NAME, "$mine"] {
            let error =
                fixture.server.register(name, Patient { says: Health::default, total: 0 }).unwrap_err();
            assert!(matches!(&error, RegisterError::Reserved { name: refused } if refused == name));
            assert!(error.to_string().ends_with("write another first character"), "{error}");
        }
        assert!(!fixture.server.unregister(inspect::NAME).await);
        fixture.resolver.set("$mine", [fixture.server.address()]);
        let failure = ProbeClient::on(&fixture.node, &fixture.resolver, "$mine").total().await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::NotFound);
        health(fixture).await;
    });
}

#[test]
fn it_is_never_behind_the_traffic_of_others() {
    on_each_path(async |fixture| {
        let probe = fixture.configured("p", |r| r.mailbox(1).overflow(Overflow::Fail));
        let test = async {
            fixture.script.seen("held begins").await;
            let mut queued = pin!(probe.add(1));
            assert!(queued.as_mut().now_or_never().is_none());
            assert_eq!(probe.add(1).await.unwrap_err().kind(), FailureKind::Overloaded);
            assert_eq!(counts(&of_p(fixture).await), (1, 0, 1));
            fixture.script.open("held");
            queued.await.unwrap();
        };
        let (held, ()) = tokio::join!(probe.exclusive("held"), test);
        held.unwrap();
    });
}

#[test]
fn the_empty_name_means_the_only_actor() {
    on_each_path(async |fixture| {
        let address = fixture.server.address();
        fixture.resolver.set("", [address.clone()]);
        let fixed = ProbeClient::on(&fixture.node, &fixture.resolver, "");
        let local = ProbeClient::on(&fixture.node, &fixture.server.resolver(), "");
        let texts = async || {
            let mut texts = Vec::new();
            for client in [&fixed, &local] {
                let failure = client.total().await.unwrap_err();
                assert_eq!(
                    (failure.kind(), failure.delivery()),
                    (FailureKind::NotFound, Delivery::NotDelivered)
                );
                texts.push(failure.detail().to_owned());
            }
            texts
        };
        let means = "the empty name means the only actor that is registered, and";
        let [at_address, in_namespace] = [format!("at {address}"), "in namespace <local>".to_owned()];

        let none = texts().await;
        assert_eq!(none[0], format!("{means} {at_address} nothing is registered"));
        assert_eq!(none[1], format!("{means} {in_namespace} nothing is registered"));

        fixture.puppet("one").add(5).await.unwrap();
        assert_eq!(fixed.total().await.unwrap(), 5);
        assert_eq!(local.total().await.unwrap(), 5);

        // Also for clients that have found it already.
        fixture.puppet("two");
        let several = texts().await;
        let call = "call one of them by its name";
        assert_eq!(several[0], format!("{means} {at_address} there are \"one\", \"two\"; {call}"));
        assert!(several[1].ends_with(call), "{}", several[1]);

        assert!(fixture.server.unregister("one").await);
        assert_eq!(fixed.total().await.unwrap(), 0, "it is `two` now");
        assert_eq!(local.total().await.unwrap(), 0);
    });
}

#[test]
fn nothing_can_be_registered_under_the_empty_name() {
    on_each_path(async |fixture| {
        let error = fixture.server.register("", Patient { says: Health::default, total: 0 }).unwrap_err();
        assert!(matches!(error, RegisterError::Name { .. }));
    });
}

#[test]
fn a_server_that_is_draining_says_so_and_is_gone_afterwards() {
    on_each_path(async |fixture| {
        let probe = fixture.puppet("p");
        fixture.puppet("idle");
        let drains = async {
            fixture.script.seen("held begins").await;
            let mut queued = pin!(probe.add(1));
            assert!(queued.as_mut().now_or_never().is_none());
            fixture.settle().await;
            let mut shutdown = pin!(fixture.server.shutdown(Duration::from_secs(5)));
            assert!(futures::poll!(shutdown.as_mut()).is_pending());
            let looks = async {
                let health = health(fixture).await;
                assert!(health.draining);
                let actor = health.actor("p").unwrap();
                assert_eq!((&actor.state, counts(actor)), (&ActorState::Stopping, (1, 0, 1)));
                let idle = health.actor("idle").unwrap();
                let reason = "its server was shut down".to_owned();
                assert_eq!(
                    (&idle.state, &idle.health),
                    (&ActorState::Stopped { reason }, &HookAnswer::Ended)
                );
                fixture.script.open("held");
            };
            let (ended, ()) = tokio::join!(shutdown, looks);
            ended.unwrap();
            queued.await.unwrap();
        };
        let (held, ()) = tokio::join!(probe.exclusive("held"), drains);
        held.unwrap();
        let failure = inspect(fixture).health().await.unwrap_err();
        assert_eq!(failure.delivery(), Delivery::NotDelivered);

        let again = fixture.another_server("again").await;
        let health =
            InspectClient::on(&fixture.node, &again.resolver(), inspect::NAME).health().await.unwrap();
        assert!(!health.draining && health.actors.is_empty());
    });
}

#[test]
fn a_question_under_way_is_answered_before_the_server_ends_and_never_holds_it_up() {
    on_each_path(async |fixture| {
        let probe = fixture.puppet("p");
        let test = async {
            fixture.script.seen("held begins").await;
            let asks = inspect(fixture);
            let mut asked = pin!(asks.health());
            assert!(futures::poll!(asked.as_mut()).is_pending());
            tokio::task::yield_now().await;
            let started = tokio::time::Instant::now();
            let ended = fixture.server.shutdown(Duration::from_millis(100)).await.unwrap_err();
            assert!(started.elapsed() <= Duration::from_millis(350), "{:?}", started.elapsed());
            assert_eq!((ended.cut_off, ended.blocked), (vec!["p".to_owned()], vec![]));
            // It waited for the busy actor and was cut off with it.
            assert_eq!(asked.await.unwrap_err().kind(), FailureKind::Stopped);
        };
        let (held, ()) = tokio::join!(probe.exclusive("held"), test);
        assert_eq!(held.unwrap_err().kind(), FailureKind::Stopped);
    });
}

#[test]
fn the_service_of_a_puppet_is_the_one_of_its_trait() {
    on_each_path(async |fixture| {
        fixture.puppet("p");
        let services = inspect(fixture).methods("p".to_owned()).await.unwrap();
        let told: Vec<_> = services[0].methods.iter().map(|m| (&*m.signature, m.id, m.fingerprint)).collect();
        let described = ProbeService::description();
        let known: Vec<_> = described.methods.iter().map(|m| (m.signature, m.id, m.fingerprint)).collect();
        assert_eq!(told, known);
        assert!(
            <Puppet as Actor>::health(&Puppet {
                script: fixture.script.clone(),
                resolver: fixture.resolver.clone(),
                total: 0
            })
            .is_ok()
        );
    });
}
