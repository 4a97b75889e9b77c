//! Finds an actor by the SRV records of its name, and tells of the first change:
//! `cargo run -p actor-resolvers --features dns --example dns -- 127.0.0.1:53 cluster.example calc`.

use std::{error::Error, net::SocketAddr, time::Duration};

use actor_resolvers::DnsResolver;
use actor_runtime::{Namespace, ResolveResult, Resolver};
use futures::StreamExt;

#[actor_runtime::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [server, domain, name] = &arguments[..] else {
        return Err("give the address of a DNS server, a domain, and the name of an actor".into());
    };
    let server: SocketAddr = server.parse()?;
    let dns = DnsResolver::with_servers([server]).domain(domain).target_addresses();
    println!("{dns:?} has of {name}:");

    let mut watched = dns.watch(&Namespace::local(), name).take_until(Box::pin(an_end()));
    let mut results = 0;
    while let Some(result) = watched.next().await {
        match result {
            Ok(result) => print(&result),
            Err(error) => println!("  nothing: {error}"),
        }
        results += 1;
        if results == 2 {
            return Ok(());
        }
        println!("its change, if there is one within ten seconds:");
    }
    println!("  none");
    Ok(())
}

fn print(result: &ResolveResult) {
    if result.is_empty() {
        println!("  no endpoint");
    }
    for endpoint in &result.endpoints {
        let of = |key: &str| endpoint.metadata.get(key).map_or("?", String::as_str);
        println!("  {endpoint}, priority {}, weight {}", of("priority"), of("weight"));
    }
    for entry in &result.rejected {
        println!("  left out: {entry}");
    }
    if let Some(stale) = &result.stale {
        println!("  which is {stale}");
    }
}

#[expect(clippy::disallowed_methods, reason = "an example ends by itself")]
async fn an_end() {
    tokio::time::sleep(Duration::from_secs(10)).await;
}
