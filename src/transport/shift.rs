//! Service of an event loop: its leader runs coroutines, and its standby takes the role when the
//! leader's handler blocks.
//!
//! A handler that is about to wait reports it ([`Shift::offer`]) with one system call: the standby
//! sleeps in an epoll of its own that contains the loop's epoll, and wakes up only if something
//! happens. A timer finds a handler that blocks or computes without a report. It runs only while
//! handlers run, so an idle instance has no timer.

use super::event_loop::{EventLoop, Next, State, control, owned};
use super::role::Role;
use super::worker::Worker;
use crate::log;
use crate::sys::monotonic_ns;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(super) struct Shift {
    work: EventLoop,
    /// The standby's epoll.
    outer: OwnedFd,
    /// A timerfd in that epoll.
    timer: OwnedFd,
    /// Whether the timer runs.
    timed: AtomicBool,
    watch: Mutex<WatchState>,
    /// When a handler was last found to block, in nanoseconds by the monotonic clock.
    lent_ns: AtomicU64,
}

#[derive(Default)]
struct WatchState {
    /// The leader's handler at the timer's last expiry.
    seen: Option<(Worker, u64)>,
    /// Handlers whose thread was taken out of the loop, because they blocked without a report.
    held: Vec<Held>,
}

struct Held {
    worker: Worker,
    handler: u64,
    since_ns: u64,
}

/// Time that a handler has, once or twice, before the loop is lent without a report, in
/// nanoseconds.
const PATIENCE_NS: u32 = 10_000_000;
/// The same shortly after such a loan: where one handler blocks, more do.
const LESS_PATIENCE_NS: u32 = 1_000_000;
/// How long that shorter time applies, in nanoseconds.
const LATELY_NS: u64 = 200_000_000;
/// Time from which on a handler that holds its thread is logged, in nanoseconds.
const WORTH_A_LINE_NS: u64 = 1_000_000_000;

/// Data of the standby's events.
const LOOP: u64 = 1;
const TIMER: u64 = 2;

/// Marker: the loop has no standby and needs one.
#[must_use]
pub(super) struct Needed;

impl Deref for Shift {
    type Target = EventLoop;

    fn deref(&self) -> &EventLoop {
        &self.work
    }
}

impl Shift {
    /// # Errors
    /// If descriptors have run out.
    pub(super) fn new(leader: Worker) -> io::Result<Shift> {
        let work = EventLoop::new(leader)?;
        // JUSTIFICATION: std has neither.
        // SAFETY: plain calls that make descriptors, which are ours as soon as they are valid.
        let (outer, timer) = unsafe {
            let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
            (
                owned(libc::epoll_create1(libc::EPOLL_CLOEXEC))?,
                owned(libc::timerfd_create(libc::CLOCK_MONOTONIC, flags))?,
            )
        };
        control(&outer, libc::EPOLL_CTL_ADD, work.fd(), 0, LOOP)?;
        let readable = libc::EPOLLIN as u32;
        control(&outer, libc::EPOLL_CTL_ADD, timer.as_raw_fd(), readable, TIMER)?;
        let (timed, watch) = (AtomicBool::new(false), Mutex::default());
        Ok(Shift { work, outer, timer, timed, watch, lent_ns: AtomicU64::new(0) })
    }

    /// Called when the handler on this thread is about to wait. Returns whether the role was its
    /// thread's and is now offered.
    pub(super) fn offer(&self, me: Worker) -> (bool, Option<Needed>) {
        let mut state = self.work.lock();
        if !state.role.offer(me) {
            return (false, None);
        }
        let needed = (!std::mem::replace(&mut state.has_standby, true)).then_some(Needed);
        self.work.leave_alone(&mut state);
        // Within the lock, as in `take_back`: the order of the calls is then the order of the
        // states.
        self.wake_standby(true);
        (true, needed)
    }

    /// Called when the handler continues: its thread leads again, unless another one has taken the
    /// role.
    pub(super) fn take_back(&self, me: Worker) {
        self.is_led_by(&mut self.work.lock(), me);
    }

    /// The leader's next action; `None` if this thread is not the leader.
    pub(super) fn next_of(&self, me: Worker) -> Option<Next> {
        let mut state = self.work.lock();
        self.is_led_by(&mut state, me).then(|| self.work.next(&mut state))
    }

    fn is_led_by(&self, state: &mut State, me: Worker) -> bool {
        let offered = state.role.is_offered();
        let leads = state.role.take_back(me);
        if offered && leads {
            self.work.look_after(state);
            self.wake_standby(false);
        }
        leads
    }

    /// Sets whether the standby wakes up if something happens in the loop.
    fn wake_standby(&self, wake: bool) {
        let events = if wake { libc::EPOLLIN | libc::EPOLLONESHOT } else { 0 };
        let changed =
            control(&self.outer, libc::EPOLL_CTL_MOD, self.work.fd(), events as u32, LOOP);
        debug_assert!(changed.is_ok());
    }

    /// Notes that no thread could be made: the next free one asks to be the standby.
    pub(super) fn has_no_standby(&self) {
        self.work.lock().has_standby = false;
    }

    /// Called when the thread has nothing to do. Returns whether it stands by from now on.
    pub(super) fn volunteer(&self) -> bool {
        !std::mem::replace(&mut self.work.lock().has_standby, true)
    }

    /// Sleeps until the role is this thread's. Asks for another standby if blocking handlers are
    /// already there; otherwise the next handler does ([`Shift::watch_handler`]).
    pub(super) fn stand_by(&self, me: Worker) -> Option<Needed> {
        loop {
            let mut events = [libc::epoll_event { events: 0, u64: 0 }; 2];
            // JUSTIFICATION: std has no epoll.
            // SAFETY: the pointer and the count are the array's own.
            let count =
                unsafe { libc::epoll_wait(self.outer.as_raw_fd(), events.as_mut_ptr(), 2, -1) };
            for event in events.iter().take(usize::try_from(count).unwrap_or_default()) {
                match event.u64 {
                    TIMER => self.look_at_handlers(),
                    _ if self.take(me) => return self.relieve_at_once(),
                    _ => {}
                }
            }
        }
    }

    fn take(&self, me: Worker) -> bool {
        let mut state = self.work.lock();
        let taken = state.role.take(me).is_some();
        if taken {
            state.has_standby = false;
            self.work.look_after(&mut state);
            self.timed.store(false, Ordering::SeqCst); // no thread waits for the timer
        }
        taken
    }

    fn relieve_at_once(&self) -> Option<Needed> {
        if self.watch().held.is_empty() { None } else { self.watch_handler() }
    }

    /// Called when a handler begins on the leader's thread, which has counted its step: watches it
    /// from now on.
    pub(super) fn watch_handler(&self) -> Option<Needed> {
        // Either this sees that the timer does not run, or the standby, which has stopped it, sees
        // the step.
        if self.timed.load(Ordering::SeqCst) || self.timed.swap(true, Ordering::SeqCst) {
            return None;
        }
        self.set_timer();
        (!std::mem::replace(&mut self.work.lock().has_standby, true)).then_some(Needed)
    }

    /// Called when the timer expires.
    fn look_at_handlers(&self) {
        let mut count = 0u64;
        // JUSTIFICATION: std's read wants a File.
        // SAFETY: eight bytes of a number that lives across the call.
        unsafe { libc::read(self.timer.as_raw_fd(), (&raw mut count).cast(), 8) };
        let now = monotonic_ns();
        let mut watch = self.watch();
        watch.log_long(now);
        let handler = self.current();
        if let Some((worker, number)) = handler
            && watch.seen == handler
            && self.lend(worker, number)
        {
            let since_ns = now.saturating_sub(u64::from(PATIENCE_NS));
            watch.held.push(Held { worker, handler: number, since_ns });
            self.lent_ns.store(now.max(1), Ordering::SeqCst);
        }
        watch.seen = handler;
        self.timed.store(false, Ordering::SeqCst);
        if (!watch.held.is_empty() || self.current().is_some())
            && !self.timed.swap(true, Ordering::SeqCst)
        {
            self.set_timer();
        }
    }

    /// The leader's current handler.
    fn current(&self) -> Option<(Worker, u64)> {
        match self.work.lock().role {
            Role::Led(worker) => worker.handler().map(|handler| (worker, handler)),
            Role::Offered(_) => None,
        }
    }

    /// Offers the role of a leader whose handler does not return.
    fn lend(&self, worker: Worker, handler: u64) -> bool {
        let mut state = self.work.lock();
        let lent = worker.handler() == Some(handler) && state.role.offer(worker);
        if lent {
            self.work.leave_alone(&mut state);
            self.wake_standby(true);
        }
        lent
    }

    fn set_timer(&self) {
        let lent_ns = self.lent_ns.load(Ordering::SeqCst);
        let lately = lent_ns > 0 && monotonic_ns().saturating_sub(lent_ns) < LATELY_NS;
        let nanoseconds = if lately { LESS_PATIENCE_NS } else { PATIENCE_NS };
        let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let after = libc::timespec { tv_sec: 0, tv_nsec: nanoseconds.into() };
        let time = libc::itimerspec { it_interval: never, it_value: after };
        // JUSTIFICATION: std has no such timers.
        // SAFETY: the time outlives the call, which reads it; the old one is not asked for.
        unsafe {
            libc::timerfd_settime(self.timer.as_raw_fd(), 0, &raw const time, std::ptr::null_mut())
        };
    }

    fn watch(&self) -> MutexGuard<'_, WatchState> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WatchState {
    /// Drops handlers that have ended, and logs each long one once.
    fn log_long(&mut self, now: u64) {
        self.held.retain(|held| {
            let goes_on = held.worker.handler() == Some(held.handler);
            let long = now.saturating_sub(held.since_ns) >= WORTH_A_LINE_NS;
            if goes_on && long {
                log::line(
                    &held.worker.request_id(),
                    format_args!(
                        "the handler has held its worker for over a second while others waited; \
                         they are served by another thread: do in `firstbyte::blocking` what \
                         blocks or computes for long"
                    ),
                );
            }
            goes_on && !long
        });
    }
}
