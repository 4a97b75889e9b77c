//! The same small actor on everything that is compared: it adds to a number and answers with the sum.

mod actix;
mod channels;
mod kameo;
mod ours;
mod ractor;
mod xtra;

use std::future::Future;

use tokio::runtime::Builder;

pub(crate) use self::{
    actix::Actix,
    channels::{Kanal, Tokio},
    kameo::Kameo,
    ours::Ours,
    ractor::Ractor,
    xtra::Xtra,
};
use crate::arguments::Threads;

/// How many messages a mailbox holds, where it has a bound.
const CAPACITY: usize = 64;

/// Something that actors run on.
pub(crate) trait Peer: Send + Sync + Sized + 'static {
    /// What a caller holds. A clone is for another caller.
    type Handle: Clone + Send + Sync + 'static;

    /// What a program has to keep for the actor to live, and to find it again.
    type Actor: Send + Sync + 'static;

    /// Runs a measurement on so many threads.
    #[expect(clippy::disallowed_methods, reason = "there is no node to ask")]
    fn run(threads: Threads, measurement: impl Future<Output = String> + Send + 'static) -> String {
        let mut builder = match threads {
            Threads::One => Builder::new_current_thread(),
            Threads::Two => Builder::new_multi_thread(),
        };
        let runtime = builder.worker_threads(2).enable_all().build().expect("a tokio runtime");
        // On a worker: a caller on the thread of `block_on` would pay for a wake-up across threads at every ask.
        runtime.block_on(async { tokio::spawn(measurement).await.expect("a measurement") })
    }

    /// Called once, inside the runtime.
    fn start(threads: Threads) -> impl Future<Output = Self> + Send;

    /// Starts an actor.
    fn spawn(&self) -> impl Future<Output = Self::Actor> + Send;

    /// A way to call it.
    fn handle(&self, actor: &Self::Actor) -> Self::Handle;

    /// One call and its answer, the sum.
    fn ask(handle: &Self::Handle, by: u64) -> impl Future<Output = u64> + Send;

    /// Adds one to the sum, and waits for room only.
    fn tell(handle: &Self::Handle) -> impl Future<Output = ()> + Send;

    /// Adds one to the sum of each; gives all sums together.
    fn fan_out(handles: &[Self::Handle]) -> impl Future<Output = u64> + Send;

    /// Ends an actor, and returns when it has ended.
    fn stop(&self, handle: Self::Handle, actor: Self::Actor) -> impl Future<Output = ()> + Send;
}
