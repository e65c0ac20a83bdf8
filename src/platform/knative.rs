//! Knative Serving and Google Cloud Run. Neither sends a header of its own, so only the environment
//! identifies it. An event is a CloudEvent posted to `/`: binary (`ce-*` headers, the body is the
//! data), structured or batched (the body is the envelope); the handler tells them apart by the
//! headers.
//!
//! | contract | | evidence |
//! |---|---|---|
//! | port | `PORT`, 8080 by default, on all addresses | read: Cloud Run, "Container contract" |
//! | environment | `K_SERVICE`, `K_REVISION`, `K_CONFIGURATION` | read: knative/specs |
//! | event | the app's own path or CloudEvents | read: cloudevents/spec; `/`: inferred |
//! | Web | any path | read: container contract |
//! | hooks | SIGTERM, then SIGKILL after 10 s | read in code that quotes the contract |
//! | health | listening; 240 s to start | read in issues only |
//! | failure | the HTTP status | read: container contract |

use super::{Contract, Names, Platform, by_status, whole};
use crate::headers::Headers;

pub(super) const CONTRACT: Contract = Contract {
    platform: Platform::Knative,
    own_headers: &[],
    port: 8080,
    port_variables: &["PORT"],
    start_limit_s: Some(240), // Cloud Run; on other clusters it is configured
    event_path: "/",
    is_event: is_cloud_event,
    hooks: &[],
    names: Names { request_id: "ce-id", ..Names::NONE },
    identity: whole,
    timeout_s: None,
    memory_mb: None,
    signal: by_status,
};

fn is_cloud_event(headers: Headers<'_>) -> bool {
    // `application/cloudevents+json` and `application/cloudevents-batch+json`, with or without
    // parameters.
    const ENVELOPE: &[u8] = b"application/cloudevents";
    headers.get_bytes("ce-specversion").is_some()
        || headers
            .get_bytes("content-type")
            .and_then(|value| value.get(..ENVELOPE.len()))
            .is_some_and(|start| start.eq_ignore_ascii_case(ENVELOPE))
}

#[cfg(test)]
mod tests {
    use super::super::Role;
    use super::super::tests::role_of;
    use super::*;

    #[test]
    fn takes_cloud_events_and_nothing_else() {
        let event = Some(Role::Event(Platform::Knative));
        for (headers, expected) in [
            (&[("ce-specversion", "1.0"), ("ce-id", "1")][..], event),
            (&[("Content-Type", "application/cloudevents+json; charset=utf-8")], event),
            (&[("content-type", "Application/CloudEvents-Batch+json")], event),
            (&[("content-type", "application/json")], None),
            (&[("content-type", "application/cloud")], None),
            (&[], None),
        ] {
            assert_eq!(
                role_of("POST", "/", headers, Some(Platform::Knative)),
                expected,
                "{headers:?}"
            );
            assert_eq!(role_of("POST", "/", headers, None), None, "no header says Knative");
            assert_eq!(role_of("POST", "/other", headers, Some(Platform::Knative)), None);
        }
    }
}
