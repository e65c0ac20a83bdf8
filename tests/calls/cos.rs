//! Stand-in for COS on loopback: it has one object, and checks each signature as the documentation
//! says that a server does, from the received request.

use ring::{digest, hmac};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

/// Temporary credentials.
pub struct Role {
    pub id: &'static str,
    pub key: &'static str,
    pub token: &'static str,
}

pub const ROLE: Role =
    Role { id: "AKIDexample", key: "a-key-that-is-unknown", token: "token/of+a==session" };

pub struct StandIn {
    pub address: SocketAddr,
    sessions: Arc<Mutex<Vec<TcpStream>>>,
}

impl StandIn {
    pub fn start() -> StandIn {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let sessions = Arc::new(Mutex::new(Vec::new()));
        let shared = sessions.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten().take(1000) {
                let copy = stream.try_clone().expect("a descriptor is free");
                shared.lock().expect("no thread panics").push(copy);
                thread::spawn(move || serve(stream));
            }
        });
        StandIn { address, sessions }
    }

    pub fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }

    pub fn connections(&self) -> usize {
        self.sessions.lock().expect("no thread panics").len()
    }

    pub fn end_sessions(&self) {
        for session in self.sessions.lock().expect("no thread panics").iter() {
            let _ = session.shutdown(Shutdown::Both);
        }
    }
}

fn serve(stream: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let mut words = line.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut fields = HashMap::new();
        loop {
            let mut field = String::new();
            reader.read_line(&mut field).ok()?;
            let Some((name, value)) = field.split_once(':') else { break };
            fields.insert(name.to_lowercase(), value.trim().to_owned());
        }
        let (status, body) = match check(&method, &target, &fields) {
            Err(problem) => (403, error("SignatureDoesNotMatch", problem)),
            Ok(()) if target == "/missing" => {
                (404, error("NoSuchKey", "The specified key does not exist."))
            }
            Ok(()) => (200, "ObjectContent".to_owned()),
        };
        write!(&stream, "HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            .ok()?;
    }
}

fn error(code: &str, message: &str) -> String {
    format!("<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>")
}

fn check(method: &str, target: &str, fields: &HashMap<String, String>) -> Result<(), &'static str> {
    let given = fields.get("authorization").ok_or("no signature")?;
    let given: HashMap<_, _> = given.split('&').filter_map(|part| part.split_once('=')).collect();
    let get = |name| given.get(name).copied().ok_or("a part is missing");
    if get("q-ak")? != ROLE.id || get("q-sign-algorithm")? != "sha1" {
        return Err("another secret, or another algorithm");
    }
    if fields.get("x-cos-security-token").map(String::as_str) != Some(ROLE.token) {
        return Err("no session");
    }
    let time = get("q-key-time")?;
    let (start, end) = time.split_once(';').ok_or("no time")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    let number = |text: &str| text.parse::<u64>().map_err(|_| "no number");
    if !(number(start)?..number(end)?).contains(&now) {
        return Err("not now");
    }
    // The documentation's input of a check: decoded path, parameters and fields by name.
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let parameters: HashMap<_, _> = query
        .split('&')
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let listed = |list: &str, of: &dyn Fn(&str) -> Option<String>| {
        let names = list.split(';').filter(|name| !name.is_empty());
        let pairs = names.map(|name| Some(format!("{name}={}", of(name)?)));
        pairs.collect::<Option<Vec<_>>>().map(|pairs| pairs.join("&")).ok_or("a name is missing")
    };
    let query = listed(get("q-url-param-list")?, &|name| parameters.get(name).cloned())?;
    let headers = get("q-header-list")?;
    if !headers.split(';').any(|name| name == "host") {
        return Err("the host is not signed");
    }
    let headers = listed(headers, &|name| fields.get(name).map(|value| escape(value)))?;
    let path = if target == "/tampered" { "/other".into() } else { unescape(path) };
    let http = format!("{}\n{path}\n{query}\n{headers}\n", method.to_lowercase());
    let digest = hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, http.as_bytes()).as_ref());
    let signature = sign(&sign(ROLE.key, time), &format!("sha1\n{time}\n{digest}\n"));
    if signature == get("q-signature")? { Ok(()) } else { Err("another signature") }
}

fn sign(key: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
    hex(hmac::sign(&key, text.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn escape(text: &str) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    text.bytes()
        .map(|byte| if is_plain(&byte) { char::from(byte).into() } else { format!("%{byte:02X}") })
        .collect()
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut parts = text.split('%');
    bytes.extend(parts.next().unwrap_or_default().bytes());
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).expect("two digits"));
        bytes.extend(part[2..].bytes());
    }
    String::from_utf8(bytes).expect("it is UTF-8")
}
