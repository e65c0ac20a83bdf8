//! Work that blocks or takes long: done on the handler's own thread, on that thread's own stack,
//! while others are served by another thread.

use super::coroutine;
use super::handling::Blocks;
use super::panics::{self, Panicked};
use super::stack_guard;
use super::waiting::{Place, is_lane, place};
use std::panic::AssertUnwindSafe;

/// Runs `work` where it may block, and gives back what it returns. Other requests are served
/// meanwhile.
///
/// For files, name look-ups, other programs, long computations, deep recursion and libraries that
/// block. In a plain handler they would hold up every connection of the same worker for some 10 ms,
/// until another thread takes over, on a stack of 256 KiB. Here the other thread may take over at
/// once, and the stack has 2 MiB. It is the same thread: thread-local variables and log records are
/// the handler's. The price is about a microsecond, and some tens if another request comes
/// meanwhile. How many threads there are at most: [`Limits::threads`](crate::Limits::threads). A
/// panic in `work` goes on in the caller.
///
/// Outside of a server `work` simply runs. In the boot lane it runs on the main thread's own stack,
/// and a thread watches for other peers meanwhile.
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
    let _blocks = Blocks::begin();
    let _whole_stack = is_lane().then(stack_guard::lift);
    if place() != Place::Handler || !coroutine::is_here() {
        return work(); // on a thread's own stack already
    }
    let mut outcome: Option<Result<T, Panicked>> = None;
    {
        let outcome = AssertUnwindSafe(&mut outcome);
        let job: Box<dyn FnOnce() + Send + '_> = Box::new(move || {
            let AssertUnwindSafe(slot) = outcome;
            *slot = Some(panics::catch(work));
        });
        // JUSTIFICATION: work may borrow from the caller, which the type of a pause cannot say.
        // SAFETY: only the lifetime changes. The job is done, and dropped, before this coroutine
        // goes on (`Pause::OnThread`); no coroutine that has begun is ever dropped.
        let job = unsafe {
            std::mem::transmute::<Box<dyn FnOnce() + Send + '_>, Box<dyn FnOnce() + Send>>(job)
        };
        coroutine::on_thread(job);
    }
    match outcome {
        Some(Ok(value)) => value,
        Some(Err(panicked)) => panicked.resume(),
        None => unreachable!("a job sets its outcome before it is done"),
    }
}
