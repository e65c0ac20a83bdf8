//! Function URLs: a request whose `Host` is `APPID-ID.REGION.tencentscf.com` reaches a real
//! instance. A Web function gets the request unchanged. An event function gets the event of
//! 583/96099, and its result becomes the response.

use crate::api::error::ApiError;
use crate::api::session::Session;
use crate::api::trigger::host;
use crate::wire::{Fields, Reply, Request, field};
use serde_json::{Map, Value, json};
use std::net::IpAddr;
use std::sync::Arc;

/// The end of each function URL's host.
const DOMAIN: &str = ".tencentscf.com";

/// Whether a request is for a function URL.
pub(super) fn is_for_url(request: &Request) -> bool {
    name(request).ends_with(DOMAIN)
}

/// The host without a port, in lower case.
fn name(request: &Request) -> String {
    let host = field(&request.headers, "host").unwrap_or_default().to_ascii_lowercase();
    host.split(':').next().unwrap_or_default().to_owned()
}

impl Session {
    /// Answers a request for a function URL.
    pub(super) fn answer_url(self: &Arc<Self>, request: Request, client: IpAddr) -> Reply {
        let refuse = |status: u16, error: &ApiError| {
            let body = json!({"errorCode": -1, "errorMessage": error.message});
            Reply::new(status, "application/json", body.to_string())
        };
        let (namespace, function, qualifier, is_web) = match self.find_url(&request) {
            Ok(found) => found,
            Err((status, error)) => return refuse(status, &error),
        };
        let target = match self.target(&namespace, &function, &qualifier, Some(is_web)) {
            Ok(target) => target,
            Err(error) => return refuse(433, &error),
        };
        let sent = if is_web { request } else { event(&request, client) };
        match self.run(target, sent, Some(client)) {
            Err(error) => refuse(500, &error),
            Ok(outcome) => match (outcome.failed, outcome.reply) {
                (None, Some(reply)) if is_web => reply,
                (None, Some(reply)) => response(&reply),
                (failed, _) => {
                    let status = outcome.call.status;
                    Reply::new(status, "application/json", failed.unwrap_or_default())
                }
            },
        }
    }

    fn find_url(
        &self,
        request: &Request,
    ) -> Result<(String, String, String, bool), (u16, ApiError)> {
        let name = name(request);
        let (app_id, region) = (&self.base.app_id, &self.base.region);
        let found = self.read(|world, _| {
            for function in world.functions.values() {
                for trigger in &function.triggers {
                    let is = |inside| host(app_id, &trigger.url_id, region, inside) == name;
                    if trigger.url_id.is_empty() || !(is(false) || is(true)) {
                        continue;
                    }
                    let about: Value =
                        serde_json::from_str(&trigger.description).unwrap_or_default();
                    let net = if is(true) { "EnableIntranet" } else { "EnableExtranet" };
                    let is_open = trigger.enabled && about["NetConfig"][net] == true;
                    let needs_key = about["AuthType"] == "CAM";
                    let (namespace, name) = (function.namespace.clone(), function.name.clone());
                    let qualifier = trigger.qualifier.clone();
                    return Ok(Some((
                        (namespace, name, qualifier, function.is_web),
                        is_open,
                        needs_key,
                    )));
                }
            }
            Ok(None)
        });
        let refuse = |status, what: &str| Err((status, ApiError::new("FunctionUrl", what)));
        match found {
            Ok(Some((_, false, _))) => refuse(404, "the URL is not open on this network"),
            Ok(Some((_, _, true))) => {
                refuse(401, "CAM signatures of function URLs are not emulated")
            }
            Ok(Some((found, true, false))) => Ok(found),
            Ok(None) => refuse(404, "the function URL does not exist"),
            Err(error) => Err((500, error)),
        }
    }
}

/// The event that an event function gets for a request.
fn event(request: &Request, client: IpAddr) -> Request {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let mut headers = Map::new();
    for (name, value) in &request.headers {
        headers.insert(name.to_ascii_lowercase(), value.as_str().into());
    }
    headers.insert("x-scf-remote-addr".into(), client.to_string().into());
    let mut fields = Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        fields.insert(decoded(name), decoded(value).into());
    }
    let event = json!({
        "httpMethod": request.method,
        "path": path,
        "queryString": fields,
        "headers": headers,
        "body": String::from_utf8_lossy(&request.body),
    });
    Request {
        method: "POST".into(),
        target: "/".into(),
        headers: Vec::new(),
        body: event.to_string().into_bytes(),
    }
}

fn decoded(text: &str) -> String {
    let bytes = text.replace('+', " ").into_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match digits.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(value) if byte == b'%' => {
                out.push(value);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The response of a result: with `statusCode` the described response, otherwise 200 with the
/// result as its body.
fn response(reply: &Reply) -> Reply {
    let whole = || Reply::new(200, "application/json", reply.body.clone());
    let Ok(Value::Object(result)) = serde_json::from_slice(&reply.body) else { return whole() };
    let status = result.get("statusCode").and_then(Value::as_u64);
    let Some(status) = status.and_then(|status| u16::try_from(status).ok()) else { return whole() };
    if !(200..600).contains(&status) {
        let body = json!({"errorMessage": "the function's statusCode is invalid"}).to_string();
        return Reply::new(502, "application/json", body);
    }
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let is_plain =
        |text: &str| text.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte));
    let mut headers: Fields = Vec::new();
    for (name, value) in result.get("headers").and_then(Value::as_object).into_iter().flatten() {
        let values = match value {
            Value::Array(values) => values.iter().map(text).collect(),
            other => vec![text(other)],
        };
        let is_name = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        let right = values.into_iter().filter(|value| is_name && is_plain(value));
        headers.extend(right.map(|value| (name.clone(), value)));
    }
    let body = result.get("body").map(text).unwrap_or_default();
    Reply { status, headers, body: body.into_bytes() }
}
