//! Invocation: a caller's request that the platform's rules permit, and the request made of it for
//! an instance. Platform page "WebServer image function".

use crate::config::{Config, Mode};
use crate::fields;
use crate::verdict::InvocationVerdict;
use crate::wire::{Request, is_hop};
use microimage::scf::{self, header};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::IpAddr;

/// A request that the platform has accepted.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Its id; retries keep it.
    pub request_id: String,
    /// The caller's request.
    pub request: Request,
    is_timer: bool,
    client: Option<IpAddr>,
}

impl Invocation {
    /// Checks a request against the platform's rules: an event is JSON of at most `max_bytes`.
    ///
    /// # Errors
    /// 400 or 406.
    pub fn new(
        request: Request,
        mode: Mode,
        max_bytes: usize,
    ) -> Result<Invocation, InvocationVerdict> {
        if request.body.len() > max_bytes {
            return Err(InvocationVerdict::EventTooBig);
        }
        let is_timer = match mode {
            Mode::Event => {
                let event: serde_json::Value =
                    serde_json::from_slice(&request.body).map_err(|_| InvocationVerdict::NoJson)?;
                event.get("Type").is_some_and(|kind| kind == "Timer")
            }
            Mode::Web => false,
        };
        Ok(Invocation { request_id: new_id(), request, is_timer, client: None })
    }

    /// Whether a timer trigger sent it.
    pub fn is_timer(&self) -> bool {
        self.is_timer
    }

    /// Sets the client's address.
    pub(crate) fn sent_by(self, client: Option<IpAddr>) -> Invocation {
        Invocation { client, ..self }
    }

    /// The client's address, if known.
    pub fn client(&self) -> Option<IpAddr> {
        self.client
    }

    /// The request for the instance.
    pub(crate) fn outgoing(&self, config: &Config) -> Request {
        let mut headers = self.headers(config);
        let request = &self.request;
        match config.mode {
            Mode::Event => {
                headers.insert(0, ("Content-Type".into(), "application/json".into()));
                let (method, target) = ("POST".into(), scf::EVENT_PATH.into());
                Request { method, target, headers, body: request.body.clone() }
            }
            Mode::Web => {
                // Clients cannot set the platform's own names, and the emulator's fields are not
                // for the function.
                let is_reserved = |name: &str| {
                    let name = name.to_ascii_lowercase();
                    name.starts_with(scf::HEADER_PREFIX) || name.starts_with(fields::PREFIX)
                };
                let passed =
                    request.headers.iter().filter(|(name, _)| !is_hop(name) && !is_reserved(name));
                headers.splice(0..0, passed.cloned());
                Request { headers, ..request.clone() }
            }
        }
    }

    /// The headers that the platform adds to a request. The units of memory and time-out are not
    /// documented; these are MB and seconds, as configured.
    fn headers(&self, config: &Config) -> Vec<(String, String)> {
        let mut headers = vec![
            (header::REQUEST_ID, self.request_id.clone()),
            (header::MEMORY, config.memory_mib.to_string()),
            (header::TIMEOUT, config.timeout.as_secs().max(1).to_string()),
            (header::VERSION, config.version.clone()),
            (header::NAME, config.name.clone()),
            (header::NAMESPACE, config.namespace.clone()),
            (header::REGION, config.region.clone()),
            (header::APP_ID, config.app_id.clone()),
            (header::UIN, config.uin.clone()),
        ];
        if config.role {
            headers.extend([
                (header::SESSION_TOKEN, "EXAMPLE-TOKEN".to_owned()),
                (header::SECRET_ID, "EXAMPLE-ID".to_owned()),
                (header::SECRET_KEY, "EXAMPLE-KEY".to_owned()),
            ]);
        }
        if config.mode == Mode::Event && self.is_timer {
            headers.push((header::TRIGGER_SOURCE, "Timer".to_owned()));
        }
        if let (Mode::Web, Some(client)) = (config.mode, self.client) {
            headers.push((header::REMOTE_ADDRESS, client.to_string()));
        }
        headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// A request id in the platform's form, a random UUID. Its numbers come from the keys that std
/// draws for each hash map: ids must differ, and need no other property.
pub(crate) fn new_id() -> String {
    let [a, b] = [(); 2].map(|()| RandomState::new().build_hasher().finish());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        a >> 32,
        a >> 16 & 0xffff,
        a & 0xfff,
        b >> 48 & 0x3fff | 0x8000,
        b & 0xffff_ffff_ffff
    )
}
