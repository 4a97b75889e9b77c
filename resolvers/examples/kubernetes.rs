//! Where an actor is served in Kubernetes:
//! `kubectl proxy & cargo run --example kubernetes --features kubernetes -- http://127.0.0.1:8001 default calc`.
//!
//! Without arguments it asks around the pod that it runs in for `calc`.

use actor_resolvers::KubernetesResolver;
use actor_runtime::{Namespace, Resolver};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let resolver = match &arguments[..] {
        [url, namespace, ..] => KubernetesResolver::builder().url(url).namespace(namespace).build()?,
        _ => KubernetesResolver::in_cluster()?,
    };
    let name = arguments.get(2).map_or("calc", |name| name);
    let found = resolver.resolve(&Namespace::local(), name).await?;
    println!("{resolver:?}: {name} is served at {} places", found.endpoints.len());
    for endpoint in &found.endpoints {
        let known = |key: &str| endpoint.metadata.get(key).map_or("unknown", |value| value);
        println!("  {endpoint} on {} in {}", known("node"), known("zone"));
    }
    for reason in &found.rejected {
        println!("  left out: {reason}");
    }
    Ok(())
}
