//! The command line, and the names of what can be measured.

use crate::words::{named, number};

pub(crate) const USAGE: &str = "\
Measures calls in one process beside bare channels, side by side in one run.

usage: cargo run --release -p benches -- [options]
       cargo run --release -p benches -- net [options]    between two processes; net --help says more

  --quick              two rounds of little work: to see that it runs, not to quote
  --rounds N           how many rounds; 7
  --json FILE          also writes every figure of every round
  --one ROW PEER RT    one measurement in this process, for a profiler
  --work N             so many times the work of a measurement; 1
  --help               this text

  ROW   alone, callers64, spawn, memory
  PEER  tokio, kanal, direct-mut, direct-ref, encoded-mut, encoded-ref
  RT    multi, current";

/// What the command line asks for.
pub(crate) struct Arguments {
    pub(crate) effort: Effort,
    pub(crate) json: Option<String>,
    pub(crate) work: Work,
}

pub(crate) enum Work {
    Help,
    One(Experiment),
    All,
}

/// How much to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    /// Asks of one measurement, in thousands.
    pub(crate) thousands: usize,
    /// Actors of one measurement.
    pub(crate) actors: usize,
}

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Experiment {
    pub(crate) row: Row,
    pub(crate) peer: PeerName,
    pub(crate) runtime: RuntimeName,
}

named! {
    /// What is measured.
    Row { Alone = "alone", Callers64 = "callers64", Spawn = "spawn", Memory = "memory" }
}

named! {
    /// Who is measured.
    PeerName {
        Tokio = "tokio",
        Kanal = "kanal",
        DirectMut = "direct-mut",
        DirectRef = "direct-ref",
        EncodedMut = "encoded-mut",
        EncodedRef = "encoded-ref",
    }
}

named! {
    /// What it runs on.
    RuntimeName { Multi = "multi", Current = "current" }
}

impl Arguments {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut effort = Effort { rounds: 7, thousands: 400, actors: 100_000 };
        let (mut json, mut work, mut times) = (None, Work::All, 1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--quick" => effort = Effort { rounds: 2, thousands: 40, actors: 10_000 },
                "--rounds" => effort.rounds = number(&value()?)?,
                "--work" => times = number(&value()?)?,
                "--json" => json = Some(value()?),
                "--one" => {
                    let (row, peer, runtime) = (value()?.parse()?, value()?.parse()?, value()?.parse()?);
                    work = Work::One(Experiment { row, peer, runtime });
                }
                "--help" | "-h" => work = Work::Help,
                other => return Err(format!("{other:?} is not an option")),
            }
        }
        effort.thousands *= times;
        Ok(Self { effort, json, work })
    }
}

impl Effort {
    /// Whether `--quick` gave it.
    pub(crate) fn quick(&self) -> bool {
        self.actors < 100_000
    }
}
