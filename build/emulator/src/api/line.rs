//! Log lines of the platform about one request, in the forms that were published or captured
//! (docs/on-the-platform.md has their sources). Times are whole milliseconds, and `Coldstart` is
//! the sum of its parts, as in every sample.

use crate::start_up::StartUp;
use std::time::Duration;

/// Form of the Init Report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Documents to 2021: InitDuration and Duration.
    Year2021,
    /// Documents now: START, then `Coldstart: … (PullCode: … InitRuntime: … InitFunction: …)`.
    #[default]
    Docs,
    /// A log of CloudBase of 2026: before START, without PullCode, and a line `Event RequestId`.
    CloudBase,
}

impl Form {
    /// The form of this name, the argument of the fault `line-form`. `2022`, a user's captured log,
    /// has the same form as the documents.
    pub fn named(name: &str) -> Option<Form> {
        match name {
            "2021" => Some(Form::Year2021),
            "docs" | "2022" => Some(Form::Docs),
            "cloudbase" => Some(Form::CloudBase),
            _ => None,
        }
    }
}

/// A line of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Whether the function has printed it; the platform has written all other lines.
    pub is_own: bool,
    /// Its text.
    pub text: String,
}

impl Line {
    /// A line that the function has printed.
    pub fn own(text: &str) -> Line {
        Line { is_own: true, text: text.to_owned() }
    }

    /// A line of the platform.
    pub fn platform(text: String) -> Line {
        Line { is_own: false, text }
    }
}

/// Values to report about a request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Its id.
    pub id: &'a str,
    /// Duration of a cold start, if the platform reports one for this request.
    pub cold: Option<StartUp>,
    /// Duration of the function.
    pub duration: Duration,
    /// Configured memory, in MB.
    pub memory_mb: u64,
    /// Used memory, in bytes.
    pub used_bytes: u64,
    /// The return value of an event function.
    pub returned: Option<&'a str>,
    /// The body of a failure.
    pub failed: Option<&'a str>,
    /// The function's output.
    pub printed: &'a [String],
}

impl Form {
    /// All lines of a request, in order. Only one document shows the position of the function's own
    /// lines: between its start and its result.
    pub fn lines(self, of: &Request<'_>) -> Vec<Line> {
        let id = of.id;
        let init =
            of.cold.map(|start| self.report("Init", id, &start, of.memory_mb, of.used_bytes));
        let start = format!("START RequestId:{id}");
        let mut lines = Vec::new();
        match self {
            Form::CloudBase => {
                lines.extend(init);
                lines.push(start);
                lines.push(format!("Event RequestId:{id}"));
            }
            _ => {
                lines.push(start);
                lines.extend(init);
            }
        }
        let mut lines: Vec<Line> = lines.into_iter().map(Line::platform).collect();
        lines.extend(of.printed.iter().map(|text| Line::own(text)));
        let mut rest = Vec::new();
        match (of.failed, of.returned) {
            (Some(failed), _) => rest.push(format!("ERROR RequestId:{id} Result:{failed}")),
            (None, Some(returned)) => {
                let returned = serde_json::Value::String(returned.to_owned());
                rest.push(format!("Response RequestId:{id} RetMsg:{returned}"));
            }
            (None, None) => {}
        }
        rest.push(format!("END RequestId:{id}"));
        rest.push(format!(
            "Report RequestId:{id} Duration:{}ms Memory:{}MB MemUsage:{:.2}MB",
            whole_ms(of.duration),
            of.memory_mb,
            mib(of.used_bytes)
        ));
        lines.extend(rest.into_iter().map(Line::platform));
        lines
    }

    /// An Init Report, or the Provisioned Report of an instance that was started ahead.
    pub fn report(
        self,
        what: &str,
        id: &str,
        start: &StartUp,
        memory_mb: u64,
        used_bytes: u64,
    ) -> String {
        let [pull, runtime, function] = [start.pull, start.runtime, start.function].map(whole_ms);
        let total = pull + runtime + function;
        let used = mib(used_bytes);
        let parts = match self {
            // No document defines the two. InitDuration is the larger one in the sample.
            Form::Year2021 => format!("InitDuration: {total}ms Duration: {function}ms"),
            Form::Docs => format!(
                "Coldstart: {total}ms (PullCode: {pull}ms InitRuntime: {runtime}ms InitFunction: \
                 {function}ms)"
            ),
            Form::CloudBase => format!(
                "Coldstart: {}ms (InitRuntime: {runtime}ms InitFunction: {function}ms)",
                runtime + function
            ),
        };
        format!("{what} Report RequestId: {id} {parts} Memory: {memory_mb}MB MemUsage: {used:.2}MB")
    }
}

/// The platform counts in whole milliseconds.
pub fn whole_ms(duration: Duration) -> u128 {
    (duration.as_micros() + 500) / 1000
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_each_published_form() {
        let us = Duration::from_micros;
        let start = StartUp { pull: us(70_400), runtime: us(8_400), function: us(158_400) };
        let request = Request {
            id: "a",
            cold: Some(start),
            duration: us(1400),
            memory_mb: 640,
            used_bytes: 60_670_607,
            returned: Some("hi"),
            failed: None,
            printed: &["ready".to_owned()],
        };
        let written = |form: Form, request: &Request<'_>| -> Vec<String> {
            let lines = form.lines(request).into_iter();
            lines.map(|line| line.text + if line.is_own { " (own)" } else { "" }).collect()
        };
        let rest = [
            "ready (own)",
            r#"Response RequestId:a RetMsg:"hi""#,
            "END RequestId:a",
            "Report RequestId:a Duration:1ms Memory:640MB MemUsage:57.86MB",
        ];
        fn joined<'a>(first: &[&'a str], rest: &[&'a str]) -> Vec<&'a str> {
            [first, rest].concat()
        }
        let with = |first: &[&'static str]| joined(first, &rest);
        assert_eq!(
            written(Form::Year2021, &request),
            with(&[
                "START RequestId:a",
                "Init Report RequestId: a InitDuration: 236ms Duration: 158ms Memory: 640MB \
                 MemUsage: 57.86MB"
            ])
        );
        assert_eq!(
            written(Form::Docs, &request),
            with(&[
                "START RequestId:a",
                "Init Report RequestId: a Coldstart: 236ms (PullCode: 70ms InitRuntime: 8ms \
                 InitFunction: 158ms) Memory: 640MB MemUsage: 57.86MB"
            ])
        );
        assert_eq!(
            written(Form::CloudBase, &request),
            with(&[
                "Init Report RequestId: a Coldstart: 166ms (InitRuntime: 8ms InitFunction: \
                 158ms) Memory: 640MB MemUsage: 57.86MB",
                "START RequestId:a",
                "Event RequestId:a"
            ])
        );
        let failed =
            Request { cold: None, returned: None, failed: Some("{}"), printed: &[], ..request };
        assert_eq!(written(Form::Docs, &failed)[1], "ERROR RequestId:a Result:{}");
    }
}
