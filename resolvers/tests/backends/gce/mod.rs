//! Virtual machines of Compute Engine: what is found, how it is asked for, and what goes wrong.

mod asked;
mod faults;
mod found;

use std::time::Duration;

use actor_resolvers::{GceResolver, gce::GceBuilder};

use crate::{project::Project, standin::StandIn, watched::quick};

const RUNNING: &str = "RUNNING";

async fn project() -> (Project, StandIn) {
    let project = Project::new();
    let server = project.serve().await;
    (project, server)
}

fn builder(server: &StandIn) -> GceBuilder {
    let url = format!("http://{}", server.address);
    let builder = GceResolver::builder("p", "z1").endpoint(&url).metadata_server(&url);
    builder.options(quick()).poll_every(Duration::from_secs(1))
}

fn resolver(server: &StandIn) -> GceResolver {
    builder(server).build()
}
