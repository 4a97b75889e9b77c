//! What else the machine does while something is measured.

use std::fs;

/// Ticks of all processors since the start, as `/proc` counts them: 100 a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Busy with anything, by any process; time stolen by other guests of the host included.
    busy: u64,
    /// All ticks that there were.
    all: u64,
    /// Busy with processes that this one started and that have ended.
    own: u64,
}

impl Usage {
    /// The present state; `None` where the system does not say.
    pub(crate) fn now() -> Option<Self> {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        let ticks: Vec<u64> =
            stat.lines().next()?.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
        // user nice system idle iowait irq softirq steal; guest time is in user and nice already.
        let ticks = ticks.get(..8)?;
        let all = ticks.iter().sum();
        let busy = all - ticks[3] - ticks[4];
        let own = fs::read_to_string("/proc/self/stat").ok()?;
        // The name in brackets may hold spaces; utime is the twelfth field behind it.
        let own: u64 = own
            .rsplit_once(')')?
            .1
            .split_whitespace()
            .skip(11)
            .take(4)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        Some(Self { busy, all, own })
    }

    /// The part of the machine that others used since then, from 0 to 1.
    pub(crate) fn foreign_since(&self, earlier: &Self) -> f64 {
        let all = self.all.saturating_sub(earlier.all).max(1);
        let own = self.own.saturating_sub(earlier.own);
        let busy = self.busy.saturating_sub(earlier.busy);
        busy.saturating_sub(own) as f64 / all as f64
    }
}

/// Bytes of this process that are in memory; `None` where the system does not say.
pub(crate) fn resident() -> Option<u64> {
    resident_of(std::process::id())
}

/// The same of any process.
pub(crate) fn resident_of(process: u32) -> Option<u64> {
    const PAGE: u64 = 4096;
    let statm = fs::read_to_string(format!("/proc/{process}/statm")).ok()?;
    Some(statm.split_whitespace().nth(1)?.parse::<u64>().ok()? * PAGE)
}
