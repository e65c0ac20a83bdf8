//! Server: everything that its connections share.

use super::budget::Budget;
use super::limits::Limits;
use super::slots::Slots;
use may::coroutine::JoinHandle;
use std::sync::Mutex;

/// What connections share. One per process, for as long as it lives.
pub(crate) struct Server<S> {
    pub service: S,
    pub limits: Limits,
    pub slots: Slots,
    pub budget: Budget,
    pub workers: usize,
    /// What was put off until the first reply is out.
    pub settle: fn(),
    /// The accepting coroutine, once there is one.
    pub acceptor: Mutex<Option<JoinHandle<()>>>,
}

impl<S> Server<S> {
    /// `settle` is called once the first reply is out and before there is another thread.
    pub(super) fn new(service: S, limits: Limits, workers: usize, settle: fn()) -> Server<S> {
        Server {
            service,
            limits,
            slots: Slots::new(limits.connections.max(1)),
            budget: Budget::new(limits.body_bytes, limits.json_factor),
            workers: workers.max(1),
            settle,
            acceptor: Mutex::new(None),
        }
    }
}
