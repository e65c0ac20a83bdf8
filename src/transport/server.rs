//! Server: everything that its connections share.

use super::budget::Budget;
use super::limits::Limits;
use super::slots::{Need, Slots};
use std::sync::{Condvar, Mutex, PoisonError};

/// What connections share. One per process, for its whole life.
pub(crate) struct Server<S> {
    pub service: S,
    pub limits: Limits,
    pub slots: Slots,
    pub budget: Budget,
    pub workers: usize,
    /// Work that is delayed until the first reply is out.
    pub settle: fn(),
    /// State of the accepting coroutine, once there is a runtime.
    pub accepting: Accepting,
}

impl<S> Server<S> {
    /// `settle` is called once, after the first reply or when the boot lane ends.
    pub(super) fn new(service: S, limits: Limits, workers: usize, settle: fn()) -> Server<S> {
        Server {
            service,
            limits,
            slots: Slots::new(limits.connections.max(1), limits.lingering.max(1)),
            budget: Budget::new(limits.body_bytes, limits.json_factor),
            workers: workers.max(1),
            settle,
            accepting: Accepting::default(),
        }
    }
}

/// Parts of the server that a WebSocket needs; they do not depend on the service.
#[cfg(feature = "websocket")]
#[derive(Clone, Copy)]
pub(super) struct Shared {
    pub limits: &'static Limits,
    pub slots: &'static Slots,
    pub budget: &'static Budget,
}

#[cfg(feature = "websocket")]
impl Shared {
    /// As [`Server::relieve`].
    pub(super) fn relieve(&self) {
        self.slots.make_room(self.slots.departures(), Need::Memory);
    }
}

#[cfg(feature = "websocket")]
impl<S> Server<S> {
    pub(super) fn shared(&'static self) -> Shared {
        Shared { limits: &self.limits, slots: &self.slots, budget: &self.budget }
    }
}

impl<S> Server<S> {
    /// Frees memory: ends the connection that holds some and whose peer is furthest behind.
    pub(super) fn relieve(&self) {
        self.slots.make_room(self.slots.departures(), Need::Memory);
    }
}

/// State of accepting; the main thread waits for its end.
#[derive(Default)]
pub(crate) struct Accepting {
    state: Mutex<AcceptState>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum AcceptState {
    /// There is no runtime yet.
    #[default]
    NotYet,
    Going,
    /// The listener was shut down.
    Ended,
    /// The coroutine panicked.
    Failed,
}

impl Accepting {
    pub(super) fn is(&self, state: AcceptState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
        self.changed.notify_all();
    }

    /// Waits for the end of accepting, if it has begun.
    pub(super) fn end(&self) -> AcceptState {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = self.changed.wait_while(state, |state| *state == AcceptState::Going);
        *ended.unwrap_or_else(PoisonError::into_inner)
    }
}
