//! Each resolver against a backend that is real, or as faithful as can be had on one machine.
#![expect(clippy::disallowed_methods, reason = "these tests wait for servers")]

#[cfg(feature = "etcd")]
mod etcd;
mod chain;
#[cfg(feature = "dns")]
mod dns;
#[cfg(feature = "file")]
mod file;
#[allow(dead_code, unreachable_pub, reason = "features decide which tests there are")]
mod server;
