//! AWS Lambda: `REPORT` lines of CloudWatch, and `platform.report` records of its JSON format
//! (Lambda Developer Guide, "Lambda function logs"; Telemetry API schema).

use super::{Found, NothingFound, sample, the_same};
use crate::results::Sample;
use crate::scf::line::milliseconds;
use serde_json::Value;

/// Values that no such line has.
pub(super) const LEFT_OUT: &[&str] = &[
    "Lambda's Init Duration is without the download of image or code and without the creation of \
     the sandbox: pull, unpack and create are null, and start is all that there is",
    "Lambda starts instances ahead of requests (proactive initialisation): an Init Duration does \
     not show that a request waited for it",
];

/// Contents of one line.
struct Report {
    request_id: String,
    init_ns: Option<u64>,
    handler_ns: Option<u64>,
    memory_mib: Option<u64>,
    restored: bool,
}

/// Starts with the duration of their own request.
pub(super) fn read(text: &str) -> Result<Found, NothingFound> {
    let mut found = Found::default();
    let (mut warm, mut restored, mut without_request, mut memory) = (0, 0, 0, Vec::new());
    for line in text.lines() {
        // An init phase that failed or took over 10 s, and is repeated with the request.
        if line.contains("INIT_REPORT Init Duration:") {
            without_request += 1;
        }
        let Some(report) = of_text(line).or_else(|| of_json(line)) else { continue };
        if report.restored {
            restored += 1;
            continue;
        }
        let Some(init_ns) = report.init_ns else {
            warm += 1;
            continue;
        };
        memory.extend(report.memory_mib);
        found.samples.push(cold(&report, init_ns));
    }
    if found.samples.is_empty() {
        return Err(NothingFound {
            what: "`REPORT` line with an `Init Duration`",
            hint: format!(" ({warm} requests have none, because their instances were warm)"),
            next: "export the log group of the function over a time in which it started",
        });
    }
    let mut say = |n: u64, what: &str| {
        if n > 0 {
            found.notes.push(format!("{n} {what}"));
        }
    };
    say(warm, "requests met a warm instance: no Init Duration, left out");
    say(restored, "instances started from a SnapStart snapshot: another kind of start, left out");
    say(
        without_request,
        "INIT_REPORT lines of starts that failed or were too slow: done again within a request, \
         whose Duration then has them; left out",
    );
    found.memory_mib = the_same(memory);
    Ok(found)
}

fn cold(report: &Report, init_ns: u64) -> Sample {
    let mut sample = sample(&report.request_id);
    sample.start_ns = Some(init_ns);
    if let Some(of) = &mut sample.on_platform {
        (of.platform_ns, of.handler_ns) = (Some(init_ns), report.handler_ns);
    }
    sample
}

/// `REPORT RequestId: … Duration: 395.99 ms … Init Duration: 265.72 ms`, separated by tabs or by
/// blanks.
fn of_text(line: &str) -> Option<Report> {
    let (before, rest) = line.split_once("REPORT RequestId:")?;
    if before.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let rest = rest.trim_start();
    let request_id = rest.split_whitespace().next()?.trim_matches('"').to_owned();
    let rest = &rest[request_id.len().min(rest.len())..];
    // `Billed Duration:` and `Init Duration:` end like `Duration:`; the plain one comes first.
    let number = |name: &str| {
        let (before, after) = rest.split_once(name)?;
        let qualified = ["Billed ", "Init ", "Restore "].iter().any(|q| before.ends_with(q));
        (!qualified || !name.starts_with("Duration"))
            .then(|| after.split_whitespace().next())
            .flatten()
    };
    Some(Report {
        init_ns: number("Init Duration:").and_then(milliseconds),
        handler_ns: number("Duration:").and_then(milliseconds),
        memory_mib: number("Memory Size:").and_then(|mib| mib.parse().ok()),
        restored: rest.contains("Restore Duration:"),
        request_id,
    })
}

/// `{"time":…,"type":"platform.report","record":{"requestId":…,"metrics":{"durationMs":…,
/// "initDurationMs":…}}}`.
fn of_json(line: &str) -> Option<Report> {
    let at = line.find('{').filter(|_| line.contains("platform.report"))?;
    let event: Value = serde_json::from_str(line[at..].trim()).ok()?;
    if event.get("type")?.as_str()? != "platform.report" {
        return None;
    }
    let record = event.get("record")?;
    let metrics = record.get("metrics")?;
    let ns = |name: &str| milliseconds(&metrics.get(name)?.to_string());
    Some(Report {
        request_id: record.get("requestId")?.as_str()?.to_owned(),
        init_ns: ns("initDurationMs"),
        handler_ns: ns("durationMs"),
        memory_mib: metrics.get("memorySizeMB").and_then(Value::as_u64),
        restored: metrics.get("restoreDurationMs").is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLD: &str = "REPORT RequestId: bf5f58db-ef7d-4cb2-b3c6-266eba1bbedb\tDuration: 395.99 \
                        ms\tBilled Duration: 662 ms\tMemory Size: 512 MB\tMax Memory Used: 301 \
                        MB\tInit Duration: 265.72 ms\t";
    const WARM: &str = "REPORT RequestId: a0537bcb-712d-11e4-8c97-af075a3c0929 Duration: 718.65 \
                        ms Billed Duration: 800 ms Memory Size: 128 MB Max Memory Used: 14 MB";
    const RESTORED: &str = "REPORT RequestId: c1 Duration: 4.0 ms Billed Duration: 300 ms Memory \
                            Size: 512 MB Max Memory Used: 120 MB Restore Duration: 401.10 ms \
                            Billed Restore Duration: 296 ms";
    const JSON: &str = r#"{"time":"2022-10-12T00:01:15.000Z","type":"platform.report","record":
        {"requestId":"79b4f56e-95b1-4643-9700-2807f4e68189","metrics":{"durationMs":101.51,
        "billedDurationMs":300,"memorySizeMB":512,"maxMemoryUsedMB":33,"initDurationMs":116.67}}}"#;

    #[test]
    fn init_duration_is_the_start_and_all_else_is_null() {
        let json = JSON.replace('\n', "");
        let found = read(
            &[
                COLD,
                WARM,
                RESTORED,
                &json,
                "INIT_REPORT Init Duration: 10004.12 ms\t\
            Phase: init\tStatus: timeout",
                "hello REPORT",
            ]
            .join("\n"),
        )
        .unwrap();
        assert_eq!(found.samples.len(), 2);
        let first = &found.samples[0];
        let of = first.on_platform.as_ref().unwrap();
        assert_eq!((first.pull_ns, first.unpack_ns, first.create_ns), (None, None, None));
        assert_eq!((first.start_ns, first.total_ns), (Some(265_720_000), None));
        assert_eq!((of.platform_ns, of.handler_ns), (Some(265_720_000), Some(395_990_000)));
        assert_eq!(of.request_id, "bf5f58db-ef7d-4cb2-b3c6-266eba1bbedb");
        assert_eq!(found.samples[1].start_ns, Some(116_670_000));
        assert_eq!((found.memory_mib, found.notes.len()), (Some(512), 3));
    }

    #[test]
    fn a_log_of_warm_requests_is_reported_as_one() {
        let error = read(WARM).unwrap_err().to_string();
        assert!(error.contains("1 requests have none"), "{error}");
    }
}
