//! xtra, with a bounded mailbox.
#![expect(clippy::disallowed_methods, reason = "its actors are tasks of whoever starts them")]

use ::xtra::{Actor, Address, Context, Handler, Mailbox};
use tokio::task::JoinHandle;

use super::{CAPACITY, Peer};
use crate::arguments::Threads;

pub(crate) struct Xtra;

#[derive(Default)]
pub(crate) struct Counter {
    sum: u64,
}

impl Actor for Counter {
    type Stop = ();

    async fn stopped(self) {}
}

struct Add(u64);

impl Handler<Add> for Counter {
    type Return = u64;

    async fn handle(&mut self, Add(by): Add, _: &mut Context<Self>) -> u64 {
        self.sum += by;
        self.sum
    }
}

struct Note;

impl Handler<Note> for Counter {
    type Return = ();

    async fn handle(&mut self, Note: Note, _: &mut Context<Self>) {
        self.sum += 1;
    }
}

impl Peer for Xtra {
    type Handle = Address<Counter>;
    type Actor = (Address<Counter>, JoinHandle<()>);

    async fn start(_: Threads) -> Self {
        Self
    }

    async fn spawn(&self) -> Self::Actor {
        let (address, mailbox) = Mailbox::bounded(CAPACITY);
        (address, tokio::spawn(::xtra::run(mailbox, Counter::default())))
    }

    fn handle(&self, (address, _): &Self::Actor) -> Self::Handle {
        address.clone()
    }

    async fn ask(handle: &Self::Handle, by: u64) -> u64 {
        handle.send(Add(by)).await.expect("the actor answers")
    }

    async fn tell(handle: &Self::Handle) {
        // It gives the way to an answer that nobody waits for.
        drop(handle.send(Note).detach().await.expect("the actor runs"));
    }

    async fn fan_out(handles: &[Self::Handle]) -> u64 {
        let mut answers = Vec::with_capacity(handles.len());
        for handle in handles {
            answers.push(handle.send(Add(1)).detach().await.expect("the actor runs"));
        }
        let mut sum = 0;
        for answer in answers {
            sum += answer.await.expect("the actor answers");
        }
        sum
    }

    async fn stop(&self, handle: Self::Handle, (address, task): Self::Actor) {
        drop((handle, address));
        task.await.expect("the actor ends");
    }
}
