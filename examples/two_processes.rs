//! Two processes: a server and its client, over QUIC: `cargo run --example two_processes`.
//!
//! Started without arguments, the program starts itself once more as the server, and calls it. Nothing is set up: the
//! two trust each other through the development trust domain of this user.

use std::{
    error::Error,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use actor_runtime::{inspect::InspectClient, prelude::*};

#[actor_service]
trait Counter {
    async fn add(&mut self, by: u64) -> u64;
}

#[derive(Default)]
struct Tally(u64);

#[actor_service]
impl Counter for Tally {
    async fn add(&mut self, by: u64) -> u64 {
        self.0 += by;
        println!("process {} adds {by}", std::process::id());
        self.0
    }
}

#[actor_runtime::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().any(|argument| argument == "serve") {
        let server = ActorServer::bind("127.0.0.1:0").await?;
        server.register("tally", Tally::default())?;
        eprintln!("{}", server.address());
        return Ok(server.run_until_signal(Duration::from_secs(5)).await?);
    }
    let mut server = Command::new(std::env::current_exe()?).arg("serve").stderr(Stdio::piped()).spawn()?;
    let mut address = String::new();
    BufReader::new(server.stderr.take().ok_or("no output")?).read_line(&mut address)?;

    let resolver = FixedResolver::new([("tally", address.trim()), ("$inspect", address.trim())]);
    let tally = CounterClient::new(&resolver, "tally");
    println!("process {} calls: {}", std::process::id(), tally.add(2).await?);
    println!("process {} calls: {}", std::process::id(), tally.add(40).await?);
    let health = InspectClient::new(&resolver, "$inspect").health().await?;
    for actor in &health.actors {
        println!("health  : {} is {:?}", actor.name, actor.state);
    }

    server.kill()?;
    println!("now the server is killed, and the next call ends within three seconds:");
    println!("{}", tally.add(1).await.expect_err("its process is gone"));
    server.wait()?;
    Ok(())
}
