//! The emulated API on this machine, and a gate before it that counts requests and can end a client
//! at one of them.

#![allow(dead_code)] // each test file uses its part

use crate::common::{COLDSTART, compile, layout, parts, skip_without_sandbox};
use coldstart::results::Results;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use tc3::{Call, Credential, sign};
use tempfile::TempDir;

/// The key that the stand-in accepts.
pub const KEY: [(&str, &str); 2] =
    [("TENCENTCLOUD_SECRET_ID", "test-id"), ("TENCENTCLOUD_SECRET_KEY", "test-key")];
/// The API's secret key, which must never be printed.
pub const SECRET: &str = "test-key";
/// The image that the stand-in runs, independent of the requested name.
pub const IMAGE: &str = "ccr.ccs.tencentyun.com/team/function:v1@sha256:\
                         0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a";

/// The program `firstbyte`, beside coldstart; it is built if it does not exist.
fn firstbyte() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let path = Path::new(COLDSTART).with_file_name("firstbyte");
        if !path.exists() {
            let profile = Path::new(COLDSTART).parent().and_then(Path::file_name);
            let profile = profile.and_then(|name| name.to_str()).expect("target/PROFILE");
            let profile = if profile == "debug" { "dev" } else { profile };
            let built = Command::new(env!("CARGO"))
                .args(["build", "--workspace", "--bin", "firstbyte", "--profile", profile])
                .status();
            assert!(built.is_ok_and(|status| status.success()), "firstbyte is built");
        }
        path
    })
}

/// A running `firstbyte run --api`.
pub struct StandIn {
    child: Child,
    home: TempDir,
    pub address: String,
}

impl StandIn {
    /// Starts it with faults; `None`, with a message, if this machine cannot.
    pub fn start(faults: &[&str]) -> Option<Self> {
        if skip_without_sandbox() {
            return None;
        }
        let Some(program) = compile("NONE") else {
            eprintln!("skipped: no C compiler that links statically");
            return None;
        };
        let home = tempfile::tempdir().expect("a folder");
        layout(&home.path().join("oci"), &parts(&program, "amd64"));
        fs::create_dir(home.path().join("tmp")).expect("a folder");
        let mut command = Command::new(firstbyte());
        command.current_dir(home.path()).env("TMPDIR", home.path().join("tmp"));
        command.args(["run", "--image", "oci", "--api", "127.0.0.1:0"]);
        for fault in faults {
            command.args(["--fault", fault]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let mut notes = BufReader::new(child.stderr.take().expect("piped"));
        let address = loop {
            let mut line = String::new();
            assert!(notes.read_line(&mut line).expect("a line") > 0, "it ended: {faults:?}");
            if let Some((_, rest)) = line.split_once("http://") {
                break rest.split(',').next().expect("an address").to_owned();
            }
        };
        thread::spawn(move || std::io::copy(&mut notes, &mut std::io::sink()));
        Some(Self { child, home, address })
    }

    /// The answer of a call of the API.
    pub fn call(&self, action: &str, body: &Value) -> Value {
        call(&self.address, action, body)
    }

    /// Ends all faults, so that requests of the test itself are not refused.
    pub fn clear(&self) {
        let reply = ureq::post(format!("http://{}/control", self.address))
            .header("content-type", "application/json")
            .send(r#"{"clear":true}"#);
        assert!(reply.is_ok_and(|reply| reply.status() == 200), "the control path");
    }

    /// The names of all faults.
    pub fn faults() -> Vec<String> {
        let refused = Command::new(firstbyte())
            .args(["run", "--image", "none", "--api", "127.0.0.1:0", "--fault", "none"])
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        let list = said.split_once("the faults are ").and_then(|(_, rest)| rest.lines().next());
        let list = list.expect("a list");
        let names =
            list.split(|c: char| !(c.is_ascii_lowercase() || c == '-' || c.is_ascii_digit()));
        names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    /// All resources: functions of every namespace, and the namespaces of runs.
    pub fn everything(&self) -> Vec<String> {
        let namespaces = self.call("ListNamespaces", &serde_json::json!({}));
        let names = |of: &Value, list: &str, name: &str| -> Vec<String> {
            let list = of[list].as_array().unwrap_or_else(|| panic!("{of}"));
            list.iter().map(|one| one[name].as_str().expect("a name").to_owned()).collect()
        };
        let namespaces = names(&namespaces, "Namespaces", "Name");
        let mut found = Vec::new();
        for namespace in namespaces {
            let body = serde_json::json!({ "Namespace": namespace });
            found.extend(names(&self.call("ListFunctions", &body), "Functions", "FunctionName"));
            if namespace != "default" {
                found.push(format!("namespace {namespace}"));
            }
        }
        found
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// Calls every function of the runs' namespace once, without a version, so that each has a warm
/// instance.
pub fn warm_latest(address: &str) {
    let namespace = serde_json::json!({ "Namespace": "firstbyte-bench" });
    let functions = call(address, "ListFunctions", &namespace);
    for function in functions["Functions"].as_array().expect("a list") {
        let body = serde_json::json!({
            "Namespace": "firstbyte-bench", "FunctionName": function["FunctionName"],
            "Qualifier": "$LATEST", "Event": "{}",
        });
        call(address, "InvokeFunction", &body);
    }
}

/// The answer of GetFunction for each function of the runs' namespace.
pub fn functions(address: &str) -> Vec<Value> {
    let namespace = serde_json::json!({ "Namespace": "firstbyte-bench" });
    let functions = call(address, "ListFunctions", &namespace);
    let about = |function: &Value| {
        let name = &function["FunctionName"];
        let body = serde_json::json!({ "Namespace": "firstbyte-bench", "FunctionName": name });
        call(address, "GetFunction", &body)
    };
    functions["Functions"].as_array().expect("a list").iter().map(about).collect()
}

/// Makes a signed call of the API.
fn call(address: &str, action: &str, body: &Value) -> Value {
    let (host, payload) = (address.to_owned(), body.to_string());

    let headers = [("content-type", "application/json"), ("host", host.as_str())];
    let call = Call {
        method: "POST",
        path: "/",
        query: "",
        headers: &headers,
        payload: payload.as_bytes(),
    };
    let seconds = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs()
        .cast_signed();
    let authorization = sign(&call, &Credential::new("test-id", "test-key"), "scf", seconds);
    let mut reply = ureq::post(format!("http://{host}/"))
        .header("content-type", "application/json")
        .header("authorization", authorization)
        .header("x-tc-action", action)
        .header("x-tc-version", "2018-04-16")
        .header("x-tc-timestamp", seconds.to_string())
        .header("x-tc-region", "ap-guangzhou")
        .send(payload.as_bytes())
        .expect("it answers");
    let text = reply.body_mut().read_to_string().expect("text");
    serde_json::from_str::<Value>(&text).expect("JSON")["Response"].take()
}

/// A run of coldstart in a folder of its own.
pub struct Bench {
    pub folder: TempDir,
    endpoint: String,
}

impl Bench {
    pub fn at(address: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder, endpoint: format!("http://{address}") }
    }

    /// `coldstart --engine scf` with the stand-in's key and short waits.
    pub fn command(&self, flags: &[&str]) -> Command {
        let defaults = [
            ["--endpoint", &self.endpoint],
            ["--image", IMAGE],
            ["--region", "ap-guangzhou"],
            ["--log-settle", "0"],
            ["--log-wait", "3"],
            ["--provision-wait", "3"],
        ];
        let mut command = self.bare(&["--engine", "scf"]);
        for default in defaults.iter().filter(|default| !flags.contains(&default[0])) {
            command.args(default);
        }
        command.args(flags);
        command
    }

    /// The command with only these flags.
    pub fn bare(&self, flags: &[&str]) -> Command {
        let mut command = Command::new(COLDSTART);
        command.current_dir(self.folder.path()).env_clear().envs(KEY);
        command.env("HOME", self.folder.path()).env("PATH", "/usr/bin:/bin");
        command.args(flags).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    pub fn run(&self, flags: &[&str]) -> Ended {
        Ended::of(self.command(flags).output().expect("it runs"))
    }

    pub fn clean_up(&self) -> Ended {
        let ledger = self.ledger();
        let ledger = ledger.to_str().expect("text");
        let flags = ["--clean-up", ledger, "--yes"];
        Ended::of(self.bare(&flags).output().expect("it runs"))
    }

    pub fn ledger(&self) -> PathBuf {
        self.folder.path().join("target/coldstart/ledger.json")
    }

    pub fn results(&self) -> Results {
        let path = self.folder.path().join("target/coldstart/results.json");
        Results::load(&path).expect("results of a run")
    }
}

/// The end of a process, and its output.
pub struct Ended {
    pub code: Option<i32>,
    pub said: String,
}

impl Ended {
    pub fn of(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(!said.contains(SECRET), "the output contains the key: {said}");
        Self { code: output.status.code(), said }
    }

    #[track_caller]
    pub fn ended(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{}", self.said);
        self
    }

    #[track_caller]
    pub fn says(&self, words: &str) -> &Self {
        assert!(self.said.contains(words), "`{words}` is not in: {}", self.said);
        self
    }
}

/// The time at which the gate acts on a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Before the platform has seen it.
    Asked,
    /// After the platform has done it, before the client knows.
    Done,
}

type Ending = Box<dyn FnMut() + Send>;

/// Forwards requests to the stand-in, and runs an action at one of them.
pub struct Gate {
    pub address: String,
    set: Arc<Mutex<Option<(String, At, Ending)>>>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Gate {
    pub fn before(stand_in: &StandIn) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let (set, seen) = (Arc::new(Mutex::new(None)), Arc::new(Mutex::new(Vec::new())));
        let gate = Self { address, set: Arc::clone(&set), seen: Arc::clone(&seen) };
        let to = stand_in.address.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (to, set, seen) = (to.clone(), Arc::clone(&set), Arc::clone(&seen));
                thread::spawn(move || forward(&client, &to, &set, &seen));
            }
        });
        gate
    }

    /// Runs `ending` at the next request of this action.
    pub fn set(&self, action: &str, at: At, ending: impl FnMut() + Send + 'static) {
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        *set = Some((action.to_owned(), at, Box::new(ending)));
    }

    /// The received actions, each once, in the order of their first request.
    pub fn actions(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut once = Vec::new();
        for action in seen.iter() {
            if !once.contains(action) {
                once.push(action.clone());
            }
        }
        once
    }
}

/// Serves one connection, request by request, until either side ends.
fn forward(
    client: &TcpStream,
    to: &str,
    set: &Mutex<Option<(String, At, Ending)>>,
    seen: &Mutex<Vec<String>>,
) -> Option<()> {
    let server = TcpStream::connect(to).ok()?;
    let (mut from_client, mut from_server) = (BufReader::new(client), BufReader::new(&server));
    loop {
        let (head, body) = message(&mut from_client)?;
        let action = head
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with("x-tc-action:"))
            .and_then(|line| line.split(':').nth(1))
            .map(|action| action.trim().to_owned())
            .unwrap_or_default();
        seen.lock().unwrap_or_else(PoisonError::into_inner).push(action.clone());
        let mut mine = {
            let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
            let is_it = set.as_ref().is_some_and(|(wanted, ..)| *wanted == action);
            if is_it { set.take() } else { None }
        };
        if let Some((_, At::Asked, ending)) = &mut mine {
            ending();
            return None;
        }
        (&server).write_all(head.as_bytes()).ok()?;
        (&server).write_all(&body).ok()?;
        let (head, body) = message(&mut from_server)?;
        if let Some((_, At::Done, ending)) = &mut mine {
            ending();
        }
        let mut to_client = client;
        to_client.write_all(head.as_bytes()).ok()?;
        to_client.write_all(&body).ok()?;
    }
}

/// The head and the body of a message with Content-Length.
fn message(from: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    loop {
        let before = head.len();
        if from.read_line(&mut head).ok()? == 0 {
            return None;
        }
        if head[before..].trim().is_empty() {
            break;
        }
    }
    let length = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok()
        })
        .unwrap_or(0usize);
    let mut body = vec![0; length];
    from.read_exact(&mut body).ok()?;
    Some((head, body))
}
