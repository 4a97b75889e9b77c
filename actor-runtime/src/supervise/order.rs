//! What a team of children is told, and what it tells.

use std::{fmt, sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

use super::team::{Team, TeamEnd};
use crate::{
    ActorHandle, Node,
    actor::{ActorCell, Ended},
    call::StopReason,
};

/// What a team is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// To look after its children.
    Go,
    /// To make way for its next run: its children rest.
    Retire,
    /// To end its children; those that are left at this time are killed.
    Stop { until: Option<Instant> },
    /// To end them at once.
    Kill,
}

impl Order {
    fn weight(self) -> u8 {
        match self {
            Self::Go => 0,
            Self::Retire => 1,
            Self::Stop { .. } => 2,
            Self::Kill => 3,
        }
    }
}

/// Between a team and those who have it in their hands.
pub(super) struct Control {
    pub(super) orders: watch::Sender<Order>,
    ended: watch::Sender<Option<StopReason>>,
}

impl Control {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { orders: watch::Sender::new(Order::Go), ended: watch::Sender::new(None) })
    }

    /// Gives an order, unless one that goes further was given before.
    pub(super) fn order(&self, order: Order) {
        self.orders.send_if_modified(|present| {
            let earlier = match (*present, order) {
                (Order::Stop { until: Some(before) }, Order::Stop { until: Some(until) }) => until < before,
                (Order::Stop { until: None }, Order::Stop { until: Some(_) }) => true,
                _ => false,
            };
            let further = earlier || order.weight() > present.weight();
            if further {
                *present = order;
            }
            further
        });
    }

    /// The team has made way, and begins again.
    pub(super) fn again(&self) {
        self.orders.send_if_modified(|present| {
            let retired = *present == Order::Retire;
            if retired {
                *present = Order::Go;
            }
            retired
        });
    }

    fn end(&self, reason: StopReason) {
        self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            ended.get_or_insert(reason);
            first
        });
    }
}

/// A supervisor that was started. Clones are of the same one, and dropping them does not end it.
///
/// It ends when it is stopped or killed, when it gives up, and when all its children have ended for good; with the node,
/// and with a server's shutdown, which end the children.
#[derive(Clone)]
pub struct SupervisorHandle {
    node: Node,
    control: Arc<Control>,
    actors: Arc<[(Arc<str>, Arc<ActorCell>)]>,
}

impl SupervisorHandle {
    pub(super) fn new(
        node: Node,
        control: Arc<Control>,
        actors: impl IntoIterator<Item = (Arc<str>, Arc<ActorCell>)>,
    ) -> Self {
        Self { node, control, actors: actors.into_iter().collect() }
    }

    /// The actors of the whole tree, with their places in it.
    pub(super) fn actors(&self) -> impl Iterator<Item = (Arc<str>, Arc<ActorCell>)> {
        self.actors.iter().cloned()
    }

    pub(super) fn control(&self) -> &Arc<Control> {
        &self.control
    }

    pub(super) fn begin(self, team: Box<Team>) -> Self {
        let ending = Ending(self.control.clone());
        let task = async move {
            let ending = ending;
            let (mut team, end) = team.run().await;
            let reason = match end {
                TeamEnd::GaveUp(reason) | TeamEnd::Over(reason) => reason,
                TeamEnd::Retired => StopReason::Stopped,
            };
            team.end(&reason);
            drop(team);
            ending.0.end(reason);
        };
        // In the node's scope: factories run here.
        drop(self.node.spawn(task));
        self
    }

    /// An actor of the tree: its name, with those of the supervisors above it in front if it is further down, as in
    /// `workers/first`.
    pub fn child(&self, path: &str) -> Option<ActorHandle> {
        let found = self.actors.iter().find(|(known, _)| **known == *path);
        found.map(|(_, cell)| ActorHandle::new(cell.clone()))
    }

    /// Ends the children one after the other, the last one first, each as [`ActorHandle::stop`] does: new calls are
    /// refused, and the queue is run. Those that are left after `grace` are killed. Actors that wait to be started again
    /// end at once, and their queued calls fail.
    ///
    /// The order is given when this is called; the future waits for the end, and gives
    /// [`StopReason::Stopped`] unless something went wrong.
    pub fn stop(&self, grace: Duration) -> Ended {
        self.control.order(Order::Stop { until: self.node.now().checked_add(grace) });
        self.ended()
    }

    /// Kills the children, as [`ActorHandle::kill`] does.
    pub fn kill(&self) -> Ended {
        self.control.order(Order::Kill);
        self.ended()
    }

    /// Waits until it has ended, and gives the reason: [`StopReason::RestartsExhausted`] if it gave up, and
    /// [`StopReason::Finished`] if all its children had ended for good.
    pub fn ended(&self) -> Ended {
        let control = self.control.clone();
        Ended::new(async move {
            let mut ended = control.ended.subscribe();
            let reason = ended.wait_for(Option::is_some).await.ok().and_then(|ended| ended.clone());
            // The sender is here.
            reason.unwrap_or(StopReason::Abandoned)
        })
    }
}

/// However the task of a supervisor ends: nobody waits for it afterwards.
struct Ending(Arc<Control>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end(StopReason::Abandoned);
    }
}

impl fmt::Debug for SupervisorHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let actors: Vec<&str> = self.actors.iter().map(|(path, _)| &**path).collect();
        f.debug_struct("SupervisorHandle").field("actors", &actors).finish_non_exhaustive()
    }
}
