//! The task on a node's runtime that reads what arrived, for links to which much came at once.
//!
//! It tells callers their replies, and these make their next calls right after it, in the same thread. So that these leave
//! together, nobody is woken to send them before the relay comes round again, behind all the callers that it has told.

use std::{
    collections::VecDeque,
    future::poll_fn,
    mem,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker},
};

use super::Link;
use crate::{
    cork::Flush,
    node::Node,
    sync::{Mutex, lock},
};

/// The links that are to be read.
#[derive(Default)]
pub(crate) struct Relay {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    links: VecDeque<Arc<Link>>,
    parked: Option<Waker>,
    /// Nobody reads them: the runtime is gone.
    closed: bool,
}

impl Relay {
    /// Reads on the runtime of this node from now on.
    pub(crate) fn start(node: &Node) -> Arc<Self> {
        let relay = Arc::new(Self::default());
        let carrying = Carrying(relay.clone());
        drop(node.spawn_bare(async move {
            while let Some(links) = poll_fn(|cx| carrying.0.poll(cx)).await {
                carrying.0.read(links).await;
            }
        }));
        relay
    }

    /// Has the link read. False if nobody does it any more.
    pub(super) fn send(&self, link: Arc<Link>) -> bool {
        let mut state = lock(&self.state);
        if state.closed {
            return false;
        }
        state.links.push_back(link);
        let parked = state.parked.take();
        drop(state);
        if let Some(parked) = parked {
            parked.wake();
        }
        true
    }

    async fn read(&self, links: VecDeque<Arc<Link>>) {
        let mut reading = Reading(links);
        for link in &reading.0 {
            link.burst.store(link.is_burst(), Ordering::Relaxed);
            link.read();
        }
        behind_others().await;
        while let Some(link) = reading.0.pop_front() {
            link.flush();
            // More may have come meanwhile.
            if link.is_relayed() && !self.send(link.clone()) {
                link.read_all();
            }
        }
    }

    /// The node is going away.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        let links = mem::take(&mut state.links);
        let parked = state.parked.take();
        drop(state);
        for link in links {
            link.read_or_leave();
        }
        if let Some(parked) = parked {
            parked.wake();
        }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Option<VecDeque<Arc<Link>>>> {
        let mut state = lock(&self.state);
        if !state.links.is_empty() {
            return Poll::Ready(Some(mem::take(&mut state.links)));
        }
        if state.closed {
            return Poll::Ready(None);
        }
        state.parked = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// The links that are being read. If the runtime ends meanwhile, they are read by whoever is there.
struct Reading(VecDeque<Arc<Link>>);

impl Drop for Reading {
    fn drop(&mut self) {
        for link in &self.0 {
            link.read_or_leave();
            link.flush();
        }
    }
}

/// Ends when the tasks that were woken before have had their turn. (A task that wakes itself is put behind them; tokio's
/// `yield_now` would wait for the driver too.)
pub(super) async fn behind_others() {
    let mut first = true;
    poll_fn(|cx| {
        if mem::take(&mut first) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

/// However the task ends, also with its runtime: nothing waits for it afterwards.
struct Carrying(Arc<Relay>);

impl Drop for Carrying {
    fn drop(&mut self) {
        self.0.close();
    }
}
