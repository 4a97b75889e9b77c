//! Rounds of measurements, the peers in turn within a row: each in new processes, and once more if others used the
//! machine meanwhile.

use std::{
    env,
    io::{self, Read},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use super::{
    arguments::{Arguments, Effort, Experiment, Row},
    process,
};
use crate::machine::Usage;

/// A measurement is repeated if others used more of the machine than this.
pub(crate) const QUIET: f64 = 0.1;

/// How often a measurement is tried until it counts as it is.
const TRIES: usize = 3;

/// A measurement that takes longer is ended.
const LIMIT: Duration = Duration::from_secs(30);

/// How long its process may take to end once it has said everything.
const END: Duration = Duration::from_secs(5);

/// Everything that was measured.
pub(crate) struct Results {
    pub(crate) effort: Effort,
    pub(crate) runs: Vec<Run>,
    /// How many measurements were repeated.
    pub(crate) repeated: usize,
}

/// A measurement that counts.
pub(crate) struct Run {
    pub(crate) experiment: Experiment,
    pub(crate) round: usize,
    /// The part of the machine that others used.
    pub(crate) foreign: f64,
    /// Metrics and their values; none if it failed.
    pub(crate) figures: Vec<(String, f64)>,
}

impl Run {
    /// Memory does not depend on what others do.
    pub(crate) fn disturbed(&self) -> bool {
        self.foreign > QUIET && self.experiment.row != Row::Idle
    }
}

pub(crate) fn run(arguments: &Arguments) -> Results {
    let Arguments { effort, peers, rows, .. } = arguments;
    let mut results = Results { effort: *effort, runs: Vec::new(), repeated: 0 };
    for &row in rows {
        for round in 0..effort.rounds {
            // Each round begins with another peer, so that none always comes first.
            for turn in 0..peers.len() {
                results.measure(round, Experiment { row, peer: peers[(turn + round) % peers.len()] });
            }
        }
        eprintln!("{row} is done");
    }
    results
}

impl Results {
    /// Measures until nobody disturbs it; what was disturbed least counts.
    fn measure(&mut self, round: usize, experiment: Experiment) {
        let mut best: Option<Run> = None;
        for attempt in 0..TRIES {
            self.repeated += usize::from(attempt > 0);
            match one(experiment, round, self.effort) {
                Ok(run) => {
                    let disturbed = run.disturbed();
                    if best.as_ref().is_none_or(|best| run.foreign < best.foreign) {
                        best = Some(run);
                    }
                    // A short run is a few ticks, too few to tell.
                    if !disturbed || self.effort.quick() {
                        break;
                    }
                }
                Err(error) => eprintln!("{} of {} failed: {error}", experiment.row, experiment.peer),
            }
        }
        let failed = Run { experiment, round, foreign: f64::NAN, figures: Vec::new() };
        self.runs.push(best.unwrap_or(failed));
    }
}

/// One measurement in new processes, and what part of the machine others used meanwhile.
fn one(experiment: Experiment, round: usize, effort: Effort) -> io::Result<Run> {
    let before = Usage::now();
    let mut command = Command::new(env::current_exe()?);
    command.args(["net", "--seconds", &effort.time.as_secs_f64().to_string(), "--one"]);
    command.args([experiment.row.to_string(), experiment.peer.to_string()]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut output = child.stdout.take().expect("it is piped");
    let (done, said) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        // Nobody hears it if the measurement took too long.
        let _ = done.send(output.read_to_string(&mut text).map(|_| text));
    });
    // Asleep, until it has said everything. To look now and then whether it has ended wakes a processor that is being
    // measured: each 2 ms, that took an eighth of what a shape with many threads does.
    let text = said.recv_timeout(LIMIT);
    let success = process::wait(&mut child, if text.is_ok() { END } else { Duration::ZERO })?;
    let text = text.map_err(io::Error::other)??;
    if !success {
        return Err(io::Error::other("its process ended with an error"));
    }
    let foreign = match (before, Usage::now()) {
        (Some(before), Some(after)) => after.foreign_since(&before),
        _ => f64::NAN,
    };
    let figures = text.lines().map(|line| {
        let (metric, value) = line.split_once(' ')?;
        Some((metric.to_owned(), value.parse().ok()?))
    });
    let figures: Option<Vec<_>> = figures.collect();
    let figures = figures.ok_or_else(|| io::Error::other(format!("it said {text:?}")))?;
    Ok(Run { experiment, round, foreign, figures })
}
