//! W3C Trace Context, level 1: strict parser of a request's fields `traceparent` and `tracestate`,
//! and writer of the fields for the next request. It does not use HTTP.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};

/// Version 00's length; a later version may be longer.
const PARENT_BYTES: usize = 55;
/// Number of members that every participant passes on, and their total size in bytes (section
/// 3.3.1).
const MOST_MEMBERS: usize = 32;
const MOST_STATE_BYTES: usize = 512;

/// A span's position in a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    pub trace_id: u128,
    /// The id of this span.
    pub span_id: u64,
    /// The id of the parent span.
    pub parent_id: Option<u64>,
    sampled: bool,
    /// Other vendors' state of the trace, passed on unchanged.
    state: String,
}

impl Trace {
    /// The span of a request with these fields' values. Without a `traceparent`, with more than
    /// one, or with an invalid one, it begins a new trace, as the standard requires.
    pub fn of(parents: &[&[u8]], states: &[&[u8]]) -> Trace {
        let parent = match parents {
            [one] => read_parent(one),
            _ => None,
        };
        let Some((trace_id, parent_id, sampled)) = parent else {
            return Trace {
                trace_id: u128::from(random()) << 64 | u128::from(random()),
                span_id: random(),
                parent_id: None,
                sampled: true,
                state: String::new(),
            };
        };
        let state = read_state(states).unwrap_or_default();
        Trace { trace_id, span_id: random(), parent_id: Some(parent_id), sampled, state }
    }

    /// A child span, for a call of this one.
    pub fn child(&self) -> Trace {
        Trace { span_id: random(), parent_id: Some(self.span_id), ..self.clone() }
    }

    /// The value of `tracestate`, if there is state to pass on.
    pub fn state(&self) -> Option<&str> {
        (!self.state.is_empty()).then_some(&*self.state)
    }
}

/// The value of `traceparent` for the called server.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.sampled);
        write!(f, "00-{:032x}-{:016x}-{flags:02x}", self.trace_id, self.span_id)
    }
}

/// Parses trace, parent and the recorded flag of `VERSION-TRACE-PARENT-FLAGS`, in lower case.
fn read_parent(value: &[u8]) -> Option<(u128, u64, bool)> {
    let (known, rest) = value.split_at_checked(PARENT_BYTES)?;
    let known = str::from_utf8(known).ok()?;
    let mut parts = known.split('-');
    let mut part = |digits: usize| {
        let part = parts.next()?;
        let is_hex = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if part.len() != digits || !part.bytes().all(is_hex) {
            return None;
        }
        u128::from_str_radix(part, 16).ok()
    };
    let (version, trace_id, parent_id, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    let is_whole = match version {
        0 => rest.is_empty(),
        0xff => false,
        _ => rest.first().is_none_or(|byte| *byte == b'-'),
    };
    if !is_whole || trace_id == 0 || parent_id == 0 {
        return None;
    }
    Some((trace_id, u64::try_from(parent_id).ok()?, flags & 1 == 1))
}

/// The members of all fields in one list, or `None` if one is invalid: then none is passed on.
fn read_state(fields: &[&[u8]]) -> Option<String> {
    let mut keys = HashSet::new();
    let mut state = String::new();
    for field in fields {
        for member in str::from_utf8(field).ok()?.split(',') {
            let member = member.trim_matches([' ', '\t']);
            if member.is_empty() {
                continue; // allowed, and left out
            }
            let (key, value) = member.split_once('=')?;
            let first = key.bytes().next()?;
            let is_key =
                |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
            let is_value = |byte| matches!(byte, b' '..=b'~') && byte != b'=';
            let is_right = (first.is_ascii_lowercase() || first.is_ascii_digit())
                && key.len() <= 256
                && key.bytes().all(is_key)
                && (1..=256).contains(&value.len())
                && value.bytes().all(is_value)
                && keys.insert(key)
                && keys.len() <= MOST_MEMBERS;
            if !is_right {
                return None;
            }
            if !state.is_empty() {
                state.push(',');
            }
            state.push_str(member);
            if state.len() > MOST_STATE_BYTES {
                return None;
            }
        }
    }
    Some(state)
}

/// 64 bits that are not all zero. std's hasher takes its keys from the kernel's random numbers, so
/// ids do not collide, as the standard requires. They are not secret.
fn random() -> u64 {
    loop {
        match RandomState::new().build_hasher().finish() {
            0 => {}
            id => return id,
        }
    }
}
