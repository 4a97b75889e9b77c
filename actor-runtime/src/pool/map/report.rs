//! How a batch is getting on, and what it came to.

use std::{fmt, time::Duration};

use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::time::Instant;

/// How far a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Progress {
    /// Items that have their outcome.
    pub done: u64,
    /// Of these, those that failed.
    pub failed: u64,
    /// Calls beyond the first of an item.
    pub retries: u64,
    /// How many items there are, if the iterator said so.
    pub total: Option<u64>,
    /// Time since the first call.
    pub elapsed: Duration,
}

/// What a batch came to. As text, a few lines.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Items that have their outcome.
    pub items: u64,
    /// Of these, those that succeeded.
    pub succeeded: u64,
    /// Of these, those that failed: in the infrastructure, or with their method's own error.
    pub failed: u64,
    /// Calls beyond the first of an item, those included that the pool sent to another member by itself.
    pub retries: u64,
    /// Time from the first call to the last outcome.
    pub elapsed: Duration,
    /// Outcomes a second.
    pub per_second: f64,
    /// How long items took, from their first call to their outcome: half of them no longer than this.
    pub p50: Duration,
    /// Nine of ten no longer than this.
    pub p90: Duration,
    /// Ninety-nine of a hundred no longer than this.
    pub p99: Duration,
    /// The longest.
    pub longest: Duration,
}

/// What is counted. Times are kept to two digits, in microseconds, up to an hour.
pub(super) struct Tally {
    total: Option<usize>,
    begun: Option<Instant>,
    last: Option<Instant>,
    succeeded: u64,
    failed: u64,
    again: u64,
    times: Histogram<u32>,
}

const HOUR: u64 = 3_600_000_000;

impl Tally {
    pub(super) fn new(total: Option<usize>) -> Self {
        let times = Histogram::new_with_max(HOUR, 2).expect("two digits up to an hour is a histogram");
        Self { total, begun: None, last: None, succeeded: 0, failed: 0, again: 0, times }
    }

    #[cfg(feature = "progress")]
    pub(super) fn total(&self) -> Option<usize> {
        self.total
    }

    pub(super) fn begin(&mut self, now: Option<Instant>) {
        self.begun = self.begun.or(now);
    }

    pub(super) fn again(&mut self) {
        self.again += 1;
    }

    pub(super) fn end(&mut self, succeeded: bool, time: Option<Duration>) {
        if succeeded {
            self.succeeded += 1;
        } else {
            self.failed += 1;
        }
        let micros = u64::try_from(time.unwrap_or_default().as_micros()).unwrap_or(u64::MAX);
        self.times.saturating_record(micros);
    }

    pub(super) fn progress(&mut self, elsewhere: u64, now: Option<Instant>) -> Progress {
        self.last = now.or(self.last);
        Progress {
            done: self.succeeded + self.failed,
            failed: self.failed,
            retries: self.again + elsewhere,
            total: self.total.map(|total| total as u64),
            elapsed: self.elapsed(),
        }
    }

    fn elapsed(&self) -> Duration {
        match (self.begun, self.last) {
            (Some(begun), Some(last)) => last.saturating_duration_since(begun),
            _ => Duration::ZERO,
        }
    }

    pub(super) fn report(&self, elsewhere: u64, now: Option<Instant>) -> Report {
        let items = self.succeeded + self.failed;
        let until = self.last.or(now);
        let elapsed = match (self.begun, until) {
            (Some(begun), Some(until)) => until.saturating_duration_since(begun),
            _ => Duration::ZERO,
        };
        let per_second = if elapsed.is_zero() { 0.0 } else { items as f64 / elapsed.as_secs_f64() };
        let at = |quantile| Duration::from_micros(self.times.value_at_quantile(quantile));
        Report {
            items,
            succeeded: self.succeeded,
            failed: self.failed,
            retries: self.again + elsewhere,
            elapsed,
            per_second,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            longest: at(1.0),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { items, succeeded, failed, retries, elapsed, per_second, .. } = self;
        writeln!(f, "{items} items in {elapsed:.2?}, {per_second:.0} a second")?;
        writeln!(f, "{succeeded} succeeded, {failed} failed, {retries} retries")?;
        let Self { p50, p90, p99, longest, .. } = self;
        write!(f, "p50 {p50:.1?}, p90 {p90:.1?}, p99 {p99:.1?}, longest {longest:.1?}")
    }
}

/// A bar on standard error, if that is a terminal.
#[cfg(feature = "progress")]
pub(super) fn bar(total: Option<usize>) -> indicatif::ProgressBar {
    use indicatif::{ProgressBar, ProgressStyle};
    let (bar, template) = match total {
        Some(total) => {
            let template = "{bar:30} {pos}/{len} {per_sec} {msg} {eta} left";
            (ProgressBar::new(total as u64), template)
        }
        None => (ProgressBar::no_length(), "{spinner} {pos} {per_sec} {msg}"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Shows on it how far a batch is.
#[cfg(feature = "progress")]
pub(super) fn show(bar: &indicatif::ProgressBar, progress: &Progress) {
    if progress.failed > 0 || progress.retries > 0 {
        bar.set_message(format!("{} failed, {} retries", progress.failed, progress.retries));
    }
    bar.set_position(progress.done);
    if progress.total == Some(progress.done) {
        bar.finish();
    }
}
