//! What arrived, on its way from the network thread to the workers.
//!
//! A task that is woken from another thread costs the waker a lock and, often, a system call; one that is woken from a
//! thread of its own runtime costs next to nothing. And memory that one thread fills, another reads and frees is dear.
//! So what arrives together is not told callers and actors from the network thread: it is handed to one task on the
//! node's runtime, which tells them. What arrives of one link is told in its order, also if some of it is told directly.

use std::{
    mem,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker},
};

use super::{Link, deliver::Events};
use crate::{
    node::Node,
    proto::Event,
    sync::{Mutex, lock},
};

/// The replies that are on their way.
#[derive(Default)]
pub(crate) struct Relay {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    arrived: Vec<Arrived>,
    parked: Option<Waker>,
    /// Nobody takes them: the runtime is gone, or has not begun.
    closed: bool,
}

/// What arrived together over one link.
struct Arrived {
    link: Arc<Link>,
    events: Events,
}

/// Whether so much is worth a relay. A call goes to an actor that is woken once for many; a reply to a caller of its own.
pub(super) fn is_worth_it(events: &Events) -> bool {
    let replies = matches!(events.first(), Some(Event::Reply(..)));
    events.len() >= if replies { 4 } else { 24 }
}

impl Relay {
    /// Tells on the runtime of this node from now on.
    pub(crate) fn start(node: &Node) -> Arc<Self> {
        let relay = Arc::new(Self::default());
        let carrying = Carrying(relay.clone());
        drop(node.spawn_bare(async move {
            while let Some(arrived) = std::future::poll_fn(|cx| carrying.0.poll(cx)).await {
                tell(arrived);
            }
        }));
        relay
    }

    /// Hands over what arrived. Gives it back if nobody takes it any more.
    pub(super) fn send(&self, link: &Arc<Link>, events: Events) -> Result<(), Events> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(events);
        }
        link.relayed.fetch_add(1, Ordering::Relaxed);
        state.arrived.push(Arrived { link: link.clone(), events });
        let parked = state.parked.take();
        drop(state);
        if let Some(parked) = parked {
            parked.wake();
        }
        Ok(())
    }

    /// The node is going away.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        let arrived = mem::take(&mut state.arrived);
        let parked = state.parked.take();
        drop(state);
        tell(arrived);
        if let Some(parked) = parked {
            parked.wake();
        }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Option<Vec<Arrived>>> {
        let mut state = lock(&self.state);
        if !state.arrived.is_empty() {
            return Poll::Ready(Some(mem::take(&mut state.arrived)));
        }
        if state.closed {
            return Poll::Ready(None);
        }
        state.parked = Some(cx.waker().clone());
        Poll::Pending
    }
}

fn tell(arrived: Vec<Arrived>) {
    for Arrived { link, events } in arrived {
        link.tell(events);
        link.relayed.fetch_sub(1, Ordering::Release);
    }
}

/// However the task ends, also with its runtime: nothing waits for it afterwards.
struct Carrying(Arc<Relay>);

impl Drop for Carrying {
    fn drop(&mut self) {
        self.0.close();
    }
}
