//! Actors that are found in etcd, over its JSON gateway.
//!
//! ```text
//!   EtcdRegistrar ── one lease a node ──► /actors/<local>/calc/00f3a91c44d0be72-7
//!                                           {"address":"10.0.0.7:7000","actor":"00f3a91c44d0be72-7"}
//!   EtcdResolver ◄── list at revision R, then watch from R+1, looked after ──┘
//! ```
//!
//! 1. What is published is what etcd had at one revision: a list of it, and then every change, in order.
//! 2. A watch that is silent is asked after (`following`): what etcd has and the watch has not told ends it.
//! 3. A key belongs to the lease that it was put under last; no other registrar deletes it.

mod following;
mod gateway;
mod keys;
mod lease;
mod lines;
mod messages;
mod options;
mod registrar;
mod resolver;
mod table;
mod value;

pub use options::{EtcdError, EtcdOptions};
pub use registrar::EtcdRegistrar;
pub use resolver::EtcdResolver;
