//! Relay on loopback that shapes the traffic to the registry as a link would, by the rules of
//! `pipe`: one thread per direction waits until bytes may leave and computes when they arrive,
//! another sleeps until then and writes them. It models rate, round trip, the handshake's round
//! trip and slow start. It does not interpret the bytes.

use crate::link::Link;
use crate::pipe::{Flow, Wire};
use bench_kit::clock;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

/// Largest number of bytes read at once: all of them were ready at that moment, even if the thread
/// wakes late for its later pieces.
const READ_BYTES: usize = 64 * 1024;
/// Largest number of pieces under way in one direction of one connection; then the reader waits.
const PIECES_UNDER_WAY: usize = 4096;

/// A running relay; it stops accepting when dropped.
pub struct Relay {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Relay {
    /// Listens on a free port of loopback and carries every connection to `upstream` over `link`.
    ///
    /// # Errors
    /// If no port is free.
    pub fn start(link: &Link, upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let stopped = Arc::new(AtomicBool::new(false));
        let (link, stop) = (link.clone(), Arc::clone(&stopped));
        let wires = Wires::default();
        let acceptor = std::thread::Builder::new().name("relay".into()).spawn(move || {
            for peer in listener.incoming().flatten() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                // If the upstream refuses, this closes the peer's connection, unlike a router, so
                // that the puller reports it.
                let _ = connect(peer, upstream, &link, &wires);
            }
        })?;
        Ok(Self { address, stopped, acceptor: Some(acceptor) })
    }

    /// The relay's address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address); // wakes the acceptor
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

/// Both directions' wires, shared by all connections.
#[derive(Clone, Default)]
struct Wires {
    up: Arc<Mutex<Wire>>,
    down: Arc<Mutex<Wire>>,
}

fn connect(peer: TcpStream, upstream: SocketAddr, link: &Link, wires: &Wires) -> io::Result<()> {
    // The handshake on loopback took no time; over the link, data leaves a round trip later.
    let established_ns =
        clock::now_ns() + u64::try_from(link.round_trip.as_nanos()).unwrap_or(u64::MAX / 2);
    let server = TcpStream::connect(upstream)?;
    peer.set_nodelay(true)?;
    server.set_nodelay(true)?;
    carry(peer.try_clone()?, server.try_clone()?, link, &wires.up, established_ns)?;
    carry(server, peer, link, &wires.down, 0)
}

fn carry(
    from: TcpStream,
    to: TcpStream,
    link: &Link,
    wire: &Arc<Mutex<Wire>>,
    not_before_ns: u64,
) -> io::Result<()> {
    let (send, receive) = mpsc::sync_channel(PIECES_UNDER_WAY);
    let (link, wire) = (link.clone(), Arc::clone(wire));
    std::thread::Builder::new()
        .name("relay-in".into())
        .spawn(move || schedule(from, &link, &wire, not_before_ns, &send))?;
    std::thread::Builder::new().name("relay-out".into()).spawn(move || deliver(to, receive))?;
    Ok(())
}

/// Reads bytes and computes when they arrive at the other end.
fn schedule(
    mut from: TcpStream,
    link: &Link,
    wire: &Mutex<Wire>,
    not_before_ns: u64,
    send: &mpsc::SyncSender<(u64, Vec<u8>)>,
) {
    clock::sleep_exactly();
    let mut flow = Flow::new(link);
    let mut buffer = vec![0u8; READ_BYTES];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        let ready_ns = clock::now_ns().max(not_before_ns);
        for piece in buffer[..n].chunks(flow.largest_piece()) {
            let leaves_ns = flow.leaves_ns(ready_ns, piece.len() as u64);
            clock::sleep_until_ns(leaves_ns); // the wire is free for others until then
            let arrives_ns = {
                let mut wire = wire.lock().unwrap_or_else(PoisonError::into_inner);
                flow.send(&mut wire, link, leaves_ns, piece.len() as u64)
            };
            if send.send((arrives_ns, piece.to_vec())).is_err() {
                return;
            }
        }
    }
}

/// Writes each piece at its time.
fn deliver(mut to: TcpStream, pieces: mpsc::Receiver<(u64, Vec<u8>)>) {
    clock::sleep_exactly();
    for (arrives_ns, piece) in pieces {
        clock::sleep_until_ns(arrives_ns);
        if to.write_all(&piece).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An upstream that answers each line with `n` bytes of `x`, the n of the line.
    fn upstream() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for mut peer in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut line = [0u8; 16];
                    while let Ok(n @ 1..) = peer.read(&mut line) {
                        let wanted: usize =
                            String::from_utf8_lossy(&line[..n]).trim().parse().unwrap_or(0);
                        let _ = peer.write_all(&vec![b'x'; wanted]);
                    }
                });
            }
        });
        address
    }

    fn ask(stream: &mut TcpStream, bytes: usize) -> u64 {
        let began = clock::now_ns();
        writeln!(stream, "{bytes}").unwrap();
        let mut answer = vec![0u8; bytes];
        stream.read_exact(&mut answer).unwrap();
        clock::since_ns(began)
    }

    #[test]
    fn the_first_answer_takes_two_round_trips_and_the_next_one() {
        let link: Link = "1Gbit/20ms".parse().unwrap();
        let relay = Relay::start(&link, upstream()).unwrap();
        // Lower bounds: on a busy machine everything is later and nothing is earlier, because the
        // clock starts before the handshake.
        let began = clock::now_ns();
        let mut stream = TcpStream::connect(relay.address()).unwrap();
        ask(&mut stream, 10);
        let first = clock::since_ns(began);
        assert!(first >= 40_000_000, "handshake and answer: {first} ns");
        // The fastest of many, because a busy machine delays single ones.
        let quickest = (0..50).map(|_| ask(&mut stream, 10)).min().unwrap();
        assert!((20_000_000..40_000_000).contains(&quickest), "answer alone: {quickest} ns");
    }

    #[test]
    fn carries_all_bytes_at_no_more_than_the_rate() {
        let link: Link = "80Mbit/1ms".parse().unwrap();
        let relay = Relay::start(&link, upstream()).unwrap();
        let mut stream = TcpStream::connect(relay.address()).unwrap();
        assert!(ask(&mut stream, 1_000_000) >= 100_000_000); // 1 MB at 10 MB/s
    }

    /// Regression, as in `pipe`: the second of two transfers that began at different times took as
    /// long as both one after the other.
    #[test]
    fn transfers_that_begin_apart_share_the_wire() {
        const BYTES: usize = 400_000; // 2.5 s of slow start and waiting, 0.16 s of the wire
        let link: Link = "20Mbit/400ms".parse().unwrap();
        let relay = Relay::start(&link, upstream()).unwrap();
        let address = relay.address();
        let later = std::thread::spawn(move || {
            // apart, and not in step with a round trip
            std::thread::sleep(std::time::Duration::from_millis(300));
            ask(&mut TcpStream::connect(address).unwrap(), BYTES)
        });
        let first = ask(&mut TcpStream::connect(address).unwrap(), BYTES);
        let second = later.join().unwrap();
        // handshake, and the question's way
        let alone = crate::pipe::transfer_ns(&link, BYTES as u64) + 600_000_000;
        // the bytes of the other on the wire, and a round trip for a busy machine
        let worst = alone + 160_000_000 + 400_000_000;
        assert!(first < worst && second < worst, "{first} and {second}, alone {alone}");
    }
}
