//! Workers that pull their tasks: `cargo run --example coordinator`.
//!
//! A coordinator has tasks. Each worker asks it for one through its own context, does it, and asks again. The coordinator
//! watches its workers: when one is killed in the middle of a task, that task goes to another one.
#![expect(clippy::disallowed_methods, reason = "programs sleep with tokio")]

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
};

use actor_runtime::{ActorId, Down, prelude::*};

#[actor_service]
trait Coordinator {
    /// The next task for this worker; waits while others still have some, and is `None` when all are done.
    async fn next(&mut self, worker: WorkerClient, reply: ReplyTo<Option<u64>>);
    async fn done(&mut self, worker: WorkerClient, task: u64, result: u64);
    async fn results(&self) -> BTreeMap<u64, u64>;
}

#[actor_service]
trait Worker {
    /// Works until nothing is left; gives how many tasks it did.
    #[timeout = "60s"]
    async fn work(&self) -> Result<u32, String>;
}

#[derive(Default)]
struct Desk {
    open: Vec<u64>,
    given: BTreeMap<ActorId, u64>,
    done: BTreeMap<u64, u64>,
    idle: Vec<(ActorId, ReplyTo<Option<u64>>)>,
    known: BTreeSet<ActorId>,
}

impl Desk {
    fn give_out(&mut self) {
        let is_over = self.open.is_empty() && self.given.is_empty();
        while is_over || !self.open.is_empty() {
            let Some((worker, reply)) = self.idle.pop() else { return };
            let task = self.open.pop();
            if let Some(task) = task {
                self.given.insert(worker, task);
            }
            // If nobody waits for it any more, `on_down` will say so, and the task is open again.
            let _ = reply.send(task);
        }
    }
}

impl Actor for Desk {
    type Services = (CoordinatorService,);

    async fn on_down(&mut self, down: Down) {
        if let Some(task) = down.actor.and_then(|worker| self.given.remove(&worker)) {
            println!("coordinator: {} is gone ({}), task {task} is open again", down.name, down.reason);
            self.open.push(task);
            self.give_out();
        }
    }
}

#[actor_service(part)]
impl Coordinator for Desk {
    async fn next(&mut self, worker: WorkerClient, reply: ReplyTo<Option<u64>>) {
        let (Some(id), Ok(ctx)) = (worker.pinned_actor(), current_ctx()) else { return };
        if self.known.insert(id) {
            ctx.watch(&worker).await;
        }
        self.idle.push((id, reply));
        self.give_out();
    }

    async fn done(&mut self, worker: WorkerClient, task: u64, result: u64) {
        worker.pinned_actor().and_then(|id| self.given.remove(&id));
        self.done.insert(task, result);
        self.give_out();
    }

    async fn results(&self) -> BTreeMap<u64, u64> {
        self.done.clone()
    }
}

struct Hand;

#[actor_service]
impl Worker for Hand {
    async fn work(&self) -> Result<u32, String> {
        let ctx = current_ctx().map_err(|error| error.to_string())?;
        let coordinator = CoordinatorClient::new(&ctx.resolver(), "coordinator");
        let mut count = 0;
        while let Some(task) = coordinator.next(ctx.this()).await.map_err(|failure| failure.to_string())? {
            println!("{}: task {task}", ctx.actor_name());
            tokio::time::sleep(Duration::from_millis(20)).await;
            coordinator.done(ctx.this(), task, task * task).await.map_err(|failure| failure.to_string())?;
            count += 1;
        }
        Ok(count)
    }
}

#[actor_runtime::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let head = ActorServer::bind("loopback:0").await?;
    head.register("coordinator", Desk { open: (1..=12).rev().collect(), ..Desk::default() })?;
    // Each on a node of its own, which finds the coordinator.
    let mut workers = Vec::new();
    for name in ["anna", "bert", "carl"] {
        let server = ActorServer::bind_on(&Node::builder().build()?, "loopback:0").await?;
        server.node().set_resolver(FixedResolver::new([("coordinator", head.address())]));
        let handle = server.registration(name, Hand).start()?;
        let client = WorkerClient::on(head.node(), &FixedResolver::new([(name, server.address())]), name);
        let working = head.node().spawn(async move { client.work().await });
        workers.push((name, server, handle, working));
    }
    // In the middle of their second tasks.
    tokio::time::sleep(Duration::from_millis(30)).await;
    println!("carl is killed");
    workers[2].2.kill().await;

    for (name, _server, _handle, working) in workers {
        match working.await? {
            Ok(count) => println!("{name} has done {count} tasks"),
            Err(failure) => println!("{name} has not come to its end: {failure}"),
        }
    }
    let coordinator: CoordinatorClient = head.client("coordinator")?;
    let results = coordinator.results().await?;
    println!(
        "{} of 12 tasks are done, the sum of the squares is {}",
        results.len(),
        results.values().sum::<u64>()
    );
    Ok(())
}
