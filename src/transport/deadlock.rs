//! Deadlock detection: handlers that wait for each other for ever, proven and not guessed. The
//! process then ends with a line that names the request, because the platform replaces a dead
//! instance and not a hung one.
//!
//! The proof: (1) every handler in flight waits, without a time limit, for a Mutex, an RwLock, a
//! Once or a type made of one (OnceLock, LazyLock); (2) each of these waits has lasted a second
//! since (1) first held; (3) the process has no thread other than the server's. So no running code
//! can release what they wait for. A wait for a condition, a channel, an unpark or a peer never
//! counts: another request could end it.
//!
//! The functions on a wait's stack show which of std's waits it is; they are looked at only when a
//! wait has lasted a second.

use super::threads;
use super::worker::{self, Worker};
use crate::log;
use crate::sys::monotonic_ns;
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Once, OnceLock, RwLock};
use std::time::Duration;

/// Time between two looks at a wait, in nanoseconds.
const LOOK_NS: u64 = 1_000_000_000;

/// Result of futex(2).
type Ended = libc::c_long;

/// Waits for a lock by calling `wait` with the time of the monotonic clock at which it must return
/// -ETIMEDOUT; `None` for never.
pub(super) fn wait(
    worker: Worker,
    request_id: &dyn Fn() -> String,
    wait: &dyn Fn(Option<libc::timespec>) -> Ended,
) -> Ended {
    let timed_out = |ended: Ended| ended == -libc::c_long::from(libc::ETIMEDOUT);
    let first = wait(Some(in_a_while()));
    if !timed_out(first) {
        return first;
    }
    if !is_for_a_lock() {
        return wait(None);
    }
    let mut seen: Option<Vec<(Worker, u64, u64)>> = None;
    let stuck = Stuck(worker);
    loop {
        stuck.0.looked();
        let now = all_are_stuck();
        if let (Some(before), Some(now)) = (&seen, &now)
            && still_stuck(before, now)
        {
            log::line(
                &request_id(),
                format_args!(
                    "the handler waits for a lock that is never released: it holds it itself, or a \
                     handler holds it that waits in the same way; the process ends. Take a lock, \
                     or use a LazyLock in its own initialiser, only where it is not held already"
                ),
            );
            // JUSTIFICATION: std's exit runs registered functions, in a process whose locks are
            // held for ever.
            // SAFETY: it takes a number and does not return.
            unsafe { libc::_exit(1) };
        }
        if seen.is_none() || now.is_none() {
            seen = now;
        }
        let ended = wait(Some(in_a_while()));
        if !timed_out(ended) {
            return ended;
        }
    }
}

/// While it lives, the worker's handler waits for a lock.
struct Stuck(Worker);

impl Drop for Stuck {
    fn drop(&mut self) {
        self.0.goes_on();
    }
}

fn in_a_while() -> libc::timespec {
    let at = monotonic_ns().saturating_add(LOOK_NS);
    libc::timespec {
        tv_sec: (at / 1_000_000_000) as _,
        tv_nsec: (at % 1_000_000_000) as libc::c_long,
    }
}

/// The handlers in flight, each with how often its wait was looked at; `None` if one of them does
/// not wait for a lock, or another thread may run a function's code.
fn all_are_stuck() -> Option<Vec<(Worker, u64, u64)>> {
    let handlers: Option<Vec<_>> = worker::in_handlers()
        .into_iter()
        .map(|(worker, handler)| Some((worker, handler, worker.looks()?)))
        .collect();
    handlers.filter(|_| threads_of_process() == Some(threads::count()))
}

/// Whether all of `now` were among `before`, and each wait has been looked at again since.
fn still_stuck(before: &[(Worker, u64, u64)], now: &[(Worker, u64, u64)]) -> bool {
    now.len() == before.len()
        && now.iter().all(|(worker, handler, looks)| {
            before
                .iter()
                .any(|(its, same, earlier)| its == worker && same == handler && looks > earlier)
        })
}

fn threads_of_process() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("Threads:"))?.trim().parse().ok()
}

/// The functions that called `syscall`, innermost first, by where they begin.
type Callers = [usize; 2];

thread_local! {
    /// The next wait of this thread is for a lock: its callers are to be kept here.
    static LEARNS: Cell<Option<&'static OnceLock<Callers>>> = const { Cell::new(None) };
}

/// To be called before a futex wait of a thread that is in no handler.
pub(super) fn learn() {
    if let Some(known) = LEARNS.take() {
        let _ = known.set(callers());
    }
}

/// Whether this thread waits for a lock of std's.
fn is_for_a_lock() -> bool {
    static MUTEX: OnceLock<Callers> = OnceLock::new();
    static READ: OnceLock<Callers> = OnceLock::new();
    static WRITE: OnceLock<Callers> = OnceLock::new();
    static ONCE: OnceLock<Callers> = OnceLock::new();
    static LEARNT: Once = Once::new();
    LEARNT.call_once(|| {
        static M: Mutex<()> = Mutex::new(());
        static R: RwLock<()> = RwLock::new(());
        static O: Once = Once::new();
        {
            let _held = M.lock();
            wait_once(&MUTEX, || drop(M.lock()));
        }
        {
            let _held = R.write();
            wait_once(&READ, || drop(R.read()));
            wait_once(&WRITE, || drop(R.write()));
        }
        O.call_once(|| wait_once(&ONCE, || O.call_once(|| ())));
    });
    let known = [&MUTEX, &READ, &WRITE, &ONCE].map(|known| known.get().copied());
    is_one_of(callers(), known)
}

/// Whether `these` are a known wait's callers. The innermost one is the lock's own function, or
/// where std's futex wait is not inlined, that: then all waits have it, and the next one decides.
fn is_one_of(these: Callers, known: [Option<Callers>; 4]) -> bool {
    let [Some(mutex), Some(read), Some(write), Some(once)] = known else { return false };
    let all = [mutex, read, write, once];
    let shared = all.iter().filter(|callers| callers[0] == these[0]).count() > 1;
    these[0] != 0
        && all.iter().any(|callers| these[0] == callers[0] && (!shared || these == *callers))
}

/// Makes a thread wait for a lock that is held here, until its callers are known.
fn wait_once(known: &'static OnceLock<Callers>, wait: fn()) {
    let waits = threads::spawn(Box::new(move || {
        LEARNS.set(Some(known));
        wait();
    }));
    for _ in 0..100 {
        if !waits || known.get().is_some() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

// JUSTIFICATION: std's backtraces need symbols, which a function has not.
// SAFETY: the signatures are those of the unwinder's interface (Itanium C++ ABI, "Exception
// Handling"; LSB, `_Unwind_Backtrace`), which std links for its panics.
unsafe extern "C" {
    fn _Unwind_Backtrace(
        each: extern "C" fn(*mut libc::c_void, *mut libc::c_void) -> libc::c_int,
        data: *mut libc::c_void,
    ) -> libc::c_int;
    fn _Unwind_GetRegionStart(frame: *mut libc::c_void) -> usize;
}

/// Where the function that the C library's `syscall` is here begins: callers are counted from it.
static SYSCALL: AtomicUsize = AtomicUsize::new(0);

/// `syscall` is this function.
pub(super) fn syscall_is(address: usize) {
    SYSCALL.store(address, Ordering::Relaxed);
}

#[derive(Default)]
struct Walk {
    /// Frames behind that of `syscall`.
    count: Option<usize>,
    callers: Callers,
}

fn callers() -> Callers {
    extern "C" fn each(frame: *mut libc::c_void, walk: *mut libc::c_void) -> libc::c_int {
        // JUSTIFICATION: the interface has no types.
        // SAFETY: `walk` is what was given to the call below, which nothing else uses meanwhile;
        // `frame` is the unwinder's.
        let (walk, begins) = unsafe { (&mut *walk.cast::<Walk>(), _Unwind_GetRegionStart(frame)) };
        match walk.count {
            None if begins == SYSCALL.load(Ordering::Relaxed) => walk.count = Some(0),
            None => {}
            Some(count) => match walk.callers.get_mut(count) {
                Some(caller) => {
                    *caller = begins;
                    walk.count = Some(count + 1);
                }
                None => return 5, // _URC_END_OF_STACK: it is enough
            },
        }
        0
    }

    let mut walk = Walk::default();
    // JUSTIFICATION: as for the declaration.
    // SAFETY: the function takes what it is given, and neither keeps it.
    unsafe { _Unwind_Backtrace(each, (&raw mut walk).cast()) };
    walk.callers
}
