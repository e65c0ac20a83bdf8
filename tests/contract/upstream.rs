//! Servers that a function under test calls: faulty peers on loopback, a real Redis, and relays.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A peer whose threads end with the test's process.
pub struct Upstream {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    /// The connections that fill a backlog.
    _held: Vec<TcpStream>,
    _listener: Option<TcpListener>,
}

impl Upstream {
    /// Sends each line back after a delay.
    pub fn echoes(after: Duration) -> Upstream {
        Upstream::on("127.0.0.1:0", move |peer| echo(peer, after))
    }

    pub fn echoes_on(address: &str) -> Upstream {
        Upstream::on(address, |peer| echo(peer, Duration::ZERO))
    }

    /// Accepts, and neither reads nor writes.
    pub fn silent() -> Upstream {
        Upstream::on("127.0.0.1:0", |_| {
            loop {
                thread::park();
            }
        })
    }

    /// Reads a little, and closes.
    pub fn closes() -> Upstream {
        Upstream::on("127.0.0.1:0", |mut peer| {
            let _ = peer.read(&mut [0; 1024]);
            let _ = peer.shutdown(Shutdown::Both);
        })
    }

    pub fn speaks(speech: impl Fn(TcpStream) + Send + Sync + 'static) -> Upstream {
        Upstream::on("127.0.0.1:0", speech)
    }

    /// Does not answer a connect: its backlog is full, and the kernel drops new connections.
    pub fn full() -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        rustix::net::listen(&listener, 0).expect("it listens already");
        let address = listener.local_addr().expect("it is bound");
        let mut held = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            held.push(stream);
            assert!(held.len() < 100, "the backlog is never full");
        }
        Upstream {
            address,
            connections: Arc::default(),
            open: Arc::default(),
            _held: held,
            _listener: Some(listener),
        }
    }

    fn on(address: &str, speech: impl Fn(TcpStream) + Send + Sync + 'static) -> Upstream {
        let listener = TcpListener::bind(address).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let connections = Arc::new(AtomicUsize::new(0));
        let open = Arc::new(Mutex::new(Vec::new()));
        let (count, all, speech) = (connections.clone(), open.clone(), Arc::new(speech));
        thread::spawn(move || {
            for peer in listener.incoming().map_while(Result::ok) {
                count.fetch_add(1, Ordering::SeqCst);
                all.lock().expect("no user panics").push(peer.try_clone().expect("it is open"));
                let speech = speech.clone();
                thread::spawn(move || speech(peer));
            }
        });
        Upstream { address, connections, open, _held: Vec::new(), _listener: None }
    }

    /// Number of connections so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Closes all open connections.
    pub fn close_all(&self) {
        for peer in self.open.lock().expect("no user panics").drain(..) {
            let _ = peer.shutdown(Shutdown::Both); // it may be closed already
        }
    }
}

fn echo(peer: TcpStream, after: Duration) {
    let mut out = peer.try_clone().expect("it is open");
    for line in BufReader::new(peer).split(b'\n').map_while(Result::ok) {
        thread::sleep(after);
        if out.write_all(&line).and_then(|()| out.write_all(b"\n")).is_err() {
            return;
        }
    }
}

/// A program that is ended by its id when the test ends.
pub struct Program {
    pub address: SocketAddr,
    child: Child,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a program that listens on a loopback port of its own.
#[track_caller]
pub fn program(
    make: impl Fn(SocketAddr) -> Command,
    is_ready: impl Fn(SocketAddr) -> bool,
) -> Program {
    // Another program may take the port in between: it is tried again.
    for _ in 0..5 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        drop(listener);
        let mut command = make(address);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{command:?} does not start: {error}; `build/setup --servers` installs it")
            });
        let mut program = Program { address, child };
        for _ in 0..500 {
            if program.child.try_wait().expect("the process is ours").is_some() {
                break;
            }
            if is_ready(address) {
                return program;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
    panic!("the program does not listen");
}

/// A Redis of the test, without files on disk.
pub struct Redis {
    pub address: SocketAddr,
    _program: Program,
}

#[track_caller]
pub fn redis_server() -> Redis {
    let program = program(
        |address| {
            let mut command = Command::new("redis-server");
            command.args(["--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]);
            command.args(["--port", &address.port().to_string()]);
            command
        },
        // Another server may have the port: only Redis answers in this way.
        |address| told(address, "PING").is_ok_and(|reply| reply == "+PONG"),
    );
    Redis { address: program.address, _program: program }
}

/// The reply of a Redis at an address to an inline command, without the last line end.
fn told(address: SocketAddr, command: &str) -> io::Result<String> {
    let mut peer = TcpStream::connect(address)?;
    peer.set_read_timeout(Some(Duration::from_secs(10)))?;
    peer.write_all(format!("{command}\r\nQUIT\r\n").as_bytes())?;
    let mut reply = String::new();
    peer.read_to_string(&mut reply)?;
    Ok(reply.trim_end().trim_end_matches("+OK").trim_end().to_owned())
}

impl Redis {
    /// Its reply to an inline command, without the last line end.
    #[track_caller]
    pub fn ask(&self, command: &str) -> String {
        told(self.address, command).expect("Redis answers")
    }

    /// Number of connections, with the one of this request.
    pub fn clients(&self) -> usize {
        self.ask("CLIENT LIST")
            .lines()
            .filter(|line| line.starts_with("id=") || line.contains(" addr="))
            .count()
    }
}

/// Relays both sides. After this many replies on its first connection, it takes the next one from
/// the server, drops it, and closes the connection.
pub fn relay(to: SocketAddr, replies: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for (number, mut near) in listener.incoming().map_while(Result::ok).enumerate() {
            thread::spawn(move || {
                let mut far = TcpStream::connect(to).expect("the server listens");
                let mut left = if number == 0 { replies } else { usize::MAX };
                let mut bytes = [0; 4096];
                while let Ok(size @ 1..) = near.read(&mut bytes) {
                    far.write_all(&bytes[..size]).expect("the server reads");
                    let Ok(size @ 1..) = far.read(&mut bytes) else { return };
                    if left == 0 {
                        return;
                    }
                    left -= 1;
                    if near.write_all(&bytes[..size]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}
