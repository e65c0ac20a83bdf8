//! Event loops of the process, as many as there are workers.

use super::coroutine::Coroutine;
use super::shift::Shift;
use super::threads;
use super::worker::Worker;
use std::io;
use std::sync::OnceLock;

struct Loops {
    shifts: Box<[Shift]>,
    stack_bytes: usize,
}

static LOOPS: OnceLock<Loops> = OnceLock::new();

/// Makes the loops, whose coroutines have stacks of this size.
///
/// # Errors
/// If descriptors or threads have run out.
pub(super) fn start(workers: usize, stack_bytes: usize) -> io::Result<()> {
    let leaders: Box<[Worker]> = (0..workers.max(1)).map(|_| Worker::new()).collect();
    let shifts = leaders.iter().map(|leader| Shift::new(*leader)).collect::<io::Result<_>>()?;
    let loops = LOOPS.get_or_init(|| Loops { shifts, stack_bytes });
    for (shift, leader) in loops.shifts.iter().zip(leaders) {
        if !threads::lead(shift, leader) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
    }
    Ok(())
}

/// Runs `work` on a coroutine of a loop: `number` modulo the number of loops.
///
/// # Panics
/// If the system gives no memory for its stack.
pub(super) fn spawn(number: usize, work: impl FnOnce() + Send + 'static) {
    let loops = LOOPS.get().expect("the runtime is started before the first spawn");
    let home = &loops.shifts[number % loops.shifts.len()];
    home.make_ready(Coroutine::new(loops.stack_bytes, work));
}
