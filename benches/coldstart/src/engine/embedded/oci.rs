//! Create and start by an OCI runtime, runc or crun: the rootfs as a bundle (OCI runtime-spec,
//! config.md), `create`, then `start`, whose call stands for the time of exec. It needs root.
//! A thread enters the container's network namespace, makes the probe's sockets, and ends there.

use crate::failure;
use crate::owner;
use crate::phase::Phase;
use crate::results::Failure;
use bench_kit::clock;
use microimage::sandbox::Plan;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A container that was created, and perhaps started.
pub(super) struct Container {
    runtime: String,
    id: String,
    pid: i32,
    output: PathBuf,
    sockets: Vec<OwnedFd>,
    started_ns: Option<u64>,
    starting: Option<Child>,
}

/// Creates a container from `plan` in the folder `bundle`.
///
/// # Errors
/// The runtime's own message; the container is then gone.
pub(super) fn create(runtime: &str, plan: &Plan, bundle: &Path) -> Result<Container, Failure> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let (pid, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let id = format!("coldstart-{pid}-{}-{count}", owner::started(pid).unwrap_or(0));
    let fail = |what: &str, error: &io::Error| {
        failure::in_phase(Phase::Create, &format!("{what}: {error}"))
    };
    fs::create_dir_all(bundle).map_err(|e| fail("making a bundle", &e))?;
    let (pid_file, output) = (bundle.join("pid"), bundle.join("output"));
    fs::write(bundle.join("config.json"), config(plan, &id).to_string())
        .map_err(|e| fail("writing the bundle", &e))?;
    let log = File::create(&output).map_err(|e| fail("making a log", &e))?;
    let errors = log.try_clone().map_err(|e| fail("making a log", &e))?;
    let status = Command::new(runtime)
        .args(["create", "--bundle"])
        .arg(bundle)
        .arg("--pid-file")
        .arg(&pid_file)
        .arg(&id)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .status()
        .map_err(|e| fail(runtime, &e))?;
    let (starting, sockets, started_ns) = (None, Vec::new(), None);
    let mut container = Container {
        runtime: runtime.to_owned(),
        id,
        pid: 0,
        output,
        sockets,
        started_ns,
        starting,
    };
    let pid = fs::read_to_string(&pid_file).ok().and_then(|text| text.trim().parse().ok());
    let Some(pid) = pid.filter(|_| status.success()) else {
        let said = container.output_tail();
        drop(container);
        return Err(failure::in_phase(
            Phase::Create,
            &format!("`{runtime} create` failed: {}", said.trim_end()),
        ));
    };
    container.pid = pid;
    match sockets_in(Path::new(&format!("/proc/{pid}")), plan.sockets) {
        Ok(sockets) => container.sockets = sockets,
        Err(error) => {
            drop(container);
            return Err(fail("entering the container's network", &error));
        }
    }
    Ok(container)
}

impl Container {
    /// Calls the runtime's start without waiting for it, so that the probe sees the program's first
    /// accept.
    pub(super) fn start(&mut self) -> Result<(), Failure> {
        let mut command = Command::new(&self.runtime);
        command
            .args(["start", &self.id])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.started_ns = Some(clock::now_ns());
        let child = command
            .spawn()
            .map_err(|e| failure::in_phase(Phase::Start, &format!("{}: {e}", self.runtime)))?;
        self.starting = Some(child);
        Ok(())
    }

    pub(super) fn started_ns(&self) -> Option<u64> {
        self.started_ns
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    pub(super) fn take_sockets(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.sockets)
    }

    /// Whether its first process is gone or a zombie (proc(5), stat).
    pub(super) fn has_ended(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with(['Z', 'X']))
    }

    pub(super) fn wait_end(&self, limit: Duration) {
        let until_ns = clock::now_ns() + u64::try_from(limit.as_nanos()).unwrap_or(0);
        while !self.has_ended() && clock::now_ns() < until_ns {
            clock::sleep_until_ns(clock::now_ns() + 1_000_000);
        }
    }

    /// Whether the kernel has killed a process of it for its memory (cgroup v1 and v2).
    pub(super) fn out_of_memory(&self) -> bool {
        let files = ["memory/{id}/memory.oom_control", "{id}/memory.events"];
        let read = |file: &str| {
            fs::read_to_string(Path::new("/sys/fs/cgroup").join(file.replace("{id}", &self.id)))
        };
        let mut texts = files.into_iter().filter_map(|file| read(file).ok());
        texts.any(|t| {
            t.lines().any(|l| l.strip_prefix("oom_kill ").is_some_and(|n| n.trim() != "0"))
        })
    }

    pub(super) fn output_tail(&mut self) -> String {
        let text = fs::read(&self.output).unwrap_or_default();
        String::from_utf8_lossy(&text[text.len().saturating_sub(8192)..]).into_owned()
    }
}

/// Kills and deletes it.
impl Drop for Container {
    fn drop(&mut self) {
        if let Some(mut starting) = self.starting.take() {
            let _ = starting.wait();
        }
        delete(&self.runtime, &self.id);
    }
}

fn delete(runtime: &str, id: &str) {
    let mut command = Command::new(runtime);
    command.args(["delete", "--force", id]);
    let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

/// Deletes containers that killed runs have left: the runtime keeps its list on this machine, and
/// each name contains a process.
pub(super) fn remove_stale(runtime: &str) {
    let listed = Command::new(runtime)
        .args(["list", "--quiet"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let listed =
        listed.map(|done| String::from_utf8_lossy(&done.stdout).into_owned()).unwrap_or_default();
    for id in listed.lines().filter(|id| owner::is_name_of_gone(id)) {
        delete(runtime, id);
    }
}

/// TCP sockets of a network namespace, that of a process in `/proc`.
pub(in crate::engine) fn sockets_in(process: &Path, count: usize) -> io::Result<Vec<OwnedFd>> {
    let namespace = File::open(process.join("ns/net"))?;
    let make = move || -> io::Result<Vec<OwnedFd>> {
        setns(namespace, CloneFlags::CLONE_NEWNET)?;
        let one = || socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None);
        Ok((0..count).map(|_| one()).collect::<Result<_, _>>()?)
    };
    std::thread::spawn(make).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The bundle's configuration: the isolation of our own sandbox, without the user namespace.
fn config(plan: &Plan, id: &str) -> Value {
    let mount = |to: &str, kind: &str, options: &[&str]| {
        let source = kind; // these file systems have no device
        json!({"destination": to, "type": kind, "source": source, "options": options})
    };
    let mut env = plan.env.clone();
    if !env.iter().any(|line| line.starts_with("PATH=")) {
        env.push("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into());
    }
    let mut resources = json!({"devices": [{"allow": false, "access": "rwm"}]});
    if let Some(bytes) = plan.limits.memory_bytes {
        resources["memory"] = json!({"limit": bytes});
    }
    if let Some(millis) = plan.limits.cpu_millis {
        resources["cpu"] = json!({"quota": u64::from(millis) * 100, "period": 100_000});
    }
    if let Some(core) = plan.core {
        resources["cpu"]["cpus"] = json!(core.to_string());
    }
    let ports = if plan.low_ports {
        json!({"net.ipv4.ip_unprivileged_port_start": "0"})
    } else {
        json!({})
    };
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": plan.uid, "gid": plan.gid},
            "args": plan.argv,
            "env": env,
            "cwd": if plan.cwd.is_empty() { "/" } else { &plan.cwd },
            "capabilities": {"bounding": [], "effective": [], "permitted": []},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true,
        },
        "root": {"path": plan.rootfs, "readonly": true},
        "hostname": "instance",
        "mounts": [
            mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
            mount("/dev", "tmpfs", &["nosuid", "mode=755", "size=65536k"]),
            mount("/tmp", "tmpfs", &["nosuid", "nodev", "mode=1777", "size=512m"]),
        ],
        "linux": {
            "cgroupsPath": format!("/{id}"),
            "resources": resources,
            "sysctl": ports,
            "namespaces": [
                {"type": "pid"},
                {"type": "network"},
                {"type": "ipc"},
                {"type": "uts"},
                {"type": "mount"},
            ],
        },
    })
}
