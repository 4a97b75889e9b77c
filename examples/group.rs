//! Many light actors on two threads, and one that blocks on a thread of its own: `cargo run --example group`.

use std::{collections::BTreeSet, error::Error, thread};

use actor_runtime::{Group, prelude::*};

#[actor_service]
trait Worker {
    /// Adds to the sum, and says on which thread.
    async fn add(&mut self, n: u64) -> String;
    async fn sum(&self) -> u64;
}

#[derive(Default)]
struct Sum(u64);

#[actor_service]
impl Worker for Sum {
    async fn add(&mut self, n: u64) -> String {
        self.0 += n;
        format!("{:?}", thread::current().id())
    }

    async fn sum(&self) -> u64 {
        self.0
    }
}

#[actor_runtime::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = ActorServer::bind("loopback:0").await?;
    let crowd = Group::builder().name("crowd").threads(2).build()?;
    for number in 0..1000 {
        server.registration(format!("worker-{number}"), Sum::default()).group(&crowd).register()?;
    }
    // One that blocks its thread holds up nobody but itself.
    let alone = Group::builder().name("alone").build()?;
    server.registration("archive", Sum::default()).group(&alone).register()?;

    let mut threads = BTreeSet::new();
    let mut total = 0;
    for number in 0..1000 {
        let worker = WorkerClient::new(&server.resolver(), format!("worker-{number}"));
        for n in 1..=3 {
            threads.insert(worker.add(n).await?);
        }
        total += worker.sum().await?;
    }
    println!("1000 workers on {} thread(s) of {crowd:?}: {total}", threads.len());
    let archive = WorkerClient::new(&server.resolver(), "archive");
    println!("the archive is on {}", archive.add(total).await?);
    server.shutdown(Duration::from_secs(5)).await?;
    Ok(())
}
