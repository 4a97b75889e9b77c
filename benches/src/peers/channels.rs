//! The floor: an actor written by hand over a bounded channel, with tokio's oneshot for the answer.
#![expect(clippy::disallowed_methods, reason = "the floor has no node to ask")]

use tokio::sync::{mpsc, oneshot};

use super::Peer;

const CAPACITY: usize = 64;

pub(crate) enum Message {
    Add { by: u64, reply: oneshot::Sender<u64> },
}

#[derive(Default)]
struct Counter {
    sum: u64,
}

impl Counter {
    fn handle(&mut self, message: Message) {
        match message {
            Message::Add { by, reply } => {
                self.sum += by;
                // A caller that left needs no answer.
                let _ = reply.send(self.sum);
            }
        }
    }
}

/// Tokio's own channels.
pub(crate) struct Tokio;

impl Peer for Tokio {
    type Handle = mpsc::Sender<Message>;
    type Actor = mpsc::Sender<Message>;

    async fn start() -> Self {
        Self
    }

    fn spawn(&self, _: &str) -> Self::Actor {
        let (sender, mut receiver) = mpsc::channel(CAPACITY);
        tokio::spawn(async move {
            let mut counter = Counter::default();
            while let Some(message) = receiver.recv().await {
                counter.handle(message);
            }
        });
        sender
    }

    fn handle(&self, _: &str, actor: &Self::Actor) -> Self::Handle {
        actor.clone()
    }

    async fn ask(handle: &Self::Handle, by: u64) -> u64 {
        let (reply, answer) = oneshot::channel();
        assert!(handle.send(Message::Add { by, reply }).await.is_ok(), "the actor runs");
        answer.await.expect("the actor answers")
    }
}

/// The fastest channel that was found, for the way there.
pub(crate) struct Kanal;

impl Peer for Kanal {
    type Handle = kanal::AsyncSender<Message>;
    type Actor = kanal::AsyncSender<Message>;

    async fn start() -> Self {
        Self
    }

    fn spawn(&self, _: &str) -> Self::Actor {
        let (sender, receiver) = kanal::bounded_async(CAPACITY);
        tokio::spawn(async move {
            let mut counter = Counter::default();
            while let Ok(message) = receiver.recv().await {
                counter.handle(message);
            }
        });
        sender
    }

    fn handle(&self, _: &str, actor: &Self::Actor) -> Self::Handle {
        actor.clone()
    }

    async fn ask(handle: &Self::Handle, by: u64) -> u64 {
        let (reply, answer) = oneshot::channel();
        assert!(handle.send(Message::Add { by, reply }).await.is_ok(), "the actor runs");
        answer.await.expect("the actor answers")
    }
}
