//! The command line, and the names of what can be measured.

use std::time::Duration;

use crate::words::{named, number};

pub(crate) const USAGE: &str = "\
Measures actors of one process beside other frameworks and bare channels, side by side in one run.

usage: cargo run --release --manifest-path benches/peers/Cargo.toml -- [options]

  --quick              one round of little work: to see that it runs, not to quote
  --rounds N           how many rounds; 5
  --seconds S          how long one measurement lasts, from 0.01 to 60; 0.4
  --json FILE          also writes every figure of every round
  --one ROW PEER RT    one measurement in this process, for a profiler
  --help               this text

  ROW   alone        asks of one caller
        callers64    asks of 64 callers of one actor
        tell1        tells of one producer, until they were handled
        tell4        the same of four
        life         starting an actor, its first ask, its end
        fanout       one ask each of 1,000 actors, until all have answered
        memory       heap of 10,000 idle actors; allocations of an ask
  PEER  tokio, kanal, actix, kameo, ractor, xtra, ours
  RT    one, two     threads";

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
    /// How long one measurement lasts.
    pub(crate) time: Duration,
}

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Experiment {
    pub(crate) row: Row,
    pub(crate) peer: PeerName,
    pub(crate) threads: Threads,
}

named! {
    /// What is measured.
    Row {
        Alone = "alone",
        Callers64 = "callers64",
        Tell1 = "tell1",
        Tell4 = "tell4",
        Life = "life",
        FanOut = "fanout",
        Memory = "memory",
    }
}

named! {
    /// Who is measured.
    PeerName {
        Tokio = "tokio",
        Kanal = "kanal",
        Actix = "actix",
        Kameo = "kameo",
        Ractor = "ractor",
        Xtra = "xtra",
        Ours = "ours",
    }
}

named! {
    /// On how many threads it runs.
    Threads { One = "one", Two = "two" }
}

impl Arguments {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut effort = Effort { rounds: 5, time: Duration::from_millis(400) };
        let (mut json, mut work) = (None, Work::All);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--quick" => effort = Effort { rounds: 1, time: Duration::from_millis(20) },
                "--rounds" => effort.rounds = number(&value()?)?,
                "--seconds" => effort.time = seconds(&value()?)?,
                "--json" => json = Some(value()?),
                "--one" => {
                    let (row, peer, threads) = (value()?.parse()?, value()?.parse()?, value()?.parse()?);
                    work = Work::One(Experiment { row, peer, threads });
                }
                "--help" | "-h" => work = Work::Help,
                other => return Err(format!("{other:?} is not an option")),
            }
        }
        Ok(Self { effort, json, work })
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.01..=60.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| format!("{text:?} is not between 0.01 and 60 seconds"))
}
