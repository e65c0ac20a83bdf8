//! Early TLS connections to a real nginx: see programs/early_tls.rs.

use super::upstream::{Program, Upstream, program};
use outside::peer::{ask, get};
use outside::server::Server;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A server with a certificate of its own authority, for `localhost`. `/` has a reply without a
/// body.
struct Nginx {
    folder: TempDir,
    program: Program,
}

impl Nginx {
    #[track_caller]
    fn start(protocols: &str) -> Nginx {
        let folder = TempDir::new().expect("a folder can be made");
        certificate(folder.path());
        let path = folder.path().to_owned();
        let program = program(
            |address| {
                fs::write(path.join("nginx.conf"), config(address, protocols)).expect("room");
                let mut command = Command::new("nginx");
                command.arg("-p").arg(&path).args(["-c", "nginx.conf", "-e", "error.log"]);
                command
            },
            |address| TcpStream::connect(address).is_ok(),
        );
        Nginx { folder, program }
    }

    /// Numbers of its TLS sessions and requests so far.
    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default()
    }

    fn function(&self, host: &str, is_early: bool) -> Server {
        self.function_to(host, self.program.address.port(), is_early)
    }

    fn function_to(&self, host: &str, port: u16, is_early: bool) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_early_tls"));
        command.env("UPSTREAM", format!("{host}:{port}"));
        command.env("UPSTREAM_CA", self.folder.path().join("ca.pem"));
        if is_early {
            command.env("EARLY", "1");
        }
        Server::start(command)
    }
}

/// A relay to `to` for one connection: its port, and the number of its client's messages.
fn counted(to: SocketAddr) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it has an address").port();
    let said = Arc::new(AtomicUsize::new(0));
    let counter = said.clone();
    thread::spawn(move || -> io::Result<()> {
        let (mut client, _) = listener.accept()?;
        let mut server = TcpStream::connect(to)?;
        let (mut from_server, mut to_client) = (server.try_clone()?, client.try_clone()?);
        thread::spawn(move || io::copy(&mut from_server, &mut to_client));
        let mut bytes = [0; 4096];
        loop {
            let size = client.read(&mut bytes)?;
            if size == 0 {
                return Ok(());
            }
            counter.fetch_add(1, Ordering::SeqCst);
            server.write_all(&bytes[..size])?;
        }
    });
    (port, said)
}

fn config(address: SocketAddr, protocols: &str) -> String {
    format!(
        "daemon off; master_process off; pid nginx.pid; events {{}}\n\
         http {{ access_log access.log; client_body_temp_path b; proxy_temp_path p;\n\
         fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s; keepalive_timeout 60s;\n\
         server {{ listen {address} ssl; ssl_certificate server.pem;\n\
         ssl_certificate_key server.key; ssl_protocols {protocols};\n\
         location / {{ return 204; }} }} }}\n"
    )
}

/// An authority, and a certificate for `localhost` of it.
fn certificate(folder: &Path) {
    let openssl = |arguments: &str| {
        let status = Command::new("openssl")
            .args(arguments.split_ascii_whitespace())
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(status.is_ok_and(|status| status.success()), "openssl {arguments}");
    };
    let ec = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("req -x509 {ec} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"));
    openssl(&format!("req {ec} -keyout server.key -out server.csr -subj /CN=localhost"));
    let extension = "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n";
    fs::write(folder.join("extension"), extension).expect("there is room");
    openssl(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
         -extfile extension -out server.pem",
    );
}

#[test]
fn a_session_is_established_before_the_request_arrives() {
    for protocols in ["TLSv1.3", "TLSv1.2"] {
        let nginx = Nginx::start(protocols);
        for is_early in [true, false] {
            let server = nginx.function("localhost", is_early);
            for _ in 0..3 {
                let reply = ask(server.address, get("/status"));
                assert_eq!(reply.text(), "HTTP/1.1 204 No Content", "{protocols} {is_early}");
            }
        }
        outside::eventually("six requests are in its log", || nginx.log().lines().count() == 6);
    }
}

/// Regression: the lane lost the handshake's wait, so only the first message was sent early, and
/// the first use had to do the rest.
#[test]
fn a_handshake_completes_without_a_request() {
    for protocols in ["TLSv1.3", "TLSv1.2"] {
        let nginx = Nginx::start(protocols);
        let (port, said) = counted(nginx.program.address);
        let server = nginx.function_to("localhost", port, true);
        outside::eventually("the greeting is answered", || said.load(Ordering::SeqCst) == 2);
        assert_eq!(ask(server.address, get("/status")).text(), "HTTP/1.1 204 No Content");
        assert_eq!(said.load(Ordering::SeqCst), 3, "{protocols}: greeting, answer, request");
    }
}

#[test]
fn a_wrong_name_fails_the_first_use_and_not_the_start() {
    let nginx = Nginx::start("TLSv1.3");
    for is_early in [true, false] {
        let server = nginx.function("127.0.0.1", is_early);
        assert_eq!(ask(server.address, get("/")).text(), "here");
        let reply = ask(server.address, get("/status"));
        assert_eq!(reply.status, 500);
        assert!(reply.text().contains("invalid peer certificate"), "{}", reply.text());
    }
}

#[test]
fn a_silent_upstream_fails_the_first_use_after_its_time_limit() {
    let silent = Upstream::silent();
    let folder = TempDir::new().expect("a folder can be made");
    certificate(folder.path());
    let mut command = Command::new(env!("CARGO_BIN_EXE_early_tls"));
    command.env("UPSTREAM", silent.address.to_string()).env("EARLY", "1");
    command.env("UPSTREAM_CA", folder.path().join("ca.pem"));
    let server = Server::start(command);
    assert_eq!(ask(server.address, get("/")).text(), "here");
    let asked = Instant::now();
    let reply = ask(server.address, get("/status"));
    assert!(reply.text().contains("sent nothing in time"), "{}", reply.text());
    assert!((4..7).contains(&asked.elapsed().as_secs()), "{:?}", asked.elapsed());
    assert!(asked.elapsed() < Duration::from_secs(7));
}
