//! One answer of many.

use std::collections::HashSet;

use actor_runtime::{ResolveResult, Staleness};

/// Endpoints after these are left out.
const MOST: usize = 10_000;

/// How many texts of a kind are told.
const MOST_TOLD: usize = 256;

#[derive(Clone, Copy, PartialEq)]
pub(super) enum How {
    /// That of the first member that has an endpoint.
    First,
    /// Those of all.
    Merged,
}

/// What a member says, or why it says nothing.
pub(super) type Said = Result<ResolveResult, String>;

/// The answer of members that say this, in their order.
pub(super) fn combine<'a>(how: How, members: impl Iterator<Item = (&'a str, Said)>) -> Said {
    let (mut result, mut failures, mut asked) = (ResolveResult::default(), Vec::new(), 0);
    let (mut seen, mut left_out) = (HashSet::new(), 0);
    for (who, said) in members {
        asked += 1;
        let said = match said {
            Ok(said) => said,
            Err(reason) => {
                failures.push(of(who, &reason));
                continue;
            }
        };
        if how == How::First && !said.is_empty() {
            result = said;
            break;
        }
        for endpoint in said.endpoints {
            if seen.len() >= MOST {
                left_out += 1;
            } else if seen.insert((endpoint.address.clone(), endpoint.name.clone())) {
                result.endpoints.push(endpoint);
            }
        }
        result.rejected.extend(said.rejected);
        result.known.extend(said.known);
        if let Some(stale) = said.stale {
            let stale = Staleness::new(stale.age, of(who, &stale.reason));
            result.stale = Some(match result.stale {
                Some(other) => {
                    Staleness::new(other.age.max(stale.age), format!("{}; {}", other.reason, stale.reason))
                }
                None => stale,
            });
        }
    }
    if left_out > 0 {
        result.rejected.push(format!("{left_out} endpoints after the first {MOST} are left out"));
    }
    match (result.is_empty(), failures.len()) {
        (true, 0) if asked == 0 => return Err("there is no resolver in the chain".to_owned()),
        (true, 0) => {
            let mut told = HashSet::new();
            result.known.retain(|name| told.insert(name.clone()));
        }
        (true, failed) => {
            let others =
                if failed == asked { "all failed" } else { "some failed, and the others have nothing" };
            return Err(format!("{others}: {}", failures.join("; ")));
        }
        (false, _) => {
            result.known.clear();
            result.rejected.extend(failures);
        }
    }
    result.rejected.truncate(MOST_TOLD);
    result.known.truncate(MOST_TOLD);
    Ok(result)
}

/// A reason and whose it is, if it does not say so by itself.
fn of(who: &str, reason: &str) -> String {
    if reason.starts_with(who) { reason.to_owned() } else { format!("{who}: {reason}") }
}
