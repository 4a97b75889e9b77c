//! Each resolver against a backend that is real, or as faithful as can be had on one machine.
#![expect(clippy::disallowed_methods, reason = "these tests wait for servers")]

mod chain;
#[cfg(feature = "kubernetes")]
mod cluster;
#[cfg(feature = "dns")]
mod dns;
#[cfg(feature = "etcd")]
mod etcd;
#[cfg(feature = "file")]
mod file;
#[cfg(feature = "gce")]
mod gce;
#[cfg(feature = "kubernetes")]
mod kubernetes;
#[cfg(feature = "gce")]
mod project;
#[allow(dead_code, unreachable_pub, reason = "features decide which tests there are")]
mod server;
#[cfg(any(feature = "gce", feature = "kubernetes"))]
mod standin;
#[cfg(any(feature = "gce", feature = "kubernetes"))]
mod watched;
