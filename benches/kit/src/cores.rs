//! Choice of cores: one for measuring and one for the instance, for all benches. With two cores or
//! more they differ: a load generator on the server's core multiplies the 95th percentile.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The cores of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cores {
    all: CpuSet,
    /// The measuring core; `None` on a machine with one.
    pub harness: Option<usize>,
    /// The instance's core; `None` on a machine with one.
    pub instance: Option<usize>,
}

impl Cores {
    /// Chooses among the cores this process may use.
    pub fn choose() -> Self {
        let all = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
        let allowed: Vec<usize> =
            (0..CpuSet::count()).filter(|&i| all.is_set(i).unwrap_or(false)).collect();
        match allowed[..] {
            [harness, .., instance] => {
                Self { all, harness: Some(harness), instance: Some(instance) }
            }
            _ => Self { all, harness: None, instance: None },
        }
    }

    /// Pins the calling thread to the measuring core until the guard is dropped.
    pub fn pin_harness(&self) -> Pinned {
        if let Some(core) = self.harness {
            let _ = pin(core);
        }
        Pinned(self.all)
    }
}

/// Pins the calling thread, and those that it will start, to one core.
///
/// # Errors
/// If the kernel refuses.
pub fn pin(core: usize) -> nix::Result<()> {
    let mut one = CpuSet::new();
    one.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &one)
}

/// Restores the thread's cores on drop.
pub struct Pinned(CpuSet);

impl Drop for Pinned {
    fn drop(&mut self) {
        let _ = sched_setaffinity(Pid::from_raw(0), &self.0);
    }
}
