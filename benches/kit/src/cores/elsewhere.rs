//! Choice of cores for systems other than Linux, where the benches measure nothing: it chooses
//! none.

/// The cores of a run; none on these systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cores {
    /// `None`.
    pub harness: Option<usize>,
    /// `None`.
    pub instance: Option<usize>,
}

impl Cores {
    /// Chooses no core.
    pub fn choose() -> Self {
        Self { harness: None, instance: None }
    }

    /// Does nothing on these systems.
    pub fn pin_harness(&self) -> Pinned {
        Pinned(())
    }
}

/// The guard's type; on Linux it restores the thread's cores.
pub struct Pinned(());
