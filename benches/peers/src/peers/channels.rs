//! The floor: an actor written by hand over a bounded channel, with tokio's oneshot for the answer.
#![expect(clippy::disallowed_methods, reason = "the floor has no node to ask")]

use std::{future::Future, marker::PhantomData};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{CAPACITY, Peer};
use crate::arguments::Threads;

/// Tokio's own channel.
pub(crate) type Tokio = Bare<TokioChannel>;

/// The fastest channel that was found, for the way there.
pub(crate) type Kanal = Bare<KanalChannel>;

/// An actor written by hand over some channel.
pub(crate) struct Bare<C>(PhantomData<C>);

pub(crate) enum Message {
    Add { by: u64, reply: oneshot::Sender<u64> },
    Note,
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
            Message::Note => self.sum += 1,
        }
    }
}

impl<C: Channel> Peer for Bare<C> {
    type Handle = C::Sender;
    type Actor = (C::Sender, JoinHandle<()>);

    async fn start(_: Threads) -> Self {
        Self(PhantomData)
    }

    async fn spawn(&self) -> Self::Actor {
        let (sender, mut receiver) = C::bounded();
        let task = tokio::spawn(async move {
            let mut counter = Counter::default();
            while let Some(message) = C::receive(&mut receiver).await {
                counter.handle(message);
            }
        });
        (sender, task)
    }

    fn handle(&self, (sender, _): &Self::Actor) -> Self::Handle {
        sender.clone()
    }

    async fn ask(handle: &Self::Handle, by: u64) -> u64 {
        let (reply, answer) = oneshot::channel();
        C::send(handle, Message::Add { by, reply }).await;
        answer.await.expect("the actor answers")
    }

    async fn tell(handle: &Self::Handle) {
        C::send(handle, Message::Note).await;
    }

    async fn fan_out(handles: &[Self::Handle]) -> u64 {
        let mut answers = Vec::with_capacity(handles.len());
        for handle in handles {
            let (reply, answer) = oneshot::channel();
            C::send(handle, Message::Add { by: 1, reply }).await;
            answers.push(answer);
        }
        let mut sum = 0;
        for answer in answers {
            sum += answer.await.expect("the actor answers");
        }
        sum
    }

    async fn stop(&self, handle: Self::Handle, (sender, task): Self::Actor) {
        drop((handle, sender));
        task.await.expect("the actor ends");
    }
}

/// A bounded channel.
pub(crate) trait Channel: Send + Sync + 'static {
    type Sender: Clone + Send + Sync + 'static;
    type Receiver: Send + 'static;

    fn bounded() -> (Self::Sender, Self::Receiver);

    /// Waits for room.
    fn send(sender: &Self::Sender, message: Message) -> impl Future<Output = ()> + Send;

    /// Nothing once nobody can send.
    fn receive(receiver: &mut Self::Receiver) -> impl Future<Output = Option<Message>> + Send;
}

pub(crate) struct TokioChannel;

impl Channel for TokioChannel {
    type Sender = mpsc::Sender<Message>;
    type Receiver = mpsc::Receiver<Message>;

    fn bounded() -> (Self::Sender, Self::Receiver) {
        mpsc::channel(CAPACITY)
    }

    async fn send(sender: &Self::Sender, message: Message) {
        assert!(sender.send(message).await.is_ok(), "the actor runs");
    }

    async fn receive(receiver: &mut Self::Receiver) -> Option<Message> {
        receiver.recv().await
    }
}

pub(crate) struct KanalChannel;

impl Channel for KanalChannel {
    type Sender = kanal::AsyncSender<Message>;
    type Receiver = kanal::AsyncReceiver<Message>;

    fn bounded() -> (Self::Sender, Self::Receiver) {
        kanal::bounded_async(CAPACITY)
    }

    async fn send(sender: &Self::Sender, message: Message) {
        assert!(sender.send(message).await.is_ok(), "the actor runs");
    }

    async fn receive(receiver: &mut Self::Receiver) -> Option<Message> {
        receiver.recv().await.ok()
    }
}
