//! Memory and CPU limits of one instance, by cgroup v1 or v2 (cgroups(7)); one folder per
//! controller, made before the instance and removed after it. Private to the sandbox.

use super::ResourceLimits;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The period of a CPU quota, in microseconds: the kernel's default.
const PERIOD_US: u64 = 100_000;

/// Number of attempts to remove a busy folder.
const REMOVALS: u32 = 100;
const BETWEEN_REMOVALS: Duration = Duration::from_millis(2);

/// The folders of one instance; empty if there are no limits.
pub struct Cgroup {
    folders: Vec<PathBuf>,
}

impl Cgroup {
    /// Creates the folders and sets the limits; removes everything on failure.
    pub fn create(limits: &ResourceLimits) -> Result<Self, String> {
        let mut made = Self { folders: Vec::new() };
        if limits.is_empty() {
            return Ok(made);
        }
        match made.fill(limits) {
            Ok(()) => Ok(made),
            Err(message) => {
                made.remove();
                Err(message)
            }
        }
    }

    /// Moves the calling process into them. The child calls this before its mounts hide the
    /// folders.
    pub fn enter(&self) -> io::Result<()> {
        self.folders.iter().try_for_each(|folder| fs::write(folder.join("cgroup.procs"), "0"))
    }

    /// Whether the kernel has killed one of their processes for its memory: `oom_kill N` in
    /// memory.events (v2) or memory.oom_control (v1).
    pub fn out_of_memory(&self) -> bool {
        let files = self
            .folders
            .iter()
            .flat_map(|f| ["memory.events", "memory.oom_control"].map(|name| f.join(name)));
        files.filter_map(|file| fs::read_to_string(file).ok()).any(|text| has_killed(&text))
    }

    /// Removes the folders after their processes have ended. The kernel may report a folder as busy
    /// for a moment after that.
    pub fn remove(&self) {
        for folder in &self.folders {
            for _ in 0..REMOVALS {
                match fs::remove_dir(folder) {
                    Err(e) if e.kind() == io::ErrorKind::ResourceBusy => {
                        std::thread::sleep(BETWEEN_REMOVALS)
                    }
                    _ => break,
                }
            }
        }
    }

    fn fill(&mut self, limits: &ResourceLimits) -> Result<(), String> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name =
            format!("instance-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let memory = limits.memory_bytes.map(|bytes| bytes.to_string());
        let quota_us = limits.cpu_millis.map(|millis| u64::from(millis) * PERIOD_US / 1000);
        let mine = fs::read_to_string("/proc/self/cgroup")
            .map_err(|e| format!("/proc/self/cgroup: {e}"))?;
        if let (Some(bytes), Some(folder)) = (&memory, v1_folder(&mine, "memory")) {
            self.limit(&folder.join(&name), "memory.limit_in_bytes", bytes)?;
        }
        if let (Some(us), Some(folder)) = (quota_us, v1_folder(&mine, "cpu")) {
            self.limit(&folder.join(&name), "cpu.cfs_period_us", &PERIOD_US.to_string())?;
            self.limit(&folder.join(&name), "cpu.cfs_quota_us", &us.to_string())?;
        }
        let wanted = usize::from(memory.is_some()) + usize::from(quota_us.is_some());
        if self.folders.len() == wanted {
            return Ok(());
        }
        let folder = v2_folder(&mine)
            .ok_or("no cgroup hierarchy with the controllers is mounted")?
            .join(name);
        if let Some(bytes) = &memory {
            self.limit(&folder, "memory.max", bytes)?;
        }
        if let Some(us) = quota_us {
            self.limit(&folder, "cpu.max", &format!("{us} {PERIOD_US}"))?;
        }
        Ok(())
    }

    fn limit(&mut self, folder: &Path, file: &str, value: &str) -> Result<(), String> {
        if !self.folders.iter().any(|made| made == folder) {
            fs::create_dir(folder).map_err(|e| format!("`{}`: {e}", folder.display()))?;
            self.folders.push(folder.to_owned());
        }
        fs::write(folder.join(file), value)
            .map_err(|e| format!("`{}`: {e}", folder.join(file).display()))
    }
}

fn has_killed(text: &str) -> bool {
    text.lines().filter_map(|line| line.strip_prefix("oom_kill ")).any(|n| n.trim() != "0")
}

/// This process's folder of a v1 controller: lines are `id:controllers:path`.
fn v1_folder(mine: &str, controller: &str) -> Option<PathBuf> {
    let path = mine.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        controllers.split(',').any(|c| c == controller).then_some(path)
    })?;
    let root = Path::new("/sys/fs/cgroup").join(controller);
    root.is_dir().then(|| root.join(path.trim_start_matches('/')))
}

/// This process's unified folder; passes the controllers on to child folders if permitted.
fn v2_folder(mine: &str) -> Option<PathBuf> {
    let path = mine.lines().find_map(|line| line.strip_prefix("0::"))?;
    let root = Path::new("/sys/fs/cgroup");
    root.join("cgroup.controllers").is_file().then(|| {
        let folder = root.join(path.trim_start_matches('/'));
        // The kernel refuses this if processes are in this folder ("no internal processes"): the
        // limit then fails with the name of the missing file.
        let _ = fs::write(folder.join("cgroup.subtree_control"), "+memory +cpu");
        folder
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_v1_controller_among_joined_ones() {
        let mine = "5:cpu,cpuacct:/user.slice\n0::/\n";
        let found = v1_folder(mine, "cpu");
        assert!(found.is_none_or(|path| path.ends_with("cpu/user.slice")));
        assert_eq!(v1_folder(mine, "memory"), None);
    }

    #[test]
    fn reads_whether_the_kernel_has_killed_for_memory() {
        assert!(has_killed("low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\noom_group_kill 0\n")); // v2
        assert!(has_killed("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")); // v1
        assert!(
            !has_killed("max 12\noom 0\noom_kill 0\n")
                && !has_killed("oom_kill_disable 1\n")
                && !has_killed("")
        );
    }

    #[test]
    fn no_limits_create_no_folder() {
        assert!(
            Cgroup::create(&ResourceLimits::default()).is_ok_and(|made| made.folders.is_empty())
        );
    }
}
