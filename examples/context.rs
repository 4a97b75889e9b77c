//! An actor that calls another one through `current_ctx()`: `cargo run --example context`.
//!
//! A shop asks its till for the price of each line of an order. The till takes its time; the deadline of the order
//! reaches it through the shop, and the error says where the time ran out.

use std::error::Error;

use actor_runtime::prelude::*;
use actor_runtime::{NoContext, Node};

#[message]
#[derive(Clone, Debug)]
struct Line {
    item: String,
    pieces: u32,
}

#[message]
#[derive(Debug)]
enum OrderError {
    NoTill(String),
    UnknownItem(String),
}

impl From<NoContext> for OrderError {
    fn from(error: NoContext) -> Self {
        Self::NoTill(error.to_string())
    }
}

impl From<CallError<Self>> for OrderError {
    fn from(error: CallError<Self>) -> Self {
        match error {
            CallError::Application(error) => error,
            CallError::Failed(failure) => Self::NoTill(failure.to_string()),
        }
    }
}

#[actor_service]
trait Till {
    /// The price of one piece, in cents.
    async fn price(&self, item: &str) -> Result<u64, OrderError>;
}

#[actor_service]
trait Shop {
    /// The price of an order, in cents.
    async fn total(&self, order: &[Line]) -> Result<u64, OrderError>;
}

struct SlowTill;

#[actor_service]
impl Till for SlowTill {
    async fn price(&self, item: &str) -> Result<u64, OrderError> {
        let ctx = current_ctx()?;
        let caller = ctx.caller().and_then(|caller| caller.actor);
        println!("  till : {item:?} asked by {caller:?}, {:?} left", ctx.remaining().map(rounded));
        match item {
            "apple" => Ok(50),
            "melon" => std::future::pending().await,
            _ => Err(OrderError::UnknownItem(item.to_owned())),
        }
    }
}

struct Corner;

#[actor_service]
impl Shop for Corner {
    async fn total(&self, order: &[Line]) -> Result<u64, OrderError> {
        let ctx = current_ctx()?;
        let till = TillClient::new(&ctx.resolver(), "till");
        let mut total = 0;
        for Line { item, pieces } in order {
            total += till.price(item).await? * u64::from(*pieces);
        }
        println!("  {:5}: customer {:?}", ctx.actor_name(), ctx.metadata().value("customer"));
        Ok(total)
    }
}

fn rounded(left: Duration) -> Duration {
    Duration::from_millis(left.as_millis().next_multiple_of(100) as u64)
}

#[actor_runtime::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let node = Node::builder().build()?;
    let server = ActorServer::bind_on(&node, "loopback:0").await?;
    server.register("till", SlowTill)?;
    server.register("shop", Corner)?;
    let shop = ShopClient::new(&server.resolver(), "shop");

    let line = |item: &str, pieces| Line { item: item.to_owned(), pieces };
    let order = [line("apple", 3), line("apple", 1)];
    println!("four apples:");
    println!("  = {:?} cents", shop.total(&order).metadata("customer", "Ada").await?);

    println!("a pear:");
    println!("  = {:?}", shop.total(&[line("pear", 1)]).await.map_err(|error| error.to_string()));

    println!("a melon, within 200 ms:");
    let melon = shop.total(&[line("melon", 1)]).timeout(Duration::from_millis(200)).await;
    println!("  = {}", melon.map_or_else(|error| error.to_string(), |cents| cents.to_string()));

    server.shutdown(Duration::from_secs(1)).await?;
    Ok(())
}
