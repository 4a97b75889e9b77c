//! Rounds of measurements: each in a process of its own, and once more if others used the machine meanwhile.

use std::{env, io, process::Command};

use crate::{
    arguments::{Effort, Experiment, PeerName, Row, RuntimeName},
    machine::Usage,
};

/// A measurement is repeated if others used more of the machine than this.
const QUIET: f64 = 0.1;

/// How often a measurement is tried until it counts as it is.
const TRIES: usize = 3;

/// One more measurement for so many is spent on repeating, so that a busy machine does not make a run endless.
const PLANNED_A_REPEAT: usize = 4;

/// Everything that was measured.
pub(crate) struct Results {
    pub(crate) effort: Effort,
    pub(crate) figures: Vec<Figure>,
    /// The part of the machine that others used, for each measurement that counts.
    pub(crate) foreign: Vec<f64>,
    /// How many measurements were repeated, and how many count although they were disturbed.
    pub(crate) repeated: usize,
    pub(crate) disturbed: usize,
}

/// One value.
pub(crate) struct Figure {
    pub(crate) experiment: Experiment,
    pub(crate) round: usize,
    pub(crate) metric: String,
    pub(crate) value: f64,
}

pub(crate) fn run(effort: &Effort) -> io::Result<Results> {
    let mut results =
        Results { effort: *effort, figures: Vec::new(), foreign: Vec::new(), repeated: 0, disturbed: 0 };
    for round in 0..effort.rounds {
        for &runtime in RuntimeName::ALL {
            for &row in Row::ALL {
                // Each round begins with another peer, so that none always comes first.
                for turn in 0..PeerName::ALL.len() {
                    let peer = PeerName::ALL[(turn + round) % PeerName::ALL.len()];
                    results.measure(round, Experiment { row, peer, runtime })?;
                }
            }
        }
        eprintln!("round {} of {}", round + 1, effort.rounds);
    }
    Ok(results)
}

impl Results {
    /// Measures until nobody disturbs it; what was disturbed least counts.
    fn measure(&mut self, round: usize, experiment: Experiment) -> io::Result<()> {
        let mut best: Option<(f64, String)> = None;
        let planned = self.effort.rounds * RuntimeName::ALL.len() * Row::ALL.len() * PeerName::ALL.len();
        for attempt in 0..TRIES {
            if attempt > 0 && self.repeated * PLANNED_A_REPEAT >= planned {
                break;
            }
            self.repeated += usize::from(attempt > 0);
            let (foreign, output) = one(experiment, &self.effort)?;
            if best.as_ref().is_none_or(|(least, _)| foreign < *least) {
                best = Some((foreign, output));
            }
            // Counts do not depend on what others do; and little work ends within a few ticks, too few to tell.
            if foreign <= QUIET || experiment.row == Row::Memory || self.effort.quick() {
                break;
            }
        }
        let Some((foreign, output)) = best else { return Ok(()) };
        self.foreign.push(foreign);
        self.disturbed += usize::from(foreign > QUIET);
        for line in output.lines() {
            let value = line.split_once(' ').and_then(|(metric, value)| Some((metric, value.parse().ok()?)));
            let Some((metric, value)) = value else {
                return Err(io::Error::other(format!("{experiment:?} said {line:?}")));
            };
            self.figures.push(Figure { experiment, round, metric: metric.to_owned(), value });
        }
        Ok(())
    }
}

/// One measurement in a process of its own, and what part of the machine others used meanwhile.
fn one(experiment: Experiment, effort: &Effort) -> io::Result<(f64, String)> {
    let Experiment { row, peer, runtime } = experiment;
    let before = Usage::now();
    let mut command = Command::new(env::current_exe()?);
    if effort.quick() {
        command.arg("--quick");
    }
    command.args(["--one".to_owned(), row.to_string(), peer.to_string(), runtime.to_string()]);
    let output = command.output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("{experiment:?} ended with {}: {text}", output.status)));
    }
    let foreign = match (before, Usage::now()) {
        (Some(before), Some(after)) => after.foreign_since(&before),
        _ => f64::NAN,
    };
    Ok((foreign, String::from_utf8_lossy(&output.stdout).into_owned()))
}
