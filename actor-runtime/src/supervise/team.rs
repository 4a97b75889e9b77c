//! The task that looks after the children of one supervisor.
//!
//! ```text
//!            launch                 exit: failed, or stopped itself
//!   down ──────────────► running ───────────────────────────────────► down, due after the pause
//!    ▲ at its due time      │  │                                        │ once too often
//!    └──────────────────────┘  │ exit: ended for good                   ▼
//!       retired with a         ▼                                      gave up: all rest; whoever is above decides
//!       sibling               over
//! ```

mod ending;
mod watch;

use std::{
    collections::VecDeque,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use backon::ExponentialBackoff;
use futures::{StreamExt, stream::FuturesUnordered};
use tokio::time::Instant;
use watch::{Exit, Watch, next, order};

use super::{
    Restart, Strategy, Supervisor, SupervisorHandle,
    child::{Kind, Runs},
    intensity::{Backoff, Intensity, Restarts},
    order::{Control, Order},
    path,
    post::Taken,
};
use crate::{
    Node, RegisterError,
    actor::ActorCell,
    call::{StopReason, Target},
    names::BoxFuture,
    node::clock,
    panics::text_of,
};

/// The children of one supervisor.
pub(super) struct Team {
    node: Node,
    strategy: Strategy,
    intensity: Intensity,
    backoff: Backoff,
    restarts: Restarts,
    members: Vec<Member>,
    post: Taken,
    control: Arc<Control>,
}

struct Member {
    name: Arc<str>,
    restart: Restart,
    body: Body,
    phase: Phase,
    begun: Instant,
    pauses: Option<ExponentialBackoff>,
}

enum Body {
    Actor(Box<dyn Runs>),
    Team {
        /// Here unless it runs.
        team: Option<Box<Team>>,
        control: Arc<Control>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// To be started at this time, if at any.
    Down(Option<Instant>),
    Over,
}

/// How the work of a team ended.
pub(super) enum TeamEnd {
    /// Too many restarts; its children rest.
    GaveUp(StopReason),
    /// It was to make way; its children rest.
    Retired,
    /// Its children have ended.
    Over(StopReason),
}

impl Team {
    /// Gives all actors of a tree their names, or none.
    pub(super) fn enroll(
        supervisor: Supervisor,
        node: &Node,
        above: u64,
        name: &str,
        place: &str,
    ) -> Result<(Box<Self>, SupervisorHandle), RegisterError> {
        let serial = node.next_serial();
        // Whoever is enrolled before an error ends with it: the team is dropped.
        let mut team =
            Self::new(&supervisor, Taken::new(node, serial, above, name.into(), supervisor.strategy), node);
        let mut actors = Vec::new();
        for child in supervisor.children {
            let place = path(place, &child.name);
            let body = match child.kind {
                Kind::Actor(plan) => {
                    let runs = plan.enroll(node, serial, child.restart)?;
                    actors.push((place, runs.cell().clone()));
                    Body::Actor(runs)
                }
                Kind::Supervisor(supervisor) => {
                    let (team, handle) = Self::enroll(supervisor, node, serial, &child.name, &place)?;
                    actors.extend(handle.actors());
                    Body::Team { team: Some(team), control: handle.control().clone() }
                }
            };
            team.add(child.name.into(), child.restart, body);
        }
        let handle = SupervisorHandle::new(node.quiet(), team.control.clone(), actors);
        Ok((team, handle))
    }

    /// One actor that has its name.
    pub(super) fn of_one(
        supervisor: &Supervisor,
        node: &Node,
        (serial, above): (u64, u64),
        runs: Box<dyn Runs>,
    ) -> (Box<Self>, SupervisorHandle) {
        let post = Taken::new(node, serial, above, "".into(), supervisor.strategy);
        let mut team = Self::new(supervisor, post, node);
        let cell = runs.cell().clone();
        let name = cell.identity.name.clone();
        team.add(name.clone(), Restart::Transient, Body::Actor(runs));
        let handle = SupervisorHandle::new(node.quiet(), team.control.clone(), [(name, cell)]);
        (team, handle)
    }

    fn new(supervisor: &Supervisor, post: Taken, node: &Node) -> Box<Self> {
        Box::new(Self {
            node: node.quiet(),
            strategy: supervisor.strategy,
            intensity: supervisor.intensity,
            backoff: supervisor.backoff,
            restarts: Restarts::default(),
            members: Vec::new(),
            post,
            control: Control::new(),
        })
    }

    fn add(&mut self, name: Arc<str>, restart: Restart, body: Body) {
        let now = self.node.now();
        self.members.push(Member {
            name,
            restart,
            body,
            phase: Phase::Down(Some(now)),
            begun: now,
            pauses: None,
        });
    }

    /// Looks after the children until it is told otherwise, gives up, or has none any more.
    pub(super) fn run(mut self: Box<Self>) -> BoxFuture<'static, (Box<Self>, TeamEnd)> {
        Box::pin(async move {
            let mut watch = Watch {
                exits: FuturesUnordered::new(),
                seen: VecDeque::new(),
                orders: self.control.orders.subscribe(),
            };
            let end = self.work(&mut watch).await;
            (self, end)
        })
    }

    async fn work(&mut self, watch: &mut Watch) -> TeamEnd {
        let node = self.node.clone();
        loop {
            self.launch_due(watch);
            if self.members.iter().all(|member| member.phase == Phase::Over) {
                return TeamEnd::Over(StopReason::Finished);
            }
            let due = self.members.iter().filter_map(Member::due).min();
            let due = async {
                match due {
                    Some(due) => node.sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            let ended = self.ended_at_rest();
            let Watch { exits, seen, orders } = watch;
            tokio::select! {
                biased;
                order = order(orders) => return self.obey(order, watch).await,
                (child, exit) = next(exits, seen) => {
                    if let Some(reason) = self.exited(child, exit)
                        && let Err(reason) = self.restart(child, reason, watch).await
                    {
                        return TeamEnd::GaveUp(reason);
                    }
                }
                child = ended => self.members[child].phase = Phase::Over,
                () = due => {}
            }
        }
    }

    /// The next child to end for good while it waits to be started again: by its handle, or with its node. Its pause is not
    /// waited for.
    fn ended_at_rest(&self) -> impl Future<Output = usize> + use<> {
        let down = self.members.iter().enumerate().filter(|(_, member)| member.due().is_some());
        let ends = down.map(|(at, member)| {
            let actors = member.resting();
            async move {
                for actor in actors {
                    actor.mailbox.ended().await;
                }
                at
            }
        });
        let mut ends: FuturesUnordered<_> = ends.collect();
        async move {
            match ends.next().await {
                Some(child) => child,
                None => std::future::pending().await,
            }
        }
    }

    fn launch_due(&mut self, watch: &mut Watch) {
        let now = self.node.now();
        for (at, member) in self.members.iter_mut().enumerate() {
            if member.due().is_none_or(|due| due > now) {
                continue;
            }
            member.begun = now;
            member.phase = Phase::Running;
            let run: BoxFuture<'static, (usize, Exit)> = match &mut member.body {
                Body::Actor(runs) => match runs.launch() {
                    // It was stopped or killed while it was down.
                    None => {
                        member.phase = Phase::Over;
                        continue;
                    }
                    Some(Ok(task)) => Box::pin(async move {
                        // However the run ended, its mailbox knows.
                        let _ = task.await;
                        (at, Exit::Actor)
                    }),
                    Some(Err(reason)) => Box::pin(async move { (at, Exit::NotMade(reason)) }),
                },
                Body::Team { team, control } => match team.take() {
                    None => continue,
                    Some(mut team) => {
                        control.again();
                        team.begin_again(now);
                        let task = self.node.spawn(team.run());
                        Box::pin(async move {
                            match task.await {
                                Ok((team, end)) => (at, Exit::Team(team, end)),
                                // Its runtime has ended, and so will this one; or it panicked, and has killed its
                                // children. Those above must not wait for it.
                                Err(_) => (at, Exit::Lost),
                            }
                        })
                    }
                },
            };
            watch.exits.push(run);
        }
    }

    /// A team that rests, or is new: what has not ended is to be started.
    fn begin_again(&mut self, now: Instant) {
        self.restarts = Restarts::default();
        for member in &mut self.members {
            if member.phase != Phase::Over {
                (member.phase, member.pauses) = (Phase::Down(Some(now)), None);
            }
        }
    }

    /// Takes note of the end of a run. The reason if another one is to follow.
    fn exited(&mut self, child: usize, exit: Exit) -> Option<StopReason> {
        let member = &mut self.members[child];
        member.phase = Phase::Down(None);
        let failed = match (&mut member.body, exit) {
            (Body::Actor(runs), exit) => {
                let cell = runs.cell();
                match (cell.mailbox.end_reason(), exit) {
                    (Some(_), _) => None,
                    (None, Exit::NotMade(reason)) => Some(reason),
                    (None, _) => Some(cell.mailbox.last_reason().unwrap_or(StopReason::Abandoned)),
                }
            }
            (Body::Team { team, .. }, Exit::Team(back, end)) => {
                *team = Some(back);
                match end {
                    TeamEnd::GaveUp(reason) => Some(reason),
                    TeamEnd::Retired => return None,
                    TeamEnd::Over(_) => None,
                }
            }
            (Body::Team { .. }, _) => None,
        };
        if let (Some(reason), Restart::Temporary) = (&failed, member.restart) {
            member.end(reason);
        }
        let failed = failed.filter(|_| member.restart != Restart::Temporary);
        if failed.is_none() {
            member.phase = Phase::Over;
        }
        failed
    }

    /// Has a child that has failed started again, and those that go with it; the reason if that is once too often.
    async fn restart(&mut self, child: usize, last: StopReason, watch: &mut Watch) -> Result<(), StopReason> {
        let now = self.node.now();
        let Intensity { within, .. } = self.intensity;
        let name = self.members[child].name.clone();
        if let Err(failures) = self.restarts.count(now, self.intensity) {
            tracing::error!(%name, %failures, ?within, %last, "a supervisor gives up");
            self.retire(0..self.members.len(), watch).await;
            let child = name.to_string();
            return Err(StopReason::RestartsExhausted { child, failures, within, last: Box::new(last) });
        }
        self.post.restarts(&last);
        let (backoff, node) = (self.backoff, &self.node);
        let member = &mut self.members[child];
        if now.saturating_duration_since(member.begun) >= within {
            member.pauses = None;
        }
        let pauses = member.pauses.get_or_insert_with(|| backoff.pauses(node.random_u64()));
        let pause = pauses.next().unwrap_or(backoff.longest);
        tracing::warn!(%name, ?pause, reason = %last, "an actor is started again");
        let affected = self.strategy.affected(child, self.members.len());
        self.retire(affected.clone(), watch).await;
        let due = clock::later(now, pause);
        for member in &mut self.members[affected] {
            if let Phase::Down(present) = member.phase {
                member.phase = Phase::Down(Some(present.map_or(due, |present| present.max(due))));
            }
        }
        Ok(())
    }

    /// Ends the children for good. None of them runs, except those that are left behind.
    pub(super) fn end(&mut self, reason: &StopReason) {
        for member in self.members.iter_mut().rev() {
            member.end(reason);
            member.phase = Phase::Over;
        }
    }
}

/// Whoever is left when nobody looks after it any more.
impl Drop for Team {
    fn drop(&mut self) {
        for member in &mut self.members {
            member.abandon();
        }
        for member in self.members.drain(..) {
            // Factories hold what is the user's. A second panic while the first one goes on would end the process.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(move || drop(member))) {
                tracing::error!(message = %text_of(&*panic), "a factory panicked in its `Drop`");
            }
        }
    }
}

impl Member {
    fn due(&self) -> Option<Instant> {
        match self.phase {
            Phase::Down(due) => due,
            Phase::Running | Phase::Over => None,
        }
    }

    /// The actors of it that do not run; all of them if it is down.
    fn resting(&self) -> Vec<Arc<ActorCell>> {
        match &self.body {
            Body::Actor(runs) => vec![runs.cell().clone()],
            Body::Team { team: Some(team), .. } => team.members.iter().flat_map(Self::resting).collect(),
            Body::Team { team: None, .. } => Vec::new(),
        }
    }

    /// Nobody starts it any more. A run that there is ends by itself, and its mailbox with it.
    fn abandon(&mut self) {
        match (&self.body, self.phase) {
            (Body::Actor(runs), Phase::Running) => runs.cell().kill(StopReason::Abandoned),
            (Body::Team { team: None, control }, _) => control.order(Order::Kill),
            _ => self.end(&StopReason::Abandoned),
        }
    }

    fn end(&mut self, reason: &StopReason) {
        match &mut self.body {
            Body::Actor(runs) if runs.cell().mailbox.end_reason().is_none() => {
                runs.cell().end(reason.clone());
            }
            Body::Team { team: Some(team), .. } => team.end(reason),
            Body::Actor(_) | Body::Team { .. } => {}
        }
    }
}
