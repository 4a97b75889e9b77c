//! On which processors a thread runs, where the system lets a program say so.

use std::{cell::Cell, io};

#[cfg(target_os = "linux")]
use rustix::{
    io::Errno,
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

thread_local! {
    static BOUND: Cell<bool> = const { Cell::new(false) };
}

/// Has the calling thread run on this processor only, as its user wants it: others do not follow it there.
pub(super) fn bind(cpu: usize) -> io::Result<()> {
    BOUND.set(true);
    pin(cpu)
}

/// Has the calling thread run on this processor only.
#[cfg(target_os = "linux")]
pub(super) fn pin(cpu: usize) -> io::Result<()> {
    if cpu >= CpuSet::MAX_CPU {
        return Err(io::Error::other(format!("processors are numbered from 0 to {}", CpuSet::MAX_CPU - 1)));
    }
    sched_setaffinity(None, &only(cpu)).map_err(io::Error::from)
}

#[cfg(target_os = "linux")]
fn only(cpu: usize) -> CpuSet {
    let mut only = CpuSet::new();
    only.set(cpu);
    only
}

/// The processors that the calling thread may run on.
#[cfg(target_os = "linux")]
pub(crate) fn allowed() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect())
}

/// The processor that the calling thread is on, if it can be told; not of one that was [bound](bind).
#[cfg(target_os = "linux")]
pub(super) fn current() -> Option<usize> {
    (!BOUND.get()).then(rustix::thread::sched_getcpu)
}

/// Has the calling thread go on at this processor, if it may run there; it may run afterwards wherever it might before. False
/// if it stays. It waits until that processor has time for it. An error says that the system forbids it.
///
/// What the system does not tell cannot be kept: where a thread was bound to more processors than its program has at the
/// moment, it will be able to use all that the program is given later.
#[cfg(target_os = "linux")]
pub(super) fn go_to(cpu: usize) -> io::Result<bool> {
    let before = sched_getaffinity(None)?;
    if cpu >= CpuSet::MAX_CPU || !before.is_set(cpu) {
        return Ok(false);
    }
    match sched_setaffinity(None, &only(cpu)) {
        // Gone in this moment.
        Err(Errno::INVAL) => return Ok(false),
        set => set?,
    }
    if sched_getaffinity(None).is_ok_and(|now| now != only(cpu)) {
        // Somebody else has just said where it may run.
        return Ok(true);
    }
    // To the system it is not the same whether a thread is bound to all processors that its program has now, or to none:
    // only the latter may use those that the program is given later.
    let mut all = CpuSet::new();
    (0..CpuSet::MAX_CPU).for_each(|cpu| all.set(cpu));
    let freed = sched_setaffinity(None, &all).and_then(|()| sched_getaffinity(None));
    if !freed.is_ok_and(|now| now == before)
        && let Err(error) = sched_setaffinity(None, &before)
    {
        tracing::warn!(%error, cpu, "a thread cannot be freed from the processor that it was to go to");
        return Err(error.into());
    }
    Ok(true)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn current() -> Option<usize> {
    None
}

#[cfg(not(target_os = "linux"))]
pub(super) fn go_to(_: usize) -> io::Result<bool> {
    Err(unsupported())
}

#[cfg(not(target_os = "linux"))]
pub(super) fn pin(_: usize) -> io::Result<()> {
    Err(unsupported())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn allowed() -> io::Result<Vec<usize>> {
    Err(unsupported())
}

#[cfg(not(target_os = "linux"))]
fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "threads cannot be bound to processors on this system")
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_goes_to_a_processor_may_run_wherever_it_might_before() {
        let all = allowed().unwrap();
        for bound in [false, true] {
            let check = move || {
                let all = allowed().unwrap();
                if bound {
                    pin(all[0]).unwrap();
                }
                let before = allowed().unwrap();
                let gone: Vec<_> = all.iter().filter(|cpu| go_to(**cpu).unwrap()).copied().collect();
                assert_eq!(gone, before);
                assert_eq!(allowed().unwrap(), before);
            };
            std::thread::Builder::new().spawn(check).unwrap().join().unwrap();
        }
        assert!(!go_to(usize::MAX).unwrap() && !go_to(all[all.len() - 1] + 1).unwrap());
        assert_eq!(allowed().unwrap(), all);
    }

    #[test]
    fn who_goes_to_a_processor_is_there() {
        let all = allowed().unwrap();
        let there = (0..100).filter(|n| {
            let cpu = all[n % all.len()];
            go_to(cpu).unwrap() && current() == Some(cpu)
        });
        // Not always: the system may move it on at once.
        assert!(there.count() > 20);
    }
}
