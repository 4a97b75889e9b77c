//! The watchdog: the one thread of a process that looks whether the turns of its nodes make progress.
//!
//! Handlers that block may hold every thread that a node has, so whoever is to name them has a thread of its own. It is
//! started by the first actor of a node that wants to be looked at, holds its nodes weakly, and ends with the last one.
#![expect(clippy::disallowed_methods, reason = "the time of blocked threads is no runtime's")]

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{Node, WeakNode, clock};
use crate::{
    actor::{LookAtTurns, StuckTurn, Vigil},
    sync::lock,
};

static DOG: Mutex<Dog> = Mutex::new(Dog { awake: false, new: Vec::new() });
static CHANGED: Condvar = Condvar::new();

struct Dog {
    /// Whether the thread is there.
    awake: bool,
    /// The nodes that it has not seen yet.
    new: Vec<Watched>,
}

/// A node that is looked at.
struct Watched {
    node: WeakNode,
    vigil: Vigil,
    period: Duration,
}

/// A look is to take no more than this part of the time.
const PART: u32 = 50;

impl Node {
    /// The turns of this node that made no progress for [`Config::stuck_after`](crate::Config::stuck_after) when the watchdog
    /// looked last, which is at most a second ago, or a quarter of that time; with very many actors, longer. Each was
    /// logged as a warning when it was seen first, and is logged again when it has lasted twice as long.
    ///
    /// - [`Stuck::Blocked`](crate::Stuck::Blocked): a handler, `on_start` or `on_stop` was polled and has not returned: it
    ///   computes for long, or waits without `.await`, also inside `block_in_place`. Measured on the system's clock, also
    ///   if a test has paused the runtime's.
    /// - [`Stuck::Waiting`](crate::Stuck::Waiting): no turn of the actor is woken, and one of them is waited for by nobody:
    ///   its caller has left or its time is over, and it runs on because it has `&mut self`. Or it has no deadline (a oneway
    ///   call, a hook, a call without a timeout) and calls queue that cannot begin before it has ended. One is named an
    ///   actor. On a paused clock this is never before as much time has passed there.
    ///
    /// A turn that waits within its caller's time is not stuck, and neither are streams, which are no turns, nor timers that
    /// are not due. [`inspect::ActorHealth::since_progress`](crate::inspect::ActorHealth::since_progress) tells of those
    /// from elsewhere.
    ///
    /// ```
    /// # #[actor_runtime::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let node = actor_runtime::Node::builder().build()?;
    /// for turn in node.stuck() {
    ///     println!("{turn}"); // calc (…): Calculator/divide blocks its thread since 12.5s
    /// }
    /// # assert!(node.stuck().is_empty());
    /// # Ok(()) }
    /// ```
    pub fn stuck(&self) -> Vec<StuckTurn> {
        lock(&self.inner.stuck).clone()
    }

    /// Has the node looked at from now on, if it wants that: it has an actor.
    pub(crate) fn keep_watch(&self) {
        if let Some(after) = self.config().stuck_after {
            self.inner.watched.call_once(|| watch(self, after));
        }
    }
}

/// A node that was watched has ended: nobody waits for the next look.
pub(super) fn released() {
    CHANGED.notify_one();
}

fn watch(node: &Node, after: Duration) {
    let period = (after / 4).clamp(Duration::from_millis(50), Duration::from_secs(1));
    let mut dog = dog();
    dog.new.push(Watched { node: node.downgrade(), vigil: Vigil::new(after), period });
    if dog.awake {
        CHANGED.notify_one();
        return;
    }
    match thread::Builder::new().name("actor-watchdog".to_owned()).spawn(run) {
        Ok(_) => dog.awake = true,
        Err(error) => {
            drop(dog);
            tracing::warn!(%error, "no thread for the watchdog: handlers without progress are not named");
        }
    }
}

fn run() {
    let _awake = Awake;
    let mut watched: Vec<Watched> = Vec::new();
    let mut last = Instant::now();
    let mut rest = Duration::ZERO;
    loop {
        let mut dog = dog();
        watched.append(&mut dog.new);
        watched.retain(|watched| watched.node.is_alive());
        let Some(period) = watched.iter().map(|watched| watched.period).min() else {
            // Under the lock: whoever comes next starts another thread.
            dog.awake = false;
            return;
        };
        let pause = period.max(rest);
        let left = pause.saturating_sub(last.elapsed());
        if !left.is_zero() {
            let (dog, _) = CHANGED.wait_timeout(dog, left).unwrap_or_else(PoisonError::into_inner);
            drop(dog);
            continue;
        }
        drop(dog);
        // What the process has slept through itself does not count.
        let began = Instant::now();
        let step = began.duration_since(last).min(2 * pause);
        last = began;
        for Watched { node, vigil, .. } in &mut watched {
            let Some(node) = node.upgrade() else { continue };
            let now = {
                let _runtime = node.runtime().enter();
                clock::now()
            };
            let stuck = vigil.look(node.roster(), LookAtTurns { step, now });
            *lock(&node.inner.stuck) = stuck;
        }
        rest = began.elapsed() * PART;
    }
}

/// Says that the thread is gone, if what it calls (a subscriber of logs) panics.
struct Awake;

impl Drop for Awake {
    fn drop(&mut self) {
        if thread::panicking() {
            dog().awake = false;
        }
    }
}

fn dog() -> MutexGuard<'static, Dog> {
    DOG.lock().unwrap_or_else(PoisonError::into_inner)
}
