//! Gate of continuous integration: it counts a function's system calls, faults and instructions up
//! to the first byte, and compares them with limits.json. Counts, unlike times, do not depend on
//! the load of the machine. They depend on the kernel, the C library and the compiler. The whole
//! file is read into the page cache first, because the kernel maps only cached pages around a
//! fault.

use crate::report::Counts;
use crate::step::Steps;
use serde::Deserialize;

/// The limits, which SPECIFICATION.md states.
const LIMITS: &str = include_str!("../limits.json");

/// Largest permitted counts, from the call of execve(2) to the return of the call that sends the
/// reply's first byte, of all threads, with execve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateLimits {
    /// System calls, all threads.
    pub system_calls_to_first_byte: u64,
    /// Page faults that read nothing from a disk.
    pub minor_faults_to_first_byte: u64,
    /// Instructions in user mode.
    pub instructions_to_first_byte: u64,
    /// CPUID instructions.
    pub cpuid_to_first_byte: u64,
}

impl GateLimits {
    /// The committed limits.
    ///
    /// # Errors
    /// If limits.json does not have the expected form.
    pub fn committed() -> serde_json::Result<Self> {
        serde_json::from_str(LIMITS)
    }

    /// The exceeded limits, one line each; empty if none is exceeded.
    pub fn over(&self, counts: &[Counts], steps: &Steps) -> Vec<String> {
        let mut over = Vec::new();
        for (what, value, limit) in [
            ("instructions", steps.instructions, self.instructions_to_first_byte),
            ("CPUID (a virtual machine traps each)", steps.cpuid, self.cpuid_to_first_byte),
        ] {
            if value > limit {
                over.push(format!("{value} {what} to the first byte, the limit is {limit}"));
            }
        }
        for counts in counts {
            let reached = counts.to_first_byte;
            for (what, value, limit) in [
                ("system calls", reached.system_calls, self.system_calls_to_first_byte),
                ("minor faults", reached.minor_faults, self.minor_faults_to_first_byte),
            ] {
                if value > limit {
                    over.push(format!(
                        "{value} {what} to the first byte, the limit is {limit} (event sent {})",
                        counts.arrival
                    ));
                }
            }
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Arrival, Point};

    fn counts(system_calls: u64, minor_faults: u64) -> Counts {
        let point = Point { system_calls, minor_faults, threads: 1 };
        Counts {
            arrival: Arrival::AtListen,
            n: 1,
            stable: true,
            before_accept: point,
            to_first_byte: point,
            calls: Vec::new(),
        }
    }

    #[test]
    fn names_the_exceeded_limits_only() {
        let limits = GateLimits {
            system_calls_to_first_byte: 40,
            minor_faults_to_first_byte: 30,
            instructions_to_first_byte: 1000,
            cpuid_to_first_byte: 0,
        };
        let steps = |instructions, cpuid| Steps { instructions, cpuid, ..Steps::default() };
        assert_eq!(limits.over(&[counts(40, 30)], &steps(1000, 0)), Vec::<String>::new());
        let over = limits.over(&[counts(41, 30), counts(40, 31)], &steps(1001, 1));
        assert_eq!(over.len(), 4);
        for (line, start) in
            over.iter().zip(["1001 instructions", "1 CPUID", "41 system calls", "31 minor faults"])
        {
            assert!(line.starts_with(start), "{over:?}");
        }
    }

    #[test]
    fn the_committed_limits_are_valid() {
        GateLimits::committed().expect("limits.json");
    }
}
