//! Cost of an idle program, with its connection open: after the first reply, and after further
//! replies. All programs idle at the same time, because idle programs do not disturb each other.

use crate::client::{self, Caller, Moments};
use crate::launch::Instance;
use crate::process;
use crate::program::Program;
use crate::sample::{self, Starter};
use serde::Serialize;
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{io, iter};

/// A program has settled if its memory and faults are equal in this number of checks …
const LOOKS: u32 = 10;
/// … with this time between them.
const BETWEEN: Duration = Duration::from_millis(20);
/// Time limit for that.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time in which wake-ups are counted.
const WINDOW: Duration = Duration::from_secs(2);

/// An idle program.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Idle {
    /// Resident memory.
    pub rss_bytes: u64,
    /// The part of it that is private and written to.
    pub private_dirty_bytes: u64,
    /// Threads of the process.
    pub threads: u64,
    /// Wake-ups of all threads, per second.
    pub wakeups_per_s: f64,
    /// Whether memory and faults had settled before wake-ups were counted.
    pub settled: bool,
}

/// A program after its first reply, and after the last of several.
#[derive(Debug, Clone, Copy)]
pub struct Observed {
    /// After the first one.
    pub after_first: Idle,
    /// After the last request; `None` if there was only one.
    pub after_last: Option<Idle>,
}

/// Lets all programs answer once, then idle together; then again after `requests` requests in all,
/// on the same connections. The results are in the order of `programs`.
///
/// # Errors
/// If a program does not answer, or ends.
pub fn observe(
    starter: &mut Starter,
    programs: &[Program],
    requests: u32,
) -> Result<Vec<Observed>, sample::Error> {
    let mut running =
        programs.iter().map(|program| starter.answering(program)).collect::<Result<Vec<_>, _>>()?;
    let after_first = watch(&running, programs)?;
    if requests < 2 {
        let alone = |after_first| Observed { after_first, after_last: None };
        return Ok(after_first.into_iter().map(alone).collect());
    }
    for ((instance, caller, _), program) in running.iter_mut().zip(programs) {
        for _ in 1..requests {
            if let Err(source) = client::call_again(instance, caller) {
                let (program, printed) = (program.name.clone(), instance.complaints());
                return Err(sample::Error::Call { program, source, printed });
            }
        }
    }
    let after_last = watch(&running, programs)?.into_iter().map(Some);
    let both = |(after_first, after_last)| Observed { after_first, after_last };
    Ok(iter::zip(after_first, after_last).map(both).collect())
}

/// Observes idle programs.
fn watch(
    running: &[(Instance, Caller, Moments)],
    programs: &[Program],
) -> Result<Vec<Idle>, sample::Error> {
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
    for (index, ((instance, ..), before)) in iter::zip(running, before).enumerate() {
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

/// Waits until the process has settled; returns whether it has.
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
