//! File capabilities as text: converts the extended attribute `security.capability` to the form
//! that `getcap` prints. It grants nothing. capabilities(7); linux/capability.h, vfs_cap_data.

use std::fmt;

/// Capabilities that the execution of a file grants; `None` if the value is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability(Option<Sets>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Sets {
    permitted: u64,
    inheritable: u64,
    effective: bool,
    /// The root user of the user namespace in which it is valid (revision 3).
    root: u32,
}

/// Names by number, as of Linux 5.9.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

impl Capability {
    /// Parses the attribute's value. A value that the kernel would refuse is shown as invalid.
    pub(crate) fn parse(value: &[u8]) -> Capability {
        let word = |n: usize| {
            let bytes = value.get(4 * n..4 * n + 4)?;
            Some(u32::from_le_bytes(bytes.try_into().ok()?))
        };
        let sets = || {
            let magic = word(0)?;
            // Revision 1 has 32 capabilities, revision 2 has 64, and revision 3 adds a user
            // namespace's root.
            let (words, length) = match magic >> 24 {
                1 => (1, 12),
                2 => (2, 20),
                3 => (2, 24),
                _ => return None,
            };
            let set = |first: usize| {
                let low = u64::from(word(first)?);
                let high = if words == 2 { u64::from(word(first + 2)?) } else { 0 };
                Some(low | high << 32)
            };
            (value.len() == length).then_some(Sets {
                permitted: set(1)?,
                inheritable: set(2)?,
                effective: magic & 1 == 1,
                root: if length == 24 { word(5)? } else { 0 },
            })
        };
        Capability(sets())
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(sets) = &self.0 else { return f.write_str("invalid capabilities") };
        let name = |number: usize| match NAMES.get(number) {
            Some(name) => format!("cap_{name}"),
            None => format!("cap_{number}"),
        };
        let flags = |number: usize| {
            let is_in = |set: u64| set >> number & 1 == 1;
            let mut flags = String::new();
            let granted = is_in(sets.permitted) || is_in(sets.inheritable);
            flags.push_str(if granted && sets.effective { "e" } else { "" });
            flags.push_str(if is_in(sets.inheritable) { "i" } else { "" });
            flags.push_str(if is_in(sets.permitted) { "p" } else { "" });
            flags
        };
        // Capabilities with the same flags form one group, as in getcap.
        let mut groups: Vec<(String, Vec<String>)> = Vec::new();
        for number in 0..64 {
            let flags = flags(number);
            if flags.is_empty() || flags == "e" {
                continue;
            }
            match groups.iter_mut().find(|(known, _)| *known == flags) {
                Some((_, names)) => names.push(name(number)),
                None => groups.push((flags, vec![name(number)])),
            }
        }
        let groups: Vec<_> =
            groups.iter().map(|(flags, names)| format!("{}={flags}", names.join(","))).collect();
        f.write_str(&if groups.is_empty() { "no capability".into() } else { groups.join(" ") })?;
        if sets.root != 0 {
            write!(f, " [rootid={}]", sets.root)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_getcap_prints() {
        let two = |magic: u32, permitted: u64, inheritable: u64| -> Vec<u8> {
            let words = [
                magic,
                permitted as u32,
                inheritable as u32,
                (permitted >> 32) as u32,
                (inheritable >> 32) as u32,
            ];
            words.iter().flat_map(|word| word.to_le_bytes()).collect()
        };
        let raw = 1 << 13;
        for (value, expected) in [
            (two(0x0200_0001, raw, 0), "cap_net_raw=ep"),
            (two(0x0200_0000, raw | 1 << 10, 0), "cap_net_bind_service,cap_net_raw=p"),
            (two(0x0200_0001, raw, 1 << 10), "cap_net_bind_service=ei cap_net_raw=ep"),
            (two(0x0200_0001, 1 << 39, 0), "cap_bpf=ep"),
            (two(0x0200_0001, 1 << 60, 0), "cap_60=ep"),
            (two(0x0200_0001, 0, 0), "no capability"),
            (
                [two(0x0300_0001, raw, 0), vec![0xe8, 3, 0, 0]].concat(),
                "cap_net_raw=ep [rootid=1000]",
            ),
            (two(0x0300_0001, raw, 0), "invalid capabilities"),
            (two(0x0900_0001, raw, 0), "invalid capabilities"),
            (b"cap".to_vec(), "invalid capabilities"),
            (Vec::new(), "invalid capabilities"),
        ] {
            assert_eq!(Capability::parse(&value).to_string(), expected, "{value:?}");
        }
    }
}
