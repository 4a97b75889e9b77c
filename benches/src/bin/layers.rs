//! What layers cost, in instructions a call: `cargo run --release -p benches --bin layers` (needs valgrind).
//!
//! For each row the program runs itself twice under callgrind, with different numbers of calls; the difference is what
//! the calls cost, without starting and ending. A layer stands on both sides unless its row
//! says otherwise, so a call meets it twice. `-off`: nobody listens, no subscriber and no recorder.

use std::{
    error::Error,
    process::{Command, ExitCode},
};

use actor_runtime::{
    BoxFuture, Failure, Interest, Layer, LayerCall, LocalCalls, Next, Node, NodeBuilder, OutgoingCall,
    Status,
    layers::{ConcurrencyLimit, MetricsLayer, TraceLayer},
    prelude::*,
};

const FEW: u64 = 5_000;
const MANY: u64 = 15_000;
/// A tell is a direct oneway call: it ends for its caller when it is queued.
const PATHS: [&str; 3] = ["direct", "loopback", "tell"];
const LAYERS: [&str; 9] = [
    "none",
    "passes-client",
    "passes-server",
    "passes",
    "trace-off",
    "around",
    "limit",
    "metrics-off",
    "trace-ids",
];

#[actor_service]
trait Counter {
    /// As little as a call can do.
    async fn add(&mut self, n: u64) -> u64;
    /// The same, and nobody waits for it.
    #[oneway]
    async fn note(&mut self, n: u64);
}

struct Desk(u64);

#[actor_service]
impl Counter for Desk {
    async fn add(&mut self, n: u64) -> u64 {
        self.0 += n;
        self.0
    }

    async fn note(&mut self, n: u64) {
        self.0 += n;
    }
}

/// Stands around every call and does nothing.
struct Around;

impl Layer for Around {
    fn call<'a>(&'a self, _: LayerCall<'a>, next: Next<'a>) -> BoxFuture<'a, Result<Status, Failure>> {
        Box::pin(async move { next.run().await })
    }
}

/// Looks at every call and lets it pass.
struct Passes;

impl Layer for Passes {
    fn outgoing(&self, _: &mut OutgoingCall<'_>) -> Result<Interest, Failure> {
        Ok(Interest::Pass)
    }

    fn incoming(&self, _: &LayerCall<'_>) -> Result<Interest, Failure> {
        Ok(Interest::Pass)
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match &arguments[..] {
        [] => table(),
        [path, layer, calls] => calls.parse().map_err(Into::into).and_then(|calls| run(path, layer, calls)),
        _ => Err("run it without arguments".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn table() -> Result<(), Box<dyn Error>> {
    println!("instructions a call, both sides together");
    for path in PATHS {
        let mut floor = None;
        for layer in LAYERS {
            let cost = (counted(path, layer, MANY)? - counted(path, layer, FEW)?) / (MANY - FEW) as f64;
            let floor = *floor.get_or_insert(cost);
            println!("{path:9} {layer:14} {cost:7.0} {:+6.1} %", (cost / floor - 1.0) * 100.0);
        }
    }
    Ok(())
}

/// The instructions of one run.
fn counted(path: &str, layer: &str, calls: u64) -> Result<f64, Box<dyn Error>> {
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args([path, layer, &calls.to_string()])
        .output()?;
    let told = String::from_utf8_lossy(&run.stderr);
    let count = told.lines().find_map(|line| line.split_once("Collected :"));
    let (_, count) = count.ok_or_else(|| format!("valgrind did not count:\n{told}"))?;
    Ok(count.trim().parse()?)
}

fn run(path: &str, layer: &str, calls: u64) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let local = if path != "loopback" { LocalCalls::Direct } else { LocalCalls::Encoded };
        let node = layered(Node::builder().local_calls(local).seed(1), layer).build()?;
        let server = ActorServer::bind_on(&node, "loopback:0").await?;
        server.register("counter", Desk(0))?;
        let resolver = FixedResolver::new([("counter", server.address())]);
        let counter = CounterClient::on(&node, &resolver, "counter");
        for _ in 0..calls {
            if path == "tell" {
                counter.note(1).await?;
            } else {
                counter.add(1).await?;
            }
        }
        if path == "tell" {
            // Behind all of them.
            assert_eq!(counter.add(0).await?, calls, "each was run");
        }
        Ok(())
    })
}

fn layered(node: NodeBuilder, layer: &str) -> NodeBuilder {
    match layer {
        "passes-client" => node.client_layer(Passes),
        "passes-server" => node.server_layer(Passes),
        "trace-off" => node.client_layer(TraceLayer::new()).server_layer(TraceLayer::new()),
        "trace-ids" => node.client_layer(TraceLayer::new().always()).server_layer(TraceLayer::new().always()),
        "metrics-off" => node.client_layer(MetricsLayer::new()).server_layer(MetricsLayer::new()),
        "limit" => node.client_layer(ConcurrencyLimit::new(8)).server_layer(ConcurrencyLimit::new(8)),
        "passes" => node.client_layer(Passes).server_layer(Passes),
        "around" => node.client_layer(Around).server_layer(Around),
        _ => node,
    }
}
