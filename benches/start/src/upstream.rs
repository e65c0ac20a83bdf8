//! Servers for functions that call out: Redis and nginx with TLS, from Debian, on loopback and for
//! one run; and a relay with a round trip, because not every kernel can delay packets (netem). They
//! are not measured themselves.

use bench_kit::clock::{now_ns, sleep_exactly, sleep_until_ns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Size of nginx's answer, in bytes.
const PAGE_BYTES: usize = 1024;
/// Time limit within which a server has to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a server is not available.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program cannot be run.
    #[error("cannot run `{program}`: {source}; `build/setup --servers` installs it")]
    Tool {
        /// Its name.
        program: String,
        /// The underlying error.
        source: io::Error,
    },
    /// A program failed.
    #[error("`{program}` failed: {printed}")]
    Failed {
        /// Its name.
        program: String,
        /// Its output.
        printed: String,
    },
    /// A file or socket failed.
    #[error("cannot set a server up: {0}")]
    Io(#[from] io::Error),
}

/// A running server. Dropping it ends it by its id.
pub struct Upstream {
    /// The address on which it listens.
    pub address: SocketAddr,
    child: Child,
    folder: PathBuf,
}

impl Upstream {
    /// Redis, with the key `greeting`.
    ///
    /// # Errors
    /// If it does not start.
    pub fn redis(folder: &Path) -> Result<Self, Error> {
        let address = free_address()?;
        let port = address.port().to_string();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port, "--save", ""]);
        let redis = Self::start(command, address, folder)?;
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"SET greeting hello\r\n")?;
        stream.read_exact(&mut [0; 5])?;
        Ok(redis)
    }

    /// nginx with TLS 1.3, a certificate for 127.0.0.1 by ECDSA on P-256, and an authority of its
    /// own, whose certificate is `ca.pem` in its folder.
    ///
    /// # Errors
    /// If it does not start.
    pub fn nginx(folder: &Path) -> Result<Self, Error> {
        fs::create_dir_all(folder)?;
        let folder = fs::canonicalize(folder)?;
        let place = folder.display();
        fs::write(folder.join("page"), [b'x'; PAGE_BYTES])?;
        fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1\n")?;
        let ec = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        for line in [
            format!("req -x509 {ec} -days 2 -subj /CN=bench -keyout ca.key -out ca.pem"),
            format!("req {ec} -subj /CN=127.0.0.1 -keyout server.key -out server.csr"),
            "x509 -req -days 2 -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile \
             names -out server.pem"
                .to_owned(),
        ] {
            let mut openssl = Command::new("openssl");
            finish(openssl.args(line.split(' ')).current_dir(&folder))?;
        }
        let address = free_address()?;
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("{kind}_temp_path {place}/{kind}; "))
            .collect();
        let user = if nix::unistd::geteuid().is_root() { "user root;" } else { "" };
        fs::write(
            folder.join("nginx.conf"),
            format!(
                "daemon off; {user} worker_processes 1; pid {place}/pid; error_log {place}/log;\n\
                 events {{}}\nhttp {{ access_log off; {temporary} root {place};\nserver {{ listen \
                 {address} ssl; ssl_protocols TLSv1.3; ssl_certificate {place}/server.pem; \
                 ssl_certificate_key {place}/server.key; }} }}\n"
            ),
        )?;
        // Debian installs it in a folder that only root's PATH has.
        let debian = Path::new("/usr/sbin/nginx");
        let program = if debian.is_file() { debian } else { Path::new("nginx") };
        let mut command = Command::new(program);
        command.arg("-c").arg(folder.join("nginx.conf")).arg("-p").arg(&folder);
        Self::start(command, address, &folder)
    }

    fn start(mut command: Command, address: SocketAddr, folder: &Path) -> Result<Self, Error> {
        fs::create_dir_all(folder)?;
        let output = folder.join("output");
        let log = fs::File::create(&output)?;
        command.current_dir(folder).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let program = command.get_program().to_string_lossy().into_owned();
        let child =
            command.spawn().map_err(|source| Error::Tool { program: program.clone(), source })?;
        let mut upstream = Self { address, child, folder: folder.to_owned() };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            if upstream.child.try_wait()?.is_some() || begun.elapsed() > PATIENCE {
                let printed = fs::read_to_string(&output).unwrap_or_default();
                return Err(Error::Failed { program, printed });
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(upstream)
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// Relays bytes like a network with this round trip: connecting takes a whole one, and each
/// direction takes half of one.
///
/// # Errors
/// If no port is free.
pub fn relay(server: SocketAddr, round_trip: Duration) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (whole, half) = (round_trip.as_nanos() as u64, round_trip.as_nanos() as u64 / 2);
    thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let connected_ns = now_ns() + whole;
            let far = TcpStream::connect(server).and_then(|far| {
                far.set_nodelay(true)?;
                near.set_nodelay(true)?;
                pass(near.try_clone()?, far.try_clone()?, connected_ns, half);
                Ok(far)
            });
            if let Ok(far) = far {
                pass(far, near, 0, half);
            }
        }
    });
    Ok(address)
}

/// One direction: one thread reads and adds the time, another waits and writes, so that bytes in
/// quick succession are not delayed by each other.
fn pass(mut from: TcpStream, mut to: TcpStream, not_before_ns: u64, delay_ns: u64) {
    let (sender, arrived) = mpsc::channel::<(u64, Vec<u8>)>();
    thread::spawn(move || {
        let mut bytes = [0; 16 * 1024];
        while let Ok(size @ 1..) = from.read(&mut bytes) {
            let due_ns = now_ns().max(not_before_ns) + delay_ns;
            if sender.send((due_ns, bytes[..size].to_vec())).is_err() {
                return;
            }
        }
    });
    thread::spawn(move || {
        sleep_exactly();
        for (due_ns, bytes) in arrived {
            sleep_until_ns(due_ns);
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}

fn finish(command: &mut Command) -> Result<(), Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|source| Error::Tool { program: program.clone(), source })?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Failed { program, printed: String::from_utf8_lossy(&output.stderr).into_owned() })
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}
