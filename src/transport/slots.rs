//! All open connections: who is idle, whose deadline has passed, whether there is room for one
//! more.
//!
//! A connection that must not wait for ever is ended from outside where it waits on a coroutine:
//! the watcher, a coroutine that sleeps until the next deadline and for ever if there is none,
//! shuts its socket down, and the wait returns. No such wait has a timer of its own, and an idle
//! server none at all. A thread that waits looks at the clock itself.

use super::event_loop::Ready;
use super::link::{Link, has_input, shutdown};
use super::loops;
use super::parker::Parker;
use super::stop;
use super::waiting::is_coroutine;
use std::io;
use std::net::Shutdown;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Every connection of the server.
pub(crate) struct Slots {
    cap: usize,
    /// When the first deadline was asked for.
    started: OnceLock<Instant>,
    open: Mutex<OpenSlots>,
    /// Signalled when the last connection closes while the server stops.
    emptied: Condvar,
    count: AtomicUsize,
    /// How many have gone so far.
    departures: AtomicUsize,
    /// Orders connections by when they became idle.
    idle_order: AtomicU64,
    stopping: AtomicBool,
    /// The accepting coroutine, while it waits for room.
    acceptor: Arc<Parker>,
    wants_room: AtomicBool,
    watcher: OnceLock<Arc<Parker>>,
    /// When the watcher will look next, nanoseconds since `started`.
    next_look: AtomicU64,
}

#[derive(Default)]
struct OpenSlots {
    slots: Vec<Option<Arc<Slot>>>,
    free: Vec<usize>,
}

struct Slot {
    state: Mutex<SlotState>,
}

struct SlotState {
    fd: RawFd,
    phase: Phase,
    /// Nanoseconds since `started`, and what is shut down then.
    deadline: Option<(u64, Shutdown)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Busy,
    /// Since when, as a position in the order of idle connections.
    Idle(u64),
    /// Ended from outside, or by itself: the socket is being closed and is nobody else's business.
    Leaving,
    /// The deadline has passed.
    Expired,
}

impl Slots {
    pub(crate) fn new(cap: usize) -> Slots {
        Slots {
            cap,
            started: OnceLock::new(),
            open: Mutex::default(),
            emptied: Condvar::new(),
            count: AtomicUsize::new(0),
            departures: AtomicUsize::new(0),
            idle_order: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            acceptor: Arc::default(),
            wants_room: AtomicBool::new(false),
            watcher: OnceLock::new(),
            next_look: AtomicU64::new(u64::MAX),
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.count.load(Ordering::Acquire) >= self.cap
    }

    /// Whether the process has been told to stop: no reply promises another.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed) || stop::stopped()
    }

    /// Takes in a connection that was just accepted.
    pub(crate) fn seat(&'static self, fd: RawFd) -> Seat {
        let slot = Arc::new(Slot {
            state: Mutex::new(SlotState { fd, phase: Phase::Busy, deadline: None }),
        });
        let mut open = lock(&self.open);
        let index = open.free.pop().unwrap_or_else(|| {
            open.slots.push(None);
            open.slots.len() - 1
        });
        open.slots[index] = Some(slot.clone());
        self.count.fetch_add(1, Ordering::AcqRel);
        Seat { slots: self, index, slot }
    }

    /// How many connections have gone so far. Whoever looks for room asks before the look.
    pub(crate) fn departures(&self) -> usize {
        self.departures.load(Ordering::SeqCst)
    }

    /// Ends the connection that has been idle longest, unless one is leaving already or has left
    /// since `seen`: then there may be room by now, and a slow leave costs one connection and not
    /// all of them.
    pub(crate) fn evict_longest_idle(&self, seen: usize) {
        let open = lock(&self.open);
        let phase = |slot: &Slot| lock(&slot.state).phase;
        if self.departures() != seen
            || open.slots.iter().flatten().any(|slot| matches!(phase(slot), Phase::Leaving))
        {
            return;
        }
        // The first is the one, but for a request that has just arrived; sorting for that case is 5
        // KiB of every function.
        let mut tried = None;
        let idle = |tried: Option<u64>| {
            let order = |slot: &Slot| match phase(slot) {
                Phase::Idle(order) if tried.is_none_or(|tried| order > tried) => Some(order),
                _ => None,
            };
            open.slots
                .iter()
                .flatten()
                .filter_map(|slot| Some((order(slot)?, slot)))
                .min_by_key(|(order, _)| *order)
        };
        while let Some((order, slot)) = idle(tried) {
            if slot.cut_if_idle() {
                return;
            }
            tried = Some(order);
        }
    }

    /// Yields until a connection closes or becomes idle, or until `limit` has passed; not at all if
    /// one has closed since `seen`. Only the acceptor waits here.
    pub(crate) fn wait_for_room(&self, seen: usize, limit: Duration) {
        self.wants_room.store(true, Ordering::SeqCst);
        if self.departures() == seen {
            self.acceptor.park(Some(limit));
        }
        self.wants_room.store(false, Ordering::SeqCst);
    }

    fn tell_acceptor(&self) {
        if self.wants_room.load(Ordering::SeqCst) {
            self.acceptor.unpark();
        }
    }

    /// How many connections are open.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Ends idle connections now and busy ones after their reply; waits until none is left or
    /// `limit` has passed. How many are left.
    pub(crate) fn drain(&self, limit: Duration) -> usize {
        self.stopping.store(true, Ordering::SeqCst);
        let mut open = lock(&self.open);
        for slot in open.slots.iter().flatten() {
            slot.cut_if_idle();
        }
        let end = Instant::now() + limit;
        while self.count() > 0 {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            open = self.emptied.wait_timeout(open, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        self.count()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.get_or_init(Instant::now).elapsed().as_nanos())
            .unwrap_or(u64::MAX)
    }

    /// Makes sure that the watcher looks at `deadline` or before.
    fn look_by(&'static self, deadline: u64) {
        if self.next_look.fetch_min(deadline, Ordering::SeqCst) <= deadline {
            return;
        }
        let watcher = self.watcher.get_or_init(|| {
            let parker = Arc::new(Parker::default());
            let own = parker.clone();
            loops::spawn(0, move || self.watch(&own));
            parker
        });
        watcher.unpark();
    }

    fn watch(&self, parker: &Arc<Parker>) {
        loop {
            self.next_look.store(u64::MAX, Ordering::SeqCst);
            let next = self.expire();
            self.next_look.fetch_min(next, Ordering::SeqCst);
            if next == u64::MAX {
                parker.park(None);
            } else {
                let left = next.saturating_sub(self.now());
                parker.park(Some(Duration::from_nanos(left)));
            }
        }
    }

    /// Ends what is due; the earliest deadline that is not.
    fn expire(&self) -> u64 {
        let now = self.now();
        let open = lock(&self.open);
        let due = open.slots.iter().flatten().filter_map(|slot| {
            let mut state = lock(&slot.state);
            match state.deadline {
                Some((at, how)) if at <= now => {
                    state.deadline = None;
                    state.phase = Phase::Expired;
                    shutdown(state.fd, how);
                    None
                }
                Some((at, _)) => Some(at),
                None => None,
            }
        });
        due.min().unwrap_or(u64::MAX)
    }
}

impl Slot {
    /// Not if its next request has arrived and was not looked at yet.
    fn cut_if_idle(&self) -> bool {
        let mut state = lock(&self.state);
        let idle = matches!(state.phase, Phase::Idle(_)) && !has_input(state.fd);
        if idle {
            state.phase = Phase::Leaving;
            shutdown(state.fd, Shutdown::Both);
        }
        idle
    }
}

/// One connection's place. [`Seat::leave`] comes before the socket is closed, because the number of
/// a closed socket is soon another's; dropping it comes after, because only then is there room.
pub(crate) struct Seat {
    slots: &'static Slots,
    index: usize,
    slot: Arc<Slot>,
}

impl Seat {
    /// Nothing has arrived of a next request: the connection may be ended to make room. False if it
    /// is to end now.
    ///
    /// `since` is the place among the idle ones: taken where there is none, kept while the same
    /// wait goes on. The kernel wakes a connection for nothing now and then, and that makes it no
    /// younger.
    pub(crate) fn idle(&self, since: &mut Option<u64>) -> bool {
        if self.slots.is_stopping() {
            return false;
        }
        let order =
            *since.get_or_insert_with(|| self.slots.idle_order.fetch_add(1, Ordering::Relaxed));
        let kept = self.turn(Phase::Idle(order));
        self.slots.tell_acceptor();
        // The server may have begun to stop before this connection was to be seen idle.
        kept && !self.slots.is_stopping()
    }

    /// Something arrived, or is being written. False if the connection was ended meanwhile.
    pub(crate) fn busy(&self) -> bool {
        self.turn(Phase::Busy)
    }

    fn turn(&self, phase: Phase) -> bool {
        let mut state = lock(&self.slot.state);
        let open = !matches!(state.phase, Phase::Leaving);
        if open {
            state.phase = phase;
        }
        open
    }

    /// The socket is about to be closed: nobody touches it any more.
    pub(crate) fn leave(&self) {
        let mut state = lock(&self.slot.state);
        state.phase = Phase::Leaving;
        state.deadline = None;
    }

    /// The point in time that is `limit` from now.
    pub(crate) fn deadline_in(&self, limit: Duration) -> Expiry {
        let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        Expiry(self.slots.now().saturating_add(limit))
    }

    /// Shuts `how` down at the deadline, unless [`Seat::disarm`] comes first.
    fn arm(&self, deadline: Expiry, how: Shutdown) {
        lock(&self.slot.state).deadline = Some((deadline.0, how));
        if is_coroutine() {
            self.slots.look_by(deadline.0);
        }
    }

    /// Waits until the link may be ready or the deadline has passed, when `how` of it is shut down:
    /// whether it has passed. May return early.
    ///
    /// # Errors
    /// If the runtime cannot watch the socket.
    pub(crate) fn wait(
        &self,
        link: &mut Link,
        until: Ready,
        deadline: Expiry,
        how: Shutdown,
    ) -> io::Result<bool> {
        self.arm(deadline, how);
        let left = deadline.0.saturating_sub(self.slots.now());
        let waited = link.wait(until, Some(Duration::from_nanos(left)));
        if self.disarm() {
            return Ok(true);
        }
        waited?;
        let passed = !is_coroutine() && self.slots.now() >= deadline.0; // a thread looks itself
        if passed {
            link.shutdown(how);
        }
        Ok(passed)
    }

    /// Takes the deadline back; true if it has passed. The next one is a deadline of its own.
    fn disarm(&self) -> bool {
        let mut state = lock(&self.slot.state);
        state.deadline = None;
        let passed = matches!(state.phase, Phase::Expired);
        if passed {
            state.phase = Phase::Busy;
        }
        passed
    }
}

/// A point in time: nanoseconds since the server started.
#[derive(Clone, Copy)]
pub(crate) struct Expiry(u64);

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = lock(&self.slots.open);
        open.slots[self.index] = None;
        open.free.push(self.index);
        self.slots.departures.fetch_add(1, Ordering::SeqCst);
        let last = self.slots.count.fetch_sub(1, Ordering::AcqRel) == 1;
        drop(open);
        if last && self.slots.is_stopping() {
            self.slots.emptied.notify_all();
        }
        self.slots.tell_acceptor();
    }
}

/// Locks are held for a few instructions and never across a wait; a panic in between leaves nothing
/// half-done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
