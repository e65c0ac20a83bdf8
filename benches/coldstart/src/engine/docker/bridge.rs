//! Detection of the moment when an instance of Docker Engine becomes reachable: before its program
//! runs, the engine attaches the instance's interface to its bridge. From then on a connect is
//! refused at once instead of being lost. So a probe that begins there sees the program start to
//! listen, while one that waits for the engine's reply only sees that it is listening.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// The option of a bridge network that names its interface (Docker's documentation, "Bridge network
/// driver").
pub const NAME_OPTION: &str = "com.docker.network.bridge.name";

/// The bridge of an engine whose network interfaces are this machine's.
pub struct Bridge {
    /// sysfs: all interfaces (linux, Documentation/ABI/testing/sysfs-class-net).
    interfaces: PathBuf,
    name: String,
}

impl Bridge {
    /// The bridge of this name; `None` if this machine has none: the engine is in a virtual
    /// machine, or rootless.
    pub fn find(name: &str) -> Option<Self> {
        Self::find_in(Path::new("/sys/class/net"), name)
    }

    /// The bridge of this name, which may appear only with the first instance.
    pub fn to_be(name: &str) -> Self {
        Self { interfaces: Path::new("/sys/class/net").to_owned(), name: name.to_owned() }
    }

    fn find_in(interfaces: &Path, name: &str) -> Option<Self> {
        let plain = !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        let bridge = Self { interfaces: interfaces.to_owned(), name: name.to_owned() };
        (plain && !name.starts_with('.') && bridge.ports().is_dir()).then_some(bridge)
    }

    /// The interfaces on it now.
    pub fn known(&self) -> BTreeSet<OsString> {
        self.names().collect()
    }

    /// Whether an interface that is not among the `known` is up on the bridge; it is then added to
    /// them. Its other end, inside an instance, is up too, with its address.
    pub fn sees_another(&self, known: &mut BTreeSet<OsString>) -> bool {
        let another = self.names().find(|name| {
            // No carrier until the other end is up; unreadable while the interface itself is down.
            let carrier = || fs::read(self.interfaces.join(name).join("carrier"));
            !known.contains(name) && carrier().is_ok_and(|text| text.first() == Some(&b'1'))
        });
        another.is_some_and(|name| known.insert(name))
    }

    fn ports(&self) -> PathBuf {
        self.interfaces.join(&self.name).join("brif")
    }

    fn names(&self) -> impl Iterator<Item = OsString> {
        fs::read_dir(self.ports()).into_iter().flatten().flatten().map(|entry| entry.file_name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_bridge_is_reported() {
        for name in ["", "lo", "nosuchbridge", "../net/lo", "..", "a/b"] {
            assert!(Bridge::find(name).is_none(), "{name}");
        }
    }

    #[test]
    fn sees_an_interface_once_when_its_other_end_is_up() {
        let net = tempfile::tempdir().unwrap();
        let port = |name: &str, carrier: &str| {
            fs::create_dir_all(net.path().join("docker0/brif").join(name)).unwrap();
            fs::create_dir_all(net.path().join(name)).unwrap();
            fs::write(net.path().join(name).join("carrier"), carrier).unwrap();
        };
        port("veth0", "1\n");
        let bridge = Bridge::find_in(net.path(), "docker0").unwrap();
        let mut known = bridge.known();
        assert!(!bridge.sees_another(&mut known), "it is known already");
        port("veth1", "0\n");
        assert!(!bridge.sees_another(&mut known), "its other end is down");
        port("veth1", "1\n");
        port("veth2", "1\n");
        assert!(bridge.sees_another(&mut known) && bridge.sees_another(&mut known));
        assert!(!bridge.sees_another(&mut known), "each once");
    }
}
