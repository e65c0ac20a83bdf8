//! Served: a function's program, started for a test on a free port, which any client can call over
//! real sockets. It reads the program's readiness line, and uses no HTTP.

use std::io::{self, BufRead, BufReader, ErrorKind};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Time within which the program must listen: the platform's limit (583/41076).
const INIT_TIMEOUT: Duration = Duration::from_secs(30);
/// What a program prints before its address when FIRSTBYTE_ADDR is set, in either log format.
const READY: &str = "listening on ";

/// A running function's program; dropping this ends the process.
///
/// # Example
/// ```no_run
/// use firstbyte::test::Served;
/// use std::io::{Read, Write};
///
/// // In a test of the package itself: env!("CARGO_BIN_EXE_hello").
/// let function = Served::start("target/debug/hello")?;
/// let mut client = std::net::TcpStream::connect(function.address())?;
/// client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
/// let mut reply = String::new();
/// client.read_to_string(&mut reply)?;
/// let output = function.output();
/// assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}; it printed {output:?}");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Served {
    process: Child,
    address: SocketAddr,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Served {
    /// Starts a program on a free port of 127.0.0.1 and waits until it listens.
    ///
    /// # Errors
    /// If it cannot be started, ends early, or does not listen within the platform's 30 s. The
    /// error contains what it printed.
    pub fn start(program: impl AsRef<std::ffi::OsStr>) -> io::Result<Served> {
        Served::run(Command::new(program))
    }

    /// Starts a command line, with its own arguments and environment.
    ///
    /// # Errors
    /// As [`Served::start`].
    pub fn run(mut command: Command) -> io::Result<Served> {
        command.env("FIRSTBYTE_ADDR", "127.0.0.1:0").stdin(Stdio::null()).stdout(Stdio::piped());
        let process = command.spawn()?;
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut served = Served { process, address: nowhere, lines: Arc::default() };
        let (sender, found) = mpsc::channel();
        if let Some(stdout) = served.process.stdout.take() {
            let lines = served.lines.clone();
            thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    let address = line
                        .split_once(READY)
                        .and_then(|(_, rest)| rest.split('"').next()?.parse().ok());
                    lock(&lines).push(line);
                    if let Some(address) = address {
                        let _ = sender.send(address); // the receiver takes only one
                    }
                }
            });
        }
        match found.recv_timeout(INIT_TIMEOUT) {
            Ok(address) => {
                served.address = address;
                Ok(served)
            }
            Err(error) => {
                let what = match error {
                    mpsc::RecvTimeoutError::Timeout => "does not listen within 30 s",
                    mpsc::RecvTimeoutError::Disconnected => "ended before it listened",
                };
                let message = format!("{command:?} {what}; it printed {:?}", served.output());
                Err(io::Error::new(ErrorKind::TimedOut, message))
            }
        }
    }

    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A URL for HTTP clients: `http://127.0.0.1:PORT` with `path`, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The lines that it has printed to standard output so far: its log. Standard error is the
    /// test's own.
    pub fn output(&self) -> Vec<String> {
        lock(&self.lines).clone()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill(); // it may have ended by itself
        let _ = self.process.wait();
    }
}

fn lock(lines: &Mutex<Vec<String>>) -> std::sync::MutexGuard<'_, Vec<String>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> io::Result<Served> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Served::run(command)
    }

    #[test]
    fn reads_where_a_program_listens_in_either_format() {
        for line in [
            "firstbyte: listening on 127.0.0.1:8123",
            r#"{"level":"INFO","message":"listening on 127.0.0.1:8123"}"#,
        ] {
            let served =
                shell(&format!("echo first; echo '{line}'; exec sleep 60")).expect("it says so");
            assert_eq!(served.address(), SocketAddr::from(([127, 0, 0, 1], 8123)));
            assert_eq!(served.url("/a?b"), "http://127.0.0.1:8123/a?b");
            assert_eq!(served.output(), ["first", line]);
        }
    }

    #[test]
    fn the_error_has_what_a_program_printed_that_never_listened() {
        let error = shell("echo no database").map(drop).expect_err("it ends").to_string();
        assert!(
            error.contains("ended before it listened") && error.contains("no database"),
            "{error}"
        );
        assert!(Served::start("/no/such/program").is_err());
    }
}
