//! A publisher that calls its subscribers: `cargo run --example callbacks`.
//!
//! A subscriber hands out a client of itself. The publisher, on another node, calls it over the connection that was made to
//! subscribe, until that actor is gone: then the client says so, and calls nobody else of that name.

use std::error::Error;

use actor_runtime::prelude::*;

#[actor_service]
trait Ticker {
    async fn subscribe(&mut self, watcher: WatcherClient);
    async fn publish(&mut self, price: u64);
}

#[actor_service]
trait Watcher {
    async fn follow(&self) -> Result<(), String>;
    async fn price(&mut self, price: u64);
}

struct Exchange(Vec<WatcherClient>);

#[actor_service]
impl Ticker for Exchange {
    async fn subscribe(&mut self, watcher: WatcherClient) {
        self.0.push(watcher);
    }

    async fn publish(&mut self, price: u64) {
        for watcher in std::mem::take(&mut self.0) {
            match watcher.price(price).await {
                Ok(()) => self.0.push(watcher),
                Err(failure) => println!("exchange: {failure}"),
            }
        }
        println!("exchange: {} told", self.0.len());
    }
}

struct Board;

#[actor_service]
impl Watcher for Board {
    async fn follow(&self) -> Result<(), String> {
        let ctx = current_ctx().map_err(|error| error.to_string())?;
        let ticker = TickerClient::new(&ctx.resolver(), "ticker");
        ticker.subscribe(ctx.this()).await.map_err(|failure| failure.to_string())
    }

    async fn price(&mut self, price: u64) {
        println!("board   : {price}");
    }
}

#[actor_runtime::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (here, there) = (ActorServer::bind("loopback:0").await?, ActorServer::bind("loopback:0").await?);
    here.register("ticker", Exchange(Vec::new()))?;
    there.register("board", Board)?;
    there.node().set_resolver(FixedResolver::new([("ticker", here.address())]));

    there.client::<WatcherClient>("board")?.follow().await?;
    let ticker: TickerClient = here.client("ticker")?;
    ticker.publish(100).await?;
    there.registration("board", Board).replace().await?;
    ticker.publish(101).await?;
    Ok(())
}
