//! S7 as a table: every kind of call, at every stage of its way, ended by its caller or by its deadline, over every path.
//!
//! ```text
//!   made ─ resolving ─ without credit ─ half written ─ queued ─ running ─ replying
//!   └────────────── never runs ──────────────────────────────┘   │          └ has run
//!                                                                └ dropped, or runs on (`&mut self`)
//! ```
//!
//! The calls of one stage are brought there together, ended together, and looked at together. A call of somebody else is
//! under way meanwhile: a connection that breaks would take it along.

#![allow(clippy::unwrap_used, reason = "an actor of a test may panic as the test may")]

use std::{future::Future, pin::Pin, time::Duration};

use actor_runtime::{BoxFuture, BoxStream, Config, Namespace, ResolveError, ResolveResult, prelude::*};
use futures::future::{join_all, select};
use tests::{Fixture, Path, Script, runtime};
use tokio::sync::watch;

#[actor_service]
trait Stages {
    async fn shared(&self, name: &str, load: &[u8]) -> Vec<u8>;
    async fn exclusive(&mut self, name: &str, load: &[u8]) -> Vec<u8>;
    #[cancel_safe]
    async fn safe(&mut self, name: &str, load: &[u8]) -> Vec<u8>;
    /// Calls that have begun, this one not counted.
    async fn begun(&self) -> Vec<String>;
}

#[derive(Default)]
struct Worker {
    script: Script,
    begun: std::sync::Mutex<Vec<String>>,
}

impl Worker {
    async fn work(&self, name: &str, load: &[u8]) -> Vec<u8> {
        self.begun.lock().unwrap().push(name.to_owned());
        self.script.act(name).await;
        load.to_vec()
    }
}

#[actor_service]
impl Stages for Worker {
    async fn shared(&self, name: &str, load: &[u8]) -> Vec<u8> {
        self.work(name, load).await
    }

    async fn exclusive(&mut self, name: &str, load: &[u8]) -> Vec<u8> {
        self.work(name, load).await
    }

    async fn safe(&mut self, name: &str, load: &[u8]) -> Vec<u8> {
        self.work(name, load).await
    }

    async fn begun(&self) -> Vec<String> {
        self.begun.lock().unwrap().clone()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Shared,
    Exclusive,
    Safe,
    /// Exclusive, with so much that its arguments and its reply travel on streams of their own.
    Large,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Made,
    Resolving,
    WithoutCredit,
    HalfWritten,
    Queued,
    Running,
    Replying,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Leaving,
    Deadline,
}

impl Stage {
    /// Whether a turn holds the actor for itself meanwhile.
    fn is_behind_another(self) -> bool {
        matches!(self, Self::WithoutCredit | Self::HalfWritten | Self::Queued)
    }

    /// What is known of a call whose deadline passes at this stage.
    fn delivery(self, path: Path) -> &'static [Delivery] {
        match self {
            // The server knows, and has 20 ms to say so before the caller's node goes by its own clock; over sockets that
            // may be too little on a busy machine.
            Self::Queued if path == Path::Quic => &[Delivery::NotDelivered, Delivery::Unknown],
            // Over sockets it may have been written whole by then, and the server has said so.
            Self::HalfWritten => &[Delivery::Unknown, Delivery::NotDelivered],
            Self::Running | Self::Replying => &[Delivery::Unknown],
            _ => &[Delivery::NotDelivered],
        }
    }

    /// Whether there are such calls.
    fn has(self, path: Path, kind: Kind, by: By) -> bool {
        match self {
            Self::WithoutCredit => path.encodes(),
            Self::HalfWritten => path.crosses_nodes() && kind == Kind::Large,
            // Nothing holds a reply up, except where the test says how long a datagram takes.
            Self::Replying => by == By::Leaving || path == Path::Simulated,
            _ => true,
        }
    }
}

type Pending = Pin<Box<dyn Future<Output = Result<Vec<u8>, Failure>>>>;

/// One line of the table.
struct Case {
    stage: Stage,
    kind: Kind,
    by: By,
    name: String,
    client: StagesClient,
    call: Option<Pending>,
    /// What is in its way.
    others: Vec<Pending>,
}

/// What a call that is ended by its deadline has.
fn patience(fixture: &Fixture, stage: Stage) -> Duration {
    Duration::from_millis(match (stage, fixture.path.is_paused()) {
        (Stage::Made, _) => 0,
        // Longer than it takes to fill what is before it.
        (_, true) => 500,
        (_, false) => 300,
    })
}

impl Case {
    fn make(&self, fixture: &Fixture) -> Pending {
        // Over sockets nobody can say how far it has come; but so much is not written at once.
        let large =
            if fixture.path == Path::Quic && self.stage == Stage::HalfWritten { 8 << 20 } else { 100 << 10 };
        let load = vec![7; if self.kind == Kind::Large { large } else { 7 }];
        let call = match self.kind {
            Kind::Shared => self.client.shared(&self.name, &load),
            Kind::Exclusive | Kind::Large => self.client.exclusive(&self.name, &load),
            Kind::Safe => self.client.safe(&self.name, &load),
        };
        Box::pin(match self.by {
            By::Leaving => call,
            By::Deadline => call.timeout(patience(fixture, self.stage)),
        })
    }

    /// Lets everything of this case go on until an event, which comes before the call ends.
    async fn until(&mut self, event: impl Future) {
        let mut all = join_all(self.others.iter_mut().chain(self.call.as_mut()));
        let event = std::pin::pin!(event);
        if let futures::future::Either::Left((ends, _)) = select(&mut all, event).await {
            panic!("{} ended: {ends:?}", self.name);
        }
    }

    /// Brings what is in the call's way there.
    async fn prepare(&mut self, fixture: &Fixture) {
        if self.stage != Stage::Resolving {
            self.client.begun().await.unwrap();
        }
        if !self.stage.is_behind_another() {
            return;
        }
        let hold = format!("{} held", self.name);
        self.others.push(Box::pin(self.client.clone().exclusive(&hold, &[])));
        self.until(fixture.script.seen(&format!("{hold} begins"))).await;
        if self.stage == Stage::WithoutCredit {
            // It takes the only credit that there is.
            self.others.push(Box::pin(self.client.clone().shared(&format!("{} next", self.name), &[])));
            self.until(fixture.settle()).await;
        }
    }

    /// Brings the call to its stage.
    async fn start(&mut self, fixture: &Fixture) {
        self.call = Some(self.make(fixture));
        match self.stage {
            Stage::Made => {}
            Stage::HalfWritten if fixture.path == Path::Quic => self.until(tokio::task::yield_now()).await,
            // Long enough for the first datagrams to arrive, and too short for their acknowledgements.
            Stage::HalfWritten => self.until(fixture.pass(Duration::from_millis(300))).await,
            Stage::Resolving | Stage::WithoutCredit | Stage::Queued => self.until(fixture.settle()).await,
            Stage::Running | Stage::Replying => {
                self.until(fixture.script.seen(&format!("{} begins", self.name))).await;
            }
        }
        if let (Stage::WithoutCredit | Stage::Queued, true) = (self.stage, fixture.path.is_paused()) {
            let queued = fixture.health(&self.name).await.queued;
            assert_eq!(queued, 1, "{}: is it at its stage?", self.name);
        }
    }

    async fn end(&mut self, fixture: &Fixture) {
        if self.stage == Stage::Replying {
            fixture.script.open(&self.name);
            // The call is not looked at meanwhile: it would take the reply.
            fixture.script.seen(&format!("{} ends", self.name)).await;
        }
        let call = self.call.take().unwrap();
        match self.by {
            By::Leaving => drop(call),
            By::Deadline => {
                let failure = call.await.unwrap_err();
                let known = self.stage.delivery(fixture.path).contains(&failure.delivery());
                assert!(known, "{}: {:?}: {failure}", self.name, failure.delivery());
                assert_eq!(failure.kind(), FailureKind::DeadlineExceeded, "{}: {failure}", self.name);
            }
        }
    }

    /// What became of it.
    async fn check(&mut self, fixture: &Fixture) {
        let script = &fixture.script;
        match (self.stage, self.kind) {
            (Stage::Running, Kind::Shared | Kind::Safe) => {
                script.seen(&format!("{} dropped", self.name)).await;
            }
            (Stage::Running, Kind::Exclusive | Kind::Large) => {
                script.open(&self.name);
                script.seen(&format!("{} ends", self.name)).await;
            }
            _ => {}
        }
        for before in ["held", "next"] {
            script.open(&format!("{} {before}", self.name));
        }
        for other in self.others.drain(..) {
            other.await.unwrap();
        }
        // The handle that the call was made with serves the next one, and so does the actor.
        let begun = self.client.begun().await.unwrap();
        let runs = matches!(self.stage, Stage::Running | Stage::Replying);
        assert_eq!(begun.contains(&self.name), runs, "{}: {begun:?}", self.name);
        let left = fixture.health(&self.name).await;
        assert_eq!((left.queued, left.waiting, left.running), (0, 0, 0), "{}: {left:?}", self.name);
    }
}

/// Finds nothing before it may.
#[derive(Clone, Debug)]
struct Hesitant {
    inner: FixedResolver,
    go: watch::Receiver<bool>,
}

impl Resolver for Hesitant {
    fn resolve<'a>(
        &'a self,
        namespace: &'a Namespace,
        name: &'a str,
    ) -> BoxFuture<'a, Result<ResolveResult, ResolveError>> {
        Box::pin(async move {
            let _ = self.go.clone().wait_for(|go| *go).await;
            self.inner.resolve(namespace, name).await
        })
    }

    fn watch(
        &self,
        namespace: &Namespace,
        name: &str,
    ) -> BoxStream<'static, Result<ResolveResult, ResolveError>> {
        self.inner.watch(namespace, name)
    }
}

/// Runs the lines of one stage.
fn table(stage: Stage) {
    for path in Path::ALL {
        let credit = if stage == Stage::WithoutCredit { 1 } else { Config::default().call_credit };
        let config = Config { call_credit: credit, ..Config::default() };
        runtime(path).block_on(async {
            let fixture = Fixture::with(path, |builder| builder.config(config.clone())).await;
            lines(&fixture, stage).await;
        });
    }
}

async fn lines(fixture: &Fixture, stage: Stage) {
    let (go, may_go) = watch::channel(stage != Stage::Resolving);
    let mut cases = Vec::new();
    for kind in [Kind::Shared, Kind::Exclusive, Kind::Safe, Kind::Large] {
        for by in [By::Leaving, By::Deadline] {
            if !stage.has(fixture.path, kind, by) {
                continue;
            }
            let name = format!("{stage:?} {kind:?} {by:?} {:?}", fixture.path);
            let script = fixture.script.clone();
            fixture.register(&name, Worker { script, ..Worker::default() });
            let resolver = Hesitant { inner: fixture.resolver.clone(), go: may_go.clone() };
            let client = StagesClient::on(&fixture.node, &resolver, name.as_str());
            cases.push(Case { stage, kind, by, name, client, call: None, others: Vec::new() });
        }
    }
    if cases.is_empty() {
        return;
    }
    fixture.register("witness", Worker { script: fixture.script.clone(), ..Worker::default() });
    let witness = StagesClient::on(&fixture.node, &fixture.resolver, "witness");
    let mut witnesses: Pending = Box::pin(witness.shared("witness", &[]));
    tokio::select! {
        end = &mut witnesses => unreachable!("nobody opens its door: {end:?}"),
        () = fixture.script.seen("witness begins") => {}
    }

    join_all(cases.iter_mut().map(|case| case.prepare(fixture))).await;
    if stage == Stage::HalfWritten {
        fixture.latency(Duration::from_millis(200));
    }
    join_all(cases.iter_mut().map(|case| case.start(fixture))).await;
    if stage == Stage::Replying {
        // Longer than the calls have.
        fixture.latency(Duration::from_millis(600));
    }
    join_all(cases.iter_mut().map(|case| case.end(fixture))).await;
    fixture.latency(Duration::from_millis(1));
    go.send_replace(true);
    join_all(cases.iter_mut().map(|case| case.check(fixture))).await;

    fixture.script.open("witness");
    witnesses.await.unwrap();
    fixture.server.shutdown(Duration::from_secs(5)).await.unwrap();
}

#[test]
fn a_call_that_was_made_and_not_polled() {
    table(Stage::Made);
}

#[test]
fn a_call_whose_name_is_being_looked_up() {
    table(Stage::Resolving);
}

#[test]
fn a_call_that_waits_at_its_caller_for_credit() {
    table(Stage::WithoutCredit);
}

#[test]
fn a_call_that_is_half_written() {
    table(Stage::HalfWritten);
}

#[test]
fn a_call_that_is_queued_at_its_actor() {
    table(Stage::Queued);
}

#[test]
fn a_call_that_runs() {
    table(Stage::Running);
}

#[test]
fn a_call_whose_reply_is_on_its_way() {
    table(Stage::Replying);
}
