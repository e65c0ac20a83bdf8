//! Command `firstbyte invoke`: sends one event or request and shows the result. If no function runs
//! at the address, it starts one for this invocation, and calls it in the same way.

use super::function::{CommandContext, config, network, source};
use crate::args::InvokeArguments;
use emulator::config::{Config, Mode};
use emulator::fields::{INVOCATION_TYPE, MODE, OUTCOME, SHOW};
use emulator::front::{Front, InvocationReport, other_mode};
use emulator::instance::Host;
use emulator::journal::Journal;
use emulator::platform::Platform;
use emulator::sample;
use emulator::start_up::milliseconds;
use emulator::wire::{Fields, Reply, Request, WireError, field};
use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// Time limit for connecting to this machine.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// Time limit of a reply: the platform's longest invocation and start, and some seconds.
const REPLY_LIMIT: Duration = Duration::from_secs(900 + 300 + 10);

/// Text to print, and whether the function succeeded.
pub struct Shown {
    /// The result.
    pub out: Vec<u8>,
    /// Remarks about the result.
    pub beside: String,
    /// Whether the function succeeded.
    pub succeeded: bool,
}

/// Invokes.
pub fn invoke(
    arguments: &InvokeArguments,
    around: &CommandContext,
    journal: &Arc<Journal>,
    stdin: impl Read,
    stop: impl FnOnce() -> io::Result<Receiver<()>>,
) -> Result<Shown, Box<dyn Error>> {
    if arguments.list {
        return Ok(list(around));
    }
    let request = request(arguments, around, stdin)?;
    match TcpStream::connect_timeout(&arguments.address, CONNECT_LIMIT) {
        Ok(stream) => {
            if arguments.function.is_some() || arguments.platform.image.is_some() {
                journal.note(format_args!(
                    "the function that runs at {} is invoked; end it to start another",
                    arguments.address
                ));
            }
            let variables = around.log.iter().chain(&arguments.platform.env);
            let names: Vec<&str> = variables.map(|(name, _)| name.as_str()).collect();
            if !names.is_empty() {
                journal.note(format_args!(
                    "what runs at {} does not get {}: set it where `firstbyte run` is started",
                    arguments.address,
                    names.join(", ")
                ));
            }
            ask(stream, arguments, request, REPLY_LIMIT)
        }
        Err(_) if arguments.later => Err(format!(
            "no function runs at {}, and retries need a running platform; start `firstbyte run` \
             first",
            arguments.address
        )
        .into()),
        Err(_) => alone(arguments, around, journal, request, stop),
    }
}

fn list(around: &CommandContext) -> Shown {
    let samples = sample::all(&around.here);
    let width = samples.iter().map(|sample| sample.name.len()).max().unwrap_or(0);
    let lines = samples.iter().map(|sample| format!("{:width$}  {}\n", sample.name, sample.origin));
    Shown { out: lines.collect::<String>().into(), beside: String::new(), succeeded: true }
}

fn request(
    arguments: &InvokeArguments,
    around: &CommandContext,
    mut stdin: impl Read,
) -> Result<Request, Box<dyn Error>> {
    let body = match arguments.event.as_deref() {
        Some("-") => {
            let mut bytes = Vec::new();
            stdin.read_to_end(&mut bytes)?;
            Some(bytes)
        }
        Some(wanted) => Some(match inline(wanted) {
            Some(json) => json?,
            None => sample::find(&around.here, wanted)?,
        }),
        None => arguments.data.clone().map(String::into_bytes),
    };
    let is_web = arguments.web.is_some();
    let mut headers: Fields = vec![(MODE.into(), if is_web { "web" } else { "event" }.into())];
    if arguments.headers {
        headers.push((SHOW.into(), "1".into()));
    }
    if arguments.later {
        headers.push((INVOCATION_TYPE.into(), "Event".into()));
    }
    let (method, target) = match arguments.web.as_deref() {
        Some([method, path]) if path.starts_with('/') => {
            (method.to_ascii_uppercase(), path.clone())
        }
        Some([_, path, ..]) => {
            return Err(format!("invalid path `{path}`; a path begins with `/`").into());
        }
        _ => ("POST".to_owned(), "/".to_owned()),
    };
    let body = match body {
        Some(body) => body,
        None if is_web => Vec::new(),
        None => sample::default(&around.here)?,
    };
    if !body.is_empty() {
        let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok();
        headers.push((
            "Content-Type".into(),
            if is_json { "application/json" } else { "text/plain" }.into(),
        ));
    }
    Ok(Request { method, target, headers, body })
}

/// An event written on the command line. Names of samples never begin with a brace or a bracket,
/// and names of files rarely do, so a mistake in such an argument is reported as invalid JSON.
fn inline(wanted: &str) -> Option<Result<Vec<u8>, String>> {
    wanted.trim_start().starts_with(['{', '[']).then(|| {
        match serde_json::from_str::<serde::de::IgnoredAny>(wanted) {
            Ok(_) => Ok(wanted.as_bytes().to_vec()),
            Err(error) => Err(format!(
                "`{wanted}` is not JSON ({error}); put it in single quotes, or send it as it is \
                 with --data"
            )),
        }
    })
}

/// Starts an instance for this one request.
fn alone(
    arguments: &InvokeArguments,
    around: &CommandContext,
    journal: &Arc<Journal>,
    request: Request,
    stop: impl FnOnce() -> io::Result<Receiver<()>>,
) -> Result<Shown, Box<dyn Error>> {
    let source = source(arguments.function.as_deref(), &arguments.platform, around)?;
    let wanted = if arguments.web.is_some() { Mode::Web } else { Mode::Event };
    let config = config(&source, &arguments.platform, around, wanted)?;
    if config.mode != wanted {
        return Err(other_mode(config.mode).into());
    }
    let config = Config { provisioned: 0, concurrency: 1, ..config };
    config.check()?;
    let program = source.prepare()?;
    program.left_out.iter().for_each(|line| journal.note(line));
    let network = network(&config, &arguments.platform, around)?;
    let sandbox = !arguments.platform.no_sandbox;
    let host = Host::new(&around.helper, sandbox, network, journal.clone())?;
    let platform = Platform::new(config, host, program, journal.clone())?;
    let front = Front::open(SocketAddr::from(([127, 0, 0, 1], 0)), platform.clone())?;
    let ended = platform.clone();
    let stop = stop()?;
    // Ctrl-C ends the instance; a request in flight then gets an error.
    std::thread::spawn(move || stop.recv().map(|()| ended.close()));
    let shown = ask(TcpStream::connect(front.address())?, arguments, request, REPLY_LIMIT);
    drop(front);
    platform.close();
    shown
}

fn ask(
    stream: TcpStream,
    arguments: &InvokeArguments,
    mut request: Request,
    limit: Duration,
) -> Result<Shown, Box<dyn Error>> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    request.headers.insert(0, ("Host".into(), arguments.address.to_string()));
    // A server that refuses a request early sends its reason: read a reply even if writing failed.
    let written = request.write(&mut &stream);
    let is_late = |error: &io::Error| {
        matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
    };
    let late = || format!("{} did not answer within {} s", arguments.address, limit.as_secs_f64());
    let reply = match (Reply::read(&mut BufReader::new(&stream), &request.method), written) {
        (Ok((reply, _)), _) => reply,
        (Err(WireError::Io(error)), _) | (Err(_), Err(error)) if is_late(&error) => {
            return Err(late().into());
        }
        (Err(_), Err(error)) => return Err(error.into()),
        (Err(error), Ok(())) => return Err(error.into()),
    };
    let report = field(&reply.headers, OUTCOME)
        .and_then(|report| serde_json::from_str::<InvocationReport>(report).ok());
    match report {
        Some(report) => Ok(shown(&reply, &report, arguments.web.is_some())),
        None if reply
            .headers
            .iter()
            .any(|(name, value)| name == "Content-Type" && value.starts_with("text/plain")) =>
        {
            Err(String::from_utf8_lossy(&reply.body).trim().to_owned().into())
        }
        None => Err(format!(
            "the program that listens on {} is not `firstbyte run`; choose another address with \
             --address",
            arguments.address
        )
        .into()),
    }
}

fn shown(reply: &Reply, report: &InvocationReport, is_web: bool) -> Shown {
    let mut beside = String::new();
    for (title, fields) in
        [("the function got", &report.sent), ("the function sent", &report.received)]
    {
        if !fields.is_empty() {
            let _ = writeln!(beside, "{title}"); // writing to a String does not fail
            fields.iter().for_each(|(name, value)| {
                let _ = writeln!(beside, "  {name}: {value}");
            });
        }
    }
    let _ = write!(beside, "{}", report.status);
    if is_web && report.status == 200 {
        let _ = write!(beside, ", HTTP {}", reply.status);
    }
    if let Some(message) = &report.message {
        let _ = write!(beside, " {message}");
    }
    if report.status == 202 {
        let _ = write!(beside, ", taken");
    } else {
        let us = Duration::from_micros;
        let _ = write!(beside, ", {}", milliseconds(us(report.duration_us)));
        let _ = match &report.cold {
            Some(cold) => {
                let [pull, runtime, function] = [cold.pull_us, cold.runtime_us, cold.function_us];
                let [all, pull, runtime, function] =
                    [pull + runtime + function, pull, runtime, function]
                        .map(|part| milliseconds(us(part)));
                write!(
                    beside,
                    ", cold start {all} (pull {pull}, runtime {runtime}, function {function})"
                )
            }
            None if report.memory_bytes > 0 => write!(beside, ", warm"),
            None => Ok(()),
        };
        if report.memory_bytes > 0 {
            let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            let _ = write!(
                beside,
                ", {:.1} of {} MB",
                mib(report.memory_bytes),
                mib(report.memory_limit_bytes)
            );
        }
    }
    let _ = writeln!(beside, ", request {}", report.request_id);
    Shown { out: pretty(&reply.body), beside, succeeded: matches!(report.status, 200 | 202) }
}

/// Indents JSON, with keys and numbers unchanged; anything else is returned as it is.
fn pretty(body: &[u8]) -> Vec<u8> {
    let mut out = match std::str::from_utf8(body) {
        Ok(text) if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() => {
            indented(text).into_bytes()
        }
        _ => body.to_vec(),
    };
    if !out.is_empty() && !out.ends_with(b"\n") {
        out.push(b'\n');
    }
    out
}

/// Valid JSON with one member or element per line.
fn indented(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    let mut tokens = json.chars().peekable();
    while let Some(c) = tokens.next() {
        if in_string {
            out.push(c);
            in_string = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            continue;
        }
        let line = |out: &mut String, depth: usize| {
            out.push('\n');
            out.extend(std::iter::repeat_n("  ", depth));
        };
        match c {
            ' ' | '\t' | '\r' | '\n' => {}
            '{' | '[' => {
                out.push(c);
                while tokens.next_if(char::is_ascii_whitespace).is_some() {}
                match tokens.next_if(|next| matches!(next, '}' | ']')) {
                    Some(empty) => out.push(empty),
                    None => {
                        depth += 1;
                        line(&mut out, depth);
                    }
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            other => {
                in_string = other == '"';
                out.push(other);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Regression: another server may accept a connection and send nothing.
    #[test]
    fn a_caller_without_an_answer_gets_an_error() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(silent.local_addr().unwrap()).unwrap();
        let crate::args::Command::Invoke(arguments) =
            <crate::args::Arguments as clap::Parser>::parse_from(["firstbyte", "invoke"]).command
        else {
            unreachable!("it was asked for")
        };
        let request = Request { method: "POST".into(), target: "/".into(), ..Request::default() };
        let error = ask(stream, &arguments, request, Duration::from_millis(50))
            .err()
            .expect("the call without an answer fails");
        assert!(error.to_string().ends_with("did not answer within 0.05 s"), "{error}");
    }

    #[test]
    fn indents_as_serde_json_does_and_keeps_keys_and_numbers() {
        for (_, sample) in emulator::sample::all("/".as_ref()).iter().map(|s| (&s.name, &s.bytes)) {
            let text = std::str::from_utf8(sample).unwrap();
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            // serde_json wrote these texts, so their keys are in its order and their numbers in its
            // form.
            let (compact, expected) =
                (value.to_string(), serde_json::to_string_pretty(&value).unwrap());
            assert_eq!(indented(&compact), expected);
        }
        assert_eq!(
            indented(r#"{"b":1e400, "a":[ ],"\"\\":"{,"}"#),
            "{\n  \"b\": 1e400,\n  \"a\": [],\n  \"\\\"\\\\\": \"{,\"\n}"
        );
        assert_eq!(pretty(b"no JSON"), b"no JSON\n");
    }
}
