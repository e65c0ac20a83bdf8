//! Serving threads: each leads an event loop, stands by for one, finishes a handler that the loop
//! did not wait for, or is spare. They are made on demand; a spare one ends after a while.

use super::coroutine::{Coroutine, Pause};
use super::event_loop::Next;
use super::home::serve;
use super::lookout;
use super::shift::{Needed, Shift};
use super::stop::{self, Thread};
use super::stopper;
use super::waiting::{Place, now_runs};
use super::worker::Worker;
use crate::alloc;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Stack size of each thread, in bytes: the size that the documentation of `blocking` promises,
/// independent of std and RUST_MIN_STACK. Only used pages take memory.
pub(super) const STACK_BYTES: usize = 2 * 1024 * 1024;
/// Time after which a thread without work ends.
const SPARE: Duration = Duration::from_secs(10);

/// Next task of a thread.
enum Duty {
    Lead(&'static Shift, Worker),
    StandBy(&'static Shift),
}

struct Threads {
    queue: Mutex<Queue>,
    /// Signalled when there is a duty for a spare thread.
    duty: Condvar,
    most: AtomicUsize,
}

struct Queue {
    duties: VecDeque<Duty>,
    spare: usize,
    threads: usize,
}

static THREADS: Threads = Threads {
    queue: Mutex::new(Queue { duties: VecDeque::new(), spare: 0, threads: 0 }),
    duty: Condvar::new(),
    most: AtomicUsize::new(usize::MAX),
};

/// Sets the largest number of threads.
pub(super) fn at_most(threads: usize) {
    THREADS.most.store(threads, Ordering::Relaxed);
}

/// Starts a thread; false if none can be made.
pub(super) fn spawn(work: Box<dyn FnOnce() + Send>) -> bool {
    let thread = std::thread::Builder::new().name("firstbyte".into()).stack_size(STACK_BYTES);
    thread.spawn(work).is_ok()
}

/// Number of the server's threads, including the main one, the lookout's and the allocator's.
pub(super) fn count() -> usize {
    let once = [lookout::has_thread(), stopper::has_thread()].map(usize::from);
    1 + THREADS.lock().threads + alloc::threads() + once.iter().sum::<usize>()
}

/// Gives the shift its first leader, with the worker it was made with. False if no thread can be
/// made.
pub(super) fn lead(shift: &'static Shift, leader: Worker) -> bool {
    THREADS.assign(Duty::Lead(shift, leader))
}

/// Gives the shift a standby, if it needs one.
pub(super) fn relieve(shift: &'static Shift, needed: Option<Needed>) {
    if needed.is_some() && !THREADS.assign(Duty::StandBy(shift)) {
        shift.has_no_standby();
    }
}

impl Threads {
    /// False if no thread can be made.
    fn assign(&'static self, duty: Duty) -> bool {
        let mut queue = self.lock();
        if queue.spare > queue.duties.len() {
            queue.duties.push_back(duty);
            drop(queue);
            self.duty.notify_one();
            return true;
        }
        if queue.threads >= self.most.load(Ordering::Relaxed) {
            return false;
        }
        queue.threads += 1;
        drop(queue);
        let made = spawn(Box::new(move || self.live(duty)));
        if !made {
            self.lock().threads -= 1;
        }
        made
    }

    fn live(&self, first: Duty) {
        stop::this_thread_is(Thread::Worker);
        let me = match &first {
            Duty::Lead(_, leader) => *leader,
            Duty::StandBy(_) => Worker::new(),
        };
        let mut duty = Some(first);
        while let Some(this) = duty {
            let shift = match this {
                Duty::Lead(shift, _) => shift,
                Duty::StandBy(shift) => {
                    relieve(shift, shift.stand_by(me));
                    shift
                }
            };
            lead_until_relieved(shift, me);
            duty = if shift.volunteer() { Some(Duty::StandBy(shift)) } else { self.next() };
        }
        me.free();
    }

    /// Waits for a task; `None` if there is none for long.
    fn next(&self) -> Option<Duty> {
        let mut queue = self.lock();
        queue.spare += 1;
        loop {
            if let Some(duty) = queue.duties.pop_front() {
                queue.spare -= 1;
                return Some(duty);
            }
            let waited =
                self.duty.wait_timeout(queue, SPARE).unwrap_or_else(PoisonError::into_inner);
            queue = waited.0;
            if waited.1.timed_out() && queue.duties.is_empty() {
                queue.spare -= 1;
                queue.threads -= 1;
                return None;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs coroutines as long as this thread has the role.
fn lead_until_relieved(shift: &'static Shift, me: Worker) {
    serve(shift, me);
    while let Some(next) = shift.next_of(me) {
        match next {
            Next::Run(coroutine) => run(coroutine),
            Next::Sleep(limit_ms) => shift.sleep(limit_ms),
        }
    }
}

/// Runs a coroutine until it pauses.
fn run(mut coroutine: Coroutine) {
    let mut place = Place::Coroutine;
    loop {
        now_runs(place);
        let paused = coroutine.resume();
        now_runs(Place::Elsewhere);
        match paused {
            Pause::Then(then) => return then(coroutine),
            Pause::OnThread(job) => {
                place = Place::Handler; // only handlers have it done
                now_runs(place);
                stop::this_thread_is(Thread::Blocking);
                job();
                stop::this_thread_is(Thread::Worker);
            }
            Pause::Done => return coroutine.recycle(),
        }
    }
}
