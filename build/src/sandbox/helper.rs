//! Helper process: it receives launch and end orders on its standard input, forks instances and
//! reaps them. It is single-threaded on purpose (see the parent module). When its socket closes, it
//! kills the instances and exits, so nothing outlives a killed tool. Private to the sandbox.

use super::cgroup::Cgroup;
use super::inside::{self, Identity};
use super::wire::{self, Failure, Reply, Request, What};
use super::{Exit, Plan, uplink};
use nix::sched::{CloneFlags, clone};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

/// First host id of the instances when the tool runs as root: no instance is ever the host's root.
/// The number is the usual first subordinate id (useradd(8), SUB_UID_MIN).
const FIRST_HOST_ID: u32 = 100_000;
/// Number of ids from there on: all that exist, because images use large ones (1001230000 on some
/// platforms); 65,536 inside a user namespace that has no more.
const MAPPED_IDS: [u32; 2] = [u32::MAX - FIRST_HOST_ID, 65_536];
/// Stack of a fresh child until it executes; it is a copy-on-write copy of the helper's own.
const CHILD_STACK_BYTES: usize = 512 * 1024;

struct Running {
    pid: i32,
    cgroup: Cgroup,
}

/// Runs the helper; call it from `main`, before any thread exists, if the first argument is
/// [`super::HELPER_SUBCOMMAND`].
///
/// # Errors
/// If standard input is not the socket from the tool. The exit code is then the only report.
pub fn helper_main() -> io::Result<()> {
    let words = std::fs::read("/proc/self/cmdline")?;
    let words = words.strip_suffix(b"\0").unwrap_or(&words).split(|byte| *byte == 0);
    let words = words.map(|word| std::ffi::OsStr::from_bytes(word).to_owned());
    let mut arguments = words.skip(2);
    if arguments.next().is_some_and(|first| first == uplink::KEEP) {
        return uplink::keep(arguments);
    }
    let control = take_control()?;
    let identity = Identity::find();
    let mut running: Vec<Running> = Vec::new();
    let mut stack = vec![0u8; CHILD_STACK_BYTES];
    // Returns an error after the tool has closed its side, which is the normal end.
    while let Ok((request, fds)) = wire::receive::<Request>(&control) {
        let reply = match request {
            Request::Launch(plan) => match launch(&plan, fds, &identity, &mut stack) {
                Ok(started) => {
                    let pid = started.pid;
                    running.push(started);
                    Reply::Launched { pid }
                }
                Err(failure) => Reply::Failed(failure),
            },
            Request::End { pid } => match running.iter().position(|r| r.pid == pid) {
                Some(at) => Reply::Ended(end(running.swap_remove(at))),
                None => {
                    Reply::Failed(failure("ending an instance that is not ours", nix::Error::ESRCH))
                }
            },
        };
        if wire::send(&control, &reply, &[]).is_err() {
            break;
        }
    }
    running.into_iter().for_each(|instance| {
        end(instance);
    });
    Ok(())
}

/// What the user can change if the kernel refuses a namespace.
pub fn namespace_hint(which: &str) -> String {
    let settings = [
        "/proc/sys/user/max_user_namespaces",
        "/proc/sys/kernel/unprivileged_userns_clone",
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    ];
    let found: Vec<String> = settings
        .iter()
        .filter(|_| which == "user")
        .filter_map(|path| {
            Some(format!("{path} is {}", std::fs::read_to_string(path).ok()?.trim()))
        })
        .collect();
    match found.is_empty() {
        true => "inside a container: `--privileged`, or CAP_SYS_ADMIN and no seccomp filter".into(),
        false => found.join(", "),
    }
}

/// Moves the control socket from standard input to a descriptor that no instance inherits.
fn take_control() -> io::Result<OwnedFd> {
    let control = io::stdin().as_fd().try_clone_to_owned()?; // duplicates are closed on exec
    let null = std::fs::File::open("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;
    Ok(control)
}

fn launch(
    plan: &Plan,
    fds: Vec<OwnedFd>,
    identity: &Identity,
    stack: &mut [u8],
) -> Result<Running, Failure> {
    let Ok([events, output]) = <[OwnedFd; 2]>::try_from(fds) else {
        return Err(failure("taking the descriptors of a launch", nix::Error::EBADF));
    };
    let cgroup = Cgroup::create(&plan.limits)
        .map_err(|message| Failure { what: What::Cgroup { message }, errno: nix::libc::EACCES })?;
    let (flags, which) = match identity {
        Identity::Mapped { .. } => (CloneFlags::CLONE_NEWPID, "pid"),
        Identity::Single { .. } => (CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWUSER, "user"),
    };
    let child = Box::new(|| inside::run(plan, &events, &output, identity, &cgroup));
    // JUSTIFICATION: a child in its own pid namespace comes from clone(2) alone, and std's Command
    // cannot run the mounts between clone and exec.
    // SAFETY: this process has one thread, so the child may allocate and use std as after any
    // single-threaded fork; memory is copied (no CLONE_VM), the stack outlives the call.
    match unsafe { clone(child, stack, flags, Some(nix::libc::SIGCHLD)) } {
        Ok(pid) => Ok(Running { pid: pid.as_raw(), cgroup }),
        Err(errno) => {
            cgroup.remove(); // it stays empty
            Err(Failure { what: What::Namespace { which: which.into() }, errno: errno as i32 })
        }
    }
}

fn end(instance: Running) -> Exit {
    // it is init of its namespace, so all its processes end
    let _ = kill(Pid::from_raw(instance.pid), Signal::SIGKILL);
    let mut status = 0;
    // JUSTIFICATION: wait4 is the only way to the child's resource use, and nix does not wrap it.
    // SAFETY: a rusage of zeroes is a valid value; both pointers are to live locals; the pid is a
    // child of ours that has not been reaped, so no other process can be meant.
    let usage = unsafe {
        let mut usage: nix::libc::rusage = std::mem::zeroed();
        while nix::libc::wait4(instance.pid, &mut status, 0, &mut usage) < 0
            && nix::errno::Errno::last() == nix::Error::EINTR
        {}
        usage
    };
    let out_of_memory = instance.cgroup.out_of_memory();
    instance.cgroup.remove();
    Exit {
        code: nix::libc::WIFEXITED(status).then(|| nix::libc::WEXITSTATUS(status)),
        signal: nix::libc::WIFSIGNALED(status).then(|| nix::libc::WTERMSIG(status)),
        max_rss_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
        minor_faults: u64::try_from(usage.ru_minflt).unwrap_or(0),
        out_of_memory,
    }
}

fn failure(step: &str, errno: nix::Error) -> Failure {
    Failure { what: What::Step { step: step.into() }, errno: errno as i32 }
}

impl Identity {
    /// Determines once what this process may do: map a range of ids (root), or only its own.
    fn find() -> Self {
        match mapped_user_namespace() {
            Some(user_namespace) => Self::Mapped { user_namespace },
            None => Self::Single {
                uid: nix::unistd::geteuid().as_raw(),
                gid: nix::unistd::getegid().as_raw(),
            },
        }
    }
}

/// For root: a user namespace that maps ids to unprivileged ones of the host. The helper makes it
/// once, and each instance enters it as its last step. The mounts belong to the host's root, so an
/// instance cannot change them.
fn mapped_user_namespace() -> Option<OwnedFd> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let (ours, theirs) = nix::unistd::pipe().ok()?;
    let mut stack = vec![0u8; CHILD_STACK_BYTES];
    let holder = Box::new(|| {
        // It lives until the pipe's writing end closes; it exists only so that the namespace has a
        // name.
        let _ = nix::unistd::close(theirs.as_raw_fd());
        let _ = nix::unistd::read(&ours, &mut [0u8; 1]);
        0
    });
    // JUSTIFICATION: a namespace is created together with a process.
    // SAFETY: as in `launch`; the child only closes and reads a pipe.
    let pid =
        unsafe { clone(holder, &mut stack, CloneFlags::CLONE_NEWUSER, Some(nix::libc::SIGCHLD)) }
            .ok()?;
    let write = |file: &str| {
        let maps = MAPPED_IDS.map(|count| format!("0 {FIRST_HOST_ID} {count}"));
        maps.iter().any(|map| std::fs::write(format!("/proc/{pid}/{file}"), map).is_ok())
    };
    let mapped = write("uid_map") && write("gid_map");
    let namespace = std::fs::File::open(format!("/proc/{pid}/ns/user")).ok().filter(|_| mapped);
    drop(theirs);
    let _ = nix::sys::wait::waitpid(pid, None);
    namespace.map(OwnedFd::from)
}
