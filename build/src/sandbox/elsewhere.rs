//! The sandbox on systems other than Linux, where it does not work. It has the same names, so that
//! other code need not check the system; it can start nothing, and the error says why.

mod plan;
#[allow(dead_code)] // whether an address is this machine's own: this sandbox has no network
mod reach;

pub use plan::{
    EXEC_NS_VARIABLE, Error, Exit, HELPER_SUBCOMMAND, Inside, Plan, Port, PortKind, ResourceLimits,
};
pub use reach::{MAX_REACH, Reach, ReachError};

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Returns an error.
///
/// # Errors
/// [`Error::Elsewhere`].
pub fn helper_main() -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, Error::Elsewhere))
}

/// Returns `None`: this system has no /proc.
pub fn peak_resident_bytes(_pid: i32) -> Option<u64> {
    None
}

/// A user of an image; nothing unpacks an image on this system.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the image's user needs its files, and unpacking needs Linux")]
pub struct UserError;

/// Returns an error.
///
/// # Errors
/// [`UserError`], always.
pub fn user_of(_rootfs: &Path, _user: &str) -> Result<(u32, u32), UserError> {
    Err(UserError)
}

/// The launcher of instances; this system has none.
pub struct Launcher(Infallible);

impl Launcher {
    /// Returns an error.
    ///
    /// # Errors
    /// [`Error::Elsewhere`], always.
    pub fn start(_executable: &Path) -> Result<Self, Error> {
        Err(Error::Elsewhere)
    }

    /// As on Linux.
    pub fn with_network(self, _network: Option<Arc<Network>>) -> Self {
        self
    }

    /// As on Linux.
    ///
    /// # Errors
    /// Always: this system has no launcher.
    pub fn launch(&mut self, _plan: &Plan) -> Result<Instance, Error> {
        match self.0 {}
    }

    /// As on Linux.
    ///
    /// # Errors
    /// Always: this system has no launcher.
    pub fn begin(&mut self, _plan: &Plan) -> Result<Instance, Error> {
        match self.0 {}
    }

    /// As on Linux.
    ///
    /// # Errors
    /// Always: this system has no launcher.
    pub fn end(&mut self, _instance: Instance) -> Result<Exit, Error> {
        match self.0 {}
    }
}

/// A running program; this system has none.
pub struct Instance(Infallible);

impl Instance {
    /// As on Linux.
    pub fn pid(&self) -> i32 {
        match self.0 {}
    }

    /// As on Linux.
    pub fn take_sockets(&mut self) -> Vec<OwnedFd> {
        match self.0 {}
    }

    /// As on Linux.
    ///
    /// # Errors
    /// Always: this system has no instance.
    pub fn exec_ns(&mut self) -> Result<Option<u64>, Error> {
        match self.0 {}
    }

    /// As on Linux.
    pub fn called_in_vain(&self) -> Vec<String> {
        match self.0 {}
    }

    /// As on Linux.
    pub fn called_in_vain_here(&self) -> Vec<SocketAddr> {
        match self.0 {}
    }

    /// As on Linux.
    pub fn called_nobody(&self) -> Vec<SocketAddr> {
        match self.0 {}
    }

    /// As on Linux.
    pub fn has_ended(&self) -> bool {
        match self.0 {}
    }

    /// As on Linux.
    pub fn wait_end(&self, _limit: Duration) -> bool {
        match self.0 {}
    }

    /// As on Linux.
    pub fn output_tail(&mut self) -> String {
        match self.0 {}
    }

    /// As on Linux.
    pub fn take_output(&mut self) -> Option<OwnedFd> {
        match self.0 {}
    }

    /// As on Linux.
    ///
    /// # Errors
    /// Always: this system has no instance.
    pub fn wait_ready(&mut self) -> Result<(), Error> {
        match self.0 {}
    }
}

/// The network of instances; this system has none.
#[derive(Debug)]
pub struct Network(());

impl Network {
    /// Inspects nothing.
    ///
    /// # Errors
    /// None.
    pub fn new(_reach: &[Reach], _helper: &Path) -> io::Result<Network> {
        Ok(Network(()))
    }

    /// As on Linux.
    pub fn none() -> Network {
        Network(())
    }

    /// As on Linux.
    #[must_use]
    pub fn unheard(self) -> Network {
        self
    }

    /// Returns nothing: no instance was connected.
    pub fn used(&self) -> Vec<(String, usize)> {
        Vec::new()
    }

    /// Returns nothing to set up.
    pub fn inside(&self) -> Inside {
        Inside {
            local: Vec::new(),
            unreachable: Vec::new(),
            etc: false,
            ports: Vec::new(),
            hears_refusals: false,
        }
    }

    /// Returns `false`.
    pub fn has_uplink(&self) -> bool {
        false
    }

    /// Returns `false`.
    pub fn is_wanted(&self) -> bool {
        false
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("network: none; the sandbox needs Linux")
    }
}
