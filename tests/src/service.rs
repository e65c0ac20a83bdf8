//! Servers of Debian that functions call: Redis, PostgreSQL, MariaDB, nginx. Each is started for
//! one test, on a free loopback port and in its own folder, and ended by its id. `build/setup
//! --servers` installs them; a test without its server is skipped with a message.

use crate::{PATIENCE, eventually};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The password of each database.
pub const PASSWORD: &str = "pass/word@1";
/// The same within a URL.
pub const PASSWORD_ENCODED: &str = "pass%2Fword%401";

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct Service {
    /// Its address.
    pub address: SocketAddr,
    child: Child,
    folder: TempDir,
}

impl Service {
    /// Redis, with `options` after its own.
    pub fn redis(options: &[&str]) -> Option<Service> {
        let program = find("redis-server")?;
        Some(Service::start(|folder, port| {
            let mut command = Command::new(&program);
            command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
            command.arg("--dir").arg(folder).args(options);
            command
        }))
    }

    /// nginx with a `server` block of `body`, in which PORT is its port; `root` in its folder has
    /// `files`.
    pub fn nginx(body: &str, files: &[(&str, &[u8])]) -> Option<Service> {
        let program = find("nginx")?;
        Some(Service::start(|folder, port| {
            for (name, content) in files {
                fs::write(folder.join(name), content).expect("the folder is ours");
            }
            let user = if geteuid().is_root() { "user root;" } else { "" };
            let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .iter()
                .map(|kind| format!("{kind}_temp_path {}/{kind};", folder.display()))
                .collect();
            let body = body.replace("PORT", &port.to_string());
            let configuration = format!(
                "daemon off; {user} worker_processes 1; pid {0}/pid; error_log {0}/log;\n\
                 events {{}}\nhttp {{ access_log off; {temporary} root {0};\nserver {{ \
                 {body} }} }}\n",
                folder.display()
            );
            let path = folder.join("nginx.conf");
            fs::write(&path, configuration.replace("FOLDER", &folder.display().to_string()))
                .expect("the folder is ours");
            let mut command = Command::new(&program);
            command.arg("-c").arg(path).arg("-p").arg(folder);
            command
        }))
    }

    /// PostgreSQL with [`PASSWORD`] for its user `postgres`, and `options` behind its own.
    pub fn postgres(options: &[&str]) -> Option<Service> {
        let versions = fs::read_dir("/usr/lib/postgresql").ok();
        let found = versions.into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
        let Some(programs) = found.filter(|bin| bin.join("initdb").is_file()).max() else {
            return missing("postgresql");
        };
        let service = Service::start(|folder, port| {
            let (data, password) = (folder.join("data"), folder.join("password"));
            fs::write(&password, PASSWORD).expect("the folder is ours");
            let owner = give(folder, "postgres");
            let mut initialise = owner.command(&programs.join("initdb"));
            initialise.args(["--username=postgres", "--auth=scram-sha-256", "--no-sync"]);
            initialise.args(["--encoding=UTF8", "--locale=C"]);
            initialise.arg("--pwfile").arg(&password).arg("--pgdata").arg(&data);
            finish(initialise);
            let mut command = owner.command(&programs.join("postgres"));
            command.arg("-D").arg(&data).args(["-p", &port.to_string()]);
            command.args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
            command.args(["-c", "fsync=off", "-c", "shared_buffers=16MB"]).args(options);
            command
        });
        // It accepts connections before it accepts logins.
        eventually("PostgreSQL takes logins", || service.psql("SELECT 1").is_some());
        Some(service)
    }

    /// MariaDB with a user `caller` that has [`PASSWORD`], and `options` behind its own.
    pub fn mariadb(options: &[&str]) -> Option<Service> {
        let (install, program) = (find("mariadb-install-db")?, find("mariadbd")?);
        let service = Service::start(|folder, port| {
            let (data, first) = (folder.join("data"), folder.join("first.sql"));
            let user = format!(
                "CREATE USER caller@'%' IDENTIFIED BY '{PASSWORD}';\nGRANT ALL ON *.* TO \
                 caller@'%';\n"
            );
            fs::write(&first, user).expect("the folder is ours");
            let owner = give(folder, "mysql");
            let mut initialise = owner.command(&install);
            initialise.args([
                "--no-defaults",
                "--skip-test-db",
                "--auth-root-authentication-method=normal",
            ]);
            initialise.arg(format!("--datadir={}", data.display()));
            finish(initialise);
            let mut command = owner.command(&program);
            command.args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-log-bin"]);
            command.args(["--innodb-buffer-pool-size=8M", "--innodb-flush-log-at-trx-commit=0"]);
            command.arg(format!("--port={port}")).arg(format!("--datadir={}", data.display()));
            command.arg(format!("--socket={}/socket", folder.display()));
            command.arg(format!("--init-file={}", first.display())).args(options);
            command
        });
        eventually("MariaDB takes logins", || service.mariadb_client("SELECT 1").is_some());
        Some(service)
    }

    fn start(prepare: impl FnOnce(&Path, u16) -> Command) -> Service {
        let folder = tempfile::Builder::new().prefix("firstbyte-service.").tempdir();
        let folder = folder.expect("there is a place for temporary files");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let address = free_address();
        let log = fs::File::create(folder.path().join("output")).expect("the folder is ours");
        let mut command = prepare(folder.path(), address.port());
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a descriptor is free"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let mut service = Service { address, child, folder };
        eventually("the service listens", || {
            let ended = service.child.try_wait().expect("the process is ours");
            assert_eq!(ended, None, "it has ended; it printed {}", service.output());
            TcpStream::connect(address).is_ok()
        });
        service
    }

    /// Its output.
    pub fn output(&self) -> String {
        fs::read_to_string(self.folder.path().join("output")).unwrap_or_default()
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The reply to one command of Redis, up to its first line's end.
    pub fn redis_command(&self, command: &str) -> String {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out is not zero");
        stream.write_all(format!("{command}\r\n").as_bytes()).expect("it reads");
        let mut reply = [0; 4096];
        let size = stream.read(&mut reply).expect("it answers");
        String::from_utf8_lossy(&reply[..size]).into_owned()
    }

    /// The output of psql for a statement, if it succeeds.
    pub fn psql(&self, statement: &str) -> Option<String> {
        let mut command = Command::new("psql");
        command.args(["-h", "127.0.0.1", "-U", "postgres", "-tAc", statement]);
        command.args(["-p", &self.address.port().to_string()]).env("PGPASSWORD", PASSWORD);
        text_of(command)
    }

    /// The output of MariaDB's client for a statement, if it succeeds.
    pub fn mariadb_client(&self, statement: &str) -> Option<String> {
        let mut command = Command::new("mariadb");
        command.args(["--no-defaults", "--protocol=tcp", "-h", "127.0.0.1", "-u", "caller"]);
        command.args(["-P", &self.address.port().to_string(), "-Nse", statement]);
        command.env("MYSQL_PWD", PASSWORD);
        text_of(command)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // SIGINT is PostgreSQL's fast shutdown, SIGKILL would leave its processes behind.
        let id = Pid::from_raw(self.child.id().cast_signed()).expect("a process id is not 0");
        let _ = kill_process(id, Signal::INT);
        let _ = kill_process(id, Signal::TERM); // for servers that ignore SIGINT
        for _ in 0..500 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The user of a service: the databases do not run as root.
struct Owner(Option<&'static str>);

impl Owner {
    fn command(&self, program: &Path) -> Command {
        let Some(user) = self.0 else { return Command::new(program) };
        let mut command = Command::new("setpriv");
        command.args(["--reuid", user, "--regid", user, "--clear-groups", "--"]).arg(program);
        command.current_dir("/");
        command
    }
}

/// Gives a folder to `user`, if this process is root.
fn give(folder: &Path, user: &'static str) -> Owner {
    if !geteuid().is_root() {
        return Owner(None);
    }
    let mut chown = Command::new("chown");
    chown.arg("-R").arg(format!("{user}:{user}")).arg(folder);
    finish(chown);
    Owner(Some(user))
}

fn finish(mut command: Command) {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn text_of(mut command: Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

/// A program on PATH or in Debian's folder of servers.
fn find(program: &str) -> Option<PathBuf> {
    let places = std::env::var("PATH").unwrap_or_default();
    let mut places = places.split(':').chain(["/usr/sbin", "/usr/local/sbin"]);
    let found = places.find_map(|place| {
        let path = Path::new(place).join(program);
        path.is_file().then_some(path)
    });
    found.or_else(|| missing(program))
}

fn missing<T>(what: &str) -> Option<T> {
    println!("skipped: {what} is not installed; `build/setup --servers` installs it");
    None
}

/// A port of loopback that is free now.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound")
}
