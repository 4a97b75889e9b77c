//! A pool in bad weather, seed by seed: members fail, hang, die, are cut off, registered anew, join and leave, while calls of
//! all kinds run. What callers were told and what members did is compared afterwards.
//!
//! `SEEDS` and `START` in the environment say which runs; without them there are a few.

#![expect(clippy::disallowed_methods, reason = "time is simulated")]

mod bounds;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};

use actor_runtime::{
    ActorPool, ActorServer, Config, Delivery, Failure, FixedResolver, Node,
    pool::{Balance, Ejection, MemberState, PoolEvent},
    prelude::*,
    testing::{SimHost, SimNet},
};
use futures::future::{BoxFuture, join_all};
use tests::{Path, runtime};
use tokio::time::{Instant, sleep};

#[actor_service]
trait Worker {
    async fn plain(&self, call: u64, millis: u64) -> u32;
    #[idempotent]
    async fn again(&self, call: u64, millis: u64) -> u32;
    #[dedup]
    async fn once(&self, call: u64, millis: u64) -> u32;
    async fn told(&self, call: u64) -> u32;
}

/// What members did: each call, and the registrations that began it, in order.
type Ledger = Arc<Mutex<BTreeMap<u64, Vec<u32>>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const WELL: u8 = 0;
const HANGS: u8 = 1;
const PANICS: u8 = 2;
const SLOW: u8 = 3;

struct Member {
    number: u32,
    mood: Arc<AtomicU8>,
    died: Arc<AtomicBool>,
    ledger: Ledger,
}

impl Member {
    async fn work(&self, call: u64, millis: u64) -> u32 {
        lock(&self.ledger).entry(call).or_default().push(self.number);
        match self.mood.load(Ordering::Relaxed) {
            HANGS => sleep(ms(100_000)).await,
            PANICS => {
                self.died.store(true, Ordering::Relaxed);
                panic!("as the weather is")
            }
            SLOW => sleep(ms(300)).await,
            _ => {}
        }
        sleep(ms(millis)).await;
        self.number
    }
}

#[actor_service]
impl Worker for Member {
    async fn plain(&self, call: u64, millis: u64) -> u32 {
        self.work(call, millis).await
    }

    async fn again(&self, call: u64, millis: u64) -> u32 {
        self.work(call, millis).await
    }

    async fn once(&self, call: u64, millis: u64) -> u32 {
        self.work(call, millis).await
    }

    async fn told(&self, call: u64) -> u32 {
        self.work(call, 0).await
    }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What may happen to a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Again,
    Once,
}

struct Told {
    call: u64,
    kind: Kind,
    /// `None` if its caller left.
    result: Option<Result<u32, Failure>>,
    late: bool,
}

struct Server {
    host: SimHost,
    mood: Arc<AtomicU8>,
    /// Whether its actor has panicked, which is its end.
    died: Arc<AtomicBool>,
    running: Option<ActorServer>,
    listed: bool,
}

struct Run {
    net: SimNet,
    client: Node,
    client_host: SimHost,
    resolver: FixedResolver,
    servers: Vec<Server>,
    ledger: Ledger,
    told: Arc<Mutex<Vec<Told>>>,
    wrong: Arc<Mutex<Vec<String>>>,
    random: fastrand::Rng,
    calls: u64,
    registered: u32,
    tasks: Vec<actor_runtime::Task<()>>,
}

/// After its deadline a call has this long to end: the server has the first word.
const SLACK: Duration = Duration::from_millis(50);

/// Three failures in a row.
const FAILURES: u32 = 3;

impl Run {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let net = SimNet::new(seed);
        net.keep_events(false).latency(ms(1)..=ms(random.u64(1..10)));
        let client_host = net.host("client");
        let client = node(&net, &client_host, seed);
        let count = random.usize(3..=6);
        let servers = (0..count).map(|n| Server {
            host: net.host(&format!("server-{n}")),
            mood: Arc::default(),
            died: Arc::default(),
            running: None,
            listed: true,
        });
        let servers = servers.collect();
        let resolver = FixedResolver::new::<&str, &str>([]);
        let (ledger, told, wrong) = Default::default();
        let (calls, registered, tasks) = (0, 0, Vec::new());
        Self {
            net,
            client,
            client_host,
            resolver,
            servers,
            ledger,
            told,
            wrong,
            random,
            calls,
            registered,
            tasks,
        }
    }

    async fn start(&mut self, server: usize) {
        let seed = self.random.u64(..);
        let node = node(&self.net, &self.servers[server].host, seed);
        let running = ActorServer::bind_on(&node, "127.0.0.1:0").await.expect("a free port");
        self.servers[server].running = Some(running);
        self.register(server);
    }

    fn register(&mut self, server: usize) {
        self.registered += 1;
        let Server { mood, running, died, .. } = &self.servers[server];
        died.store(false, Ordering::Relaxed);
        let (mood, died, ledger) = (mood.clone(), died.clone(), self.ledger.clone());
        let member = Member { number: self.registered, mood, died, ledger };
        running.as_ref().expect("it runs").register("worker", member).expect("a free name");
        self.list();
    }

    /// Tells the resolver.
    fn list(&self) {
        let listed = self.servers.iter().filter(|server| server.listed);
        self.resolver.set("worker", listed.filter_map(|server| Some(server.running.as_ref()?.address())));
    }

    fn next_call(&mut self) -> u64 {
        self.calls += 1;
        self.calls
    }

    fn spawn(&mut self, future: BoxFuture<'static, ()>) {
        self.tasks.push(self.client.spawn(future));
    }

    /// One call, as it is made and written down.
    fn call(&mut self, pool: &ActorPool<WorkerClient>) -> BoxFuture<'static, ()> {
        let call = self.next_call();
        let client = if self.random.bool() { pool.call() } else { pool.call_for(&self.random.u8(0..20)) };
        let kind = [Kind::Plain, Kind::Again, Kind::Once][self.random.usize(0..3)];
        let timeout = ms(self.random.u64(100..3_000));
        let leaves = (self.random.u8(0..8) == 0).then(|| ms(self.random.u64(0..500)));
        let (millis, told) = (self.random.u64(0..60), self.told.clone());
        Box::pin(async move {
            let began = Instant::now();
            let result = match kind {
                Kind::Plain => client.plain(call, millis),
                Kind::Again => client.again(call, millis),
                Kind::Once => client.once(call, millis),
            };
            let result = result.timeout(timeout);
            let result = match leaves {
                Some(after) => tokio::time::timeout(after, result).await.ok(),
                None => Some(result.await),
            };
            let late = began.elapsed() > timeout + SLACK;
            lock(&told).push(Told { call, kind, result, late });
        })
    }

    fn broadcast(&mut self, pool: &ActorPool<WorkerClient>) {
        let (call, timeout) = (self.next_call(), ms(self.random.u64(1..2_000)));
        let told = pool.broadcast().told(call).concurrency(self.random.usize(1..4));
        let (ledger, wrong, most) = (self.ledger.clone(), self.wrong.clone(), self.servers.len());
        self.spawn(Box::pin(async move {
            let began = Instant::now();
            let all = told.wait_all(timeout).await;
            let took = began.elapsed();
            if took > timeout + SLACK || all.len() > most {
                lock(&wrong).push(format!("a broadcast to {} took {took:?} of {timeout:?}", all.len()));
            }
            for each in &all {
                let (begun, at) = (lock(&ledger).get(&call).cloned().unwrap_or_default(), &each.endpoint);
                if let Ok(number) = each.result
                    && begun.iter().filter(|begun| **begun == number).count() != 1
                {
                    lock(&wrong).push(format!("broadcast {call}: {at} says {number}, and it was {begun:?}"));
                }
            }
        }));
    }

    fn batch(&mut self, pool: &ActorPool<WorkerClient>) {
        let items: Vec<u64> = (0..self.random.usize(1..30)).map(|_| self.next_call()).collect();
        let count = items.len();
        let batch = pool.map(items.clone(), |worker, call| worker.plain(*call, 20).timeout(ms(1_000)));
        let batch = batch.window(self.random.usize(1..8));
        let batch = if self.random.bool() { batch.ordered() } else { batch };
        let (told, wrong) = (self.told.clone(), self.wrong.clone());
        self.spawn(Box::pin(async move {
            let (results, report) = batch.run().await;
            if results.len() != count || report.items != count as u64 {
                lock(&wrong).push(format!("a batch of {count} has {} outcomes", results.len()));
            }
            for (call, result) in items.into_iter().zip(results) {
                lock(&told).push(Told { call, kind: Kind::Plain, result: Some(result), late: false });
            }
        }));
    }

    /// Something goes wrong, or right again.
    async fn weather(&mut self) {
        let server = self.random.usize(0..self.servers.len());
        let host = self.servers[server].host.clone();
        match self.random.u8(0..12) {
            0..4 => self.servers[server].mood.store(self.random.u8(0..4), Ordering::Relaxed),
            4 if self.servers[server].running.is_some() => {
                self.net.kill(&host);
                self.servers[server].running = None;
            }
            5 | 6 if self.servers[server].running.is_none() => {
                self.net.revive(&host);
                self.start(server).await;
            }
            7 => self.net.partition(&self.client_host, &host),
            8 => self.net.heal(&self.client_host, &host),
            9 => {
                self.servers[server].listed ^= true;
                self.list();
            }
            10 => {
                if let Some(running) = &self.servers[server].running {
                    running.unregister("worker").await;
                    self.register(server);
                }
            }
            _ => {}
        }
    }

    async fn heal(&mut self) {
        self.net.heal_all();
        for server in 0..self.servers.len() {
            self.servers[server].mood.store(WELL, Ordering::Relaxed);
            self.servers[server].listed = true;
            if self.servers[server].running.is_none() {
                self.net.revive(&self.servers[server].host.clone());
                self.start(server).await;
            } else if self.servers[server].died.load(Ordering::Relaxed) {
                self.servers[server].running.as_ref().expect("it runs").unregister("worker").await;
                self.register(server);
            }
        }
        self.list();
    }

    fn wrong(&self, what: String) {
        lock(&self.wrong).push(what);
    }

    /// What callers were told is what members did.
    fn check(&self, counts: &mut BTreeMap<String, u64>) {
        let ledger = lock(&self.ledger);
        for Told { call, kind, result, late } in &*lock(&self.told) {
            let begun = ledger.get(call).map_or(0, Vec::len);
            let is_told = match result {
                Some(Ok(number)) => ledger.get(call).is_some_and(|begun| begun.contains(number)),
                Some(Err(failure)) => match failure.delivery() {
                    Delivery::NotDelivered => begun == 0,
                    Delivery::Executed => begun > 0,
                    _ => true,
                },
                None => true,
            };
            if !is_told || *late || *kind != Kind::Again && begun > 1 {
                self.wrong(format!(
                    "call {call} was begun {begun} times, late: {late}, and ended by {result:?}"
                ));
            }
            let name = match result {
                Some(Ok(_)) => "replied".to_owned(),
                Some(Err(failure)) => format!("{}, {}", failure.kind(), failure.delivery()),
                None => "left".to_owned(),
            };
            *counts.entry(name).or_default() += 1;
        }
    }
}

fn node(net: &SimNet, host: &SimHost, seed: u64) -> Node {
    Node::builder().config(Config::default()).simulated(net, host).seed(seed).build().expect("a runtime runs")
}

/// How many are left out, and how many may be.
fn check_share(run: &Run, pool: &ActorPool<WorkerClient>) {
    let snapshot = pool.snapshot();
    let is_out = |state: &MemberState| matches!(state, MemberState::Ejected(_) | MemberState::Probing);
    let out = snapshot.members.iter().filter(|member| is_out(&member.state)).count();
    if out > snapshot.members.len() / 2 {
        run.wrong(format!("more than half are out: {snapshot}"));
    }
}

async fn go(seed: u64, counts: &mut BTreeMap<String, u64>) -> Vec<String> {
    let mut run = Run::new(seed);
    for server in 0..run.servers.len() {
        run.start(server).await;
    }
    let balance = match seed % 4 {
        0 => Balance::RoundRobin,
        1 => Balance::PowerOfTwo,
        2 => Balance::LeastLoaded,
        _ => Balance::custom(|members: &[actor_runtime::pool::Member]| members.len() / 2),
    };
    let ejection = Ejection::default().failures(FAILURES).pauses(ms(500), ms(4_000));
    let in_turn = matches!(balance, Balance::RoundRobin);
    // Where the turns are counted nobody is left out for what took long before.
    let ejection = if in_turn { ejection.slower(f64::INFINITY) } else { ejection };
    let builder = ActorPool::<WorkerClient>::builder(&run.resolver, "worker").node(&run.client);
    let pool = builder.balance(balance).ejection(ejection).build();
    let mut events = pool.events();
    // In half of the runs members misbehave and stay.
    let stays = run.random.bool();
    for _ in 0..run.random.usize(15..35) {
        for _ in 0..run.random.usize(0..8) {
            let call = run.call(&pool);
            run.spawn(call);
        }
        match run.random.u8(0..8) {
            0 => run.broadcast(&pool),
            1 => run.batch(&pool),
            2 | 3 if stays => {
                let server = run.random.usize(0..run.servers.len());
                run.servers[server].mood.store(run.random.u8(0..4), Ordering::Relaxed);
            }
            2..5 if !stays => run.weather().await,
            _ => {}
        }
        sleep(ms(run.random.u64(0..200))).await;
        if stays {
            check_share(&run, &pool);
        }
    }
    let under_way = join_all(std::mem::take(&mut run.tasks));
    match tokio::time::timeout(ms(60_000), under_way).await {
        Ok(ended) => ended.into_iter().filter_map(Result::err).for_each(|error| run.wrong(error.to_string())),
        Err(_) => run.wrong("something hangs".into()),
    }
    run.heal().await;
    let members = run.servers.len();
    if pool.wait_for_size(members, ms(20_000)).await.is_err() {
        run.wrong(format!("all is well, and members are missing: {}", pool.snapshot()));
    }
    // The longest pause, and one probe for each.
    sleep(ms(5_000)).await;
    let is_well = |state: &MemberState| matches!(state, MemberState::Ready);
    for _ in 0..10 {
        for _ in 0..5 * members {
            let call = run.next_call();
            if let Err(failure) = pool.call().plain(call, 0).timeout(ms(1_000)).await {
                run.wrong(format!("all is well, and a call fails: {failure}"));
            }
        }
        let is_over = pool.snapshot().members.iter().all(|member| is_well(&member.state));
        if is_over {
            break;
        }
        // Who was slow may be found so only now.
        sleep(ms(5_000)).await;
    }
    let snapshot = pool.snapshot();
    if !snapshot.members.iter().all(|member| is_well(&member.state) && member.outstanding == 0) {
        run.wrong(format!("all is well, and not all members are: {snapshot}"));
    }
    if in_turn {
        let mut seen = Vec::new();
        for _ in 0..2 * members {
            let call = run.next_call();
            seen.push(pool.call().plain(call, 0).await.unwrap_or_default());
        }
        let (first, second) = seen.split_at(members);
        let mut once = first.to_vec();
        once.sort_unstable();
        once.dedup();
        if first != second || once.len() != members {
            run.wrong(format!("not one after the other: {seen:?}"));
        }
    }
    run.check(counts);
    drop(pool);
    // They end with the pool: nothing holds it any more.
    let rest = tokio::time::timeout(ms(1_000), events.by_ref().collect::<Vec<_>>()).await;
    match rest {
        Ok(rest) => {
            let ejected = rest.iter().filter(|event| matches!(event, PoolEvent::Ejected { .. })).count();
            let back = rest.iter().filter(|event| matches!(event, PoolEvent::Returned { .. })).count();
            *counts.entry("members left out".into()).or_default() += ejected as u64;
            *counts.entry("members back".into()).or_default() += back as u64;
        }
        Err(_) => run.wrong("the pool was dropped, and something holds it".into()),
    }
    std::mem::take(&mut *lock(&run.wrong))
}

/// Makes the runs that the environment says, and says what was wrong; gives those in which something was.
fn seed_by_seed(default: u64, mut go: impl FnMut(u64) -> Vec<String>) -> Vec<u64> {
    let number = |name, default| {
        std::env::var(name).map_or(default, |text: String| text.parse::<u64>().expect("a number"))
    };
    let (start, seeds) = (number("START", 0), number("SEEDS", default));
    let mut failed = Vec::new();
    for seed in start..start + seeds {
        let wrong = go(seed);
        if !wrong.is_empty() {
            println!("seed {seed}:");
            wrong.iter().take(8).for_each(|wrong| println!("  {wrong}"));
            failed.push(seed);
        }
    }
    failed
}

#[test]
fn a_pool_keeps_its_promises_in_any_weather() {
    let mut counts = BTreeMap::new();
    let failed = seed_by_seed(30, |seed| runtime(Path::Simulated).block_on(go(seed, &mut counts)));
    counts.iter().for_each(|(name, count)| println!("{count:>10}  {name}"));
    assert!(failed.is_empty(), "{} seeds failed: {failed:?}", failed.len());
}
