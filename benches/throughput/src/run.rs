//! Rounds: in each, every program is started anew and measured in every way (mode and number of
//! connections). The order is random, and programs measured in the same way follow each other, so
//! that changes of the machine affect them alike.

use crate::load::{self, Load, Mode};
use crate::report::{Case, Report, Round};
use start_bench::client::{self, Caller};
use start_bench::launch::Instance;
use start_bench::process;
use start_bench::program::Program;
use start_bench::sample::Starter;
use std::fs;
use std::io;
use std::time::Duration;

/// Why a turn gave no round.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The process could not be started.
    #[error(transparent)]
    Launch(#[from] start_bench::launch::Error),
    /// It does not answer its first request.
    #[error("it does not start: {0}")]
    Start(#[from] client::Error),
    /// The load could not be driven.
    #[error("{0}")]
    Load(#[from] load::Error),
    /// /proc cannot be read.
    #[error("cannot read /proc: {0}")]
    Process(#[from] io::Error),
    /// No reply was counted.
    #[error("no reply was counted")]
    Nothing,
}

/// Runs all rounds; the report holds them, failed ones too.
pub fn rounds(
    report: &mut Report,
    starter: &mut Starter,
    programs: &[Program],
    ways: &[(Mode, usize)],
    rounds: usize,
    progress: &mut dyn FnMut(usize, usize),
) {
    for &(mode, connections) in ways {
        report.cases.extend(programs.iter().map(|program| Case {
            program: program.name.clone(),
            mode,
            connections,
            rounds: Vec::new(),
            errors: Vec::new(),
            summary: None,
        }));
    }
    let mut random = fastrand::Rng::with_seed(report.seed);
    for done in 0..rounds {
        for index in order(&mut random, ways.len(), programs.len()) {
            let program = &programs[index % programs.len()];
            let case = &mut report.cases[index];
            let load = Load {
                mode: case.mode,
                connections: case.connections,
                warm_up: Duration::from_millis(report.warm_up_ms),
                time: Duration::from_millis(report.time_ms),
            };
            match turn(starter, program, load) {
                Ok(round) => case.rounds.push(Some(round)),
                Err(error) => {
                    case.rounds.push(None);
                    case.errors.push(error.to_string());
                }
            }
        }
        progress(done + 1, rounds);
    }
    report.summarise();
}

/// The cases of a round: ways in random order, and in each the programs in random order.
fn order(random: &mut fastrand::Rng, ways: usize, programs: usize) -> Vec<usize> {
    let mut shuffled = |count: usize| {
        let mut order: Vec<usize> = (0..count).collect();
        random.shuffle(&mut order);
        order
    };
    let ways = shuffled(ways);
    ways.into_iter()
        .flat_map(|way| shuffled(programs).into_iter().map(move |program| way * programs + program))
        .collect()
}

/// One program's turn: started, asked once, then under load.
fn turn(starter: &mut Starter, program: &Program, load: Load) -> Result<Round, Error> {
    let (port, environment) = starter.port();
    let instance = Instance::start(&program.path, &environment, starter.place(), false)?;
    let caller = Caller::new(port).map_err(client::Error::from)?;
    client::call(&instance, &caller)?;
    drop(caller);
    let mut cpu = [Ok(0), Ok(0)];
    let outcome = load::drive(port, load, |begins| cpu[usize::from(!begins)] = cpu_ns(&instance))?;
    let [before, after] = cpu;
    let rss_bytes = process::memory(instance.pid())?.rss_bytes;
    let spent = after?.saturating_sub(before?);
    Round::of(&outcome, spent, rss_bytes).ok_or(Error::Nothing)
}

/// Time that the process's threads have run, in nanoseconds
/// (Documentation/scheduler/sched-stats.rst).
fn cpu_ns(instance: &Instance) -> io::Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{}/task", instance.pid()))? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        sum += text.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_has_every_case_once_and_programs_of_one_way_together() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut firsts = std::collections::HashSet::new();
        for _ in 0..50 {
            let order = order(&mut random, 3, 2);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4, 5]);
            assert!(order.chunks(2).all(|pair| pair[0] / 2 == pair[1] / 2), "{order:?}");
            firsts.insert(order[0]);
        }
        assert_eq!(firsts.len(), 6, "every case is the first one sometimes");
    }
}
