//! Random faults: a client and some servers on a simulated network, random calls, and everything that can go wrong
//! while they are under way. What the callers were told and what the actors did is compared afterwards.
//!
//! A run is a function of its seed.

mod checks;
mod history;
mod run;
mod worker;

use std::{collections::BTreeMap, fmt, time::Duration};

use actor_runtime::testing::SimNet;
use history::{EffectKind, FaultKind, History, Inner, Outcome};

/// What came out of one run, or of several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What was found wrong.
    pub wrong: Vec<String>,
    /// A hash of all datagrams, calls and effects of the run.
    pub digest: u64,
    /// What was counted, by its name.
    pub counts: BTreeMap<String, u64>,
    /// For how long a call stayed pending at most after its callee had died.
    pub longest: Duration,
    /// How much time was simulated.
    pub time: Duration,
    /// All that happened, if something was found wrong.
    pub story: String,
}

/// The run of a seed.
///
/// # Panics
/// If there is no runtime to be had.
pub fn simulate(seed: u64) -> Report {
    let runtime = crate::runtime(crate::Path::Simulated);
    let net = SimNet::new(seed);
    let history = runtime.block_on(async {
        let history = History::new();
        let run = run::Run::new(net.clone(), seed, history.clone()).await;
        run.go().await;
        history
    });
    drop(runtime);
    let inner = history.look();
    let (wrong, longest) = checks::check(&inner);
    let story = if wrong.is_empty() { String::new() } else { story(&inner) };
    let time = inner.calls.iter().filter_map(|call| Some(call.end?.1)).max().unwrap_or_default();
    Report { wrong, digest: digest(&inner, &net), counts: counts(&inner), longest, time, story }
}

impl Report {
    /// Adds another run. Digests are mixed.
    pub fn add(&mut self, other: Self) {
        self.wrong.extend(other.wrong);
        self.digest = mix(self.digest, &other.digest.to_le_bytes());
        self.longest = self.longest.max(other.longest);
        self.time += other.time;
        for (name, count) in other.counts {
            *self.counts.entry(name).or_default() += count;
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in &self.counts {
            writeln!(f, "{count:>10}  {name}")?;
        }
        writeln!(f, "{:>10}  seconds simulated", self.time.as_secs())?;
        write!(f, "{:>8}ms  longest pending after the callee had died", self.longest.as_millis())
    }
}

fn story(history: &Inner) -> String {
    let calls = history.calls.iter().enumerate().map(|(number, call)| format!("{number}: {call:?}"));
    let registrations = history.registrations.iter().enumerate();
    let registrations = registrations.map(|(number, registered)| format!("{number}: {registered:?}"));
    let effects = history.effects.iter().map(|effect| format!("{effect:?}"));
    let faults = history.faults.iter().map(|fault| format!("{fault:?}"));
    calls.chain(registrations).chain(faults).chain(effects).collect::<Vec<_>>().join("\n")
}

fn counts(history: &Inner) -> BTreeMap<String, u64> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut count = |name: String| *counts.entry(name).or_default() += 1;
    for call in &history.calls {
        count("calls".into());
        match call.end {
            Some((Outcome::Replied, _)) => count("calls: replied".into()),
            Some((Outcome::Left, _)) => count("calls: left by their callers".into()),
            Some((Outcome::Failed(kind, delivery), _)) => count(format!("calls: {kind}, {delivery}")),
            None => count("calls: not ended".into()),
        }
    }
    for effect in &history.effects {
        count(match effect.kind {
            EffectKind::Begins { .. } => "turns begun".into(),
            EffectKind::Ends => "turns ended".into(),
            EffectKind::Dropped => "turns dropped".into(),
        });
    }
    for fault in &history.faults {
        count(match fault.kind {
            FaultKind::Killed => "servers killed".into(),
            FaultKind::Partitioned => "partitions".into(),
            FaultKind::Paused => "pauses".into(),
            FaultKind::ShutDown => "servers shut down".into(),
            FaultKind::Moved => "actors registered anew".into(),
        });
    }
    counts
}

fn digest(history: &Inner, net: &SimNet) -> u64 {
    let mut digest = net.log().digest();
    for call in &history.calls {
        digest = mix(digest, format!("{call:?}").as_bytes());
    }
    for effect in &history.effects {
        digest = mix(digest, format!("{effect:?}").as_bytes());
    }
    digest
}

/// FNV-1a.
fn mix(digest: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(digest, |digest, byte| (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
