//! Uplink: carries an instance's packets out of this machine. For root it is a veth pair with an
//! nftables table for masquerading and blocked addresses. For an ordinary user it is pasta or
//! slirp4netns, which turn packets into sockets. Each resource that would outlive a process has a
//! *keeper*: a process of this same executable that waits for the end of its standard input and
//! then removes the resource. So nothing remains even after a SIGKILL. Private to the sandbox.

use super::HELPER_SUBCOMMAND;
use nix::ifaddrs::getifaddrs;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The helper's second argument for a keeper, and the keeper's task: see [`keep`].
pub const KEEP: &str = "keep";
const RUN: &str = "run";
const AFTER: &str = "after";
/// Separator of the commands that a keeper runs at the end.
const NEXT: &str = ";;";
/// Time limit for an uplink to come up.
const UP_LIMIT: Duration = Duration::from_secs(10);
/// Names of the resources: a table `firstbyte_PIDNAMESPACE_PID`, an interface `fbPID-N`.
const TABLE_PREFIX: &str = "firstbyte_";
/// RFC 2544's addresses for benchmarks: no network uses them. slirp4netns uses the first 1024.
const SUBNETS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
const SUBNET_COUNT: u32 = (1 << 17) / 4;
const FIRST_SUBNET: u32 = 256;
/// Largest part shown of a failed program's output, in bytes.
const SHOWN_BYTES: usize = 300;

/// A method of carrying packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// In the kernel; needs root.
    Veth,
    /// passt.top, Debian package `passt`.
    Pasta,
    /// Debian package `slirp4netns`.
    Slirp,
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Means::Veth => "veth and nftables",
            Means::Pasta => "pasta",
            Means::Slirp => "slirp4netns",
        })
    }
}

/// The methods that this machine has, best first. A method that fails is removed.
#[derive(Debug)]
pub struct Uplinks {
    helper: PathBuf,
    state: Mutex<State>,
    next: AtomicU32,
}

#[derive(Debug)]
struct State {
    left: Vec<Means>,
    refused: Vec<String>,
    /// Number of instances that each method has connected; `None` means no network.
    used: Vec<(Option<Means>, usize)>,
    /// Created with the first veth pair.
    table: Option<Table>,
}

impl State {
    fn count(&mut self, means: Option<Means>) {
        match self.used.iter_mut().find(|(used, _)| *used == means) {
            Some((_, count)) => *count += 1,
            None => self.used.push((means, 1)),
        }
    }
}

/// One instance's uplink. Dropping it removes it.
#[derive(Debug)]
pub struct Uplink {
    /// `None` for a veth pair: the kernel removes it with its network namespace.
    _keeper: Option<Keeper>,
}

impl Uplinks {
    /// Looks for programs; it creates nothing yet.
    pub fn find(helper: &Path) -> Uplinks {
        let root = nix::unistd::geteuid().is_root();
        let mut refused = Vec::new();
        let mut left = Vec::new();
        if root {
            match veth_refused() {
                None => left.push(Means::Veth),
                Some(why) => refused.push(why),
            }
        }
        // pasta drops root's rights before it enters a namespace that root created, and then lacks
        // the permission.
        for (means, name) in [(Means::Pasta, "pasta"), (Means::Slirp, "slirp4netns")] {
            if root && means == Means::Pasta {
                continue;
            }
            match program(name) {
                Some(_) => left.push(means),
                None => refused.push(format!("no {name}")),
            }
        }
        let state = Mutex::new(State { left, refused, used: Vec::new(), table: None });
        Uplinks { helper: helper.to_owned(), state, next: AtomicU32::new(0) }
    }

    /// The method for the next instance.
    pub fn current(&self) -> Option<Means> {
        self.state().left.first().copied()
    }

    /// Why there is no method, and what the user can do.
    pub fn why_none(&self) -> String {
        let remedy = match nix::unistd::geteuid().is_root() {
            true => "install nftables and iproute2, or slirp4netns",
            false => "install the package passt, or slirp4netns",
        };
        format!("{}; {remedy}", self.state().refused.join(", "))
    }

    /// Connects the network namespace of `pid`; tries the next method if one fails.
    pub fn attach(&self, pid: i32) -> Option<Uplink> {
        loop {
            let Some(means) = self.current() else {
                self.state().count(None);
                return None;
            };
            let done = match means {
                Means::Veth => self.veth(pid),
                Means::Pasta | Means::Slirp => self.user_mode(means, pid),
            };
            match done {
                Ok(uplink) => {
                    self.state().count(Some(means));
                    return Some(uplink);
                }
                Err(why) => {
                    let mut state = self.state();
                    // Another thread may have removed the method.
                    if state.left.first() == Some(&means) {
                        state.left.remove(0);
                        state.refused.push(format!("{means}: {why}"));
                    }
                }
            }
        }
    }

    /// Describes the methods of the instances so far, with the number of instances.
    pub fn used(&self) -> Vec<(String, usize)> {
        let in_words = |(means, count): &(Option<Means>, usize)| {
            (means.map_or_else(|| "nothing".into(), |means| means.to_string()), *count)
        };
        self.state().used.iter().map(in_words).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn user_mode(&self, means: Means, pid: i32) -> Result<Uplink, String> {
        let net = format!("/proc/{pid}/ns/net");
        let user = format!("/proc/{pid}/ns/user");
        let root = nix::unistd::geteuid().is_root();
        let argv: Vec<String> = match means {
            // Its own access to this machine's loopback is off: relays carry the named ports.
            Means::Pasta => [
                "pasta",
                "--foreground",
                "--quiet",
                "--config-net",
                "--no-map-gw",
                "-t",
                "none",
                "-u",
                "none",
                "-T",
                "none",
                "-U",
                "none",
                "--userns",
                &user,
                "--netns",
                &net,
                "--pid",
                "/proc/self/fd/1",
            ]
            .map(str::to_owned)
            .into(),
            _ => {
                let mut argv: Vec<String> = [
                    "slirp4netns",
                    "--configure",
                    "--mtu=65520",
                    "--disable-host-loopback",
                    "--disable-dns",
                    "--cidr=198.18.0.0/24",
                    "--ready-fd=1",
                    "--netns-type=path",
                ]
                .map(str::to_owned)
                .into();
                if !root {
                    argv.push(format!("--userns-path={user}"));
                }
                argv.extend([net, "tap0".into()]);
                argv
            }
        };
        Keeper::run(&self.helper, &argv).map(|keeper| Uplink { _keeper: Some(keeper) })
    }

    fn veth(&self, pid: i32) -> Result<Uplink, String> {
        let ours = std::process::id();
        {
            let mut state = self.state();
            if state.table.is_none() {
                state.table = Some(Table::make(&self.helper)?);
            }
        }
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("fb{ours}-{}", n % 10_000);
        let (gateway, address) = {
            // Others choose one at the same time. A kernel without such locks has the race.
            let _turn = turn();
            let (gateway, address) = free_subnet(ours.wrapping_mul(64).wrapping_add(n))?;
            let commands = format!(
                "link add {name} type veth peer name eth0 netns {pid}\n\
                 addr add {gateway}/30 dev {name}\nlink set {name} up\n"
            );
            run_with_input("ip", &["-batch", "-"], &commands)?;
            (gateway, address)
        };
        let inside = format!(
            "addr add {address}/30 dev eth0\nlink set eth0 up\nroute add default via {gateway}\n"
        );
        let net = format!("--net=/proc/{pid}/ns/net");
        run_with_input("nsenter", &[&net, "ip", "-batch", "-"], &inside)?;
        Ok(Uplink { _keeper: None })
    }
}

/// The rules for all veth pairs of this process.
#[derive(Debug)]
struct Table {
    _keeper: Keeper,
}

impl Table {
    fn make(helper: &Path) -> Result<Table, String> {
        let ours = std::process::id();
        remove_stale_tables();
        let table = format!("{TABLE_PREFIX}{}_{ours}", pid_namespace());
        let interfaces = format!("fb{ours}-*");
        // The instance's own routes catch most of this. These rules also cover addresses that this
        // machine gets later, and programs that choose an interface themselves.
        let rules = format!(
            "table inet {table} {{
                chain input {{
                    type filter hook input priority -10; policy accept;
                    iifname \"{interfaces}\" reject with icmpx type admin-prohibited
                }}
                chain forward {{
                    type filter hook forward priority -10; policy accept;
                    iifname \"{interfaces}\" ip daddr {{ 169.254.0.0/16, 100.100.100.200, \
             168.63.129.16 }} reject with icmpx type admin-prohibited
                    oifname \"{interfaces}\" ct state != {{ established, related }} reject
                }}
                chain postrouting {{
                    type nat hook postrouting priority srcnat; policy accept;
                    iifname \"{interfaces}\" masquerade
                }}
            }}\n"
        );
        let mut after = vec![vec!["nft", "delete", "table", "inet", &table]];
        let pattern = format!("fb{ours}-+");
        let rule = |flag, way| {
            ["iptables", "-w", flag, "DOCKER-USER", way, pattern.as_str(), "-j", "ACCEPT"]
        };
        let docker = has_docker_user();
        if docker {
            after.extend(["-i", "-o"].map(|way| rule("-D", way).to_vec()));
        }
        // The keeper starts before the resource exists.
        let keeper = Keeper::after(helper, &after)?;
        run_with_input("nft", &["-f", "-"], &rules)?;
        if docker {
            // Docker drops packets that others forward, except those that this chain accepts.
            for way in ["-i", "-o"] {
                let [program, arguments @ ..] = rule("-I", way);
                run_with_input(program, &arguments, "")?;
            }
        }
        Ok(Table { _keeper: keeper })
    }
}

/// A process that removes a resource when this process ends or drops the value.
#[derive(Debug)]
struct Keeper {
    child: Child,
}

impl Keeper {
    /// Starts a program and waits until it reports that it is ready: a line on its standard output.
    fn run(helper: &Path, argv: &[String]) -> Result<Keeper, String> {
        let words = tempfile::tempfile().map_err(|error| error.to_string())?;
        let stderr = words.try_clone().map_err(|error| error.to_string())?;
        let mut command = keeper(helper, RUN);
        command.args(argv).stdout(Stdio::piped()).stderr(stderr);
        let mut keeper = Keeper { child: command.spawn().map_err(|error| error.to_string())? };
        let ready = keeper.child.stdout.take().is_some_and(|mut out| has_output(&mut out));
        if ready { Ok(keeper) } else { Err(last_output(words)) }
    }

    /// Runs commands at the end.
    fn after(helper: &Path, commands: &[Vec<&str>]) -> Result<Keeper, String> {
        let mut command = keeper(helper, AFTER);
        for (i, argv) in commands.iter().enumerate() {
            command.args((i > 0).then_some(NEXT)).args(argv);
        }
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Keeper { child: command.spawn().map_err(|error| error.to_string())? })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.child.stdin.take()); // this makes the keeper end
        let _ = self.child.wait();
    }
}

fn keeper(helper: &Path, what: &str) -> Command {
    let mut command = Command::new(helper);
    // A process group of its own, so that Ctrl-C does not end it.
    command.args([HELPER_SUBCOMMAND, KEEP, what]).stdin(Stdio::piped()).process_group(0);
    command
}

/// Runs a keeper: `run PROGRAM …` starts the program and kills it at the end of standard input;
/// `after PROGRAM … ;; PROGRAM …` runs the programs at that time.
///
/// # Errors
/// If the program does not start.
pub fn keep(mut arguments: impl Iterator<Item = OsString>) -> io::Result<()> {
    let what = arguments.next().unwrap_or_default();
    let arguments: Vec<OsString> = arguments.collect();
    if what == AFTER {
        wait_for_end(None);
        for argv in arguments.split(|argument| argument == NEXT) {
            if let [program, arguments @ ..] = argv {
                // A resource that is already gone needs no removal.
                let _ = Command::new(program).args(arguments).stdin(Stdio::null()).status();
            }
        }
        return Ok(());
    }
    let [program, arguments @ ..] = arguments.as_slice() else { return Ok(()) };
    let mut child = Command::new(program).args(arguments).stdin(Stdio::null()).spawn()?;
    // Only the program may hold the pipe that reports readiness.
    nix::unistd::dup2_stdout(fs::File::open("/dev/null")?)?;
    let pidfd = super::wire::pidfd_open(child.id().cast_signed())?;
    wait_for_end(Some(&pidfd));
    let _ = child.kill();
    child.wait().map(drop)
}

/// Waits until standard input or the process ends.
fn wait_for_end(process: Option<&std::os::fd::OwnedFd>) {
    let stdin = io::stdin();
    loop {
        let mut fds = vec![PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        fds.extend(process.map(|pidfd| PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)));
        match poll(&mut fds, PollTimeout::NONE) {
            Err(nix::Error::EINTR) => {}
            _ => return,
        }
    }
}

fn has_output(out: &mut std::process::ChildStdout) -> bool {
    let until = Instant::now() + UP_LIMIT;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(out.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            Err(nix::Error::EINTR) => {}
            Ok(1..) => return matches!(out.read(&mut [0u8; 64]), Ok(1..)),
            _ => return false,
        }
    }
}

/// The end of a failed program's output, on one line.
fn last_output(mut file: fs::File) -> String {
    use std::io::Seek as _;
    let mut bytes = Vec::new();
    let _ = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes);
    // pasta prefixes each line with a warning about a missing syslog.
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.ends_with("bytes to syslog"))
        .collect();
    let words = lines.join("; ");
    let from = words.len().saturating_sub(SHOWN_BYTES);
    let from = (from..words.len()).find(|at| words.is_char_boundary(*at)).unwrap_or(0);
    if words.is_empty() { "it ended or was not ready in time".into() } else { words[from..].into() }
}

/// Runs a program with a text on its standard input; returns its output as an error if it fails.
fn run_with_input(name: &str, arguments: &[&str], input: &str) -> Result<(), String> {
    let failed = |error: io::Error| format!("{name}: {error}");
    let program = program(name).ok_or_else(|| format!("no {name}"))?;
    let mut words = tempfile::tempfile().map_err(failed)?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(words.try_clone().map_err(failed)?)
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // a program that does not read reports the reason
        let _ = stdin.write_all(input.as_bytes());
    }
    match child.wait().map_err(failed)?.success() {
        true => Ok(()),
        false => {
            let _ = words.flush();
            Err(format!("{name}: {}", last_output(words)))
        }
    }
}

/// Finds a program in the usual folders for system programs.
fn program(name: &str) -> Option<PathBuf> {
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.is_file())
}

/// Why a veth pair could not carry packets. This code changes no setting of this machine.
fn veth_refused() -> Option<String> {
    if let Some(missing) = ["ip", "nft", "nsenter"].iter().find(|name| program(name).is_none()) {
        return Some(format!("no {missing}"));
    }
    let forwards = fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap_or_default();
    if forwards.trim() != "1" {
        return Some(
            "veth: this machine does not forward packets (net.ipv4.ip_forward is 0)".into(),
        );
    }
    let chains = output_of("nft", &["list", "chains"]);
    let drops = |chains: String| {
        chains.lines().any(|line| line.contains("hook forward") && line.contains("policy drop"))
    };
    let legacy = || {
        output_of("iptables", &["-w", "-S", "FORWARD"])
            .is_some_and(|s| s.contains("-P FORWARD DROP"))
    };
    if (chains.is_some_and(drops) || legacy()) && !has_docker_user() {
        return Some("veth: this machine's firewall drops forwarded packets".into());
    }
    None
}

fn has_docker_user() -> bool {
    output_of("iptables", &["-w", "-S", "DOCKER-USER"]).is_some()
}

/// The output of a program, if it succeeds.
fn output_of(name: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program(name)?);
    let output = command.args(arguments).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Removes tables of processes that were killed together with their keeper. A pid is valid only in
/// its pid namespace, so tables of other namespaces stay.
fn remove_stale_tables() {
    let prefix = format!("{TABLE_PREFIX}{}_", pid_namespace());
    let tables = output_of("nft", &["list", "tables", "inet"]).unwrap_or_default();
    for table in tables.lines().filter_map(|line| line.trim().strip_prefix("table inet ")) {
        if let Some(pid) = table.strip_prefix(&prefix).and_then(|pid| pid.parse().ok())
            && is_dead(pid)
        {
            let _ = run_with_input("nft", &["delete", "table", "inet", table], "");
        }
    }
    let rules = output_of("iptables", &["-w", "-S", "DOCKER-USER"]).unwrap_or_default();
    for rule in rules.lines() {
        let words: Vec<&str> = rule.split_whitespace().collect();
        // -A DOCKER-USER -i fbPID-+ -j ACCEPT
        if let ["-A", "DOCKER-USER", way, interface, "-j", "ACCEPT"] = words.as_slice()
            && let Some(pid) = interface.strip_prefix("fb").and_then(|i| i.strip_suffix("-+"))
            && pid.parse().is_ok_and(is_dead)
        {
            let rule = ["-w", "-D", "DOCKER-USER", way, interface, "-j", "ACCEPT"];
            let _ = run_with_input("iptables", &rule, "");
        }
    }
}

fn is_dead(pid: u32) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}

/// The number of this process's pid namespace.
fn pid_namespace() -> String {
    let link = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    link.to_string_lossy().chars().filter(char::is_ascii_digit).collect()
}

/// A lock of this network namespace: from the choice of a subnet until an interface uses it, no
/// other firstbyte or microimage chooses one. The kernel gives it up with the file.
fn turn() -> io::Result<fs::File> {
    let namespace = fs::File::open("/proc/self/ns/net")?;
    namespace.lock()?;
    Ok(namespace)
}

/// Gateway and address of a subnet that no interface of this machine uses.
fn free_subnet(from: u32) -> Result<(Ipv4Addr, Ipv4Addr), String> {
    let used: HashSet<u32> = getifaddrs()
        .map_err(|error| error.to_string())?
        .filter_map(|interface| Some(u32::from(interface.address?.as_sockaddr_in()?.ip()) >> 2))
        .collect();
    let first = SUBNETS.to_bits() >> 2;
    (0..SUBNET_COUNT)
        .map(|i| first + FIRST_SUBNET + (from.wrapping_add(i)) % (SUBNET_COUNT - FIRST_SUBNET))
        .find(|subnet| !used.contains(subnet))
        .map(|subnet| {
            (Ipv4Addr::from_bits((subnet << 2) + 1), Ipv4Addr::from_bits((subnet << 2) + 2))
        })
        .ok_or_else(|| "every subnet of 198.18.0.0/15 is in use".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    /// Each opens the namespace for itself, as another process would.
    #[test]
    fn one_at_a_time_has_the_turn() {
        let inside = AtomicUsize::new(0);
        let once = || {
            for _ in 0..200 {
                let _turn = turn().unwrap();
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                std::thread::yield_now();
                inside.fetch_sub(1, Ordering::SeqCst);
            }
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(once)).collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
    }
}
