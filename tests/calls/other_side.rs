//! Faulty peers in place of a server: one that does not answer, one whose queue is full, and a
//! relay that is slow or ends early.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A peer that accepts connections, and sends nothing.
pub struct Silent {
    pub address: SocketAddr,
}

impl Silent {
    pub fn listen() -> Silent {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        thread::spawn(move || listener.incoming().flatten().take(100).collect::<Vec<_>>());
        Silent { address }
    }
}

/// A listener whose queue is full: the kernel drops new connections, like a network without a
/// route.
pub struct Full {
    pub address: SocketAddr,
    _listener: rustix::fd::OwnedFd,
    _queued: Vec<TcpStream>,
}

impl Full {
    pub fn listen() -> Full {
        use rustix::net::{self, AddressFamily, SocketType};
        let listener = net::socket(AddressFamily::INET, SocketType::STREAM, None);
        let listener = listener.expect("a descriptor is free");
        net::bind(&listener, &SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port is free");
        net::listen(&listener, 0).expect("it is bound");
        let address = net::getsockname(&listener).expect("it is bound");
        let address = SocketAddr::try_from(address).expect("it is IPv4");
        let mut queued = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            queued.push(stream);
            assert!(queued.len() < 100, "the kernel does not drop a connection");
        }
        Full { address, _listener: listener, _queued: queued }
    }
}

/// How the relay treats the server's bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Passes them on.
    Pass,
    /// Passes on one byte every 700 ms.
    Drip,
    /// Passes on this many bytes, then ends the connection.
    CutAfter(usize),
    /// Drops the next reply; then passes bytes on.
    CutOnce,
}

/// A relay between a function and its server.
pub struct Relay {
    pub address: SocketAddr,
    state: Arc<State>,
}

struct State {
    mode: Mutex<Mode>,
    begun: AtomicUsize,
    ended: AtomicUsize,
}

impl Relay {
    pub fn to(server: SocketAddr, mode: Mode) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(State {
            mode: Mutex::new(mode),
            begun: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
        });
        let shared = state.clone();
        thread::spawn(move || {
            for peer in listener.incoming().flatten().take(1000) {
                let Ok(server) = TcpStream::connect(server) else { return };
                shared.begun.fetch_add(1, Ordering::SeqCst);
                let (from, to) = (peer.try_clone(), server.try_clone());
                let state = shared.clone();
                thread::spawn(move || state.copy_back(server, peer));
                if let (Ok(mut from), Ok(mut to)) = (from, to) {
                    thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Relay { address, state }
    }

    /// Number of connections so far.
    pub fn begun(&self) -> usize {
        self.state.begun.load(Ordering::SeqCst)
    }

    /// Number of ended connections.
    pub fn ended(&self) -> usize {
        self.state.ended.load(Ordering::SeqCst)
    }

    pub fn set(&self, mode: Mode) {
        *self.state.mode.lock().expect("no thread panics") = mode;
    }
}

impl State {
    fn copy_back(&self, mut server: TcpStream, mut peer: TcpStream) {
        let mut passed = 0;
        let mut bytes = [0; 16 * 1024];
        while let Ok(size @ 1..) = server.read(&mut bytes) {
            let mode = *self.mode.lock().expect("no thread panics");
            let sent = match mode {
                Mode::Pass => peer.write_all(&bytes[..size]),
                Mode::Drip => bytes[..size].iter().try_for_each(|byte| {
                    thread::sleep(Duration::from_millis(700));
                    peer.write_all(&[*byte])
                }),
                Mode::CutAfter(most) => {
                    let part = size.min(most - passed);
                    passed += part;
                    let sent = peer.write_all(&bytes[..part]);
                    if passed == most { break } else { sent }
                }
                Mode::CutOnce => {
                    *self.mode.lock().expect("no thread panics") = Mode::Pass;
                    break;
                }
            };
            if sent.is_err() {
                break;
            }
        }
        let _ = peer.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
        self.ended.fetch_add(1, Ordering::SeqCst);
    }
}
