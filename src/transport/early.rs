//! Early work: steps that run while the boot lane waits, for the connections of `net::Early`. If
//! nothing is registered, the compiler drops all of it, because `FIRST` is never written.

use std::os::fd::RawFd;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError};

/// What a step waits for: a descriptor's readiness, and a time after which it continues anyway.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub fd: RawFd,
    /// As in poll(2).
    pub events: libc::c_short,
    /// By the monotonic clock, in nanoseconds; `u64::MAX`: never.
    pub until_ns: u64,
}

/// Work in steps, none of which waits.
pub(crate) trait Step: Sync {
    /// Continues as far as possible; `None` if it is done.
    fn step(&self) -> Option<Wait>;
}

/// All registered work: a list whose nodes are never freed.
#[derive(Clone, Copy)]
pub(super) struct Steps(&'static Node);

struct Node {
    step: &'static dyn Step,
    is_done: AtomicBool,
    next: Option<Steps>,
}

static FIRST: AtomicPtr<Node> = AtomicPtr::new(ptr::null_mut());

/// Registers `step`: the boot lane calls it until it is done.
pub(crate) fn register(step: &'static dyn Step) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let node = Node { step, is_done: AtomicBool::new(false), next: steps() };
    FIRST.store(Box::into_raw(Box::new(node)), Ordering::Release);
}

/// The registered work, if there is any.
#[inline]
pub(super) fn steps() -> Option<Steps> {
    // JUSTIFICATION: a lock would be written to, and its code linked in every function.
    // SAFETY: a node is written whole before its address is stored, it is never freed, and what
    // changes in it is atomic.
    unsafe { FIRST.load(Ordering::Acquire).as_ref() }.map(Steps)
}

impl Steps {
    /// Continues each step as far as possible, and appends what they wait for. Returns the time at
    /// which one continues even without its descriptor, as in [`Wait`].
    #[inline(never)]
    pub(super) fn go_on(self, polled: &mut Vec<libc::pollfd>) -> u64 {
        let mut until_ns = u64::MAX;
        let mut next = Some(self);
        while let Some(Steps(node)) = next {
            if !node.is_done.load(Ordering::Relaxed) {
                match node.step.step() {
                    Some(wait) => {
                        polled.push(libc::pollfd { fd: wait.fd, events: wait.events, revents: 0 });
                        until_ns = until_ns.min(wait.until_ns);
                    }
                    None => node.is_done.store(true, Ordering::Relaxed),
                }
            }
            next = node.next;
        }
        until_ns
    }
}
