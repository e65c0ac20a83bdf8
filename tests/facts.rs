//! Facts that function server and image builder both state about a platform are equal. The two must
//! not import each other (rooms.rs), so each has its own table, and this test compares them. The
//! emulator takes its facts from the builder's.

use firstbyte::Limits;
use firstbyte::platform::Platform;
use microimage::check::Provider;
use microimage::scf::{self, header};
use outside::framing::BODY_LIMIT_BYTES;

/// The server's name for a platform of the builder's. FunctionGraph and OpenFaaS have none there.
fn platform_of(provider: &Provider) -> Platform {
    match provider.name {
        "scf" => Platform::Scf,
        "fc" => Platform::Fc,
        "lambda" => Platform::LambdaAdapter,
        "cloudrun" | "knative" => Platform::Knative,
        name => panic!("`{name}` is new in microimage; add the server's name for it here"),
    }
}

/// Facts in which the two tables differ on purpose: the server has one Knative, with Cloud Run's
/// start limit.
const DIFFERENT_START_LIMIT: &str = "knative";

#[test]
fn both_sides_state_the_same_facts_of_each_platform() {
    for provider in Provider::ALL {
        let (facts, name) = (platform_of(provider).facts(), provider.name);
        assert_eq!(facts.port, provider.port, "port of {name}");
        if let Some(path) = provider.event_path {
            assert_eq!(facts.event_path, path, "event path of {name}");
        }
        if name != DIFFERENT_START_LIMIT {
            let limit_s = facts.start_limit_s.map(u64::from);
            assert_eq!(limit_s, Some(provider.start_limit.as_secs()), "start limit of {name}");
        }
    }
}

#[test]
fn both_sides_spell_scfs_headers_alike() {
    let builders = [
        header::REQUEST_ID,
        header::NAME,
        header::VERSION,
        header::NAMESPACE,
        header::REGION,
        header::APP_ID,
        header::UIN,
        header::MEMORY,
        header::TIMEOUT,
        header::TRIGGER_SOURCE,
        header::SECRET_ID,
        header::SECRET_KEY,
        header::SESSION_TOKEN,
    ];
    let servers = Platform::Scf.facts().header_names;
    assert_eq!(servers, builders.map(str::to_ascii_lowercase));
    assert!(servers.iter().all(|name| name.starts_with(scf::HEADER_PREFIX)));
    let remote = firstbyte::test::event("{}").header(header::REMOTE_ADDRESS, "192.0.2.1");
    remote
        .call_event(|event| assert_eq!(event.context().remote_addr(), "192.0.2.1"))
        .expect("the handler returns nothing");
}

#[test]
fn both_sides_accept_bodies_of_the_same_size() {
    assert_eq!(Limits::default().body_bytes, scf::MAX_BODY_BYTES);
    assert_eq!(BODY_LIMIT_BYTES, scf::MAX_BODY_BYTES as u64);
}
