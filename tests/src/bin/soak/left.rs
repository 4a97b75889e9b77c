//! What there is at a moment when nobody does anything.

use std::{
    fs,
    time::{Duration, Instant},
};

use tokio::runtime::Handle;

use crate::{
    heap,
    tally::Tally,
    world::{ANCHOR, World},
};

/// How long it may take until all have ended: threads that waited for work, and connections whose other side is gone.
const PATIENCE: Duration = Duration::from_secs(40);

/// How many names of actors that have ended a server knows, and its anchor.
const REMEMBERED: usize = 1025;

/// Nothing changes for so long: it is quiet.
const QUIET: Duration = Duration::from_millis(500);

#[derive(Clone, Debug, Default)]
pub(crate) struct Left {
    /// Bytes of the heap.
    pub(crate) heap: i64,
    /// Tasks of the runtime.
    pub(crate) tasks: usize,
    pub(crate) threads: usize,
    pub(crate) files: usize,
    /// Actors and supervisors of all nodes, and names of all servers, but for those that are always there.
    pub(crate) actors: usize,
    pub(crate) names: usize,
}

impl Left {
    fn now(world: Option<&World>) -> Self {
        let entries = |path| fs::read_dir(path).map_or(0, Iterator::count);
        let mut left = Self {
            heap: heap::count().live,
            tasks: Handle::current().metrics().num_alive_tasks(),
            threads: entries("/proc/self/task"),
            files: entries("/proc/self/fd"),
            ..Self::default()
        };
        for way in world.iter().flat_map(|world| &world.ways) {
            left.names += way.server.actors().iter().filter(|name| *name != ANCHOR).count();
            let served = way.server.node().actors();
            let calling = way.is_far().then(|| way.caller.actors());
            let all = served.actors.into_iter().chain(calling.into_iter().flat_map(|tree| tree.actors));
            left.actors += all.filter(|actor| actor.name != ANCHOR).count();
        }
        left
    }

    /// The least there is, the heap aside, within some time; `enough` says what is little enough to wait no longer.
    async fn least(world: Option<&World>, enough: impl Fn(&Self) -> bool) -> Self {
        let begun = Instant::now();
        let mut least = Self::now(world);
        let mut since = Instant::now();
        while begun.elapsed() < PATIENCE && (since.elapsed() < QUIET || !enough(&least)) {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let now = Self::now(world);
            if now.is_less(&least) {
                since = Instant::now();
            }
            least = Self {
                heap: now.heap.min(least.heap),
                tasks: now.tasks.min(least.tasks),
                threads: now.threads.min(least.threads),
                files: now.files.min(least.files),
                actors: now.actors.min(least.actors),
                names: now.names.min(least.names),
            };
        }
        least
    }

    fn is_less(&self, other: &Self) -> bool {
        self.heap < other.heap - 1024
            || self.tasks < other.tasks
            || self.threads < other.threads
            || self.files < other.files
            || self.actors < other.actors
            || self.names < other.names
    }

    /// With the nodes there, and nobody doing anything; compared with an earlier rest.
    pub(crate) async fn at_rest(world: &World, tally: &Tally, earlier: Option<&Self>) -> Self {
        // A server knows why the last ones of its actors ended; that it does so of no more is seen here.
        for way in &world.ways {
            let ended = way.server.actors();
            tally.check(ended.len() <= REMEMBERED, || format!("{}: {} names", way.name, ended.len()));
            for name in ended.iter().filter(|name| *name != ANCHOR) {
                way.server.unregister(name).await;
            }
        }
        let left = Self::least(Some(world), |left| {
            left.actors == 0 && left.names == 0 && earlier.is_none_or(|earlier| left.tasks <= earlier.tasks)
        })
        .await;
        tally.check(left.actors == 0, || format!("{} actors at rest", left.actors));
        tally.check(left.names == 0, || format!("{} names at rest", left.names));
        if let Some(earlier) = earlier {
            tally.check(left.tasks <= earlier.tasks, || {
                format!("{} tasks at rest, {} at an earlier one", left.tasks, earlier.tasks)
            });
        }
        left
    }

    /// Without nodes; compared with what was there before.
    pub(crate) async fn when_quiet(tally: &Tally, before: Option<&Self>) -> Self {
        let left = Self::least(None, |left| {
            before.is_none_or(|before| {
                left.tasks <= before.tasks && left.threads <= before.threads && left.files <= before.files
            })
        })
        .await;
        if let Some(before) = before {
            for (what, before, after) in [
                ("tasks", before.tasks, left.tasks),
                ("threads", before.threads, left.threads),
                ("files", before.files, left.files),
            ] {
                tally.check(after <= before, || format!("{after} {what} are left, {before} before"));
            }
        }
        left
    }
}
