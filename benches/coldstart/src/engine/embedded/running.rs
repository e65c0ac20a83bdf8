//! An instance that exists, whoever made it: our own sandbox or an OCI runtime. What both can be asked.

use std::os::fd::OwnedFd;
use std::time::Duration;

use microimage::sandbox::{self, Exit, Instance};

use super::Embedded;
use super::oci::Container;
use crate::engine::EngineError;
use crate::failure;
use crate::results::{Failure, Sample};

/// How long a killed instance may take to be gone before it is called ended by itself.
const AT_ONCE: Duration = Duration::ZERO;

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
            Self::Sandboxed(instance) => instance.wait_end(AT_ONCE),
            Self::Contained(container) => container.has_ended(),
        }
    }

    pub(super) fn output_tail(&mut self) -> String {
        match self {
            Self::Sandboxed(instance) => instance.output_tail(),
            Self::Contained(container) => container.output_tail(),
        }
    }

    /// Ends it; if it ended by itself, says how in the sample's failure.
    pub(super) fn end(self, engine: &Embedded, sample: &mut Sample) -> Result<(), EngineError> {
        let ended_itself = self.has_ended();
        let exit: Option<Exit> = match self {
            Self::Sandboxed(instance) => Some(engine.launcher().end(instance)?),
            Self::Contained(container) => {
                container.remove();
                None
            }
        };
        if let (Some(error), Some(exit), true) = (sample.error.as_mut(), exit, ended_itself) {
            failure::add_exit(error, &exit);
        }
        Ok(())
    }
}
