//! Debian's registry (package docker-registry) on a free port of loopback: plain, with a password,
//! with TLS.

use super::skipped;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// `htpasswd -nbB user s3cret`, at bcrypt's lowest cost.
pub const HTPASSWD: &str = "user:$2b$04$abcdefghijklmnopqrstuuLZYjhNQAOdpbzt4WxWlUHjv1wsyH5DG\n";

/// The registry, stopped when dropped.
pub struct DebianRegistry(Child, pub String);

impl DebianRegistry {
    /// `None`, with a message, if it is not installed. It stores below `home`.
    pub fn start(home: &Path, htpasswd: Option<&str>) -> Option<DebianRegistry> {
        DebianRegistry::with(home, htpasswd, None)
    }

    /// The same, with TLS: a certificate (chain) and its key, PEM files.
    pub fn with(
        home: &Path,
        htpasswd: Option<&str>,
        tls: Option<(&Path, &Path)>,
    ) -> Option<DebianRegistry> {
        let address = TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .expect("a free port")
            .to_string();
        let auth = htpasswd.map(|line| {
            fs::write(home.join("htpasswd"), line).expect("a file");
            format!(
                "auth:\n  htpasswd:\n    realm: test\n    path: {}\n",
                home.join("htpasswd").display()
            )
        });
        let tls = tls.map(|(certificate, key)| {
            let (certificate, key) = (certificate.display(), key.display());
            format!("  tls:\n    certificate: {certificate}\n    key: {key}\n")
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
        let registry = DebianRegistry(child, address);
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(&registry.1).is_err() {
            assert!(Instant::now() < deadline, "the registry does not listen");
            // between two tries to connect: the readiness signal itself
            thread::sleep(Duration::from_millis(10));
        }
        Some(registry)
    }
}

impl Drop for DebianRegistry {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
