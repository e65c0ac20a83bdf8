//! Calls: Invoke, InvokeFunction, GetRequestStatus. Each call reaches a real instance of its
//! version, and the instance's lines go to the log.

use crate::api::clock::{self, text};
use crate::api::content::Content;
use crate::api::error::ApiError;
use crate::api::fleet::Which;
use crate::api::function::namespace;
use crate::api::line::{Form, Line as Written, Request as LineRequest};
use crate::api::log::{Call, Line};
use crate::api::parameters::Parameters;
use crate::api::session::Session;
use crate::api::world::{DEFAULT, LATEST};
use crate::config::Config;
use crate::invocation::new_id;
use crate::invoker::InvocationResult;
use crate::platform::{Observers, Platform};
use crate::pool::StartedAhead;
use crate::start_up::StartUp;
use crate::sync::lock;
use crate::wire::{Reply, Request};
use serde_json::{Value, json};
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// "LogType=Tail returns 4 KB."
const TAIL_BYTES: usize = 4096;

/// A call in progress: the version that answers, and the data that the log needs.
#[derive(Clone, Debug)]
pub(super) struct Target {
    which: Which,
    content: Content,
    config: Config,
    call: Call,
}

/// Result of a call.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The request, in the log's form.
    pub call: Call,
    /// The platform's lines, and the function's own.
    pub lines: Vec<Written>,
    /// The failure's body.
    pub failed: Option<String>,
    /// The function's answer.
    pub reply: Option<Reply>,
}

impl Session {
    /// InvokeFunction: waits for the result.
    pub(super) fn invoke_function(self: &Arc<Self>, of: &Parameters) -> Result<Value, ApiError> {
        let qualifier = of.text("Qualifier").filter(|text| !text.is_empty()).unwrap_or(DEFAULT);
        self.invoke_event(of, qualifier, of.text("Event"))
    }

    /// Invoke: waits for the result, unless InvocationType is Event.
    pub(super) fn invoke(self: &Arc<Self>, of: &Parameters) -> Result<Value, ApiError> {
        let qualifier = of.text("Qualifier").filter(|text| !text.is_empty()).unwrap_or(LATEST);
        match of.text("InvocationType").unwrap_or("RequestResponse") {
            "RequestResponse" | "" => self.invoke_event(of, qualifier, of.text("ClientContext")),
            "Event" => self.invoke_later(of, qualifier, of.text("ClientContext")),
            other => Err(ApiError::new(
                "InvalidParameterValue.InvokeType",
                format_args!("InvocationType is `{other}`; it has to be RequestResponse or Event"),
            )),
        }
    }

    fn invoke_event(
        self: &Arc<Self>,
        of: &Parameters,
        qualifier: &str,
        event: Option<&str>,
    ) -> Result<Value, ApiError> {
        let tail = match of.text("LogType").unwrap_or("None") {
            "None" | "" => false,
            "Tail" => true,
            other => {
                return Err(ApiError::new(
                    "InvalidParameterValue.Param",
                    format_args!("LogType is `{other}`; it has to be None or Tail"),
                ));
            }
        };
        let target =
            self.target(namespace(of), of.required("FunctionName"), qualifier, Some(false))?;
        let event = checked(event, microimage::scf::MAX_BODY_BYTES)?;
        let outcome = self.run(target, request(event), None)?;
        let call = &outcome.call;
        let (returned, failed) = match outcome.failed {
            None => (call.returned.as_str(), String::new()),
            Some(body) => ("", body),
        };
        let milliseconds = call.duration_us as f64 / 1000.0;
        Ok(json!({"Result": {
            "Log": if tail { self.tail(&outcome.lines) } else { String::new() },
            "RetMsg": returned,
            "ErrMsg": failed,
            "MemUsage": call.used_bytes,
            "Duration": milliseconds,
            "BillDuration": call.duration_us.div_ceil(1000),
            "FunctionRequestId": call.id,
            "InvokeResult": if call.status == 200 { 0 } else { -1 },
        }}))
    }

    fn invoke_later(
        self: &Arc<Self>,
        of: &Parameters,
        qualifier: &str,
        event: Option<&str>,
    ) -> Result<Value, ApiError> {
        let target =
            self.target(namespace(of), of.required("FunctionName"), qualifier, Some(false))?;
        let event = checked(event, microimage::scf::MAX_ASYNC_BYTES)?;
        let id = self.send(&target, event)?;
        Ok(json!({"Result": {
            "Log": "", "RetMsg": "", "ErrMsg": "", "MemUsage": 0, "Duration": 0.0,
            "BillDuration": 0, "FunctionRequestId": id, "InvokeResult": 0,
        }}))
    }

    /// Accepts an asynchronous event. Returns its request id.
    pub(super) fn send(self: &Arc<Self>, target: &Target, event: &str) -> Result<String, ApiError> {
        let platform = self.platform(target)?;
        platform
            .send(request(event))
            .map_err(|verdict| ApiError::new("LimitExceeded.Quota", verdict))
    }

    /// The version that a call reaches. `web`, if given, is the type that the function must have.
    pub(super) fn target(
        &self,
        namespace: &str,
        name: &str,
        qualifier: &str,
        web: Option<bool>,
    ) -> Result<Target, ApiError> {
        if self.faults.happens("no-balance") {
            return Err(ApiError::new(
                "ResourceUnavailable.InsufficientBalance",
                "the account is in arrears; top it up first",
            ));
        }
        let lot = (RandomState::new().hash_one(0) >> 11) as f64 / (1u64 << 53) as f64;
        self.read(|world, now| {
            let function = world.function(namespace, name)?;
            if web.is_some_and(|web| web != function.is_web) {
                return Err(ApiError::new(
                    "FailedOperation.InvokeFunction",
                    "a Web function is called by its URL (CreateTrigger, Type http)",
                ));
            }
            let (alias, number) = function.resolve(qualifier, lot)?;
            let version = function.version(&number)?;
            if !version.answers() {
                let code = match number == LATEST {
                    true => "FailedOperation.FunctionStatusError",
                    false => "FailedOperation.FunctionVersionStatusNotActive",
                };
                let state = version.status.name();
                return Err(ApiError::new(
                    code,
                    format_args!("`{name}` version {number} is {state}; wait until it is Active"),
                ));
            }
            let content = version.content.clone();
            let base = Config {
                name: name.to_owned(),
                namespace: namespace.to_owned(),
                version: number.clone(),
                ..self.base.clone()
            };
            let config = content.config(&base, function.is_web);
            let call = Call {
                function: name.to_owned(),
                namespace: namespace.to_owned(),
                version: number.clone(),
                alias,
                start_ms: now,
                ..Call::default()
            };
            Ok(Target { which: Session::which(function, &number), content, config, call })
        })
    }

    /// The instances of a target.
    pub(super) fn platform(self: &Arc<Self>, target: &Target) -> Result<Arc<Platform>, ApiError> {
        let limit = self.faults.setting("burst").unwrap_or(500.0).max(0.0) as usize;
        self.fleet.limit_burst(limit);
        let observers = || {
            // Not the session itself: the session holds the platform, and the platform holds this
            // closure.
            let (session, target) = (Arc::downgrade(self), target.clone());
            let (its_session, its_target) = (session.clone(), target.clone());
            let started_ahead = move |ahead: StartedAhead| {
                if let Some(session) = its_session.upgrade() {
                    session.keep_ahead(&its_target, &ahead);
                }
            };
            let tried = move |result: &InvocationResult, retry: u32| {
                let Some(session) = session.upgrade() else { return };
                let now = session.now_ms();
                let took = i64::try_from(result.ran.duration.as_millis()).unwrap_or(0);
                let call = Call { start_ms: now - took, retry, ..target.call.clone() };
                let (call, lines, _) = session.report(&Target { call, ..target.clone() }, result);
                session.keep(&target, call, &lines);
            };
            Observers { tried: Box::new(tried), started_ahead: Box::new(started_ahead) }
        };
        self.fleet
            .platform(&target.which, &target.content, target.config.clone(), observers)
            .map_err(|error| ApiError::new("InternalError", error))
    }

    /// Calls and waits; the log then contains the result.
    pub(super) fn run(
        self: &Arc<Self>,
        target: Target,
        request: Request,
        client: Option<IpAddr>,
    ) -> Result<Outcome, ApiError> {
        if let Some(status) = self.faults.number("fail") {
            return Ok(self.failed(target, status as u16));
        }
        let mut platform = self.platform(&target)?;
        if self.faults.setting("started-ahead").is_some() || self.faults.happens("started-ahead") {
            // The call itself reports a failed start.
            let _ = platform.pool().prime();
        }
        if platform.pool().instances() == 0
            && let Some(other) = self.fleet.warm_other(&target.which)
            && self.faults.happens("warm-instead")
        {
            platform = other;
        }
        let result = platform.invoke_from(request, client);
        let (call, lines, failed) = self.report(&target, &result);
        self.keep(&target, call.clone(), &lines);
        Ok(Outcome { call, lines, failed, reply: result.reply })
    }

    /// The result of a call that did not reach an instance, or that an injected fault failed.
    fn failed(&self, target: Target, status: u16) -> Outcome {
        let message = match status {
            429 => "ResourceLimit: the limit of instance starts per minute is reached",
            430 => "User code exception caught",
            432 => "ResourceLimitReached: every instance is busy",
            433 => "Invoking task timed out",
            434 => "MemoryLimitReached: the instance used more memory than its limit",
            439 => "User process exit when running",
            444 => "PullImageFailed: the image could not be pulled",
            447 => "PullImageTimeOut: the image could not be pulled in time",
            _ => "a fault was injected",
        };
        let code = if status == 430 { 1 } else { -1 };
        let body = json!({"errorCode": code, "errorMessage": message, "statusCode": status});
        let body = body.to_string();
        let call = Call { id: new_id(), status, returned: body.clone(), ..target.call.clone() };
        let lines = self.lines(&target, &call, None, None, Some(&body), &[]);
        self.keep(&target, call.clone(), &lines);
        Outcome { call, lines, failed: Some(body), reply: None }
    }

    /// Converts the emulator's report to a request and its lines.
    fn report(
        &self,
        target: &Target,
        result: &InvocationResult,
    ) -> (Call, Vec<Written>, Option<String>) {
        let status = result.verdict.status();
        let body = result.reply.as_ref().map(|reply| String::from_utf8_lossy(&reply.body));
        let is_event = target.config.mode == crate::config::Mode::Event;
        let returned = body.filter(|_| is_event).map(|body| body.into_owned());
        let failed = (status != 200).then(|| match (&returned, status) {
            // The function's own description of its failure.
            (Some(body), 430) => {
                let body: Value =
                    serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.clone()));
                json!({"errorCode": 1, "errorMessage": body, "statusCode": 430}).to_string()
            }
            _ => result.verdict.body(),
        });
        let call = Call {
            id: result.request_id.clone(),
            status,
            duration_us: u64::try_from(result.ran.duration.as_micros()).unwrap_or(u64::MAX),
            used_bytes: result.ran.memory_bytes,
            returned: failed.clone().or(returned.clone()).unwrap_or_default(),
            ..target.call.clone()
        };
        let shown = if failed.is_some() { None } else { returned.as_deref() };
        let (cold, printed) = (result.cold, &result.printed);
        let lines = self.lines(target, &call, cold, shown, failed.as_deref(), printed);
        (call, lines, failed)
    }

    fn lines(
        &self,
        target: &Target,
        call: &Call,
        cold: Option<StartUp>,
        returned: Option<&str>,
        failed: Option<&str>,
        printed: &[String],
    ) -> Vec<Written> {
        self.form().lines(&LineRequest {
            id: &call.id,
            cold,
            duration: Duration::from_micros(call.duration_us),
            memory_mb: target.content.memory_mb,
            used_bytes: call.used_bytes,
            returned,
            failed,
            printed,
        })
    }

    fn form(&self) -> Form {
        let form = self.faults.text("line-form", |name| Form::named(name).is_some());
        form.and_then(|name| Form::named(&name)).unwrap_or_default()
    }

    /// Adds the Provisioned Report of an instance to the log, with the instance's output. It
    /// belongs to no caller's request: GetRequestStatus does not find it.
    fn keep_ahead(&self, target: &Target, ahead: &StartedAhead) {
        let (memory_mb, used_bytes) = (target.content.memory_mb, ahead.memory_bytes);
        let id = ahead.request_id.clone();
        let report = self.form().report("Provisioned", &id, &ahead.start, memory_mb, used_bytes);
        let mut lines = vec![Written::platform(report)];
        lines.extend(ahead.printed.iter().map(|text| Written::own(text)));
        let start_ms = self.now_ms();
        let call = Call { id, status: 200, used_bytes, start_ms, ..target.call.clone() };
        let kept = self.visible(target, &call, &lines);
        self.record(None, kept);
    }

    /// Adds a request and its lines to the log.
    fn keep(&self, target: &Target, call: Call, lines: &[Written]) {
        let kept = self.visible(target, &call, lines);
        self.record(Some(call), kept);
    }

    /// Lines in the topic's form. A fault delays, doubles or drops them; with IgnoreSysLog only the
    /// function's output remains.
    fn visible(&self, target: &Target, call: &Call, lines: &[Written]) -> Vec<Line> {
        let now = self.now_ms();
        let late = self.faults.number("logs-late").unwrap_or(0.0).max(0.0);
        let visible_ms = now.saturating_add((late * 1000.0) as i64);
        let is_missing = self.faults.happens("logs-missing");
        let is_twice = self.faults.happens("logs-twice");
        let line = |written: &Written| Line {
            number: 0,
            topic: target.content.cls_topic.clone(),
            time_ms: now,
            visible_ms,
            call: call.clone(),
            kind: if written.is_own { "Custom" } else { "Platform" }.into(),
            message: written.text.clone(),
        };
        let shown = |written: &&Written| written.is_own || !target.content.ignore_system_log;
        let once = lines.iter().filter(shown).map(line);
        match (is_missing, is_twice) {
            (true, _) => Vec::new(),
            (false, false) => once.collect(),
            (false, true) => once.clone().chain(once).collect(),
        }
    }

    /// The end of a request's lines, as LogType=Tail returns it.
    fn tail(&self, lines: &[Written]) -> String {
        use base64::Engine as _;
        let is_empty = self.faults.happens("tail-empty");
        let most = self.faults.number("tail-cut").map_or(TAIL_BYTES, |most| most.max(0.0) as usize);
        let mut tail: String = match is_empty {
            true => String::new(),
            false => lines.iter().flat_map(|line| [line.text.as_str(), "\n"]).collect(),
        };
        let start = tail.ceil_char_boundary(tail.len().saturating_sub(most));
        tail.drain(..start);
        match self.faults.happens("tail-base64") {
            true => base64::engine::general_purpose::STANDARD.encode(tail),
            false => tail,
        }
    }

    /// GetRequestStatus.
    pub(super) fn get_request_status(&self, of: &Parameters) -> Result<Value, ApiError> {
        let now = self.now_ms();
        let (from, to) = match (of.text("StartTime"), of.text("EndTime")) {
            (None, None) => (now - 15 * 60_000, now),
            (Some(from), Some(to)) => {
                let moment = |text: &str| {
                    clock::moment(text).ok_or_else(|| {
                        ApiError::new(
                            "InvalidParameterValue.StartTime",
                            format_args!("invalid time `{text}`; write it as 2017-05-16 20:00:00"),
                        )
                    })
                };
                (moment(from)?, moment(to)?.saturating_add(999))
            }
            _ => {
                return Err(ApiError::new(
                    "InvalidParameterValue.StartTimeOrEndTime",
                    "StartTime or EndTime is missing; give both or neither",
                ));
            }
        };
        let (name, namespace) = (of.required("FunctionName"), namespace(of));
        self.read(|world, _| world.function(namespace, name).map(drop))?;
        let logs = lock(&self.logs);
        let found = logs.calls(name, namespace, of.required("FunctionRequestId"), from, to);
        let data: Vec<Value> = found
            .iter()
            .map(|call| {
                json!({
                    "FunctionName": call.function,
                    "RetMsg": call.returned,
                    "RequestId": call.id,
                    "StartTime": text(call.start_ms),
                    "RetCode": if call.status == 200 { 0 } else { -1 },
                    "Duration": call.duration_us as f64 / 1000.0,
                    "MemUsage": call.used_bytes as f64 / f64::from(1 << 20),
                    "RetryNum": call.retry,
                })
            })
            .collect();
        Ok(json!({"TotalCount": data.len(), "Data": data}))
    }
}

fn request(event: &str) -> Request {
    Request {
        method: "POST".into(),
        target: "/".into(),
        headers: Vec::new(),
        body: event.as_bytes().to_vec(),
    }
}

/// Checks that an event is JSON within the limit; `{}` replaces a missing one.
fn checked(event: Option<&str>, most: usize) -> Result<&str, ApiError> {
    let event = event.filter(|event| !event.is_empty()).unwrap_or("{}");
    if event.len() > most {
        return Err(ApiError::new(
            "InvalidParameter.RequestTooLarge",
            format_args!("the event has {} bytes; the limit is {most}", event.len()),
        ));
    }
    match serde_json::from_str::<serde::de::IgnoredAny>(event) {
        Ok(_) => Ok(event),
        Err(error) => Err(ApiError::new(
            "InvalidParameterValue.Param",
            format_args!("the event is not JSON: {error}"),
        )),
    }
}
