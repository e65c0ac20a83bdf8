//! Log lines on standard output, one per record, each with the request id: the platform collects
//! the output line by line, and lines of concurrent requests interleave.
//!
//! Text by default, JSON lines with `FIRSTBYTE_LOG_FORMAT=json`. The logger behind the `log`
//! crate's macros is `transport::records`, which knows the request. There are no spans and no
//! buffers, so nothing is lost when the process ends. `flood` limits the lines that peers cause.

mod flood;

use crate::error::{Error, Result};
use crate::json_string::push_json_string;
use crate::secret::redacted;
use crate::sys::retry;
use crate::wire::Status;
use log::{Level, LevelFilter};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

pub(crate) use flood::{admits_mistake, mistakes_at_the_end, mistakes_due};

/// Whether lines are JSON objects.
static JSON: AtomicBool = AtomicBool::new(false);
/// Lowest level of a failure that is logged, as a number: `FIRSTBYTE_LOG`, also where the program
/// has a logger of its own, and the same without a server.
static FAILURES: AtomicUsize = AtomicUsize::new(Level::Info as usize);

/// Largest number of bytes of a failure's message: with its id the line is written whole (pipe(7):
/// 4 KiB).
const MOST_FAILURE_BYTES: usize = 3 * 1024;
/// Largest number of bytes of a request id; peers choose it where no platform does.
const MOST_ID_BYTES: usize = 256;

/// Reads the format of lines (`FIRSTBYTE_LOG_FORMAT`).
///
/// # Errors
/// If the variable is neither `text` nor `json`.
pub(crate) fn read_format(variable: impl Fn(&str) -> Option<String>) -> Result<()> {
    match variable("FIRSTBYTE_LOG_FORMAT").as_deref() {
        None | Some("text") => {}
        Some("json") => JSON.store(true, Ordering::Relaxed),
        Some(text) => {
            return Err(Error::io(format!("FIRSTBYTE_LOG_FORMAT is `{text}`; write text or json")));
        }
    }
    Ok(())
}

/// Sets the lowest level of a failure that is logged.
pub(crate) fn set_failure_level(level: LevelFilter) {
    FAILURES.store(level as usize, Ordering::Relaxed);
}

/// Logs a failed request: one line, of a bounded size, without values that look like secrets.
#[cold]
pub(crate) fn failure(level: Level, request_id: &str, message: fmt::Arguments<'_>) {
    if level as usize <= FAILURES.load(Ordering::Relaxed) {
        outcome(level, request_id, format_args!("{}", redacted(&message.to_string())));
    }
}

/// Logs a request's outcome: one line, of a bounded size.
pub(crate) fn outcome(level: Level, request_id: &str, message: fmt::Arguments<'_>) {
    if level as usize > FAILURES.load(Ordering::Relaxed) {
        return;
    }
    let mut message = message.to_string();
    if message.len() > MOST_FAILURE_BYTES {
        message.truncate(message.floor_char_boundary(MOST_FAILURE_BYTES));
        message.push('\u{2026}');
    }
    let id = &request_id[..request_id.floor_char_boundary(MOST_ID_BYTES)];
    write(level, "firstbyte", id, format_args!("{message}"));
}

/// Largest number of bytes of a path in a line.
const MOST_PATH_BYTES: usize = 512;

/// Method and path, as a log line has them.
pub(crate) fn request(method: &str, path: &str) -> String {
    let part = |text: &str| text[..text.floor_char_boundary(MOST_PATH_BYTES)].to_owned();
    match method {
        "" => "(no request line)".to_owned(),
        method => part(method) + " " + &part(path),
    }
}

/// Writes the line of a request that failed; `request` is the result of [`request`].
pub(crate) fn failed(
    level: Level,
    id: &str,
    status: Status,
    request: &str,
    what: fmt::Arguments<'_>,
) {
    failure(level, id, format_args!("{} {request}: {what}", status.code()));
}

/// Writes one of the server's own records about a request.
pub(crate) fn line(request_id: &str, message: fmt::Arguments<'_>) {
    write(Level::Error, "firstbyte", request_id, message);
}

/// Writes one line that belongs to no request.
pub(crate) fn announce(message: fmt::Arguments<'_>) {
    write(Level::Info, "firstbyte", "", message);
}

pub(crate) fn write(level: Level, target: &str, request_id: &str, message: fmt::Arguments<'_>) {
    let line = format_line(JSON.load(Ordering::Relaxed), level, target, request_id, message);
    // One system call a line, so that no other line ends up inside it (a pipe takes up to 4 KiB
    // whole, pipe(7)), and no lock: std's stdout holds one while it writes. A slow reader
    // blocks the writer; write errors are ignored.
    let mut left = line.as_slice();
    while !left.is_empty() {
        // JUSTIFICATION: std has no unlocked standard output.
        // SAFETY: the bytes are the line's own.
        match retry(|| unsafe { libc::write(1, left.as_ptr().cast(), left.len()) }) {
            Ok(written @ 1..) => left = left.get(written..).unwrap_or_default(),
            _ => return,
        }
    }
}

/// Whether the log takes a line without making its writer wait: a pipe is ready to write if it has
/// room for 4 KiB, a line's largest size, and a file always is.
fn has_room() -> bool {
    let mut log = libc::pollfd { fd: 1, events: libc::POLLOUT, revents: 0 };
    // JUSTIFICATION: std cannot ask without writing.
    // SAFETY: one pollfd, and the count says one.
    unsafe { libc::poll(&raw mut log, 1, 0) > 0 }
}

fn format_line(
    json: bool,
    level: Level,
    target: &str,
    request_id: &str,
    message: fmt::Arguments<'_>,
) -> Vec<u8> {
    let mut line = Vec::with_capacity(128);
    let message = message.to_string();
    if json {
        line.extend_from_slice(b"{\"level\":");
        push_json_string(&mut line, level.as_str());
        line.extend_from_slice(b",\"target\":");
        push_json_string(&mut line, target);
        if !request_id.is_empty() {
            line.extend_from_slice(b",\"requestId\":");
            push_json_string(&mut line, request_id);
        }
        line.extend_from_slice(b",\"message\":");
        push_json_string(&mut line, &message);
        line.push(b'}');
    } else {
        let id =
            if request_id.is_empty() { String::new() } else { format!(" RequestId:{request_id}") };
        let ours = target == "firstbyte" && level == Level::Info;
        let level = if ours { String::new() } else { format!("{level} ") };
        push_one_line(&mut line, &format!("{level}{target}:{id} {message}"));
    }
    line.push(b'\n');
    line
}

/// Appends the text without line ends, which would look like another record, and without other
/// control characters, which change what a terminal shows.
fn push_one_line(line: &mut Vec<u8>, text: &str) {
    for (index, part) in text.split(is_control).enumerate() {
        if index > 0 {
            line.push(b' ');
        }
        line.extend_from_slice(part.as_bytes());
    }
}

/// Whether a line must not have this character: controls, Unicode's line ends, and those that
/// change the direction of text.
fn is_control(character: char) -> bool {
    (character.is_control() && character != '\t')
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}')
        || matches!(character, '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_with_its_request_id() {
        let text = |json, target, id| {
            String::from_utf8(format_line(
                json,
                Level::Warn,
                target,
                id,
                format_args!("a \"b\"\nc"),
            ))
            .unwrap()
        };
        assert_eq!(text(false, "f::g", "r-1"), "WARN f::g: RequestId:r-1 a \"b\" c\n");
        assert_eq!(text(false, "firstbyte", ""), "WARN firstbyte: a \"b\" c\n");
        assert_eq!(
            text(true, "f::g", "r-1"),
            "{\"level\":\"WARN\",\"target\":\"f::g\",\"requestId\":\"r-1\",\"message\":\"a \
             \\\"b\\\"\\nc\"}\n"
        );
    }

    #[test]
    fn no_text_starts_a_line_or_turns_a_terminal() {
        let text = "a\r\nb\u{1b}[2Jc\u{85}d\u{2028}e\u{202e}f\u{7f}g\th \u{fc}";
        let line = format_line(false, Level::Info, "firstbyte", "", format_args!("{text}"));
        let line = String::from_utf8(line).unwrap();
        assert_eq!(line, "firstbyte: a  b [2Jc d e f g\th \u{fc}\n");
    }

    #[test]
    fn an_unknown_format_is_an_error_that_lists_the_formats() {
        let error = read_format(|_| Some("xml".to_owned())).unwrap_err();
        assert!(error.to_string().contains("write text or json"), "{error}");
    }
}
