//! A program that is not async, with threads that call an actor: `cargo run --example blocking`.
//!
//! The node brings a runtime of its own, in the background. `wait()` ends a call as `.await` does elsewhere; whatever
//! else is async, here the server, goes through `block_on`.

use std::{error::Error, thread};

use actor_runtime::prelude::*;

#[actor_service]
trait Inventory {
    /// Takes so many pieces out of the stock, and says how many are left.
    async fn take(&mut self, pieces: u32) -> Result<u32, String>;
}

struct Shelf {
    pieces: u32,
}

#[actor_service]
impl Inventory for Shelf {
    async fn take(&mut self, pieces: u32) -> Result<u32, String> {
        self.pieces = self.pieces.checked_sub(pieces).ok_or("so many are not left")?;
        Ok(self.pieces)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let node = Node::builder().build_blocking()?;
    let server = node.block_on(ActorServer::bind_on(&node, "loopback:0"))?;
    server.register("shelf", Shelf { pieces: 10 })?;

    let shelf = InventoryClient::new(&FixedResolver::new([("shelf", server.address())]), "shelf");
    thread::scope(|threads| {
        for n in 1..=4 {
            let shelf = &shelf;
            threads.spawn(move || match shelf.take(n).timeout(Duration::from_secs(1)).wait() {
                Ok(left) => println!("thread {n} took {n}, and {left} are left"),
                Err(error) => println!("thread {n} got none: {error}"),
            });
        }
    });
    println!("one more: {:?}", shelf.take(1).wait());

    node.block_on(server.shutdown(Duration::from_secs(5)))?;
    Ok(())
}
