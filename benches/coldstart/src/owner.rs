//! Owner label of containers and images that a run leaves behind: it identifies the process, even
//! after its end. A process number alone is not sufficient: the system reuses it, and it has no
//! meaning on another machine or in another container.

use std::fs;
use std::os::unix::fs::MetadataExt;

/// Label of this process.
pub fn label() -> Option<String> {
    label_of(std::process::id())
}

/// Boot, namespace of process numbers, number, and start in clock ticks since boot (proc(5)):
/// `7c0f…/4026531836/812/90210`. `None` where there is no such process.
pub fn label_of(pid: u32) -> Option<String> {
    Some(format!("{}/{}/{pid}/{}", boot()?, namespace()?, started(pid)?))
}

/// Prefix of this run's names, and [`label`]; `None` if there is no `/proc`.
pub fn names() -> Option<(String, String)> {
    let started = started(std::process::id())?;
    Some((format!("coldstart-{}-{started}", std::process::id()), label()?))
}

/// Whether a name is one of [`names`], or begins with one, of a process that has ended.
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
    // The name, in parentheses, may contain anything; the third field follows it.
    stat.rsplit_once(')')?.1.split_whitespace().nth(22 - 3)?.parse().ok()
}

/// Whether the process of this label has certainly ended: not if it belongs to a namespace that
/// cannot be inspected from here.
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
    fn only_leftovers_of_an_ended_process_are_stale() {
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
        assert!(is_gone(&but(3, "1")), "its number was reused");
        for text in
            ["", "/", "a/b/c", "coldstart-812", &format!("{own}/5"), &but(2, "x"), &but(3, "-1")]
        {
            assert!(!is_gone(text), "{text}");
        }
    }
}
