//! What is begun while the boot lane waits for its first request, and goes on whenever the lane
//! waits: the connections of `net::Early`. Where nothing is registered, the compiler drops all of
//! it: `FIRST` is never written to then.

use std::os::fd::RawFd;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError};

/// What something waits for: a descriptor's readiness, and a time after which it goes on anyway.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub fd: RawFd,
    /// As poll(2) has them.
    pub events: libc::c_short,
    /// By the monotonic clock, in nanoseconds; `u64::MAX`: never.
    pub until_ns: u64,
}

/// Something that goes on in steps, none of which waits.
pub(crate) trait Step: Sync {
    /// Goes as far as it can; `None` if there is nothing more to do.
    fn step(&self) -> Option<Wait>;
}

/// All that is registered: a list whose nodes live for ever.
#[derive(Clone, Copy)]
pub(super) struct Steps(&'static Node);

struct Node {
    step: &'static dyn Step,
    is_done: AtomicBool,
    next: Option<Steps>,
}

static FIRST: AtomicPtr<Node> = AtomicPtr::new(ptr::null_mut());

/// Has `step` called from the boot lane until it is done.
pub(crate) fn register(step: &'static dyn Step) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let node = Node { step, is_done: AtomicBool::new(false), next: steps() };
    FIRST.store(Box::into_raw(Box::new(node)), Ordering::Release);
}

/// What is registered, if anything is.
#[inline]
pub(super) fn steps() -> Option<Steps> {
    // JUSTIFICATION: a lock would be written to, and its code linked in every function.
    // SAFETY: a node is written whole before its address is stored, it is never freed, and what
    // changes in it is atomic.
    unsafe { FIRST.load(Ordering::Acquire).as_ref() }.map(Steps)
}

impl Steps {
    /// Has each go on as far as it can, and appends what they wait for. The time until which none
    /// goes on without its descriptor, as in [`Wait`].
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
