//! An instance that exists, whoever made it: our own sandbox or an OCI runtime. What both can be
//! asked.

use super::Embedded;
use super::oci::Container;
use crate::engine::EngineError;
use crate::failure::Ended;
use crate::results::Failure;
use microimage::sandbox::{self, Instance};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// How long a program whose connection has broken off may take to be gone: its sockets close before
/// it is.
pub(super) const BREAKS_OFF: Duration = Duration::from_millis(200);

pub(super) enum Running {
    /// Its program is executed as soon as it exists.
    Sandboxed(Instance),
    /// Its program is executed by [`Running::go`].
    Contained(Container),
}

impl Running {
    /// Has the program executed, where that has not happened yet.
    pub(super) fn go(&mut self) -> Result<(), Failure> {
        match self {
            Self::Sandboxed(_) => Ok(()),
            Self::Contained(container) => container.start(),
        }
    }

    /// When `execve` was called; for an OCI runtime, when it was asked to start.
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

    /// Waits for its end, so long at most.
    pub(super) fn wait_end(&self, limit: Duration) {
        match self {
            Self::Sandboxed(instance) => {
                instance.wait_end(limit);
            }
            Self::Contained(container) => container.wait_end(limit),
        }
    }

    /// Ends it; how it had ended, if it had done so by itself or for want of memory.
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
                // The runtime has reaped it, and says not how.
                Ok((ended_itself || out_of_memory)
                    .then(|| Ended { how: "ended by itself".into(), out_of_memory }))
            }
        }
    }
}
