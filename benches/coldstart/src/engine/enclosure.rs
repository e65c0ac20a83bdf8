//! Enclosure of a daemon that the bench starts: network and mount namespaces that this process
//! enters, so that the registry, the daemon and the probe share them. Bridges, firewall rules,
//! leases and mounts of the daemon end with them. The machine's own Docker, podman and containerd
//! are not touched. Files of results are not affected.

use super::EngineError;
use crate::owner;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Folders hidden by an empty file system in memory: podman, containerd, their runtimes and CNI
/// keep state there, outside the configured folders.
const HIDDEN: [&str; 3] = ["/run", "/var/lib", "/etc/cni"];
const CGROUPS: &str = "/sys/fs/cgroup";

/// Puts this thread, and those that it starts from now on, into namespaces of their own, and
/// removes what killed runs have left in the control groups.
///
/// # Errors
/// [`EngineError`]: this user is not permitted, or the work folder `keep` would be hidden.
pub fn enter(engine: &str, keep: &Path) -> Result<(), EngineError> {
    if !Uid::effective().is_root() {
        return Err(EngineError::Other(format!(
            "the {engine} engine is started by the bench, which needs root: use `sudo`, or \
             `--engine embedded`"
        )));
    }
    if let Some(hidden) = HIDDEN.iter().find(|hidden| keep.starts_with(hidden)) {
        return Err(EngineError::Other(format!(
            "the {engine} engine has a `{hidden}` of its own: `--out` a folder elsewhere"
        )));
    }
    remove_stale();
    separate().map_err(|source| EngineError::Io {
        what: format!("making namespaces for the {engine} engine"),
        source,
    })
}

fn separate() -> io::Result<()> {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    // sysfs shows the interfaces of the namespace that it was mounted in, and lies under the
    // control groups, which stay as they are. They pass through a folder that is hidden anyway.
    let aside = "/run";
    let recursive = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(CGROUPS), aside, none, recursive, none)?;
    // crun accepts version 1 or 2, and not 1 with an empty, unused 2 beside it.
    let _ = umount2(&Path::new(aside).join("unified"), MntFlags::MNT_DETACH);
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), none)?;
    mount(Some(aside), CGROUPS, none, recursive, none)?;
    umount2(aside, MntFlags::MNT_DETACH)?;
    for hidden in HIDDEN.into_iter().filter(|hidden| Path::new(hidden).is_dir()) {
        mount(Some("tmpfs"), hidden, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))?;
    }
    fs::write("/sys/class/net/lo/flags", "0x1\n") // IFF_UP (netdevice(7))
}

/// A daemon with all its processes in a namespace of process numbers: they end with the daemon, and
/// the daemon ends with this process.
pub struct Daemon {
    child: Child,
    log: PathBuf,
    ended: bool,
}

impl Daemon {
    /// Starts `command`; what it prints goes to `log`.
    ///
    /// # Errors
    /// If util-linux's `setpriv` or `unshare` is missing.
    pub fn start(command: &Command, log: PathBuf) -> io::Result<Self> {
        let output = File::create(&log)?;
        let errors = output.try_clone()?;
        let mut inside = Command::new("setpriv");
        inside.args(["--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork"]);
        inside.args(["--kill-child", "--mount-proc"]);
        // A shell is the namespace's first process: it reaps what the daemon leaves to it.
        inside.args(["sh", "-c", r#""$@" & wait $!"#, "sh"]);
        inside.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside.stdin(Stdio::null()).stdout(output).stderr(errors);
        inside.process_group(0); // a terminal's Ctrl-C goes to the bench, which ends this in order
        Ok(Self { child: inside.spawn()?, log, ended: false })
    }

    /// Whether it has ended, with the last line that it printed.
    pub fn ended(&mut self) -> Option<String> {
        let ended = self.child.try_wait().is_ok_and(|status| status.is_some());
        ended.then(|| self.last_line())
    }

    /// The folder in `/proc` of one of its processes, given by the daemon's process number.
    pub fn proc_of(&self, pid: u32) -> PathBuf {
        let first = self.first().unwrap_or_default();
        PathBuf::from(format!("/proc/{first}/root/proc/{pid}"))
    }

    /// The first process of its namespace, by its number outside.
    fn first(&self) -> Option<i32> {
        let outer = self.child.id();
        let inner = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).ok()?;
        inner.split_whitespace().next()?.parse().ok()
    }

    /// The last line that it printed.
    pub fn last_line(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        text.lines().last().unwrap_or("it printed nothing").to_owned()
    }

    /// Ends it with all its processes; a second call does nothing.
    pub fn end(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        // The first process of the namespace: the kernel ends all others before its end is reported
        // (pid_namespaces(7)), so that nothing is mounted or written after this.
        let killed =
            self.first().is_some_and(|pid| kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok());
        if !killed {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
    }
}

/// Shortens the time after which the kernel asks again for the hardware address of an instance
/// whose interface has no address yet, once the bridge exists. Linux's default is a second, for
/// which the probe would wait too (linux, Documentation/networking/ip-sysctl.rst,
/// `retrans_time_ms`).
pub fn ask_again_soon(bridge: &str) {
    let _ = fs::write(format!("/proc/sys/net/ipv4/neigh/{bridge}/retrans_time_ms"), "5\n");
}

/// The first process of the container with this id, as seen here: the one in a control group that
/// names the container and that is number 1 in its own namespace. A daemon's process numbers are
/// its own.
pub fn first_process(id: &str) -> Option<i32> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.into_iter().find(|pid: &i32| {
        let of = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let first = |status: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
            line.and_then(|pids| pids.split_whitespace().next_back()) == Some("1")
        };
        of("cgroup").contains(id) && first(&of("status"))
    })
}

/// Pins the instances that are created next in that run's control group to one core, or unpins
/// them. Only version 1, where a new group inherits: in version 2 the controller would have to be
/// enabled from the root on, which is up to the machine's administrator.
pub fn keep_on(run: &str, core: Option<usize>) {
    let root = Path::new(CGROUPS).join("cpuset");
    let group = root.join(run);
    if !root.is_dir() || fs::create_dir_all(&group).is_err() {
        return;
    }
    let of_root = |file: &str| fs::read_to_string(root.join(file)).unwrap_or_default();
    let cpus = core.map_or_else(|| of_root("cpuset.cpus"), |core| core.to_string());
    let _ = fs::write(group.join("cpuset.mems"), of_root("cpuset.mems"));
    let _ = fs::write(group.join("cpuset.cpus"), cpus);
}

/// Whether the kernel has killed a process of an instance for its memory (cgroup v1 and v2).
pub fn out_of_memory(run: &str, name: &str) -> bool {
    let root = Path::new(CGROUPS);
    let files = [
        root.join("memory").join(run).join(name).join("memory.oom_control"),
        root.join(run).join(name).join("memory.events"),
    ];
    let mut texts = files.iter().filter_map(|file| fs::read_to_string(file).ok());
    texts.any(|t| t.lines().any(|l| l.strip_prefix("oom_kill ").is_some_and(|n| n.trim() != "0")))
}

/// Removes the control groups below `parent`, a name from the root of each hierarchy.
pub fn remove_cgroups(parent: &str) {
    for root in roots() {
        remove_group(&root.join(parent));
    }
}

/// Removes the groups of runs that were killed: each name contains a process.
fn remove_stale() {
    for group in roots().flat_map(fs::read_dir).flatten().flatten() {
        let name = group.file_name().to_string_lossy().into_owned();
        if owner::is_name_of_gone(&name) {
            remove_group(&group.path());
        }
    }
}

/// Of version 1, a hierarchy for each controller; of version 2, the one.
fn roots() -> impl Iterator<Item = PathBuf> {
    let controllers = fs::read_dir(CGROUPS).into_iter().flatten().flatten();
    controllers.map(|entry| entry.path()).chain([PathBuf::from(CGROUPS)])
}

fn remove_group(group: &Path) {
    for inner in fs::read_dir(group).into_iter().flatten().flatten() {
        if inner.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&inner.path());
        }
    }
    let _ = fs::remove_dir(group);
}
