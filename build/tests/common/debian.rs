//! Debian's registry (package docker-registry) on a free port of loopback: plain, with a password,
//! with TLS, with TLS and client certificates; with nginx as its front.

use super::skipped;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// `htpasswd -nbB user s3cret`, at bcrypt's lowest cost.
pub const HTPASSWD: &str = "user:$2b$04$abcdefghijklmnopqrstuuLZYjhNQAOdpbzt4WxWlUHjv1wsyH5DG\n";

/// The registry; it is stopped when dropped.
pub struct DebianRegistry(Child, pub String);

impl DebianRegistry {
    /// Starts it, with its storage below `home`; `None`, with a message, if it is not installed.
    pub fn start(home: &Path, htpasswd: Option<&str>) -> Option<DebianRegistry> {
        DebianRegistry::with(home, htpasswd, None)
    }

    /// The same with TLS: a certificate (chain) and its key, as PEM files.
    pub fn with(
        home: &Path,
        htpasswd: Option<&str>,
        tls: Option<(&Path, &Path)>,
    ) -> Option<DebianRegistry> {
        DebianRegistry::asking(home, htpasswd, tls, None)
    }

    /// The same for clients whose certificate was signed by the authority `clients`.
    pub fn asking(
        home: &Path,
        htpasswd: Option<&str>,
        tls: Option<(&Path, &Path)>,
        clients: Option<&Path>,
    ) -> Option<DebianRegistry> {
        let address = free_address();
        let auth = htpasswd.map(|line| {
            fs::write(home.join("htpasswd"), line).expect("a file");
            format!(
                "auth:\n  htpasswd:\n    realm: test\n    path: {}\n",
                home.join("htpasswd").display()
            )
        });
        let tls = tls.map(|(certificate, key)| {
            let (certificate, key) = (certificate.display(), key.display());
            let clients = clients.map(|path| format!("    clientcas: [{}]\n", path.display()));
            let clients = clients.unwrap_or_default();
            format!("  tls:\n    certificate: {certificate}\n    key: {key}\n{clients}")
        });
        let config = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: \
             {}\nhttp:\n  addr: {address}\n{}{}",
            home.join("storage").display(),
            tls.unwrap_or_default(),
            auth.unwrap_or_default()
        );
        fs::write(home.join("config.yml"), config).expect("a file");
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(home.join("config.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = child else {
            skipped(format_args!(
                "`docker-registry` is not installed (Debian package docker-registry)"
            ));
            return None;
        };
        Some(DebianRegistry(child, address).listening())
    }

    /// nginx as the front of `registry`. It ends TLS and verifies clients as `asking` does. To a
    /// client without a certificate it replies with an HTTP error.
    pub fn behind_nginx(
        home: &Path,
        registry: &DebianRegistry,
        (certificate, key): (&Path, &Path),
        clients: &Path,
    ) -> Option<DebianRegistry> {
        let (address, folder) = (free_address(), home.join("nginx"));
        fs::create_dir_all(&folder).expect("a folder");
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("{kind}_temp_path {}/{kind};", folder.display()))
            .collect();
        let config = format!(
            "daemon off; worker_processes 1; pid {0}/pid; error_log {0}/log;\nevents {{}}\nhttp {{ \
             access_log off; {temporary}\nserver {{ listen {address} ssl; ssl_certificate {1}; \
             ssl_certificate_key {2}; ssl_client_certificate {3}; ssl_verify_client on; \
             client_max_body_size 0; location / {{ proxy_pass http://{4}; proxy_set_header Host \
             $http_host; proxy_set_header X-Forwarded-Proto https; }} }} }}\n",
            folder.display(),
            certificate.display(),
            key.display(),
            clients.display(),
            registry.1,
        );
        fs::write(folder.join("nginx.conf"), config).expect("a file");
        // a user's search path does not contain sbin
        let found = ["/usr/sbin/nginx", "nginx"].iter().find_map(|program| {
            let mut command = Command::new(program);
            command.arg("-c").arg(folder.join("nginx.conf")).arg("-p").arg(&folder);
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
        });
        let Some(child) = found else {
            skipped(format_args!("`nginx` is not installed; `build/setup --servers` installs it"));
            return None;
        };
        Some(DebianRegistry(child, address).listening())
    }

    fn listening(mut self) -> DebianRegistry {
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(&self.1).is_err() {
            assert!(self.0.try_wait().expect("ours").is_none(), "the server has ended");
            assert!(Instant::now() < deadline, "the server does not listen");
            // between two attempts to connect, which is the check for readiness
            thread::sleep(Duration::from_millis(10));
        }
        self
    }
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a free port").to_string()
}

impl Drop for DebianRegistry {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
