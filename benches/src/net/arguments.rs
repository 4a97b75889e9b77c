//! The command line of `net`, and the names of what can be measured.

use std::time::Duration;

use crate::words::{named, number};

pub(crate) const USAGE: &str = "\
Measures calls between two processes over 127.0.0.1, side by side in one run.

usage: cargo run --release -p benches -- net [options]

  --quick          one round of little work: to see that it runs, not to quote
  --rounds N       how many rounds; 5
  --seconds S      how long one measurement lasts, from 0.05 to 3; 2
  --peers A,B      only these
  --rows A,B       only these
  --json FILE      also writes every figure of every round
  --one ROW PEER   one measurement in this process and a server of its own, for a profiler
  --help           this text

  ROW   seq         one call in flight
        seq-pinned  the same, both processes on one processor
        c64, c512   so many callers on one connection
        c64-apart, c512-apart
                    the same, each process on a processor of its own: elsewhere the system's scheduler moves
                    threads between processors, and figures of the same program differ by half
        mib, mib8   1 MiB there and back, one and eight in flight
        connect     a connection and its first call
        idle        resident memory of a connection

  PEER  ours-a        this project; network thread, and an actor on two workers
        ours-c        the same, the actor on the network thread
        ours-e        the same, one thread for everything
        quinn-a       one stream for all calls; network thread, and an actor on two workers
        quinn-c       the same, answered on the network thread
        quinn-e       the same with an actor, one thread for everything
        quinn-stream  a stream a call, two workers
        tls           TLS over TCP, answered in the reader, two workers";

/// What the command line asks for.
pub(crate) struct Arguments {
    pub(crate) effort: Effort,
    pub(crate) peers: Vec<PeerName>,
    pub(crate) rows: Vec<Row>,
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
    /// How long one measurement lasts, its start aside.
    pub(crate) time: Duration,
}

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Experiment {
    pub(crate) row: Row,
    pub(crate) peer: PeerName,
}

named! {
    /// What is measured.
    Row {
        Seq = "seq",
        SeqPinned = "seq-pinned",
        Callers64 = "c64",
        Callers512 = "c512",
        Apart64 = "c64-apart",
        Apart512 = "c512-apart",
        Mib = "mib",
        Mib8 = "mib8",
        Connect = "connect",
        Idle = "idle",
    }
}

named! {
    /// Who is measured.
    PeerName {
        OursA = "ours-a",
        OursC = "ours-c",
        OursE = "ours-e",
        QuinnA = "quinn-a",
        QuinnC = "quinn-c",
        QuinnE = "quinn-e",
        QuinnStream = "quinn-stream",
        Tls = "tls",
    }
}

impl PeerName {
    /// What it is compared with: bare QUIC in the same shape.
    pub(crate) fn floor(self) -> Self {
        match self {
            Self::OursC => Self::QuinnC,
            Self::OursE => Self::QuinnE,
            _ => Self::QuinnA,
        }
    }
}

impl Arguments {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut parsed = Self {
            effort: Effort { rounds: 5, time: Duration::from_secs(2) },
            peers: PeerName::ALL.to_vec(),
            rows: Row::ALL.to_vec(),
            json: None,
            work: Work::All,
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--quick" => parsed.effort = Effort { rounds: 1, time: QUICK },
                "--rounds" => parsed.effort.rounds = number(&value()?)?,
                "--seconds" => parsed.effort.time = seconds(&value()?)?,
                "--peers" => parsed.peers = list(&value()?)?,
                "--rows" => parsed.rows = list(&value()?)?,
                "--json" => parsed.json = Some(value()?),
                "--one" => {
                    let (row, peer) = (value()?.parse()?, value()?.parse()?);
                    parsed.work = Work::One(Experiment { row, peer });
                }
                "--help" | "-h" => parsed.work = Work::Help,
                other => return Err(format!("{other:?} is not an option")),
            }
        }
        Ok(parsed)
    }
}

const QUICK: Duration = Duration::from_millis(200);

impl Effort {
    /// Whether figures are only to see that it runs.
    pub(crate) fn quick(&self) -> bool {
        self.time <= QUICK
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.05..=3.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| format!("{text:?} is not a time from 0.05 to 3 s"))
}

fn list<T: std::str::FromStr<Err = String>>(text: &str) -> Result<Vec<T>, String> {
    text.split(',').map(str::parse).collect()
}
