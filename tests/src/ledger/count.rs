//! What callers were told, held against the lines of the file.

use std::{
    collections::{BTreeMap, HashMap},
    fmt, fs, io,
    path::Path,
    time::Duration,
};

use actor_runtime::Delivery;

/// Which method was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Plain.
    Add,
    /// `#[idempotent]`.
    Put,
    /// `#[dedup]`.
    Append,
}

/// One effect, as it stands in the file.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// The method that had it.
    pub kind: Kind,
    /// The call.
    pub id: u64,
    /// The server.
    pub process: u32,
    /// What was replied.
    pub reply: u64,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, id, process, reply } = self;
        writeln!(f, "{kind:?} {id} {process} {reply}")
    }
}

/// The effects in a file.
///
/// # Errors
/// The file cannot be read, or holds something else.
pub fn lines(path: &Path) -> io::Result<Vec<Line>> {
    let parse = |line: &str| {
        let mut words = line.split(' ');
        let kind = match words.next()? {
            "Add" => Kind::Add,
            "Put" => Kind::Put,
            "Append" => Kind::Append,
            _ => return None,
        };
        let mut number = || words.next()?.parse::<u64>().ok();
        Some(Line { kind, id: number()?, process: u32::try_from(number()?).ok()?, reply: number()? })
    };
    let text = fs::read_to_string(path)?;
    text.lines()
        .map(|line| parse(line).ok_or_else(|| io::Error::other(format!("{line:?} is no effect"))))
        .collect()
}

/// One call, as its caller saw it.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method.
    pub kind: Kind,
    /// Its number.
    pub id: u64,
    /// How it ended.
    pub end: End,
    /// How long it took.
    pub took: Duration,
    /// How long it might take.
    pub has: Duration,
    /// A fault began, lasted or ended meanwhile.
    pub struck: bool,
}

/// How a call ended.
#[derive(Clone, Debug)]
pub enum End {
    /// With this reply.
    Replied(u64),
    /// With this failure, in a word.
    Failed(String, Delivery),
}

/// What became of the calls of one run.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// How often the fault was injected.
    pub faults: u64,
    /// How often a call was tried again.
    pub retries: u64,
    /// The calls.
    pub calls: u64,
    /// Calls that were under way during a fault.
    pub struck: u64,
    /// Calls with a reply.
    pub acknowledged: u64,
    /// The other calls, by kind and delivery.
    pub failed: BTreeMap<String, u64>,
    /// Lines of the file.
    pub effects: u64,
    /// Calls that had more than one effect, by method.
    pub doubled: BTreeMap<Kind, u64>,
    /// Calls whose end is `Unknown`, with an effect and without, by method.
    pub unknown: BTreeMap<Kind, (u64, u64)>,
    /// The longest that a call took.
    pub longest: Duration,
    /// The longest that one took beyond its deadline.
    pub longest_beyond: Duration,
    /// How long that may be.
    pub slack: Duration,
    /// What may not be: how often each of it was.
    pub wrong: BTreeMap<&'static str, u64>,
}

impl Figures {
    /// Counts. A call may take so much longer than it has, for timers and scheduling.
    #[must_use]
    pub fn count(calls: &[Call], lines: &[Line], slack: Duration) -> Self {
        let mut effects: HashMap<(Kind, u64), Vec<Line>> = HashMap::new();
        for line in lines {
            effects.entry((line.kind, line.id)).or_default().push(*line);
        }
        let of_nobody = lines.len()
            - calls.iter().filter_map(|call| Some(effects.get(&(call.kind, call.id))?.len())).sum::<usize>();
        let mut figures = Self { effects: lines.len() as u64, slack, ..Self::default() };
        for what in WRONG {
            figures.wrong.insert(what, 0);
        }
        figures.wrong(EFFECT_OF_NOBODY, of_nobody > 0);
        for call in calls {
            figures.add(call, effects.get(&(call.kind, call.id)).map_or(&[], |lines| &lines[..]));
        }
        figures
    }

    fn add(&mut self, call: &Call, effects: &[Line]) {
        let Call { kind, end, took, has, struck, .. } = call;
        self.calls += 1;
        self.struck += u64::from(*struck);
        self.longest = self.longest.max(*took);
        let beyond = took.saturating_sub(*has);
        self.longest_beyond = self.longest_beyond.max(beyond);
        self.wrong(LATE, beyond > self.slack);
        let done = !effects.is_empty();
        let doubled = effects.len() > 1;
        *self.doubled.entry(*kind).or_default() += u64::from(doubled);
        self.wrong(DOUBLED, doubled && *kind != Kind::Put);
        match end {
            End::Replied(reply) => {
                self.acknowledged += 1;
                self.wrong(MISSING, !done);
                self.wrong(OTHER_REPLY, done && effects.iter().all(|line| line.reply != *reply));
            }
            End::Failed(what, delivery) => {
                *self.failed.entry(format!("{kind:?}: {what}, {delivery}")).or_default() += 1;
                self.wrong(NOT_DELIVERED, *delivery == Delivery::NotDelivered && done);
                self.wrong(EXECUTED, *delivery == Delivery::Executed && !done);
                if *delivery == Delivery::Unknown {
                    let (with, without) = self.unknown.entry(*kind).or_default();
                    *(if done { with } else { without }) += 1;
                }
            }
        }
    }

    fn wrong(&mut self, what: &'static str, is_so: bool) {
        *self.wrong.entry(what).or_default() += u64::from(is_so);
    }

    /// Whether all is as it has to be.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.wrong.values().all(|count| *count == 0)
    }
}

const MISSING: &str = "acknowledged, and not in the file";
const OTHER_REPLY: &str = "acknowledged with a reply that no effect gave";
const DOUBLED: &str = "plain and `dedup` calls with two effects";
const NOT_DELIVERED: &str = "`NotDelivered`, and in the file";
const EXECUTED: &str = "`Executed`, and not in the file";
const LATE: &str = "ended past their bound";
const EFFECT_OF_NOBODY: &str = "effects that nobody called for";
const WRONG: [&str; 7] = [MISSING, OTHER_REPLY, DOUBLED, NOT_DELIVERED, EXECUTED, LATE, EFFECT_OF_NOBODY];

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let doubled = |kind| self.doubled.get(&kind).copied().unwrap_or_default();
        writeln!(
            f,
            "  {:>6} calls, {} of them under way during one of {} faults",
            self.calls, self.struck, self.faults
        )?;
        writeln!(f, "  {:>6} acknowledged", self.acknowledged)?;
        for (end, count) in &self.failed {
            writeln!(f, "  {count:>6} {end}")?;
        }
        for (kind, (with, without)) in &self.unknown {
            writeln!(
                f,
                "  {:>6} {kind:?}: unknown, {with} with an effect and {without} without",
                with + without
            )?;
        }
        writeln!(
            f,
            "  {:>6} attempts beyond the first, {:.3} a call",
            self.retries,
            self.retries as f64 / self.calls.max(1) as f64
        )?;
        writeln!(
            f,
            "  {:>6} effects; calls with more than one: {} plain, {} dedup, {} idempotent",
            self.effects,
            doubled(Kind::Add),
            doubled(Kind::Append),
            doubled(Kind::Put)
        )?;
        let Self { longest, longest_beyond, slack, .. } = self;
        writeln!(
            f,
            "  the longest call took {longest:.3?}; the longest beyond its deadline {longest_beyond:.3?} of {slack:.3?}"
        )?;
        for (what, count) in &self.wrong {
            writeln!(f, "  {count:>6} {what}: {}", if *count == 0 { "right" } else { "WRONG" })?;
        }
        Ok(())
    }
}
