//! OpenFaaS, with the image itself as the function (without watchdog). Health checks carry no
//! header, so only the environment identifies them. Not supported: the watchdog's lock file
//! `/tmp/.lock`; configure the HTTP probes.
//!
//! | contract | | evidence |
//! |---|---|---|
//! | port | 8080, on all addresses | read: docs.openfaas.com, "Workloads" |
//! | event | / | read: openfaas/of-watchdog |
//! | Web | any path | read: "Workloads" |
//! | hooks | SIGTERM | read: openfaas/of-watchdog |
//! | health | GET /_/health, GET /_/ready | read: "Workloads" |
//! | context | `X-Call-Id` | read: openfaas/of-watchdog |
//! | environment | `OPENFAAS_NAME`, `OPENFAAS_NAMESPACE` | read in a post that documents them |
//! | failure | the HTTP status | read: openfaas/of-watchdog |

use super::{Contract, Hook, Names, Platform, always, by_status, whole};

pub(super) const CONTRACT: Contract = Contract {
    platform: Platform::OpenFaas,
    own_headers: &["x-call-id"],
    port: 8080,
    port_variables: &["PORT"],
    start_limit_s: None,
    event_path: "/",
    is_event: always,
    hooks: &[("GET", "/_/health", Hook::Health), ("GET", "/_/ready", Hook::Health)],
    names: Names { request_id: "x-call-id", ..Names::NONE },
    identity: whole,
    timeout_s: None,
    memory_mb: None,
    signal: by_status,
};

#[cfg(test)]
mod tests {
    use super::super::Role;
    use super::super::tests::role_of;
    use super::*;
    use crate::context::Context;
    use crate::headers::Headers;

    #[test]
    fn knows_its_paths() {
        let call = [("X-Call-Id", "c-1")];
        assert_eq!(role_of("POST", "/", &call, None), Some(Role::Event(Platform::OpenFaas)));
        assert_eq!(
            role_of("POST", "/", &[], Some(Platform::OpenFaas)),
            Some(Role::Event(Platform::OpenFaas))
        );
        assert_eq!(role_of("POST", "/", &call, Some(Platform::Scf)), None);
        for path in ["/_/health", "/_/ready"] {
            let health = Some(Role::Hook(Platform::OpenFaas, Hook::Health));
            assert_eq!(role_of("GET", path, &[], Some(Platform::OpenFaas)), health);
            assert_eq!(role_of("GET", path, &[], None), None);
        }
        assert_eq!(Context::new(Headers::from_pairs(&call), None).request_id(), "c-1");
    }
}
