//! One measurement: this process calls, a server of its own answers.

use std::{
    fmt::Write,
    io,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    arguments::{Effort, Experiment, Row},
    peers::{Connection, Peer, with_peer},
    process::{self, Place, Server},
    trust::Identity,
    wire::Small,
};
use crate::machine;

const MIB: usize = 1 << 20;

/// Connections that are held at once.
const IDLE: usize = 200;
const IDLE_QUICK: usize = 50;

/// Connections that are made one after the other, at most.
const CONNECTS: usize = 2_000;

/// Measures, and gives lines of a metric's name and its value.
pub(crate) fn measure(experiment: Experiment, effort: Effort) -> io::Result<String> {
    let Experiment { row, peer } = experiment;
    let place = match row {
        Row::SeqPinned => Some(Place::Last),
        Row::Apart64 | Row::Apart512 => Some(Place::First),
        _ => None,
    };
    let [client, identity] = Identity::pair()?;
    let server = Server::start(peer, &identity, place)?;
    if place.is_some() {
        Place::Last.pin(None)?;
    }
    with_peer!(peer, measure_peer(row, effort, client, server))
}

fn measure_peer<P: Peer>(row: Row, effort: Effort, identity: Identity, server: Server) -> io::Result<String> {
    let places = P::places()?;
    let on = places.handles();
    places.run(async move {
        let peer = P::client(on, identity).await?;
        let mut lines = Lines(String::new());
        match row {
            Row::Seq | Row::SeqPinned => alone(&peer, &server, effort, &mut lines).await?,
            Row::Callers64 | Row::Apart64 => many::<P, false>(&peer, &server, effort, 64, &mut lines).await?,
            Row::Callers512 | Row::Apart512 => {
                many::<P, false>(&peer, &server, effort, 512, &mut lines).await?;
            }
            Row::Mib => many::<P, true>(&peer, &server, effort, 1, &mut lines).await?,
            Row::Mib8 => many::<P, true>(&peer, &server, effort, 8, &mut lines).await?,
            Row::Connect => connect(&peer, &server, effort, &mut lines).await?,
            Row::Idle => idle(&peer, &server, effort, &mut lines).await?,
        }
        Ok(lines.0)
    })
}

/// One caller.
async fn alone<P: Peer>(peer: &P, server: &Server, effort: Effort, lines: &mut Lines) -> io::Result<()> {
    let connection = peer.connect(server.address).await?;
    let warm = Instant::now();
    while warm.elapsed() < effort.time / 5 {
        once::<P, false>(&connection, 0).await?;
    }
    let mut each = Vec::with_capacity(1 << 17);
    let before = cpu(server)?;
    let start = Instant::now();
    while start.elapsed() < effort.time {
        let start = Instant::now();
        once::<P, false>(&connection, each.len() as u64).await?;
        each.push(start.elapsed());
    }
    lines.cpu(before, cpu(server)?, each.len() as f64);
    lines.percentiles(each);
    Ok(())
}

/// Many callers of one connection, with small calls or with bodies.
async fn many<P: Peer, const BODY: bool>(
    peer: &P,
    server: &Server,
    effort: Effort,
    callers: usize,
    lines: &mut Lines,
) -> io::Result<()> {
    let connection = peer.connect(server.address).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let counts: Arc<[Count]> = (0..callers).map(|_| Count::default()).collect();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let (connection, stop, counts) = (connection.clone(), Arc::clone(&stop), Arc::clone(&counts));
            tokio::spawn(async move {
                for n in 1.. {
                    once::<P, BODY>(&connection, n).await?;
                    counts[caller].0.store(n, Ordering::Relaxed);
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
                io::Result::Ok(())
            })
        })
        .collect();
    let sum = || counts.iter().map(|count| count.0.load(Ordering::Relaxed)).sum::<u64>();

    tokio::time::sleep(effort.time / 5).await;
    let (start, before, first) = (Instant::now(), cpu(server)?, sum());
    tokio::time::sleep(effort.time).await;
    let (time, after, last) = (start.elapsed(), cpu(server)?, sum());
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.map_err(io::Error::other)??;
    }

    let calls = (last - first) as f64;
    lines.add("per_s", calls / time.as_secs_f64());
    lines.cpu(before, after, calls);
    Ok(())
}

/// On a line of the processor's cache of its own.
#[derive(Default)]
#[repr(align(64))]
struct Count(AtomicU64);

/// Connections, one after the other, each with one call.
async fn connect<P: Peer>(peer: &P, server: &Server, effort: Effort, lines: &mut Lines) -> io::Result<()> {
    let mut each = Vec::new();
    let start = Instant::now();
    while (start.elapsed() < effort.time || each.len() < 10) && each.len() < CONNECTS {
        let start = Instant::now();
        let connection = peer.connect(server.address).await?;
        once::<P, false>(&connection, 0).await?;
        each.push(start.elapsed());
    }
    // The first pays for what all share.
    lines.percentiles(each.split_off(1));
    Ok(())
}

/// Many connections that were called once.
async fn idle<P: Peer>(peer: &P, server: &Server, effort: Effort, lines: &mut Lines) -> io::Result<()> {
    let count = if effort.quick() { IDLE_QUICK } else { IDLE };
    let settle = effort.time / 5;
    let mut connections = Vec::with_capacity(count + 1);
    let resident = || {
        let sides = machine::resident().zip(machine::resident_of(server.process()));
        sides.ok_or_else(|| io::Error::other("the system does not say how much is resident"))
    };
    let mut before = (0, 0);
    for n in 0..=count {
        let connection = peer.connect(server.address).await?;
        once::<P, false>(&connection, 0).await?;
        connections.push(connection);
        if n == 0 {
            tokio::time::sleep(settle).await;
            before = resident()?;
        }
    }
    tokio::time::sleep(settle).await;
    let after = resident()?;
    let each = |before: u64, after: u64| (after as f64 - before as f64) / count as f64 / 1024.0;
    lines.add("client_kib", each(before.0, after.0));
    lines.add("server_kib", each(before.1, after.1));
    // All of them still live.
    for connection in &connections {
        once::<P, false>(connection, 1).await?;
    }
    Ok(())
}

/// One call, whose reply is looked at.
async fn once<P: Peer, const BODY: bool>(connection: &P::Connection, n: u64) -> io::Result<()> {
    let same = if BODY {
        let body = PATTERN.clone();
        let reply = connection.body(body.clone()).await?;
        // All of it the first time; later its length, so that comparing is not what is measured.
        reply.len() == body.len() && (n > 1 || reply == body)
    } else {
        let value = Small::some(n);
        connection.small(&value).await? == value
    };
    if same { Ok(()) } else { Err(io::Error::other("the reply is not what was sent")) }
}

/// Bytes of which no two pieces of a packet are alike.
static PATTERN: LazyLock<Bytes> =
    LazyLock::new(|| (0..MIB as u64).map(|n| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect());

/// Time on a processor of the client and of the server.
fn cpu(server: &Server) -> io::Result<[Duration; 2]> {
    Ok([process::cpu_time(std::process::id())?, process::cpu_time(server.process())?])
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// What a measurement tells the process that started it.
struct Lines(String);

impl Lines {
    fn add(&mut self, metric: &str, value: f64) {
        writeln!(self.0, "{metric} {value}").expect("a text takes what is written");
    }

    /// Time on a processor for one of so many calls: of both sides, and of each.
    fn cpu(&mut self, before: [Duration; 2], after: [Duration; 2], calls: f64) {
        let [client, server] = [0, 1].map(|side| micros(after[side].saturating_sub(before[side])) / calls);
        self.add("cpu_us", client + server);
        self.add("cpu_client_us", client);
        self.add("cpu_server_us", server);
    }

    fn percentiles(&mut self, mut each: Vec<Duration>) {
        each.sort_unstable();
        for (metric, part) in [("p50_us", 50), ("p99_us", 99)] {
            if let Some(time) = each.get(each.len() * part / 100) {
                self.add(metric, micros(*time));
            }
        }
    }
}
