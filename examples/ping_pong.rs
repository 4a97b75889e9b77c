//! Two actors that tell each other: `cargo run --example ping_pong`. A tell waits until the other's mailbox has it.

use actor_runtime::prelude::*;

#[actor_service]
trait Ping {
    /// Answered when the last pong has come.
    async fn play(&mut self, rounds: u32, done: ReplyTo<u32>);
    #[oneway]
    async fn pong(&mut self, count: u32);
}

#[actor_service]
trait Pong {
    #[oneway]
    async fn ping(&mut self, count: u32);
}

struct Pinger {
    pong: PongClient,
    game: Option<(u32, ReplyTo<u32>)>,
}

#[actor_service]
impl Ping for Pinger {
    async fn play(&mut self, rounds: u32, done: ReplyTo<u32>) {
        self.game = Some((rounds, done));
        self.pong.ping(1).await.expect("pong is there");
    }

    async fn pong(&mut self, count: u32) {
        println!("pong {count}");
        match self.game.take_if(|(rounds, _)| count == *rounds) {
            Some((rounds, done)) => drop(done.send(rounds)),
            None => self.pong.ping(count + 1).await.expect("pong is there"),
        }
    }
}

struct Ponger(PingClient);

#[actor_service]
impl Pong for Ponger {
    async fn ping(&mut self, count: u32) {
        println!("  ping {count}");
        self.0.pong(count).await.expect("ping is there");
    }
}

#[actor_runtime::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = ActorServer::bind("loopback:0").await?;
    let ping = PingClient::new(&server.resolver(), "ping");
    let pong = PongClient::new(&server.resolver(), "pong");
    server.register("ping", Pinger { pong, game: None })?;
    server.register("pong", Ponger(ping.clone()))?;
    println!("{} rounds were played", ping.play(3).await?);
    Ok(())
}
