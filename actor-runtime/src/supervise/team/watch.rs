//! What a team waits for: the ends of its children's runs, and orders.

use std::{collections::VecDeque, future::Future};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::sync::watch;

use super::{Order, Team, TeamEnd};
use crate::{call::StopReason, names::BoxFuture};

/// A run of a child has ended.
pub(super) enum Exit {
    Actor,
    NotMade(StopReason),
    Team(Box<Team>, TeamEnd),
    /// Of a team, which is gone with its task.
    Lost,
}

pub(super) type Exits = FuturesUnordered<BoxFuture<'static, (usize, Exit)>>;

/// The runs of the children, and the orders of those above, while a team works.
pub(super) struct Watch {
    pub(super) exits: Exits,
    /// Seen while something else was waited for.
    pub(super) seen: VecDeque<(usize, Exit)>,
    pub(super) orders: watch::Receiver<Order>,
}

impl Watch {
    /// The end of this child's run; others are kept for later.
    pub(super) fn exit_of(&mut self, child: usize) -> impl Future<Output = Exit> + Send {
        let Self { exits, seen, .. } = self;
        async move {
            loop {
                match exits.next().await {
                    Some((at, exit)) if at == child => return exit,
                    Some(other) => seen.push_back(other),
                    None => std::future::pending().await,
                }
            }
        }
    }

    pub(super) fn take_seen(&mut self, child: usize) -> Option<Exit> {
        let at = self.seen.iter().position(|(at, _)| *at == child)?;
        self.seen.remove(at).map(|(_, exit)| exit)
    }
}

/// The next end of a run. Waits for ever if there is none.
pub(super) async fn next(exits: &mut Exits, seen: &mut VecDeque<(usize, Exit)>) -> (usize, Exit) {
    if let Some(seen) = seen.pop_front() {
        return seen;
    }
    match exits.next().await {
        Some(exit) => exit,
        None => std::future::pending().await,
    }
}

/// The next order to do something else.
pub(super) async fn order(orders: &mut watch::Receiver<Order>) -> Order {
    let given = orders.wait_for(|order| *order != Order::Go).await.map(|order| *order);
    match given {
        Ok(order) => order,
        Err(_) => std::future::pending().await,
    }
}
