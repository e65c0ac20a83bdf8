//! TLS that is begun early, against a real nginx: see programs/early_tls.rs.

use super::upstream::{Program, Upstream, program};
use outside::peer::{ask, get};
use outside::server::Server;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A server with a certificate of its own authority, for `localhost`. `/` is a reply without a
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

    /// How many TLS sessions it has had, and requests.
    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default()
    }

    fn function(&self, host: &str, is_early: bool) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_early_tls"));
        command.env("UPSTREAM", format!("{host}:{}", self.program.address.port()));
        command.env("UPSTREAM_CA", self.folder.path().join("ca.pem"));
        if is_early {
            command.env("EARLY", "1");
        }
        Server::start(command)
    }
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
fn a_session_is_agreed_on_before_the_request_comes() {
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
fn an_upstream_that_says_nothing_fails_the_first_use_when_its_time_has_passed() {
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
