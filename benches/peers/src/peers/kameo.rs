//! kameo, with a bounded mailbox and without its spans.

use std::convert::Infallible;

use ::kameo::{
    Actor,
    actor::{ActorRef, Spawn},
    mailbox,
    message::{Context, Message},
};

use super::{CAPACITY, Peer};
use crate::arguments::Threads;

pub(crate) struct Kameo;

#[derive(Default)]
pub(crate) struct Counter {
    sum: u64,
}

impl Actor for Counter {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(counter: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(counter)
    }
}

struct Add(u64);

impl Message<Add> for Counter {
    type Reply = u64;

    async fn handle(&mut self, Add(by): Add, _: &mut Context<Self, u64>) -> u64 {
        self.sum += by;
        self.sum
    }
}

struct Note;

impl Message<Note> for Counter {
    type Reply = ();

    async fn handle(&mut self, Note: Note, _: &mut Context<Self, ()>) {
        self.sum += 1;
    }
}

impl Peer for Kameo {
    type Handle = ActorRef<Counter>;
    type Actor = ActorRef<Counter>;

    async fn start(_: Threads) -> Self {
        Self
    }

    async fn spawn(&self) -> Self::Actor {
        Counter::spawn_with_mailbox(Counter::default(), mailbox::bounded(CAPACITY))
    }

    fn handle(&self, actor: &Self::Actor) -> Self::Handle {
        actor.clone()
    }

    async fn ask(handle: &Self::Handle, by: u64) -> u64 {
        handle.ask(Add(by)).send().await.expect("the actor answers")
    }

    async fn tell(handle: &Self::Handle) {
        handle.tell(Note).send().await.expect("the actor runs");
    }

    async fn fan_out(handles: &[Self::Handle]) -> u64 {
        let mut answers = Vec::with_capacity(handles.len());
        for handle in handles {
            answers.push(handle.ask(Add(1)).enqueue().await.expect("the actor runs"));
        }
        let mut sum = 0;
        for answer in answers {
            sum += answer.await.expect("the actor answers");
        }
        sum
    }

    async fn stop(&self, handle: Self::Handle, _: Self::Actor) {
        handle.stop_gracefully().await.expect("the actor runs");
        handle.wait_for_shutdown().await;
    }
}
