//! Children that are to end: for a restart with a sibling, or because those above say so. All of it is bounded.

use std::time::Duration;

use futures::FutureExt;
use tokio::{sync::watch, time::Instant};

use super::{Body, Member, Order, Phase, Team, TeamEnd, watch::Watch};
use crate::{
    Node,
    actor::Care,
    call::{StopReason, Target},
};

/// How long a child gets to see that it is cut off.
const LAST_WORDS: Duration = Duration::from_millis(250);

impl Team {
    /// Ends the runs of these children, the last one first; they rest, or have ended.
    pub(super) async fn retire(
        &mut self,
        children: impl DoubleEndedIterator<Item = usize>,
        watch: &mut Watch,
    ) {
        for child in children.rev() {
            if let Some(exit) = watch.take_seen(child) {
                self.exited(child, exit);
            }
            let member = &mut self.members[child];
            if member.phase == Phase::Running {
                match &member.body {
                    Body::Actor(runs) => runs.cell().retire(),
                    Body::Team { control, .. } => control.order(Order::Retire),
                }
                let limit = self.node.now().checked_add(self.node.config().stop_timeout);
                self.await_exit(child, limit, watch).await;
            }
        }
    }

    /// Waits for the end of a run that was asked to end. What is left at the limit is cut off, and earlier if those above
    /// leave no more time; what blocks its thread then has ended for this supervisor.
    async fn await_exit(&mut self, child: usize, limit: Option<Instant>, watch: &mut Watch) {
        let node = self.node.clone();
        // A team keeps its own bounds.
        let limit = limit.filter(|_| matches!(self.members[child].body, Body::Actor(_)));
        let limit = async {
            match limit {
                Some(limit) => node.sleep_until(limit).await,
                None => std::future::pending().await,
            }
        };
        let mut orders = watch.orders.clone();
        let (exit, hurried) = tokio::select! {
            biased;
            exit = watch.exit_of(child) => (Some(exit), false),
            () = hurry(&mut orders, &node) => (None, true),
            () = limit => (None, false),
        };
        if let Some(exit) = exit {
            self.exited(child, exit);
            return;
        }
        match &self.members[child].body {
            Body::Actor(runs) if hurried || runs.cell().limits.care == Care::Nobody => {
                runs.cell().kill(StopReason::Killed);
            }
            Body::Actor(runs) => runs.cell().mailbox.cut(&StopReason::Restarted),
            Body::Team { control, .. } => control.order(Order::Kill),
        }
        self.await_cut(child, watch).await;
    }

    async fn await_cut(&mut self, child: usize, watch: &mut Watch) {
        let limit = match &self.members[child].body {
            Body::Actor(_) => self.node.sleep_until(self.node.now() + LAST_WORDS).boxed(),
            Body::Team { .. } => std::future::pending().boxed(),
        };
        tokio::select! {
            biased;
            exit = watch.exit_of(child) => drop(self.exited(child, exit)),
            () = limit => {
                let message = "a handler blocks its thread, and was left behind".to_owned();
                let member = &mut self.members[child];
                tracing::error!(name = %member.name, %message, "an actor cannot be started again");
                member.end(&StopReason::StopFailed { message });
                member.phase = Phase::Over;
            }
        }
    }

    pub(super) async fn obey(&mut self, order: Order, watch: &mut Watch) -> TeamEnd {
        match order {
            Order::Go | Order::Retire => {
                self.retire(0..self.members.len(), watch).await;
                let order = *self.control.orders.borrow();
                if matches!(order, Order::Go | Order::Retire) {
                    return TeamEnd::Retired;
                }
                self.end(&StopReason::SupervisorStopped);
                TeamEnd::Over(StopReason::Stopped)
            }
            Order::Stop { until } => {
                // Those that rest have nobody to run their queues.
                let resting = |member: &&mut Member| matches!(member.phase, Phase::Down(_));
                for member in self.members.iter_mut().rev().filter(resting) {
                    member.end(&StopReason::SupervisorStopped);
                    member.phase = Phase::Over;
                }
                for child in (0..self.members.len()).rev() {
                    self.stop_one(child, until, watch).await;
                }
                let order = *self.control.orders.borrow();
                let killed = order == Order::Kill;
                TeamEnd::Over(if killed { StopReason::Killed } else { StopReason::Stopped })
            }
            Order::Kill => {
                for member in &self.members {
                    match &member.body {
                        Body::Actor(runs) => runs.cell().kill(StopReason::Killed),
                        Body::Team { control, .. } => control.order(Order::Kill),
                    }
                }
                for child in 0..self.members.len() {
                    if let Some(exit) = watch.take_seen(child) {
                        self.exited(child, exit);
                    }
                    if self.members[child].phase == Phase::Running {
                        self.await_cut(child, watch).await;
                    }
                }
                self.end(&StopReason::Killed);
                TeamEnd::Over(StopReason::Killed)
            }
        }
    }

    async fn stop_one(&mut self, child: usize, until: Option<Instant>, watch: &mut Watch) {
        if let Some(exit) = watch.take_seen(child) {
            self.exited(child, exit);
        }
        let grace = until.map_or(Duration::MAX, |until| until.saturating_duration_since(self.node.now()));
        let member = &mut self.members[child];
        if member.phase == Phase::Running {
            match &member.body {
                Body::Actor(runs) => runs.cell().stop_within(StopReason::SupervisorStopped, grace),
                Body::Team { control, .. } => control.order(Order::Stop { until }),
            }
            // The actor's own alarm goes off first.
            let limit = until.and_then(|until| until.checked_add(LAST_WORDS));
            self.await_exit(child, limit, watch).await;
        }
        let member = &mut self.members[child];
        member.end(&StopReason::SupervisorStopped);
        member.phase = Phase::Over;
    }
}

/// Ends when there is no more time: a kill was ordered, or the grace of a stop is over.
async fn hurry(orders: &mut watch::Receiver<Order>, node: &Node) {
    loop {
        let order = *orders.borrow_and_update();
        let until = match order {
            Order::Kill => return,
            Order::Stop { until } => until,
            Order::Go | Order::Retire => None,
        };
        let over = async {
            match until {
                Some(until) => node.sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // The sender is the team's own.
            _ = orders.changed() => {}
            () = over => return,
        }
    }
}
