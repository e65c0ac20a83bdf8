//! Background work: it continues after its request's reply, on threads of its own. It is counted,
//! and the server waits for it when it stops.

use super::current::{set_request_id, with_request_id};
use super::panics;
use super::stop::{self, Thread};
use super::stopper::{BACKGROUND, Outliving};
use super::threads::STACK_BYTES;
use crate::error::{Error, Result};
use crate::log;
use crate::reply::IntoReply;
use crate::stopping::stopping;
use crate::wire::Status;
use ::log::Level;
use std::panic::Location;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

/// Largest number of jobs at once.
static MOST: AtomicUsize = AtomicUsize::new(16);

struct Jobs {
    running: Mutex<Vec<Job>>,
    /// Signalled when a job ends.
    ended: Condvar,
}

/// One piece of work.
struct Job {
    /// Where `background` was called, and for which request.
    place: &'static Location<'static>,
    request_id: String,
    since: Instant,
    number: usize,
}

static JOBS: Jobs = Jobs { running: Mutex::new(Vec::new()), ended: Condvar::new() };
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Sets the largest number of jobs at once.
pub(super) fn at_most(jobs: usize) {
    MOST.store(jobs, Ordering::Relaxed);
}

/// Runs `work` on a thread of its own, while the handler continues and its reply is sent. It still
/// belongs to the function: its log records have the request's id, an error or a panic is logged,
/// and a server that stops waits for it, within
/// [`Limits::drain_timeout`](crate::Limits::drain_timeout). Work that is cut off is named in the
/// log, by the place of this call and the request's id, and the exit code is 1. Long work should
/// check [`stopping`](crate::stopping()).
///
/// **An instance without a request may be frozen**: SCF and its siblings give it no processor time
/// until the next request comes, and may end it without a signal. So the work continues only while
/// requests are served, and may be lost. Put what must not be lost into a queue before the reply.
///
/// # Errors
/// 503, with nothing started, if [`Limits::background`](crate::Limits::background) pieces are
/// running, the server is stopping, or no thread can be made. The handler may then do the work
/// itself, or fail.
///
/// # Example
/// ```
/// use firstbyte::{App, Result, background, test};
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// static COUNTED: AtomicBool = AtomicBool::new(false);
///
/// let app = App::new().get("/", |_| -> Result<&'static str> {
///     background(|| COUNTED.store(true, Ordering::SeqCst))?;
///     Ok("here")
/// });
/// assert_eq!(test::get("/").send(&app).text(), "here");
/// test::finish_background();
/// assert!(COUNTED.load(Ordering::SeqCst));
/// ```
#[track_caller]
pub fn background<F, R>(work: F) -> Result<()>
where
    F: FnOnce() -> R + Send + 'static,
    R: IntoReply,
{
    begin(Location::caller(), Box::new(move || work().into_reply().map(drop)))
}

fn begin(
    place: &'static Location<'static>,
    work: Box<dyn FnOnce() -> Result<()> + Send>,
) -> Result<()> {
    let full = |why: String| Err(Error::new(why).with_status(Status::SERVICE_UNAVAILABLE));
    let request_id = with_request_id(str::to_owned);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let _ = BACKGROUND.set(&JOBS);
    {
        let mut running = JOBS.lock();
        // Within the lock, because the server waits for what is counted here.
        if stopping() {
            return full(format!("the server is stopping; the work of {place} was not begun"));
        }
        let most = MOST.load(Ordering::Relaxed);
        if running.len() >= most {
            let oldest = running.first().map_or_else(String::new, |job| {
                format!(", the oldest for {} s, of {}", job.since.elapsed().as_secs(), job.place)
            });
            return full(format!("{most} pieces of background work are running{oldest}"));
        }
        let (request_id, since) = (request_id.clone(), Instant::now());
        running.push(Job { place, request_id, since, number });
    }
    let thread = thread::Builder::new().name("background".into()).stack_size(STACK_BYTES);
    let started = thread.spawn(move || {
        stop::this_thread_is(Thread::Blocking);
        set_request_id(&request_id);
        let error = match panics::catch(work) {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("failed: {error:#}")),
            Err(panicked) => Some(format!("panicked: {panicked}")),
        };
        if let Some(what) = error {
            let line = format_args!("background work of {place} {what}");
            log::failure(Level::Error, &request_id, line);
        }
        JOBS.end(number);
    });
    match started {
        Ok(_) => Ok(()),
        Err(error) => {
            JOBS.end(number);
            full(format!("cannot start a thread for the work of {place}: {error}"))
        }
    }
}

/// Waits until no background work is left.
pub(crate) fn finish() {
    let jobs = JOBS.ended.wait_while(JOBS.lock(), |jobs| !jobs.is_empty());
    drop(jobs);
}

impl Jobs {
    fn lock(&self) -> MutexGuard<'_, Vec<Job>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, number: usize) {
        self.lock().retain(|job| job.number != number);
        self.ended.notify_all();
    }
}

impl Outliving for Jobs {
    fn drain(&self, end: Instant) {
        let mut jobs = self.lock();
        while !jobs.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            jobs = self.ended.wait_timeout(jobs, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn log_left(&self) -> usize {
        let jobs = self.lock();
        for job in jobs.iter() {
            let (place, ms) = (job.place, job.since.elapsed().as_millis());
            let line = format_args!("background work of {place} is cut off after {ms} ms");
            log::failure(Level::Error, &job.request_id, line);
        }
        jobs.len()
    }
}
