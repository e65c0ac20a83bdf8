//! Output of an instance: copied line by line into the log, and kept until the request during which
//! it was printed has ended. Bytes are read and kept under one lock, so a caller that has a reply
//! also has all lines printed before it. The limits are the platform's (583/39778): it states them
//! for five seconds, and here they apply to a request.

use crate::journal::Journal;
use crate::sync::lock;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, read};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::thread;

/// Length at which a line is cut in the log, in bytes.
const LINE_BYTES: usize = 64 * 1024;
/// Largest number of lines that are kept for a request.
const MAX_LINES: usize = 5000;
/// Largest number of bytes that are kept for a request.
const MAX_BYTES: usize = 1 << 20;
/// Bytes of one read, and the largest number of reads under the lock: a function that prints
/// without end cannot block the caller.
const CHUNK_BYTES: usize = 16 * 1024;
const CHUNKS_AT_MOST: usize = 128;

/// The output of one instance.
pub(crate) struct Output {
    pipe: OwnedFd,
    journal: Arc<Journal>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// A line whose end has not arrived.
    begun: Vec<u8>,
    kept: Vec<String>,
    kept_bytes: usize,
    /// Number of dropped lines, which exceeded the limit.
    lost: usize,
    has_ended: bool,
}

impl Output {
    /// Follows a pipe until its other end is closed, on a thread of its own.
    pub(crate) fn follow(pipe: OwnedFd, journal: Arc<Journal>) -> Arc<Output> {
        // A blocking read of an empty pipe would hold the lock.
        let is_ready = fcntl_getfl(&pipe).and_then(|of| fcntl_setfl(&pipe, of | OFlags::NONBLOCK));
        let output = Arc::new(Output { pipe, journal, state: Mutex::default() });
        if let Err(error) = is_ready {
            output.journal.note(format_args!("the instance's output cannot be read: {error}"));
            lock(&output.state).has_ended = true;
            return output;
        }
        let its = output.clone();
        // The thread ends when the pipe closes, and the pipe closes when the process ends.
        let _ = thread::Builder::new().name("output".into()).spawn(move || {
            loop {
                let ready = poll(&mut [PollFd::new(&its.pipe, PollFlags::IN)], None);
                if matches!(ready, Err(error) if error != Errno::INTR) {
                    return;
                }
                let mut state = lock(&its.state);
                its.read(&mut state);
                if state.has_ended {
                    return;
                }
            }
        });
        output
    }

    /// The lines that were printed since the last time, without their ends.
    pub(crate) fn take(&self) -> Vec<String> {
        let mut state = lock(&self.state);
        self.read(&mut state);
        let mut lines = std::mem::take(&mut state.kept);
        state.kept_bytes = 0;
        let lost = std::mem::take(&mut state.lost);
        drop(state);
        if lost > 0 {
            self.journal.note(format_args!(
                "{lost} lines of a request are dropped: it printed more than {MAX_LINES} or 1 MB"
            ));
        }
        lines.shrink_to_fit();
        lines
    }

    /// Reads the bytes that are available now.
    fn read(&self, state: &mut State) {
        let mut bytes = [0; CHUNK_BYTES];
        for _ in 0..CHUNKS_AT_MOST {
            if state.has_ended {
                return;
            }
            match read(&self.pipe, &mut bytes) {
                Ok(length @ 1..) => self.add(state, &bytes[..length]),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Ok(0) | Err(_) => {
                    state.has_ended = true;
                    self.end_line(state);
                }
            }
        }
    }

    fn add(&self, state: &mut State, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = LINE_BYTES - state.begun.len();
            let end = bytes.iter().take(room).position(|&byte| byte == b'\n');
            let (length, skipped) = end.map_or((room.min(bytes.len()), 0), |at| (at, 1));
            state.begun.extend_from_slice(&bytes[..length]);
            bytes = &bytes[length + skipped..];
            if end.is_some() {
                self.line(state);
            } else if state.begun.len() == LINE_BYTES {
                self.end_line(state);
            }
        }
    }

    /// Ends the unfinished line, if there is one.
    fn end_line(&self, state: &mut State) {
        if !state.begun.is_empty() {
            self.line(state);
        }
    }

    fn line(&self, state: &mut State) {
        let mut line = std::mem::take(&mut state.begun);
        line.push(b'\n');
        self.journal.copy(&line);
        line.pop();
        if state.kept.len() == MAX_LINES || state.kept_bytes + line.len() > MAX_BYTES {
            state.lost += 1;
            return;
        }
        state.kept_bytes += line.len();
        state.kept.push(String::from_utf8_lossy(&line).into_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn output() -> (Arc<Output>, std::io::PipeWriter) {
        let (reader, writer) = std::io::pipe().unwrap();
        let journal = Journal::new(Box::new(std::io::sink()), Box::new(std::io::sink()));
        (Output::follow(reader.into(), Arc::new(journal)), writer)
    }

    #[test]
    fn take_returns_all_that_was_printed_before() {
        let (output, mut writer) = output();
        for round in 0..200 {
            write!(writer, "one {round}\ntwo\nhalf").unwrap();
            let begun = if round == 0 { "" } else { "half" };
            let first = format!("{begun}one {round}");
            assert_eq!(output.take(), [&first, "two"], "an unfinished line is kept back");
        }
        drop(writer);
        assert_eq!(output.take(), ["half"]);
        assert_eq!(output.take(), [""; 0]);
    }

    #[test]
    fn a_function_that_prints_without_end_is_cut() {
        let (output, mut writer) = output();
        let text = [b'x'; LINE_BYTES + 3];
        writer.write_all(&text).unwrap();
        writer.write_all(b"\n\n").unwrap();
        let lines = output.take();
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [LINE_BYTES, 3, 0]);
        for _ in 0..MAX_LINES + 7 {
            writer.write_all(b"line\n").unwrap();
        }
        assert_eq!(output.take().len(), MAX_LINES);
        assert_eq!(output.take().len(), 0);
        writer.write_all(b"\xff\n").unwrap();
        assert_eq!(output.take(), ["\u{fffd}"], "any bytes");
    }
}
