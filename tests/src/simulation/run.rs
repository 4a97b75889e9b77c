//! One run: nodes, actors, callers, and what goes wrong.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use actor_runtime::{
    ActorServer, BindError, Config, FixedResolver, Node, ServiceClient, Task,
    inspect::{self, InspectClient},
    testing::{SimHost, SimNet},
};
use bytes::Bytes;
use futures::future::{BoxFuture, join_all};

use super::{
    history::{FaultKind, History, Outcome},
    worker::{Job, WorkClient, Worker, sleep},
};

const MAILBOX: usize = 8;
const ACTORS: [&str; 5] = ["anchor", "a", "b", "c", "d"];
/// The one that never moves, and its server, which is neither killed nor shut down.
const ANCHOR: usize = 0;

/// Everything that lives in one run.
pub(super) struct Run {
    net: SimNet,
    random: Mutex<fastrand::Rng>,
    history: History,
    resolver: FixedResolver,
    client: Node,
    client_host: SimHost,
    servers: Vec<Mutex<Server>>,
    /// Which server has each actor.
    places: Mutex<BTreeMap<&'static str, usize>>,
    handles: Vec<Arc<Handle>>,
    tasks: Mutex<Vec<Task<()>>>,
}

struct Server {
    host: SimHost,
    name: String,
    /// None while it is dead.
    running: Option<Arc<ActorServer>>,
    /// Somebody is doing something to it that takes time.
    busy: bool,
}

struct Handle {
    number: usize,
    client: WorkClient,
    pinned: bool,
    places: AtomicU64,
}

impl Run {
    pub(super) async fn new(net: SimNet, seed: u64, history: History) -> Arc<Self> {
        let mut random = fastrand::Rng::with_seed(seed);
        disturb(&net, &mut random);
        let client_host = net.host("client");
        let client = node(&net, &client_host, seed);
        let resolver = FixedResolver::new::<&str, &str>([]);
        let count = random.usize(2..=3);
        let servers = (0..count).map(|n| {
            let name = format!("server-{n}");
            Mutex::new(Server { host: net.host(&name), name, running: None, busy: false })
        });
        let handles = ACTORS.iter().flat_map(|name| [*name; 2]).enumerate().map(|(number, name)| {
            let client = WorkClient::on(&client, &resolver, name);
            Arc::new(Handle { number, client, pinned: false, places: AtomicU64::new(0) })
        });
        let mut run = Self {
            handles: handles.collect(),
            random: Mutex::new(random),
            servers: servers.collect(),
            places: Mutex::default(),
            tasks: Mutex::default(),
            net,
            history,
            resolver,
            client,
            client_host,
        };
        for (n, name) in ACTORS.into_iter().enumerate() {
            lock(&run.places).insert(name, if n == ANCHOR { 0 } else { run.draw(0..count as u64) as usize });
        }
        for server in 0..count {
            run.start(server, 0).await;
        }
        for name in ACTORS {
            let handle = WorkClient::on(&run.client, &run.resolver, name);
            if let Ok(client) = handle.pinned().await {
                let number = run.handles.len();
                run.handles.push(Arc::new(Handle {
                    number,
                    client,
                    pinned: true,
                    places: AtomicU64::new(0),
                }));
            }
        }
        Arc::new(run)
    }

    /// Does random things, then lets everything be well again and looks whether it is.
    pub(super) async fn go(self: &Arc<Self>) {
        for _ in 0..self.draw(30..60) {
            self.step();
            sleep(Duration::from_millis(self.draw(0..150))).await;
        }
        self.finish().await;
        self.net.loss(0.0).duplicate(0.0).latency(Duration::from_millis(1)..=Duration::from_millis(2));
        self.net.heal_all();
        // Longer than a connection needs to be found dead, and than the longest pause between attempts.
        sleep(Duration::from_secs(12)).await;
        for handle in self.handles.iter().filter(|handle| !handle.pinned) {
            let call = self.history.call(handle.number, false, Some(Duration::from_secs(5)));
            let job = Job { call, work: 0, reply: 1, ballast: Bytes::new() };
            let calling = calling(self.history.clone(), handle.clone(), job, false, None);
            calling.await;
            let end = self.history.look().calls[call as usize].end;
            if !matches!(end, Some((Outcome::Replied, _))) {
                self.history.wrong(format!(
                    "S11: all is well, and call {call} of handle {} ended by {end:?}",
                    handle.number
                ));
            }
        }
    }

    /// Waits for everything that is under way.
    async fn finish(self: &Arc<Self>) {
        loop {
            let Some(task) = lock(&self.tasks).pop() else { return };
            let limit = sleep(Duration::from_secs(60));
            tokio::select! {
                biased;
                ended = task => if let Err(error) = ended {
                    self.history.wrong(format!("a task of the simulation: {error}"));
                },
                () = limit => self.history.wrong("S6: something hangs: a minute later it has not ended"),
            }
        }
    }

    fn step(self: &Arc<Self>) {
        match self.draw(0..40) {
            0..8 => self.calls(1, Kind::Plain),
            8..14 => self.calls(self.draw(2..25), Kind::Plain),
            14..18 => self.calls(self.draw(1..8), Kind::Left),
            18..22 => self.calls(self.draw(1..8), Kind::Hasty),
            22..25 => self.calls(self.draw(1..10), Kind::Large),
            25..28 => self.calls(self.draw(1..5), Kind::Slow),
            28..30 => self.with_server(1, Self::kill),
            30..32 => self.cut(FaultKind::Partitioned),
            32 => self.cut(FaultKind::Paused),
            33..35 => self.with_server(1, Self::shut_down),
            35..37 => self.move_actor(),
            37 => self.with_server(0, Self::look),
            _ => disturb(&self.net, &mut lock(&self.random)),
        }
    }

    fn draw(&self, range: std::ops::Range<u64>) -> u64 {
        lock(&self.random).u64(range)
    }

    fn spawn(self: &Arc<Self>, future: impl Future<Output = ()> + Send + 'static) {
        let task = self.client.spawn(future);
        lock(&self.tasks).push(task);
    }
}

/// Calls.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    /// Their callers leave.
    Left,
    /// With little time.
    Hasty,
    Large,
    Slow,
}

impl Run {
    /// Some calls of one handle, one after the other without waiting.
    fn calls(self: &Arc<Self>, count: u64, kind: Kind) {
        let handle = self.handles[self.draw(0..self.handles.len() as u64) as usize].clone();
        let calls = (0..count).map(|_| {
            let timeout = match kind {
                Kind::Hasty => Some(Duration::from_millis(self.draw(1..400))),
                _ if self.draw(0..4) == 0 => None,
                _ => Some(Duration::from_millis(self.draw(5_000..20_000))),
            };
            let call = self.history.call(handle.number, handle.pinned, timeout);
            let work = match kind {
                Kind::Slow => self.draw(0..2_000),
                _ if self.draw(0..3) == 0 => self.draw(0..50),
                _ => 0,
            };
            // Short ones among the long ones, which they must not overtake.
            let large = kind == Kind::Large && self.draw(0..2) == 0;
            let large = if large { self.draw(1..300_000) } else { self.draw(0..100) };
            let (reply, ballast) = if self.draw(0..2) == 0 { (large, 1) } else { (1, large) };
            let ballast = Bytes::from(vec![0; ballast as usize]);
            let leaves = (kind == Kind::Left).then(|| Duration::from_millis(self.draw(0..200)));
            let job = Job { call, work, reply, ballast };
            calling(self.history.clone(), handle.clone(), job, self.draw(0..2) == 0, leaves)
        });
        let calls: Vec<_> = calls.collect();
        self.spawn(async move {
            join_all(calls).await;
        });
    }
}

/// Makes a call when it is polled, and writes down what becomes of it.
fn calling(
    history: History,
    handle: Arc<Handle>,
    job: Job,
    shared: bool,
    leaves: Option<Duration>,
) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let call = job.call;
        let timeout = history.look().calls[call as usize].timeout;
        history.started(call, handle.places.fetch_add(1, Ordering::Relaxed));
        let reply = if shared { handle.client.beside(job) } else { handle.client.alone(job) };
        let reply = match timeout {
            Some(timeout) => reply.timeout(timeout),
            None => reply.no_timeout(),
        };
        let left = async {
            match leaves {
                Some(after) => sleep(after).await,
                None => std::future::pending().await,
            }
        };
        let outcome = tokio::select! {
            biased;
            reply = reply => match reply {
                Ok(_) => Outcome::Replied,
                Err(failure) => Outcome::Failed(failure.kind(), failure.delivery()),
            },
            () = left => Outcome::Left,
        };
        history.ended(call, outcome);
    })
}

/// Servers.
impl Run {
    /// Starts a server with the actors that are to be there.
    async fn start(&self, server: usize, port: u16) {
        let (host, name) = {
            let server = lock(&self.servers[server]);
            (server.host.clone(), server.name.clone())
        };
        let node = node(&self.net, &host, self.draw(0..u64::MAX));
        let bound = match ActorServer::bind_on(&node, format!("127.0.0.1:{port}")).await {
            // The last words of the one before are still being said.
            Err(BindError::Taken { .. }) => ActorServer::bind_on(&node, "127.0.0.1:0").await,
            bound => bound,
        };
        let running = match bound {
            Ok(running) => Arc::new(running),
            Err(error) => return self.history.wrong(format!("{name} cannot listen: {error}")),
        };
        lock(&self.servers[server]).running = Some(running);
        let here: Vec<_> =
            lock(&self.places).iter().filter(|(_, at)| **at == server).map(|(name, _)| *name).collect();
        for actor in here {
            self.register(server, actor);
        }
    }

    fn register(&self, server: usize, name: &'static str) {
        let Some(running) = lock(&self.servers[server]).running.clone() else { return };
        let worker = Worker { id: self.history.registered(server), history: self.history.clone() };
        match running.registration(name, worker).mailbox(MAILBOX).register() {
            Ok(_) => self.resolver.set(name, [running.address()]),
            Err(error) => self.history.wrong(format!("{name} cannot be registered: {error}")),
        }
    }

    /// Does something to a server that nobody is doing anything to.
    fn with_server<F>(self: &Arc<Self>, from: u64, act: impl FnOnce(Arc<Self>, usize, Arc<ActorServer>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let server = self.draw(from..self.servers.len() as u64) as usize;
        let running = {
            let mut server = lock(&self.servers[server]);
            if server.busy {
                return;
            }
            let Some(running) = server.running.clone() else { return };
            server.busy = true;
            running
        };
        let acting = act(self.clone(), server, running);
        let run = self.clone();
        self.spawn(async move {
            acting.await;
            lock(&run.servers[server]).busy = false;
        });
    }

    async fn kill(self: Arc<Self>, server: usize, running: Arc<ActorServer>) {
        let time = Duration::from_millis(self.draw(0..4_000));
        self.history.fault(FaultKind::Killed, server, time);
        let host = lock(&self.servers[server]).host.clone();
        let port = port(&running);
        self.net.kill(&host);
        lock(&self.servers[server]).running = None;
        drop(running);
        sleep(time).await;
        self.net.revive(&host);
        let port = if self.draw(0..2) == 0 { port } else { 0 };
        self.start(server, port).await;
    }

    async fn shut_down(self: Arc<Self>, server: usize, running: Arc<ActorServer>) {
        let grace = Duration::from_millis(self.draw(0..1_500));
        self.history.fault(FaultKind::ShutDown, server, grace + Duration::from_millis(500));
        let started = self.history.time();
        lock(&self.servers[server]).running = None;
        // Actors that were cut off are none of this test.
        let _ = running.shutdown(grace).await;
        let took = self.history.time() - started;
        self.history.look().shutdowns.push(super::history::Shutdown { grace, took });
        let port = if self.draw(0..2) == 0 { port(&running) } else { 0 };
        drop(running);
        self.start(server, port).await;
    }

    /// Takes an actor from where it is and registers it anew, there or elsewhere.
    fn move_actor(self: &Arc<Self>) {
        let name = ACTORS[self.draw(1..ACTORS.len() as u64) as usize];
        let from = lock(&self.places).get(name).copied().unwrap_or_default();
        let to = self.draw(0..self.servers.len() as u64) as usize;
        let free = |server: usize| {
            let server = lock(&self.servers[server]);
            !server.busy && server.running.is_some()
        };
        if !free(from) || !free(to) {
            return;
        }
        let Some(running) = lock(&self.servers[from]).running.clone() else { return };
        lock(&self.servers[from]).busy = true;
        lock(&self.servers[to]).busy = true;
        self.history.fault(FaultKind::Moved, from, Duration::ZERO);
        let run = self.clone();
        self.spawn(async move {
            running.unregister(name).await;
            sleep(Duration::from_millis(run.draw(0..100))).await;
            lock(&run.places).insert(name, to);
            run.register(to, name);
            lock(&run.servers[from]).busy = false;
            lock(&run.servers[to]).busy = false;
        });
    }

    /// Looks whether mailboxes hold no more than they may.
    async fn look(self: Arc<Self>, _: usize, running: Arc<ActorServer>) {
        let inspect = InspectClient::on(running.node(), &running.resolver(), inspect::NAME);
        if let Ok(health) = inspect.health().await {
            for actor in health.actors.iter().filter(|actor| actor.queued > MAILBOX as u64) {
                self.history.wrong(format!("S3: {} holds {} calls", actor.name, actor.queued));
            }
        }
    }

    /// Cuts a server off for some time, or freezes its network.
    fn cut(self: &Arc<Self>, kind: FaultKind) {
        let server = self.draw(0..self.servers.len() as u64) as usize;
        let time = Duration::from_millis(self.draw(50..4_000));
        let host = lock(&self.servers[server]).host.clone();
        self.history.fault(kind, server, time);
        let run = self.clone();
        match kind {
            FaultKind::Paused => self.net.pause(&host),
            _ => self.net.partition(&self.client_host, &host),
        }
        self.spawn(async move {
            sleep(time).await;
            match kind {
                FaultKind::Paused => run.net.resume(&host),
                _ => run.net.heal(&run.client_host, &host),
            }
        });
    }
}

fn port(server: &ActorServer) -> u16 {
    let address = server.address().to_string();
    address.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or_default()
}

fn node(net: &SimNet, host: &SimHost, seed: u64) -> Node {
    let config = Config { call_credit: 16, ..Config::default() };
    Node::builder().config(config).simulated(net, host).seed(seed).build().expect("a runtime runs")
}

/// Another weather.
fn disturb(net: &SimNet, random: &mut fastrand::Rng) {
    let calm = random.u8(0..3) == 0;
    let (loss, duplicate) = if calm { (0.0, 0.0) } else { (random.f64() * 0.08, random.f64() * 0.05) };
    let least = Duration::from_micros(random.u64(100..5_000));
    let most = least + Duration::from_micros(random.u64(0..20_000));
    net.loss(loss).duplicate(duplicate).latency(least..=most);
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
