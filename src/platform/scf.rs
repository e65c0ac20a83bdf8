//! Tencent Cloud SCF, image functions with a Web server: the platform that this crate is made for.
//! Not supported: job images (no server; the event is in `SCF_CUSTOM_CONTAINER_EVENT`).
//!
//! | contract | | evidence |
//! |---|---|---|
//! | port | 9000, on all addresses | read: platform page "WebServer image function", 2023-07-10 |
//! | event | POST /event-invoke | read: same page |
//! | Web | any path and method | read: same page |
//! | hooks, health | none; listening on 9000 is health | read: same page; no more found |
//! | start | listening within 30 s | read: same page |
//! | context | `X-Scf-*`, thirteen headers | read: same page |
//! | client | `x-scf-remote-addr` on function URLs | read: product page 583/96099 |
//! | units of memory and timeout | undocumented | looked for and not found |
//! | header names' case | any | seen in public code: lower case |
//! | failure | a status, which one is documented nowhere; 500 here | to be measured on SCF |
//! | payload | 6 MB synchronous, 128 KB asynchronous | read: SDK's Invoke |

use super::{Contract, Names, Platform, always, by_status, whole};

/// Header with the client's address, on function URLs. It is not in [`Names`], because the same
/// name is read on every platform.
pub(crate) const REMOTE_ADDR: &str = "x-scf-remote-addr";

/// Path to which events are posted.
pub(crate) const EVENT_PATH: &str = "/event-invoke";

pub(super) const CONTRACT: Contract = Contract {
    platform: Platform::Scf,
    own_headers: &["x-scf-request-id"],
    port: 9000,
    port_variables: &[], // a user's variable PORT must not move the server off 9000
    start_limit_s: Some(30),
    event_path: EVENT_PATH,
    is_event: always,
    hooks: &[],
    names: Names {
        request_id: "x-scf-request-id",
        function_name: "x-scf-name",
        function_version: "x-scf-version",
        namespace: "x-scf-namespace",
        region: "x-scf-region",
        app_id: "x-scf-appid",
        uin: "x-scf-uin",
        memory: "x-scf-memory",
        timeout: "x-scf-timeout",
        trigger_source: "x-scf-trigger-src",
        secret_id: "x-scf-secret-id",
        secret_key: "x-scf-secret-key",
        session_token: "x-scf-session-token",
    },
    identity: whole,
    timeout_s: Some(1..=900),
    memory_mb: Some(64..=65_535),
    signal: by_status,
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Context;
    use crate::deadline::Arrival;
    use crate::headers::Headers;
    use std::time::{Duration, Instant};

    /// The thirteen headers of the platform page; the values are invented.
    const HEADERS: [(&str, &str); 13] = [
        ("X-Scf-Request-Id", "r-1"),
        ("X-Scf-Memory", "256"),
        ("X-Scf-Timeout", "3"),
        ("X-Scf-Version", "$LATEST"),
        ("X-Scf-Name", "example"),
        ("X-Scf-Namespace", "default"),
        ("X-Scf-Region", "ap-guangzhou"),
        ("X-Scf-Appid", "1250000000"),
        ("X-Scf-Uin", "100000000000"),
        ("X-Scf-Session-Token", "token"),
        ("X-Scf-Secret-Id", "id"),
        ("X-Scf-Secret-Key", "key"),
        ("X-Scf-Trigger-Src", "Timer"),
    ];

    #[test]
    fn reads_every_documented_header() {
        let arrival = Arrival::at(Instant::now());
        let context = Context::new(Headers::from_pairs(&HEADERS), Some(arrival));
        assert_eq!(context.platform(), Some(Platform::Scf));
        assert_eq!((context.request_id(), context.trigger_source()), ("r-1", "Timer"));
        assert_eq!((context.function_name(), context.function_version()), ("example", "$LATEST"));
        assert_eq!((context.namespace(), context.region()), ("default", "ap-guangzhou"));
        assert_eq!((context.app_id(), context.uin()), ("1250000000", "100000000000"));
        assert_eq!((context.memory_text(), context.memory_mb()), ("256", Some(256)));
        assert_eq!(
            (context.timeout_text(), context.timeout()),
            ("3", Some(Duration::from_secs(3)))
        );
        assert_eq!(context.deadline(), arrival.deadline(Duration::from_secs(3)));
        let credentials = context.credentials().unwrap();
        assert_eq!(
            (credentials.secret_id, credentials.secret_key, credentials.session_token),
            ("id", "key", "token")
        );
        let printed = format!("{context:?} {credentials:?}");
        assert!(
            !printed.contains("token\"") && !printed.contains("\"key") && !printed.contains("\"id"),
            "{printed}"
        );
    }

    #[test]
    fn has_no_credentials_without_a_role_and_no_deadline_without_an_arrival() {
        let context = Context::new(Headers::from_pairs(&HEADERS[..9]), None);
        assert!(context.credentials().is_none() && context.deadline().is_none());
        assert!(context.deadline_after(Duration::from_secs(1)).is_none());
    }

    #[test]
    fn reads_units_only_where_they_can_be_nothing_else() {
        for (text, seconds) in
            [("1", Some(1)), ("900", Some(900)), ("901", None), ("3000", None), ("86400", None)]
        {
            let headers = [("X-Scf-Timeout", text)];
            let timeout = Context::new(Headers::from_pairs(&headers), None).timeout();
            assert_eq!(timeout, seconds.map(Duration::from_secs), "{text}");
        }
        for (text, mb) in [
            ("64", Some(64)),
            ("3072", Some(3072)),
            ("63", None),
            ("65536", None),
            ("134217728", None),
        ] {
            let headers = [("X-Scf-Memory", text)];
            assert_eq!(Context::new(Headers::from_pairs(&headers), None).memory_mb(), mb, "{text}");
        }
    }
}
