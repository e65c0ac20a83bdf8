//! Registry in memory with faults: at one step of a push or pull, of one kind, a number of times.
//! It stores the requests, and whether a tag was ever set to an incomplete image. OCI
//! distribution-spec 1.1.

use microimage::digest::Digest;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Step of a push or pull.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// `GET /v2/`
    Knock,
    /// `GET` or `POST /token`
    Token,
    /// `HEAD` of a blob
    Look,
    /// `POST`: an upload begins
    Begin,
    /// `PATCH`: bytes of an upload
    Piece,
    /// `GET` of an upload: its offset
    Offset,
    /// `PUT`: an upload ends
    End,
    /// `PUT` of a manifest
    Tag,
    /// `GET` of a manifest
    Manifest,
    /// `GET` of a blob
    Blob,
}

/// Kind of a fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// A status, with `Retry-After` if there is one.
    Status(u16, Option<&'static str>),
    /// The connection is reset in the middle of the request's content, before the request takes
    /// effect.
    Reset,
    /// The request takes effect, and the connection is reset instead of a reply.
    LostReply,
    /// The reply's content ends in the middle.
    Truncated,
    /// The reply's content is other bytes of the same length.
    OtherBytes,
    /// The reply's content has no end.
    Endless,
    /// The reply is delayed.
    Slow(Duration),
    /// The token becomes invalid.
    ExpiredToken,
    /// A redirect.
    Redirect(String),
}

/// A fault, its step, and how often it happens.
pub struct Plan {
    pub step: Step,
    pub fault: Fault,
    pub times: u32,
}

/// A request as it was received.
#[derive(Clone, Debug)]
pub struct Asked {
    pub step: Step,
    pub path: String,
    pub authorization: String,
    pub range: String,
}

#[derive(Default)]
struct State {
    blobs: HashMap<String, Vec<u8>>,
    uploads: HashMap<u64, Vec<u8>>,
    manifests: BTreeMap<String, Vec<u8>>,
    asked: Vec<Asked>,
    plans: Vec<Plan>,
    /// Tags that were set although a part of their image was missing.
    half_pushed: Vec<String>,
    /// The valid token.
    token: u64,
    next_upload: u64,
}

/// Settings of the registry.
#[derive(Clone, Default)]
pub struct Setup {
    /// `Some(user:password)`: a token is required, and issued for these credentials.
    pub login: Option<&'static str>,
    /// Whether ranges of blobs are ignored.
    pub no_ranges: bool,
    /// The largest piece of an upload, in bytes; 0 means no limit.
    pub max_piece: usize,
    /// Whether `subject` is supported.
    pub referrers: bool,
    /// The realm to send clients to, in place of this registry.
    pub realm: Option<String>,
}

/// The registry, listening on loopback until the process ends.
pub struct Stumbling {
    pub address: String,
    state: Arc<Mutex<State>>,
}

impl Stumbling {
    pub fn start(setup: Setup, plans: Vec<Plan>) -> Stumbling {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let state = Arc::new(Mutex::new(State { plans, ..State::default() }));
        let (shared, own) = (Arc::clone(&state), address.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let server = Server {
                    state: Arc::clone(&shared),
                    setup: setup.clone(),
                    address: own.clone(),
                };
                thread::spawn(move || {
                    // A client may close its connection at any time.
                    let _ = stream.and_then(|stream| server.serve(&stream));
                });
            }
        });
        Stumbling { address, state }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.state.lock().expect("no panic there").asked.clone()
    }

    pub fn asked_for(&self, step: Step) -> usize {
        self.asked().iter().filter(|asked| asked.step == step).count()
    }

    pub fn manifest(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state.lock().expect("no panic there");
        state.manifests.iter().find(|(key, _)| key.ends_with(name)).map(|(_, m)| m.clone())
    }

    pub fn blobs(&self) -> usize {
        self.state.lock().expect("no panic there").blobs.len()
    }

    pub fn half_pushed(&self) -> Vec<String> {
        self.state.lock().expect("no panic there").half_pushed.clone()
    }

    /// Sets the faults from now on.
    pub fn plan(&self, plans: Vec<Plan>) {
        self.state.lock().expect("no panic there").plans = plans;
    }
}

struct Server {
    state: Arc<Mutex<State>>,
    setup: Setup,
    address: String,
}

struct Asking {
    method: String,
    path: String,
    query: String,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn new(status: u16) -> Answer {
        Answer { status, headers: Vec::new(), body: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Answer {
        self.headers.push((name, value.into()));
        self
    }

    fn body(mut self, body: impl Into<Vec<u8>>) -> Answer {
        self.body = body.into();
        self
    }
}

impl Server {
    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let mut words = line.split(' ');
            let method = words.next().unwrap_or_default().to_owned();
            let target = words.next().unwrap_or_default().to_owned();
            let (path, query) = target.split_once('?').unwrap_or((&target, ""));
            let mut headers = HashMap::new();
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line)? <= 2 {
                    break;
                }
                let (name, value) = line.split_once(':').unwrap_or_default();
                headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            }
            let length =
                headers.get("content-length").and_then(|v| v.parse().ok()).unwrap_or(0_u64);
            let (path, query) = (path.to_owned(), query.to_owned());
            let mut asking = Asking { method, path, query, headers, body: Vec::new() };
            let step = asking.step();
            let fault = self.note(step, &asking);
            if fault == Some(Fault::Reset) {
                (&mut reader).take(length / 2).read_to_end(&mut asking.body)?;
                if step == Step::Piece {
                    // bytes that have arrived are kept, as in a real registry
                    self.append(&asking);
                }
                return reset(stream);
            }
            (&mut reader).take(length).read_to_end(&mut asking.body)?;
            match &fault {
                Some(Fault::Status(status, wait)) => {
                    let mut answer = Answer::new(*status).body("stumbled");
                    if let Some(wait) = wait {
                        answer = answer.with("Retry-After", *wait);
                    }
                    send(stream, &asking, &answer, None)?;
                    continue;
                }
                Some(Fault::Redirect(to)) => {
                    send(stream, &asking, &Answer::new(307).with("Location", to), None)?;
                    continue;
                }
                Some(Fault::Slow(time)) => thread::sleep(*time), // the fault itself
                Some(Fault::ExpiredToken) => {
                    self.state.lock().expect("no panic there").token += 1;
                }
                _ => {}
            }
            let answer = self.answer(step, &asking);
            if fault == Some(Fault::LostReply) {
                return reset(stream);
            }
            send(stream, &asking, &answer, fault.as_ref())?;
            if matches!(fault, Some(Fault::Truncated | Fault::Endless)) {
                return stream.shutdown(Shutdown::Both);
            }
        }
    }

    /// Stores the request, and returns the fault to apply.
    fn note(&self, step: Step, asking: &Asking) -> Option<Fault> {
        let mut state = self.state.lock().expect("no panic there");
        let header = |name: &str| asking.headers.get(name).cloned().unwrap_or_default();
        state.asked.push(Asked {
            step,
            path: asking.path.clone(),
            authorization: header("authorization"),
            range: header("range"),
        });
        let plan = state.plans.iter_mut().find(|plan| plan.step == step && plan.times > 0)?;
        plan.times -= 1;
        Some(plan.fault.clone())
    }

    fn append(&self, asking: &Asking) -> Option<usize> {
        let id: u64 = asking.path.rsplit('/').next()?.parse().ok()?;
        let mut state = self.state.lock().expect("no panic there");
        let upload = state.uploads.get_mut(&id)?;
        upload.extend_from_slice(&asking.body);
        Some(upload.len())
    }

    fn answer(&self, step: Step, asking: &Asking) -> Answer {
        if step == Step::Token {
            return self.token(asking);
        }
        if self.setup.login.is_some() {
            let token = self.state.lock().expect("no panic there").token;
            let shown = asking.headers.get("authorization").cloned().unwrap_or_default();
            if shown != format!("Bearer t{token}") {
                let own = format!("http://{}/token", self.address);
                let realm = self.setup.realm.clone().unwrap_or(own);
                return Answer::new(401).with(
                    "WWW-Authenticate",
                    format!("Bearer realm=\"{realm}\",service=\"stumbling\""),
                );
            }
        }
        let repository = asking.path.strip_prefix("/v2/").unwrap_or_default();
        let last = asking.path.rsplit('/').next().unwrap_or_default().to_owned();
        let mut state = self.state.lock().expect("no panic there");
        match step {
            Step::Knock => Answer::new(200).body("{}"),
            Step::Token => unreachable!("answered above"),
            Step::Look | Step::Blob => {
                let Some(blob) = state.blobs.get(&last) else { return Answer::new(404) };
                let range = asking.headers.get("range").filter(|_| !self.setup.no_ranges);
                let from = range
                    .and_then(|range| range.strip_prefix("bytes="))
                    .and_then(|range| range.strip_suffix('-'))
                    .and_then(|first| first.parse::<usize>().ok());
                match from {
                    Some(from) if from < blob.len() => {
                        let content_range =
                            format!("bytes {from}-{}/{}", blob.len() - 1, blob.len());
                        Answer::new(206).with("Content-Range", content_range).body(&blob[from..])
                    }
                    Some(_) => Answer::new(416),
                    None => Answer::new(200).body(blob.clone()),
                }
            }
            Step::Begin => {
                let mounted = asking.query.split('&').find_map(|pair| pair.strip_prefix("mount="));
                if mounted.is_some_and(|digest| state.blobs.contains_key(digest)) {
                    return Answer::new(201).with("Location", "/v2/mounted");
                }
                state.next_upload += 1;
                let id = state.next_upload;
                state.uploads.insert(id, Vec::new());
                Answer::new(202).with("Location", format!("{}{id}?state=a%2Fb", asking.path))
            }
            Step::Offset | Step::Piece => {
                let is_piece = step == Step::Piece;
                if is_piece && self.setup.max_piece > 0 && asking.body.len() > self.setup.max_piece
                {
                    return Answer::new(413);
                }
                drop(state);
                let empty = Asking { body: Vec::new(), ..asking.copy() };
                let Some(held) = self.append(&empty) else { return Answer::new(404) };
                let first = asking
                    .headers
                    .get("content-range")
                    .and_then(|range| range.split('-').next()?.parse::<usize>().ok());
                let held = match first {
                    Some(first) if is_piece && first != held => {
                        return Answer::new(416).with("Range", range_of(held));
                    }
                    _ if is_piece => self.append(asking).unwrap_or(0),
                    _ => held,
                };
                let status = if is_piece { 202 } else { 204 };
                Answer::new(status)
                    .with("Range", range_of(held))
                    .with("Location", format!("{}?state=a%2Fb", asking.path))
            }
            Step::End => {
                let Some(id) = last.parse::<u64>().ok() else { return Answer::new(404) };
                let Some(mut held) = state.uploads.remove(&id) else { return Answer::new(404) };
                held.extend_from_slice(&asking.body);
                let found = Digest::of(&held).to_string();
                let wanted = asking.query.split('&').find_map(|pair| pair.strip_prefix("digest="));
                let wanted = wanted.unwrap_or_default().replace("%3A", ":");
                if found != wanted {
                    return Answer::new(400)
                        .body(r#"{"errors":[{"code":"DIGEST_INVALID","message":"other bytes"}]}"#);
                }
                state.blobs.insert(found.clone(), held);
                Answer::new(201).with("Docker-Content-Digest", found)
            }
            Step::Tag => {
                let digest = Digest::of(&asking.body).to_string();
                let manifest: serde_json::Value =
                    serde_json::from_slice(&asking.body).unwrap_or_default();
                let parts = manifest["layers"].as_array().into_iter().flatten();
                let parts = parts.chain(manifest.get("config"));
                let missing = parts
                    .filter_map(|part| part["digest"].as_str())
                    .any(|part| !state.blobs.contains_key(part));
                if missing {
                    state.half_pushed.push(asking.path.clone());
                }
                let by_digest = format!("{}/{digest}", asking.path.rsplit_once('/').unwrap().0);
                state.manifests.insert(by_digest, asking.body.clone());
                state.manifests.insert(asking.path.clone(), asking.body.clone());
                let answer = Answer::new(201).with("Docker-Content-Digest", digest);
                match manifest["subject"]["digest"].as_str() {
                    Some(subject) if self.setup.referrers => answer.with("OCI-Subject", subject),
                    _ => answer,
                }
            }
            Step::Manifest => match state.manifests.get(&format!("/v2/{repository}")) {
                Some(manifest) => Answer::new(200).body(manifest.clone()),
                None => Answer::new(404),
            },
        }
    }

    fn token(&self, asking: &Asking) -> Answer {
        use base64::Engine as _;
        let login = self.setup.login.unwrap_or_default();
        let basic = base64::engine::general_purpose::STANDARD.encode(login);
        let shown = asking.headers.get("authorization").cloned().unwrap_or_default();
        let body = String::from_utf8_lossy(&asking.body).into_owned();
        let is_identity = asking.method == "POST" && body.contains("refresh_token=r3fresh&");
        if shown != format!("Basic {basic}") && !is_identity {
            return Answer::new(401);
        }
        let token = self.state.lock().expect("no panic there").token;
        Answer::new(200).body(format!(r#"{{"access_token":"t{token}","expires_in":60}}"#))
    }
}

impl Asking {
    fn step(&self) -> Step {
        let path = self.path.as_str();
        match self.method.as_str() {
            _ if path == "/token" => Step::Token,
            _ if path == "/v2/" => Step::Knock,
            "HEAD" => Step::Look,
            "POST" => Step::Begin,
            "PATCH" => Step::Piece,
            "GET" if path.contains("/blobs/uploads/") => Step::Offset,
            "PUT" if path.contains("/manifests/") => Step::Tag,
            "PUT" => Step::End,
            _ if path.contains("/manifests/") => Step::Manifest,
            _ => Step::Blob,
        }
    }

    fn copy(&self) -> Asking {
        Asking {
            method: self.method.clone(),
            path: self.path.clone(),
            query: self.query.clone(),
            headers: self.headers.clone(),
            body: Vec::new(),
        }
    }
}

fn range_of(held: usize) -> String {
    format!("0-{}", held.saturating_sub(1))
}

fn send(
    mut stream: &TcpStream,
    asking: &Asking,
    answer: &Answer,
    fault: Option<&Fault>,
) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {} X\r\n", answer.status);
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if fault == Some(&Fault::Endless) {
        stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
        let blanks = vec![b' '; 1 << 16];
        loop {
            stream.write_all(&blanks)?; // until the client stops reading
        }
    }
    head += &format!("Content-Length: {}\r\n\r\n", answer.body.len());
    stream.write_all(head.as_bytes())?;
    if asking.method == "HEAD" {
        return Ok(());
    }
    match fault {
        Some(Fault::Truncated) => stream.write_all(&answer.body[..answer.body.len() / 2]),
        Some(Fault::OtherBytes) => {
            let mut body = answer.body.clone();
            if let Some(byte) = body.last_mut() {
                *byte ^= 1;
            }
            stream.write_all(&body)
        }
        _ => stream.write_all(&answer.body),
    }
}

/// Ends the connection as a crash does, with RST.
fn reset(stream: &TcpStream) -> io::Result<()> {
    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO))?;
    Ok(()) // the drop closes the connection
}
