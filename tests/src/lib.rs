//! What the tests share: an actor that does what its test says, and the paths that calls take.

pub mod faults;
mod fixture;
pub mod ledger;
pub mod logged;
mod post;
mod probe;
pub mod process;
pub mod proxy;
pub mod raw;
pub mod reel;
pub mod retries;
mod script;
pub mod simulation;
mod traced;
pub mod wire;

pub use fixture::{Fixture, Path, on_each_path, on_each_path_but, on_path, runtime, trust};
pub use post::{
    Post, PostClient, PostRequest, PostResponse, PostService, Window, Witness, cluster, member, node,
};
pub use probe::{Probe, ProbeClient, ProbeRequest, ProbeResponse, ProbeService, Puppet};
pub use script::Script;
pub use traced::traced;
