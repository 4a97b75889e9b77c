//! A pool of calculators: `cargo run --example basic`.
//!
//! Three servers serve a calculator of the same name. Calls go to one after the other; a broadcast goes to all of them.

use std::error::Error;

use actor_runtime::prelude::*;

#[actor_service]
trait Calculator {
    async fn add(&self, a: i64, b: i64) -> i64;
    async fn accumulate(&mut self, by: i64) -> i64;
    async fn total(&self) -> i64;
}

#[derive(Default)]
struct Desk(i64);

#[actor_service]
impl Calculator for Desk {
    async fn add(&self, a: i64, b: i64) -> i64 {
        a + b
    }

    async fn accumulate(&mut self, by: i64) -> i64 {
        self.0 += by;
        self.0
    }

    async fn total(&self) -> i64 {
        self.0
    }
}

#[actor_runtime::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let resolver = FixedResolver::new::<&str, &str>([]);
    let node = Node::builder().build()?;
    let mut servers = Vec::new();
    for _ in 0..3 {
        let server = ActorServer::bind_on(&Node::builder().build()?, "loopback:0").await?;
        server.register("calculator", Desk::default())?;
        resolver.insert("calculator", server.address());
        servers.push(server);
    }
    node.scope(use_them(&resolver)).await?;
    for server in servers {
        server.shutdown(Duration::from_secs(1)).await?;
    }
    Ok(())
}

async fn use_them(resolver: &FixedResolver) -> Result<(), Box<dyn Error>> {
    let pool = CalculatorClient::pool(resolver, "calculator");
    pool.wait_for_size(3, Duration::from_secs(5)).await?;
    println!("2 + 3 = {}", pool.call().add(2, 3).await?);
    // Six calls to three calculators: each has accumulated twice.
    for n in 1..=6 {
        println!("accumulate({n}) gives {}", pool.call().accumulate(n).await?);
    }
    for each in pool.broadcast().total().wait_all(Duration::from_secs(5)).await {
        println!("{} has {}", each.endpoint, each.result?);
    }
    Ok(())
}
