//! All open connections: which are idle, which are behind their minimum rate, whose deadline has
//! passed, and whether there is a slot for one more.
//!
//! A wait on a coroutine is ended from outside: the watcher, a coroutine that sleeps until the next
//! deadline, or for ever if there is none, shuts the socket down, and the wait returns. So no wait
//! has a timer of its own, and an idle server has no timer at all. A thread that waits checks the
//! clock itself.
//!
//! A connection that lingers (it has had its last reply, and only waits until the peer has read it)
//! does not count under the cap. There is a separate limit for such connections, and the oldest is
//! closed.

use super::clock;
#[cfg(feature = "websocket")]
use super::event_loop::Nudge;
use super::event_loop::Ready;
use super::limits::MinRate;
use super::link::{Link, has_input, queued, shutdown};
use super::loops;
use super::pace::Pace;
use super::parker::Parker;
use super::stop;
use super::waiting::is_coroutine;
use crate::log;
use std::cell::Cell;
use std::io;
use std::net::Shutdown;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Every connection of the server.
pub(crate) struct Slots {
    cap: usize,
    /// Largest number of connections that linger.
    most_lingering: usize,
    open: Mutex<OpenSlots>,
    /// Signalled when the last connection closes while the server stops.
    emptied: Condvar,
    /// Number of connections under the cap.
    count: AtomicUsize,
    /// Number of slots freed so far.
    departures: AtomicUsize,
    /// Orders connections by when they became idle.
    idle_order: AtomicU64,
    stopping: AtomicBool,
    /// The accepting coroutine, while it waits for a slot.
    acceptor: Arc<Parker>,
    wants_room: AtomicBool,
    watcher: OnceLock<Arc<Parker>>,
    /// Time of the watcher's next look, by the monotonic clock.
    next_look: AtomicU64,
}

#[derive(Default)]
struct OpenSlots {
    slots: Vec<Option<Arc<Slot>>>,
    free: Vec<usize>,
    /// The lingering connections, the oldest first.
    lingering: Vec<usize>,
}

struct Slot {
    state: Mutex<SlotState>,
}

struct SlotState {
    fd: RawFd,
    phase: Phase,
    /// The current wait for the peer, if there is one.
    wait: Option<Wait>,
    /// Ends the wait if the socket must stay open: a WebSocket's.
    #[cfg(feature = "websocket")]
    nudge: Option<Nudge>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Busy,
    Idle {
        since_ns: u64,
        /// Order among those of the same tick.
        order: u64,
    },
    /// Ended from outside, or by itself: the socket is being closed, and no other code may use it.
    /// With the time when that began.
    Leaving(u64),
    /// The deadline has passed.
    Expired,
    /// Behind its minimum rate while another connection waited for the slot: it may send one more
    /// reply, without waiting. With the time when it lost the slot.
    Evicted(u64),
}

/// A wait for a peer with a minimum rate.
struct Wait {
    /// When `how` is shut down.
    deadline: u64,
    /// Latest possible time of that, whatever the peer does.
    latest: u64,
    how: Shutdown,
    /// Time up to which `patience` has been counted.
    counted_ns: u64,
    patience: Patience,
}

impl Wait {
    /// Counts what has happened until now.
    fn count(&mut self, now: u64, fd: RawFd) {
        let patience = &mut self.patience;
        patience.pace.waited(now.saturating_sub(self.counted_ns));
        self.counted_ns = now;
        patience.look(fd);
        self.deadline = self.latest.min(now.saturating_add(patience.pace.left_ns()));
    }
}

/// What is waited for, and the time left to the peer over one message.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    pace: Pace,
    /// Number of bytes that the peer had not taken at the last count; `None` if the peer sends.
    queued: Option<u64>,
    /// Longest silence of a peer that has taken everything; `None` if its last reply is not out.
    lingers: Option<Pace>,
    /// Whether the connection holds a share of the memory budget.
    pub holds_memory: bool,
}

impl Patience {
    /// For a peer that sends.
    pub(crate) fn to_read(rate: MinRate, longest: Duration) -> Patience {
        let pace = Pace::new(rate, longest);
        Patience { pace, queued: None, lingers: None, holds_memory: false }
    }

    /// For a silent peer that need not send anything for `long`. `place`: how long it keeps its
    /// slot, and how long it has been silent.
    #[cfg(feature = "websocket")]
    pub(crate) fn silent(place: (Duration, Duration), long: Duration) -> Patience {
        let pace = Pace::silent(place, long);
        Patience { pace, queued: None, lingers: None, holds_memory: false }
    }

    /// For a peer that reads a reply. Bytes that are in flight already do not count as progress.
    pub(crate) fn to_write(rate: MinRate, longest: Duration, link: &Link) -> Patience {
        let pace = Pace::of_reader(rate, longest);
        Patience { pace, queued: Some(link.queued()), lingers: None, holds_memory: false }
    }

    /// For a peer that gets its last reply: `reads` applies until it has taken all of it, `silent`
    /// after that.
    pub(crate) fn to_end(reads: Patience, silent: Patience) -> Patience {
        let left = reads.queued.is_some_and(|queued| queued > 0);
        let pace = if left { reads.pace } else { silent.pace };
        Patience { pace, lingers: Some(silent.pace), ..reads }
    }

    /// Counts bytes read from the peer.
    pub(crate) fn received(&mut self, bytes: usize) {
        self.pace.moved(bytes as u64);
    }

    /// Counts bytes that were given to the kernel.
    pub(crate) fn sent(&mut self, bytes: usize) {
        if let Some(queued) = &mut self.queued {
            *queued += bytes as u64;
        }
    }

    /// Counts time in which a thread has waited without [`Seat::wait`]. Returns how long it may
    /// continue.
    pub(crate) fn pass(&mut self, time: Duration, link: &Link) -> Duration {
        self.pace.waited(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        self.look(link.fd());
        Duration::from_nanos(self.pace.left_ns())
    }

    /// Counts what the peer has taken since the last look.
    fn look(&mut self, fd: RawFd) {
        let Some(before) = self.queued else { return };
        let now = queued(fd);
        self.queued = Some(now);
        match self.lingers {
            Some(silent) if now == 0 && before > 0 => self.pace = silent,
            _ => self.pace.moved(before.saturating_sub(now)),
        }
    }
}

/// What is needed, and which connections may be ended for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Place,
    Descriptor,
    Memory,
}

/// How long a peer must be behind before it is cut because descriptors have run out, in
/// nanoseconds: those that wait have no slot of the cap's.
const DESCRIPTOR_PATIENCE_NS: u64 = 2_000_000_000;
/// Time after which a connection that must leave no longer keeps others from being ended, in
/// nanoseconds: its handler may be busy.
const LEAVING_NS: u64 = 50_000_000;
/// Largest number of connections tried, of those that seem to have been unused longest.
const MOST_TRIED: usize = 8;

impl Slots {
    pub(crate) fn new(cap: usize, most_lingering: usize) -> Slots {
        Slots {
            cap,
            most_lingering,
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

    /// Whether the process has received a stop signal: then no reply announces another request.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed) || stop::stopped()
    }

    /// Adds a connection that was just accepted.
    pub(crate) fn seat(&'static self, fd: RawFd) -> Seat {
        let slot = Arc::new(Slot { state: Mutex::new(SlotState::new(fd)) });
        let mut open = lock(&self.open);
        let index = open.free.pop().unwrap_or_else(|| {
            open.slots.push(None);
            open.slots.len() - 1
        });
        open.slots[index] = Some(slot.clone());
        self.count.fetch_add(1, Ordering::AcqRel);
        Seat { slots: self, index, slot, has_place: Cell::new(true) }
    }

    /// Number of slots freed so far. Read it before looking for a free one.
    pub(crate) fn departures(&self) -> usize {
        self.departures.load(Ordering::SeqCst)
    }

    /// Ends the connection that has been unused longest: idle, or waiting for a peer that is behind
    /// its minimum rate. None if one is already leaving or has left since `seen`: then a slot may
    /// be free by now, and a slow leave costs one connection and not all of them.
    pub(crate) fn make_room(&self, seen: usize, need: Need) {
        let mut open = lock(&self.open);
        let now = clock::now_ns();
        if self.departures() != seen
            || open.slots.iter().flatten().any(|slot| lock(&slot.state).is_leaving(now))
        {
            return;
        }
        if need == Need::Descriptor && open.end_oldest_lingering(now) {
            return;
        }
        // The first is the right one, unless a request has just arrived; sorting for that case is 5
        // KiB of every function.
        let mut tried = None;
        for _ in 0..MOST_TRIED {
            let next = open.slots.iter().flatten().filter_map(|slot| {
                let unused = lock(&slot.state).unused(now, need)?;
                tried.is_none_or(|tried| unused < tried).then_some((unused, slot))
            });
            let Some((unused, slot)) = next.max_by_key(|(unused, _)| *unused) else { return };
            if lock(&slot.state).cut_if_unused(now, need) {
                return;
            }
            tried = Some(unused);
        }
    }

    /// Pauses until a slot is freed or a connection becomes idle, or until `limit` has passed; not
    /// at all if that happened since `seen`. Only the acceptor waits here.
    pub(crate) fn wait_for_room(&self, seen: usize, limit: Duration) {
        self.wants_room.store(true, Ordering::SeqCst);
        if self.departures() == seen {
            self.acceptor.park(Some(limit));
        }
        self.wants_room.store(false, Ordering::SeqCst);
    }

    fn wake_acceptor(&self) {
        if self.wants_room.load(Ordering::SeqCst) {
            self.acceptor.unpark();
        }
    }

    /// Number of open connections.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Ends idle connections now and busy ones after their reply; waits until none is left or
    /// `limit` has passed. Peers that have had their last reply get part of that time to read it.
    /// Returns how many are left.
    pub(crate) fn drain(&self, limit: Duration) -> usize {
        self.stopping.store(true, Ordering::SeqCst);
        let mut open = lock(&self.open);
        let now = clock::now_ns();
        for slot in open.slots.iter().flatten() {
            let mut state = lock(&slot.state);
            if matches!(state.phase, Phase::Idle { .. }) {
                state.cut_if_unused(now, Need::Place);
            }
            #[cfg(feature = "websocket")]
            if let Some(nudge) = state.nudge {
                nudge.give(); // its coroutine sends the close frame
            }
        }
        let begun = Instant::now();
        loop {
            let held = self.count() > 0;
            let most = if held { limit } else { limit.min(LAST_WORD) };
            let left = most.saturating_sub(begun.elapsed());
            if left.is_zero() || !held && open.lingering.is_empty() {
                break;
            }
            open = self.emptied.wait_timeout(open, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        self.count()
    }

    /// Makes sure that the number of lines that the log holds back is written in time.
    #[cold]
    #[inline(never)]
    pub(super) fn report_mistakes(&'static self) {
        if is_coroutine() {
            self.look_by(log::mistakes_due());
        }
    }

    /// Makes sure that the watcher looks at or before `deadline`.
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
            let next = self.expire().min(log::mistakes_due());
            self.next_look.fetch_min(next, Ordering::SeqCst);
            if next == u64::MAX {
                parker.park(None);
            } else {
                let left = next.saturating_sub(clock::now_ns());
                parker.park(Some(Duration::from_nanos(left)));
            }
        }
    }

    /// Ends what is due. Returns the earliest deadline that is not.
    fn expire(&self) -> u64 {
        let now = clock::now_ns();
        let open = lock(&self.open);
        let due = open.slots.iter().flatten().filter_map(|slot| {
            let mut state = lock(&slot.state);
            let fd = state.fd;
            let wait = state.wait.as_mut()?;
            if wait.deadline <= now {
                wait.count(now, fd); // the reader may have made progress
            }
            if wait.deadline > now {
                return Some(wait.deadline);
            }
            let how = wait.how;
            state.wait = None;
            state.phase = Phase::Expired;
            state.end_wait(how);
            None
        });
        due.min().unwrap_or(u64::MAX)
    }
}

/// Time that a drain leaves to peers that have had their last reply.
const LAST_WORD: Duration = Duration::from_secs(2);

impl OpenSlots {
    /// Ends the connection that has lingered longest, if there is one.
    fn end_oldest_lingering(&mut self, now: u64) -> bool {
        while !self.lingering.is_empty() {
            let oldest = self.lingering.remove(0); // moves some hundred numbers
            let Some(slot) = self.slots.get(oldest).and_then(Option::as_ref) else { continue };
            let mut state = lock(&slot.state);
            if !matches!(state.phase, Phase::Leaving(_)) {
                state.phase = Phase::Leaving(now);
                shutdown(state.fd, Shutdown::Both);
                return true;
            }
        }
        false
    }
}

impl SlotState {
    fn new(fd: RawFd) -> SlotState {
        SlotState {
            fd,
            phase: Phase::Busy,
            wait: None,
            #[cfg(feature = "websocket")]
            nudge: None,
        }
    }

    /// Ends a wait whose time is over.
    fn end_wait(&self, how: Shutdown) {
        #[cfg(feature = "websocket")]
        if let Some(nudge) = self.nudge {
            return nudge.give();
        }
        shutdown(self.fd, how);
    }

    /// Whether it was asked to leave a moment ago.
    fn is_leaving(&self, now: u64) -> bool {
        match self.phase {
            Phase::Leaving(since) | Phase::Evicted(since) => now.saturating_sub(since) < LEAVING_NS,
            _ => false,
        }
    }

    /// How long the connection has been unused, as far as `need` may end it: in nanoseconds, and in
    /// the order of those that became idle in one tick.
    fn unused(&self, now: u64, need: Need) -> Option<(u64, u64)> {
        match self.phase {
            Phase::Idle { since_ns, order } if need != Need::Memory => {
                Some((now.saturating_sub(since_ns), u64::MAX - order))
            }
            Phase::Busy => {
                let wait = self.wait.as_ref()?;
                if need == Need::Memory && !wait.patience.holds_memory {
                    return None;
                }
                let mut pace = wait.patience.pace;
                pace.waited(now.saturating_sub(wait.counted_ns));
                let behind = pace.behind_ns()?;
                (need != Need::Descriptor || behind >= DESCRIPTOR_PATIENCE_NS)
                    .then_some((behind, 0))
            }
            _ => None,
        }
    }

    /// Ends the connection, unless bytes have arrived that were not looked at yet.
    fn cut_if_unused(&mut self, now: u64, need: Need) -> bool {
        let fd = self.fd;
        match self.phase {
            Phase::Idle { .. } if !has_input(fd) => {
                self.phase = Phase::Leaving(now);
                shutdown(fd, Shutdown::Both);
                true
            }
            Phase::Busy => {
                let Some(wait) = &mut self.wait else { return false };
                if wait.patience.queued.is_none() && has_input(fd) {
                    return false;
                }
                wait.count(now, fd);
                let how = wait.how;
                if self.unused(now, need).is_none() {
                    return false;
                }
                self.phase = Phase::Evicted(now);
                shutdown(fd, how);
                true
            }
            _ => false,
        }
    }
}

/// A connection's slot. Call [`Seat::leave`] before the socket is closed, because a new socket may
/// soon get its number. Drop it afterwards, because only then does the count decrease.
pub(crate) struct Seat {
    slots: &'static Slots,
    index: usize,
    slot: Arc<Slot>,
    /// Whether it counts under the cap.
    has_place: Cell<bool>,
}

/// How a wait ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    /// Something may have happened.
    On,
    /// The peer has used up its time.
    TooLong,
    /// The peer was behind, and another connection needed its slot.
    Evicted,
}

impl Seat {
    /// Marks the connection as idle: it may be ended to free its slot. False if it must end now.
    ///
    /// `since` is the place among the idle ones: taken if there is none, kept while the same wait
    /// continues. The kernel sometimes wakes a connection without a reason, and that must not make
    /// it younger.
    pub(crate) fn idle(&self, since: &mut Option<(u64, u64)>) -> bool {
        if self.slots.is_stopping() {
            return false;
        }
        let (since_ns, order) = *since.get_or_insert_with(|| {
            (clock::coarse_ns(), self.slots.idle_order.fetch_add(1, Ordering::Relaxed))
        });
        let kept = self.turn(Phase::Idle { since_ns, order });
        self.slots.wake_acceptor();
        // The server may have begun to stop before this connection was marked.
        kept && !self.slots.is_stopping()
    }

    /// Marks the connection as busy. False if it was ended meanwhile.
    pub(crate) fn busy(&self) -> bool {
        self.turn(Phase::Busy)
    }

    fn turn(&self, phase: Phase) -> bool {
        let mut state = lock(&self.slot.state);
        let open = !matches!(state.phase, Phase::Leaving(_));
        if open {
            state.phase = phase;
        }
        open
    }

    /// From now on `nudge` ends a wait whose time is over, and one when the server stops; `None`:
    /// the socket is shut down, as for other connections.
    #[cfg(feature = "websocket")]
    pub(super) fn be_nudged(&self, nudge: Option<Nudge>) {
        lock(&self.slot.state).nudge = nudge;
    }

    /// Called before the socket is closed: other code must not use it any more.
    pub(crate) fn leave(&self) {
        let mut state = lock(&self.slot.state);
        state.phase = Phase::Leaving(0);
        state.wait = None;
    }

    /// Called when the last reply is out and only the peer's end is waited for: frees the slot. If
    /// too many linger, the oldest of them is ended.
    pub(crate) fn linger(&self) {
        let mut open = lock(&self.slots.open);
        if !self.has_place.replace(false) {
            return;
        }
        if open.lingering.len() >= self.slots.most_lingering {
            open.end_oldest_lingering(clock::now_ns());
        }
        open.lingering.push(self.index);
        let mut state = lock(&self.slot.state);
        if matches!(state.phase, Phase::Evicted(_)) {
            state.phase = Phase::Busy;
        }
        drop(state);
        self.slots.give_place_up();
        drop(open);
        self.slots.wake_acceptor();
    }

    /// The time that is `limit` from now.
    pub(crate) fn deadline_in(&self, limit: Duration) -> Expiry {
        let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        Expiry(clock::now_ns().saturating_add(limit))
    }

    /// Waits until the link may be ready, or the peer has used up its time, until `latest` at most:
    /// then direction `how` is shut down. May return early.
    ///
    /// # Errors
    /// If the runtime cannot watch the socket.
    pub(crate) fn wait(
        &self,
        link: &mut Link,
        until: Ready,
        how: Shutdown,
        patience: &mut Patience,
        latest: Option<Expiry>,
    ) -> io::Result<Waited> {
        let now = clock::now_ns();
        patience.look(link.fd());
        let latest = latest.map_or(u64::MAX, |latest| latest.0);
        let deadline = latest.min(now.saturating_add(patience.pace.left_ns()));
        {
            let mut state = lock(&self.slot.state);
            match state.phase {
                Phase::Evicted(_) => return Ok(Waited::Evicted),
                Phase::Leaving(_) => return Ok(Waited::TooLong),
                _ => {}
            }
            state.wait = Some(Wait { deadline, latest, how, counted_ns: now, patience: *patience });
        }
        if is_coroutine() {
            self.slots.look_by(deadline);
        }
        let left = deadline.saturating_sub(now);
        let waited = link.wait(until, Some(Duration::from_nanos(left)));
        let thread = !is_coroutine(); // checks the clock itself
        let mut state = lock(&self.slot.state);
        let wait = state.wait.take();
        match state.phase {
            Phase::Expired => {
                state.phase = Phase::Busy; // a connection's next deadline is separate
                return Ok(Waited::TooLong);
            }
            Phase::Evicted(_) => return Ok(Waited::Evicted),
            Phase::Leaving(_) => return Ok(Waited::TooLong),
            Phase::Busy | Phase::Idle { .. } => {}
        }
        waited?;
        let Some(mut wait) = wait else { return Ok(Waited::On) };
        let now = clock::now_ns();
        if thread && wait.deadline <= now {
            wait.count(now, link.fd());
            if wait.deadline <= now {
                link.shutdown(how);
                return Ok(Waited::TooLong);
            }
        }
        wait.patience.pace.waited(now.saturating_sub(wait.counted_ns));
        *patience = wait.patience;
        Ok(Waited::On)
    }
}

/// A time of the monotonic clock, in nanoseconds.
#[derive(Clone, Copy)]
pub(crate) struct Expiry(u64);

impl Expiry {
    /// Time from `earlier` to this one; zero if it is later.
    pub(crate) fn since(self, earlier: Expiry) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Slots {
    fn give_place_up(&self) {
        self.departures.fetch_add(1, Ordering::SeqCst);
        let last = self.count.fetch_sub(1, Ordering::AcqRel) == 1;
        if last && self.is_stopping() {
            self.emptied.notify_all();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = lock(&self.slots.open);
        open.slots[self.index] = None;
        open.free.push(self.index);
        if self.has_place.get() {
            self.slots.give_place_up();
        } else {
            if let Some(at) = open.lingering.iter().position(|index| *index == self.index) {
                open.lingering.remove(at);
            }
            if open.lingering.is_empty() && self.slots.is_stopping() {
                self.slots.emptied.notify_all();
            }
        }
        drop(open);
        self.slots.wake_acceptor();
    }
}

/// Locks a mutex. Locks are held for a few instructions and never across a wait; a panic in between
/// leaves consistent data.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
