//! Traces of arrivals: their formats, and how they are read. A trace of time stamps is read while
//! it is used, so that its size does not matter; every line has a length limit.
//!
//! - Time stamps: `TIME[,DURATION]` a line, in seconds or RFC 3339, ascending; a header may come
//!   first. Without durations the service distribution is drawn from.
//! - Azure Functions 2021: `app,func,end_timestamp,duration`, seconds, in any order; a request
//!   arrives at end - duration (Zhang et al., SOSP'21).
//! - Minutes: `minute,count` a line, or Azure Functions 2019's table with a column a minute; where
//!   in its minute a request arrives is a [`Placement`], because the file does not say.

use super::duration::{self, LONGEST_RUN_NS, SECOND_NS};
use super::random::{Purpose, Stream};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest line of a trace; one of Azure's tables has 1440 columns.
const LINE_LIMIT_BYTES: u64 = 64 << 10;
/// Largest number of rows of a trace that has to be sorted: each takes 24 bytes of memory.
const SORTED_ROWS: usize = 2_000_000;
/// Largest number of functions of a trace.
const FUNCTIONS: usize = 10_000;
const MINUTE_NS: u64 = 60 * SECOND_NS;

/// When in its minute a request arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Placement {
    /// Evenly spread.
    Uniform,
    /// All at the minute's first instant.
    Start,
    /// At random, as Poisson arrivals are when their number is known.
    Poisson,
}

impl Placement {
    /// Its name in the flag.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Start => "start",
            Self::Poisson => "poisson",
        }
    }
}

/// Why a trace cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read `{path}`: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The underlying I/O error.
        source: std::io::Error,
    },
    /// A line is invalid.
    #[error("`{path}`, line {line}: {what}")]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1 on.
        line: u64,
        /// What is wrong, and what to do.
        what: String,
    },
    /// The file as a whole is invalid.
    #[error("`{path}` {what}")]
    Whole {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        what: String,
    },
}

/// One arrival, in nanoseconds from the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// When it arrives.
    pub at_ns: u64,
    /// Its service time, if the trace has it.
    pub service_ns: Option<u64>,
    /// Its function, from 0.
    pub function: u32,
}

/// A trace that has been read once.
#[derive(Debug, Clone)]
pub struct Trace {
    path: PathBuf,
    kind: Kind,
    requests: u64,
    length_ns: u64,
    /// Mean of the durations, where it has some.
    mean_service_ns: Option<f64>,
    functions: usize,
}

#[derive(Debug, Clone)]
enum Kind {
    /// Read again for each scenario; the first time stamp.
    Stamps {
        first: i128,
    },
    /// Start, duration and function.
    Sorted(Arc<Vec<(u64, u64, u32)>>),
    Minutes(Arc<Vec<u64>>, Placement),
}

impl Trace {
    /// Reads a whole trace: its format, its order, its numbers.
    ///
    /// # Errors
    /// [`Error`], one line.
    pub fn open(path: &Path, placement: Placement) -> Result<Self, Error> {
        let mut lines = Lines::open(path)?;
        let first = loop {
            match lines.next()? {
                Some("") => {}
                Some(line) => break line.to_owned(),
                None => return Err(lines.whole("is empty; it needs one time stamp per line")),
            }
        };
        let columns: Vec<&str> = first.split(',').map(str::trim).collect();
        let has = |name: &str| columns.iter().position(|column| *column == name);
        if let (Some(end), Some(duration)) = (has("end_timestamp"), has("duration")) {
            return Self::sorted(lines, path, end, duration, has("func").or(has("app")));
        }
        if let Some(minute) = has("1").filter(|_| has("HashFunction").is_some()) {
            return Self::table(lines, path, minute, placement);
        }
        if let (Some(minute), Some(count)) = (has("minute"), has("count")) {
            return Self::minutes(lines, path, minute, count, placement);
        }
        Self::stamps(path)
    }

    /// Number of arrivals.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// From the first arrival to the last; of minutes to the end of the last.
    pub fn length_ns(&self) -> u64 {
        self.length_ns
    }

    /// Mean of its durations, where it has some.
    pub fn mean_service_ns(&self) -> Option<f64> {
        self.mean_service_ns
    }

    /// Number of functions that it distinguishes.
    pub fn functions(&self) -> usize {
        match self.kind {
            Kind::Sorted(_) => self.functions,
            Kind::Stamps { .. } | Kind::Minutes(..) => 1,
        }
    }

    /// Number of functions that it adds up as if they were one.
    pub fn merged(&self) -> usize {
        self.functions / self.functions()
    }

    /// Description for the notes of a plan.
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Stamps { .. } => "time stamps".into(),
            Kind::Sorted(_) => {
                "Azure Functions 2021: an arrival is the end stamp less the duration".into()
            }
            Kind::Minutes(_, placement) => {
                format!("counts by the minute, placed inside it: {}", placement.name())
            }
        }
    }

    /// The arrivals in order.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn entries(&self, seed: u64) -> Result<Entries<'_>, Error> {
        let source = match &self.kind {
            Kind::Stamps { first } => {
                Source::Stamps { lines: Lines::open(&self.path)?, first: *first, last_ns: 0 }
            }
            Kind::Sorted(rows) => Source::Sorted { rows, at: 0 },
            Kind::Minutes(counts, placement) => Source::Minutes {
                counts,
                placement: *placement,
                minute: 0,
                placed: 0,
                last: 0.0,
                stream: Stream::new(seed, Purpose::Placement, 0),
                draws: 0,
            },
        };
        Ok(Entries { source })
    }

    fn stamps(path: &Path) -> Result<Self, Error> {
        let mut lines = Lines::open(path)?;
        let mut first = None;
        let (mut requests, mut last_ns) = (0u64, 0);
        let (mut durations, mut sum_ns) = (0u64, 0.0);
        while let Some((stamp, service_ns)) = lines.stamp()? {
            let first = *first.get_or_insert(stamp);
            let at_ns = lines.since(stamp, first, last_ns)?;
            (requests, last_ns) = (requests + 1, at_ns);
            if let Some(ns) = service_ns {
                (durations, sum_ns) = (durations + 1, sum_ns + ns as f64);
            }
        }
        let Some(first) = first else {
            return Err(lines.whole("contains no time stamp; write one per line, in seconds"));
        };
        if durations > 0 && durations < requests {
            return Err(
                lines.whole("has a duration on some lines only; give each line one, or none")
            );
        }
        Ok(Self {
            path: path.into(),
            kind: Kind::Stamps { first },
            requests,
            length_ns: last_ns,
            mean_service_ns: (durations > 0).then(|| sum_ns / durations as f64),
            functions: 1,
        })
    }

    fn sorted(
        mut lines: Lines,
        path: &Path,
        end: usize,
        duration: usize,
        function: Option<usize>,
    ) -> Result<Self, Error> {
        let mut rows: Vec<(i64, u64, u32)> = Vec::new();
        let mut functions: HashMap<String, u32> = HashMap::new();
        while let Some(line) = lines.next()? {
            if line.is_empty() {
                continue;
            }
            let columns: Vec<&str> = line.split(',').map(str::trim).collect();
            let (Some(end), Some(duration)) = (columns.get(end), columns.get(duration)) else {
                let what = "it has fewer columns than the header".to_owned();
                return Err(lines.wrong(what));
            };
            let name = function.and_then(|at| columns.get(at)).copied().unwrap_or("").to_owned();
            let read = stamp(end).and_then(|end| {
                let service_ns = service(duration)?;
                let start = i64::try_from(end - i128::from(service_ns));
                let far = |_| format!("`{end}` ns is over 292 years; times are in seconds");
                Ok((start.map_err(far)?, service_ns))
            });
            let (start, service_ns) = read.map_err(|what| lines.wrong(what))?;
            let next = functions.len() as u32;
            let function = match functions.get(&name) {
                Some(known) => *known,
                None if functions.len() == FUNCTIONS => {
                    return Err(lines.whole("has more than 10,000 functions; split it by function"));
                }
                None => *functions.entry(name).or_insert(next),
            };
            rows.push((start, service_ns, function));
            if rows.len() > SORTED_ROWS {
                return Err(lines.whole(
                    "has more than 2,000,000 rows to sort; sort it by arrival and write \
                     `TIME,DURATION` lines, which are read without being kept",
                ));
            }
        }
        rows.sort_by_key(|(at, ..)| *at);
        let (Some(&(first, ..)), Some(&(last, ..))) = (rows.first(), rows.last()) else {
            return Err(lines.whole("contains no request below its header"));
        };
        if last.abs_diff(first) > LONGEST_RUN_NS {
            return Err(lines.whole("lasts longer than 100 years; times are in seconds"));
        }
        let sum_ns: f64 = rows.iter().map(|(_, ns, _)| *ns as f64).sum();
        Ok(Self {
            path: path.into(),
            requests: rows.len() as u64,
            length_ns: last.abs_diff(first),
            mean_service_ns: Some(sum_ns / rows.len() as f64),
            functions: functions.len().max(1),
            kind: Kind::Sorted(Arc::new(
                rows.into_iter().map(|(at, ns, f)| (at.abs_diff(first), ns, f)).collect(),
            )),
        })
    }

    fn minutes(
        mut lines: Lines,
        path: &Path,
        minute: usize,
        count: usize,
        placement: Placement,
    ) -> Result<Self, Error> {
        let (mut counts, mut offset) = (Vec::new(), None);
        while let Some(line) = lines.next()? {
            if line.is_empty() {
                continue;
            }
            let columns: Vec<&str> = line.split(',').map(str::trim).collect();
            let number = |at: usize, name: &str| -> Result<u64, String> {
                let text = columns.get(at).copied().unwrap_or("");
                text.parse().map_err(|_| {
                    format!("`{text}` is not a {name}; write a whole number, 0 or more")
                })
            };
            let read = number(minute, "minute").and_then(|m| Ok((m, number(count, "count")?)));
            let (at, count) = read.map_err(|what| lines.wrong(what))?;
            let offset = *offset.get_or_insert(at);
            let Some(place) = at.checked_sub(offset).filter(|&place| place >= counts.len() as u64)
            else {
                let what = format!("minute `{at}` is not after the one before it; sort the lines");
                return Err(lines.wrong(what));
            };
            if place > 5_000_000 {
                return Err(lines.wrong(format!("minute `{at}` is over 5,000,000 after the first")));
            }
            counts.resize(place as usize, 0);
            counts.push(count);
        }
        Self::of_minutes(&lines, path, counts, placement, 1)
    }

    fn table(
        mut lines: Lines,
        path: &Path,
        minute: usize,
        placement: Placement,
    ) -> Result<Self, Error> {
        let (mut counts, mut functions): (Vec<u64>, usize) = (Vec::new(), 0);
        while let Some(line) = lines.next()? {
            if line.is_empty() {
                continue;
            }
            let read: Result<Vec<u64>, String> = line
                .split(',')
                .skip(minute)
                .map(|text| {
                    let count = text.trim().parse();
                    count.map_err(|_| format!("`{text}` is not a count; write 0 or more"))
                })
                .collect();
            let row = read.map_err(|what| lines.wrong(what))?;
            counts.resize(counts.len().max(row.len()), 0);
            for (sum, count) in counts.iter_mut().zip(row) {
                *sum = sum.saturating_add(count);
            }
            functions += 1;
        }
        Self::of_minutes(&lines, path, counts, placement, functions)
    }

    fn of_minutes(
        lines: &Lines,
        path: &Path,
        counts: Vec<u64>,
        placement: Placement,
        functions: usize,
    ) -> Result<Self, Error> {
        let requests = counts.iter().try_fold(0u64, |sum, &count| sum.checked_add(count));
        let requests = requests.filter(|&n| n <= 1 << 50);
        let Some(requests) = requests else {
            return Err(lines.whole("counts more requests than can be simulated"));
        };
        if requests == 0 {
            return Err(lines.whole("counts no request in any minute"));
        }
        Ok(Self {
            path: path.into(),
            length_ns: counts.len() as u64 * MINUTE_NS,
            kind: Kind::Minutes(Arc::new(counts), placement),
            requests,
            mean_service_ns: None,
            functions,
        })
    }
}

/// The arrivals of a trace in order.
pub struct Entries<'a> {
    source: Source<'a>,
}

enum Source<'a> {
    Stamps {
        lines: Lines,
        first: i128,
        last_ns: u64,
    },
    Sorted {
        rows: &'a [(u64, u64, u32)],
        at: usize,
    },
    Minutes {
        counts: &'a [u64],
        placement: Placement,
        minute: usize,
        placed: u64,
        /// Where in its minute the last one was placed, 0 to 1.
        last: f64,
        stream: Stream,
        draws: u64,
    },
}

impl Entries<'_> {
    /// The next arrival.
    ///
    /// # Errors
    /// [`Error`]: the file has changed.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, Error> {
        match &mut self.source {
            Source::Stamps { lines, first, last_ns } => {
                let Some((stamp, service_ns)) = lines.stamp()? else { return Ok(None) };
                *last_ns = lines.since(stamp, *first, *last_ns)?;
                Ok(Some(Entry { at_ns: *last_ns, service_ns, function: 0 }))
            }
            Source::Sorted { rows, at } => {
                *at += 1;
                let row = rows.get(*at - 1);
                Ok(row.map(|&(at_ns, ns, function)| Entry {
                    at_ns,
                    service_ns: Some(ns),
                    function,
                }))
            }
            Source::Minutes { counts, placement, minute, placed, last, stream, draws } => {
                while counts.get(*minute).is_some_and(|count| *placed >= *count) {
                    (*minute, *placed, *last) = (*minute + 1, 0, 0.0);
                }
                let Some(&count) = counts.get(*minute) else { return Ok(None) };
                *last = match placement {
                    Placement::Start => 0.0,
                    Placement::Uniform => (*placed as f64 + 0.5) / count as f64,
                    Placement::Poisson => {
                        // The least of those that are left, uniform in what is left of the minute.
                        *draws += 1;
                        let left = (count - *placed) as f64;
                        1.0 - (1.0 - *last) * stream.uniform(*draws).powf(1.0 / left)
                    }
                };
                *placed += 1;
                let in_minute_ns = ((*last * MINUTE_NS as f64) as u64).min(MINUTE_NS - 1);
                let at_ns = *minute as u64 * MINUTE_NS + in_minute_ns;
                Ok(Some(Entry { at_ns, service_ns: None, function: 0 }))
            }
        }
    }
}

/// The lines of a file, each within the limit.
struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    buffer: Vec<u8>,
    number: u64,
}

impl Lines {
    fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Read { path: path.into(), source };
        let file = File::open(path).map_err(failed)?;
        let reader = BufReader::with_capacity(1 << 16, file);
        Ok(Self { path: path.into(), reader, buffer: Vec::new(), number: 0 })
    }

    fn wrong(&self, what: String) -> Error {
        Error::Line { path: self.path.clone(), line: self.number, what }
    }

    fn whole(&self, what: &str) -> Error {
        Error::Whole { path: self.path.clone(), what: what.into() }
    }

    /// The next line, without blanks around it.
    fn next(&mut self) -> Result<Option<&str>, Error> {
        self.buffer.clear();
        self.number += 1;
        let failed = |source| Error::Read { path: self.path.clone(), source };
        let mut limited = (&mut self.reader).take(LINE_LIMIT_BYTES);
        let read = limited.read_until(b'\n', &mut self.buffer).map_err(failed)?;
        if read as u64 == LINE_LIMIT_BYTES && self.buffer.last() != Some(&b'\n') {
            return Err(self.wrong("it is longer than 64 KiB; is this a CSV file?".into()));
        }
        if read == 0 {
            return Ok(None);
        }
        match std::str::from_utf8(&self.buffer) {
            Ok(text) => Ok(Some(text.trim())),
            Err(_) => Err(self.wrong("it is not text; is this a CSV file?".into())),
        }
    }

    /// The next time stamp and its duration; a header in the first line is passed over.
    fn stamp(&mut self) -> Result<Option<(i128, Option<u64>)>, Error> {
        loop {
            let first_line = self.number == 0;
            let Some(line) = self.next()? else { return Ok(None) };
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (time, rest) = line.split_once(',').unwrap_or((line, ""));
            let (time, rest) = (time.trim(), rest.split(',').next().unwrap_or("").trim());
            let is_word = time.starts_with(|c: char| c.is_ascii_alphabetic());
            if first_line && is_word && time.parse::<f64>().is_err() {
                continue;
            }
            let read = stamp(time).and_then(|at| match rest {
                "" => Ok((at, None)),
                text => Ok((at, Some(service(text)?))),
            });
            return match read {
                Ok(entry) => Ok(Some(entry)),
                Err(what) => Err(self.wrong(what)),
            };
        }
    }

    /// Nanoseconds since the first stamp, which must not be less than those of the last.
    fn since(&self, stamp: i128, first: i128, last_ns: u64) -> Result<u64, Error> {
        let since = stamp - first;
        if since < i128::from(last_ns) {
            let what = "its time is before that of the line above; sort the trace by time first \
                        (`sort -n`)";
            return Err(self.wrong(what.into()));
        }
        match since > i128::from(LONGEST_RUN_NS) {
            true => Err(self
                .wrong("it is more than 100 years after the first; times are in seconds".into())),
            false => Ok(since as u64),
        }
    }
}

/// A time stamp in nanoseconds: seconds, or RFC 3339.
fn stamp(text: &str) -> Result<i128, String> {
    if text.starts_with('-') {
        return Err(format!("`{text}` is negative; times are seconds from 0 on"));
    }
    if let Some(ns) = duration::decimal(text, SECOND_NS) {
        return Ok(ns.into());
    }
    let number: Option<f64> = text.parse().ok().filter(|n: &f64| n.is_finite());
    if let Some(seconds) = number.filter(|&s| (0.0..1e10).contains(&s)) {
        return Ok((seconds * 1e9) as i128); // with an exponent
    }
    let time = humantime::parse_rfc3339_weak(text).ok();
    let since = time.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    since.map(|since| since.as_nanos() as i128).ok_or_else(|| {
        format!("`{text}` is not a time; write seconds, such as `12.5`, or RFC 3339")
    })
}

/// A duration in nanoseconds, from a trace's seconds.
fn service(text: &str) -> Result<u64, String> {
    if text.starts_with('-') {
        return Err(format!("the duration `{text}` is negative"));
    }
    let exponent = || {
        let seconds: f64 = text.parse().ok()?;
        (0.0..1e10).contains(&seconds).then_some((seconds * 1e9) as u64)
    };
    let ns = duration::decimal(text, SECOND_NS).or_else(exponent);
    let ns = ns.ok_or_else(|| format!("`{text}` is not a duration in seconds, such as `0.02`"))?;
    match ns > super::distribution::LONGEST_NS {
        true => Err(format!("the duration `{text}` is over 7 days; durations are in seconds")),
        false => Ok(ns),
    }
}
