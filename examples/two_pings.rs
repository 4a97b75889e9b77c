//! Two callers of one actor in another process, which answers each its own: `cargo run --example two_pings`.

use std::{
    error::Error,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use actor_runtime::prelude::*;

#[actor_service]
trait Pong {
    /// Gives the number back, and how many pings have come from everybody.
    async fn ping(&mut self, from: String, count: u32) -> (u32, u32);
}

#[derive(Default)]
struct Ponger {
    all: u32,
}

#[actor_service]
impl Pong for Ponger {
    async fn ping(&mut self, from: String, count: u32) -> (u32, u32) {
        self.all += 1;
        println!("  pong: {count} from {from}");
        (count, self.all)
    }
}

async fn play(name: &str, pong: PongClient) -> Result<(), Failure> {
    for count in 1..=3 {
        let (back, all) = pong.ping(name.to_owned(), count).await?;
        println!("{name}: {back} came back, #{all} of all");
    }
    Ok(())
}

#[actor_runtime::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().any(|argument| argument == "serve") {
        let server = ActorServer::bind("127.0.0.1:0").await?;
        server.register("pong", Ponger::default())?;
        eprintln!("{}", server.address());
        return Ok(server.run_until_signal(Duration::from_secs(5)).await?);
    }
    let mut server = Command::new(std::env::current_exe()?).arg("serve").stderr(Stdio::piped()).spawn()?;
    let mut address = String::new();
    BufReader::new(server.stderr.take().ok_or("no output")?).read_line(&mut address)?;
    let resolver = FixedResolver::new([("pong", address.trim())]);
    let node = Node::current()?;
    let callers = ["first", "second"].map(|name| node.spawn(play(name, PongClient::new(&resolver, "pong"))));
    for caller in callers {
        caller.await??;
    }
    server.kill()?;
    server.wait()?;
    Ok(())
}
