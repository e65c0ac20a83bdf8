//! Helpers of the emulator's tests: the function with faults, and a platform with a way to wait for
//! its log lines.

#![allow(dead_code)] // each test file uses a part

use emulator::config::Config;
use emulator::instance::{Host, Isolation};
use emulator::invoker::InvocationResult;
use emulator::journal::Journal;
use emulator::platform::Platform;
use emulator::program::Source;
use emulator::wire::{Reply, Request};
use std::fs;
use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// Time after which a wait has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// The target for which functions are compiled.
pub const TARGET: &str = "x86_64-unknown-linux-musl";
/// The moody function's source.
pub const MOODY: &str = include_str!("../programs/moody.rs");

/// The moody function's static ELF, compiled once per process.
pub fn moody() -> &'static Path {
    static MOODY: OnceLock<PathBuf> = OnceLock::new();
    MOODY.get_or_init(|| {
        let elf = Path::new(env!("CARGO_TARGET_TMPDIR")).join("moody");
        // Several test processes may compile it: rename(2) gives each of them a complete file.
        let whole = elf.with_extension(std::process::id().to_string());
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/moody.rs");
        let status = Command::new("rustc")
            .args([
                "--edition=2024",
                "-Copt-level=1",
                "-Clinker=rust-lld",
                "--target",
                TARGET,
                "-o",
            ])
            .arg(&whole)
            .arg(source)
            .status()
            .expect("rustc runs: it built this test");
        assert!(
            status.success(),
            "the moody function does not compile; `build/setup` installs what it needs"
        );
        fs::rename(&whole, &elf).expect("the folder is ours");
        elf
    })
}

/// A package without dependencies that contains the moody function.
pub fn package(folder: &Path) {
    let manifest = "[package]\nname = \"edited\"\nedition = \"2024\"\n\n[workspace]\n";
    fs::create_dir_all(folder.join("src")).unwrap();
    fs::create_dir_all(folder.join(".cargo")).unwrap();
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::write(
        folder.join(".cargo/config.toml"),
        include_str!("../../../../template/.cargo/config.toml"),
    )
    .unwrap();
    fs::write(folder.join("src/main.rs"), MOODY).unwrap();
}

/// Sends an event on a new connection; returns the whole reply.
pub fn post(address: SocketAddr, order: &str) -> Reply {
    let stream = TcpStream::connect(address).expect("the front is open");
    let request = Request { target: "/".into(), ..event(order) };
    request.write(&mut &stream).expect("the front reads");
    Reply::read(&mut BufReader::new(&stream), "POST").expect("the front answers").0
}

/// A configuration with short times, so that tests are fast.
pub fn config() -> Config {
    Config {
        timeout: Duration::from_secs(3),
        init_timeout: Duration::from_secs(10),
        memory_mib: 64,
        idle: Duration::from_secs(60),
        retry_interval: Duration::from_millis(20),
        ..Config::default()
    }
}

/// A platform in front of the moody function.
pub struct Stage {
    pub platform: Arc<Platform>,
    pub log: Lines,
    pub notes: Lines,
}

impl Stage {
    /// Starts it; with `sandbox` in namespaces, if this machine permits them.
    #[track_caller]
    pub fn new(config: Config, sandbox: bool) -> Stage {
        Stage::of(config, sandbox, &Source::Elf(moody().into()))
    }

    #[track_caller]
    pub fn of(config: Config, sandbox: bool, source: &Source) -> Stage {
        let (log, notes) = (Lines::default(), Lines::default());
        let journal = Arc::new(Journal::new(Box::new(log.clone()), Box::new(notes.clone())));
        let helper = env!("CARGO_BIN_EXE_firstbyte").as_ref();
        let host = Host::new(helper, sandbox, None, journal.clone()).expect("the helper");
        let program = source.prepare().expect("the program is prepared");
        let platform =
            Platform::new(config, host, program, journal).expect("a valid configuration");
        Stage { platform, log, notes }
    }

    /// Invokes with an order: as an event, or as a Web function's path.
    pub fn tell(&self, order: &str) -> InvocationResult {
        self.platform.invoke(event(order))
    }

    /// The answer's text.
    #[track_caller]
    pub fn ask(&self, order: &str) -> String {
        let outcome = self.tell(order);
        assert_eq!(outcome.verdict.status(), 200, "{order}: {:?}", outcome.verdict);
        text(&outcome)
    }

    /// Whether instances are isolated here; prints it if not.
    pub fn has_walls(&self) -> bool {
        let has = self.platform.pool().isolation() != Isolation::Process;
        if !has {
            eprintln!("skipped: no namespaces here: {:?}", self.notes.all());
        }
        has
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.platform.close();
    }
}

/// An event with an order.
pub fn event(order: &str) -> Request {
    let body = format!("{{\"do\":\"{order}\"}}").into_bytes();
    Request { method: "POST".into(), target: "/".into(), headers: Vec::new(), body }
}

/// A Web function's request with an order.
pub fn get(path: &str) -> Request {
    Request { method: "GET".into(), target: path.into(), ..Request::default() }
}

/// The reply's body.
#[track_caller]
pub fn text(outcome: &InvocationResult) -> String {
    String::from_utf8(outcome.reply.as_ref().expect("a reply").body.clone()).expect("text")
}

/// Lines that another thread writes.
#[derive(Clone, Default)]
pub struct Lines(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Lines {
    pub fn all(&self) -> Vec<String> {
        self.0.0.lock().unwrap().clone()
    }

    /// Waits until `count` lines hold `text`.
    #[track_caller]
    pub fn wait(&self, text: &str, count: usize) -> Vec<String> {
        let (lines, changed) = &*self.0;
        let started = Instant::now();
        let mut all = lines.lock().unwrap();
        loop {
            let found: Vec<_> = all.iter().filter(|line| line.contains(text)).cloned().collect();
            if found.len() >= count {
                return found;
            }
            let left = PATIENCE.saturating_sub(started.elapsed());
            assert!(
                !left.is_zero(),
                "{count} lines with `{text}` did not arrive; the lines are {all:#?}"
            );
            all = changed.wait_timeout(all, left).unwrap().0;
        }
    }
}

impl Write for Lines {
    /// The journal writes whole lines.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        self.0.0.lock().unwrap().extend(text.lines().map(str::to_owned));
        self.0.1.notify_all();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
