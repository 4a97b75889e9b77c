//! What was done, and what was seen that may not be.

use std::{
    collections::BTreeMap,
    future::Future,
    io::{IsTerminal, stderr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use actor_runtime::{CallError, Failure};
use tokio::{runtime::Handle, time::timeout};

/// What a call or an end may take beyond what it was given, on a machine that is free.
const SLACK: Duration = Duration::from_secs(2);

/// What has not come by then never will.
const HANG: Duration = Duration::from_secs(60);

/// How often it is looked how late a task is woken.
const LOOK: Duration = Duration::from_millis(50);

/// So many faults are told in words.
const TOLD: usize = 50;

pub(crate) struct Tally {
    begun: Instant,
    counts: Mutex<BTreeMap<String, u64>>,
    wrong: Mutex<Vec<String>>,
    faults: AtomicU64,
    /// How late a task was woken at most, in milliseconds.
    late: AtomicU64,
    /// How long a call took at most beyond its deadline, in milliseconds.
    beyond: AtomicU64,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            begun: Instant::now(),
            counts: Mutex::default(),
            wrong: Mutex::default(),
            faults: AtomicU64::new(0),
            late: AtomicU64::new(0),
            beyond: AtomicU64::new(0),
        }
    }

    pub(crate) fn add(&self, what: &str, n: u64) {
        let mut counts = lock(&self.counts);
        match counts.get_mut(what) {
            Some(count) => *count += n,
            None => drop(counts.insert(what.to_owned(), n)),
        }
    }

    /// Something that may not be.
    pub(crate) fn wrong(&self, what: String) {
        self.faults.fetch_add(1, Ordering::Relaxed);
        let mut wrong = lock(&self.wrong);
        if wrong.len() < TOLD {
            eprintln!("wrong: {what}");
            wrong.push(what);
        }
    }

    pub(crate) fn check(&self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.wrong(what());
        }
    }

    pub(crate) fn faults(&self) -> (u64, Vec<String>) {
        (self.faults.load(Ordering::Relaxed), lock(&self.wrong).clone())
    }

    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        lock(&self.counts).clone()
    }

    /// How many operations there were, of any kind.
    pub(crate) fn deeds(&self) -> u64 {
        lock(&self.counts).iter().filter(|(name, _)| name.starts_with("deed ")).map(|(_, count)| count).sum()
    }

    pub(crate) fn late(&self) -> Duration {
        Duration::from_millis(self.late.load(Ordering::Relaxed))
    }

    pub(crate) fn beyond(&self) -> Duration {
        Duration::from_millis(self.beyond.load(Ordering::Relaxed))
    }

    /// What everything may take beyond its time, on this machine, as busy as it was so far.
    fn slack(&self) -> Duration {
        SLACK + 2 * self.late()
    }

    /// Waits for what has to come within this time.
    pub(crate) async fn within<T>(
        &self,
        time: Duration,
        what: &str,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        let begun = Instant::now();
        let Ok(output) = timeout(time + HANG, future).await else {
            self.wrong(format!("{what}: nothing after {:?}", begun.elapsed()));
            return None;
        };
        let beyond = begun.elapsed().saturating_sub(time);
        self.beyond.fetch_max(beyond.as_millis() as u64, Ordering::Relaxed);
        self.check(beyond <= self.slack(), || format!("{what}: {beyond:?} beyond its {time:?}"));
        Some(output)
    }

    /// Makes a call that has this much time, and counts how it ended.
    pub(crate) async fn call<T, E: Outcome>(
        &self,
        way: &str,
        time: Duration,
        call: impl Future<Output = Result<T, E>>,
    ) -> Option<Result<T, E>> {
        let output = self.within(time, "a call", call).await?;
        let outcome = match &output {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.outcome(),
        };
        self.add(&format!("call {way}: {outcome}"), 1);
        Some(output)
    }

    /// A call that has to go well, unless its connection is lost.
    pub(crate) async fn good<T, E: Outcome>(
        &self,
        way: &str,
        what: &str,
        time: Duration,
        call: impl Future<Output = Result<T, E>>,
    ) -> Option<T> {
        match self.call(way, time, call).await? {
            Ok(output) => Some(output),
            Err(error) => {
                // A deadline is of real time, and a connection lives as long as the machine lets both sides run.
                let excused =
                    ["connection lost", "unreachable", "deadline exceeded"].contains(&&*error.outcome());
                self.check(excused, || format!("{way}, {what}: {}", error.text()));
                None
            }
        }
    }

    /// Measures how late a task is woken; says how it goes, to a terminal.
    pub(crate) async fn look(self: Arc<Self>, whole: Duration) {
        let mut told = Instant::now();
        loop {
            let slept = Instant::now();
            tokio::time::sleep(LOOK).await;
            let late = slept.elapsed().saturating_sub(LOOK);
            self.late.fetch_max(late.as_millis() as u64, Ordering::Relaxed);
            if told.elapsed() >= Duration::from_secs(10) {
                told = Instant::now();
                if stderr().is_terminal() {
                    eprintln!(
                        "{:>4} of {} s: {} operations, {} tasks, {} KiB, {} wrong",
                        self.begun.elapsed().as_secs(),
                        whole.as_secs(),
                        self.deeds(),
                        Handle::current().metrics().num_alive_tasks(),
                        crate::heap::count().live / 1024,
                        self.faults.load(Ordering::Relaxed),
                    );
                }
            }
        }
    }
}

/// How a call failed, in short and in whole.
pub(crate) trait Outcome {
    fn outcome(&self) -> String;
    fn text(&self) -> String;
}

impl Outcome for Failure {
    fn outcome(&self) -> String {
        self.kind().to_string()
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Outcome for CallError<String> {
    fn outcome(&self) -> String {
        match self {
            Self::Application(_) => "its own error".to_owned(),
            Self::Failed(failure) => failure.outcome(),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Application(error) => error.clone(),
            Self::Failed(failure) => failure.text(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
