//! Huawei Cloud FunctionGraph, custom images. No source names an environment variable of its own,
//! so its headers identify it, and the port must be configured: set PORT=8000 in the function's
//! configuration.
//!
//! | contract | | evidence |
//! |---|---|---|
//! | port | 8000, fixed | read: FunctionGraph user guide |
//! | bind | 127.0.0.1 in one guide; all addresses cover it | read: T-Systems guide; inferred |
//! | event | POST /invoke | read: FunctionGraph pages |
//! | initialisation | POST /init | read: same |
//! | Web | any path, behind an APIG trigger only | read: user guide |
//! | context | `X-CFF-*`, eight headers | read: user guide |
//! | credentials | `X-CFF-Auth-Token`, three `X-CFF-Security-*` | read: same guide |
//! | units of memory and timeout | undocumented | looked for and not found |
//! | failure | the HTTP status | inferred |
//! | result behind APIG | the integrated response: `App::bridge` makes one | read: user guide |
//! | payload | 6 MB synchronous, 256 KB asynchronous | read: FunctionGraph pages |

use super::{Contract, Hook, Names, Platform, always, by_status, whole};

pub(super) const CONTRACT: Contract = Contract {
    platform: Platform::FunctionGraph,
    own_headers: &["x-cff-request-id"],
    port: 8000,
    port_variables: &["PORT"],
    start_limit_s: None,
    event_path: "/invoke",
    is_event: always,
    hooks: &[("POST", "/init", Hook::Initialize)],
    names: Names {
        request_id: "x-cff-request-id",
        function_name: "x-cff-func-name",
        function_version: "x-cff-func-version",
        namespace: "x-cff-package",
        region: "x-cff-region",
        app_id: "x-cff-project-id",
        memory: "x-cff-memory",
        timeout: "x-cff-timeout",
        secret_id: "x-cff-security-access-key",
        secret_key: "x-cff-security-secret-key",
        session_token: "x-cff-security-token",
        ..Names::NONE
    },
    identity: whole,
    timeout_s: None,
    memory_mb: None,
    signal: by_status,
};

/// Headers that must never be printed, besides the credentials in [`Names`].
#[cfg(test)]
pub(super) const SECRET_HEADERS: &[&str] =
    &["x-cff-auth-token", "x-cff-access-key", "x-cff-secret-key"];

#[cfg(test)]
mod tests {
    use super::super::Role;
    use super::super::tests::role_of;
    use super::*;
    use crate::context::Context;
    use crate::headers::Headers;

    const HEADERS: [(&str, &str); 11] = [
        ("X-CFF-Request-Id", "r-1"),
        ("X-CFF-Memory", "128"),
        ("X-CFF-Timeout", "3"),
        ("X-CFF-Func-Version", "latest"),
        ("X-CFF-Func-Name", "example"),
        ("X-CFF-Project-Id", "p"),
        ("X-CFF-Package", "default"),
        ("X-CFF-Region", "eu-de"),
        ("X-CFF-Security-Access-Key", "id"),
        ("X-CFF-Security-Secret-Key", "key"),
        ("X-CFF-Security-Token", "token"),
    ];

    #[test]
    fn knows_its_paths() {
        assert_eq!(
            role_of("POST", "/invoke", &HEADERS, None),
            Some(Role::Event(Platform::FunctionGraph))
        );
        let init = role_of("POST", "/init", &HEADERS, None);
        assert_eq!(init, Some(Role::Hook(Platform::FunctionGraph, Hook::Initialize)));
        assert_eq!(role_of("POST", "/initialize", &HEADERS, None), None, "FC's");
    }

    #[test]
    fn reads_its_headers() {
        let context = Context::new(Headers::from_pairs(&HEADERS), None);
        assert_eq!(
            (context.platform(), context.request_id()),
            (Some(Platform::FunctionGraph), "r-1")
        );
        assert_eq!((context.function_name(), context.function_version()), ("example", "latest"));
        assert_eq!(
            (context.namespace(), context.region(), context.app_id()),
            ("default", "eu-de", "p")
        );
        assert_eq!(
            (context.memory_text(), context.memory_mb()),
            ("128", None),
            "unit undocumented"
        );
        assert_eq!((context.timeout_text(), context.timeout()), ("3", None), "unit undocumented");
        assert_eq!(context.credentials().unwrap().secret_id, "id");
    }
}
