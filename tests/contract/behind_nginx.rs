//! Section 2 behind Debian's nginx: a reply that the server sends before it has read the whole
//! request reaches the client.

use outside::eventually;
use outside::peer::Peer;
use outside::server::Server;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// An nginx with its own folder; it is ended and removed on drop.
struct Nginx {
    child: Child,
    folder: PathBuf,
    address: SocketAddr,
}

impl Nginx {
    /// `None` if nginx is not installed.
    fn before(upstream: SocketAddr) -> Option<Nginx> {
        let program = ["/usr/sbin/nginx", "/usr/bin/nginx"].map(Path::new);
        let program = program.into_iter().find(|program| program.is_file())?;
        let free = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = free.local_addr().expect("it has an address");
        drop(free);
        let folder = std::env::temp_dir().join(format!("firstbyte-nginx-{}", address.port()));
        fs::create_dir_all(&folder).expect("a folder can be made");
        let name = folder.display();
        // All other settings are nginx's defaults; only the permitted size is larger.
        let text = format!(
            "daemon off; pid {name}/pid; error_log {name}/error.log;\n\
             events {{}}\n\
             http {{ access_log off; client_max_body_size 200m;\n\
             client_body_temp_path {name}/body; proxy_temp_path {name}/proxy;\n\
             fastcgi_temp_path {name}/f; uwsgi_temp_path {name}/u; scgi_temp_path {name}/s;\n\
             server {{ listen {address}; location / {{ proxy_pass http://{upstream}; }} }} }}\n"
        );
        let configuration = folder.join("nginx.conf");
        fs::write(&configuration, text).expect("a file can be written");
        let mut command = Command::new(program);
        command.arg("-e").arg(folder.join("error.log")).arg("-p").arg(&folder);
        command.arg("-c").arg(&configuration).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().expect("nginx starts");
        let nginx = Nginx { child, folder, address };
        eventually("nginx listens", || std::net::TcpStream::connect(address).is_ok());
        Some(nginx)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let id = self.child.id();
        outside::server::signal_to(id, rustix::process::Signal::TERM); // the workers end with it
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Uploads this many megabytes with Python's `http.client`, each on a new connection, and prints
/// the status of each reply.
const UPLOADS: &str = "
import http.client, sys
for megabytes in (7, 12, 80):
    peer = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1]), timeout=60)
    peer.request('POST', '/', body=b'u' * (megabytes * 1000000))
    print(peer.getresponse().status)
    peer.close()
";

/// Regression: it writes its whole body before it reads, and reported a broken pipe instead of the
/// reply.
#[test]
fn pythons_http_client_gets_413_with_and_without_nginx() {
    let server = Server::echo().at_rest();
    let nginx = Nginx::before(server.address);
    let addresses = [Some(server.address), nginx.as_ref().map(|nginx| nginx.address)];
    for address in addresses.into_iter().flatten() {
        let mut command = Command::new("python3");
        command.args(["-c", UPLOADS]).arg(address.port().to_string());
        let Ok(output) = command.output() else {
            return println!("skipped: python3 is not installed");
        };
        let said = String::from_utf8_lossy(&output.stdout);
        let cause = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said, "413\n413\n413\n", "{address}: {cause}");
    }
}

/// Regression: nginx wrote to a connection that the server had closed after 8 MiB, and answered
/// 502.
#[test]
fn a_413_for_an_upload_of_any_size_arrives() {
    let server = Server::echo().at_rest();
    let Some(nginx) = Nginx::before(server.address) else {
        return println!("skipped: nginx is not installed");
    };
    for round in 0..40 {
        let megabytes = [7, 12, 30, 80][round % 4];
        let mut peer = Peer::to(nginx.address);
        peer.send(format!(
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
            megabytes * 1_000_000
        ));
        let piece = vec![b'u'; 1_000_000];
        for _ in 0..megabytes {
            peer.send(&piece);
        }
        let reply = peer.reply();
        assert_eq!(reply.status, 413, "round {round}, {megabytes} MB: {reply:?}");
    }
}
