//! Server of the API on loopback: HTTP/1.1, requests signed with TC3-HMAC-SHA256 by the test key,
//! and `/control`, which sets faults. As in the cloud, errors of the API have HTTP status 200.

use crate::api::clock::http_date;
use crate::api::error::ApiError;
use crate::api::fault::Fault;
use crate::api::service::{Answer, respond};
use crate::api::session::Session;
use crate::api::url::is_for_url;
use crate::sync::lock;
use crate::wire::{Reply, Request, WireError, field};
use rustix::net::sockopt::set_socket_linger;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, BufReader};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use tc3::{Call, Credential};

/// Largest number of concurrent clients.
const MAX_CONNECTIONS: usize = 1024;
/// "A request of TC3-HMAC-SHA256 has at most 10 MB" (document 213/30654).
const MAX_REQUEST_BYTES: usize = 10 << 20;
/// Idle time after which the server closes a connection.
const IDLE_LIMIT: Duration = Duration::from_secs(75);

/// The open listener. Dropping it closes it.
pub struct Door {
    address: SocketAddr,
    listener: Arc<TcpListener>,
    connections: Arc<Mutex<BTreeMap<u64, TcpStream>>>,
    closing: Arc<AtomicBool>,
}

impl Door {
    /// Opens the listener for requests that are signed with this key.
    ///
    /// # Errors
    /// If the address is not on loopback, or the server cannot listen on it.
    pub fn open(
        address: SocketAddr,
        session: Arc<Session>,
        credential: Credential,
    ) -> io::Result<Door> {
        if !address.ip().is_loopback() {
            let what = "it is not on the loopback; name an address such as 127.0.0.1:9002";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let listener = Arc::new(TcpListener::bind(address)?);
        let door = Door {
            address: listener.local_addr()?,
            listener: listener.clone(),
            connections: Arc::default(),
            closing: Arc::default(),
        };
        let (connections, closing) = (door.connections.clone(), door.closing.clone());
        let credential = Arc::new(credential);
        thread::Builder::new().name("api".into()).spawn(move || {
            for number in 0.. {
                if closing.load(Ordering::Relaxed) {
                    return;
                }
                let Ok((stream, peer)) = listener.accept() else { continue };
                let Ok(copy) = stream.try_clone() else { continue };
                let mut open = lock(&connections);
                if open.len() >= MAX_CONNECTIONS {
                    continue; // `drop` has closed the server
                }
                open.insert(number, copy);
                drop(open);
                let (session, credential) = (session.clone(), credential.clone());
                let its = connections.clone();
                let served = thread::Builder::new().name("client".into()).spawn(move || {
                    serve(stream, peer.ip(), &session, &credential);
                    lock(&its).remove(&number);
                });
                if served.is_err() {
                    lock(&connections).remove(&number);
                }
            }
        })?;
        Ok(door)
    }

    /// The address, with the chosen port if the caller named none.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        // wakes the accepting thread
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        for connection in std::mem::take(&mut *lock(&self.connections)).into_values() {
            let _ = connection.shutdown(Shutdown::Read); // replies in progress still arrive
        }
    }
}

fn serve(stream: TcpStream, client: IpAddr, session: &Arc<Session>, credential: &Credential) {
    let _ = stream.set_nodelay(true);
    let _ = stream.set_read_timeout(Some(IDLE_LIMIT));
    let mut reader = BufReader::new(stream);
    loop {
        let mut method = String::from("POST");
        let (reply, last) = match Request::read_up_to(&mut reader, MAX_REQUEST_BYTES) {
            Ok(None) => return,
            Ok(Some(request)) => {
                method.clone_from(&request.method);
                let last = field(&request.headers, "connection")
                    .is_some_and(|value| value.eq_ignore_ascii_case("close"));
                match answer(&request, client, session, credential) {
                    Some(reply) => (reply, last),
                    None => {
                        // Dropping the connection now resets it.
                        let _ = set_socket_linger(reader.get_ref(), Some(Duration::ZERO));
                        return;
                    }
                }
            }
            Err(WireError::TooBig) => {
                let what = format!("the request has more than {MAX_REQUEST_BYTES} bytes");
                (api(&Err(ApiError::new("RequestSizeLimitExceeded", what))), true)
            }
            Err(WireError::Syntax(why)) => (Reply::new(400, "text/plain", why + "\n"), true),
            Err(WireError::Closed | WireError::Io(_)) => return,
        };
        if reply.write(&method, reader.get_mut()).is_err() || last {
            return;
        }
    }
}

fn api(answered: &Result<Value, ApiError>) -> Reply {
    Reply::new(200, "application/json", respond(answered.clone()))
}

/// Adds the API's time to a reply: a client whose clock is wrong can see why the API refused it.
fn dated(mut reply: Reply, session: &Session) -> Reply {
    reply.headers.push(("Date".into(), http_date(session.now_ms())));
    reply
}

/// Answers a request; `None` if the server must reset the connection.
fn answer(
    request: &Request,
    client: IpAddr,
    session: &Arc<Session>,
    credential: &Credential,
) -> Option<Reply> {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    if path == "/control" {
        return Some(control(request, session));
    }
    if is_for_url(request) {
        return Some(session.answer_url(request.clone(), client));
    }
    let header = |name: &str| field(&request.headers, name).unwrap_or_default();
    let (action, version) = (header("x-tc-action"), header("x-tc-version"));
    if action.is_empty() {
        let what = "X-TC-Action is missing; sign requests with TC3-HMAC-SHA256";
        return Some(dated(api(&Err(ApiError::new("MissingParameter", what))), session));
    }
    let service = match admitted(request, path, query, session, credential) {
        Ok(service) => service,
        Err(error) => return Some(dated(api(&Err(error)), session)),
    };
    match session.answer(&service, version, action, &request.body) {
        Answer::Body(body) => Some(dated(Reply::new(200, "application/json", body), session)),
        Answer::Reset => None,
    }
}

/// Checks a request's signature; returns its service.
fn admitted(
    request: &Request,
    path: &str,
    query: &str,
    session: &Session,
    credential: &Credential,
) -> Result<String, ApiError> {
    let refused = |refusal: tc3::Refusal| ApiError::new(refusal.code(), refusal);
    if session.faults().happens("wrong-credentials") {
        return Err(refused(tc3::Refusal::SecretIdNotFound));
    }
    let headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let call =
        Call { method: &request.method, path, query, headers: &headers, payload: &request.body };
    let authorization = field(&request.headers, "authorization").unwrap_or_default();
    let timestamp = field(&request.headers, "x-tc-timestamp").unwrap_or_default();
    let Ok(seconds) = timestamp.parse() else {
        let what = "X-TC-Timestamp has to be seconds since 1970";
        return Err(ApiError::new("InvalidParameter", what));
    };
    let now = session.now_ms().div_euclid(1000);
    let known = |id: &str| (id == credential.id()).then_some(credential);
    tc3::verify(&call, authorization, seconds, now, known)
        .map(|verified| verified.service)
        .map_err(refused)
}

/// `GET /control` lists the faults in force. `POST /control` with `{"add": ["NAME=ARGUMENT*N"],
/// "clear": ["NAME"]}` or `{"clear": true}` changes them. The server accepts JSON only, because a
/// web page cannot send JSON to another origin without that origin's permission.
fn control(request: &Request, session: &Session) -> Reply {
    let faults = session.faults();
    let listed = || json!({"faults": faults.list()}).to_string();
    let refuse = |what: &str| Reply::new(400, "text/plain; charset=utf-8", format!("{what}\n"));
    match request.method.as_str() {
        "GET" => return Reply::new(200, "application/json", listed()),
        "POST" => {}
        _ => return refuse("invalid method; GET lists the faults, POST changes them"),
    }
    let kind = field(&request.headers, "content-type").unwrap_or_default();
    if kind.split(';').next().map(str::trim) != Some("application/json") {
        let what = "the content type is not application/json; send it with \
            {\"add\": [\"NAME=ARGUMENT\"], \"clear\": true}";
        return refuse(what);
    }
    let Ok(Value::Object(order)) = serde_json::from_slice(&request.body) else {
        return refuse("the body is not a JSON object");
    };
    if let Some(other) = order.keys().find(|key| !["add", "clear"].contains(&key.as_str())) {
        return refuse(&format!("unknown member `{other}`; the members are `add` and `clear`"));
    }
    let texts = |name: &str| -> Result<Vec<String>, String> {
        match order.get(name) {
            None | Some(Value::Bool(_)) => Ok(Vec::new()),
            Some(Value::String(one)) => Ok(vec![one.clone()]),
            Some(Value::Array(all)) => all
                .iter()
                .map(|one| one.as_str().map(str::to_owned).ok_or(format!("`{one}` is not text")))
                .collect(),
            Some(other) => Err(format!("`{name}` is `{other}`; it has to be a list of names")),
        }
    };
    let changed = texts("add").and_then(|add| {
        let add: Vec<Fault> =
            add.iter().map(|text| Fault::parse(text)).collect::<Result<_, _>>()?;
        Ok((add, texts("clear")?))
    });
    let (add, clear) = match changed {
        Ok(changed) => changed,
        Err(why) => return refuse(&why),
    };
    if order.get("clear") == Some(&Value::Bool(true)) {
        faults.clear(None);
    }
    clear.iter().for_each(|name| faults.clear(Some(name)));
    add.into_iter().for_each(|fault| faults.add(fault));
    Reply::new(200, "application/json", listed())
}
