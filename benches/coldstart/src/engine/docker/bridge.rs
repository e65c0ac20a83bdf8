//! When an instance of Docker Engine can be reached at all: before its program runs, the engine puts the instance's
//! interface on its bridge. From that moment a connect is refused at once instead of being lost, so that a probe which
//! begins there sees the program listen, where one that waits for the engine's reply sees only that it has been listening.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

/// The option of a bridge network that names its interface (Docker's documentation, "Bridge network driver").
pub const NAME_OPTION: &str = "com.docker.network.bridge.name";

/// The bridge of an engine whose network interfaces are this machine's.
pub struct Bridge {
    /// sysfs: the interfaces that are on the bridge.
    ports: PathBuf,
}

impl Bridge {
    /// The bridge called `interface`; `None` where this machine has none: the engine is in a virtual machine, or rootless.
    pub fn find(interface: &str) -> Option<Self> {
        let plain = !interface.is_empty() && interface.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        let ports = PathBuf::from(format!("/sys/class/net/{interface}/brif"));
        (plain && !interface.starts_with('.') && ports.is_dir()).then_some(Self { ports })
    }

    /// What is on it now: what [`Bridge::has_new`] does not count.
    pub fn known(&self) -> BTreeSet<OsString> {
        self.names().collect()
    }

    /// Whether an interface is up on it that was not known: its other end is up too, inside an instance, with its address.
    pub fn has_new(&self, known: &BTreeSet<OsString>) -> bool {
        self.names().filter(|name| !known.contains(name)).any(|name| {
            // No carrier until the other end is up (linux, Documentation/ABI/testing/sysfs-class-net); unreadable while the
            // interface itself is down.
            let carrier = PathBuf::from("/sys/class/net").join(name).join("carrier");
            fs::read(carrier).is_ok_and(|text| text.first() == Some(&b'1'))
        })
    }

    fn names(&self) -> impl Iterator<Item = OsString> {
        fs::read_dir(&self.ports).into_iter().flatten().flatten().map(|entry| entry.file_name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bridge_is_where_there_is_none() {
        for name in ["", "lo", "nosuchbridge", "../net/lo", "..", "a/b"] {
            assert!(Bridge::find(name).is_none(), "{name}");
        }
    }
}
