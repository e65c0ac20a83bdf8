//! Set-up of a new child between clone and exec: namespaces, mounts, identity, sockets, time stamp,
//! `execve`. It runs in a single-threaded copy of the helper and never returns to its code. Private
//! to the sandbox. Order of the mounts as in pivot_root(2), "pivot_root(\".\", \".\")".

use super::cgroup::Cgroup;
use super::etc::Etc;
use super::filter;
use super::refusals;
use super::route;
use super::wire::{self, Event, Failure, What};
use super::{EXEC_NS_VARIABLE, Inside, Plan, Port, PortKind};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, CpuSet, sched_setaffinity, setns, unshare};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::unistd::{Gid, Pid, Uid};
use rustix::fs::{StatVfsMountFlags, statvfs};
use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// The platform's writable folder: 512 MiB (SCF quotas, "/tmp").
const TMP_OPTIONS: &str = "mode=1777,size=512m";
/// The platform's limit of open files (SCF quotas).
const OPEN_FILES: u64 = 1024;
/// Search path for a program name without a slash if the image sets no PATH, as in container
/// engines.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long a program may stay open for writing (ETXTBSY): a process that the tool forked while it
/// unpacked the program holds the descriptor until it calls exec itself.
const BUSY_LIMIT_NS: u64 = 2_000_000_000;
const BUSY_PAUSE: Duration = Duration::from_millis(1);
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// How the instance's user ids map to the host's.
pub enum Identity {
    /// Root: enter this prepared user namespace last.
    Mapped { user_namespace: OwnedFd },
    /// An ordinary user: the instance's one id is this one.
    Single { uid: u32, gid: u32 },
}

/// Runs the child until exec. It returns only on failure, with an exit code.
pub fn run(
    plan: &Plan,
    events: &OwnedFd,
    output: &OwnedFd,
    identity: &Identity,
    cgroup: &Cgroup,
) -> isize {
    let Err(failure) = start(plan, events, output, identity, cgroup);
    let _ = wire::send(events, &Event::Failed(failure), &[]);
    127
}

fn start(
    plan: &Plan,
    events: &OwnedFd,
    output: &OwnedFd,
    identity: &Identity,
    cgroup: &Cgroup,
) -> Result<std::convert::Infallible, Failure> {
    if let Identity::Single { uid, gid } = identity {
        map_single(plan, *uid, *gid).map_err(|e| io_step("mapping the user id", &e))?;
    }
    cgroup.enter().map_err(|e| io_step("entering the cgroup", &e))?;
    if let Some(core) = plan.core {
        let mut set = CpuSet::new();
        set.set(core)
            .and_then(|()| sched_setaffinity(Pid::from_raw(0), &set))
            .map_err(step("pinning"))?;
    }
    for (flag, which) in [
        (CloneFlags::CLONE_NEWNS, "mount"),
        (CloneFlags::CLONE_NEWUTS, "uts"),
        (CloneFlags::CLONE_NEWIPC, "ipc"),
        (CloneFlags::CLONE_NEWNET, "network"),
    ] {
        unshare(flag).map_err(|errno| Failure {
            what: What::Namespace { which: which.into() },
            errno: errno as i32,
        })?;
    }
    loopback_up().map_err(step("bringing loopback up"))?;
    let mut etc = None;
    if let Some(inside) = &plan.network {
        etc = inside.etc.then(Etc::read);
        join(inside, events)?;
    }
    build_root(&plan.rootfs, identity, etc.as_ref())?;
    nix::unistd::sethostname("instance").map_err(step("setting the host name"))?;
    if plan.low_ports {
        fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0")
            .map_err(|e| io_step("opening ports below 1024", &e))?;
    }
    let sockets = (0..plan.sockets)
        .map(|_| socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None))
        .collect::<Result<Vec<_>, _>>()
        .map_err(step("creating the probe's sockets"))?;
    setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES)
        .map_err(step("limiting open files"))?;
    become_user(plan, identity)?;
    let cwd = if plan.cwd.is_empty() { "/" } else { &plan.cwd };
    nix::unistd::chdir(cwd).map_err(step(&format!("entering the working directory {cwd}")))?;
    nix::unistd::setsid().map_err(step("setsid"))?;
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).map_err(step("prctl"))?;
    nix::sys::prctl::set_no_new_privs().map_err(step("prctl"))?;
    if plan.network.is_some() {
        keep_network().map_err(step("dropping capabilities over its network"))?;
    }

    let (program, argv, mut env) = command(plan)?;
    let borrowed: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
    wire::send(events, &Event::Ready, &borrowed).map_err(|e| io_step("reporting", &e))?;
    // From here on standard output is the instance's; until here it was the helper's.
    nix::unistd::dup2_stdout(output)
        .and_then(|()| nix::unistd::dup2_stderr(output))
        .map_err(step("output"))?;

    let first_ns = monotonic_ns();
    loop {
        let at_ns = monotonic_ns();
        env.push(c_string(&format!("{EXEC_NS_VARIABLE}={at_ns}"))?);
        wire::send(events, &Event::Exec { at_ns }, &[]).map_err(|e| io_step("reporting", &e))?;
        let Err(errno) = nix::unistd::execve(&program, &argv, &env);
        if errno != nix::Error::ETXTBSY || at_ns - first_ns > BUSY_LIMIT_NS {
            return Err(step(&format!("execve {}", program.to_string_lossy()))(errno));
        }
        env.pop();
        std::thread::sleep(BUSY_PAUSE);
    }
}

/// Prepares the network namespace and waits until the tool has connected it.
fn join(inside: &Inside, events: &OwnedFd) -> Result<(), Failure> {
    route::set(inside).map_err(step("setting the routes of its network"))?;
    if !inside.unreachable.is_empty() {
        filter::set(inside).map_err(step("setting the filter of its network (nf_tables)"))?;
    }
    let mut listeners = inside
        .ports
        .iter()
        .map(listener)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| io_step("opening the ports that are carried to this machine", &e))?;
    // Without this socket, only one hint is missing from the report.
    listeners.extend(inside.hears_refusals.then(refusals::listen).and_then(Result::ok));
    let borrowed: Vec<_> = listeners.iter().map(AsFd::as_fd).collect();
    wire::send(events, &Event::Network, &borrowed).map_err(|e| io_step("reporting", &e))?;
    wire::receive::<wire::Go>(events).map_err(|e| io_step("waiting for its network", &e))?;
    Ok(())
}

fn listener(port: &Port) -> std::io::Result<OwnedFd> {
    match port.kind {
        PortKind::Tcp => std::net::TcpListener::bind(port.address).map(OwnedFd::from),
        PortKind::Udp | PortKind::NoNames => {
            std::net::UdpSocket::bind(port.address).map(OwnedFd::from)
        }
    }
}

/// Maps the one id that an ordinary user may map: its own, to the id that the image asks for
/// (user_namespaces(7)).
fn map_single(plan: &Plan, uid: u32, gid: u32) -> std::io::Result<()> {
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{} {uid} 1", plan.uid))?;
    fs::write("/proc/self/gid_map", format!("{} {gid} 1", plan.gid))
}

/// Makes the rootfs the root, read-only, with its own /proc, /dev and /tmp. The kernel resolves
/// every path below the new root inside it, so a symbolic link of the image cannot lead a mount
/// outside.
fn build_root(rootfs: &Path, identity: &Identity, etc: Option<&Etc>) -> Result<(), Failure> {
    const NONE: Option<&str> = None;
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)
        .map_err(step("making mounts private"))?;
    let bind = MsFlags::MS_BIND;
    // This happens while the host's root still owns the rootfs; the code follows no link of that
    // name.
    for folder in ["proc", "dev", "tmp"] {
        match fs::create_dir(rootfs.join(folder)) {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(io_step(&format!("creating /{folder}"), &e));
            }
            _ => {}
        }
    }
    if etc.is_some() {
        Etc::places(rootfs).map_err(|e| io_step("creating a place for /etc/resolv.conf", &e))?;
    }
    // If the file system cannot map ids (ENOSYS before Linux 5.12, EINVAL), the instance sees files
    // of the image's root as owned by an unknown user: enough for files that everyone may read.
    let mapped = match identity {
        Identity::Mapped { user_namespace } => bind_mapped(rootfs, user_namespace).is_ok(),
        Identity::Single { .. } => false,
    };
    if !mapped {
        mount(Some(rootfs), rootfs, NONE, bind | MsFlags::MS_REC, NONE)
            .map_err(step("binding the rootfs"))?;
    }
    let host_devices =
        fs::File::open("/dev").map_err(|e| io_step("opening the host's /dev", &e))?;
    nix::unistd::chdir(rootfs).map_err(step("entering the rootfs"))?;
    nix::unistd::pivot_root(".", ".").map_err(step("pivot_root"))?;
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), quiet, NONE).map_err(step("mounting /proc"))?;
    let plain = MsFlags::MS_NOSUID;
    mount(Some("tmpfs"), "/dev", Some("tmpfs"), plain, Some("mode=755,size=64k"))
        .map_err(step("mounting /dev"))?;
    for name in DEVICES {
        let target = format!("/dev/{name}");
        fs::File::create(&target).map_err(|e| io_step(&format!("creating {target}"), &e))?;
        let source = format!("/proc/self/fd/{}/{name}", host_devices.as_raw_fd());
        mount(Some(source.as_str()), target.as_str(), NONE, bind, NONE)
            .map_err(step(&format!("binding {target}")))?;
    }
    if let Some(etc) = etc {
        etc.bind().map_err(|e| io_step("binding /etc/resolv.conf", &e))?;
    }
    let private = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), "/tmp", Some("tmpfs"), private, Some(TMP_OPTIONS))
        .map_err(step("mounting /tmp"))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(step("leaving the old root"))?;
    nix::unistd::chdir("/").map_err(step("entering the new root"))?;
    let kept = locked_flags();
    let read_only = bind | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | kept;
    mount(NONE, "/", NONE, read_only, NONE).map_err(step("making the root read-only"))
}

/// Binds the rootfs onto itself so that an id on the disk is that id in `user_namespace`: image
/// files keep their owners, although the host gives instances other ids (mount_setattr(2),
/// "ID-mapped mounts").
fn bind_mapped(rootfs: &Path, user_namespace: &OwnedFd) -> nix::Result<()> {
    use nix::libc;
    let path =
        CString::new(rootfs.as_os_str().as_encoded_bytes()).map_err(|_| nix::Error::EINVAL)?;
    let flags =
        libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_RECURSIVE as libc::c_uint;
    // JUSTIFICATION: neither std nor nix wraps the three calls.
    // SAFETY: the path ends in zero and lives; the call touches no other memory of ours.
    let tree = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) };
    let tree = nix::Error::result(tree)? as libc::c_int;
    // JUSTIFICATION: a system call gives a number.
    // SAFETY: the kernel has just made the descriptor for us, and nothing else knows of it.
    let tree = unsafe { <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(tree) };
    let here = c"".as_ptr();
    let wanted = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: user_namespace.as_raw_fd() as u64,
    };
    let empty = libc::AT_EMPTY_PATH as libc::c_uint;
    let size = size_of::<libc::mount_attr>();
    // JUSTIFICATION: as for the first.
    // SAFETY: `here` is a static string, `wanted` a live local whose size is given; both are only
    // read.
    let set = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            here,
            empty,
            &raw const wanted,
            size,
        )
    };
    nix::Error::result(set)?;
    let flags = libc::MOVE_MOUNT_F_EMPTY_PATH;
    // JUSTIFICATION: as for the first.
    // SAFETY: both strings end in zero and live; they are only read.
    let moved = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            here,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
        )
    };
    nix::Error::result(moved).map(drop)
}

/// Flags of the mount that holds the rootfs: an ordinary user may add flags but not remove any.
fn locked_flags() -> MsFlags {
    let mut flags = MsFlags::MS_NOSUID;
    // rustix's, because nix has no RELATIME where the C library is musl.
    let found = statvfs("/").ok().map(|root| root.f_flag);
    for (is, then) in [
        (StatVfsMountFlags::NODEV, MsFlags::MS_NODEV),
        (StatVfsMountFlags::NOEXEC, MsFlags::MS_NOEXEC),
        (StatVfsMountFlags::NOATIME, MsFlags::MS_NOATIME),
        (StatVfsMountFlags::NODIRATIME, MsFlags::MS_NODIRATIME),
        (StatVfsMountFlags::RELATIME, MsFlags::MS_RELATIME),
    ] {
        if found.is_some_and(|found| found.contains(is)) {
            flags |= then;
        }
    }
    flags
}

/// Enables loopback, which is down in a new network namespace (netdevice(7), SIOCSIFFLAGS).
fn loopback_up() -> nix::Result<()> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // JUSTIFICATION: an interface's flags are set by ioctl or by netlink; one ioctl is less code.
    // SAFETY: an ifreq of zeroes is valid and its name (`lo`) ends in zero; the pointer is to a
    // live local of the type that SIOCSIFFLAGS reads.
    let done = unsafe {
        let mut request: nix::libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as nix::libc::c_char;
        request.ifr_name[1] = b'o' as nix::libc::c_char;
        request.ifr_ifru.ifru_flags =
            (nix::libc::IFF_UP | nix::libc::IFF_RUNNING) as nix::libc::c_short;
        nix::libc::ioctl(socket.as_raw_fd(), nix::libc::SIOCSIFFLAGS as _, &request)
    };
    nix::Error::result(done).map(drop)
}

fn become_user(plan: &Plan, identity: &Identity) -> Result<(), Failure> {
    if let Identity::Mapped { user_namespace } = identity {
        setns(user_namespace, CloneFlags::CLONE_NEWUSER)
            .map_err(step("entering the user namespace"))?;
        nix::unistd::setgroups(&[]).map_err(step("dropping groups"))?;
    }
    let (uid, gid) = (Uid::from_raw(plan.uid), Gid::from_raw(plan.gid));
    nix::unistd::setresgid(gid, gid, gid).map_err(step(&format!("becoming group {gid}")))?;
    nix::unistd::setresuid(uid, uid, uid).map_err(step(&format!("becoming user {uid}")))
}

/// Drops capabilities. An ordinary user's instance owns its network namespace, but it must not
/// change the blocking routes nor send raw packets around them: if the image asks for user 0,
/// execve would give it all capabilities of the bounding set (capabilities(7)). Container engines
/// drop the first, too.
fn keep_network() -> nix::Result<()> {
    const CAP_NET_ADMIN: nix::libc::c_ulong = 12;
    const CAP_NET_RAW: nix::libc::c_ulong = 13;
    for capability in [CAP_NET_ADMIN, CAP_NET_RAW] {
        // JUSTIFICATION: neither std nor nix wraps PR_CAPBSET_DROP.
        // SAFETY: the call takes integers and touches no memory of ours.
        let done = unsafe { nix::libc::prctl(nix::libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        match nix::Error::result(done) {
            // A process without capabilities (a user other than 0) also gets none at execve.
            Ok(_) | Err(nix::Error::EPERM) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Program, arguments and environment as C strings. Every step that may fail comes before the time
/// stamp.
fn command(plan: &Plan) -> Result<(CString, Vec<CString>, Vec<CString>), Failure> {
    let Some(name) = plan.argv.first() else {
        return Err(failure(
            "finding the program: the image has neither an entrypoint nor a command",
            nix::Error::ENOEXEC,
        ));
    };
    let mut env = plan.env.clone();
    if !env.iter().any(|line| line.starts_with("PATH=")) {
        env.push(format!("PATH={DEFAULT_PATH}"));
    }
    let path = env.iter().find_map(|line| line.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    let program = match name.contains('/') {
        true => name.clone(),
        false => path
            .split(':')
            .map(|folder| format!("{folder}/{name}"))
            .find(|candidate| Path::new(candidate).is_file())
            .ok_or_else(|| failure(&format!("finding {name} in {path}"), nix::Error::ENOENT))?,
    };
    let argv = plan.argv.iter().map(|s| c_string(s)).collect::<Result<_, _>>()?;
    let env = env.iter().map(|s| c_string(s)).collect::<Result<_, _>>()?;
    Ok((c_string(&program)?, argv, env))
}

fn c_string(text: &str) -> Result<CString, Failure> {
    CString::new(text).map_err(|_| {
        failure(
            "reading the image's configuration: a value contains a zero byte",
            nix::Error::EINVAL,
        )
    })
}

fn monotonic_ns() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    now.map_or(0, |t| t.tv_sec() as u64 * 1_000_000_000 + t.tv_nsec() as u64)
}

fn step(name: &str) -> impl FnOnce(nix::Error) -> Failure + use<> {
    let name = name.to_owned();
    move |errno| failure(&name, errno)
}

fn io_step(name: &str, error: &std::io::Error) -> Failure {
    Failure {
        what: What::Step { step: name.into() },
        errno: error.raw_os_error().unwrap_or(nix::libc::EIO),
    }
}

fn failure(name: &str, errno: nix::Error) -> Failure {
    Failure { what: What::Step { step: name.into() }, errno: errno as i32 }
}
