//! Stopper: a thread that SIGTERM starts. It ends the process when the drain time is over and the
//! main thread has not, because in the boot lane the main thread may be in a handler.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What ends the server when its time is over.
pub(super) trait Ending: Sync {
    /// Logs what is cut off, runs the function's last work, and ends the process.
    fn end(&self) -> !;
}

/// Work that goes on after its request's reply.
pub(super) trait Outliving: Sync {
    /// Waits until none is left, or until `end`.
    fn drain(&self, end: Instant);
    /// Logs what is left. Returns how many jobs that are.
    fn log_left(&self) -> usize;
}

/// Set by the first background work, so that a function without any is linked without it.
pub(super) static BACKGROUND: OnceLock<&'static dyn Outliving> = OnceLock::new();

static ENDING: OnceLock<&'static dyn Ending> = OnceLock::new();
/// Time from the signal until the stopper acts, in nanoseconds.
static LIMIT_NS: AtomicU64 = AtomicU64::new(0);
/// Whether the end has begun: it happens once.
static BEGUN: AtomicBool = AtomicBool::new(false);
/// Whether the process has this thread.
static THREAD: AtomicBool = AtomicBool::new(false);

/// Stack size of the thread, in bytes: the function's last work may run on it.
const STACK_BYTES: usize = 2 * 1024 * 1024;

/// Extra time after the main thread's limit, because the main thread ends the server in better
/// order.
const LATER: Duration = Duration::from_millis(20);

/// From now on the stopper calls `ending` when `limit` has passed after the signal.
pub(super) fn prepare(ending: &'static dyn Ending, limit: Duration) {
    let _ = ENDING.set(ending);
    let limit = limit.saturating_add(LATER);
    LIMIT_NS.store(u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    maker::prepare();
}

/// Returns whether the caller is the one that ends the server.
pub(super) fn begin() -> bool {
    !BEGUN.swap(true, Ordering::SeqCst)
}

/// Whether the process has this thread.
pub(super) fn has_thread() -> bool {
    THREAD.load(Ordering::SeqCst)
}

/// Called when the signal has come. Async-signal-safe.
pub(super) fn wake() {
    maker::wake();
}

fn run() {
    thread::sleep(Duration::from_nanos(LIMIT_NS.load(Ordering::Relaxed)));
    if let Some(ending) = ENDING.get()
        && begin()
    {
        ending.end();
    }
}

/// With musl the thread is made within the signal's handler: its pthread_create maps the stack,
/// allocates nothing, and blocks signals for as long as it holds a lock.
#[cfg(target_env = "musl")]
mod maker {
    use super::{STACK_BYTES, THREAD};
    use std::mem::MaybeUninit;
    use std::ptr;
    use std::sync::atomic::Ordering;

    pub(super) fn prepare() {}

    pub(super) fn wake() {
        // JUSTIFICATION: std's threads allocate, which a signal handler must not.
        // SAFETY: the attributes are initialised before they are used and outlive the call that
        // reads them; the thread is detached, takes no argument, and does not unwind.
        let made = unsafe {
            let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
            libc::pthread_attr_init(attributes.as_mut_ptr());
            libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), STACK_BYTES);
            let detached = libc::PTHREAD_CREATE_DETACHED;
            libc::pthread_attr_setdetachstate(attributes.as_mut_ptr(), detached);
            let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
            let (thread, attributes) = (thread.as_mut_ptr(), attributes.as_ptr());
            libc::pthread_create(thread, attributes, thread_main, ptr::null_mut()) == 0
        };
        THREAD.store(made, Ordering::SeqCst);
    }

    extern "C" fn thread_main(_: *mut libc::c_void) -> *mut libc::c_void {
        super::run();
        ptr::null_mut()
    }
}

/// With another C library (local runs, tests) a signal handler must not make threads: this thread
/// is made at the start, and waits.
#[cfg(not(target_env = "musl"))]
mod maker {
    use super::{STACK_BYTES, THREAD};
    use std::sync::atomic::{AtomicI32, Ordering};
    use std::thread;

    /// An eventfd + 1 (0 = none).
    static BELL: AtomicI32 = AtomicI32::new(0);

    pub(super) fn prepare() {
        // JUSTIFICATION: std has no eventfd.
        // SAFETY: it takes no memory.
        let bell = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        if bell < 0 {
            return;
        }
        BELL.store(bell + 1, Ordering::SeqCst);
        let waits = move || {
            let mut rings = 0u64;
            // JUSTIFICATION: std's read wants a File.
            // SAFETY: eight bytes of a number that lives across the call.
            let read =
                crate::sys::retry(|| unsafe { libc::read(bell, (&raw mut rings).cast(), 8) });
            if read.is_ok() {
                super::run();
            }
        };
        let thread = thread::Builder::new().name("stopper".into()).stack_size(STACK_BYTES);
        THREAD.store(thread.spawn(waits).is_ok(), Ordering::SeqCst);
    }

    pub(super) fn wake() {
        let bell = BELL.load(Ordering::SeqCst) - 1;
        if bell < 0 {
            return;
        }
        let one = 1u64;
        // JUSTIFICATION: std's write wants a File.
        // SAFETY: eight bytes of a number that lives across the call; it is never closed.
        unsafe { libc::write(bell, (&raw const one).cast(), 8) };
    }
}
