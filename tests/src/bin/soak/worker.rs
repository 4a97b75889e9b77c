//! The actor that everything is done with.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use actor_runtime::{ActorId, Down, Timers, Watch, prelude::*};

/// How the texts of panics begin that are meant.
pub(crate) const MEANT: &str = "on purpose";

/// What can be asked of a worker.
#[actor_service]
pub(crate) trait Work {
    async fn echo(&self, n: u64) -> u64;
    async fn add(&mut self, n: u64) -> u64;
    /// As long as told, beside others.
    async fn hold(&self, millis: u64);
    /// As long as told, alone.
    async fn hold_alone(&mut self, millis: u64);
    async fn fail(&self, n: u64) -> Result<u64, String>;
    async fn panic(&mut self);
    /// Ends the actor.
    async fn finish(&mut self);
    #[oneway]
    async fn note(&mut self);
    async fn turn_around(&self, bytes: Vec<u8>) -> Vec<u8>;
    /// Answered by a task, after so long; or never, and dropped then.
    async fn later(&self, millis: u64, answered: bool, reply: ReplyTo<u64>);

    fn count_to(&self, n: u64) -> impl Stream<Item = u64>;
    fn for_ever(&self) -> impl Stream<Item = u64>;
    async fn sum(&self, numbers: Streaming<u64>) -> u64;

    async fn once(&mut self, id: u64, millis: u64);
    async fn periodic(&mut self, id: u64, millis: u64);
    /// Gives how often it had fired.
    async fn cancel(&mut self, id: u64) -> u64;
    async fn fired(&self, id: u64) -> u64;

    /// Watches the actor of this name at this address.
    async fn watch(&mut self, name: String, address: String);
    /// Gives whether it still waited.
    async fn unwatch(&mut self, name: String) -> bool;
    /// How often each end was told.
    async fn downs(&self) -> BTreeMap<String, u64>;

    /// Starts so many actors that end with this one.
    async fn hire(&mut self, children: u64) -> Vec<ActorId>;
}

#[derive(Default)]
pub(crate) struct Worker {
    sum: u64,
    fired: BTreeMap<u64, u64>,
    watches: BTreeMap<String, Watch>,
    downs: BTreeMap<String, u64>,
    /// Where its timers are told to who made it.
    pub(crate) timers: Arc<OnceLock<Timers>>,
}

impl Worker {
    fn timers(&self) -> Timers {
        self.timers.get_or_init(|| current_ctx().expect("this is a turn").timers()).clone()
    }
}

impl Actor for Worker {
    type Services = (WorkService,);

    async fn on_timeout(&mut self, timeout: Timeout) {
        *self.fired.entry(timeout.id().number()).or_default() += 1;
    }

    async fn on_down(&mut self, down: Down) {
        *self.downs.entry(down.name).or_default() += 1;
    }
}

#[actor_service(part)]
impl Work for Worker {
    async fn echo(&self, n: u64) -> u64 {
        n
    }

    async fn add(&mut self, n: u64) -> u64 {
        self.sum += n;
        self.sum
    }

    async fn hold(&self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    async fn hold_alone(&mut self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    async fn fail(&self, n: u64) -> Result<u64, String> {
        Err(format!("no {n}"))
    }

    async fn panic(&mut self) {
        panic!("{MEANT}");
    }

    async fn finish(&mut self) {
        current_ctx().expect("this is a turn").stop();
    }

    async fn note(&mut self) {
        self.sum += 1;
    }

    async fn turn_around(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.reverse();
        bytes
    }

    async fn later(&self, millis: u64, answered: bool, reply: ReplyTo<u64>) {
        let ctx = current_ctx().expect("this is a turn");
        drop(ctx.spawn(async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            if answered {
                // A caller that left needs no answer.
                let _ = reply.send(millis);
            }
        }));
    }

    fn count_to(&self, n: u64) -> impl Stream<Item = u64> {
        stream::iter(0..n)
    }

    fn for_ever(&self) -> impl Stream<Item = u64> {
        stream::iter(0..)
    }

    async fn sum(&self, mut numbers: Streaming<u64>) -> u64 {
        let mut sum = 0;
        while let Ok(Some(number)) = numbers.try_next().await {
            sum += number;
        }
        sum
    }

    async fn once(&mut self, id: u64, millis: u64) {
        self.timers().once(id, Duration::from_millis(millis)).expect("there is room for timers");
    }

    async fn periodic(&mut self, id: u64, millis: u64) {
        self.timers().periodic(id, Duration::from_millis(millis)).expect("there is room for timers");
    }

    async fn cancel(&mut self, id: u64) -> u64 {
        self.timers().cancel(id);
        self.fired.get(&id).copied().unwrap_or_default()
    }

    async fn fired(&self, id: u64) -> u64 {
        self.fired.get(&id).copied().unwrap_or_default()
    }

    async fn watch(&mut self, name: String, address: String) {
        let ctx = current_ctx().expect("this is a turn");
        let client = WorkClient::on(ctx.node(), &FixedResolver::new([(name.as_str(), address)]), &name);
        self.watches.insert(name, ctx.watch(&client).await);
    }

    async fn unwatch(&mut self, name: String) -> bool {
        self.watches.remove(&name).is_some_and(|watch| watch.end())
    }

    async fn downs(&self) -> BTreeMap<String, u64> {
        self.downs.clone()
    }

    async fn hire(&mut self, children: u64) -> Vec<ActorId> {
        let ctx = current_ctx().expect("this is a turn");
        (0..children).map(|_| ctx.unnamed_actor(Self::default()).register().expect("the node runs")).collect()
    }
}
