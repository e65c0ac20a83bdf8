//! Memory cgroup for one test, version 1 or 2, if this process may make one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A group with a memory limit; removed when dropped, after its processes have ended.
#[derive(Debug)]
pub struct MemoryGroup(PathBuf);

impl MemoryGroup {
    /// Makes one of `limit_bytes`, without swap.
    ///
    /// # Errors
    /// If no memory controller is mounted or this process may not make a group: the test cannot
    /// run.
    pub fn new(name: &str, limit_bytes: u64) -> io::Result<MemoryGroup> {
        let version_1 = Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes");
        let (root, limit, swap) = if version_1.exists() {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
        } else {
            ("/sys/fs/cgroup", "memory.max", "memory.swap.max")
        };
        let folder = Path::new(root).join(format!("{name}-{}", std::process::id()));
        fs::create_dir(&folder)?;
        let group = MemoryGroup(folder);
        fs::write(group.0.join(limit), limit_bytes.to_string())?;
        let no_swap = if version_1.exists() { limit_bytes.to_string() } else { "0".to_owned() };
        // a kernel without swap accounting has no such file
        let _ = fs::write(group.0.join(swap), no_swap);
        Ok(group)
    }

    /// A command that starts `program` within the group.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", "echo $$ > \"$0\" && exec \"$@\""])
            .arg(self.0.join("cgroup.procs"))
            .arg(program);
        command
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // The kernel needs a moment to remove an ended process.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}
