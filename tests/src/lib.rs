//! What the tests share: an actor that does what its test says, and the paths that calls take.

mod fixture;
mod probe;
mod script;

pub use fixture::{Fixture, on_each_path};
pub use probe::{Probe, ProbeClient, ProbeRequest, ProbeResponse, ProbeService, Puppet};
pub use script::Script;
