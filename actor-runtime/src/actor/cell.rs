//! One registered actor, as everybody but its own loop sees it.

use std::{
    future::{Future, poll_fn},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
    time::Duration,
};

use futures::future::join_all;
use tokio::time::Instant;

use super::{
    counts::{Counts, Mark, Marks},
    failed::{FailedCall, FailedCalls},
    mailbox::{Cut, Look, Mailbox, Rest},
};
use crate::{
    actor_id::ActorId,
    call::{
        AnyCall, Dedup, Delivery, Failure, FailureKind, Hop, Link, Metadata, Polling, Refused, ReplySink,
        StopReason, Target, Window,
    },
    context::{Cancelled, Identity},
    layer::Layers,
    node::deadlines::Sweep,
    service::{Access, Method, MethodTable},
    timer::{Deliver, TimerSet},
    watch::{Links, Watches},
};

/// One registered actor.
pub(crate) struct ActorCell {
    pub(crate) identity: Arc<Identity>,
    pub(crate) mailbox: Mailbox,
    pub(crate) limits: Limits,
    /// Which turn has a thread.
    pub(crate) polling: Polling,
    pub(crate) registered: Registered,
    /// Those of the node, and its own inside.
    pub(crate) layers: Layers,
    methods: Arc<MethodTable>,
    /// Made when some of it is needed first.
    rare: OnceLock<Box<Rare>>,
}

/// What most actors do without.
#[derive(Default)]
struct Rare {
    /// Made when the first call comes that is to be remembered.
    dedup: OnceLock<Arc<Dedup<Box<dyn ReplySink>>>>,
    /// Made when somebody asks for the actor's timers first.
    timers: OnceLock<Arc<TimerSet>>,
    watches: OnceLock<Watches>,
    links: OnceLock<Links>,
    /// Made when a handler panics first.
    failed: OnceLock<FailedCalls>,
    marks: Marks,
    /// Numbers the polls of turns that have tasks to themselves.
    polls: AtomicU32,
}

/// How much an actor takes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How many shared turns may overlap.
    pub(crate) overlap: u32,
    /// Whether the actor runs on the network thread.
    pub(crate) inline: bool,
    pub(crate) care: Care,
}

/// Who looks after an actor that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// Nobody: its end is that of its registration.
    Nobody,
    /// A supervisor, which may start it again when it has failed.
    Supervisor,
    /// A supervisor, which starts it again also when it stops itself.
    Permanent,
}

/// What was said and noted when an actor got its name.
#[derive(Debug)]
pub(crate) struct Registered {
    /// Milliseconds since 1970.
    pub(crate) at: u64,
    /// The serial number of the actor that started it; 0 if none did.
    pub(crate) parent: u64,
    /// None for most actors.
    pub(crate) metadata: Option<Box<Metadata>>,
}

impl ActorCell {
    pub(crate) fn new(
        identity: Identity,
        mailbox: Mailbox,
        limits: Limits,
        registered: Registered,
        methods: Arc<MethodTable>,
        layers: Layers,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            identity: Arc::new(Identity { cell: this.clone(), ..identity }),
            mailbox,
            limits,
            polling: Polling::default(),
            registered,
            layers,
            methods,
            rare: OnceLock::new(),
        })
    }

    pub(crate) fn methods(&self) -> &MethodTable {
        &self.methods
    }

    /// The link of a turn of this actor that waits for the call, innermost first; the call comes back to it (S5).
    fn waiting_turn<'a>(&self, call: &'a dyn AnyCall) -> Option<&'a Link> {
        call.head().chain.as_ref()?.iter().find(|link| link.actor == self.identity.id)
    }
}

impl Target for ActorCell {
    fn id(&self) -> ActorId {
        self.identity.id
    }

    fn method(&self, id: u32) -> Option<&'static Method> {
        self.methods.method(id)
    }

    fn services(&self) -> String {
        self.methods.services()
    }

    fn service_methods(&self) -> &'static [&'static [&'static Method]] {
        self.methods.by_service()
    }

    fn metadata(&self) -> Option<&Metadata> {
        self.registered.metadata.as_deref()
    }

    fn remembers(&self) -> Arc<Dedup<Box<dyn ReplySink>>> {
        let window = || {
            let config = self.identity.node.config();
            Window { entries: config.dedup_entries, bytes: config.dedup_bytes, age: config.dedup_age }
        };
        self.rare.get_or_init(Box::default).dedup.get_or_init(|| Arc::new(Dedup::new(window()))).clone()
    }

    fn admit(&self, call: Arc<dyn AnyCall>) -> Result<(), Refused> {
        let head = call.head();
        let deadline = head.deadline;
        let watch = match self.waiting_turn(&*call) {
            None => {
                if head.chain.as_ref().is_some_and(|chain| chain.length >= Link::MAX) {
                    let failure = too_deep(&*call);
                    return Err(Refused { call, failure });
                }
                self.mailbox.push(call)?
            }
            Some(link) if link.access == Access::Shared && head.method.access == Access::Shared => {
                self.mailbox.join(call)?
            }
            Some(_) => {
                let failure = self.cycle(&*call);
                return Err(Refused { call, failure });
            }
        };
        self.identity.node.expect_deadline(deadline, watch, || self.identity.cell.clone());
        Ok(())
    }

    fn admit_all(&self, calls: &mut dyn Iterator<Item = Arc<dyn AnyCall>>) -> Vec<Refused> {
        let mut refused = Vec::new();
        let mut calls = calls.peekable();
        while calls.peek().is_some() {
            // Calls that are made inside turns are looked at one by one.
            let mut earliest = None;
            let plain = std::iter::from_fn(|| {
                let call = calls.next_if(|call| call.head().chain.is_none())?;
                earliest = match (earliest, call.head().deadline) {
                    (Some(earliest), Some(deadline)) => Some(deadline.min(earliest)),
                    (earliest, deadline) => earliest.or(deadline),
                };
                Some(call)
            });
            let watch = self.mailbox.push_all(plain, &mut refused);
            self.identity.node.expect_deadline(earliest, watch, || self.identity.cell.clone());
            if let Some(call) = calls.next() {
                refused.extend(self.admit(call).err());
            }
        }
        refused
    }

    fn is_inline(&self) -> bool {
        self.limits.inline
    }

    fn stop(&self, reason: StopReason) {
        self.mailbox.stop(reason);
        self.refuses();
        self.ended_at_rest();
    }

    fn kill(&self, reason: StopReason) {
        // What is left of it is nobody's any more: its streams go on.
        if self.mailbox.end_reason().is_some() {
            return;
        }
        self.mailbox.kill(reason);
        // Also if a handler blocks the loop of turns: what is answered later waits for no turn.
        if let Some(reason) = self.mailbox.closed() {
            self.identity.pending.kill(&reason);
            self.identity.node.producers().stop_those_of(self.identity.id, &reason);
        }
        self.ended_at_rest();
    }

    fn is_closed(&self) -> bool {
        self.mailbox.closed().is_some()
    }
}

/// How long an actor gets to see that it is killed.
const LAST_WORDS: Duration = Duration::from_millis(250);

impl ActorCell {
    /// Refuses new calls and runs the queue; kills what is left after the grace.
    pub(crate) fn stop_within(&self, reason: StopReason, grace: Duration) {
        self.limit(grace);
        self.stop(reason);
    }

    /// Refuses new calls and fails the queue; kills what is left after the node's time for stopping.
    pub(crate) fn stop_now(&self, reason: StopReason) {
        self.limit(self.identity.node.config().stop_timeout);
        self.mailbox.close(reason);
        self.refuses();
        self.ended_at_rest();
    }

    /// It takes no more calls: whoever announces it is told.
    fn refuses(&self) {
        self.identity.node.directory().touch();
    }

    /// An actor that has no run, and gets none any more, has nobody else to see to its end.
    fn ended_at_rest(&self) {
        if self.limits.care != Care::Nobody
            && let Some(reason) = self.mailbox.end_reason()
        {
            self.leave_roster();
            self.end_timers();
            self.end_watches();
            self.identity.pending.end(&reason);
        }
    }

    /// Nobody finds it any more but by its name, for some time.
    fn leave_roster(&self) {
        if self.identity.node.roster().remove(self) {
            self.identity.node.directory().ended(&self.identity.name, self.identity.id);
        }
    }

    fn limit(&self, grace: Duration) {
        let node = &self.identity.node;
        // What cannot be told from for ever needs no alarm.
        if let Some(at) = node.now().checked_add(grace) {
            let watch = self.mailbox.limit(at);
            node.expect_deadline(Some(at), watch, || self.identity.cell.clone());
        }
    }

    /// The actor stops itself: it ends when its queue is empty, or makes way for its next run.
    pub(crate) fn stop_itself(&self) {
        match self.limits.care {
            Care::Permanent => drop(self.mailbox.retire(StopReason::Finished)),
            Care::Nobody | Care::Supervisor => {
                self.mailbox.stop(StopReason::Finished);
                self.refuses();
            }
        }
    }

    /// This run was told to end by a failure elsewhere, and has this to tell: what it runs is cut off. If no run can follow,
    /// the queue fails.
    pub(crate) fn broken(&self, cut: Cut, reason: &Arc<StopReason>) {
        self.identity.node.producers().stop_those_of(self.identity.id, reason);
        if self.limits.care == Care::Nobody || cut.is_last {
            self.kill(StopReason::clone(reason));
        }
        cut.tell(reason);
    }

    /// A run has failed. If none can follow, nobody waits for one.
    pub(super) fn failed(&self, reason: &StopReason) {
        if self.limits.care == Care::Nobody || self.mailbox.closed().is_some() {
            self.mailbox.close(reason.clone());
        }
    }

    /// Ends this run, which the next one is to follow; what is left of it after the node's time for stopping is cut off.
    pub(crate) fn retire(&self) {
        match self.limits.care {
            Care::Nobody => self.stop_now(StopReason::SupervisorStopped),
            Care::Supervisor | Care::Permanent => drop(self.mailbox.retire(StopReason::Restarted)),
        }
    }

    /// A run has ended: the next one follows, or the actor has ended with it.
    pub(super) fn leave(&self, reason: Arc<StopReason>) {
        if self.limits.care != Care::Nobody && self.mailbox.rest(&reason) == Rest::Resting {
            self.identity.pending.interrupt(&reason);
            // The next run sets its own.
            self.clear_timers();
            self.end_watches();
        } else {
            self.end(Arc::unwrap_or_clone(reason));
        }
    }

    /// There is no next run.
    pub(crate) fn end(&self, reason: StopReason) {
        // Before those who wait for the end are told, so that they find nothing of it.
        self.leave_roster();
        self.mailbox.end(reason);
        self.end_timers();
        self.end_watches();
        self.end_pending();
    }

    /// Ends the actors that this run has started, the last one first. Their queues are run. What is left after the node's
    /// time for stopping is killed, and what blocks its thread then is left behind.
    pub(super) async fn end_children(&self) {
        let node = &self.identity.node;
        let grace = node.config().stop_timeout;
        self.mailbox.make_childless();
        let children = node.roster().children(self.identity.id.serial);
        if children.is_empty() {
            return;
        }
        for child in children.iter().rev() {
            child.stop_within(StopReason::ParentEnded, grace);
        }
        let all = async {
            for child in &children {
                child.mailbox.ended().await;
            }
        };
        let killed =
            poll_fn(|cx| if self.mailbox.park_for_kill(cx) { Poll::Pending } else { Poll::Ready(()) });
        // Boxed: few actors have children, and all have the place that this takes.
        let mut all = Box::pin(all);
        let mut limit = Box::pin(node.sleep_until(node.after(grace.saturating_add(LAST_WORDS))));
        tokio::select! {
            biased;
            () = &mut all => {}
            () = killed => self.kill_children(),
            () = &mut limit => {
                let left = children.iter().filter(|child| child.mailbox.end_reason().is_none());
                for child in left {
                    tracing::error!(
                        actor = %child.identity.name, parent = %self.identity.name,
                        "an actor blocks its thread and is left behind by its parent, which ends"
                    );
                }
            }
        }
    }

    pub(super) fn kill_children(&self) {
        self.mailbox.make_childless();
        for child in self.identity.node.roster().children(self.identity.id.serial) {
            child.kill(StopReason::ParentEnded);
        }
    }

    /// The actor takes no more turns, and what it held is gone: waits until tasks have answered what they were to answer,
    /// or nobody waits for it any more, or until the actor is to end at once.
    pub(super) async fn answered(&self) {
        let open = self.identity.pending.open();
        if open.is_empty() {
            return;
        }
        // Boxed: few actors have such calls, and all have the place that this takes.
        let mut over = Box::pin(join_all(open.into_iter().map(|call| Cancelled::new(Some(call)))));
        poll_fn(|cx| {
            let left =
                over.as_mut().poll(cx).is_pending() && self.identity.pending.poll_drained(cx).is_pending();
            if left && self.mailbox.park_for_kill(cx) { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    /// The actor takes no more turns: what it holds is not answered any more.
    pub(super) fn close_pending(&self, reason: &Arc<StopReason>) {
        self.identity.pending.close(reason);
    }

    /// The timers of an actor. One that is gone has none, and nothing can be set.
    pub(crate) fn timers_of(identity: &Arc<Identity>) -> Arc<TimerSet> {
        let new = || {
            let (node, actor) = (&identity.node, identity.cell.clone());
            TimerSet::new(node.timers().clone(), actor, identity.name.clone(), node.config().max_timers)
        };
        let Some(cell) = identity.cell.upgrade() else {
            let none = new();
            none.end();
            return none;
        };
        let timers = &cell.rare.get_or_init(Box::default).timers;
        if let Some(timers) = timers.get() {
            return timers.clone();
        }
        let timers = timers.get_or_init(new).clone();
        // The end of the actor finds the set, or came before and is seen here.
        if cell.mailbox.is_ended() {
            timers.end();
        }
        timers
    }

    /// A turn has ended otherwise than with a reply.
    #[cold]
    pub(super) fn mark(&self, mark: Mark) {
        self.rare.get_or_init(Box::default).marks.note(mark);
    }

    /// What it has done, as its mailbox was seen.
    pub(crate) fn counts(&self, look: &Look) -> Counts {
        match self.rare.get() {
            Some(rare) => rare.marks.with(look),
            None => Marks::default().with(look),
        }
    }

    /// The handler of this call has panicked, which ends the run.
    pub(super) fn note_failed(&self, call: &dyn AnyCall, message: &str) {
        self.mark(Mark::Failed);
        let (run, _) = self.mailbox.restarts();
        let failed = FailedCall::new(call, message, self.identity.node.calendar(), run);
        self.rare.get_or_init(Box::default).failed.get_or_init(FailedCalls::default).note(failed);
    }

    /// The last calls whose panics ended runs, the oldest first.
    pub(crate) fn failed_calls(&self) -> Vec<FailedCall> {
        let failed = self.rare.get().and_then(|rare| rare.failed.get());
        failed.map(FailedCalls::all).unwrap_or_default()
    }

    /// A number for a poll of a turn that has a task to itself: odd, and no other's.
    pub(super) fn next_poll(&self) -> u32 {
        self.rare.get_or_init(Box::default).polls.fetch_add(2, Ordering::Relaxed) | 1
    }

    /// How many of these there were.
    pub(crate) fn polls_of_tasks(&self) -> u32 {
        self.rare.get().map_or(0, |rare| rare.polls.load(Ordering::Relaxed))
    }

    /// Whom the actor watches.
    pub(crate) fn watches(&self) -> &Watches {
        self.rare.get_or_init(Box::default).watches.get_or_init(Watches::default)
    }

    /// Whom the actor is linked to.
    pub(crate) fn links(&self) -> &Links {
        self.rare.get_or_init(Box::default).links.get_or_init(Links::default)
    }

    /// The run has ended: it watches nobody, and ends with nobody.
    fn end_watches(&self) {
        if let Some(watches) = self.rare.get().and_then(|rare| rare.watches.get()) {
            watches.end();
        }
        if let Some(links) = self.rare.get().and_then(|rare| rare.links.get()) {
            links.end();
        }
    }

    /// The run has ended, and with it the timers that it has set.
    fn clear_timers(&self) {
        if let Some(timers) = self.rare.get().and_then(|rare| rare.timers.get()) {
            timers.clear();
        }
    }

    /// The actor has ended: so have its timers.
    fn end_timers(&self) {
        if let Some(timers) = self.rare.get().and_then(|rare| rare.timers.get()) {
            timers.end();
        }
    }

    /// The actor has ended: nothing of it is answered any more.
    fn end_pending(&self) {
        if let Some(reason) = self.mailbox.closed() {
            self.identity.pending.end(&reason);
        }
    }

    fn cycle(&self, call: &dyn AnyCall) -> Failure {
        let head = call.head();
        let mut hops = head.chain.as_ref().map(|link| link.hops()).unwrap_or_default();
        if let Some(at) = hops.iter().position(|hop| *hop.actor == *self.identity.name) {
            hops.drain(..at);
        }
        let circle: Vec<String> = hops.iter().map(Hop::to_string).collect();
        Failure::new(
            FailureKind::Cycle,
            Delivery::NotDelivered,
            format!(
                "{} → {} on {:?} would wait for itself; make the methods on the way `&self`, or start the call with \
                 `ctx.spawn` and do not wait for it",
                circle.join(" → "),
                head.method,
                self.identity.name,
            ),
        )
        .with_hops(hops)
    }
}

fn too_deep(call: &dyn AnyCall) -> Failure {
    let hops = call.head().chain.as_ref().map(|link| link.hops()).unwrap_or_default();
    let detail = format!("the chain of calls has more than {} turns that wait for each other", Link::MAX);
    Failure::new(FailureKind::TooLarge, Delivery::NotDelivered, detail).with_hops(hops)
}

impl Deliver for ActorCell {
    fn deliver(&self, turn: Arc<dyn AnyCall>) -> bool {
        self.mailbox.push_own(turn)
    }
}

impl Sweep for ActorCell {
    fn sweep(&self, now: Instant) -> Option<Instant> {
        if self.mailbox.is_overdue(now) {
            self.kill(StopReason::Killed);
        }
        self.mailbox.sweep(now)
    }

    fn next(&self) -> Option<Instant> {
        self.mailbox.next_deadline()
    }
}

impl Drop for ActorCell {
    fn drop(&mut self) {
        self.mailbox.close(StopReason::Abandoned);
    }
}
