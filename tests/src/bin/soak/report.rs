//! What is told at the end.

use std::{fmt::Write, sync::Arc};

use crate::{left::Left, tally::Tally};

/// What a half may leave on the heap of nodes that are at rest: so many bytes in all, and so many an operation. Tables
/// that have grown stay as large as they were at their fullest. In a long run a leak of one allocation an operation is
/// more.
const GROWTH: i64 = 1024 * 1024;
const GROWTH_A_DEED: i64 = 4;

/// What may be left of everything when the nodes are gone.
const REST: i64 = 64 * 1024;

pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) seconds: u64,
    pub(crate) before: Left,
    /// How many operations there had been, and what there was: after the warm-up and after each half.
    pub(crate) rests: Vec<(u64, Left)>,
    pub(crate) after: Left,
    pub(crate) tally: Arc<Tally>,
}

impl Report {
    /// Bytes that the second half left, and how many operations it had.
    fn growth(&self) -> (i64, u64) {
        match &self.rests[..] {
            [.., (before, first), (after, second)] => (second.heap - first.heap, after - before),
            _ => (0, 0),
        }
    }

    fn faults(&self) -> Vec<String> {
        let (count, mut faults) = self.tally.faults();
        let untold = count - faults.len() as u64;
        if untold > 0 {
            faults.push(format!("and {untold} more"));
        }
        let (growth, deeds) = self.growth();
        if growth > GROWTH + GROWTH_A_DEED * deeds as i64 {
            faults
                .push(format!("the heap grew by {growth} bytes in the second half, with {deeds} operations"));
        }
        let rest = self.after.heap - self.before.heap;
        if rest > REST {
            faults.push(format!("{rest} bytes of the heap are left"));
        }
        faults
    }

    pub(crate) fn is_right(&self) -> bool {
        self.faults().is_empty()
    }

    pub(crate) fn text(&self) -> String {
        let mut text =
            format!("seed {}, {} s, {} operations\n\n", self.seed, self.seconds, self.tally.deeds());
        for (what, count) in self.tally.counts() {
            line(&mut text, format_args!("{count:>10}  {what}"));
        }
        line(
            &mut text,
            format_args!(
                "\n{:<28}{:>12}{:>8}{:>9}{:>7}{:>8}{:>7}",
                "", "heap", "tasks", "threads", "files", "actors", "names"
            ),
        );
        let names = ["at rest, warmed up", "at rest, after one half", "at rest, after both"];
        let rests = names.into_iter().zip(self.rests.iter().map(|(_, left)| left));
        let rows =
            [("before", &self.before)].into_iter().chain(rests).chain([("nodes dropped", &self.after)]);
        for (name, left) in rows {
            let Left { heap, tasks, threads, files, actors, names } = left;
            line(
                &mut text,
                format_args!("{name:<28}{heap:>12}{tasks:>8}{threads:>9}{files:>7}{actors:>8}{names:>7}"),
            );
        }
        let (growth, deeds) = self.growth();
        line(
            &mut text,
            format_args!(
                "\nthe heap: {growth} bytes more by the second half, with {deeds} operations; {} bytes more at the end than \
                 before\na call took {:?} at most beyond its deadline; a task was woken {:?} late at most",
                self.after.heap - self.before.heap,
                self.tally.beyond(),
                self.tally.late(),
            ),
        );
        match &self.faults()[..] {
            [] => line(&mut text, format_args!("nothing is left, and nothing was wrong")),
            faults => {
                line(&mut text, format_args!("wrong:"));
                for fault in faults {
                    line(&mut text, format_args!("  {fault}"));
                }
            }
        }
        text
    }

    pub(crate) fn json(&self) -> String {
        let counts: Vec<String> =
            self.tally.counts().iter().map(|(what, count)| format!("{what:?}:{count}")).collect();
        let left = |left: &Left| {
            let Left { heap, tasks, threads, files, actors, names } = left;
            format!(
                r#"{{"heap":{heap},"tasks":{tasks},"threads":{threads},"files":{files},"actors":{actors},"names":{names}}}"#
            )
        };
        let rests: Vec<String> = self
            .rests
            .iter()
            .map(|(deeds, rest)| format!(r#"{{"operations":{deeds},"left":{}}}"#, left(rest)))
            .collect();
        let faults: Vec<String> = self.faults().iter().map(|fault| quoted(fault)).collect();
        format!(
            "{{\"seed\":{},\"seconds\":{},\"counts\":{{{}}},\n\"before\":{},\n\"rests\":[{}],\n\"after\":{},\n\"beyond_ms\":{},\
             \"late_ms\":{},\"wrong\":[{}]}}\n",
            self.seed,
            self.seconds,
            counts.join(","),
            left(&self.before),
            rests.join(","),
            left(&self.after),
            self.tally.beyond().as_millis(),
            self.tally.late().as_millis(),
            faults.join(",")
        )
    }
}

/// As a JSON string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter.is_control() => quoted.push(' '),
            letter => quoted.push(letter),
        }
    }
    quoted + "\""
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a text takes what is written");
}
