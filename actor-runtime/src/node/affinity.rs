//! On which processors a thread runs, where the system lets a program say so.

use std::io;

/// Has the calling thread run on this processor only.
#[cfg(target_os = "linux")]
pub(super) fn pin(cpu: usize) -> io::Result<()> {
    use rustix::thread::{CpuSet, sched_setaffinity};
    if cpu >= CpuSet::MAX_CPU {
        return Err(io::Error::other(format!("processors are numbered from 0 to {}", CpuSet::MAX_CPU - 1)));
    }
    let mut only = CpuSet::new();
    only.set(cpu);
    sched_setaffinity(None, &only).map_err(io::Error::from)
}

/// The processors that the calling thread may run on.
#[cfg(target_os = "linux")]
pub(crate) fn allowed() -> io::Result<Vec<usize>> {
    use rustix::thread::{CpuSet, sched_getaffinity};
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect())
}

/// The processor that the calling thread is on, if it can be told.
#[cfg(target_os = "linux")]
pub(super) fn current() -> Option<usize> {
    Some(rustix::thread::sched_getcpu())
}

/// Has the calling thread go on at this processor, if it may run there; it may run afterwards wherever it might before. False
/// if it stays. With an error it may have been left bound to this processor.
#[cfg(target_os = "linux")]
pub(super) fn go_to(cpu: usize) -> io::Result<bool> {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let before = sched_getaffinity(None)?;
    if cpu >= CpuSet::MAX_CPU || !before.is_set(cpu) {
        return Ok(false);
    }
    pin(cpu)?;
    // To the system it is not the same whether a thread is bound to all processors that its program has now, or to none:
    // only the latter may use those that the program is given later.
    let mut all = CpuSet::new();
    (0..CpuSet::MAX_CPU).for_each(|cpu| all.set(cpu));
    let freed = sched_setaffinity(None, &all).and_then(|()| sched_getaffinity(None));
    if !freed.is_ok_and(|now| now == before) {
        sched_setaffinity(None, &before)?;
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
        assert!(there.count() > 50);
    }
}
