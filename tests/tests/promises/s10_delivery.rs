//! S10 step by step: whatever is done to a call, and whenever, `delivery` says of it what its handler's log says. Each run
//! is one call to a server that is struck so many milliseconds after the call was made: while it connects, while its body
//! is on the way, while it runs, while its reply is on the way.

#![expect(clippy::disallowed_methods, reason = "time is simulated")]
#![allow(clippy::unwrap_used, reason = "an actor of a test may panic as the test may")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use actor_runtime::{
    ActorServer, CallOptions, Config, Delivery, Failure, FixedResolver, Node, Retry,
    prelude::*,
    testing::{SimHost, SimNet},
};
use bytes::Bytes;
use tests::{Path, runtime};
use tokio::time::sleep;

/// How often a handler began, and how often it ran to its end.
#[derive(Clone, Copy, Debug, Default)]
struct Ran {
    began: u32,
    ended: u32,
}

#[actor_service]
trait Work {
    async fn once(&mut self, body: Bytes, reply: u64) -> Bytes;
    #[dedup]
    async fn deduped(&mut self, body: Bytes, reply: u64) -> Bytes;
    #[idempotent]
    async fn repeated(&mut self, body: Bytes, reply: u64) -> Bytes;
    /// Makes the others wait in the queue.
    async fn hold(&mut self, millis: u64);
}

struct Worker(Arc<Mutex<Ran>>);

impl Worker {
    async fn work(&self, reply: u64) -> Bytes {
        self.0.lock().unwrap().began += 1;
        sleep(ms(6)).await;
        self.0.lock().unwrap().ended += 1;
        vec![7; usize::try_from(reply).unwrap()].into()
    }
}

#[actor_service]
impl Work for Worker {
    async fn once(&mut self, _body: Bytes, reply: u64) -> Bytes {
        self.work(reply).await
    }

    async fn deduped(&mut self, _body: Bytes, reply: u64) -> Bytes {
        self.work(reply).await
    }

    async fn repeated(&mut self, _body: Bytes, reply: u64) -> Bytes {
        self.work(reply).await
    }

    async fn hold(&mut self, millis: u64) {
        sleep(ms(millis)).await;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Once,
    Deduped,
    Repeated,
}

/// How long the arguments and the reply are: long ones have streams of their own.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Small,
    LongBody,
    LongReply,
    /// A small call that finds its actor busy.
    Queued,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    CutBoth,
    CutRequests,
    CutReplies,
    /// The server's process dies, and is started again.
    Kill,
    /// The server ends without a grace, and is started again.
    Drop,
    /// The same, after a grace that is too short.
    Shutdown,
    /// Another actor gets the name.
    Register,
    /// The call's time is over.
    Deadline,
}

const BLOWS: [Blow; 8] = [
    Blow::CutBoth,
    Blow::CutRequests,
    Blow::CutReplies,
    Blow::Kill,
    Blow::Drop,
    Blow::Shutdown,
    Blow::Register,
    Blow::Deadline,
];

#[derive(Clone, Copy, Debug)]
struct Case {
    method: Method,
    shape: Shape,
    blow: Blow,
    retry: Retry,
    /// After so many milliseconds.
    step: u64,
}

impl Case {
    /// Whether all that the client sends arrives: if the handler did not run, the call was not sent. A long body is sent
    /// as the server asks for it.
    fn is_heard(&self) -> bool {
        self.blow == Blow::CutReplies && !matches!(self.shape, Shape::LongBody)
    }
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A client and a server on two hosts.
struct World {
    net: SimNet,
    client_host: SimHost,
    server_host: SimHost,
    resolver: FixedResolver,
    ran: Arc<Mutex<Ran>>,
    nodes: AtomicU64,
}

impl World {
    fn node(&self, host: &SimHost) -> Node {
        // Ids are drawn by it, and no two nodes have the same.
        let seed = self.nodes.fetch_add(1, Ordering::Relaxed);
        let config = Config { own_stream_bytes: 8 * 1024, ..Config::default() };
        Node::builder().config(config).simulated(&self.net, host).seed(seed).build().unwrap()
    }

    async fn serve(&self) -> ActorServer {
        let node = self.node(&self.server_host);
        // The port of one that has just ended may be taken for a moment.
        let server = match ActorServer::bind_on(&node, "127.0.0.1:7000").await {
            Ok(server) => server,
            Err(_) => ActorServer::bind_on(&node, "127.0.0.1:0").await.unwrap(),
        };
        server.register("worker", Worker(self.ran.clone())).unwrap();
        self.resolver.set("worker", [server.address()]);
        server
    }

    /// Strikes, and makes it good again after a while.
    async fn strike(&self, blow: Blow, server: ActorServer) -> ActorServer {
        let (to, back) = (&self.client_host, &self.server_host);
        match blow {
            Blow::CutBoth => self.net.partition(to, back),
            Blow::CutRequests => drop(self.net.link(to, back).cut()),
            Blow::CutReplies => drop(self.net.link(back, to).cut()),
            Blow::Kill => self.net.kill(back),
            Blow::Drop | Blow::Shutdown | Blow::Register | Blow::Deadline => {}
        }
        match blow {
            Blow::CutBoth | Blow::CutRequests | Blow::CutReplies => {
                sleep(ms(2_500)).await;
                self.net.heal_all();
                server
            }
            Blow::Kill => {
                drop(server);
                sleep(ms(200)).await;
                self.net.revive(back);
                self.serve().await
            }
            Blow::Drop => {
                drop(server);
                sleep(ms(200)).await;
                self.serve().await
            }
            Blow::Shutdown => {
                let _ = server.shutdown(ms(3)).await;
                sleep(ms(200)).await;
                self.serve().await
            }
            Blow::Register => {
                server.unregister("worker").await;
                server.register("worker", Worker(self.ran.clone())).unwrap();
                server
            }
            Blow::Deadline => server,
        }
    }
}

/// One run: how the call ended, and what its handler did.
async fn run(case: Case) -> (Result<Bytes, Failure>, Ran) {
    let net = SimNet::new(1);
    net.latency(ms(3)..=ms(9)).keep_events(false);
    let (client_host, server_host) = (net.host("client"), net.host("server"));
    let world = World {
        net,
        client_host,
        server_host,
        resolver: FixedResolver::new::<&str, &str>([]),
        ran: Arc::default(),
        nodes: AtomicU64::new(1),
    };
    let server = world.serve().await;
    let client = world.node(&world.client_host);
    let client = WorkClient::on(&client, &world.resolver, "worker");
    if let Shape::Queued = case.shape {
        client.hold(0).await.unwrap();
        let holds = client.clone();
        client_spawn(async move { drop(holds.hold(30).await) });
    }
    let (body, reply) = match case.shape {
        Shape::Small | Shape::Queued => (8, 8),
        Shape::LongBody => (40_000, 8),
        Shape::LongReply => (8, 40_000),
    };
    let time = if case.blow == Blow::Deadline { ms(case.step) } else { ms(20_000) };
    let options = CallOptions::new().timeout(time).retry(case.retry);
    let body = Bytes::from(vec![1; body]);
    let call = async {
        match case.method {
            Method::Once => client.once(body, reply).with_options(options).await,
            Method::Deduped => client.deduped(body, reply).with_options(options).await,
            Method::Repeated => client.repeated(body, reply).with_options(options).await,
        }
    };
    let struck = async {
        sleep(ms(case.step)).await;
        world.strike(case.blow, server).await
    };
    let (end, server) = tokio::join!(call, struck);
    // What is still on the way may have an effect.
    sleep(ms(5_000)).await;
    let ran = *world.ran.lock().unwrap();
    drop(server);
    (end, ran)
}

fn client_spawn(work: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(work));
}

/// What is wrong about the end of a call.
fn wrong(case: Case, end: &Result<Bytes, Failure>, ran: Ran) -> Option<&'static str> {
    let delivery = end.as_ref().map_err(Failure::delivery);
    match delivery {
        Ok(_) if ran.ended == 0 => Some("a reply of nobody"),
        Err(Delivery::NotDelivered) if ran.began > 0 => Some("not delivered, and it ran"),
        Err(Delivery::Executed) if ran.ended == 0 => Some("executed, and it did not run to its end"),
        Err(Delivery::Unknown) if case.is_heard() && ran.began == 0 => Some("unknown, and it was not sent"),
        _ if ran.began > 1 && case.method != Method::Repeated => Some("it ran twice"),
        _ => None,
    }
}

/// Strikes calls of this method at every step, and counts their ends.
fn at_every_step(method: Method) -> BTreeMap<String, u32> {
    let (mut ends, mut failed) = (BTreeMap::<String, u32>::new(), Vec::new());
    let mut series = 0;
    for shape in [Shape::Small, Shape::LongBody, Shape::LongReply, Shape::Queued] {
        for blow in BLOWS {
            for retry in [Retry::none(), Retry::default().attempts(8)] {
                // Each of them begins with another step, so that few steps of each are many of all.
                series += 1;
                for step in (series % every() as u64..LAST_STEP).step_by(every()) {
                    let case = Case { method, shape, blow, retry, step };
                    let (end, ran) = runtime(Path::Simulated).block_on(run(case));
                    let told = match &end {
                        Ok(_) => "replied".to_owned(),
                        Err(failure) => failure.delivery().to_string(),
                    };
                    *ends.entry(told).or_default() += 1;
                    if let Some(wrong) = wrong(case, &end, ran) {
                        failed
                            .push(format!("{wrong}: {case:?}, {:?}, {ran:?}", end.map(|reply| reply.len())));
                    }
                }
            }
        }
    }
    println!("{method:?}: {ends:?}");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    ends
}

/// All calls are through by then, if nothing is done to them.
const LAST_STEP: u64 = 130;

/// Every millisecond if `STEP=1`.
fn every() -> usize {
    std::env::var("STEP").map_or(23, |text| text.parse().unwrap())
}

#[test]
fn delivery_is_true_at_every_step_of_a_plain_call() {
    let ends = at_every_step(Method::Once);
    for end in ["replied", "not delivered", "delivery unknown", "executed"] {
        assert!(ends.contains_key(end), "never {end}: {ends:?}");
    }
}

#[test]
fn delivery_is_true_at_every_step_of_a_dedup_call_and_it_runs_once() {
    let ends = at_every_step(Method::Deduped);
    for end in ["replied", "not delivered", "delivery unknown"] {
        assert!(ends.contains_key(end), "never {end}: {ends:?}");
    }
}

#[test]
fn delivery_is_true_at_every_step_of_an_idempotent_call() {
    let ends = at_every_step(Method::Repeated);
    assert!(ends.contains_key("replied"), "{ends:?}");
}
