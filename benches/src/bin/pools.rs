//! What pools cost: `cargo run --release -p benches --bin pools` (needs valgrind for the instructions).
//!
//! Three tables, each beside what does the same without a pool: a call through a pool beside a plain client's, in
//! instructions that callgrind counts; a broadcast to a thousand actors of the process beside channels by hand and plain
//! calls; a broadcast over QUIC to eight nodes on 127.0.0.1 beside plain calls. Times are the processor's, of all threads; a figure
//! is the median of interleaved rounds, with the least and the most.
//!
//! `--quick` does little of each, and counts no instructions. `one PATH HOW MEMBERS N` does one thing `N` times, for a
//! profiler.

#![allow(clippy::disallowed_methods, reason = "it measures")]

use std::{
    error::Error,
    future::Future,
    process::{Command, ExitCode},
};

use actor_runtime::{
    ActorPool, Address, Authority, BoxFuture, BoxStream, CallResult, LocalCalls, Namespace, NetworkMode,
    Node, ResolveError, ResolveResult, ResolvedEndpoint, Resolver, Trust,
    pool::{Balance, Ejection},
    prelude::*,
};
use bytes::Bytes;
use futures::future::join_all;
use tokio::{
    runtime::{Builder, Runtime},
    sync::{mpsc, oneshot},
};

type Failed = Box<dyn Error + Send + Sync>;
type Done<T> = Result<T, Failed>;

const PATHS: [&str; 2] = ["direct", "loopback"];
const BALANCES: [&str; 4] = ["round-robin", "power-of-two", "least-loaded", "key"];
const MEMBERS: [usize; 3] = [1, 3, 16];
/// Members of a broadcast in the process.
const CROWD: usize = 1_000;
/// Members of a broadcast over QUIC.
const FAR: usize = 8;
const ALL: Option<Duration> = Some(Duration::from_secs(20));

#[actor_service]
trait Worker {
    /// As little as a call can do.
    async fn add(&mut self, n: u64) -> u64;
    async fn put(&mut self, body: Bytes) -> u64;
}

struct Desk(u64);

#[actor_service]
impl Worker for Desk {
    async fn add(&mut self, n: u64) -> u64 {
        self.0 += n;
        self.0
    }

    async fn put(&mut self, body: Bytes) -> u64 {
        self.0 += body.len() as u64;
        self.0
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match &arguments[..] {
        [] => all(false),
        ["--quick"] => all(true),
        ["one", path, how, members, times] => one(path, how, members, times),
        _ => Err("usage: pools [--quick | one PATH HOW MEMBERS N]".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn all(quick: bool) -> Done<()> {
    calls(quick)?;
    crowd(quick)?;
    far(quick)
}

/// Calls through a pool, beside those of a plain client.
fn calls(quick: bool) -> Done<()> {
    const FEW: u64 = 5_000;
    const MANY: u64 = 15_000;
    if !quick {
        println!("instructions a call, both sides together");
    }
    for path in PATHS {
        let mut floor = None;
        let rows = BALANCES.iter().flat_map(|how| MEMBERS.map(|members| (*how, members)));
        for (how, members) in [("plain", 1)].into_iter().chain(rows) {
            let row = |times: u64| [path, how, &members.to_string(), &times.to_string()].map(str::to_owned);
            if quick {
                let [path, how, members, times] = row(100);
                one(&path, &how, &members, &times)?;
                continue;
            }
            let cost = (counted(&row(MANY))? - counted(&row(FEW))?) / (MANY - FEW) as f64;
            let floor = *floor.get_or_insert(cost);
            println!("{path:9} {how:14} {members:3} {cost:7.0} {:+6.1} %", (cost / floor - 1.0) * 100.0);
        }
    }
    Ok(())
}

/// The instructions of one run of this program.
fn counted(row: &[String]) -> Done<f64> {
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .arg("one")
        .args(row)
        .output()?;
    let told = String::from_utf8_lossy(&run.stderr);
    let count = told.lines().find_map(|line| line.split_once("Collected :"));
    let (_, count) = count.ok_or_else(|| format!("valgrind did not count:\n{told}"))?;
    Ok(count.trim().parse()?)
}

/// A thousand actors of this process get one message each and answer it.
fn crowd(quick: bool) -> Done<()> {
    let (rounds, times) = if quick { (1, 2) } else { (7, 200) };
    for (name, runtime) in [("one thread", current()?), ("two workers", multi()?)] {
        let mut rows = [vec![], vec![], vec![]];
        runtime.block_on(runtime.spawn(async move {
            let near = Near::new("direct", CROWD).await?;
            let (pool, plain, by_hand) =
                (near.pool(Balance::RoundRobin).await?, near.plain(), by_hand(CROWD));
            for _ in 0..rounds {
                rows[0].push(cost(times, || tell_all(&by_hand)).await);
                rows[1].push(cost(times, || call_all(&plain)).await);
                rows[2].push(cost(times, || broadcast(&pool)).await);
            }
            println!("a message to each of {CROWD} actors of the process and its reply, ns each, {name}");
            show(["by hand, bare channels", "plain calls by join_all", "broadcast"], &rows, CROWD);
            Ok::<_, Failed>(())
        }))??;
    }
    Ok(())
}

/// Eight nodes, by QUIC.
fn far(quick: bool) -> Done<()> {
    let (rounds, times) = if quick { (1, 2_u64) } else { (7, 2_000) };
    for (name, size, times) in [("8 bytes", 0, times), ("64 KiB", 65_536, times.div_ceil(20))] {
        let mut rows = [vec![], vec![], vec![]];
        let body = Bytes::from(vec![7; size]);
        let runtime = multi()?;
        runtime.block_on(runtime.spawn(async move {
            let far = FarAway::new().await?;
            let (pool, plain) = (&far.pool, &far.plain);
            for _ in 0..rounds {
                if size == 0 {
                    rows[0].push(cost(times, || call_all(plain)).await);
                    rows[1].push(cost(times, || call_each(plain)).await);
                    rows[2].push(cost(times, || broadcast(pool)).await);
                } else {
                    rows[0].push(cost(times, || put_all(plain, &body)).await);
                    rows[1].push(cost(times, || put_each(plain, &body)).await);
                    rows[2].push(cost(times, || broadcast_body(pool, &body)).await);
                }
            }
            println!(
                "{name} to each of {FAR} nodes by QUIC on 127.0.0.1 and its reply, ns of all threads each"
            );
            show(["plain calls by join_all", "plain calls, one by one", "broadcast"], &rows, FAR);
            Ok::<_, Failed>(())
        }))??;
    }
    Ok(())
}

/// One thing, so many times.
fn one(path: &str, how: &str, members: &str, times: &str) -> Done<()> {
    let (members, times): (usize, u64) = (members.parse()?, times.parse()?);
    let (path, how) = (path.to_owned(), how.to_owned());
    current()?.block_on(async {
        let near = Near::new(&path, members).await?;
        match &*how {
            "plain" => {
                let worker = &near.plain()[0];
                for _ in 0..times {
                    worker.add(1).await?;
                }
            }
            "by-hand" => {
                let actors = by_hand(members);
                for _ in 0..times {
                    tell_all(&actors).await;
                }
            }
            "join-all" => {
                let workers = near.plain();
                for _ in 0..times {
                    call_all(&workers).await;
                }
            }
            "broadcast" => {
                let pool = near.pool(Balance::RoundRobin).await?;
                for _ in 0..times {
                    broadcast(&pool).await;
                }
            }
            "key" => {
                let pool = near.pool(Balance::RoundRobin).await?;
                let worker = pool.call_for("a key");
                for _ in 0..times {
                    worker.add(1).await?;
                }
            }
            balance => {
                let pool = near.pool(named(balance)?).await?;
                for _ in 0..times {
                    pool.call().add(1).await?;
                }
            }
        }
        Ok(())
    })
}

fn named(balance: &str) -> Result<Balance, String> {
    match balance {
        "round-robin" => Ok(Balance::RoundRobin),
        "power-of-two" => Ok(Balance::PowerOfTwo),
        "least-loaded" => Ok(Balance::LeastLoaded),
        other => Err(format!("{other:?} is not a balance")),
    }
}

/// Actors of one node, and who calls them.
struct Near {
    node: Node,
    server: ActorServer,
    names: Names,
}

impl Near {
    async fn new(path: &str, members: usize) -> Done<Self> {
        let local = if path == "direct" { LocalCalls::Direct } else { LocalCalls::Encoded };
        let node = Node::builder().local_calls(local).seed(1).build()?;
        let server = ActorServer::bind_on(&node, "loopback:0").await?;
        let mut names = Vec::new();
        for n in 0..members {
            let name = format!("worker-{n}");
            server.register(name.clone(), Desk(0))?;
            names.push(ResolvedEndpoint::new(server.address(), name));
        }
        Ok(Self { node, server, names: Names(names) })
    }

    fn plain(&self) -> Vec<WorkerClient> {
        let at = |name: &str| {
            let resolver = FixedResolver::new([(name, self.server.address())]);
            WorkerClient::on(&self.node, &resolver, name)
        };
        self.names.0.iter().map(|endpoint| at(&endpoint.name)).collect()
    }

    async fn pool(&self, balance: Balance) -> Done<ActorPool<WorkerClient>> {
        let pool = ActorPool::builder(&self.names, "worker").node(&self.node).balance(balance).build();
        pool.wait_for_size(self.names.0.len(), Duration::from_secs(20)).await?;
        Ok(pool)
    }
}

/// A resolver whose endpoints have names of their own.
#[derive(Clone, Debug)]
struct Names(Vec<ResolvedEndpoint>);

impl Resolver for Names {
    fn resolve<'a>(
        &'a self,
        _: &'a Namespace,
        _: &'a str,
    ) -> BoxFuture<'a, Result<ResolveResult, ResolveError>> {
        Box::pin(async { Ok(ResolveResult::new(self.0.clone())) })
    }

    fn watch(&self, _: &Namespace, _: &str) -> BoxStream<'static, Result<ResolveResult, ResolveError>> {
        let found = ResolveResult::new(self.0.clone());
        Box::pin(stream::iter([Ok(found)]).chain(stream::pending()))
    }
}

/// Nodes with one actor each, behind QUIC, and who calls them.
struct FarAway {
    pool: ActorPool<WorkerClient>,
    plain: Vec<WorkerClient>,
    _servers: Vec<ActorServer>,
}

impl FarAway {
    async fn new() -> Done<Self> {
        let authority = Authority::new("bench")?;
        let node = |name: String| -> Done<Node> {
            let identity = authority.issue([&*format!("actor://bench/{name}"), "127.0.0.1"])?;
            let trust = Trust::builder().identity(identity).authority(&authority).build()?;
            // One thread for all: else nine network threads compete for the processors.
            Ok(Node::builder().trust(trust).network(NetworkMode::Shared).build()?)
        };
        let caller = node("caller".into())?;
        let (mut servers, mut plain, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for n in 0..FAR {
            let server = ActorServer::bind_on(&node(format!("worker-{n}"))?, "127.0.0.1:0").await?;
            server.register("worker", Desk(0))?;
            let address: Address = server.address();
            plain.push(WorkerClient::on(&caller, &FixedResolver::new([("worker", &address)]), "worker"));
            names.push(ResolvedEndpoint::new(address, "worker"));
            servers.push(server);
        }
        let pool =
            ActorPool::builder(&Names(names), "worker").node(&caller).ejection(Ejection::none()).build();
        pool.wait_for_size(FAR, Duration::from_secs(20)).await?;
        Ok(Self { pool, plain, _servers: servers })
    }
}

/// The same actors, made of channels by hand.
fn by_hand(members: usize) -> Vec<mpsc::Sender<(u64, oneshot::Sender<u64>)>> {
    let actor = || {
        let (sender, mut mailbox) = mpsc::channel::<(u64, oneshot::Sender<u64>)>(64);
        tokio::spawn(async move {
            let mut sum = 0;
            while let Some((n, reply)) = mailbox.recv().await {
                sum += n;
                let _ = reply.send(sum);
            }
        });
        sender
    };
    (0..members).map(|_| actor()).collect()
}

async fn tell_all(actors: &[mpsc::Sender<(u64, oneshot::Sender<u64>)>]) {
    let mut replies = Vec::with_capacity(actors.len());
    for actor in actors {
        let (reply, replied) = oneshot::channel();
        actor.send((1, reply)).await.expect("it runs");
        replies.push(replied);
    }
    let mut results = Vec::with_capacity(actors.len());
    for reply in replies {
        results.push(reply.await.expect("it answers"));
    }
    assert_eq!(results.len(), actors.len());
}

async fn call_all(workers: &[WorkerClient]) {
    let replies = join_all(workers.iter().map(|worker| worker.add(1))).await;
    assert!(replies.iter().all(Result::is_ok), "{replies:?}");
}

async fn call_each(workers: &[WorkerClient]) {
    for worker in workers {
        worker.add(1).await.expect("it answers");
    }
}

async fn broadcast(pool: &ActorPool<WorkerClient>) {
    let replies = pool.broadcast().add(1).wait_all(ALL).await;
    assert!(replies.iter().all(CallResult::is_ok), "{replies:?}");
}

async fn put_all(workers: &[WorkerClient], body: &Bytes) {
    let replies = join_all(workers.iter().map(|worker| worker.put(body.clone()))).await;
    assert!(replies.iter().all(Result::is_ok), "{replies:?}");
}

async fn put_each(workers: &[WorkerClient], body: &Bytes) {
    for worker in workers {
        worker.put(body.clone()).await.expect("it answers");
    }
}

async fn broadcast_body(pool: &ActorPool<WorkerClient>, body: &Bytes) {
    let replies = pool.broadcast().put(body.clone()).wait_all(ALL).await;
    assert!(replies.iter().all(CallResult::is_ok), "{replies:?}");
}

/// Nanoseconds of the processor for each of so many times, after as many again that do not count.
async fn cost<F: Future<Output = ()>>(times: u64, mut work: impl FnMut() -> F) -> f64 {
    for _ in 0..times.div_ceil(10) {
        work().await;
    }
    let start = spent();
    for _ in 0..times {
        work().await;
    }
    (spent() - start) / times as f64
}

/// The processor's time of all threads, in nanoseconds, where the system tells it; else time as it passes.
#[cfg(target_os = "linux")]
fn spent() -> f64 {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    spent.tv_sec as f64 * 1e9 + spent.tv_nsec as f64
}

#[cfg(not(target_os = "linux"))]
fn spent() -> f64 {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed().as_nanos() as f64
}

/// Each row for one member, and as a ratio to the first one of the same round.
fn show(names: [&str; 3], rows: &[Vec<f64>; 3], members: usize) {
    let spread = |mut values: Vec<f64>, decimals: usize| {
        values.sort_by(f64::total_cmp);
        let last = values.len() - 1;
        let [median, least, most] = [values[last / 2], values[0], values[last]];
        format!("{median:.decimals$} ({least:.decimals$}–{most:.decimals$})")
    };
    for (name, row) in names.iter().zip(rows) {
        let each = spread(row.iter().map(|cost| cost / members as f64).collect(), 0);
        let ratio = spread(row.iter().zip(&rows[0]).map(|(cost, floor)| cost / floor).collect(), 2);
        println!("  {name:24} {each:>24} {ratio:>20} ×");
    }
}

fn current() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn multi() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).enable_all().build()
}
