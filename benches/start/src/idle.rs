//! What a program costs while nothing happens: after its first reply, with that connection still
//! open. All programs idle at the same time, which is the point of being idle.

use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{io, iter};

use serde::Serialize;

use crate::process;
use crate::program::Program;
use crate::sample::{self, Starter};

/// A program has settled when its memory and faults have stayed the same for so many looks …
const LOOKS: u32 = 10;
/// … that lie so far apart,
const BETWEEN: Duration = Duration::from_millis(20);
/// and it is given so long for that.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long wake-ups are counted.
const WINDOW: Duration = Duration::from_secs(2);

/// An idle program.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Idle {
    /// Resident memory.
    pub rss_bytes: u64,
    /// Of that, what is the process's own and written to.
    pub private_dirty_bytes: u64,
    /// Threads of the process.
    pub threads: u64,
    /// Of all threads, per second.
    pub wakeups_per_s: f64,
    /// Whether memory and faults had come to rest before wake-ups were counted.
    pub settled: bool,
}

/// Lets all programs answer once, then idle together. In the order of `programs`.
///
/// # Errors
/// When one does not answer, or ends.
pub fn observe(starter: &mut Starter, programs: &[Program]) -> Result<Vec<Idle>, sample::Error> {
    let running =
        programs.iter().map(|program| starter.answering(program)).collect::<Result<Vec<_>, _>>()?;
    let failed = |index: usize| {
        let program = programs[index].name.clone();
        move |source: io::Error| sample::Error::Process { program, source }
    };
    let mut settled = Vec::new();
    for (index, (instance, ..)) in running.iter().enumerate() {
        settled.push(settle(instance.pid()).map_err(failed(index))?);
    }
    let begun = Instant::now();
    let before =
        running.iter().map(|(instance, ..)| process::sleeps(instance.pid())).collect::<Vec<_>>();
    sleep(WINDOW);
    let mut idle = Vec::new();
    for (index, ((instance, ..), before)) in iter::zip(&running, before).enumerate() {
        let look = || -> io::Result<Idle> {
            let slept = process::sleeps(instance.pid())?.saturating_sub(before?);
            let memory = process::memory(instance.pid())?;
            Ok(Idle {
                rss_bytes: memory.rss_bytes,
                private_dirty_bytes: memory.private_dirty_bytes,
                threads: process::stat(instance.pid())?.threads,
                wakeups_per_s: slept as f64 / begun.elapsed().as_secs_f64(),
                settled: settled[index],
            })
        };
        idle.push(look().map_err(failed(index))?);
    }
    Ok(idle)
}

/// Waits until nothing moves in the process; whether it came to that.
fn settle(pid: nix::unistd::Pid) -> io::Result<bool> {
    let deadline = Instant::now() + PATIENCE;
    let mut last = None;
    let mut looks = 0;
    while looks < LOOKS {
        if Instant::now() > deadline {
            return Ok(false);
        }
        let now = Some((process::memory(pid)?, process::stat(pid)?));
        looks = if now == last { looks + 1 } else { 0 };
        last = now;
        sleep(BETWEEN);
    }
    Ok(true)
}
