//! A server is killed and started again under a client that does not notice: `cargo run --example retries`.
//!
//! `price` may be run twice without harm, and says so: a call of it whose fate nobody knows is made again.

use std::{
    error::Error,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use actor_runtime::prelude::*;

#[actor_service]
trait Shop {
    #[idempotent]
    async fn price(&self, item: String) -> (u64, u32);
}

struct Shelf;

#[actor_service]
impl Shop for Shelf {
    async fn price(&self, item: String) -> (u64, u32) {
        (item.len() as u64 * 10, std::process::id())
    }
}

/// Starts this program as a server, and reads where it listens.
fn start(address: &str) -> Result<(Child, String), Box<dyn Error>> {
    let program = std::env::current_exe()?;
    let mut server = Command::new(program).args(["serve", address]).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(server.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    Ok((server, line.trim().to_owned()))
}

#[actor_runtime::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if let Some(address) = std::env::args().nth(2) {
        let server = ActorServer::bind(&*address).await?;
        server.register("shelf", Shelf)?;
        println!("{}", server.address());
        return Ok(server.run_until_signal(Duration::from_secs(5)).await?);
    }
    let (mut server, address) = start("127.0.0.1:0")?;
    let shop = ShopClient::new(&FixedResolver::new([("shelf", &*address)]), "shelf");
    for call in 1..=6 {
        if call == 4 {
            println!("process {} is killed", server.id());
            server.kill()?;
            server.wait()?;
            server = start(&address)?.0;
        }
        let (price, process) = shop.price("tea".into()).await?;
        println!("call {call}: {price}, says process {process}");
    }
    server.kill()?;
    server.wait()?;
    Ok(())
}
