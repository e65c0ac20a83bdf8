//! Blocking work: it runs on the handler's own thread and on that thread's own stack, while another
//! thread serves the other requests.

use super::coroutine;
use super::handling::Blocks;
use super::panics::{self, Panicked};
use super::stack_guard;
use super::waiting::{Place, is_lane, place};
use std::panic::AssertUnwindSafe;

/// Runs `work`, which may block or take long, and returns its result. Other requests are served
/// meanwhile.
///
/// Use it for files, name look-ups, other programs, long computations, deep recursion and libraries
/// that block. In a plain handler such work delays every connection of the same event loop for
/// some 10 ms, until another thread takes over, and it has a stack of 256 KiB. Here the other
/// thread may take over at once, and the stack is 2 MiB. The thread is the same one: thread-local
/// variables and log records are the handler's. The price is about a microsecond, and some tens of
/// them if another request comes meanwhile. [`Limits::threads`](crate::Limits::threads) limits the
/// number of threads. A panic in `work` continues in the caller.
///
/// Outside a server this only calls `work`. In the boot lane it runs on the main thread's own
/// stack, and a thread watches for other connections meanwhile.
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
        return work(); // already on a thread's own stack
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
