//! Journal: the platform's log lines in its own format, with the function's output between them.
//! The emulator's own notes go to a second writer. Platform page "Log structure".

use crate::config::Config;
use crate::start_up::StartUp;
use crate::verdict::InvocationVerdict;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Number of bytes of a return value that are shown; a value may have six megabytes.
const SHOWN_BYTES: usize = 4096;

/// The writers of lines.
pub struct Journal {
    log: Mutex<Box<dyn Write + Send>>,
    notes: Mutex<Box<dyn Write + Send>>,
}

impl Journal {
    /// `log` gets the lines of the platform's log, `notes` those of the emulator alone.
    pub fn new(log: Box<dyn Write + Send>, notes: Box<dyn Write + Send>) -> Journal {
        Journal { log: Mutex::new(log), notes: Mutex::new(notes) }
    }

    /// Writes a note of the emulator.
    pub fn note(&self, text: impl std::fmt::Display) {
        write(&self.notes, format!("firstbyte: {text}\n").as_bytes());
    }

    /// START: the platform has accepted the request.
    pub fn start(&self, id: &str) {
        self.line(format_args!("START RequestId:{id}"));
    }

    /// Init Report, if an instance was started for the request.
    pub fn init(&self, id: &str, start: &StartUp, config: &Config, memory_bytes: u64) {
        self.cold("Init", id, start, config, memory_bytes);
    }

    /// Provisioned Report, if an instance was started ahead.
    pub fn provisioned(&self, id: &str, start: &StartUp, config: &Config, memory_bytes: u64) {
        self.cold("Provisioned", id, start, config, memory_bytes);
    }

    /// Response, END and Report, or ERROR instead of Response.
    pub fn end(
        &self,
        id: &str,
        verdict: &InvocationVerdict,
        returned: Option<&[u8]>,
        ran: &Ran,
        config: &Config,
    ) {
        match returned {
            Some(returned) => {
                self.line(format_args!("Response RequestId:{id} RetMsg:{}", shown(returned)))
            }
            // A Web function's reply is not a return value.
            None if *verdict == InvocationVerdict::Success => {}
            None => self.line(format_args!("ERROR RequestId:{id} Result:{}", verdict.body())),
        }
        self.line(format_args!("END RequestId:{id}"));
        let (ms, mib, used) = (whole_ms(ran.duration), config.memory_mib, mib(ran.memory_bytes));
        self.line(format_args!(
            "Report RequestId:{id} Duration:{ms}ms Memory:{mib}MB MemUsage:{used:.2}MB"
        ));
    }

    /// A line that the function has printed, with its end.
    pub(crate) fn copy(&self, line: &[u8]) {
        write(&self.log, line);
    }

    fn cold(&self, what: &str, id: &str, start: &StartUp, config: &Config, memory_bytes: u64) {
        let [pull, runtime, function] = [start.pull, start.runtime, start.function].map(whole_ms);
        let total = pull + runtime + function; // sum of the rounded values, as in published lines
        let (memory, used) = (config.memory_mib, mib(memory_bytes));
        self.line(format_args!(
            "{what} Report RequestId: {id} Coldstart: {total}ms (PullCode: {pull}ms InitRuntime: \
             {runtime}ms InitFunction: {function}ms) Memory: {memory}MB MemUsage: {used:.2}MB"
        ));
    }

    fn line(&self, line: std::fmt::Arguments<'_>) {
        write(&self.log, format!("{line}\n").as_bytes());
    }
}

/// Time and memory of an invocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    /// From sending the request to having the reply.
    pub duration: Duration,
    /// The largest resident set of the instance so far.
    pub memory_bytes: u64,
}

/// Writes whole lines, one writer at a time. A closed pipe does not stop the platform.
fn write(to: &Mutex<Box<dyn Write + Send>>, bytes: &[u8]) {
    let mut to = to.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = to.write_all(bytes).and_then(|()| to.flush());
}

fn shown(returned: &[u8]) -> String {
    let text = String::from_utf8_lossy(&returned[..returned.len().min(SHOWN_BYTES)]);
    let cut = if returned.len() > SHOWN_BYTES { "…" } else { "" };
    serde_json::Value::String(format!("{text}{cut}")).to_string()
}

/// Whole milliseconds, the platform's unit.
fn whole_ms(duration: Duration) -> u128 {
    (duration.as_micros() + 500) / 1000
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn writes_the_platforms_lines() {
        let kept = Kept::default();
        let journal = Journal::new(Box::new(kept.clone()), Box::new(std::io::sink()));
        let config = Config { memory_mib: 640, ..Config::default() };
        let ms = Duration::from_millis;
        let start = StartUp { pull: ms(70), runtime: ms(8), function: ms(158) };
        journal.start("a");
        journal.init("a", &start, &config, 60_670_607);
        let ran = Ran { duration: Duration::from_micros(1400), memory_bytes: 31_173_673 };
        journal.end("a", &InvocationVerdict::Success, Some(b"say \"hi\""), &ran, &config);
        journal.end("b", &InvocationVerdict::MemoryLimitReached, None, &ran, &config);
        let expected = [
            "START RequestId:a",
            "Init Report RequestId: a Coldstart: 236ms (PullCode: 70ms InitRuntime: 8ms \
             InitFunction: 158ms) Memory: 640MB MemUsage: 57.86MB",
            r#"Response RequestId:a RetMsg:"say \"hi\"""#,
            "END RequestId:a",
            "Report RequestId:a Duration:1ms Memory:640MB MemUsage:29.73MB",
            "ERROR RequestId:b Result:{\"errorCode\":-1,\"errorMessage\":\"MemoryLimitReached: the \
             instance used more memory than its limit\",\"statusCode\":434}",
            "END RequestId:b",
            "Report RequestId:b Duration:1ms Memory:640MB MemUsage:29.73MB\n",
        ]
        .join("\n");
        assert_eq!(String::from_utf8(kept.0.lock().unwrap().clone()).unwrap(), expected);
    }
}
