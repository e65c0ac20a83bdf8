//! Running instance of our own sandbox or of an OCI runtime, with their common operations.

use super::Embedded;
use super::oci::Container;
use crate::engine::EngineError;
use crate::failure::Ended;
use crate::results::Failure;
use microimage::sandbox::{self, Instance};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Time that a program may take to end after its connection broke off: its sockets close first.
pub(super) const BREAKS_OFF: Duration = Duration::from_millis(200);

pub(super) enum Running {
    /// Its program is executed as soon as it exists.
    Sandboxed(Instance),
    /// Its program is executed by [`Running::go`].
    Contained(Container),
}

impl Running {
    /// Executes the program, if that has not happened yet.
    pub(super) fn go(&mut self) -> Result<(), Failure> {
        match self {
            Self::Sandboxed(_) => Ok(()),
            Self::Contained(container) => container.start(),
        }
    }

    /// Time at which `execve` was called; for an OCI runtime, at which its start was called.
    pub(super) fn exec_ns(&mut self) -> Result<Option<u64>, sandbox::Error> {
        match self {
            Self::Sandboxed(instance) => instance.exec_ns(),
            Self::Contained(container) => Ok(container.started_ns()),
        }
    }

    pub(super) fn take_sockets(&mut self) -> Vec<OwnedFd> {
        match self {
            Self::Sandboxed(instance) => instance.take_sockets(),
            Self::Contained(container) => container.take_sockets(),
        }
    }

    pub(super) fn pid(&self) -> i32 {
        match self {
            Self::Sandboxed(instance) => instance.pid(),
            Self::Contained(container) => container.pid(),
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        match self {
            Self::Sandboxed(instance) => instance.has_ended(),
            Self::Contained(container) => container.has_ended(),
        }
    }

    pub(super) fn output_tail(&mut self) -> String {
        match self {
            Self::Sandboxed(instance) => instance.output_tail(),
            Self::Contained(container) => container.output_tail(),
        }
    }

    /// Waits for its end, for at most `limit`.
    pub(super) fn wait_end(&self, limit: Duration) {
        match self {
            Self::Sandboxed(instance) => {
                instance.wait_end(limit);
            }
            Self::Contained(container) => container.wait_end(limit),
        }
    }

    /// Ends it. Returns how it had ended, if it ended by itself or for lack of memory.
    pub(super) fn end(self, engine: &Embedded) -> Result<Option<Ended>, EngineError> {
        let ended_itself = self.has_ended();
        match self {
            Self::Sandboxed(instance) => {
                let exit = engine.launcher().end(instance)?;
                Ok((ended_itself || exit.out_of_memory).then(|| exit.into()))
            }
            Self::Contained(container) => {
                let out_of_memory = container.out_of_memory();
                drop(container);
                // The runtime has reaped it, and does not report how it ended.
                Ok((ended_itself || out_of_memory)
                    .then(|| Ended { how: "ended by itself".into(), out_of_memory }))
            }
        }
    }
}
