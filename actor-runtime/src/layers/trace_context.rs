//! Where a call stands in a trace, as W3C Trace Context writes it.
//!
//! ```text
//!   traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
//!                │  trace id, 16 bytes               span id, 8       flags: 01 sampled
//!                version
//! ```
//! <https://www.w3.org/TR/trace-context/>. What does not follow it is as if it were not there.

use std::{fmt, future::Future, sync::Arc};

use crate::{
    Node,
    call::{Metadata, MetadataValue},
    context,
};

tokio::task_local! {
    static CURRENT: TraceContext;
}

/// The names of the entries in the metadata.
pub(super) const PARENT: &str = "traceparent";
pub(super) const STATE: &str = "tracestate";

/// Where a call stands in a trace: the ids of W3C Trace Context. Cheap to clone.
///
/// [`TraceLayer`](super::TraceLayer) makes, reads and writes them. To go on with the trace of something else, such as a
/// web request, give its context to [`scope`](Self::scope); to go on elsewhere, send [`current`](Self::current) there.
///
/// ```
/// use actor_runtime::layers::TraceContext;
///
/// let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let trace = TraceContext::parse(header, None).expect("as the specification writes it");
/// assert_eq!(trace.trace_id(), 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
/// assert!(trace.is_sampled());
/// assert_eq!(trace.to_string(), header);
/// assert!(TraceContext::parse("00-00000000000000000000000000000000-00f067aa0ba902b7-01", None).is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace: u128,
    span: u64,
    sampled: bool,
    state: Option<Arc<str>>,
}

impl TraceContext {
    /// The most bytes of a `tracestate` that are carried; entries beyond them are left out from the end.
    pub const MAX_STATE_BYTES: usize = 512;

    /// The context of the code that runs: what [`scope`](Self::scope) says or a [`TraceLayer`](super::TraceLayer) around
    /// the turn, else what came with the turn's call.
    pub fn current() -> Option<Self> {
        if let Ok(current) = CURRENT.try_with(Clone::clone) {
            return Some(current);
        }
        context::with_current(|turn| Self::of(turn.metadata())).flatten()
    }

    /// The context that these headers tell. A `tracestate` that does not follow the specification is left out.
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let (trace, span, sampled) = parse_parent(traceparent)?;
        Some(Self { trace, span, sampled, state: tracestate.and_then(parse_state) })
    }

    /// The trace's id, never 0.
    pub fn trace_id(&self) -> u128 {
        self.trace
    }

    /// The id of the span that calls made now belong to, never 0.
    pub fn span_id(&self) -> u64 {
        self.span
    }

    /// Whether somebody upstream may have recorded the trace.
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// What vendors have added, as they wrote it.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// Runs a future as a part of this trace: calls made in it are its children, if a
    /// [`TraceLayer`](super::TraceLayer) is among the client layers. What it spawns is outside.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        CURRENT.scope(self, future).await
    }

    /// Whether there may be a [`current`](Self::current) one, which mostly there is not.
    pub(super) fn is_here() -> bool {
        let came = context::with_current(|turn| turn.metadata().value(PARENT).is_some());
        came.unwrap_or(false) || CURRENT.try_with(|_| ()).is_ok()
    }

    /// What came with a call.
    pub(super) fn of(metadata: &Metadata) -> Option<Self> {
        Self::parse(metadata.value(PARENT)?, metadata.value(STATE))
    }

    /// The beginning of a trace.
    pub(super) fn root(node: &Node) -> Self {
        let trace = u128::from(node.random_u64()) << 64 | u128::from(id(node));
        Self { trace, span: id(node), sampled: true, state: None }
    }

    /// A span inside of this one.
    pub(super) fn child(&self, node: &Node) -> Self {
        Self { span: id(node), ..self.clone() }
    }
}

/// As `traceparent`; the state travels beside it.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

/// As `traceparent`, to be set on a call by hand: a [`TraceLayer`](super::TraceLayer) goes on from there.
impl MetadataValue for TraceContext {
    const NAME: &'static str = PARENT;

    fn encode(&self) -> String {
        self.to_string()
    }

    fn decode(text: &str) -> Option<Self> {
        Self::parse(text, None)
    }
}

/// A random id, not 0.
fn id(node: &Node) -> u64 {
    node.random_u64().max(1)
}

fn parse_parent(text: &str) -> Option<(u128, u64, bool)> {
    // Ids are sliced out of ASCII only.
    if !text.is_ascii() || text.len() < 55 {
        return None;
    }
    let (known, rest) = text.split_at(55);
    let mut parts = known.split('-');
    let version = u8::try_from(hex(parts.next()?, 2)?).ok()?;
    let trace = hex(parts.next()?, 32)?;
    let span = u64::try_from(hex(parts.next()?, 16)?).ok()?;
    let flags = u8::try_from(hex(parts.next()?, 2)?).ok()?;
    // A later version may say more, behind another dash.
    let whole = parts.next().is_none() && (rest.is_empty() || version > 0 && rest.starts_with('-'));
    (whole && version != 0xff && trace != 0 && span != 0).then_some((trace, span, flags & 1 == 1))
}

/// So many lowercase hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let lowercase =
        text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if lowercase { u128::from_str_radix(text, 16).ok() } else { None }
}

fn parse_state(text: &str) -> Option<Arc<str>> {
    const MAX_MEMBERS: usize = 32;
    let trimmed = text.split(',').map(|member| member.trim_matches([' ', '\t']));
    let members: Vec<&str> = trimmed.filter(|member| !member.is_empty()).collect();
    if members.len() > MAX_MEMBERS || !members.iter().all(|member| is_member(member)) {
        return None;
    }
    let mut state = String::new();
    for member in members {
        if state.len() + member.len() + 1 > TraceContext::MAX_STATE_BYTES {
            break;
        }
        if !state.is_empty() {
            state.push(',');
        }
        state.push_str(member);
    }
    (!state.is_empty()).then(|| state.into())
}

/// `key=value`, of the characters that the specification allows.
fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else { return false };
    let in_key = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    let in_value = |byte: u8| matches!(byte, b' '..=b'~') && byte != b',' && byte != b'=';
    let begins = key.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    begins
        && key.len() <= 256
        && key.bytes().all(in_key)
        && (1..=256).contains(&value.len())
        && value.bytes().all(in_value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn parent(text: &str) -> Option<TraceContext> {
        TraceContext::parse(text, None)
    }

    #[test]
    fn a_parent_is_read_strictly() {
        assert_eq!(parent(GOOD).unwrap().to_string(), GOOD);
        assert!(!parent(&GOOD.replace("-01", "-00")).unwrap().is_sampled());
        // Flags that are not known here are not handed on.
        assert_eq!(parent(&GOOD.replace("-01", "-ff")).unwrap().to_string(), GOOD);
        // A later version is read as far as it is known.
        assert!(parent(&format!("cc{}", &GOOD[2..])).is_some());
        assert!(parent(&format!("cc{}-more", &GOOD[2..])).is_some());
        for bad in [
            "",
            "00",
            &GOOD[..54],
            &format!("{GOOD}-more"),
            &format!("{GOOD}0"),
            &format!("cc{}more", &GOOD[2..]),
            &format!("ff{}", &GOOD[2..]),
            &GOOD.to_uppercase(),
            &GOOD.replace("00f067aa0ba902b7", "0000000000000000"),
            &GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &GOOD.replace("-01", "+01"),
            &GOOD.replace("4bf9", "4b-9"),
            &GOOD.replace("4bf9", "+bf9"),
            &GOOD.replace("4bf92f", "4bfä2"),
        ] {
            assert_eq!(parent(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_state_is_bounded_and_left_out_if_it_is_not_one() {
        let state = |text: &str| TraceContext::parse(GOOD, Some(text)).unwrap().state().map(str::to_owned);
        assert_eq!(state("a=1, b@c=x y,,").as_deref(), Some("a=1,b@c=x y"));
        for bad in ["", "a", "=1", "a=", "A=1", "a=1,b", "a=ä", "a=b=c"] {
            assert_eq!(state(bad), None, "{bad}");
        }
        assert_eq!(state(&["a=1"; 33].join(",")), None);
        let long =
            [format!("a={}", "x".repeat(250)), format!("b={}", "y".repeat(250)), "c=3".to_owned()].join(",");
        assert_eq!(state(&long).unwrap().len(), 509);
        let longer = format!("{long},d={}", "z".repeat(200));
        assert!(state(&longer).unwrap().len() <= TraceContext::MAX_STATE_BYTES);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic_and_what_it_takes_it_writes(parent in ".{0,70}", state in ".{0,600}") {
            if let Some(trace) = TraceContext::parse(&parent, Some(&state)) {
                prop_assert_eq!(TraceContext::parse(&trace.to_string(), trace.state()), Some(trace));
            }
        }

        #[test]
        fn ids_come_back(trace in 1..u128::MAX, span in 1..u64::MAX, sampled: bool) {
            let context = TraceContext { trace, span, sampled, state: None };
            prop_assert_eq!(parent(&context.to_string()), Some(context));
        }
    }
}
