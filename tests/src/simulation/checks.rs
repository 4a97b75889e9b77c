//! What has to be true of a history, promise by promise.

use std::{collections::BTreeMap, time::Duration};

use actor_runtime::Delivery;

use super::history::{Access, CallRecord, Effect, EffectKind, FaultKind, Inner, Outcome, Time};

/// Idle time, keep-alive and what is allowed for timers (S6).
const DEATH: Duration = Duration::from_millis(2_000 + 750 + 250);
/// How long word of something may take in bad weather: with nothing heard for longer, a connection is lost.
const WORD: Duration = Duration::from_secs(2);
/// How long a caller waits for its server's word on a deadline, and the length of a tick of timers.
const LATE: Duration = Duration::from_millis(25);

/// Finds what is wrong; gives the longest time for which a call stayed pending after its callee had died.
pub(super) fn check(history: &Inner) -> (Vec<String>, Duration) {
    let effects = Effects::new(history);
    let mut wrong = history.wrong.clone();
    for (number, call) in history.calls.iter().enumerate() {
        let here = effects.of(number as u64);
        ended(call, &mut |what| wrong.push(format!("S6: call {number} {what}: {call:?}")));
        delivered(call, here, &mut |what| {
            wrong.push(format!("S10: call {number} {what}: {call:?} {here:?}"));
        });
        cancelled(history, call, here, &mut |what| {
            wrong.push(format!("S7: call {number} {what}: {call:?} {here:?}"));
        });
        remaining(call, here, &mut |what| wrong.push(format!("S8: call {number} {what}: {call:?} {here:?}")));
    }
    order(history, &mut |what| wrong.push(format!("S2: {what}")));
    alone(history, &mut |what| wrong.push(format!("S1: {what}")));
    pinned(history, &mut |what| wrong.push(format!("S12: {what}")));
    for shutdown in &history.shutdowns {
        if shutdown.took > shutdown.grace + Duration::from_millis(500) {
            wrong.push(format!("S9: {shutdown:?}"));
        }
    }
    let longest = deaths(history, &effects, &mut |what| wrong.push(format!("S6: {what}")));
    (wrong, longest)
}

/// The effects of each call, in order.
struct Effects<'a>(BTreeMap<u64, Vec<&'a Effect>>);

impl<'a> Effects<'a> {
    fn new(history: &'a Inner) -> Self {
        let mut of: BTreeMap<u64, Vec<&Effect>> = BTreeMap::new();
        for effect in &history.effects {
            of.entry(effect.call).or_default().push(effect);
        }
        Self(of)
    }

    fn of(&self, call: u64) -> &[&'a Effect] {
        self.0.get(&call).map_or(&[], Vec::as_slice)
    }
}

fn begun<'a>(effects: &[&'a Effect]) -> Option<&'a Effect> {
    effects.iter().find(|effect| matches!(effect.kind, EffectKind::Begins { .. })).copied()
}

fn has(effects: &[&Effect], kind: EffectKind) -> bool {
    effects.iter().any(|effect| effect.kind == kind)
}

/// Every call that was made has ended, and by its deadline.
fn ended(call: &CallRecord, wrong: &mut dyn FnMut(&str)) {
    let Some((_, started)) = call.started else { return };
    match (call.end, call.timeout) {
        (None, _) => wrong("has not ended"),
        (Some((_, at)), Some(timeout)) if at > started + timeout + LATE => wrong("ended after its deadline"),
        _ => {}
    }
}

/// At most once, and what the caller is told of it is true.
fn delivered(call: &CallRecord, effects: &[&Effect], wrong: &mut dyn FnMut(&str)) {
    let times = effects.iter().filter(|effect| matches!(effect.kind, EffectKind::Begins { .. })).count();
    if times > 1 {
        wrong("was executed more than once");
    }
    match call.end {
        Some((Outcome::Replied, _)) if !has(effects, EffectKind::Ends) => wrong("has a reply and no effect"),
        Some((Outcome::Failed(_, Delivery::NotDelivered), _)) if times > 0 => {
            wrong("was not delivered, and was executed");
        }
        Some((Outcome::Failed(_, Delivery::Executed), _)) if !has(effects, EffectKind::Ends) => {
            wrong("was executed, and has no effect");
        }
        _ => {}
    }
}

/// Who leaves, or has no more time, stops what was to be done; as soon as word of it has come.
fn cancelled(history: &Inner, call: &CallRecord, effects: &[&Effect], wrong: &mut dyn FnMut(&str)) {
    let (Some((_, started)), Some((outcome, at)), Some(begun)) = (call.started, call.end, begun(effects))
    else {
        return;
    };
    let over = match (outcome, call.timeout) {
        (Outcome::Left, _) => at,
        (_, Some(timeout)) => started + timeout,
        _ => return,
    };
    let known = over + WORD;
    let server = history.registrations[begun.registration].server;
    if disturbed(history, server, started, known) {
        return;
    }
    if begun.at > known {
        wrong("began although its caller had left");
    }
    let shared = matches!(begun.kind, EffectKind::Begins { access: Access::Shared, .. });
    let last = effects.last().map_or(begun.at, |effect| effect.at);
    let whole = has(effects, EffectKind::Ends) || has(effects, EffectKind::Dropped);
    if shared && (last > known || !whole) {
        wrong("went on although its caller had left");
    }
}

/// Whether word could not get through to or from a server at some time between these.
fn disturbed(history: &Inner, server: usize, from: Time, until: Time) -> bool {
    history.faults.iter().any(|fault| {
        let counts = matches!(fault.kind, FaultKind::Killed | FaultKind::Partitioned | FaultKind::Paused);
        // What is cut takes some time to be heard again.
        counts && fault.server == server && fault.from <= until && from <= fault.until + DEATH
    })
}

fn remaining(call: &CallRecord, effects: &[&Effect], wrong: &mut dyn FnMut(&str)) {
    let Some(EffectKind::Begins { remaining, .. }) = begun(effects).map(|effect| effect.kind) else { return };
    match (call.timeout, remaining) {
        (None, None) => {}
        (Some(sent), Some(left)) if left <= sent => {}
        _ => wrong("has another deadline at the server"),
    }
}

/// The calls of one handle start in order, at each registration. One that was refused elsewhere takes a new place:
/// those that were made around the time of the registration may have been.
fn order(history: &Inner, wrong: &mut dyn FnMut(&str)) {
    let mut last: BTreeMap<(usize, usize), Vec<(u64, u64)>> = BTreeMap::new();
    for effect in &history.effects {
        let EffectKind::Begins { .. } = effect.kind else { continue };
        let call = &history.calls[effect.call as usize];
        let Some((place, started)) = call.started else { continue };
        let registered = history.registrations[effect.registration].at;
        let before = last.entry((call.handle, effect.registration)).or_default();
        if let Some((overtook, _)) = before.iter().find(|(_, other)| *other > place)
            && (registered.is_zero() || started > registered + DEATH + WORD)
        {
            let other = &history.calls[*overtook as usize];
            let number = effect.call;
            wrong(&format!("call {number} of {call:?} began after call {overtook} of {other:?}: {effect:?}"));
        }
        before.push((effect.call, place));
    }
}

/// Exclusive turns run alone.
fn alone(history: &Inner, wrong: &mut dyn FnMut(&str)) {
    let mut running: BTreeMap<usize, BTreeMap<u64, Access>> = BTreeMap::new();
    for effect in &history.effects {
        let running = running.entry(effect.registration).or_default();
        match effect.kind {
            EffectKind::Begins { access, .. } => {
                let exclusive = running.values().any(|other| *other == Access::Exclusive);
                if exclusive || access == Access::Exclusive && !running.is_empty() {
                    wrong(&format!("call {} began beside {running:?}", effect.call));
                }
                running.insert(effect.call, access);
            }
            EffectKind::Ends | EffectKind::Dropped => drop(running.remove(&effect.call)),
        }
    }
}

/// A pinned handle stays with one registration.
fn pinned(history: &Inner, wrong: &mut dyn FnMut(&str)) {
    let mut at: BTreeMap<usize, usize> = BTreeMap::new();
    for effect in &history.effects {
        let call = &history.calls[effect.call as usize];
        if call.pinned && *at.entry(call.handle).or_insert(effect.registration) != effect.registration {
            wrong(&format!("call {} of a pinned handle came to another registration", effect.call));
        }
    }
}

/// Calls that were running on a server that was killed end in time. Gives the longest that one took.
fn deaths(history: &Inner, effects: &Effects<'_>, wrong: &mut dyn FnMut(&str)) -> Duration {
    let mut longest = Duration::ZERO;
    for (number, call) in history.calls.iter().enumerate() {
        let here = effects.of(number as u64);
        let (Some(begun), Some((_, at))) = (begun(here), call.end) else { continue };
        let server = history.registrations[begun.registration].server;
        let died = history
            .faults
            .iter()
            .filter(|fault| fault.kind == FaultKind::Killed && fault.server == server)
            .find(|fault| fault.from >= begun.at && fault.from <= at);
        if let Some(died) = died {
            let pending = at - died.from;
            longest = longest.max(pending);
            if pending > DEATH {
                wrong(&format!(
                    "call {number} stayed pending for {pending:?} after its callee had died: {call:?}"
                ));
            }
        }
    }
    longest
}
