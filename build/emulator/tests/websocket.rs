//! Tests of a Web function's WebSockets through the platform, with a foreign client: Python's
//! websockets, which `build/setup --websocket` installs. The log has the result of each end.

mod common;

use common::{PATIENCE, Stage, TARGET, config};
use emulator::config::{Config, Mode};
use emulator::front::Front;
use emulator::program::Source;
use emulator::wire::Reply;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

/// The repository's tests/programs/websocket.rs, built as functions are, once per process.
fn program() -> Source {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let output = Command::new(env!("CARGO"))
            .current_dir(root)
            .args(["build", "--release", "--target", TARGET, "--features", "websocket"])
            .args(["--example", "conversing", "--message-format=json"])
            .stderr(Stdio::inherit())
            .output()
            .expect("cargo runs: it built this test");
        assert!(output.status.success(), "the build failed; run `build/setup`");
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut executables = lines.lines().filter_map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            Some(PathBuf::from(line["executable"].as_str()?))
        });
        executables.next_back().expect("cargo names what it built")
    });
    Source::Elf(built.clone())
}

fn python() -> Option<PathBuf> {
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let data = data.or_else(|| Some(std::env::home_dir()?.join(".local/share")))?;
    let python = data.join("firstbyte/websocket/bin/python3");
    if !python.is_file() {
        eprintln!("skipped: no Python with websockets; `build/setup --websocket` installs it");
        return None;
    }
    Some(python)
}

struct Harness {
    python: PathBuf,
    stage: Stage,
    front: Front,
}

fn harness(change: impl FnOnce(&mut Config)) -> Option<Harness> {
    let python = python()?;
    let idle = Some(Duration::from_millis(800));
    let mut config = Config { mode: Mode::Web, websocket_idle: idle, ..config() };
    change(&mut config);
    let stage = Stage::of(config, true, &program());
    let front = Front::open("127.0.0.1:0".parse().unwrap(), stage.platform.clone()).unwrap();
    Some(Harness { python, stage, front })
}

impl Harness {
    fn begin(&self, scenario: &str) -> Child {
        Command::new(&self.python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs/websocket.py"))
            .args([scenario, &format!("ws://{}", self.front.address())])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts")
    }

    #[track_caller]
    fn play(&self, scenario: &str, saw: &str) {
        let output = self.begin(scenario).wait_with_output().expect("it ends");
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!((out.trim(), output.status.code()), (saw, Some(0)), "{scenario}");
    }

    /// The status of another request.
    fn get(&self) -> u16 {
        let mut stream = TcpStream::connect(self.front.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        Reply::read(&mut BufReader::new(&stream), "GET").expect("a reply").0.status
    }
}

#[test]
fn each_end_has_the_platforms_number() {
    // Several requests per instance: the end of one does not affect the others.
    let Some(harness) = harness(|config| config.concurrency = 3) else { return };
    let mut ends = 0;
    for (scenario, saw, error) in [
        ("echo", "ended 1000", ""),
        ("error", "ended 1011", ""),
        ("stranger", "refused 403", ""),
        ("leave", "ended 4001", "the client ended the WebSocket with 4001\",\"statusCode\":456}"),
        ("break", "ended 1006", "the client ended the WebSocket with 1006\",\"statusCode\":456}"),
        ("close", "ended 4000", "the function ended the WebSocket with 4000\",\"statusCode\":439}"),
        (
            "big",
            "ended 1006",
            "client sent a WebSocket message over 262144 bytes\",\"statusCode\":456}",
        ),
        ("silent", "ended 1006", "the WebSocket had no data for 0.8 seconds\",\"statusCode\":455}"),
        ("talk", "ended 1006", "timed out after 3 seconds\",\"statusCode\":433}"),
    ] {
        harness.play(scenario, saw);
        ends += 1;
        harness.stage.log.wait("END RequestId", ends);
        let errors: Vec<_> = harness.stage.log.all();
        let errors: Vec<_> =
            errors.iter().filter(|line| line.starts_with("ERROR RequestId:")).collect();
        match error {
            "" => assert!(errors.is_empty(), "{scenario}: {errors:?}"),
            error => assert!(errors.last().is_some_and(|line| line.ends_with(error)), "{errors:?}"),
        }
    }
    assert_eq!(harness.get(), 200);
    harness.stage.log.wait("Init Report", 1);
    let starts = harness.stage.log.all().iter().filter(|line| line.contains("Coldstart")).count();
    assert_eq!(starts, 1, "one instance had all of them");
    harness.stage.notes.wait("the platform's limit is 10 messages", 0);
}

#[test]
fn a_websocket_occupies_its_request_for_its_life() {
    let several = |config: &mut Config| {
        (config.max_instances, config.websocket_idle) = (1, Some(Duration::from_secs(3)));
    };
    let Some(harness) = harness(several) else { return };
    let mut child = harness.begin("hold");
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "open\n");
    assert_eq!(harness.stage.platform.pool().in_flight(), 1);
    assert_eq!(harness.get(), 432, "the only instance is busy");
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert!(child.wait().unwrap().success());
    harness.stage.log.wait("END RequestId", 2);
    assert_eq!(harness.get(), 200);
}

#[test]
fn a_function_without_websockets_gets_an_ordinary_request() {
    let Some(harness) = harness(|config| config.websocket_idle = None) else { return };
    harness.play("echo", "refused 426");
    harness.stage.notes.wait("websocket_idle_s", 1);
}

#[test]
fn times_and_types_must_follow_the_platforms_rules() {
    let idle = |seconds| Some(Duration::from_secs(seconds));
    let config = Config { websocket_idle: idle(3), ..config() };
    assert!(config.check().unwrap_err().to_string().contains("make it a Web function"));
    let config = Config { mode: Mode::Web, websocket_idle: idle(4), ..config };
    assert!(config.check().unwrap_err().to_string().contains("is shorter than the WebSocket idle"));
    assert_eq!(Config { websocket_idle: idle(3), ..config }.check(), Ok(()));
}
