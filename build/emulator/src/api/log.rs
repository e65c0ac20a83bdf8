//! Log topics: lines of requests as in CLS, and the data of GetRequestStatus. Lines become visible
//! after a delay (ingestion takes time). This file keeps them in memory only.

use crate::api::query::Query;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::VecDeque;

/// Number of lines that the log keeps; it drops the oldest. The platform keeps seven days' lines.
const MAX_LINES: usize = 200_000;
/// Number of requests that the log keeps.
const MAX_CALLS: usize = 50_000;
/// "One log is at most 8 KB, the rest is cut" (583/39778).
const MAX_LINE_BYTES: usize = 8 << 10;

/// A line in a topic.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// Its sequence number.
    pub number: u64,
    /// TopicId of its topic.
    pub topic: String,
    /// Time at which it was written.
    pub time_ms: i64,
    /// Time from which SearchLog finds it.
    pub visible_ms: i64,
    /// The request that it belongs to.
    pub call: Call,
    /// Platform, or Custom: the function's own output.
    pub kind: String,
    /// The text.
    pub message: String,
}

/// A request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Call {
    /// Its id.
    pub id: String,
    /// The function.
    pub function: String,
    /// Its namespace.
    pub namespace: String,
    /// The version.
    pub version: String,
    /// The alias through which it was called; empty if none.
    pub alias: String,
    /// Time at which the platform accepted it.
    pub start_ms: i64,
    /// The platform's status.
    pub status: u16,
    /// Duration of the function, in microseconds.
    pub duration_us: u64,
    /// Memory used, in bytes.
    pub used_bytes: u64,
    /// Number of the retry; 0 for the first try.
    pub retry: u32,
    /// The return value, or the body of the failure.
    pub returned: String,
}

impl Line {
    /// The fields that a query can name.
    pub fn fields(&self) -> [(&str, &str); 7] {
        [
            ("SCF_FunctionName", &self.call.function),
            ("SCF_Namespace", &self.call.namespace),
            ("SCF_RequestId", &self.call.id),
            ("SCF_Qualifier", &self.call.version),
            ("SCF_Alias", &self.call.alias),
            ("SCF_Type", &self.kind),
            ("SCF_Message", &self.message),
        ]
    }

    /// LogJson: the fields as CLS returns them, all as text.
    pub fn json(&self) -> String {
        let call = &self.call;
        json!({
            "SCF_FunctionName": call.function,
            "SCF_Namespace": call.namespace,
            "SCF_StartTime": call.start_ms.to_string(),
            "SCF_LogTime": format!("{}000000", self.time_ms),
            "SCF_RequestId": call.id,
            "SCF_Duration": (call.duration_us / 1000).to_string(),
            "SCF_Alias": call.alias,
            "SCF_Qualifier": call.version,
            "SCF_MemUsage": format!("{:.2}", call.used_bytes as f64 / f64::from(1 << 20)),
            "SCF_Level": if call.status == 200 { "INFO" } else { "ERROR" },
            "SCF_Message": self.message,
            "SCF_Type": self.kind,
            "SCF_StatusCode": call.status.to_string(),
            "SCF_RetryNum": call.retry.to_string(),
        })
        .to_string()
    }
}

/// The lines and requests that are kept.
#[derive(Debug, Default)]
pub struct Logs {
    lines: VecDeque<Line>,
    calls: VecDeque<(u64, Call)>,
    next: u64,
    next_call: u64,
}

impl Logs {
    /// Makes the log from stored lines and requests, which are in the order of their numbers.
    pub fn of(lines: Vec<Line>, calls: Vec<(u64, Call)>) -> Logs {
        let next = lines.last().map_or(0, |line| line.number + 1);
        let next_call = calls.last().map_or(0, |(number, _)| number + 1);
        Logs { lines: lines.into(), calls: calls.into(), next, next_call }
    }

    /// Numbers a line, cuts it, and keeps it. Returns the line, and the number of the line that was
    /// dropped in exchange.
    pub fn add(&mut self, mut line: Line) -> (Line, Option<u64>) {
        line.number = self.next;
        self.next += 1;
        if line.message.len() > MAX_LINE_BYTES {
            let end = line.message.floor_char_boundary(MAX_LINE_BYTES);
            line.message.truncate(end);
        }
        self.lines.push_back(line.clone());
        let is_full = self.lines.len() > MAX_LINES;
        let dropped = is_full.then(|| self.lines.pop_front()).flatten();
        (line, dropped.map(|line| line.number))
    }

    /// Keeps a request. Returns its number, and the number of the request that was dropped in
    /// exchange.
    pub fn add_call(&mut self, call: Call) -> (u64, Option<u64>) {
        let number = self.next_call;
        self.next_call += 1;
        self.calls.push_back((number, call));
        let is_full = self.calls.len() > MAX_CALLS;
        let dropped = is_full.then(|| self.calls.pop_front()).flatten();
        (number, dropped.map(|(number, _)| number))
    }

    /// Lines of a topic in `from..to` that match and are visible now, in the order of their time.
    pub fn find(&self, topic: &str, from: i64, to: i64, query: &Query, now: i64) -> Vec<&Line> {
        let mut found: Vec<_> = self
            .lines
            .iter()
            .filter(|line| line.topic == topic && (from..to).contains(&line.time_ms))
            .filter(|line| line.visible_ms <= now && query.fits(&line.fields()))
            .collect();
        found.sort_by_key(|line| (line.time_ms, line.number));
        found
    }

    /// Whether a line was written to the topic.
    pub fn has_topic(&self, topic: &str) -> bool {
        self.lines.iter().any(|line| line.topic == topic)
    }

    /// The tries of a request that began in `from..=to`.
    pub fn calls(
        &self,
        function: &str,
        namespace: &str,
        id: &str,
        from: i64,
        to: i64,
    ) -> Vec<&Call> {
        let is_it = |call: &&Call| {
            call.function == function
                && call.namespace == namespace
                && call.id == id
                && (from..=to).contains(&call.start_ms)
        };
        self.calls.iter().map(|(_, call)| call).filter(is_it).collect()
    }
}
