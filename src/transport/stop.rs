//! Signals: SIGTERM and SIGINT stop the server; SIGSEGV ends the process with a message.
//!
//! As PID 1 of a scratch image a process ignores SIGTERM unless it has a handler.

use super::stack_guard;
use super::stopper;
use crate::stopping;
use std::cell::{Cell, UnsafeCell};
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Listener fd + 1 (0 = none); zero-initialised, so it lives in .bss.
static LISTENER: AtomicI32 = AtomicI32::new(0);
/// Time for the whole end, in microseconds; it holds even if no thread is left to check the clock.
static END_US: AtomicU64 = AtomicU64::new(0);
/// Time between the drain time-out and the forced end of the process, in microseconds.
const GRACE_US: u64 = 250_000;
static STACK_KIB: AtomicUsize = AtomicUsize::new(0);

/// Whether the process has received SIGTERM or SIGINT.
pub(crate) fn stopped() -> bool {
    stopping::stopping()
}

/// From now on SIGTERM and SIGINT shut the listening socket down, which wakes a waiting accept, and
/// wake the stopper; the process ends shortly after `drain` at the latest.
pub(crate) fn on_signal(listener: libc::c_int, drain: Duration) {
    LISTENER.store(listener + 1, Ordering::SeqCst);
    let drain = u64::try_from(drain.as_micros()).unwrap_or(u64::MAX);
    END_US.store(drain.saturating_add(GRACE_US), Ordering::SeqCst);
    for signal in [libc::SIGTERM, libc::SIGINT] {
        install(signal, stop as *const () as usize, libc::SA_RESTART);
    }
}

/// Called when the server has drained: the process may continue.
pub(crate) fn drained() {
    alarm_in(0);
}

/// Sets the process's alarm; 0 for none.
fn alarm_in(us: u64) {
    let never = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let mut after = never;
    after.tv_sec = (us / 1_000_000) as _; // at most 2^64 us, which fit
    after.tv_usec = (us % 1_000_000) as _;
    let time = libc::itimerval { it_interval: never, it_value: after };
    // JUSTIFICATION: std has no alarms.
    // SAFETY: the time outlives the call, which reads it; the old one is not asked for.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const time, std::ptr::null_mut()) };
}

/// Called before the listening socket is closed: its number must not be shut down any more.
pub(crate) fn forget_listener() {
    LISTENER.store(0, Ordering::SeqCst);
}

extern "C" fn stop(_signal: libc::c_int) {
    let first = stopping::stop();
    let listener = LISTENER.load(Ordering::SeqCst) - 1;
    // JUSTIFICATION: a handler may call async-signal-safe functions only; these are
    // (signal-safety(7)).
    // SAFETY: they take no memory.
    unsafe {
        if listener >= 0 {
            libc::shutdown(listener, libc::SHUT_RDWR);
        }
    }
    if first {
        install(libc::SIGALRM, give_up as *const () as usize, 0);
        alarm_in(END_US.load(Ordering::SeqCst));
        stopper::wake();
    }
}

/// Ends the process when the time for the end is over too: a stop hook does not return, or no
/// thread could be made.
extern "C" fn give_up(_signal: libc::c_int) {
    let line = b"firstbyte: the drain time-out is over; the process ends before it is done\n";
    // JUSTIFICATION: std's writers may allocate or lock, which a signal handler must not.
    // SAFETY: write and _exit are async-signal-safe; the bytes are static, and unfinished work is
    // given up on purpose.
    unsafe {
        libc::write(1, line.as_ptr().cast(), line.len());
        end_process()
    }
}

/// Ends the process at once with exit code 1, whatever its threads are doing.
pub(super) fn end_process() -> ! {
    // JUSTIFICATION: std's exit runs the C library's exit handlers beside running threads.
    // SAFETY: _exit takes no memory and does not return.
    unsafe { libc::_exit(1) }
}

/// From now on a stack overflow ends the process with one line. `stack_bytes`: the size of a
/// coroutine's stack, 0 while there are none.
///
/// Call it again once a coroutine has been made: the coroutine library installs a handler that
/// allocates, and then abandons the coroutine with its locks and sockets, so that the process could
/// hang for ever with its port open.
pub(crate) fn end_on_stack_overflow(stack_bytes: usize) {
    STACK_KIB.store(stack_bytes / 1024, Ordering::SeqCst);
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        install(
            signal,
            fault as *const () as usize,
            libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESETHAND,
        );
    }
}

/// Size of a signal stack, in bytes: the kernel's frame with all registers, and a line.
const SIGNAL_STACK_BYTES: usize = 16 * 1024;

/// The main thread's signal stack.
#[repr(align(16))]
struct SignalStack(UnsafeCell<[u8; SIGNAL_STACK_BYTES]>);

// JUSTIFICATION: the kernel writes to it.
// SAFETY: no other code ever does, and only the main thread gets its address.
unsafe impl Sync for SignalStack {}

/// # Safety
/// At `stack` are [`SIGNAL_STACK_BYTES`] that no other code uses as long as the thread lives.
unsafe fn install_signal_stack(stack: *mut libc::c_void) {
    let stack = libc::stack_t { ss_sp: stack, ss_flags: 0, ss_size: SIGNAL_STACK_BYTES };
    // JUSTIFICATION: std cannot set a signal stack.
    // SAFETY: the caller has promised the stack; the call itself reads one stack_t.
    unsafe { libc::sigaltstack(&raw const stack, std::ptr::null_mut()) };
}

/// Does what std does before `main`, as far as a server needs it: a closed peer or log reader
/// causes an error instead of a signal, and the main thread has a stack for the message about a
/// stack overflow. Other threads: [`this_thread_is`].
pub(crate) fn replace_std_start_up() {
    static STACK: SignalStack = SignalStack(UnsafeCell::new([0; SIGNAL_STACK_BYTES]));
    install(libc::SIGPIPE, libc::SIG_IGN, 0);
    // JUSTIFICATION: as for the function.
    // SAFETY: the stack is static, and no other code uses it.
    unsafe { install_signal_stack(STACK.0.get().cast()) };
}

/// Kind of a thread, for the message about a stack overflow.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Thread {
    /// The main thread, or one that the program has made itself.
    Main,
    /// Runs coroutines, each on a stack of its own.
    Worker,
    /// Runs the work of `blocking`.
    Blocking,
}

thread_local! {
    // Read in a signal handler: a plain thread-local without initialisation or destructor.
    static THREAD: Cell<Thread> = const { Cell::new(Thread::Main) };
}

/// Call it on a thread before code that may overflow a stack there. std gives its threads a signal
/// stack only if it has set up the process, which [`replace_std_start_up`] replaces; without one
/// the kernel ends the process without a message.
// A coroutine may continue on another thread: the variable's address must not be kept across calls.
#[inline(never)]
pub(super) fn this_thread_is(thread: Thread) {
    if THREAD.replace(thread) != thread {
        have_signal_stack();
    }
}

#[cold]
#[inline(never)] // its frame would be every connection's
fn have_signal_stack() {
    // JUSTIFICATION: std does not show whether it has made one.
    // SAFETY: stack_t is plain data, which the call fills.
    let missing = unsafe {
        let mut now: libc::stack_t = std::mem::zeroed();
        libc::sigaltstack(std::ptr::null(), &raw mut now) == 0
            && now.ss_flags & libc::SS_DISABLE != 0
    };
    if missing {
        let stack = vec![0u128; SIGNAL_STACK_BYTES / size_of::<u128>()];
        // JUSTIFICATION: as for the function.
        // SAFETY: it is never freed, as these threads never end.
        unsafe { install_signal_stack(Box::leak(stack.into_boxed_slice()).as_mut_ptr().cast()) };
    }
}

/// Writes one line about the fault and returns: the handler is reset, the instruction faults again,
/// and the signal ends the process, as the platform and a core dump need it.
extern "C" fn fault(_signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // JUSTIFICATION: the fault address and the stack pointer are only available here.
    // SAFETY: the kernel passes valid pointers to a handler installed with SA_SIGINFO; the handler
    // only reads and calls write(2).
    let (address, stack) = unsafe { ((*info).si_addr() as usize, stack_pointer(context)) };
    let mut line = SignalLine::default();
    // A frame reaches the guard page within a page or so of the stack pointer.
    if address.abs_diff(stack) <= 64 * 1024 {
        line.text(b"firstbyte: a handler has overflowed its stack");
        match THREAD.get() {
            Thread::Main if stack_guard::is_lifted() => {
                line.text(b", the main thread's, in `blocking`; recurse less\n")
            }
            Thread::Main if !stack_guard::is_guard(address) => {
                line.text(b", the main thread's; recurse less or raise the limit on stacks\n")
            }
            Thread::Blocking => line.text(b" of 2 MiB, in `blocking`; recurse less\n"),
            Thread::Worker | Thread::Main => {
                line.text(b" of ");
                line.number(STACK_KIB.load(Ordering::SeqCst));
                line.text(b" KiB; set Limits::stack_bytes higher, or recurse less\n");
            }
        }
    } else {
        line.text(b"firstbyte: invalid memory access, the process ends\n");
    }
    // JUSTIFICATION: std's writers may allocate or lock, which a signal handler must not.
    // SAFETY: write is async-signal-safe; the bytes are the line's own.
    unsafe { libc::write(2, line.bytes.as_ptr().cast(), line.len) };
}

/// # Safety
/// `context` is what the kernel passed to a signal handler.
#[cfg(target_arch = "x86_64")]
unsafe fn stack_pointer(context: *mut libc::c_void) -> usize {
    // JUSTIFICATION: the kernel hands it over as an untyped pointer.
    // SAFETY: the caller passes a signal handler's context.
    unsafe {
        (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs[libc::REG_RSP as usize] as usize
    }
}

/// # Safety
/// As above.
#[cfg(target_arch = "aarch64")]
unsafe fn stack_pointer(context: *mut libc::c_void) -> usize {
    // JUSTIFICATION: as above.
    // SAFETY: the caller passes a signal handler's context.
    unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.sp as usize }
}

/// A line built without allocating.
struct SignalLine {
    bytes: [u8; 160],
    len: usize,
}

impl Default for SignalLine {
    fn default() -> Self {
        SignalLine { bytes: [0; 160], len: 0 }
    }
}

impl SignalLine {
    fn text(&mut self, text: &[u8]) {
        for (slot, byte) in self.bytes[self.len..].iter_mut().zip(text) {
            *slot = *byte;
            self.len += 1;
        }
    }

    fn number(&mut self, number: usize) {
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        let mut rest = number;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.text(&digits[at..]);
    }
}

fn install(signal: libc::c_int, handler: usize, flags: libc::c_int) {
    // JUSTIFICATION: std has no signals.
    // SAFETY: sigaction is plain data, and zero is a valid value of each field; the handlers above
    // call async-signal-safe functions only and touch nothing but atomics and their own stack.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        libc::sigaction(signal, &raw const action, std::ptr::null_mut());
    }
}
