//! What happens to a message that cannot be delivered: `cargo run --example rejected`.
//!
//! Its sender is told, at once and by name: nobody waits for a reply that cannot come.

use std::error::Error;

use actor_runtime::prelude::*;

#[actor_service]
trait Pong {
    #[oneway]
    async fn ping(&mut self, count: u32);
}

#[actor_service]
trait Archive {
    async fn keep(&mut self, line: String);
}

struct Ponger;

#[actor_service]
impl Pong for Ponger {
    async fn ping(&mut self, count: u32) {
        println!("ping {count}");
    }
}

fn tell(what: &str, rejected: Result<(), Failure>) {
    let failure = rejected.expect_err("it cannot be delivered");
    println!("\n{what}: {:?}, {:?}\n  {failure}", failure.kind(), failure.delivery());
}

#[actor_runtime::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = ActorServer::bind("loopback:0").await?;
    server.register("pong", Ponger)?;
    let resolver = FixedResolver::new([("pong", server.address()), ("pnog", server.address())]);
    let pong = PongClient::new(&resolver, "pong");
    pong.ping(1).await?;

    tell("an actor that does not exist", PongClient::new(&resolver, "pnog").ping(2).await);
    tell("a name that nobody knows", PongClient::new(&resolver, "nowhere").ping(3).await);
    tell("a message that it does not take", ArchiveClient::new(&resolver, "pong").keep("x".into()).await);

    server.shutdown(Duration::from_secs(1)).await?;
    // It waits for somebody who has the name now, as long as it may: this one does not wait long.
    tell("a server that has gone", pong.ping(4).timeout(Duration::from_millis(200)).await);
    Ok(())
}
