//! Work done once, by the first request that needs it; other requests wait for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Whether the work is done.
#[derive(Default)]
pub(crate) struct Once {
    done: AtomicBool,
    turn: Mutex<()>,
}

impl Once {
    /// Does the work unless it is done. Afterwards the check is one comparison.
    ///
    /// # Errors
    /// The work's own error; the next caller tries again.
    #[inline]
    pub(crate) fn done_by<E>(&self, work: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        if self.done.load(Ordering::Acquire) { Ok(()) } else { self.take_turn(work) }
    }

    #[cold]
    fn take_turn<E>(&self, work: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.done.load(Ordering::Acquire) {
            work()?;
            self.done.store(true, Ordering::Release);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_tried_until_it_succeeds_and_never_again() {
        let once = Once::default();
        let mut tries = 0;
        for expected in [Err(1), Err(2), Ok(()), Ok(())] {
            let outcome = once.done_by(|| {
                tries += 1;
                if tries < 3 { Err(tries) } else { Ok(()) }
            });
            assert_eq!(outcome, expected);
        }
        assert_eq!(tries, 3);
    }
}
