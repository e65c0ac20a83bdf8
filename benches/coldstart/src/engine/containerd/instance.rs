//! Container of containerd, from its creation to its answer. `ctr tasks start` creates the task,
//! writes its process number, then starts it: the probe's sockets are made between the two, in the
//! task's network namespace.

use super::{Containerd, complaint, ok};
use crate::engine::embedded::{INSTANCE_ADDRESS, oci::sockets_in};
use crate::engine::enclosure;
use crate::engine::node::Later;
use crate::failure::{self, Ended};
use crate::phase::Phase;
use crate::probe::{self, Exchange, Gone, Probe, ProbeError};
use crate::results::Failure;
use bench_kit::clock;
use microimage::listeners::listeners;
use std::fs;
use std::net::SocketAddrV4;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::Ordering;

/// Time between two checks that the task has been created.
const LOOK_FOR_TASK_NS: u64 = 100_000;
/// Time that a program may take to end after its connection broke.
const BREAKS_OFF_NS: u64 = 300_000_000;
/// Time between two checks that the instance is alive.
const LOOK_NS: u64 = 10_000_000;
/// Number of bytes of a container's output in a failure.
const OUTPUT_BYTES: usize = 8192;

/// A task that was created and is being started, and the sockets in its network.
struct Task {
    /// Its folder in the daemon's `/proc`.
    process: PathBuf,
    sockets: Vec<OwnedFd>,
    starting: Child,
}

impl Containerd {
    /// Creates a container; `ctr` can limit no task to a core, its control group can.
    pub(super) fn create_container(&self, image: &str, alone: bool) -> Result<String, String> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}", self.run);
        let core = self.cores.instance.filter(|_| alone);
        enclosure::keep_on(&self.run, core);
        let mut command = self.ctr(&["containers", "create", "--snapshotter", self.snapshotter]);
        command.args([
            "--read-only",
            "--mount",
            "type=tmpfs,src=tmpfs,dst=/tmp,options=nosuid:nodev:mode=1777",
        ]);
        let limits = &self.settings.limits;
        if let Some(bytes) = limits.memory_bytes {
            command.args(["--memory-limit", &bytes.to_string()]);
        }
        if let Some(millis) = limits.cpu_millis {
            command.args(["--cpus", &(f64::from(millis) / 1000.0).to_string()]);
        }
        ok(command.args([image, &name]).output())?;
        Ok(name)
    }

    pub(super) fn remove_container(&self, name: &str) {
        let _ = self.ctr(&["tasks", "delete", "--force", name]).output();
        let _ = self.ctr(&["containers", "delete", name]).output();
        let _ = fs::remove_file(self.file(name, "pid"));
        let _ = fs::remove_file(self.file(name, "out"));
        let _ = fs::remove_file(self.file(name, "err"));
    }

    pub(super) fn start_task_and_ask(
        &self,
        name: &str,
        port: u16,
        alone: bool,
    ) -> Result<Exchange, Failure> {
        let pinned = alone.then(|| self.cores.pin_harness());
        let mut task = self.start_task(name, 1)?;
        let found = match task.sockets.pop() {
            Some(socket) => {
                self.probe(port, alone, |probe| probe.ask(&socket, self.watch(&task.process)))
            }
            None => Err(ProbeError::Engine("no socket could be made in the task's network".into())),
        };
        drop(pinned);
        self.started(name, task.starting)?;
        found.map_err(|error| self.failed_start(name, &task.process, &error))
    }

    pub(super) fn start_task_ahead<'a>(
        &'a self,
        name: &'a str,
        port: u16,
        alone: bool,
    ) -> Result<Later<'a>, Failure> {
        let pinned = alone.then(|| self.cores.pin_harness());
        let Task { process, mut sockets, starting } = self.start_task(name, 2)?;
        let (Some(ahead), Some(socket)) = (sockets.pop(), sockets.pop()) else {
            return Err(failure::in_phase(Phase::Start, "no sockets could be made in the task"));
        };
        let waited = self.probe(port, alone, |probe| {
            probe.wait_listening(&ahead, self.watch(&process)).map(|()| probe::settle(&ahead))
        });
        drop(pinned);
        self.started(name, starting)?;
        waited.map_err(|error| self.failed_start(name, &process, &error))?;
        Ok(Box::new(move || {
            let watch = self.watch(&process);
            let asked = self.probe(port, alone, |probe| probe.ask(&socket, watch));
            asked.map_err(|error| self.failed_start(name, &process, &error))
        }))
    }

    /// Starts `ctr tasks start`, and waits until the task exists.
    fn start_task(&self, name: &str, sockets: usize) -> Result<Task, Failure> {
        let fail = |message: &str| failure::in_phase(Phase::Start, message);
        let pid_file = self.file(name, "pid");
        let errors = fs::File::create(self.file(name, "err")).map_err(|e| fail(&e.to_string()))?;
        let mut command = self.ctr(&["tasks", "start", "--detach", "--pid-file"]);
        command.arg(&pid_file).arg("--log-uri");
        command.arg(format!("file://{}", self.file(name, "out").display())).arg(name);
        let mut starting = command
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .map_err(|e| fail(&format!("`ctr` cannot be started: {e}")))?;
        let pid: u32 = loop {
            let text = fs::read_to_string(&pid_file).unwrap_or_default();
            if let Ok(pid) = text.trim().parse() {
                break pid;
            }
            if let Ok(Some(status)) = starting.try_wait()
                && !status.success()
            {
                return Err(fail(&complaint(
                    &fs::read(self.file(name, "err")).unwrap_or_default(),
                )));
            }
            if self.settings.interrupted() {
                let _ = starting.wait();
                return Err(fail("interrupted"));
            }
            clock::sleep_until_ns(clock::now_ns() + LOOK_FOR_TASK_NS);
        };
        let process = self.daemon.proc_of(pid);
        match sockets_in(&process, sockets) {
            Ok(sockets) => Ok(Task { process, sockets, starting }),
            Err(error) => {
                let _ = starting.wait();
                Err(fail(&format!("the task's network cannot be entered: {error}")))
            }
        }
    }

    /// Waits for `ctr`: the container must not be removed while it works.
    fn started(&self, name: &str, mut starting: Child) -> Result<(), Failure> {
        let status = starting.wait();
        if status.is_ok_and(|status| status.success()) {
            return Ok(());
        }
        let errors = fs::read(self.file(name, "err")).unwrap_or_default();
        Err(failure::in_phase(Phase::Start, &complaint(&errors)))
    }

    fn probe<T>(
        &self,
        port: u16,
        alone: bool,
        find: impl FnOnce(&Probe<'_>) -> Result<T, ProbeError>,
    ) -> Result<T, ProbeError> {
        let target = SocketAddrV4::new(INSTANCE_ADDRESS, port);
        let request = self.settings.ask.to_bytes(&target.to_string());
        let patience_ns = u64::try_from(self.settings.deadline.as_nanos()).unwrap_or(u64::MAX / 2);
        let spins = alone && self.cores.harness.is_some();
        let deadline_ns = clock::now_ns() + patience_ns;
        find(&Probe { target, request: &request, deadline_ns, spins })
    }

    fn watch<'a>(&'a self, process: &'a Path) -> impl FnMut() -> Option<Gone> + 'a {
        let mut looked_ns = clock::now_ns();
        move || {
            if self.settings.interrupted() {
                return Some(Gone::Interrupted);
            }
            if clock::since_ns(looked_ns) < LOOK_NS {
                return None;
            }
            looked_ns = clock::now_ns();
            has_ended(process).then_some(Gone::Ended)
        }
    }

    /// A failed start, with the program's output and how it ended.
    fn failed_start(&self, name: &str, process: &Path, error: &ProbeError) -> Failure {
        // A program that crashes closes its connections before it ends.
        let until_ns = clock::now_ns() + BREAKS_OFF_NS;
        let broke_off = matches!(error, ProbeError::Closed | ProbeError::Reply(_));
        while broke_off && !has_ended(process) && clock::now_ns() < until_ns {
            clock::sleep_until_ns(clock::now_ns() + 1_000_000);
        }
        let listeners = match error {
            ProbeError::NeverListened { .. } => {
                enclosure::first_process(name).map(listeners).unwrap_or_default()
            }
            _ => Vec::new(),
        };
        let output = fs::read(self.file(name, "out")).unwrap_or_default();
        let printed = String::from_utf8_lossy(&output[output.len().saturating_sub(OUTPUT_BYTES)..]);
        let ended = has_ended(process).then(|| Ended {
            how: self.exit_code(name).map_or_else(
                || "ended by itself".into(),
                |code| format!("exited with code {code}"),
            ),
            out_of_memory: enclosure::out_of_memory(&self.run, name),
        });
        failure::of_start(error, &printed, &listeners, ended.as_ref())
    }

    /// The exit code, which `ctr` prints while it deletes the task, and only if it is not 0.
    fn exit_code(&self, name: &str) -> Option<i32> {
        let done = self.ctr(&["tasks", "delete", name]).output().ok()?;
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        let code = said
            .rsplit_once("exit with non-zero exit code ")
            .map(|(_, code)| code.chars().take_while(char::is_ascii_digit).collect::<String>());
        match code {
            Some(code) => code.parse().ok(),
            None => done.status.success().then_some(0),
        }
    }

    fn file(&self, name: &str, of: &str) -> PathBuf {
        self.work.path().join(format!("{name}.{of}"))
    }
}

/// Whether a process is gone or a zombie (proc(5), stat).
fn has_ended(process: &Path) -> bool {
    let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
    stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with(['Z', 'X']))
}
