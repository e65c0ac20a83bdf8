//! Server process for one test: it listens on a free port of loopback, and is ended by its id when
//! the test ends.

use crate::peer::{Peer, get};
use crate::{PATIENCE, eventually, process, program};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A running server.
#[derive(Debug)]
pub struct Server {
    /// Its address on the loopback.
    pub address: SocketAddr,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

/// The text that a server prints when it listens on a given address.
const READY: &str = "listening on ";

impl Server {
    /// The echo example.
    #[track_caller]
    pub fn echo() -> Server {
        Server::start(Command::new(program::echo()))
    }

    /// Starts `command` on a free loopback port and waits for its readiness line.
    #[track_caller]
    pub fn start(mut command: Command) -> Server {
        command.env("FIRSTBYTE_ADDR", "127.0.0.1:0");
        let (child, lines, arrived) = spawn(command);
        let mut server = Server { address: SocketAddr::from(([127, 0, 0, 1], 0)), child, lines };
        loop {
            match arrived.recv_timeout(PATIENCE) {
                Ok(line) => {
                    if let Some((_, address)) = line.split_once(READY) {
                        // a JSON line continues after it
                        let address = address.split('"').next().unwrap_or_default();
                        server.address =
                            address.parse().expect("the readiness line names an address");
                        return server;
                    }
                }
                Err(_) => panic!("the server does not listen; it printed {:?}", server.output()),
            }
        }
    }

    /// Ends the server's boot lane: two peers send requests at once, are served and disconnect. Its
    /// threads then run, and its descriptors and memory are those of a server at rest.
    #[track_caller]
    pub fn at_rest(self) -> Server {
        let mut peers = [Peer::to(self.address), Peer::to(self.address)];
        let [slow, quick] = &mut peers;
        slow.send("GET / HTTP/1.1\r\nHost: h\r\n");
        assert!(quick.ask(get("/")).status < 500);
        slow.send("\r\n");
        assert!(slow.reply().status < 500);
        let with_peers = process::descriptors(self.id());
        drop(peers);
        eventually("the first two connections are closed", || {
            process::descriptors(self.id()) + 2 == with_peers
        });
        self
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its output so far, of both streams, line by line.
    pub fn output(&self) -> Vec<String> {
        self.lines.lock().expect("no reader panics").clone()
    }

    /// Sends a signal.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        signal_to(self.id(), signal);
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        wait(&mut self.child)
    }

    /// Panics if it has ended.
    #[track_caller]
    pub fn assert_alive(&mut self) {
        let ended = self.child.try_wait().expect("the process is ours");
        assert_eq!(ended, None, "the server has ended; it printed {:?}", self.output());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill(); // the test may have ended it already
        let _ = self.child.wait();
    }
}

/// Runs a command that should end by itself; returns its status and its output of both streams.
#[track_caller]
pub fn run_to_end(command: Command) -> (ExitStatus, Vec<String>) {
    let (mut child, lines, arrived) = spawn(command);
    let status = wait(&mut child);
    while arrived.recv_timeout(PATIENCE).is_ok() {} // until both readers have seen the end
    let lines = lines.lock().expect("no reader panics").clone();
    (status, lines)
}

/// Sends a signal to a process of this test.
#[track_caller]
pub fn signal_to(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a process id is not 0");
    kill_process(pid, signal).expect("the process is there");
}

fn spawn(mut command: Command) -> (Child, Arc<Mutex<Vec<String>>>, Receiver<String>) {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let lines = Arc::new(Mutex::new(Vec::new()));
    let (sender, arrived) = mpsc::channel();
    let streams: [Box<dyn Read + Send>; 2] = [
        Box::new(child.stdout.take().expect("piped")),
        Box::new(child.stderr.take().expect("piped")),
    ];
    for stream in streams {
        let (lines, sender) = (lines.clone(), sender.clone());
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                lines.lock().expect("no reader panics").push(line.clone());
                let _ = sender.send(line); // the receiver is gone when the server is ready
            }
        });
    }
    (child, lines, arrived)
}

#[track_caller]
fn wait(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("the process is ours") {
            return status;
        }
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("the process does not end");
        }
        thread::sleep(Duration::from_millis(2));
    }
}
