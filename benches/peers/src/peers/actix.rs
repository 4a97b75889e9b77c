//! actix: actors live on one thread each, so two threads are the callers' and the actors'.

use std::future::Future;

use ::actix::{Actor, ActorContext, Addr, Arbiter, ArbiterHandle, Context, Handler, Message, System};
use tokio::sync::oneshot;

use super::{CAPACITY, Peer};
use crate::arguments::Threads;

pub(crate) struct Actix {
    /// Where the actors live; without one, on the thread of the callers.
    arbiter: Option<ArbiterHandle>,
}

#[derive(Default)]
pub(crate) struct Counter {
    sum: u64,
    ended: Option<oneshot::Sender<()>>,
}

impl Actor for Counter {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(CAPACITY);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        if let Some(ended) = self.ended.take() {
            let _ = ended.send(());
        }
    }
}

struct Add(u64);

impl Message for Add {
    type Result = u64;
}

impl Handler<Add> for Counter {
    type Result = u64;

    fn handle(&mut self, Add(by): Add, _: &mut Self::Context) -> u64 {
        self.sum += by;
        self.sum
    }
}

struct Note;

impl Message for Note {
    type Result = ();
}

impl Handler<Note> for Counter {
    type Result = ();

    fn handle(&mut self, Note: Note, _: &mut Self::Context) {
        self.sum += 1;
    }
}

struct Stop(oneshot::Sender<()>);

impl Message for Stop {
    type Result = ();
}

impl Handler<Stop> for Counter {
    type Result = ();

    fn handle(&mut self, Stop(ended): Stop, context: &mut Self::Context) {
        self.ended = Some(ended);
        context.stop();
    }
}

impl Peer for Actix {
    type Handle = Addr<Counter>;
    type Actor = Addr<Counter>;

    fn run(_: Threads, measurement: impl Future<Output = String> + Send + 'static) -> String {
        // A task of the thread's own, because actors can be started in such only.
        System::new().block_on(async { ::actix::spawn(measurement).await.expect("a measurement") })
    }

    async fn start(threads: Threads) -> Self {
        let arbiter = match threads {
            Threads::One => None,
            Threads::Two => Some(Arbiter::new().handle()),
        };
        Self { arbiter }
    }

    async fn spawn(&self) -> Self::Actor {
        match &self.arbiter {
            None => Counter::default().start(),
            Some(arbiter) => Counter::start_in_arbiter(arbiter, |_| Counter::default()),
        }
    }

    fn handle(&self, actor: &Self::Actor) -> Self::Handle {
        actor.clone()
    }

    async fn ask(handle: &Self::Handle, by: u64) -> u64 {
        handle.send(Add(by)).await.expect("the actor answers")
    }

    async fn tell(handle: &Self::Handle) {
        handle.do_send(Note);
    }

    async fn fan_out(handles: &[Self::Handle]) -> u64 {
        let answers: Vec<_> = handles.iter().map(|handle| handle.send(Add(1))).collect();
        let mut sum = 0;
        for answer in answers {
            sum += answer.await.expect("the actor answers");
        }
        sum
    }

    async fn stop(&self, handle: Self::Handle, _: Self::Actor) {
        let (ended, end) = oneshot::channel();
        handle.do_send(Stop(ended));
        end.await.expect("the actor ends");
    }
}
