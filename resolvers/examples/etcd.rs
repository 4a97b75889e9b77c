//! A server announces itself in etcd, a client finds it there by its name, and when the server has shut down the name is empty:
//! `cargo run -p actor-resolvers --features etcd --example etcd -- http://127.0.0.1:2379`.

use std::error::Error;

use actor_resolvers::{EtcdRegistrar, EtcdResolver};
use actor_runtime::{Resolver, default_namespace, prelude::*};
use futures::StreamExt;

#[actor_service]
trait Model {
    async fn predict(&self, x: f64) -> f64;
}

struct Linear;

#[actor_service]
impl Model for Linear {
    async fn predict(&self, x: f64) -> f64 {
        0.5 * x + 1.0
    }
}

#[actor_runtime::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let etcd = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:2379".to_owned());

    let server = ActorServer::bind("127.0.0.1:0").await?;
    server.node().set_registrar(EtcdRegistrar::new(&*etcd)?);
    server.register("model", Linear)?;
    server.announced().await?;
    println!("announced in etcd: {}", server.address());

    // This may be another process, on another machine.
    let resolver = EtcdResolver::new(&*etcd)?;
    let found = resolver.resolve(&default_namespace(), "model").await?;
    println!("found in etcd    : {}", found.first().ok_or("nothing")?);
    let model = ModelClient::new(&resolver, "model");
    println!("model says       : {}", model.predict(4.0).await?);

    let mut watched = resolver.watch(&default_namespace(), "model");
    server.shutdown(Duration::from_secs(5)).await?;
    while let Some(result) = watched.next().await {
        let endpoints = result?.endpoints.len();
        println!("etcd tells       : {endpoints} endpoint(s)");
        if endpoints == 0 {
            break;
        }
    }
    Ok(())
}
