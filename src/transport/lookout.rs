//! Lookout of the boot lane: while the main thread waits in a handler, it watches for other peers,
//! and ends the lane as soon as one of them sends something.
//!
//! If the main thread waits for a descriptor or for a time, it watches itself, with one poll(2) for
//! all. If it blocks in code that is not ours, a thread watches, as long as the request lasts. A
//! one-shot timer (timer_create(2)) finds a handler that blocks or computes without a report: its
//! signal starts that thread.

use super::waiting::{Place, is_lane, now_runs, wait_on};
use crate::sys::monotonic_ns;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The lane's connections while a handler runs in it.
pub(super) trait LaneHold: Sync {
    /// Appends the descriptors to watch: the listener, and the connections that are silent so far.
    fn watched(&self, polled: &mut Vec<libc::pollfd>);
    /// Looks at all of them, without waiting. True if the lane is over: another peer has sent
    /// something, and the runtime serves from now on. `here_is_time`: the main thread calls, and it
    /// is waiting.
    fn look(&self, here_is_time: bool) -> bool;
}

/// The lane whose handler runs now; `None` between requests, and once the lane is over.
static LANE: Mutex<Option<&'static dyn LaneHold>> = Mutex::new(None);
/// Whether there is a watching thread, or one is being made. It stays until [`rest`].
static THREAD: AtomicBool = AtomicBool::new(false);
/// Whether the thread must watch: from a handler's wait to the handler's end. While the reply is
/// written it does not, because the peer may have read it before this process continues, and send
/// its next request.
static WATCH: AtomicBool = AtomicBool::new(false);
/// An eventfd + 1 that wakes the thread (0 = none yet).
static BELL: AtomicI32 = AtomicI32::new(0);
/// Whether the main thread itself watches.
static LOOKING: AtomicBool = AtomicBool::new(false);
/// Whether the timer expired during that.
static MISSED: AtomicBool = AtomicBool::new(false);

/// Stack size of the thread, in bytes: it may start the runtime.
const STACK_BYTES: usize = 256 * 1024;

fn lane() -> MutexGuard<'static, Option<&'static dyn LaneHold>> {
    LANE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the timer that finds blocking handlers. Call it once, before [`begin`].
pub(super) fn make_timer() {
    timer::make();
}

/// Called when a request is about to be answered in the lane, until [`end`].
pub(super) fn begin(hold: &'static dyn LaneHold) {
    *lane() = Some(hold);
    WATCH.store(false, Ordering::SeqCst); // the timer may have expired after the last handler
    timer::set();
}

/// Called when the request is answered.
pub(super) fn end() {
    *lane() = None;
    timer::stop();
}

/// Called when the handler has ended.
pub(super) fn handler_ends() {
    WATCH.store(false, Ordering::SeqCst);
}

/// Whether there is a thread that [`rest`] would end.
pub(super) fn has_thread() -> bool {
    THREAD.load(Ordering::SeqCst)
}

/// Called between two requests: the thread is not needed any more.
pub(super) fn rest() {
    if has_thread() {
        ring();
    }
}

/// Called on the main thread in the lane, before it blocks in code that is not ours.
pub(super) fn have_a_thread() {
    if lane().is_some() && !WATCH.swap(true, Ordering::SeqCst) {
        timer::stop(); // its signal would cut a system call short
        if !watch() {
            timer::set();
        }
    }
}

/// Makes the thread watch; starts one if there is none. Async-signal-safe.
fn watch() -> bool {
    if THREAD.swap(true, Ordering::SeqCst) {
        ring();
        return true;
    }
    let made = spawn();
    if !made {
        THREAD.store(false, Ordering::SeqCst);
        WATCH.store(false, Ordering::SeqCst);
    }
    made
}

/// Blocks this thread until `fd` is ready, or `limit` has passed. May return early.
pub(super) fn wait_for(fd: RawFd, events: libc::c_short, limit: Option<Duration>) {
    wait(Some(libc::pollfd { fd, events, revents: 0 }), limit);
}

/// Blocks this thread for `duration`.
pub(super) fn sleep(duration: Duration) {
    wait(None, Some(duration));
}

fn wait(own: Option<libc::pollfd>, limit: Option<Duration>) {
    let nanoseconds = |limit: Duration| u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
    let end_ns = limit.map(|limit| monotonic_ns().saturating_add(nanoseconds(limit)));
    let in_lane = is_lane();
    let before = now_runs(Place::Elsewhere); // a lock within waits as a thread's (futex.rs)
    if in_lane {
        LOOKING.store(true, Ordering::SeqCst);
    }
    loop {
        let mut polled: Vec<libc::pollfd> = own.into_iter().collect();
        let others = polled.len();
        if in_lane
            && !WATCH.load(Ordering::SeqCst)
            && let Some(lane) = *lane()
        {
            lane.watched(&mut polled);
        }
        let left_ms = end_ns.map_or(-1, |end_ns| {
            let left_ms = end_ns.saturating_sub(monotonic_ns()).div_ceil(1_000_000);
            libc::c_int::try_from(left_ms).unwrap_or(libc::c_int::MAX)
        });
        wait_on(&mut polled, left_ms);
        if polled[..others].iter().any(|own| own.revents != 0) {
            break;
        }
        if polled[others..].iter().any(|other| other.revents != 0) {
            look(true);
        } else if end_ns.is_some_and(|end_ns| monotonic_ns() >= end_ns) {
            break;
        }
    }
    now_runs(before);
    if in_lane {
        LOOKING.store(false, Ordering::SeqCst);
        if MISSED.swap(false, Ordering::SeqCst) {
            timer::set(); // the handler continues
        }
    }
}

/// Looks at the other connections; ends the lane if one of them has sent something.
fn look(here_is_time: bool) {
    let mut lane = lane();
    if lane.is_some_and(|lane| lane.look(here_is_time)) {
        *lane = None;
    }
}

/// Starts the thread. Async-signal-safe with musl: its pthread_create maps the stack, allocates
/// nothing, and blocks signals as long as it holds a lock.
fn spawn() -> bool {
    // JUSTIFICATION: std has no eventfd, and its threads allocate, which a signal handler must not.
    // SAFETY: the attributes are initialised before they are used and outlive the call that reads
    // them; the thread is detached, takes no argument, and does not unwind.
    unsafe {
        if BELL.load(Ordering::SeqCst) == 0 {
            let bell = libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK);
            if bell < 0 {
                return false;
            }
            BELL.store(bell + 1, Ordering::SeqCst);
        }
        let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
        libc::pthread_attr_init(attributes.as_mut_ptr());
        libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), STACK_BYTES);
        libc::pthread_attr_setdetachstate(attributes.as_mut_ptr(), libc::PTHREAD_CREATE_DETACHED);
        let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
        libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), look_out, ptr::null_mut())
            == 0
    }
}

fn ring() {
    let one = 1u64;
    // JUSTIFICATION: std's write wants a File.
    // SAFETY: eight bytes of a number that lives across the call; the eventfd is never closed.
    unsafe { libc::write(BELL.load(Ordering::SeqCst) - 1, (&raw const one).cast(), 8) };
}

/// The thread's function.
extern "C" fn look_out(_: *mut libc::c_void) -> *mut libc::c_void {
    let bell = BELL.load(Ordering::SeqCst) - 1;
    let mut polled = Vec::new();
    let mut rung = false;
    loop {
        polled.clear();
        polled.push(libc::pollfd { fd: bell, events: libc::POLLIN, revents: 0 });
        match *lane() {
            Some(lane) if WATCH.load(Ordering::SeqCst) => lane.watched(&mut polled),
            None if rung => {
                // Within the lock: a later request then starts another thread.
                THREAD.store(false, Ordering::SeqCst);
                return ptr::null_mut();
            }
            Some(_) | None => {}
        }
        wait_on(&mut polled, -1);
        rung = polled[0].revents != 0;
        if rung {
            let mut rings = 0u64;
            // JUSTIFICATION: std's read wants a File.
            // SAFETY: eight bytes of a number that lives across the call.
            unsafe { libc::read(bell, (&raw mut rings).cast(), 8) };
        }
        if polled[1..].iter().any(|other| other.revents != 0) && WATCH.load(Ordering::SeqCst) {
            look(false);
        }
    }
}

/// Timer that finds a handler which blocks or computes without a report.
#[cfg(target_env = "musl")]
mod timer {
    use super::{LOOKING, MISSED, WATCH, watch};
    use std::mem::MaybeUninit;
    use std::ptr;
    use std::sync::OnceLock;
    use std::sync::atomic::Ordering;

    /// Longest time that other peers wait, in nanoseconds.
    const PATIENCE_NS: libc::c_long = 50_000_000;
    /// The kernel ignores it without a handler, and any program may get it occasionally.
    const SIGNAL: libc::c_int = libc::SIGURG;

    /// A timer's id, valid in all threads of the process.
    struct Timer(libc::timer_t);
    // JUSTIFICATION: the C library declares the id as a pointer.
    // SAFETY: nothing is read through it; the kernel takes it from any thread (timer_create(2)).
    unsafe impl Send for Timer {}
    // JUSTIFICATION: as above.
    // SAFETY: as above.
    unsafe impl Sync for Timer {}

    static TIMER: OnceLock<Option<Timer>> = OnceLock::new();

    /// Makes the timer. Without one, a handler that blocks without a report delays other peers.
    pub(super) fn make() {
        TIMER.get_or_init(|| {
            // JUSTIFICATION: std has neither signals nor timers.
            // SAFETY: both structures are plain data for which zero is valid; they outlive the
            // calls, which read them; the handler calls async-signal-safe functions only.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = on_signal as *const () as usize;
                action.sa_flags = libc::SA_RESTART;
                let mut event: libc::sigevent = std::mem::zeroed();
                event.sigev_notify = libc::SIGEV_SIGNAL;
                event.sigev_signo = SIGNAL;
                let mut timer = MaybeUninit::uninit();
                let made = libc::sigaction(SIGNAL, &raw const action, ptr::null_mut()) == 0
                    && libc::timer_create(
                        libc::CLOCK_MONOTONIC,
                        &raw mut event,
                        timer.as_mut_ptr(),
                    ) == 0;
                made.then(|| Timer(timer.assume_init()))
            }
        });
    }

    pub(super) fn set() {
        set_to(PATIENCE_NS);
    }

    pub(super) fn stop() {
        set_to(0);
    }

    fn set_to(nanoseconds: libc::c_long) {
        let Some(Some(timer)) = TIMER.get() else { return };
        let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let after = libc::timespec { tv_sec: 0, tv_nsec: nanoseconds };
        let time = libc::itimerspec { it_interval: never, it_value: after };
        // JUSTIFICATION: std has no such timers.
        // SAFETY: the time outlives the call, which reads it; the old one is not asked for.
        unsafe { libc::timer_settime(timer.0, 0, &raw const time, ptr::null_mut()) };
    }

    /// Signal handler. qemu's user mode before 8.1 (a Mac's Docker uses it for x86-64 images) does
    /// not align the stack as the ABI requires, and the functions called from here rely on that.
    // JUSTIFICATION: the stack pointer is not Rust's to change.
    // SAFETY: the frame is kept as the ABI asks: the one register that is used is saved and put
    // back, and the argument, which is not used, passes through.
    #[cfg(target_arch = "x86_64")]
    #[unsafe(naked)]
    extern "C" fn on_signal(_: libc::c_int) {
        std::arch::naked_asm!(
            "push rbp",
            "mov rbp, rsp",
            "and rsp, -16",
            "call {on_time}",
            "mov rsp, rbp",
            "pop rbp",
            "ret",
            on_time = sym on_time,
        )
    }

    #[cfg(not(target_arch = "x86_64"))]
    use on_time as on_signal;

    extern "C" fn on_time(_: libc::c_int) {
        if LOOKING.load(Ordering::SeqCst) {
            MISSED.store(true, Ordering::SeqCst);
        } else if !WATCH.swap(true, Ordering::SeqCst) {
            // JUSTIFICATION: the interrupted code keeps its own error in `errno`.
            // SAFETY: the C library gives the address of this thread's own variable.
            let errno = unsafe { &mut *libc::__errno_location() };
            let before = *errno;
            watch();
            *errno = before;
        }
    }
}

/// With another C library a signal handler must not start threads: in a program built for one
/// (local runs, tests), a handler that blocks without a report delays other peers in the lane.
#[cfg(not(target_env = "musl"))]
mod timer {
    pub(super) fn make() {}
    pub(super) fn set() {}
    pub(super) fn stop() {}
}
