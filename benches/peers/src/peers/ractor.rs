//! ractor, without its spans. Its mailboxes have no bound.

use ::ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, concurrency};

use super::Peer;
use crate::arguments::Threads;

pub(crate) struct Ractor;

pub(crate) enum Message {
    Add(u64, RpcReplyPort<u64>),
    Note,
}

struct Counter;

impl Actor for Counter {
    type Msg = Message;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Message>, (): ()) -> Result<u64, ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(
        &self,
        _: ActorRef<Message>,
        message: Message,
        sum: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Add(by, reply) => {
                *sum += by;
                // A caller that left needs no answer.
                let _ = reply.send(*sum);
            }
            Message::Note => *sum += 1,
        }
        Ok(())
    }
}

impl Peer for Ractor {
    type Handle = ActorRef<Message>;
    type Actor = (ActorRef<Message>, concurrency::JoinHandle<()>);

    async fn start(_: Threads) -> Self {
        Self
    }

    async fn spawn(&self) -> Self::Actor {
        Actor::spawn(None, Counter, ()).await.expect("the actor starts")
    }

    fn handle(&self, (actor, _): &Self::Actor) -> Self::Handle {
        actor.clone()
    }

    async fn ask(handle: &Self::Handle, by: u64) -> u64 {
        ::ractor::call!(handle, Message::Add, by).expect("the actor answers")
    }

    async fn tell(handle: &Self::Handle) {
        handle.cast(Message::Note).expect("the actor runs");
    }

    async fn fan_out(handles: &[Self::Handle]) -> u64 {
        let mut answers = Vec::with_capacity(handles.len());
        for handle in handles {
            let (reply, answer) = concurrency::oneshot();
            handle.cast(Message::Add(1, reply.into())).expect("the actor runs");
            answers.push(answer);
        }
        let mut sum = 0;
        for answer in answers {
            sum += answer.await.expect("the actor answers");
        }
        sum
    }

    async fn stop(&self, handle: Self::Handle, (_, task): Self::Actor) {
        handle.stop(None);
        task.await.expect("the actor ends");
    }
}
