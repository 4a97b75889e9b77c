//! Where an actor is served by virtual machines:
//! `cargo run --example gce --features gce -- my-project europe-west1-b calc`, on a machine of Google Cloud.
//!
//! A fourth argument is the URL of Compute Engine and of the metadata server, for one that stands in for them.

use actor_resolvers::GceResolver;
use actor_runtime::{Namespace, Resolver};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [project, zone, name, url @ ..] = &arguments[..] else {
        return Err("write a project, a zone and the name of an actor".into());
    };
    let mut builder = GceResolver::builder(project, zone);
    if let Some(url) = url.first() {
        builder = builder.endpoint(url).metadata_server(url);
    }
    let resolver = builder.build();
    let found = resolver.resolve(&Namespace::local(), name).await?;
    println!("{resolver:?}: {name} is served at {} places", found.endpoints.len());
    for endpoint in &found.endpoints {
        println!("  {endpoint} on {}", endpoint.metadata["instance"]);
    }
    for reason in &found.rejected {
        println!("  left out: {reason}");
    }
    if found.endpoints.is_empty() {
        println!("  there is: {}", found.known.join(", "));
    }
    Ok(())
}
