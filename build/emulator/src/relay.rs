//! Relay of a WebSocket through the emulated platform: it copies bytes in both directions and
//! observes the frames' heads, because the way in which it ends and the time without data decide
//! the invocation's result. Platform page 583/44842. Comments mark what the page does not state.

use crate::frames::{ABNORMAL, Frames, Side, TOO_BIG};
use crate::verdict::InvocationVerdict;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// Largest number of bytes in transit in one direction.
const PIPE_BYTES: usize = 64 << 10;
/// Time that a side has to end its connection after the other side has ended.
const END_GRACE: Duration = Duration::from_secs(2);

/// How a connection ended, in the platform's terms. 1000, 1010 from the client and 1011 from the
/// function are success.
fn verdict_of(side: Side, code: u16) -> InvocationVerdict {
    match (side, code) {
        (_, 1000) | (Side::Client, 1010) | (Side::Function, 1011) => InvocationVerdict::Success,
        _ => InvocationVerdict::WebSocketClosed(side, code),
    }
}

/// The instance's checks while a connection lasts.
pub(crate) trait Beside {
    /// Longest wait until the next check of the memory.
    fn look_again_within(&self, time: Duration) -> Duration;
    /// Checks the memory where no cgroup does; ends the instance if it uses too much.
    fn ended_over_memory(&self) -> bool;
    /// The result if a connection ended without a close frame because the process ended.
    fn end_of_connection(&self) -> Option<InvocationVerdict>;
}

/// The two connections and their time limits.
pub(crate) struct Relay<'r> {
    pub client: &'r TcpStream,
    pub function: &'r TcpStream,
    pub instance: &'r dyn Beside,
    /// Longest time without data from either side; the platform then ends the connection with 455.
    pub idle: Duration,
    /// End of the execution time; the result is then 433.
    pub deadline: Instant,
    pub timeout: Duration,
}

impl Relay<'_> {
    /// Relays until both connections have ended; returns the result, and a note for the log.
    pub(crate) fn run(
        &self,
        from_client: Vec<u8>,
        from_function: Vec<u8>,
    ) -> (InvocationVerdict, Option<String>) {
        let mut lanes = [
            Lane::new(self.client, self.function, Side::Client, from_client),
            Lane::new(self.function, self.client, Side::Function, from_function),
        ];
        let verdict = match self.set_blocking(false).and_then(|()| self.pass_on(&mut lanes)) {
            Ok(verdict) => verdict,
            Err(_) => InvocationVerdict::WebSocketClosed(Side::Client, ABNORMAL),
        };
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.function.shutdown(Shutdown::Both);
        let _ = self.set_blocking(true); // sockets of another network are reused
        let note = lanes.iter().find_map(|lane| lane.frames.too_fast);
        (verdict, note.map(str::to_owned))
    }

    fn set_blocking(&self, yes: bool) -> io::Result<()> {
        self.client.set_nonblocking(!yes)?;
        self.function.set_nonblocking(!yes)
    }

    fn pass_on(&self, lanes: &mut [Lane<'_>; 2]) -> io::Result<InvocationVerdict> {
        let mut last = Instant::now();
        let mut ended: Option<(InvocationVerdict, Instant)> = None;
        for lane in lanes.iter_mut() {
            lane.see_waiting();
        }
        loop {
            let now = Instant::now();
            let until = match &ended {
                Some((verdict, at)) => match *at + END_GRACE {
                    until if until <= now || lanes.iter().all(Lane::is_over) => {
                        return Ok(verdict.clone());
                    }
                    until => until,
                },
                None if now >= self.deadline => {
                    return Ok(InvocationVerdict::TimeLimitReached(self.timeout));
                }
                None if now >= last + self.idle => {
                    return Ok(InvocationVerdict::WebSocketIdle(self.idle));
                }
                None => self.deadline.min(last + self.idle),
            };
            let wanted = self.instance.look_again_within(until.saturating_duration_since(now));
            let [client, function] = [lanes[0].wants(&lanes[1]), lanes[1].wants(&lanes[0])];
            // For a socket without requested events, poll(2) would report its end in every round.
            let mut fds: Vec<_> = [(self.client, client), (self.function, function)]
                .into_iter()
                .filter(|(_, wants)| !wants.is_empty())
                .map(|(stream, wants)| PollFd::new(stream, wants))
                .collect();
            let wanted = Timespec {
                tv_sec: wanted.as_secs().cast_signed(),
                tv_nsec: i64::from(wanted.subsec_nanos()),
            };
            match poll(&mut fds, Some(&wanted)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if self.instance.ended_over_memory() {
                return Ok(InvocationVerdict::MemoryLimitReached);
            }
            for lane in lanes.iter_mut() {
                if lane.pass_on() {
                    last = Instant::now();
                }
                let end = lane.frames.end.or_else(|| lane.has_ended.then_some(ABNORMAL));
                if let (Some(code), None) = (end, &ended) {
                    let verdict = match (lane.side, code) {
                        // The end of the process may be the cause.
                        (Side::Function, ABNORMAL) => self.instance.end_of_connection(),
                        _ => None,
                    };
                    let verdict = verdict.unwrap_or_else(|| verdict_of(lane.side, code));
                    ended = Some((verdict, Instant::now()));
                    if code == TOO_BIG && lane.frames.is_over {
                        return Ok(InvocationVerdict::WebSocketTooBig(lane.side));
                    }
                }
            }
        }
    }
}

/// One direction.
struct Lane<'r> {
    from: &'r TcpStream,
    to: &'r TcpStream,
    side: Side,
    waiting: Vec<u8>,
    has_ended: bool,
    /// Whether the other side accepts no more bytes.
    is_broken: bool,
    has_shut: bool,
    frames: Frames,
}

impl<'r> Lane<'r> {
    fn new(from: &'r TcpStream, to: &'r TcpStream, side: Side, waiting: Vec<u8>) -> Lane<'r> {
        let frames = Frames::default();
        let (has_ended, is_broken, has_shut) = (false, false, false);
        Lane { from, to, side, waiting, has_ended, is_broken, has_shut, frames }
    }

    fn see_waiting(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        self.frames.see(&waiting);
        self.waiting = waiting;
    }

    fn is_over(&self) -> bool {
        self.is_broken || self.has_ended && self.waiting.is_empty()
    }

    /// The events to wait for at its reading end; `other` writes to it.
    fn wants(&self, other: &Lane<'_>) -> PollFlags {
        let mut wants = PollFlags::empty();
        if !self.has_ended && self.waiting.is_empty() {
            wants |= PollFlags::IN;
        }
        if !other.waiting.is_empty() && !other.is_broken {
            wants |= PollFlags::OUT;
        }
        wants
    }

    /// Whether it passed any bytes.
    fn pass_on(&mut self) -> bool {
        let mut has_moved = false;
        if self.waiting.is_empty() && !self.has_ended {
            let mut buffer = [0; PIPE_BYTES];
            match (&mut &*self.from).read(&mut buffer) {
                Ok(0) => self.has_ended = true,
                Ok(size) => {
                    has_moved = true;
                    self.frames.see(&buffer[..size]);
                    self.waiting.extend_from_slice(&buffer[..size]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.has_ended = true,
            }
        }
        while !self.waiting.is_empty() && !self.is_broken {
            match (&mut &*self.to).write(&self.waiting) {
                Ok(size) => drop(self.waiting.drain(..size)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.is_broken = true;
                    self.waiting.clear();
                }
            }
        }
        if self.is_over() && !std::mem::replace(&mut self.has_shut, true) {
            let _ = self.to.shutdown(Shutdown::Write); // relays the end too
        }
        has_moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_some_codes_are_a_success() {
        for (side, code, status) in [
            (Side::Client, 1000, 200),
            (Side::Function, 1000, 200),
            (Side::Client, 1010, 200),
            (Side::Function, 1010, 439),
            (Side::Function, 1011, 200),
            (Side::Client, 1011, 456),
            (Side::Client, 1001, 456),
            (Side::Function, 4000, 439),
            (Side::Client, ABNORMAL, 456),
        ] {
            assert_eq!(verdict_of(side, code).status(), status, "{side:?} {code}");
        }
    }
}
