//! The emulated API in front of the moody function, and two ways to call it: requests that are
//! signed here, and Tencent's own command line.

#![allow(dead_code)] // each test file uses a part

use super::common::{Lines, moody};
use emulator::wire::{Reply, Request};
use microimage::assemble::{Options, assemble};
use microimage::context::FolderContext;
use microimage::layout;
use microimage::recipe::Recipe;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tc3::{Call, Credential, sign};
use tempfile::TempDir;

/// Time after which a wait has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running `firstbyte run --api`.
pub struct StandIn {
    child: Child,
    pub home: TempDir,
    pub log: Lines,
    pub notes: Lines,
    pub address: String,
}

/// A folder with the moody function as an image.
pub fn home() -> TempDir {
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let root = home.path().join("context");
    fs::create_dir_all(&root).unwrap();
    fs::create_dir(home.path().join("tmp")).unwrap();
    fs::copy(moody(), root.join("app")).unwrap();
    let recipe = "FROM scratch\nCOPY app /bin/app\nENV FROM_IMAGE=yes\nENTRYPOINT [\"/bin/app\"]\n";
    let context = FolderContext::open(&root).unwrap();
    let built = assemble(&Recipe::parse(recipe).unwrap(), &context, &Options::default()).unwrap();
    layout::write(&built.image, &home.path().join("target/image/oci")).unwrap();
    home
}

impl StandIn {
    pub fn start(flags: &[&str]) -> StandIn {
        StandIn::in_home(home(), flags)
    }

    #[track_caller]
    pub fn in_home(home: TempDir, flags: &[&str]) -> StandIn {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firstbyte"));
        command.current_dir(home.path()).env("TMPDIR", home.path().join("tmp"));
        command.args(["run", "--image", "--api", "127.0.0.1:0"]).args(flags);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let log = follow(child.stdout.take().unwrap());
        let notes = follow(child.stderr.take().unwrap());
        let line = notes.wait("http://", 1).remove(0);
        let address = line.split("http://").nth(1).unwrap().split(',').next().unwrap().to_owned();
        StandIn { child, home, log, notes, address }
    }

    pub fn client(&self) -> Client {
        Client::new(&self.address)
    }

    /// Ends it as Ctrl-C does, and keeps its folder.
    #[track_caller]
    pub fn stop(mut self) -> TempDir {
        let pid = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{:?}", self.notes.all());
        std::mem::replace(&mut self.home, tempfile::tempdir().unwrap())
    }

    /// Ends it with SIGKILL.
    pub fn kill(mut self) -> TempDir {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::mem::replace(&mut self.home, tempfile::tempdir().unwrap())
    }

    /// Activates faults, and ends others.
    #[track_caller]
    pub fn control(&self, order: Value) -> Value {
        let body = order.to_string().into_bytes();
        let headers = vec![("Content-Type".into(), "application/json".into())];
        let reply = self.send("POST", "/control", headers, body).expect("it answers");
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        serde_json::from_slice(&reply.body).unwrap()
    }

    /// Sends any request on a connection of its own.
    pub fn send(
        &self,
        method: &str,
        target: &str,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    ) -> io::Result<Reply> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let request = Request { method: method.into(), target: target.into(), headers, body };
        request.write(&mut &stream)?;
        match Reply::read(&mut BufReader::new(&stream), method) {
            Ok((reply, _)) => Ok(reply),
            Err(emulator::wire::WireError::Io(error)) => Err(error),
            Err(error) => Err(io::Error::other(error.to_string())),
        }
    }

    /// Calls Tencent's own command line; returns its JSON, or its text on standard error.
    pub fn tccli(&self, arguments: &[&str]) -> Result<Value, String> {
        let output = Command::new("tccli")
            .args(arguments)
            .args(["--endpoint", &format!("http://{}", self.address), "--region", "ap-guangzhou"])
            .env("TENCENTCLOUD_SECRET_ID", "test-id")
            .env("TENCENTCLOUD_SECRET_KEY", "test-key")
            .env("HOME", self.home.path())
            .stdin(Stdio::null())
            .output()
            .expect("tccli is installed; `build/setup --deploy` does that");
        match output.status.success() {
            true => Ok(serde_json::from_slice(&output.stdout).expect("it prints JSON")),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()
                + &String::from_utf8_lossy(&output.stdout)),
        }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            let pid = Pid::from_raw(self.child.id().cast_signed()).unwrap();
            let _ = kill_process(pid, Signal::TERM); // so that it removes its instances
            let _ = self.child.wait();
        }
    }
}

/// Signs requests as the SDK does.
#[derive(Clone)]
pub struct Client {
    pub address: String,
    pub credential: Credential,
    /// Added to the time of requests, in seconds.
    pub skew: i64,
}

impl Client {
    pub fn new(address: &str) -> Client {
        let credential = Credential::new("test-id", "test-key");
        Client { address: address.to_owned(), credential, skew: 0 }
    }

    /// The Response's members, or `code: message` of its error.
    pub fn call(&self, action: &str, parameters: Value) -> Result<Value, String> {
        self.act("scf", "2018-04-16", action, &parameters.to_string()).map_err(|e| e.to_string())?
    }

    /// Makes a call that must succeed.
    #[track_caller]
    pub fn ok(&self, action: &str, parameters: Value) -> Value {
        self.call(action, parameters).unwrap_or_else(|error| panic!("{action}: {error}"))
    }

    /// Makes a call that must fail; returns its error.
    #[track_caller]
    pub fn fails(&self, action: &str, parameters: Value) -> String {
        match self.call(action, parameters) {
            Err(error) => error,
            Ok(answer) => panic!("{action} succeeds: {answer}"),
        }
    }

    /// Sends a signed request; the outer error is that of the connection.
    pub fn act(
        &self,
        service: &str,
        version: &str,
        action: &str,
        body: &str,
    ) -> io::Result<Result<Value, String>> {
        let host = format!("http://{}", self.address);
        let signed = [("Content-Type", "application/json"), ("Host", host.as_str())];
        let payload = body.as_bytes();
        let call = Call { method: "POST", path: "/", query: "", headers: &signed, payload };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let seconds = now.cast_signed() + self.skew;
        let authorization = sign(&call, &self.credential, service, seconds);
        let mut headers: Vec<(String, String)> =
            signed.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        headers.extend([
            ("Authorization".into(), authorization),
            ("X-TC-Action".into(), action.into()),
            ("X-TC-Version".into(), version.into()),
            ("X-TC-Timestamp".into(), seconds.to_string()),
            ("X-TC-Region".into(), "ap-guangzhou".into()),
        ]);
        let stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let body = body.as_bytes().to_vec();
        let request = Request { method: "POST".into(), target: "/".into(), headers, body };
        request.write(&mut &stream)?;
        let reply = match Reply::read(&mut BufReader::new(&stream), "POST") {
            Ok((reply, _)) => reply,
            Err(emulator::wire::WireError::Io(error)) => return Err(error),
            Err(error) => return Err(io::Error::other(error.to_string())),
        };
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        let answer: Value = serde_json::from_slice(&reply.body).expect("JSON");
        let response = answer["Response"].clone();
        assert!(response["RequestId"].is_string(), "{answer}");
        Ok(match response.get("Error") {
            Some(error) => Err(format!(
                "{}: {}",
                error["Code"].as_str().unwrap(),
                error["Message"].as_str().unwrap()
            )),
            None => Ok(response),
        })
    }

    /// Makes a function and waits until it is Active.
    #[track_caller]
    pub fn create(&self, name: &str) {
        self.ok("CreateFunction", create(name));
        self.wait(name, "$LATEST", "Active");
    }

    /// Publishes a version and waits until it is Active.
    #[track_caller]
    pub fn publish(&self, name: &str) -> String {
        let made = self.ok("PublishVersion", json!({"FunctionName": name}));
        let number = made["FunctionVersion"].as_str().unwrap().to_owned();
        self.wait(name, &number, "Active");
        number
    }

    /// Waits until a version has that status.
    #[track_caller]
    pub fn wait(&self, name: &str, qualifier: &str, status: &str) {
        let started = Instant::now();
        loop {
            let about = json!({"FunctionName": name, "Qualifier": qualifier});
            let found = self.ok("GetFunction", about);
            if found["Status"] == status {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{name} stays {}", found["Status"]);
            thread::sleep(Duration::from_millis(20)); // the API has no notification
        }
    }

    /// Calls with an order and LogType Tail; returns the Result.
    #[track_caller]
    pub fn tell(&self, name: &str, qualifier: &str, order: &str) -> Value {
        let event = json!({"do": order}).to_string();
        let call = json!({
            "FunctionName": name, "Qualifier": qualifier, "Event": event, "LogType": "Tail",
        });
        self.ok("InvokeFunction", call)["Result"].take()
    }

    /// Lines of a topic that match, as their SCF_Message, in order.
    #[track_caller]
    pub fn search(&self, query: &str) -> Vec<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        let body = json!({
            "TopicId": emulator::api::content::TOPIC,
            "From": now - 3_600_000, "To": now + 3_600_000,
            "QueryString": query, "QuerySyntax": 1, "Limit": 1000, "Sort": "asc",
        });
        let found = self.act("cls", "2020-10-16", "SearchLog", &body.to_string());
        let found = found.unwrap().unwrap_or_else(|error| panic!("SearchLog: {error}"));
        let message = |line: &Value| -> String {
            let json: Value = serde_json::from_str(line["LogJson"].as_str().unwrap()).unwrap();
            json["SCF_Message"].as_str().unwrap().to_owned()
        };
        found["Results"].as_array().unwrap().iter().map(message).collect()
    }
}

/// CreateFunction's parameters.
pub fn create(name: &str) -> Value {
    json!({
        "FunctionName": name,
        "Runtime": "CustomImage",
        "MemorySize": 128,
        "Code": {"ImageConfig": {
            "ImageType": "personal",
            "ImageUri": "ccr.ccs.tencentyun.com/team/moody:v1",
        }},
    })
}

/// Whether Tencent's command line is installed; prints it if not.
pub fn has_tccli() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has = std::env::split_paths(&path).any(|folder| folder.join("tccli").is_file());
    if !has {
        eprintln!("skipped: no tccli here; `build/setup --deploy` installs it");
    }
    has
}

fn follow(output: impl Read + Send + 'static) -> Lines {
    let lines = Lines::default();
    let mut to = lines.clone();
    thread::spawn(move || {
        BufReader::new(output)
            .lines()
            .map_while(Result::ok)
            .for_each(|line| drop(to.write_all(line.as_bytes())));
    });
    lines
}

/// Names of the files in a folder.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
