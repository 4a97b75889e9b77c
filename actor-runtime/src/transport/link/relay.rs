//! Replies on their way from the network thread to the workers.
//!
//! A task that is woken from another thread costs the waker a lock and, often, a system call; one that is woken from a
//! thread of its own runtime costs next to nothing. So replies that arrive together are not told their callers from the
//! network thread: they are handed to one task on the node's runtime, which tells them.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use super::{Link, Sent};
use crate::{
    call::WireReply,
    node::Node,
    sync::{Mutex, lock},
};

/// The replies that are on their way.
#[derive(Default)]
pub(crate) struct Relay {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    replies: Vec<(Sent, WireReply)>,
    parked: Option<Waker>,
    /// Nobody takes them: the runtime is gone, or has not begun.
    closed: bool,
}

/// As many replies are worth a relay.
pub(super) const WORTH: usize = 4;

impl Relay {
    /// Tells replies on the runtime of this node from now on.
    pub(crate) fn start(node: &Node) -> Arc<Self> {
        let relay = Arc::new(Self::default());
        let carrying = Carrying(relay.clone());
        drop(node.spawn_bare(async move {
            while let Some(replies) = std::future::poll_fn(|cx| carrying.0.poll(cx)).await {
                tell(replies);
            }
        }));
        relay
    }

    /// Hands over replies.
    pub(super) fn send(&self, replies: &mut Vec<(Sent, WireReply)>) {
        let mut state = lock(&self.state);
        if state.closed {
            drop(state);
            return tell(replies.drain(..));
        }
        if state.replies.is_empty() {
            mem::swap(&mut state.replies, replies);
        } else {
            state.replies.append(replies);
        }
        let parked = state.parked.take();
        drop(state);
        if let Some(parked) = parked {
            parked.wake();
        }
    }

    /// The node is going away.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        let replies = mem::take(&mut state.replies);
        let parked = state.parked.take();
        drop(state);
        tell(replies);
        if let Some(parked) = parked {
            parked.wake();
        }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Option<Vec<(Sent, WireReply)>>> {
        let mut state = lock(&self.state);
        if !state.replies.is_empty() {
            return Poll::Ready(Some(mem::take(&mut state.replies)));
        }
        if state.closed {
            return Poll::Ready(None);
        }
        state.parked = Some(cx.waker().clone());
        Poll::Pending
    }
}

pub(super) fn tell(replies: impl IntoIterator<Item = (Sent, WireReply)>) {
    for (sent, reply) in replies {
        Link::receive(sent, reply);
    }
}

/// However the task ends, also with its runtime: no reply waits for it afterwards.
struct Carrying(Arc<Relay>);

impl Drop for Carrying {
    fn drop(&mut self) {
        self.0.close();
    }
}
