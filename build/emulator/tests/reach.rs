//! Tests of the servers that a function can reach from `firstbyte invoke`, `firstbyte run` and
//! `check --run`: real servers of Debian on this machine (`build/setup --network`), as root and as
//! an ordinary user. A test that lacks a program is skipped with a message.

use microimage::assemble::{Options, assemble};
use microimage::check::{Finding, Provider, run};
use microimage::context::FolderContext;
use microimage::recipe::Recipe;
use microimage::sandbox::{Network, Reach};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Time after which a wait has failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// An immediate failure takes less, even on a busy machine; a resolver's time-out takes 5000.
const AT_ONCE_MS: u64 = 1500;
const NOBODY: &str = "65534";

/// User that runs firstbyte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Root,
    User,
}

/// Users as which this test can run firstbyte.
fn everyone() -> &'static [Who] {
    if rustix::process::geteuid().is_root() { &[Who::Root, Who::User] } else { &[Who::User] }
}

/// A world-readable folder that contains firstbyte and the calling function.
fn shared() -> &'static Path {
    static SHARED: OnceLock<PathBuf> = OnceLock::new();
    SHARED.get_or_init(|| {
        // Remove the folders of test processes that have ended.
        let old = fs::read_dir(std::env::temp_dir()).expect("a temporary folder").flatten();
        for entry in old {
            let name = entry.file_name();
            let pid = name.to_str().and_then(|name| name.strip_prefix("firstbyte-reach-"));
            if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let name = format!("firstbyte-reach-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a folder");
        // In a process of its own: what a test beside this one forks would inherit a file that is
        // open for writing here, and until it calls exec the kernel says "Text file busy".
        let mut copy = Command::new("cp");
        copy.arg(env!("CARGO_BIN_EXE_firstbyte")).arg(folder.join("firstbyte"));
        assert!(copy.status().expect("every system has cp").success(), "a copy");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/caller.rs");
        let status = Command::new("rustc")
            .args(["--edition=2024", "-Copt-level=1", "-Clinker=rust-lld", "--target"])
            .args(["x86_64-unknown-linux-musl", "-o"])
            .arg(folder.join("app"))
            .arg(source)
            .status()
            .expect("rustc runs: it built this test");
        assert!(status.success(), "the calling function does not compile; run `build/setup`");
        for path in [folder.clone(), folder.join("firstbyte"), folder.join("app")] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        }
        folder
    })
}

/// A new folder for one call.
fn home() -> TempDir {
    let home = tempfile::tempdir_in(shared()).expect("a folder");
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777)).expect("it is ours");
    home
}

fn missing(programs: &[&str]) -> bool {
    let is_there = |name: &&&str| {
        ["/usr/bin", "/usr/sbin", "/bin", "/sbin"]
            .iter()
            .any(|folder| Path::new(folder).join(name).is_file())
    };
    let missing: Vec<_> = programs.iter().filter(|name| !is_there(name)).collect();
    if !missing.is_empty() {
        println!("skipped: no {missing:?}; `build/setup --network` installs them");
    }
    !missing.is_empty()
}

fn is_root(why: &str) -> bool {
    let root = everyone().contains(&Who::Root);
    if !root {
        println!("skipped: {why} needs root");
    }
    root
}

/// On some machines only root may open /dev/net/tun. As root, this makes one that the user of pasta
/// and slirp4netns can open, in a mount namespace of its own.
const OPEN_TUN: &str = "mount -t tmpfs none /mnt && mknod /mnt/tun c 10 200 && chmod 666 /mnt/tun \
                        && mount --bind /mnt/tun /dev/net/tun";

fn is_tun_closed() -> bool {
    let mode = fs::metadata("/dev/net/tun").map(|tun| tun.permissions().mode());
    rustix::process::geteuid().is_root() && mode.is_ok_and(|mode| mode & 0o6 != 0o6)
}

/// Command of firstbyte as this user, in this folder. If `first` is given, a shell runs it before,
/// in a mount namespace of its own.
fn firstbyte(who: Who, home: &TempDir, first: &str) -> Command {
    let mut words: Vec<String> = Vec::new();
    let mut before: Vec<&str> = Vec::new();
    if who == Who::User && is_tun_closed() {
        before.push(OPEN_TUN);
    }
    before.extend((!first.is_empty()).then_some(first));
    if !before.is_empty() {
        let script = format!("{} && exec \"$@\"", before.join(" && "));
        words.extend(["unshare", "-m", "sh", "-c", &script, "sh"].map(str::to_owned));
    }
    if who == Who::User && rustix::process::geteuid().is_root() {
        let ids = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")];
        words.push("setpriv".into());
        words.extend(ids);
        words.push("--clear-groups".into());
    }
    words.push(shared().join("firstbyte").display().to_string());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).current_dir(home.path()).env("TMPDIR", home.path());
    command.env("HOME", home.path()).stdin(Stdio::null());
    command
}

/// The function's answer, and firstbyte's notes.
#[derive(Debug)]
struct Called {
    said: String,
    ms: u64,
    beside: String,
}

fn invoke(who: Who, first: &str, order: &str, arguments: &[&str]) -> Called {
    let home = home();
    let output = firstbyte(who, &home, first)
        .arg("invoke")
        .arg(format!("{{\"do\":\"{order}\"}}"))
        .args(["--timeout", "8", "--address", &nowhere(), "--function"])
        .arg(shared().join("app"))
        .args(arguments)
        .output()
        .expect("it starts");
    let beside = String::from_utf8_lossy(&output.stderr).into_owned();
    let reply: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{who:?} {order}: {error}: {beside}"));
    let said = reply["said"].as_str().expect("a text").to_owned();
    Called { said, ms: reply["ms"].as_u64().expect("a number"), beside }
}

/// An address without a listener.
fn nowhere() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// A server that this test has started.
struct Server {
    child: Child,
    _folder: TempDir,
}

impl Server {
    /// Starts `command` in a folder of its own, and waits until `up` returns true. Dropping the
    /// value ends the server.
    fn start(command: &mut Command, folder: TempDir, up: impl Fn() -> bool) -> Server {
        let child = command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let server = Server { child, _folder: folder };
        let started = Instant::now();
        while !up() {
            assert!(started.elapsed() < PATIENCE, "{command:?} is not up");
            thread::sleep(Duration::from_millis(5)); // a server sends no other notification
        }
        server
    }

    /// Redis on all addresses of this machine, and its port.
    fn redis() -> (Server, u16) {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--save", "", "--protected-mode", "no"]);
        command.args(["--bind", "127.0.0.1", &own_address().to_string()]);
        let up = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        (Server::start(&mut command, tempfile::tempdir().unwrap(), up), port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// This machine's address on its default route; the loopback if it has none. No packet is sent.
fn own_address() -> Ipv4Addr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    match socket.connect("198.51.100.1:9").and_then(|()| socket.local_addr()) {
        Ok(SocketAddr::V4(own)) => *own.ip(),
        _ => Ipv4Addr::LOCALHOST,
    }
}

#[test]
fn a_named_port_of_this_machine_is_reached_and_no_other() {
    if missing(&["redis-server"]) {
        return;
    }
    let (_redis, port) = Server::redis();
    let (here, own) = (format!("127.0.0.1:{port}"), format!("{}:{port}", own_address()));
    for &who in everyone() {
        let ping =
            |to: &str, arguments: &[&str]| invoke(who, "", &format!("tcp {to} PING"), arguments);
        let reached = ping(&here, &["--reach", &here]);
        assert_eq!(reached.said, "+PONG\r\n", "{who:?}: {}", reached.beside);
        assert!(reached.beside.contains(&format!("{here} only")), "{}", reached.beside);
        let by_name =
            ping(&format!("localhost:{port}"), &["--reach", &format!("localhost:{port}")]);
        assert_eq!(by_name.said, "+PONG\r\n", "{who:?}: {}", by_name.beside);
        for (to, arguments) in [
            (&here, &[][..]),
            (&here, &["--reach", "127.0.0.1:1"]),
            (&own, &[]),
            (&own, &["--reach", &here]),
        ] {
            let refused = ping(to, arguments);
            assert!(refused.said.starts_with("error: "), "{who:?} {to} {arguments:?}: {refused:?}");
            assert!(refused.ms < AT_ONCE_MS, "{refused:?}");
            let hint =
                format!("a call to {to} was refused: no server listens there in the instance's");
            assert!(refused.beside.contains(&hint), "{who:?}: {}", refused.beside);
            assert!(refused.beside.contains(&format!("`--reach {to}`")), "{}", refused.beside);
        }
        assert!(!reached.beside.contains("was refused"), "{}", reached.beside);
        let alone = ping(&here, &["--no-network"]);
        assert!(alone.beside.contains("in place of --no-network"), "{who:?}: {}", alone.beside);
        let nowhere = nowhere();
        let nobody = ping(&nowhere, &["--reach", &nowhere]);
        let told = format!("a call to {nowhere} failed: no server listens there on this machine");
        assert!(nobody.beside.contains(&told), "{who:?}: {}", nobody.beside);
        if own_address() != Ipv4Addr::LOCALHOST {
            assert_eq!(ping(&own, &["--reach", &own]).said, "+PONG\r\n", "{who:?}");
        }
    }
}

#[test]
fn function_toml_can_name_ports_of_this_machine() {
    if missing(&["redis-server"]) {
        return;
    }
    let (_redis, port) = Server::redis();
    let home = home();
    let toml = format!(
        "region = \"ap-guangzhou\"\nimage = \"ccr.ccs.tencentyun.com/a/app:1\"\n\n[local]\nreach = \
         [\"127.0.0.1:{port}\"]\n"
    );
    fs::write(home.path().join("function.toml"), toml).unwrap();
    let output = firstbyte(everyone()[0], &home, "")
        .args(["invoke", &format!("{{\"do\":\"tcp 127.0.0.1:{port} PING\"}}")])
        .args(["--address", &nowhere(), "--function"])
        .arg(shared().join("app"))
        .output()
        .expect("it starts");
    assert!(String::from_utf8_lossy(&output.stdout).contains("+PONG"), "{output:?}");
}

#[test]
fn an_unreachable_address_on_the_command_line_is_refused_with_the_reason() {
    for (reach, reason) in [
        ("127.0.0.1:9000", "port 9000 is the function's own"),
        ("169.254.169.254:80", "never reached"),
        ("0.0.0.0:80", "name one"),
        ("6379", "not HOST:PORT"),
    ] {
        let home = home();
        let output = firstbyte(everyone()[0], &home, "")
            .args(["invoke", "--address", &nowhere(), "--reach", reach, "--function"])
            .arg(shared().join("app"))
            .output()
            .expect("it starts");
        let beside = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && beside.contains(reason), "{reach}: {beside}");
    }
}

#[test]
fn metadata_services_and_link_local_addresses_are_refused_at_once() {
    for &who in everyone() {
        for to in
            ["169.254.169.254:80", "169.254.0.23:80", "[fd00:ec2::254]:80", "100.100.100.200:80"]
        {
            let refused = invoke(who, "", &format!("tcp {to} GET"), &[]);
            assert!(refused.said.starts_with("error: "), "{who:?} {to}: {refused:?}");
            assert!(refused.ms < AT_ONCE_MS, "{who:?} {to}: {refused:?}");
        }
    }
}

/// The name server has a loopback address, as with systemd-resolved.
#[test]
fn names_are_looked_up_by_the_name_server_of_this_machine() {
    if missing(&["dnsmasq", "unshare", "setpriv"]) || !is_root("a name server") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let resolv_conf = shared().join("resolv.conf");
    fs::write(&resolv_conf, "nameserver 127.0.0.153\noptions timeout:5\n").unwrap();
    let mut command = Command::new("dnsmasq");
    command.args(["--keep-in-foreground", "--no-resolv", "--no-hosts", "--bind-interfaces"]);
    command.args(["--listen-address=127.0.0.153", "--user=root", "--conf-file=/dev/null"]);
    command.args(["--address=/reached.test/192.0.2.77", "--local=/reached.test/"]);
    command.arg("--pid-file=");
    let up = || TcpStream::connect("127.0.0.153:53").is_ok();
    let _dnsmasq = Server::start(&mut command, folder, up);
    let first = format!("mount --bind {} /etc/resolv.conf", resolv_conf.display());
    for &who in everyone() {
        let found = invoke(who, &first, "lookup reached.test", &[]);
        assert_eq!(found.said, "192.0.2.77", "{who:?}: {found:?}");
        assert!(found.ms < AT_ONCE_MS, "{found:?}");
        let text = invoke(who, &first, "cat /etc/resolv.conf", &[]).said;
        assert_eq!(text, fs::read_to_string(&resolv_conf).unwrap());
        let hosts = invoke(who, "", "cat /etc/hosts", &[]).said;
        assert!(hosts.starts_with(&fs::read_to_string("/etc/hosts").unwrap()), "{hosts}");
    }
}

/// A network namespace behind a pair of interfaces, which stands for another machine.
struct Elsewhere {
    holder: Child,
    name: String,
    address: Ipv4Addr,
}

impl Elsewhere {
    fn new(third: u8) -> Elsewhere {
        let holder = Command::new("unshare").args(["-n", "cat"]).stdin(Stdio::piped()).spawn();
        let holder = holder.expect("unshare runs");
        let pid = holder.id();
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        while fs::read_link(format!("/proc/{pid}/ns/net")).unwrap() == own {
            thread::yield_now();
        }
        let elsewhere = Elsewhere {
            holder,
            name: format!("fbx{pid}"),
            address: Ipv4Addr::new(203, 0, 113, third + 2),
        };
        let (name, gateway) = (&elsewhere.name, Ipv4Addr::new(203, 0, 113, third + 1));
        shell(&format!(
            "ip link add {name} type veth peer name eth0 netns {pid} && \
             ip addr add {gateway}/30 dev {name} && ip link set {name} up && \
             nsenter --net=/proc/{pid}/ns/net sh -c 'ip addr add {0}/30 dev eth0 && \
             ip link set eth0 up && ip route add default via {gateway}'",
            elsewhere.address
        ));
        elsewhere
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.holder.id())).arg(name);
        command
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["link", "del", &self.name]).status();
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn shell(script: &str) -> String {
    let output = Command::new("sh").args(["-c", script]).output().expect("a shell");
    assert!(output.status.success(), "{script}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn another_machine_is_reached_by_each_kind_of_network() {
    if missing(&["nginx", "ip", "nsenter", "setpriv"]) || !is_root("another machine") {
        return;
    }
    let elsewhere = Elsewhere::new(0);
    let folder = tempfile::tempdir().unwrap();
    let conf = format!(
        "daemon off; pid nginx.pid; error_log stderr; events {{}} http {{ access_log off; \
         server {{ listen {}:80; return 200 elsewhere; }} }}",
        elsewhere.address
    );
    fs::write(folder.path().join("nginx.conf"), conf).unwrap();
    let path = folder.path().display().to_string();
    let mut command = elsewhere.program("nginx");
    command.args(["-p", &path, "-c", "nginx.conf"]);
    let address = SocketAddr::from((elsewhere.address, 80));
    let _nginx = Server::start(&mut command, folder, || TcpStream::connect(address).is_ok());
    let hidden = |program: &str| format!("mount --bind /dev/null /usr/bin/{program}");
    for (who, first, means) in [
        (Who::Root, String::new(), "veth and nftables"),
        (Who::Root, "mount --bind /dev/null /usr/sbin/nft".into(), "slirp4netns"),
        (Who::User, String::new(), "pasta"),
        (Who::User, hidden("pasta"), "slirp4netns"),
    ] {
        let order = format!("tcp {address} GET / HTTP/1.0");
        let answered = invoke(who, &first, &order, &[]);
        // if this machine lacks one kind, nginx is reached by another
        assert!(answered.beside.contains(means), "{who:?} {means}: {}", answered.beside);
        assert!(answered.said.starts_with("HTTP/1.1 200"), "{who:?} {means}: {answered:?}");
    }
}

/// Regression: if a socket is bound to an interface, IPv4 treats an address without a route as a
/// neighbour. User-mode networks passed such packets to this machine's loopback.
#[test]
fn forbidden_addresses_are_not_reached_by_bypassing_the_routes() {
    if missing(&["redis-server", "ip", "nsenter", "setpriv"]) || !is_root("another machine") {
        return;
    }
    let elsewhere = Elsewhere::new(4);
    // The address of clouds' metadata services, which this machine itself can reach here.
    let link_local = SocketAddr::from(([169, 254, 77, 2], 0)).ip();
    shell(&format!(
        "nsenter --net=/proc/{}/ns/net ip addr add {link_local}/32 dev eth0 && \
         ip route add {link_local} via {}",
        elsewhere.holder.id(),
        elsewhere.address
    ));
    let (_redis, port) = Server::redis();
    let mut command = elsewhere.program("redis-server");
    command.args(["--port", &port.to_string(), "--save", "", "--protected-mode", "no"]);
    command.args(["--bind", &elsewhere.address.to_string(), &link_local.to_string()]);
    let there = SocketAddr::from((elsewhere.address, port));
    let forbidden_there = SocketAddr::from((link_local, port));
    let up = || [there, forbidden_there].iter().all(|to| TcpStream::connect(to).is_ok());
    let _other = Server::start(&mut command, tempfile::tempdir().unwrap(), up);
    let hidden = |program: &str| format!("mount --bind /dev/null /usr/bin/{program}");
    for (who, first, interface) in [
        (Who::Root, String::new(), "eth0"),
        (Who::Root, "mount --bind /dev/null /usr/sbin/nft".into(), "tap0"),
        (Who::User, String::new(), "pasta"),
        (Who::User, hidden("pasta"), "tap0"),
    ] {
        // pasta uses the name of this machine's interface
        let own_interface =
            shell("ip -o route get 198.51.100.1 | sed 's/.* dev \\([^ ]*\\).*/\\1/'");
        let interface = if interface == "pasta" { own_interface.trim() } else { interface };
        let past = |to: SocketAddr| {
            invoke(who, &first, &format!("past {interface} {to} PING"), &["--reach", "127.0.0.1:1"])
        };
        let reached = past(there);
        assert_eq!(reached.said, "+PONG\r\n", "{who:?} {interface}: {}", reached.beside);
        for forbidden in [
            SocketAddr::from(([127, 0, 0, 1], port)),
            SocketAddr::from((own_address(), port)),
            forbidden_there,
        ] {
            let refused = past(forbidden);
            let why = format!("{who:?} {interface} {forbidden}: {refused:?}");
            assert!(refused.said.starts_with("error: "), "{why}");
        }
    }
}

#[test]
fn without_a_network_it_names_the_package_to_install_and_calls_fail_at_once() {
    if missing(&["unshare", "setpriv"]) || !is_root("hiding programs") {
        return;
    }
    let first = ["/usr/bin/pasta", "/usr/bin/slirp4netns", "/usr/sbin/nft"]
        .iter()
        .filter(|path| Path::new(path).exists())
        .map(|path| format!("mount --bind /dev/null {path}"))
        .collect::<Vec<_>>()
        .join(" && ");
    for &who in everyone() {
        let failed = invoke(who, &first, "lookup nowhere.test", &[]);
        assert!(failed.said.starts_with("error: "), "{failed:?}");
        assert!(failed.ms < AT_ONCE_MS, "{failed:?}");
        let package =
            if who == Who::Root { "install nftables" } else { "install the package passt" };
        for words in ["network: none, ", package, "it looked up `nowhere.test`"] {
            assert!(failed.beside.contains(words), "{who:?} `{words}`: {}", failed.beside);
        }
        let unrouted = invoke(who, &first, "tcp 203.0.113.2:80 GET", &[]);
        assert!(unrouted.said.starts_with("error: ") && unrouted.ms < AT_ONCE_MS, "{unrouted:?}");
        assert!(unrouted.beside.contains("to which there is no route"), "{}", unrouted.beside);
    }
    let wanted = invoke(everyone()[0], "", "lookup nowhere.test", &["--no-network"]);
    assert!(wanted.ms < AT_ONCE_MS && wanted.beside.contains("network: none, "), "{wanted:?}");
}

/// A running `firstbyte run`, and the address that it prints.
fn running(who: Who, home: &TempDir, arguments: &[&str]) -> (Child, SocketAddr) {
    let mut child = firstbyte(who, home, "")
        .arg("run")
        .arg(shared().join("app"))
        .args(["--address", "127.0.0.1:0", "--timeout", "8"])
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let (sender, receiver) = mpsc::channel();
    let notes = child.stderr.take().expect("a pipe");
    thread::spawn(move || {
        for line in BufReader::new(notes).lines().map_while(Result::ok) {
            let address = line.split_once("http://").and_then(|(_, rest)| rest.split_once(": "));
            let _ = address.map(|(address, _)| sender.send(address.to_owned()));
        }
    });
    let address = receiver.recv_timeout(PATIENCE).expect("it prints its address");
    (child, address.parse().expect("an address"))
}

#[test]
fn two_concurrent_instances_have_their_own_port_and_network() {
    if missing(&["redis-server"]) {
        return;
    }
    let (_redis, port) = Server::redis();
    for &who in everyone() {
        let home = home();
        let reach = format!("127.0.0.1:{port}");
        let (mut child, address) = running(who, &home, &["--instances", "2", "--reach", &reach]);
        // Each occupies its instance for a second: an instance gets one event at a time.
        let ask = move || {
            let mut stream = TcpStream::connect(address).unwrap();
            let body = format!("{{\"do\":\"tcp 127.0.0.1:{port} BLPOP nothing 1\"}}");
            write!(
                stream,
                "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n\
                 {body}",
                body.len()
            )
            .unwrap();
            std::io::read_to_string(stream).unwrap()
        };
        let both = [thread::spawn(ask), thread::spawn(ask)].map(|t| t.join().unwrap());
        for reply in both {
            assert!(reply.starts_with("HTTP/1.1 200") && reply.contains("*-1"), "{who:?}: {reply}");
        }
        end(&child, Signal::TERM);
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

fn end(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), signal).unwrap();
}

/// Everything that exists because of process `pid`: interfaces, tables, rules, processes of the
/// copies in `shared()` or for `home`, and their descendants.
fn traces(pid: u32) -> Vec<String> {
    let mut traces = Vec::new();
    let all = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default()
    };
    let lines = all("ip", &["-o", "link"])
        + &all("nft", &["list", "tables"])
        + &all("iptables", &["-w", "-S", "DOCKER-USER"]);
    let (interface, table) = (format!("fb{pid}-"), format!("_{pid}"));
    let is_ours = |line: &&str| line.contains(&interface) || line.trim().ends_with(&table);
    traces.extend(lines.lines().filter(is_ours).map(str::to_owned));
    traces
}

/// Processes that descend from `pid`.
fn descendants(pid: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let child: u32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
            Some((child, parent))
        })
        .collect();
    let mut found = vec![pid];
    let mut at = 0;
    while at < found.len() {
        let parent = found[at];
        found.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(child, _)| *child));
        at += 1;
    }
    found.split_off(1)
}

#[test]
fn nothing_is_left_after_it_ends_or_is_killed() {
    for &who in everyone() {
        for signal in [Signal::INT, Signal::KILL] {
            let home = home();
            let (mut child, _) = running(who, &home, &[]);
            let pid = child.id();
            let started = descendants(pid);
            assert!(started.len() >= 2, "a helper and an instance: {started:?}");
            if who == Who::Root && !missing(&["nft", "ip", "nsenter"]) {
                assert!(traces(pid).len() >= 2, "an interface and a table: {:?}", traces(pid));
            }
            end(&child, signal);
            child.wait().unwrap();
            let since = Instant::now();
            loop {
                let alive: Vec<_> = started
                    .iter()
                    .filter(|pid| Path::new(&format!("/proc/{pid}")).exists())
                    .collect();
                let traces = traces(pid);
                if alive.is_empty() && traces.is_empty() {
                    break;
                }
                assert!(since.elapsed() < PATIENCE, "{who:?} {signal:?}: {alive:?} {traces:?}");
                // The system sends no notification when orphans and interfaces are gone.
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// Both processes were killed: the one that made the objects, and the one that removes them.
#[test]
fn the_next_start_removes_leftovers_of_killed_runs_and_nothing_else() {
    if missing(&["nft", "ip", "nsenter"]) || !is_root("nftables") {
        return;
    }
    let mut child = Command::new("true").spawn().unwrap();
    let (dead, living) = (child.id(), std::process::id());
    child.wait().unwrap();
    let link = fs::read_link("/proc/self/ns/pid").unwrap().display().to_string();
    let namespace: String = link.chars().filter(char::is_ascii_digit).collect();
    let table = |pid| format!("firstbyte_{namespace}_{pid}");
    for pid in [dead, living] {
        shell(&format!("nft add table inet {}", table(pid)));
    }
    let called = invoke(Who::Root, "", "lookup localhost", &[]);
    let tables = shell("nft list tables inet");
    shell(&format!("nft delete table inet {}", table(living)));
    assert!(called.beside.contains("by veth"), "{}", called.beside);
    assert!(!tables.contains(&table(dead)), "{tables}");
    assert!(tables.contains(&table(living)), "{tables}");
}

/// The finding `network`, if there is one; `None` if this machine has no sandbox.
fn checked(order: &str, network: Network) -> Option<Option<Finding>> {
    let home = home();
    fs::create_dir(home.path().join("root")).unwrap();
    fs::copy(shared().join("app"), home.path().join("root/app")).unwrap();
    let recipe = Recipe::parse("FROM scratch\nCOPY root/ /\nEXPOSE 9000\nENTRYPOINT [\"/app\"]\n");
    let context = FolderContext::open(home.path()).expect("a folder");
    let image = assemble(&recipe.unwrap(), &context, &Options::default()).expect("an image").image;
    let event = home.path().join("event.json");
    fs::write(&event, format!("{{\"do\":\"{order}\"}}")).unwrap();
    let helper = shared().join("firstbyte");
    match run::run_within(&image, &Provider::SCF, Some(&event), &helper, None, network) {
        Ok(findings) => Some(findings.into_iter().find(|finding| finding.rule == "network")),
        Err(run::RunError::Sandbox(error)) => {
            println!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_check_has_no_network_unless_requested_and_reports_calls() {
    let Some(quiet) = checked("nothing", Network::none()) else { return };
    assert!(quiet.is_none(), "it called nothing: {quiet:?}");
    let named = checked("lookup db.test", Network::none()).unwrap().expect("it looked up");
    assert!(named.evidence.starts_with("none"), "{named:?}");
    assert!(named.evidence.contains("it looked up `db.test`"), "{named:?}");
    assert!(named.remedy.contains("--network"), "{named:?}");
    let called = checked("tcp 203.0.113.2:80 x", Network::none()).unwrap().expect("it called");
    assert!(called.evidence.contains("no route"), "{called:?}");
    if missing(&["redis-server"]) {
        return;
    }
    let (_redis, port) = Server::redis();
    let reach = Reach::parse(&format!("127.0.0.1:{port}")).unwrap();
    let network = Network::new(&[reach], &shared().join("firstbyte")).unwrap();
    let with =
        checked(&format!("tcp 127.0.0.1:{port} PING"), network).unwrap().expect("it has one");
    assert!(with.evidence.contains(&format!("127.0.0.1:{port} only")), "{with:?}");
}
