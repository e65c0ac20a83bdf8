//! Parser of Tencent Cloud SCF's log lines that have the times of a start, in every published form:
//! the platform's pages of 2021 and of now, and lines that users captured in 2022 and 2026
//! (docs/on-the-platform.md lists them). Pure. It ignores a truncated line, because half a number
//! looks like a whole one.

use crate::results::{PlatformTimes, Sample};

/// A parsed line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// `Init Report`: this request waited for an instance to start.
    Init(InitReport),
    /// `Provisioned Report`, also written `Previsioned Report`: the start of a provisioned
    /// instance.
    Ahead(InitReport),
    /// `Report`: the end of a request.
    Report(Report),
}

/// A start, in nanoseconds; the platform writes whole milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitReport {
    /// The request's identity.
    pub request_id: String,
    /// `Coldstart`, or `InitDuration` in the form of 2021.
    pub platform_ns: u64,
    /// `PullCode`; `None` if the line has none.
    pub pull_ns: Option<u64>,
    /// `InitRuntime`; `None` in the form of 2021.
    pub runtime_ns: Option<u64>,
    /// `InitFunction`; `None` in the form of 2021.
    pub function_ns: Option<u64>,
}

/// The end of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The request's identity.
    pub request_id: String,
    /// `Duration`: the handler's time, without the start.
    pub handler_ns: u64,
}

/// Longest identity that the parser accepts, in bytes.
const MAX_ID_BYTES: usize = 128;
/// Longest start or handler time: the platform's own limit is a day.
const MAX_NS: u64 = 86_400 * 1_000_000_000;

/// Parses one line; `None` for every other line and for a truncated one.
///
/// # Example
/// ```
/// use coldstart::scf::line::{Line, read};
/// let text = "Init Report RequestId: 7b-1 Coldstart: 236ms (PullCode: 70ms InitRuntime: 8ms \
///             InitFunction: 158ms) Memory: 640MB MemUsage: 57.86MB";
/// let Some(Line::Init(report)) = read(text) else { panic!("a start") };
/// assert_eq!((report.platform_ns, report.pull_ns), (236_000_000, Some(70_000_000)));
/// assert_eq!(read(&text[..60]), None, "cut within the parts");
/// ```
pub fn read(text: &str) -> Option<Line> {
    let at = text.find("Report RequestId:")?;
    let (before, line) = (text[..at].trim_end(), &text[at..]);
    let fields = Fields(line);
    let request_id = identity(fields.value("RequestId")?)?;
    if before.ends_with("Init") {
        return Some(Line::Init(start(request_id, fields)?));
    }
    if before.ends_with("Provisioned") || before.ends_with("Previsioned") {
        return Some(Line::Ahead(start(request_id, fields)?));
    }
    // A handler may print a sentence with these words; that is not a line of the platform.
    let alone = !before.ends_with(|c: char| c.is_alphanumeric());
    let handler_ns = alone.then(|| fields.duration_ns("Duration")).flatten()?;
    Some(Line::Report(Report { request_id, handler_ns }))
}

/// The numbers of a start; `None` if one is missing that this form has.
fn start(request_id: String, fields: Fields<'_>) -> Option<InitReport> {
    if let Some(platform_ns) = fields.duration_ns("InitDuration") {
        fields.is_complete().then_some(())?;
        let (pull_ns, runtime_ns, function_ns) = (None, None, None);
        return Some(InitReport { request_id, platform_ns, pull_ns, runtime_ns, function_ns });
    }
    let platform_ns = fields.duration_ns("Coldstart")?;
    fields.is_complete().then_some(())?;
    let part = |name: &str| match fields.value(name) {
        // A part that is present and unreadable makes the whole line unreadable; it does not count
        // as absent.
        Some(_) => fields.duration_ns(name).map(Some),
        None => Some(None),
    };
    let (pull_ns, runtime_ns, function_ns) =
        (part("PullCode")?, part("InitRuntime")?, part("InitFunction")?);
    Some(InitReport { request_id, platform_ns, pull_ns, runtime_ns, function_ns })
}

/// Fields of the form `Name: value` or `Name:value`, also within parentheses.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a str);

impl<'a> Fields<'a> {
    /// The text after a name, up to a blank or a closing parenthesis. A name must be a whole word.
    fn value(self, name: &str) -> Option<&'a str> {
        let mut from = 0;
        while let Some(found) = self.0[from..].find(name) {
            let (at, after) = (from + found, from + found + name.len());
            let whole = !self.0[..at].ends_with(|c: char| c.is_alphanumeric());
            if let Some(rest) = self.0[after..].strip_prefix(':').filter(|_| whole) {
                let rest = rest.trim_start_matches(' ');
                let end = rest.find([' ', ')', '\t', '\n', '\r', '"', '\\', ',']);
                return Some(&rest[..end.unwrap_or(rest.len())]);
            }
            from = after;
        }
        None
    }

    /// Parses `236ms` or `0.5ms` to nanoseconds.
    fn duration_ns(self, name: &str) -> Option<u64> {
        milliseconds(self.value(name)?.strip_suffix("ms")?)
    }

    /// Whether the line is complete: each opening parenthesis has a closing one, and a form without
    /// parentheses continues to the memory.
    fn is_complete(self) -> bool {
        match (self.0.find('('), self.0.find(')')) {
            (Some(opens), Some(closes)) => opens < closes,
            (Some(_), None) => false,
            (None, _) => self.value("Memory").is_some_and(|size| size.ends_with("MB")),
        }
    }
}

/// Converts decimal milliseconds to nanoseconds, exactly; `None` for anything else.
pub fn milliseconds(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let nanos = format!("{fraction:0<6}");
    let nanos: u64 = nanos.get(..6)?.parse().ok()?;
    let ns = whole.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(nanos)?;
    (ns <= MAX_NS).then_some(ns)
}

/// Parses a request's identity: letters, digits and dashes.
fn identity(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let fits = !text.is_empty() && text.len() <= MAX_ID_BYTES && text.chars().all(plain);
    fits.then(|| text.to_owned())
}

impl InitReport {
    /// Converts to the schema's fields (docs/CONTRACTS.md, section 5): the platform does not report
    /// `unpack` separately, and a line without a pull time means that it pulled nothing.
    pub fn fill(&self, sample: &mut Sample) {
        sample.pull_ns = self.pull_ns.filter(|&ns| ns > 0);
        sample.create_ns = self.runtime_ns;
        sample.start_ns = self.function_ns;
        let of = sample.on_platform.get_or_insert_with(PlatformTimes::default);
        of.platform_ns = Some(self.platform_ns);
        // The form of 2021 has no parts, so it does not say whether the platform pulled anything.
        of.cached = self.runtime_ns.or(self.function_ns).map(|_| sample.pull_ns.is_none());
    }
}

/// The reports on one request, from the lines found so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Story {
    /// Its starts, without duplicates.
    pub starts: Vec<InitReport>,
    /// Its end.
    pub report: Option<Report>,
    /// Number of duplicate lines.
    pub twice: u64,
}

impl Story {
    /// Adds the reports on this request from the lines.
    pub fn read<'t>(request_id: &str, lines: impl IntoIterator<Item = &'t str>) -> Self {
        let mut story = Self::default();
        for line in lines.into_iter().filter_map(read) {
            match line {
                Line::Init(start) if start.request_id == request_id => {
                    if story.starts.contains(&start) {
                        story.twice += 1;
                    } else {
                        story.starts.push(start);
                    }
                }
                Line::Report(report) if report.request_id == request_id => {
                    match &story.report {
                        Some(known) if *known == report => story.twice += 1,
                        // The first one counts: the platform writes only one.
                        Some(_) => {}
                        None => story.report = Some(report),
                    }
                }
                _ => {}
            }
        }
        story
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published lines: name, text, and the expected values in milliseconds.
    type Published = (&'static str, &'static str, u64, Option<u64>, Option<u64>, Option<u64>);
    const STARTS: [Published; 5] = [
        (
            "pages until 2021",
            "Init Report RequestId: a5 InitDuration: 4598ms Duration: 3924ms Memory: 640MB \
             MemUsage: 57.86MB",
            4598,
            None,
            None,
            None,
        ),
        (
            "pages now",
            "Init Report RequestId: a5 Coldstart: 236ms (PullCode: 70ms InitRuntime: 8ms \
             InitFunction: 158ms) Memory: 640MB MemUsage: 57.86MB",
            236,
            Some(70),
            Some(8),
            Some(158),
        ),
        (
            "a user's log of 2022",
            "Init Report RequestId: a5 Coldstart: 2150ms (PullCode: 427ms InitRuntime: 267ms \
             InitFunction: 1456ms) Memory: 3072MB MemUsage: 57.86MB",
            2150,
            Some(427),
            Some(267),
            Some(1456),
        ),
        (
            "CloudBase, 2026: nothing pulled",
            "Init Report RequestId: a5 Coldstart: 593ms (InitRuntime: 11ms InitFunction: 582ms) \
             Memory: 256MB MemUsage: 57.86MB",
            593,
            None,
            Some(11),
            Some(582),
        ),
        (
            "no blanks",
            "Init Report RequestId:a5 Coldstart:593ms (PullCode:0ms InitRuntime:11ms \
             InitFunction:582ms) Memory:256MB MemUsage:57.86MB",
            593,
            Some(0),
            Some(11),
            Some(582),
        ),
    ];

    fn report(row: &Published) -> InitReport {
        let ns = |ms: u64| ms * 1_000_000;
        InitReport {
            request_id: "a5".into(),
            platform_ns: ns(row.2),
            pull_ns: row.3.map(ns),
            runtime_ns: row.4.map(ns),
            function_ns: row.5.map(ns),
        }
    }

    #[test]
    fn every_published_form_of_a_start_is_read() {
        for row in &STARTS {
            assert_eq!(read(row.1), Some(Line::Init(report(row))), "{}", row.0);
            for other in ["Provisioned", "Previsioned"] {
                let ahead = row.1.replacen("Init", other, 1);
                assert_eq!(read(&ahead), Some(Line::Ahead(report(row))), "{ahead}");
            }
            let dated = format!("2026-11-28 10:00:00 {}\r\n", row.1);
            assert_eq!(read(&dated), Some(Line::Init(report(row))), "{dated}");
            let json = serde_json::json!({ "SCF_Message": row.1, "SCF_Type": "Platform" });
            assert_eq!(read(&json.to_string()), Some(Line::Init(report(row))), "{json}");
        }
    }

    #[test]
    fn a_truncated_line_gives_its_numbers_or_none() {
        for row in &STARTS {
            for end in 0..row.1.len() {
                match read(&row.1[..end]) {
                    None => {}
                    Some(Line::Init(cut)) => assert_eq!(cut, report(row), "{}", &row.1[..end]),
                    Some(other) => panic!("{other:?} of {}", &row.1[..end]),
                }
            }
            for begin in 1..row.1.len() {
                let found = read(&row.1[begin..]);
                assert!(!matches!(found, Some(Line::Init(_) | Line::Ahead(_))), "{found:?}");
            }
        }
    }

    #[test]
    fn the_end_of_a_request_is_read() {
        let text = "Report RequestId:a5 Duration:1ms Memory:128MB MemUsage:29.73MB";
        let expected = Line::Report(Report { request_id: "a5".into(), handler_ns: 1_000_000 });
        assert_eq!(read(text), Some(expected.clone()));
        assert_eq!(read(&text.replace(':', ": ")), Some(expected));
        for other in [
            "START RequestId:a5",
            "END RequestId:a5",
            "Event RequestId:a5 {\"Duration\":\"1ms\"}",
            "Response RequestId:a5 RetMsg:\"Duration:1ms\"",
            "ERROR RequestId:a5 Result:{\"errorCode\":-1}",
            "myReport RequestId:a5 Duration:1ms",
            "Report RequestId:a5 Duration:1",
            "Report RequestId: Duration:1ms",
            "Report RequestId:a5 Duration:99999999999999999999ms",
            "",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn milliseconds_are_exact() {
        for (text, ns) in [
            ("0", Some(0)),
            ("593", Some(593_000_000)),
            ("0.5", Some(500_000)),
            ("265.72", Some(265_720_000)),
            ("1.0000009", Some(1_000_000)),
            ("-1", None),
            ("1.", None),
            (".5", None),
            ("", None),
            ("1e3", None),
            ("86400001", None),
        ] {
            assert_eq!(milliseconds(text), ns, "{text}");
        }
    }

    #[test]
    fn phases_become_the_schemas_fields() {
        let mut sample = Sample::default();
        report(&STARTS[1]).fill(&mut sample);
        let of = sample.on_platform.clone().unwrap();
        assert_eq!((sample.pull_ns, sample.unpack_ns), (Some(70_000_000), None));
        assert_eq!((sample.create_ns, sample.start_ns), (Some(8_000_000), Some(158_000_000)));
        assert_eq!((of.platform_ns, of.cached), (Some(236_000_000), Some(false)));
        for nothing_pulled in [&STARTS[3], &STARTS[4]] {
            let mut sample = Sample::default();
            report(nothing_pulled).fill(&mut sample);
            assert_eq!((sample.pull_ns, sample.start_ns), (None, Some(582_000_000)));
            assert_eq!(sample.on_platform.unwrap().cached, Some(true));
        }
        let mut old = Sample::default();
        report(&STARTS[0]).fill(&mut old);
        assert_eq!((old.create_ns, old.on_platform.unwrap().cached), (None, None));
    }

    #[test]
    fn a_story_is_of_one_request_and_counts_each_line_once() {
        let mine = STARTS[1].1;
        let end = "Report RequestId:a5 Duration:3ms Memory:128MB MemUsage:29.73MB";
        let (others, late) = (mine.replace("a5", "b6"), mine.replace("236ms", "237ms"));
        let story = Story::read("a5", [end, mine, &others, mine, end]);
        assert_eq!((story.starts.len(), story.twice), (1, 2));
        assert_eq!(story.report.map(|r| r.handler_ns), Some(3_000_000));
        assert_eq!(Story::read("a5", [mine, &late]).starts.len(), 2, "they differ");
        assert_eq!(Story::read("c7", [mine, end]), Story::default());
    }
}
