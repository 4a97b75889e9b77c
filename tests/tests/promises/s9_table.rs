//! S9: what becomes of calls when their actor stops, is killed, panics or is restarted; a test a row, an assertion a cell.

#![expect(clippy::unwrap_used, reason = "a test fails where nothing is")]

use std::time::Duration;

use actor_runtime::{
    ActorHandle, CallOptions, Delivery, Failure, FailureKind, FixedResolver, ReplyTo, Retry, StopReason,
    prelude::*,
    supervise::{Child, Strategy, Supervisor, SupervisorHandle},
};
use tests::{Fixture, Script, on_each_path};

#[actor_service]
trait Cast {
    async fn shared(&self, name: String) -> String;
    async fn exclusive(&mut self, name: String) -> String;
    fn stream(&self, name: String) -> impl Stream<Item = u64>;
    #[oneway]
    async fn tell(&mut self, name: String);
    async fn later(&mut self, reply: ReplyTo<String>);
    async fn panic(&self);
}

struct Player {
    script: Script,
    held: Vec<ReplyTo<String>>,
}

#[actor_service]
impl Cast for Player {
    async fn shared(&self, name: String) -> String {
        self.script.act(&name).await;
        name
    }

    async fn exclusive(&mut self, name: String) -> String {
        self.script.act(&name).await;
        name
    }

    fn stream(&self, name: String) -> impl Stream<Item = u64> {
        let script = self.script.clone();
        stream::iter([1]).chain(stream::once(async move {
            script.act(&name).await;
            2
        }))
    }

    async fn tell(&mut self, name: String) {
        self.script.act(&name).await;
    }

    async fn later(&mut self, reply: ReplyTo<String>) {
        self.held.push(reply);
        self.script.log("held");
    }

    async fn panic(&self) {
        panic!("struck");
    }
}

/// The rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    Stop,
    GraceOver,
    StopNow,
    Kill,
    Panic,
    Restart,
}

/// An actor, and what happens to it.
struct Scene<'a> {
    fixture: &'a Fixture,
    blow: Blow,
    actor: ActorHandle,
    supervisor: Option<SupervisorHandle>,
    client: CastClient,
}

const GRACE: Duration = Duration::from_millis(500);

impl<'a> Scene<'a> {
    fn new(fixture: &'a Fixture, blow: Blow, column: &str) -> Self {
        let (name, sibling) = (column.to_owned(), format!("sibling of {column}"));
        let script = fixture.script.clone();
        let make = move || Player { script: script.clone(), held: Vec::new() };
        let (actor, supervisor) = if blow == Blow::Restart {
            let supervisor = Supervisor::new(Strategy::OneForAll)
                .child(Child::new(&name, make.clone()))
                .child(Child::new(&sibling, make))
                .start(fixture.server.node())
                .unwrap();
            (supervisor.child(&name).unwrap(), Some(supervisor))
        } else {
            (fixture.server.registration(&name, make()).start().unwrap(), None)
        };
        fixture.resolver.set(&name, [fixture.server.address()]);
        let client = client(&fixture.node, &fixture.resolver, &name);
        Self { fixture, blow, actor, supervisor, client }
    }

    async fn strike(&self) {
        match self.blow {
            Blow::Stop => drop(self.actor.stop(Duration::from_secs(60))),
            Blow::GraceOver => {
                drop(self.actor.stop(GRACE));
                self.fixture.pass(GRACE).await;
            }
            Blow::StopNow => drop(self.actor.stop_now()),
            Blow::Kill => drop(self.actor.kill()),
            Blow::Panic => {
                let failure = self.client.clone().panic().await.unwrap_err();
                assert_eq!(failure.kind(), FailureKind::Panicked);
            }
            Blow::Restart => {
                let supervisor = self.supervisor.as_ref().unwrap();
                let sibling = supervisor.child(&format!("sibling of {}", self.actor.name())).unwrap();
                sibling.client::<CastClient>().panic().await.unwrap_err();
            }
        }
        self.fixture.settle().await;
    }

    /// Makes a call of another handle while a turn runs, strikes, and lets the running turn end.
    async fn queued<T>(&self, call: impl AsyncFnOnce(CastClient) -> T) -> T {
        let script = &self.fixture.script;
        let busy = self.client.clone();
        let run = async {
            script.seen("busy begins").await;
            let queued = async {
                // What comes before a panic in the queue would hold it up.
                if self.blow == Blow::Panic {
                    script.seen("struck").await;
                }
                call(self.client.clone()).await
            };
            let strike = async {
                if self.blow != Blow::Panic {
                    self.fixture.queued(self.actor.name(), 1).await;
                }
                self.strike().await;
                script.log("struck");
                if self.blow == Blow::Panic {
                    self.fixture.queued(self.actor.name(), 1).await;
                }
                script.open("busy");
            };
            tokio::join!(queued, strike).0
        };
        let held = async {
            if self.blow == Blow::Panic {
                drop(busy.shared("busy".into()).await);
            } else {
                drop(busy.exclusive("busy".into()).await);
            }
        };
        tokio::join!(held, run).1
    }

    /// The cell of a call that was running.
    async fn running(&self, call: impl AsyncFnOnce(CastClient) -> Result<String, Failure>) -> Cell {
        let script = &self.fixture.script;
        let strike = async {
            script.seen("running begins").await;
            self.strike().await;
            script.open("running");
        };
        cell(tokio::join!(call(self.client.clone()), strike).0)
    }
}

fn client(node: &Node, resolver: &FixedResolver, name: &str) -> CastClient {
    let once = CallOptions::new().retry(Retry::none());
    CastClient::on(node, resolver, name).with_options(once)
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    Ends,
    StoppedNotDelivered,
    StoppedUnknown,
    Other(FailureKind, Delivery),
}

fn cell<T>(end: Result<T, Failure>) -> Cell {
    match end.map_err(|failure| (failure.kind(), failure.delivery())) {
        Ok(_) => Cell::Ends,
        Err((FailureKind::Stopped, Delivery::NotDelivered)) => Cell::StoppedNotDelivered,
        Err((FailureKind::Stopped, Delivery::Unknown)) => Cell::StoppedUnknown,
        Err((kind, delivery)) => Cell::Other(kind, delivery),
    }
}

/// A row of the table.
struct Row {
    queued: Cell,
    shared: Cell,
    /// None where it cannot happen: a turn that has the actor for itself is the one that panics.
    exclusive: Option<Cell>,
    /// Whether streams end by themselves.
    streams_end: bool,
    /// Whether accepted oneway calls are run.
    tells_run: bool,
    later: Cell,
    /// How the actor ends; none if it goes on.
    reason: Option<fn(&StopReason) -> bool>,
}

fn check(blow: Blow, row: &Row) {
    on_each_path(async |fixture| {
        let scene = Scene::new(fixture, blow, "queued");
        fixture.script.open("queued");
        let queued = scene.queued(async |client| client.exclusive("queued".into()).await).await;
        assert_eq!(cell(queued), row.queued, "{blow:?} × queued");
        if let Some(expected) = row.reason {
            let reason = scene.actor.ended().await;
            assert!(expected(&reason), "{blow:?} ends as {reason:?}");
        } else {
            fixture.script.open("again");
            assert_eq!(scene.client.shared("again".into()).await.unwrap(), "again", "{blow:?} goes on");
        }
    });
    on_each_path(async |fixture| {
        let scene = Scene::new(fixture, blow, "shared");
        let shared = scene.running(async |client| client.shared("running".into()).await).await;
        assert_eq!(shared, row.shared, "{blow:?} × running &self");
    });
    if let Some(expected) = row.exclusive {
        on_each_path(async |fixture| {
            let scene = Scene::new(fixture, blow, "exclusive");
            let exclusive = scene.running(async |client| client.exclusive("running".into()).await).await;
            assert_eq!(exclusive, expected, "{blow:?} × running &mut self");
        });
    }
    on_each_path(async |fixture| {
        let scene = Scene::new(fixture, blow, "streaming");
        let mut items = scene.client.stream("item".into()).await.unwrap();
        assert_eq!(items.try_next().await.unwrap(), Some(1));
        fixture.script.seen("item begins").await;
        scene.strike().await;
        fixture.script.open("item");
        let rest: Result<Vec<u64>, _> = items.try_collect().await;
        let rest = rest.map_err(|failure| failure.kind());
        let expected = if row.streams_end { Ok(vec![2]) } else { Err(FailureKind::Stopped) };
        assert_eq!(rest, expected, "{blow:?} × streaming");
    });
    on_each_path(async |fixture| {
        let scene = Scene::new(fixture, blow, "tell");
        fixture.script.open("told");
        scene.queued(async |client| client.tell("told".into()).await).await.unwrap();
        if row.tells_run {
            fixture.script.seen("told ends").await;
        } else {
            scene.actor.ended().await;
            let told = fixture.script.lines().iter().any(|line| line.starts_with("told"));
            assert!(!told, "{blow:?} × accepted oneway calls");
        }
    });
    on_each_path(async |fixture| {
        let scene = Scene::new(fixture, blow, "later");
        let strike = async {
            fixture.script.seen("held").await;
            scene.strike().await;
        };
        let asked = scene.client.clone();
        let (later, ()) = tokio::join!(asked.later(), strike);
        assert_eq!(cell(later), row.later, "{blow:?} × answered later");
    });
}

#[test]
fn stop_within_its_grace() {
    check(
        Blow::Stop,
        &Row {
            queued: Cell::Ends,
            shared: Cell::Ends,
            exclusive: Some(Cell::Ends),
            streams_end: true,
            tells_run: true,
            later: Cell::StoppedUnknown,
            reason: Some(|reason| *reason == StopReason::Stopped),
        },
    );
}

#[test]
fn stop_after_its_grace_is_a_kill() {
    check(
        Blow::GraceOver,
        &Row {
            queued: Cell::StoppedNotDelivered,
            shared: Cell::StoppedUnknown,
            exclusive: Some(Cell::StoppedUnknown),
            // The actor has ended by itself before.
            streams_end: true,
            tells_run: false,
            later: Cell::StoppedUnknown,
            reason: Some(|reason| *reason == StopReason::Killed),
        },
    );
}

#[test]
fn stop_now() {
    check(
        Blow::StopNow,
        &Row {
            queued: Cell::StoppedNotDelivered,
            shared: Cell::Ends,
            exclusive: Some(Cell::Ends),
            streams_end: true,
            tells_run: false,
            later: Cell::StoppedUnknown,
            reason: Some(|reason| *reason == StopReason::Stopped),
        },
    );
}

#[test]
fn kill() {
    check(
        Blow::Kill,
        &Row {
            queued: Cell::StoppedNotDelivered,
            shared: Cell::StoppedUnknown,
            exclusive: Some(Cell::StoppedUnknown),
            streams_end: false,
            tells_run: false,
            later: Cell::StoppedUnknown,
            reason: Some(|reason| *reason == StopReason::Killed),
        },
    );
}

#[test]
fn panic() {
    check(
        Blow::Panic,
        &Row {
            queued: Cell::StoppedNotDelivered,
            shared: Cell::Ends,
            exclusive: None,
            streams_end: true,
            tells_run: false,
            later: Cell::StoppedUnknown,
            reason: Some(StopReason::is_failure),
        },
    );
}

#[test]
fn restart() {
    check(
        Blow::Restart,
        &Row {
            queued: Cell::Ends,
            shared: Cell::Ends,
            exclusive: Some(Cell::Ends),
            streams_end: true,
            tells_run: true,
            later: Cell::StoppedUnknown,
            reason: None,
        },
    );
}
