//! Whose a container or an image is that a run has left behind: a label that outlives the process
//! and names no other one. A process number alone does not do: it is given again, and beside
//! another machine's or container's it means nothing.

use std::fs;
use std::os::unix::fs::MetadataExt;

/// Of this process.
pub fn label() -> Option<String> {
    label_of(std::process::id())
}

/// Boot, namespace of process numbers, number, and start in clock ticks since boot (proc(5)):
/// `7c0f…/4026531836/812/90210`. `None` where there is no such process.
pub fn label_of(pid: u32) -> Option<String> {
    Some(format!("{}/{}/{pid}/{}", boot()?, namespace()?, started(pid)?))
}

/// What names of this run begin with, and [`label`]; `None` where there is no `/proc`.
pub fn names() -> Option<(String, String)> {
    let started = started(std::process::id())?;
    Some((format!("coldstart-{}-{started}", std::process::id()), label()?))
}

/// Whether a name is one of [`names`], or begins so, and of a process that is gone.
pub fn is_name_of_gone(name: &str) -> bool {
    let mut parts = name.strip_prefix("coldstart-").into_iter().flat_map(|rest| rest.split('-'));
    let process = parts
        .next()
        .and_then(|pid| pid.parse().ok())
        .zip(parts.next().and_then(|since| since.parse::<u64>().ok()));
    process.is_some_and(|(pid, since)| started(pid) != Some(since))
}

/// When a process started.
pub fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything; after it the third field comes first.
    stat.rsplit_once(')')?.1.split_whitespace().nth(22 - 3)?.parse().ok()
}

/// Whether the process that made this label is gone for sure: not if it is of a namespace that
/// cannot be looked into from here.
pub fn is_gone(label: &str) -> bool {
    let parts: Vec<&str> = label.split('/').collect();
    let ([of_boot, of_namespace, pid, since], Some(boot), Some(namespace)) =
        (&parts[..], boot(), namespace())
    else {
        return false;
    };
    let (Ok(pid), Ok(since)) = (pid.parse(), since.parse()) else { return false };
    *of_boot != boot || (*of_namespace == namespace && started(pid) != Some(since))
}

fn boot() -> Option<String> {
    Some(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned())
}

fn namespace() -> Option<String> {
    Some(fs::metadata("/proc/self/ns/pid").ok()?.ino().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_gone_process_left_is_stale() {
        let own = label().unwrap();
        assert!(!is_gone(&own), "{own}");
        let parts: Vec<&str> = own.split('/').collect();
        let but = |at: usize, text: &str| {
            let mut other = parts.clone();
            other[at] = text;
            other.join("/")
        };
        assert!(is_gone(&but(0, "another-boot")));
        assert!(!is_gone(&but(1, "1")), "a process of another namespace may live");
        assert!(is_gone(&but(2, "4294967294"))); // beyond any pid
        assert!(is_gone(&but(3, "1")), "its number was given again");
        for text in
            ["", "/", "a/b/c", "coldstart-812", &format!("{own}/5"), &but(2, "x"), &but(3, "-1")]
        {
            assert!(!is_gone(text), "{text}");
        }
    }
}
