//! Services of Kubernetes: what is found, and how it is followed.

mod access;
mod faults;
mod followed;
mod found;

use std::{sync::Arc, time::Duration};

use actor_resolvers::{KubernetesBuilder, KubernetesResolver};

use crate::{cluster::Cluster, standin::StandIn, watched::quick};

/// A cluster, its server, and how a resolver finds it.
async fn cluster() -> (Cluster, Arc<StandIn>) {
    let cluster = Cluster::new();
    let server = Arc::new(cluster.serve().await);
    (cluster, server)
}

fn builder(server: &StandIn) -> KubernetesBuilder {
    let url = format!("http://{}", server.address);
    KubernetesResolver::builder().url(url).namespace("prod").options(quick()).silence(Duration::from_secs(60))
}

fn resolver(server: &StandIn) -> KubernetesResolver {
    builder(server).build().expect("it can be asked")
}
