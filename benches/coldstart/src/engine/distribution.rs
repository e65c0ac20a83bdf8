//! Registry for daemons to pull from: the distribution server of Debian's package docker-registry,
//! started on loopback with its storage in the run's folder, and ended with it. Also the push side
//! of the distribution-spec, as far as needed to fill it.

use crate::engine::EngineError;
use crate::registry::Traffic;
use bench_kit::clock;
use microimage::digest::Digest;
use microimage::image::Image;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Names of the server in Debian and in the upstream project.
const PROGRAMS: [&str; 2] = ["docker-registry", "registry"];
/// Longest wait for the server, which normally starts within milliseconds.
const START_PATIENCE_NS: u64 = 20_000_000_000;

/// The running server.
pub struct Distribution {
    address: SocketAddr,
    child: Child,
    log: PathBuf,
    read_to: u64,
    agent: ureq::Agent,
}

impl Distribution {
    /// Starts the server with its storage below `folder` and waits until it answers.
    ///
    /// # Errors
    /// [`EngineError`]: the program is not installed, or does not start.
    pub fn start(folder: &Path) -> Result<Self, EngineError> {
        let io = |what: &str| {
            let what = format!("{what} for the registry");
            move |source| EngineError::Io { what, source }
        };
        // A free port; if another program takes it before the server does, the server's log shows
        // it.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(io("finding a port"))?;
        let address = free.local_addr().map_err(io("finding a port"))?;
        drop(free);
        let (config, log) = (folder.join("registry.yml"), folder.join("registry.log"));
        let storage = folder.join("storage");
        fs::create_dir_all(&storage).map_err(io("making a folder"))?;
        fs::write(&config, configuration(&storage, address))
            .map_err(io("writing the configuration"))?;
        let output = File::create(&log).map_err(io("making a log"))?;
        let errors = output.try_clone().map_err(io("making a log"))?;
        let Some(program) = PROGRAMS.into_iter().find(|program| is_there(program)) else {
            return Err(EngineError::Other(
                "this engine needs the distribution server: install Debian's package \
                 docker-registry (`build/setup --docker`)"
                    .into(),
            ));
        };
        // If util-linux is there, the server ends with this process even if that is killed:
        // `setpriv` asks the kernel for that, then executes the server.
        let mut command = Command::new(if is_there("setpriv") { "setpriv" } else { program });
        if command.get_program() == "setpriv" {
            command.args(["--pdeathsig", "KILL", program]);
        }
        command.arg("serve").arg(&config).stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = command.spawn().map_err(io("starting the server"))?;
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .into();
        let mut started = Self { address, child, log, read_to: 0, agent };
        started.wait()?;
        Ok(started)
    }

    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Pushes an image as `name:latest` (distribution-spec, "Pushing blobs" in one PUT, "Pushing
    /// manifests").
    ///
    /// # Errors
    /// [`EngineError`]: a layer cannot be read, or the server refuses.
    pub fn push(&self, name: &str, image: &Image) -> Result<(), EngineError> {
        let failed = |source| EngineError::Io { what: format!("pushing `{name}`"), source };
        for layer in image.layers() {
            let mut bytes = Vec::new();
            layer.open().and_then(|mut r| r.read_to_end(&mut bytes)).map_err(failed)?;
            self.push_blob(name, layer.descriptor().digest, &bytes).map_err(failed)?;
        }
        self.push_blob(name, image.config_descriptor().digest, image.config_bytes())
            .map_err(failed)?;
        let url = format!("http://{}/v2/{name}/manifests/latest", self.address);
        let put = self
            .agent
            .put(&url)
            .header("Content-Type", image.media_type())
            .send(image.manifest_bytes());
        expect(put, 201).map_err(failed)
    }

    /// Requests and bytes since the last call, from the server's access log.
    pub fn traffic_since(&mut self) -> Traffic {
        let mut text = String::new();
        let read = File::open(&self.log).and_then(|mut log| {
            log.seek(SeekFrom::Start(self.read_to))?;
            log.read_to_string(&mut text)
        });
        self.read_to += read.unwrap_or(0) as u64;
        count(&text)
    }

    fn push_blob(&self, name: &str, digest: Digest, bytes: &[u8]) -> io::Result<()> {
        let url = format!("http://{}/v2/{name}/blobs/uploads/", self.address);
        let begun = self.agent.post(&url).send_empty().map_err(io::Error::other)?;
        let place =
            begun.headers().get("Location").and_then(|v| v.to_str().ok()).map(str::to_owned);
        let Some(place) = place.filter(|_| begun.status() == 202) else {
            return Err(io::Error::other(format!(
                "the registry answered `{}` to an upload",
                begun.status()
            )));
        };
        let place =
            if place.starts_with('/') { format!("http://{}{place}", self.address) } else { place };
        let joint = if place.contains('?') { '&' } else { '?' };
        let put = self.agent.put(format!("{place}{joint}digest={digest}"));
        expect(put.header("Content-Type", "application/octet-stream").send(bytes), 201)
    }

    fn wait(&mut self) -> Result<(), EngineError> {
        let deadline_ns = clock::now_ns() + START_PATIENCE_NS;
        let url = format!("http://{}/v2/", self.address);
        loop {
            if expect(self.agent.get(&url).call(), 200).is_ok() {
                return Ok(());
            }
            let ended = self.child.try_wait().is_ok_and(|status| status.is_some());
            if ended || clock::now_ns() > deadline_ns {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                let last = log.lines().last().unwrap_or("it printed nothing").to_owned();
                return Err(EngineError::Other(format!("docker-registry did not start: {last}")));
            }
            clock::sleep_until_ns(clock::now_ns() + 5_000_000);
        }
    }
}

impl Drop for Distribution {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_there(program: &str) -> bool {
    let mut command = Command::new(program);
    command
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

fn expect(
    reply: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    status: u16,
) -> io::Result<()> {
    match reply.map_err(io::Error::other)?.status().as_u16() {
        found if found == status => Ok(()),
        found => {
            Err(io::Error::other(format!("the registry answered `{found}`, expected `{status}`")))
        }
    }
}

/// distribution/distribution, configuration reference, version 0.1.
fn configuration(storage: &Path, address: SocketAddr) -> String {
    format!(
        "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: false\nstorage:\n  \
         filesystem:\n    rootdirectory: {}\n\x20 cache:\n    blobdescriptor: inmemory\nhttp:\n  \
         addr: {address}\n",
        storage.display()
    )
}

/// Counts the lines of an access log in Apache's combined format: `… "GET /v2/… HTTP/1.1" 200 1234
/// …`.
fn count(log: &str) -> Traffic {
    log.lines().fold(Traffic { requests: 0, bytes: 0 }, |sum, line| {
        let Some((_, rest)) = line.split_once(" /v2/") else { return sum };
        let size =
            rest.split_once("\" ").and_then(|(_, after)| after.split(' ').nth(1)?.parse().ok());
        Traffic { requests: sum.requests + 1, bytes: sum.bytes + size.unwrap_or(0) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_an_access_log() {
        let log = "127.0.0.1 - - [23/Nov/2026:09:00:00 +0000] \"GET /v2/ HTTP/1.1\" 200 2 \"\" \
                   \"docker/20.10\"\ntime=\"2026\" level=error msg=\"something else\"\n127.0.0.1 \
                   - - [23/Nov/2026:09:00:00 +0000] \"GET /v2/echo/blobs/sha256:ab HTTP/1.1\" 200 \
                   428614 \"\" \"docker\"\n";
        assert_eq!(count(log), Traffic { requests: 2, bytes: 428_616 });
    }
}
