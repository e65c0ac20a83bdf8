//! Work that blocks its thread: done by a small pool of threads while the coroutine waits and
//! others run.

use super::current::{set_request_id, with_request_id};
use super::panics::{self, Panicked};
use super::stop::{self, Thread};
use super::waiting::{is_coroutine, leave};
use may::sync::Blocker;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Threads that the pool has at most; work beyond that waits in a queue. They are made when they
/// are needed, sleep while they are not, and stay.
const MOST_THREADS: usize = 16;

/// Of each: what its documentation says, whatever std or RUST_MIN_STACK take.
const STACK_BYTES: usize = 2 * 1024 * 1024;

/// Runs `work` on a thread that may block, and gives back what it returns. Other requests are
/// served meanwhile.
///
/// For files, name look-ups, other programs, long computations, deep recursion and libraries that
/// block: in a plain handler they would hold up every connection of the same worker, on a stack of
/// 256 KiB. The thread's stack has 2 MiB, and log records that `work` makes carry the request's id.
/// The price is a hop to another thread and back, some tens of microseconds. Thread-local variables
/// are the pool's, not the caller's. A panic in `work` goes on in the caller.
///
/// Outside of a coroutine (in `main`, in a test, in the very first request) `work` simply runs.
///
/// # Example
/// ```
/// use firstbyte::{Request, Result, blocking};
///
/// fn config(request: Request<'_>) -> Result<String> {
///     let path = format!("/tmp/{}", request.param("name").unwrap_or("config"));
///     Ok(blocking(|| std::fs::read_to_string(&path))?)
/// }
/// # let _ = config;
/// ```
pub fn blocking<T, F>(work: F) -> T
where
    T: Send,
    F: FnOnce() -> T + Send,
{
    if !is_coroutine() {
        leave();
        return work();
    }
    let request_id = with_request_id(str::to_owned);
    let done = AtomicBool::new(false);
    let waiter = Blocker::current();
    let mut outcome: Option<Result<T, Panicked>> = None;
    {
        let (done, outcome, waker) = (&done, AssertUnwindSafe(&mut outcome), waiter.clone());
        let job: Box<dyn FnOnce() + Send + '_> = Box::new(move || {
            let AssertUnwindSafe(slot) = outcome;
            set_request_id(&request_id);
            *slot = Some(panics::catch(work));
            done.store(true, Ordering::Release);
            waker.unpark();
        });
        // JUSTIFICATION: work may borrow from the caller, which a queue's type cannot say.
        // SAFETY: only the lifetime changes. The caller's frame is not left before `done` is set,
        // which is the last time the job touches anything borrowed; nothing cancels or drops a
        // waiting coroutine, and the loop below has no way out but `done`.
        let job = unsafe { std::mem::transmute::<Box<dyn FnOnce() + Send + '_>, Job>(job) };
        POOL.submit(job);
    }
    while !done.load(Ordering::Acquire) {
        let _ = waiter.park(None); // woken early or cancelled: look again
    }
    match outcome {
        Some(Ok(value)) => value,
        Some(Err(panicked)) => panicked.resume(),
        None => unreachable!("a job sets its outcome before it is done"),
    }
}

type Job = Box<dyn FnOnce() + Send>;

static POOL: Threads = Threads {
    queue: Mutex::new(Queue { jobs: VecDeque::new(), idle: 0, threads: 0 }),
    work: Condvar::new(),
};

struct Threads {
    queue: Mutex<Queue>,
    work: Condvar,
}

struct Queue {
    jobs: VecDeque<Job>,
    idle: usize,
    threads: usize,
}

impl Threads {
    fn submit(&'static self, job: Job) {
        let mut queue = self.lock();
        queue.jobs.push_back(job);
        if queue.idle >= queue.jobs.len() {
            self.work.notify_one();
            return;
        }
        if queue.threads < MOST_THREADS {
            queue.threads += 1;
            let thread =
                std::thread::Builder::new().name("blocking".into()).stack_size(STACK_BYTES);
            let spawned = thread.spawn(|| self.serve());
            if spawned.is_err() {
                queue.threads -= 1;
                if queue.threads == 0 {
                    // No thread is to be had at all: the job is done here, at the others' expense,
                    // rather than never.
                    let job = queue.jobs.pop_back();
                    drop(queue);
                    if let Some(job) = job {
                        job();
                    }
                }
            }
        }
    }

    fn serve(&self) {
        stop::this_thread_is(Thread::Blocking);
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                drop(queue);
                job(); // catches its own panic
                queue = self.lock();
                continue;
            }
            queue.idle += 1;
            queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
