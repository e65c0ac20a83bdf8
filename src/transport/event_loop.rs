//! Event loop: coroutines that are ready, watched sockets, timers. One thread leads it at a time
//! (threads.rs); any thread may make a coroutine ready.
//!
//! Sockets are watched edge-triggered (epoll(7)), each from its first wait on. An event holds the
//! socket's number and a generation instead of an address: a late event for a closed socket finds
//! nothing.

use super::coroutine::{Coroutine, pause};
use super::role::Role;
use super::waiting::is_coroutine;
use super::worker::Worker;
use crate::sys::{monotonic_ns, retry};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a wait is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ready {
    ToRead,
    ToWrite,
}

/// Events after which a read on the socket returns its end or an error.
pub(super) const HANG_UP: u32 = (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32;

impl Ready {
    /// Events that end such a wait.
    fn events(self) -> u32 {
        match self {
            Ready::ToRead => libc::EPOLLIN as u32 | HANG_UP,
            Ready::ToWrite => (libc::EPOLLOUT | libc::EPOLLHUP | libc::EPOLLERR) as u32,
        }
    }
}

/// What a timer wakes. `round` identifies the wait for which it was set.
pub(super) trait Timed: Send + Sync {
    fn expire(&self, round: u64);
    /// Whether that wait is over, so that the timer wakes nothing.
    fn is_past(&self, round: u64) -> bool;
}

pub(super) struct EventLoop {
    epoll: OwnedFd,
    /// An eventfd, written when a coroutine becomes ready while the leader sleeps.
    bell: OwnedFd,
    state: Mutex<State>,
}

pub(super) struct State {
    ready: VecDeque<Coroutine>,
    /// Ready too, but run only after the sockets have been looked at.
    later: Vec<Coroutine>,
    /// By descriptor.
    watched: Vec<Option<Watch>>,
    generation: u32,
    /// Ordered by time, then by number.
    timers: BTreeMap<(u64, u64), (Arc<dyn Timed>, u64)>,
    timers_set: u64,
    /// Whether the leader sleeps until the eventfd is written.
    asleep: bool,
    pub(super) role: Role<Worker>,
    /// A thread stands by, or is about to.
    pub(super) has_standby: bool,
}

/// A watched socket.
struct Watch {
    generation: u32,
    /// Events that no wait has taken yet.
    events: u32,
    waits: Option<(Coroutine, Ready)>,
}

/// What the leader does next.
pub(super) enum Next {
    Run(Coroutine),
    /// Nothing is ready: wait for events, at most this many milliseconds; -1 for ever.
    Sleep(libc::c_int),
}

/// Data of the eventfd's events, in place of a socket's.
const BELL: u64 = u64::MAX;
/// Number of events taken at a time.
const EVENTS: usize = 64;

impl EventLoop {
    /// # Errors
    /// If descriptors have run out.
    pub(super) fn new(leader: Worker) -> io::Result<EventLoop> {
        // JUSTIFICATION: std has no epoll.
        // SAFETY: plain calls that make descriptors, which are ours as soon as they are valid.
        let (epoll, bell) = unsafe {
            (
                owned(libc::epoll_create1(libc::EPOLL_CLOEXEC))?,
                owned(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))?,
            )
        };
        control(&epoll, libc::EPOLL_CTL_ADD, bell.as_raw_fd(), libc::EPOLLIN as u32, BELL)?;
        Ok(EventLoop {
            epoll,
            bell,
            state: Mutex::new(State {
                ready: VecDeque::new(),
                later: Vec::new(),
                watched: Vec::new(),
                generation: 0,
                timers: BTreeMap::new(),
                timers_set: 0,
                asleep: false,
                role: Role::Led(leader),
                has_standby: false,
            }),
        })
    }

    pub(super) fn fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the loop's leader run the coroutine.
    pub(super) fn make_ready(&self, coroutine: Coroutine) {
        let mut state = self.lock();
        state.ready.push_back(coroutine);
        self.ring(&mut state);
    }

    /// Lets the coroutines that are ready run first.
    pub(super) fn pass(&'static self) {
        pause(|coroutine| self.make_ready(coroutine));
    }

    /// Lets others run first, after a look at the sockets.
    pub(super) fn give_way(&'static self) {
        pause(|coroutine| {
            let mut state = self.lock();
            state.later.push(coroutine);
            self.ring(&mut state);
        });
    }

    /// Wakes the sleeping leader, once.
    fn ring(&self, state: &mut State) {
        if std::mem::take(&mut state.asleep) {
            // JUSTIFICATION: std's write wants a File.
            // SAFETY: eight bytes of a number that lives across the call.
            unsafe { libc::write(self.bell.as_raw_fd(), (&raw const ONE).cast(), 8) };
        }
    }

    /// Called when the leader's thread stops looking at the loop for a while: the next leader is
    /// woken by the eventfd or an event. It is woken at once if there is something to do already,
    /// or a timer, which only a leader checks.
    pub(super) fn leave_alone(&self, state: &mut State) {
        state.asleep = true;
        if !state.ready.is_empty() || !state.later.is_empty() || !state.timers.is_empty() {
            self.ring(state);
        }
    }

    /// Called when the leader is back, or another one has taken over.
    pub(super) fn look_after(&self, state: &mut State) {
        state.asleep = false;
    }

    /// What the leader does next.
    pub(super) fn next(&self, state: &mut State) -> Next {
        if let Some(coroutine) = state.ready.pop_front() {
            return Next::Run(coroutine);
        }
        if !state.later.is_empty() {
            return Next::Sleep(0);
        }
        while let Some(first) = state.timers.first_entry() {
            let (at, _) = *first.key();
            let (timed, round) = first.get();
            if timed.is_past(*round) {
                first.remove();
                continue;
            }
            let left = at.saturating_sub(monotonic_ns()).div_ceil(1_000_000);
            state.asleep = left > 0;
            return Next::Sleep(libc::c_int::try_from(left).unwrap_or(libc::c_int::MAX));
        }
        state.asleep = true;
        Next::Sleep(-1)
    }

    /// Waits for events; then the coroutines that waited for them, or whose time has passed, are
    /// ready.
    pub(super) fn sleep(&self, limit_ms: libc::c_int) {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        // JUSTIFICATION: std has no epoll.
        // SAFETY: the pointer and the count are the array's own.
        let count = unsafe {
            libc::epoll_wait(self.fd(), events.as_mut_ptr(), EVENTS as libc::c_int, limit_ms)
        };
        let mut state = self.lock();
        state.asleep = false;
        for event in events.iter().take(usize::try_from(count).unwrap_or_default()) {
            let (data, bits) = (event.u64, event.events);
            if data == BELL {
                let mut rung = 0u64;
                // JUSTIFICATION: std's read wants a File.
                // SAFETY: eight bytes of a number that lives across the call.
                unsafe { libc::read(self.bell.as_raw_fd(), (&raw mut rung).cast(), 8) };
            } else {
                state.happened(data as u32, (data >> 32) as u32, bits);
            }
        }
        let later = std::mem::take(&mut state.later);
        state.ready.extend(later);
        let due = state.take_due();
        drop(state); // the woken coroutines take the lock
        for (timed, round) in due {
            timed.expire(round);
        }
    }

    /// Wakes `timed` at this time of the monotonic clock, in nanoseconds.
    pub(super) fn set_timer(&self, at: u64, timed: Arc<dyn Timed>, round: u64) {
        let mut state = self.lock();
        state.timers_set += 1;
        let key = (at, state.timers_set);
        state.timers.insert(key, (timed, round));
        if state.timers.first_key_value().is_some_and(|(first, _)| *first == key) {
            self.ring(&mut state);
        }
    }
}

static ONE: u64 = 1;

impl State {
    fn happened(&mut self, generation: u32, fd: u32, events: u32) {
        let watch = self.watched.get_mut(fd as usize).and_then(Option::as_mut);
        let Some(watch) = watch.filter(|watch| watch.generation == generation) else { return };
        watch.events |= events;
        if let Some((coroutine, _)) = watch.waits.take_if(|(_, ready)| ready.events() & events != 0)
        {
            self.ready.push_back(coroutine);
        }
    }

    fn take_due(&mut self) -> Vec<(Arc<dyn Timed>, u64)> {
        if self.timers.is_empty() {
            return Vec::new();
        }
        let later = self.timers.split_off(&(monotonic_ns() + 1, 0));
        std::mem::replace(&mut self.timers, later).into_values().collect()
    }
}

/// A descriptor in a loop's epoll, on which its owner waits from coroutines.
pub(super) struct Watched {
    home: &'static EventLoop,
    fd: RawFd,
    generation: u32,
    writes: bool,
}

impl Watched {
    /// The owner must drop it before it closes `fd`.
    ///
    /// # Errors
    /// If epoll takes no more.
    pub(super) fn new(home: &'static EventLoop, fd: RawFd) -> io::Result<Watched> {
        let index = usize::try_from(fd).map_err(|_| io::ErrorKind::NotConnected)?;
        let generation = {
            let mut state = home.lock();
            state.generation = state.generation.wrapping_add(1);
            let generation = state.generation;
            if state.watched.len() <= index {
                state.watched.resize_with(index + 1, || None);
            }
            state.watched[index] = Some(Watch { generation, events: 0, waits: None });
            generation
        };
        let watched = Watched { home, fd, generation, writes: false };
        watched.control(libc::EPOLL_CTL_ADD, 0)?;
        Ok(watched)
    }

    /// Pauses the coroutine until an event that ends such a wait has happened since the last wait
    /// that it ended. Returns the events. May return early.
    ///
    /// # Errors
    /// If epoll refuses.
    pub(super) fn wait(&mut self, ready: Ready) -> io::Result<u32> {
        debug_assert!(is_coroutine());
        if ready == Ready::ToWrite && !self.writes {
            // Requested only from here on: otherwise each reply would bring an event.
            self.control(libc::EPOLL_CTL_MOD, libc::EPOLLOUT as u32)?;
            self.writes = true;
        }
        let (home, fd) = (self.home, self.fd);
        pause(move |coroutine| {
            let mut state = home.lock();
            match state.watched.get_mut(fd as usize).and_then(Option::as_mut) {
                // The event happened before this wait was visible.
                Some(watch) if watch.events & ready.events() == 0 => {
                    watch.waits = Some((coroutine, ready));
                }
                _ => {
                    state.ready.push_back(coroutine);
                    home.ring(&mut state);
                }
            }
        });
        Ok(self.take_events(ready))
    }

    /// The events that end such a wait; they are cleared if there are any.
    fn take_events(&self, ready: Ready) -> u32 {
        let mut state = self.home.lock();
        match state.watched.get_mut(self.fd as usize).and_then(Option::as_mut) {
            Some(watch) if watch.events & ready.events() != 0 => std::mem::take(&mut watch.events),
            _ => 0,
        }
    }

    /// Returns a handle that ends a wait to read from elsewhere.
    #[cfg(feature = "websocket")]
    pub(super) fn nudge(&self) -> Nudge {
        Nudge { home: self.home, fd: self.fd, generation: self.generation }
    }

    fn control(&self, operation: libc::c_int, more: u32) -> io::Result<()> {
        let events = (libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLET) as u32 | more;
        let data = u64::from(self.fd.cast_unsigned()) << 32 | u64::from(self.generation);
        control(&self.home.epoll, operation, self.fd, events, data)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // epoll forgets the socket when it is closed.
        let mut state = self.home.lock();
        if let Some(watch) = state.watched.get_mut(self.fd as usize) {
            *watch = None;
        }
    }
}

/// Handle that ends a coroutine's wait to read from a socket, from any thread, as if something had
/// arrived; if there is no wait, it ends the next one. It does nothing once the socket is closed.
#[cfg(feature = "websocket")]
#[derive(Clone, Copy)]
pub(super) struct Nudge {
    home: &'static EventLoop,
    fd: RawFd,
    generation: u32,
}

#[cfg(feature = "websocket")]
impl Nudge {
    pub(super) fn give(self) {
        let mut state = self.home.lock();
        state.happened(self.generation, self.fd.cast_unsigned(), libc::EPOLLIN as u32);
        self.home.ring(&mut state);
    }
}

/// One call of epoll_ctl(2).
pub(super) fn control(
    epoll: &OwnedFd,
    operation: libc::c_int,
    fd: RawFd,
    events: u32,
    data: u64,
) -> io::Result<()> {
    let mut event = libc::epoll_event { events, u64: data };
    // JUSTIFICATION: std has no epoll.
    // SAFETY: the event outlives the call, which reads it; a number that is no descriptor is an
    // error.
    retry(|| unsafe { libc::epoll_ctl(epoll.as_raw_fd(), operation, fd, &raw mut event) as isize })
        .map(drop)
}

/// A descriptor that a call has made.
pub(super) fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // JUSTIFICATION: std cannot check that a number is an owned descriptor.
    // SAFETY: the caller has it from a call that makes descriptors, and gives it to no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
