//! Rounds of measurements, each in a process of its own.

use std::{env, io, process::Command};

use crate::{
    arguments::{Effort, Experiment, PeerName, Row, Threads},
    machine::Usage,
};

/// Everything that was measured.
pub(crate) struct Results {
    pub(crate) effort: Effort,
    pub(crate) figures: Vec<Figure>,
    /// The part of the machine that others used, for each measurement.
    pub(crate) foreign: Vec<f64>,
}

/// One value.
pub(crate) struct Figure {
    pub(crate) experiment: Experiment,
    pub(crate) round: usize,
    pub(crate) metric: String,
    pub(crate) value: f64,
}

pub(crate) fn run(effort: &Effort) -> io::Result<Results> {
    let mut results = Results { effort: *effort, figures: Vec::new(), foreign: Vec::new() };
    for round in 0..effort.rounds {
        for &threads in Threads::ALL {
            for &row in Row::ALL {
                // Each round begins with another peer, so that none always comes first.
                for turn in 0..PeerName::ALL.len() {
                    let peer = PeerName::ALL[(turn + round) % PeerName::ALL.len()];
                    results.measure(round, Experiment { row, peer, threads })?;
                }
            }
        }
        eprintln!("round {} of {}", round + 1, effort.rounds);
    }
    Ok(results)
}

impl Results {
    fn measure(&mut self, round: usize, experiment: Experiment) -> io::Result<()> {
        let before = Usage::now();
        let output = one(experiment, &self.effort)?;
        if let (Some(before), Some(after)) = (before, Usage::now()) {
            self.foreign.push(after.foreign_since(&before));
        }
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

/// One measurement in a process of its own, and what it says.
fn one(experiment: Experiment, effort: &Effort) -> io::Result<String> {
    let Experiment { row, peer, threads } = experiment;
    let output = Command::new(env::current_exe()?)
        .args(["--seconds".to_owned(), effort.time.as_secs_f64().to_string()])
        .args(["--one".to_owned(), row.to_string(), peer.to_string(), threads.to_string()])
        .output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("{experiment:?} ended with {}: {text}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
