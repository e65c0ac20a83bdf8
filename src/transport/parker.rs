//! Parker: one waits and others wake it. A coroutine pauses, a thread sleeps. A wake that comes
//! first is kept. tests/model.rs tries the possible orders.

use super::coroutine::{Coroutine, pause};
use super::event_loop::{EventLoop, Timed};
use super::handling::Blocks;
use super::home::home;
use super::locks::{Arc, AtomicU64, Condvar, Mutex, MutexGuard, Ordering, PoisonError};
use crate::sys::monotonic_ns;
use std::time::Duration;

/// A place where one coroutine or thread waits at a time.
#[derive(Default)]
pub(super) struct Parker {
    state: Mutex<ParkState>,
    /// For a thread.
    woken: Condvar,
    /// Number of times that a coroutine has begun or ended to wait here: odd while one waits.
    round: AtomicU64,
}

#[derive(Default)]
struct ParkState {
    /// A wake that no wait has taken yet.
    token: bool,
    parked: Option<(Coroutine, &'static EventLoop)>,
}

impl Parker {
    /// Waits for [`Parker::unpark`], at most for `limit`. May return early.
    pub(super) fn park(self: &Arc<Self>, limit: Option<Duration>) {
        if std::mem::take(&mut self.lock().token) {
            return;
        }
        let Some(home) = home() else { return self.block(limit) };
        let deadline = limit.map(|limit| {
            let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
            monotonic_ns().saturating_add(limit)
        });
        let parker = self.clone();
        pause(move |coroutine| parker.keep(coroutine, home, deadline));
    }

    /// Blocks the thread.
    fn block(&self, limit: Option<Duration>) {
        let _blocks = Blocks::begin();
        let mut state = self.lock();
        if !state.token {
            state = match limit {
                Some(limit) => {
                    let waited = self.woken.wait_timeout(state, limit);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.woken.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        state.token = false;
    }

    /// Wakes the one that waits here, or the next one to wait.
    pub(super) fn unpark(&self) {
        let mut state = self.lock();
        match self.take(&mut state) {
            Some((coroutine, home)) => {
                drop(state);
                home.make_ready(coroutine);
            }
            None => {
                state.token = true;
                drop(state);
                self.woken.notify_one();
            }
        }
    }

    fn keep(
        self: Arc<Self>,
        coroutine: Coroutine,
        home: &'static EventLoop,
        deadline: Option<u64>,
    ) {
        let mut state = self.lock();
        if std::mem::take(&mut state.token) {
            drop(state);
            return home.make_ready(coroutine);
        }
        state.parked = Some((coroutine, home));
        let round = self.round.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(deadline) = deadline {
            // Within the lock: a timer that is due at once finds the coroutine.
            home.set_timer(deadline, self.clone(), round);
        }
    }

    fn take(&self, state: &mut ParkState) -> Option<(Coroutine, &'static EventLoop)> {
        let parked = state.parked.take();
        if parked.is_some() {
            self.round.fetch_add(1, Ordering::SeqCst);
        }
        parked
    }

    fn lock(&self) -> MutexGuard<'_, ParkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Timed for Parker {
    fn expire(&self, round: u64) {
        let mut state = self.lock();
        if !self.is_past(round)
            && let Some((coroutine, home)) = self.take(&mut state)
        {
            drop(state);
            home.make_ready(coroutine);
        }
    }

    fn is_past(&self, round: u64) -> bool {
        self.round.load(Ordering::SeqCst) != round
    }
}
