//! The same small actor on everything that is compared: it adds to a number and answers with the sum.

mod channels;
mod ours;

use std::future::Future;

pub(crate) use channels::{Kanal, Tokio};
pub(crate) use ours::Ours;

/// Something that actors run on.
pub(crate) trait Peer: Send + Sync + Sized + 'static {
    /// What a caller holds. A clone is for another caller.
    type Handle: Clone + Send + Sync + 'static;

    /// What a program has to keep for the actor to live, or to find it again; its name aside.
    type Actor: Send + Sync + 'static;

    /// Called once, inside the runtime.
    fn start() -> impl Future<Output = Self> + Send;

    /// Starts an actor.
    fn spawn(&self, name: &str) -> Self::Actor;

    /// A way to call it.
    fn handle(&self, name: &str, actor: &Self::Actor) -> Self::Handle;

    /// One call and its answer.
    fn ask(handle: &Self::Handle, by: u64) -> impl Future<Output = u64> + Send;
}
