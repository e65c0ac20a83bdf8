//! W3C Trace Context, level 1: a request's place in a trace, read strictly from the fields
//! `traceparent` and `tracestate`, and written for the next one. It knows no HTTP.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};

/// Version 00's length; a later version may be longer.
const PARENT_BYTES: usize = 55;
/// The members that every participant passes on, and bytes of all of them (section 3.3.1).
const MOST_MEMBERS: usize = 32;
const MOST_STATE_BYTES: usize = 512;

/// Where a piece of work is in a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    pub trace_id: u128,
    /// This piece of work.
    pub span_id: u64,
    /// The one that asked for it.
    pub parent_id: Option<u64>,
    sampled: bool,
    /// What other vendors know of the trace, passed on as it came.
    state: String,
}

impl Trace {
    /// The place of a request with these fields' values. One without a `traceparent`, with more
    /// than one, or with one that is wrong in anything begins a trace of its own, as the standard
    /// says.
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

    /// The place of work that this one asks for.
    pub fn child(&self) -> Trace {
        Trace { span_id: random(), parent_id: Some(self.span_id), ..self.clone() }
    }

    /// The value of `tracestate`, if there is something to pass on.
    pub fn state(&self) -> Option<&str> {
        (!self.state.is_empty()).then_some(&*self.state)
    }
}

/// The value of `traceparent` for whom this work asks.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.sampled);
        write!(f, "00-{:032x}-{:016x}-{flags:02x}", self.trace_id, self.span_id)
    }
}

/// Trace, parent and whether it is recorded: `VERSION-TRACE-PARENT-FLAGS`, in lower case.
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

/// The list of all fields in one, or `None` if anything in it is wrong: then none is passed on.
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

/// 64 bits that are not all zero. std's hasher has keys of the kernel's random numbers: ids that do
/// not meet, which is what the standard asks for. They are no secrets.
fn random() -> u64 {
    loop {
        match RandomState::new().build_hasher().finish() {
            0 => {}
            id => return id,
        }
    }
}
