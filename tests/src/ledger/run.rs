//! One run: calls to a server in a process of its own, through a proxy, while one fault comes again and again.

#![allow(clippy::disallowed_methods, reason = "it measures, and belongs to no node")]
#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test's helper may panic as the test may"
)]

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use actor_runtime::{CallOptions, FixedResolver, Node, Retry};
use bytes::Bytes;
use futures::future::join_all;
use tokio::time::{sleep, timeout};

use super::{Call, End, Figures, Kind, LedgerClient, config, lines};
use crate::{
    cluster, member,
    process::{Server, identity},
    proxy::Proxy,
    retries,
};

/// What happens again and again while calls are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// What the client sends is lost until its connection is.
    RequestsLost,
    /// What the server sends is lost until the connection is.
    RepliesLost,
    /// Both, while long bodies are under way.
    CutInMidBody,
    /// SIGKILL, and another server at the same port.
    Killed,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::None, Self::RequestsLost, Self::RepliesLost, Self::CutInMidBody, Self::Killed];
}

/// Calls under way at a time: by so many callers on each of so many handles.
const HANDLES: u64 = 8;
const CALLERS: u64 = 8;

/// How long a call has, and how long one in 16 has, which is less than most faults last.
const TIMEOUT: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_millis(200);

/// What timers and scheduling may take beyond that.
const SLACK: Duration = Duration::from_millis(500);

/// How long a server holds each call between its effect and its reply.
pub(crate) const HOLD: Duration = Duration::from_micros(500);

/// Makes so many calls while this fault comes again and again, and counts.
pub async fn run(program: &Path, fault: Fault, calls: u64) -> Figures {
    let file = Scratch::new(fault);
    let authority = cluster();
    let shows = identity(&authority);
    let start = |listen: &str| Server::ledger(program, &authority, &shows, listen, &file.0);
    let mut server = start("127.0.0.1:0");
    let address = server.address().to_owned();
    let port = address.rsplit_once(':').expect("a port").1.parse().expect("a number");
    let proxy = Proxy::start(SocketAddr::from(([127, 0, 0, 1], port))).await;
    let node =
        Node::builder().trust(member(&authority, "client")).config(config()).build().expect("a runtime");
    let resolver = FixedResolver::new([("ledger", proxy.address().to_string())]);
    let clients: Vec<Arc<LedgerClient>> =
        (0..HANDLES).map(|_| Arc::new(LedgerClient::on(&node, &resolver, "ledger"))).collect();
    join_all(clients.iter().enumerate().map(|(n, client)| client.put(u64::MAX - n as u64, Bytes::new())))
        .await;
    let (next, strikes, before) =
        (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)), retries::counted());
    let callers = clients.iter().flat_map(|client| (0..CALLERS).map(move |_| client.clone()));
    let callers: Vec<_> =
        callers.map(|client| node.spawn(call(client, fault, next.clone(), calls, strikes.clone()))).collect();
    let calling =
        async { join_all(callers).await.into_iter().flat_map(|made| made.expect("no panic")).collect() };
    let sabotage = async {
        if fault == Fault::None {
            std::future::pending::<()>().await;
        }
        loop {
            let well = (calls / 20).clamp(40, 400);
            sleep(Duration::from_millis(fastrand::u64(well / 2..well))).await;
            strikes.fetch_add(1, Ordering::Relaxed);
            match fault {
                Fault::None => {}
                Fault::RequestsLost => proxy.lose(true, false),
                Fault::RepliesLost => proxy.lose(false, true),
                Fault::CutInMidBody => proxy.lose(true, true),
                Fault::Killed => server.kill(),
            }
            // Longer than a connection lives without a word.
            sleep(Duration::from_millis(if fault == Fault::Killed { 50 } else { 450 })).await;
            proxy.lose(false, false);
            if fault == Fault::Killed {
                server = start(&address);
            }
            strikes.fetch_add(1, Ordering::Relaxed);
        }
    };
    let made: Vec<Call> = tokio::select! {
        made = calling => made,
        () = sabotage => unreachable!("it goes on for ever"),
    };
    proxy.lose(false, false);
    let mut figures = judge(server, &file.0, made).await;
    figures.faults = strikes.load(Ordering::Relaxed).div_ceil(2);
    figures.retries = retries::counted() - before;
    figures
}

/// Ends the server, so that nothing is written any more, and counts.
async fn judge(mut server: Server, file: &Path, made: Vec<Call>) -> Figures {
    if server.ended().is_none() {
        // It answers only once it listens, and would not hear the signal before.
        let _ = server.address();
        server.terminate();
        let ends = async {
            while server.ended().is_none() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(10), ends).await.expect("the server ends");
    }
    let mut lines = lines(file).expect("the server's file");
    // The calls that opened the connection.
    lines.retain(|line| line.id < u64::MAX / 2);
    Figures::count(&made, &lines, SLACK)
}

/// Makes calls, one after the other, until so many are made in all.
async fn call(
    client: Arc<LedgerClient>,
    fault: Fault,
    next: Arc<AtomicU64>,
    calls: u64,
    strikes: Arc<AtomicU64>,
) -> Vec<Call> {
    let long = Bytes::from(vec![7; 96 * 1024]);
    let mut made = Vec::new();
    loop {
        let id = next.fetch_add(1, Ordering::Relaxed);
        if id >= calls {
            return made;
        }
        let kind = [Kind::Add, Kind::Put, Kind::Append][id as usize % 3];
        let is_long =
            if fault == Fault::CutInMidBody { !id.is_multiple_of(4) } else { id.is_multiple_of(16) };
        let padding = if is_long { long.clone() } else { Bytes::new() };
        // Some have little time, and some are made once.
        let has = if id % 16 == 5 { SHORT } else { TIMEOUT };
        let options = CallOptions::new().timeout(has);
        let options = if id % 8 == 3 { options.retry(Retry::none()) } else { options };
        let (begun, struck) = (Instant::now(), strikes.load(Ordering::Relaxed));
        let end = match kind {
            Kind::Add => client.add(id, padding).with_options(options).await,
            Kind::Put => client.put(id, padding).with_options(options).await,
            Kind::Append => client.append(id, padding).with_options(options).await,
        };
        let took = begun.elapsed();
        let end = match end {
            Ok(reply) => End::Replied(reply),
            Err(failure) => End::Failed(failure.kind().to_string(), failure.delivery()),
        };
        // An odd number: a fault lasts.
        let struck = struck % 2 == 1 || strikes.load(Ordering::Relaxed) != struck;
        made.push(Call { kind, id, end, took, has, struck });
    }
}

/// A file that is removed with this.
struct Scratch(PathBuf);

impl Scratch {
    fn new(fault: Fault) -> Self {
        let name = format!("ledger-{}-{fault:?}-{:x}", std::process::id(), fastrand::u64(..));
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It is not there if the server never began.
        let _ = std::fs::remove_file(&self.0);
    }
}
