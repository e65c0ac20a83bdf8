//! What cores.rs is on Linux, on other systems: nothing is measured there, so no core is chosen.

/// The cores of a run: none are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cores {
    /// `None`.
    pub harness: Option<usize>,
    /// `None`.
    pub instance: Option<usize>,
}

impl Cores {
    /// Chooses none.
    pub fn choose() -> Self {
        Self { harness: None, instance: None }
    }

    /// Keeps nothing anywhere.
    pub fn pin_harness(&self) -> Pinned {
        Pinned(())
    }
}

/// As on Linux, where it restores the thread's cores.
pub struct Pinned(());
