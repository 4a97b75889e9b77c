//! Inference over four processes, one of which dies: `cargo run --example inference_pool`.
//!
//! The program starts itself four more times as servers of a model, sends predictions through a pool, gives all of them new
//! weights with one broadcast, kills one server while requests run, and replaces it. Requests that had reached the one that died
//! may be lost, and are told as such; `predict` does no harm if it is run twice (`#[idempotent]`), so here none is.
#![expect(clippy::disallowed_methods, reason = "programs sleep with tokio")]

use std::{
    error::Error,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use actor_runtime::{pool::Report, prelude::*};

#[actor_service]
trait Model {
    /// Gives the prediction and the version of the weights.
    #[idempotent]
    async fn predict(&self, input: &[f32]) -> (f32, u64);
    #[idempotent]
    async fn update_weights(&mut self, version: u64, weights: Vec<f32>);
}

struct Linear {
    version: u64,
    weights: Vec<f32>,
}

#[actor_service]
impl Model for Linear {
    async fn predict(&self, input: &[f32]) -> (f32, u64) {
        tokio::time::sleep(Duration::from_millis(2)).await; // what an accelerator would take
        (self.weights.iter().zip(input).map(|(weight, x)| weight * x).sum(), self.version)
    }

    async fn update_weights(&mut self, version: u64, weights: Vec<f32>) {
        (self.version, self.weights) = (version, weights);
    }
}

/// A server in a process of its own, and where it listens.
fn start() -> Result<(Child, String), Box<dyn Error>> {
    let mut child = Command::new(std::env::current_exe()?).arg("serve").stderr(Stdio::piped()).spawn()?;
    let mut address = String::new();
    BufReader::new(child.stderr.take().ok_or("no output")?).read_line(&mut address)?;
    Ok((child, address.trim().to_owned()))
}

/// A thousand predictions, fifty at a time.
async fn predict(pool: &ActorPool<ModelClient>) -> Report {
    let inputs = (0..1000).map(|n| vec![n as f32, 1.0]);
    pool.map(inputs, |model, input| model.predict(input)).window(50).run().await.1
}

#[actor_runtime::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().any(|argument| argument == "serve") {
        let server = ActorServer::bind("127.0.0.1:0").await?;
        server.register("model", Linear { version: 1, weights: vec![0.5, 1.0] })?;
        eprintln!("{}", server.address());
        return Ok(server.run_until_signal(Duration::from_secs(5)).await?);
    }
    let mut servers = (0..4).map(|_| start()).collect::<Result<Vec<_>, _>>()?;
    let resolver = FixedResolver::new(servers.iter().map(|(_, address)| ("model", address)));
    let pool = ModelClient::pool(&resolver, "model");
    pool.wait_for_size(4, Duration::from_secs(10)).await?;
    println!("four servers, one request each:");
    for _ in 0..4 {
        let (prediction, version) = pool.call().predict(&[4.0, 1.0]).await?;
        println!("  f(4) = {prediction}, by version {version}");
    }
    println!("before:\n{}\n", predict(&pool).await);

    let updated = pool.broadcast().update_weights(2, vec![0.25, 2.0]).wait_all(Duration::from_secs(5)).await;
    println!(
        "new weights: {} of {} have them\n",
        updated.iter().filter(|each| each.is_ok()).count(),
        updated.len()
    );

    let (mut killed, _) = servers.remove(0);
    let at_work = pool.clone();
    let during = Node::current()?.spawn(async move { predict(&at_work).await });
    tokio::time::sleep(Duration::from_millis(10)).await;
    killed.kill()?;
    killed.wait()?;
    println!("one is killed while requests run, and another one started");
    servers.push(start()?);
    resolver.set("model", servers.iter().map(|(_, address)| address));
    println!("during:\n{}\n", during.await?);

    pool.wait_for_size(4, Duration::from_secs(10)).await?;
    // The new one has the old weights until it is told.
    pool.broadcast().update_weights(2, vec![0.25, 2.0]).wait_all(Duration::from_secs(5)).await;
    println!("after:\n{}\n\n{}", predict(&pool).await, pool.snapshot());
    for (server, _) in &mut servers {
        server.kill()?;
        server.wait()?;
    }
    Ok(())
}
