//! Tencent Cloud SCF: `Init Report`, `Provisioned Report` and `Report` lines, as the console shows
//! them or as CLS exports them (a JSON object a line).

use super::{Found, NothingFound, sample, the_same};
use crate::scf::line::{InitReport, Line, read as read_line};
use std::collections::{HashMap, HashSet};

/// Values that no such line has.
pub(super) const LEFT_OUT: &[&str] = &[
    "SCF's line has one time for pulling and unpacking: unpack is null",
    "SCF's `Coldstart` is the sum of its parts in whole milliseconds: waiting for a machine is in \
     none of them",
];

/// Starts with the duration of their own request.
pub(super) fn read(text: &str) -> Result<Found, NothingFound> {
    let mut found = Found::default();
    let (mut starts, mut handlers) = (Vec::<InitReport>::new(), HashMap::new());
    let (mut memory, mut twice) = (Vec::new(), 0);
    for line in text.lines() {
        match read_line(line) {
            Some(Line::Init(start)) if starts.contains(&start) => twice += 1,
            Some(Line::Init(start)) => {
                memory.extend(memory_mib(line));
                starts.push(start);
            }
            Some(Line::Ahead(start)) => found.ahead_ns.push(start.platform_ns),
            Some(Line::Report(report)) => {
                handlers.insert(report.request_id, report.handler_ns);
            }
            None => {}
        }
    }
    if starts.is_empty() && found.ahead_ns.is_empty() {
        return Err(NothingFound {
            what: "`Init Report` line of SCF",
            hint: format!(
                " ({} requests have none, because their instances were warm)",
                handlers.len()
            ),
            next: "switch on the function's log delivery (IgnoreSysLog false) and export \
                   SCF_Type:Platform from CLS",
        });
    }
    let cold: HashSet<&str> = starts.iter().map(|start| start.request_id.as_str()).collect();
    let warm = handlers.keys().filter(|id| !cold.contains(id.as_str())).count();
    if warm > 0 {
        found.notes.push(format!(
            "{warm} requests ended without an `Init Report`: they met a warm instance, or their \
             line is not in the file"
        ));
    }
    if twice > 0 {
        found.notes.push(format!("{twice} lines were there more than once; each counts once"));
    }
    found.memory_mib = the_same(memory);
    for start in &starts {
        let mut sample = sample(&start.request_id);
        start.fill(&mut sample);
        if let Some(of) = &mut sample.on_platform {
            of.handler_ns = handlers.get(&start.request_id).copied();
        }
        found.samples.push(sample);
    }
    Ok(found)
}

/// `Memory: 640MB`.
fn memory_mib(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once("Memory:")?;
    rest.trim_start().split("MB").next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The form of a captured log: the start's line is before START, with other lines between.
    const LOG: &str = "Init Report RequestId: a Coldstart: 593ms (InitRuntime: 11ms InitFunction: \
                       582ms) Memory: 256MB MemUsage: 57.86MB\nSTART RequestId:a\nEvent \
                       RequestId:a\nhello\nEND RequestId:a\nReport RequestId:a \
                       Duration:220ms Memory:256MB MemUsage:57.86MB\nSTART \
                       RequestId:b\nReport RequestId:b Duration:2ms Memory:256MB \
                       MemUsage:57.86MB\nInit Report RequestId: a Coldstart: 593ms \
                       (InitRuntime: 11ms InitFunction: 582ms) Memory: 256MB MemUsage: \
                       57.86MB\nPrevisioned Report RequestId: c Coldstart: 300ms \
                       (InitRuntime: 10ms InitFunction: 290ms) Memory: 256MB MemUsage: 1MB\n";

    #[test]
    fn only_starts_are_found_each_with_its_handler() {
        let found = read(LOG).unwrap();
        assert_eq!(found.samples.len(), 1);
        let of = found.samples[0].on_platform.as_ref().unwrap();
        assert_eq!((of.platform_ns, of.handler_ns), (Some(593_000_000), Some(220_000_000)));
        assert_eq!((found.samples[0].pull_ns, of.cached), (None, Some(true)));
        assert_eq!((found.memory_mib, found.ahead_ns), (Some(256), vec![300_000_000]));
        assert_eq!(found.notes.len(), 2, "{:?}", found.notes);
        let error = read("Report RequestId:b Duration:2ms Memory:1MB").unwrap_err().to_string();
        assert!(error.contains("1 requests") && error.contains("IgnoreSysLog"), "{error}");
    }
}
