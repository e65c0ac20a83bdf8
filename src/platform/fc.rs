//! Alibaba Cloud Function Compute, custom container. Not supported: job mode
//! (`FC_CUSTOM_CONTAINER_EVENT`).
//!
//! The pages are help.aliyun.com's on custom containers ("Event handlers", "Web functions") and on
//! custom runtimes ("Specification details").
//!
//! | contract | | evidence |
//! |---|---|---|
//! | port | CAPort, 9000 by default, on all addresses | read: awesome-fc/custom-container-docs |
//! | event | POST /invoke, application/octet-stream | read: Aliyun, "Event handlers" |
//! | initialisation | POST /initialize, where configured | read: same page |
//! | hooks | GET /pre-freeze, GET /pre-stop | read: awesome-fc/custom-container-docs |
//! | Web | any path; `x-fc-control-path` is `/http-invoke` | read: "Specification details" |
//! | health | listening | read: awesome-fc/custom-container-docs |
//! | start | within 120 s | read: same |
//! | context | `x-fc-*`; a client cannot send any | read: same, "Web functions" |
//! | `x-fc-function-timeout`; seconds, MB | | seen in public captures |
//! | failure | status 404 and `x-fc-status: 404`; success 200 and 200 | read: "Event handlers" |
//! | payload | 32 MB synchronous, 128 KB asynchronous | read: help.aliyun.com |

use super::{Completion, Contract, Hook, Names, Platform, whole};
use crate::error::Result;
use crate::reply::Reply;
use crate::wire::Status;

pub(super) const CONTRACT: Contract = Contract {
    platform: Platform::Fc,
    own_headers: &["x-fc-request-id", "x-fc-control-path"],
    port: 9000, // CAPort's default
    port_variables: &["PORT"],
    start_limit_s: Some(120),
    event_path: "/invoke",
    // `x-fc-control-path` is the kind of invocation: `/invoke` for an event, or `/http-invoke` for
    // a Web request to any path, this one included.
    is_event: |headers| headers.get("x-fc-control-path").is_none_or(|kind| kind == "/invoke"),
    hooks: &[
        ("POST", "/initialize", Hook::Initialize),
        ("GET", "/pre-freeze", Hook::PreFreeze),
        ("GET", "/pre-stop", Hook::PreStop),
    ],
    names: Names {
        request_id: "x-fc-request-id",
        function_name: "x-fc-function-name",
        function_version: "x-fc-version-id",
        region: "x-fc-region",
        app_id: "x-fc-account-id",
        memory: "x-fc-function-memory",
        timeout: "x-fc-function-timeout",
        secret_id: "x-fc-access-key-id",
        secret_key: "x-fc-access-key-secret",
        session_token: "x-fc-security-token",
        ..Names::NONE
    },
    identity: whole,
    timeout_s: Some(1..=86_400),
    memory_mb: Some(1..=1_048_576),
    signal,
};

/// Success is 200 and failure 404, both as the status and as `x-fc-status`.
fn signal(reply: Reply, outcome: Completion) -> Result<Reply> {
    let (status, text) = match outcome {
        Completion::Done => (Status::OK, "200"),
        Completion::Failed => (Status::NOT_FOUND, "404"),
    };
    reply.with_status(status).with_header("x-fc-status", text)
}

#[cfg(test)]
mod tests {
    use super::super::tests::role_of;
    use super::super::{Platform, Role};
    use super::*;
    use crate::context::Context;
    use crate::headers::Headers;
    use std::time::Duration;

    const HEADERS: [(&str, &str); 10] = [
        ("x-fc-request-id", "1-67adb489"),
        ("x-fc-access-key-id", "id"),
        ("x-fc-access-key-secret", "key"),
        ("x-fc-security-token", "token"),
        ("x-fc-function-name", "example"),
        ("x-fc-function-memory", "1024"),
        ("x-fc-function-timeout", "3"),
        ("x-fc-region", "cn-hangzhou"),
        ("x-fc-account-id", "123456789012"),
        ("x-fc-version-id", "1"),
    ];

    #[test]
    fn knows_its_paths() {
        let events = [("x-fc-request-id", "r"), ("x-fc-control-path", "/invoke")];
        let web = [("x-fc-request-id", "r"), ("x-fc-control-path", "/http-invoke")];
        assert_eq!(role_of("POST", "/invoke", &events, None), Some(Role::Event(Platform::Fc)));
        assert_eq!(role_of("POST", "/invoke", &HEADERS, None), Some(Role::Event(Platform::Fc)));
        assert_eq!(role_of("POST", "/invoke", &web, None), None, "a Web function's own path");
        assert_eq!(role_of("GET", "/invoke", &events, None), None);
        for (method, path, hook) in [
            ("POST", "/initialize", Hook::Initialize),
            ("GET", "/pre-freeze", Hook::PreFreeze),
            ("GET", "/pre-stop", Hook::PreStop),
        ] {
            assert_eq!(role_of(method, path, &HEADERS, None), Some(Role::Hook(Platform::Fc, hook)));
        }
    }

    #[test]
    fn reads_its_headers() {
        let context = Context::new(Headers::from_pairs(&HEADERS), None);
        assert_eq!((context.platform(), context.request_id()), (Some(Platform::Fc), "1-67adb489"));
        assert_eq!((context.function_name(), context.function_version()), ("example", "1"));
        assert_eq!((context.region(), context.app_id()), ("cn-hangzhou", "123456789012"));
        assert_eq!(
            (context.memory_mb(), context.timeout()),
            (Some(1024), Some(Duration::from_secs(3)))
        );
        assert_eq!((context.namespace(), context.uin(), context.trigger_source()), ("", "", ""));
        assert_eq!(context.credentials().unwrap().session_token, "token");
    }

    #[test]
    fn signals_success_and_failure_by_status_and_header() {
        let done = signal(Reply::empty(), Completion::Done).unwrap();
        assert_eq!((done.status(), done.header("x-fc-status")), (Status::OK, Some("200")));
        let failed = signal(Reply::text("why"), Completion::Failed).unwrap();
        assert_eq!(
            (failed.status(), failed.header("x-fc-status")),
            (Status::NOT_FOUND, Some("404"))
        );
        assert_eq!(failed.body(), Some(&b"why"[..]));
    }
}
