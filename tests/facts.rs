//! One home a fact: what the function server and the image builder both state of a platform is the
//! same. They must not import each other (rooms.rs), so each has its own table, and this compares
//! them. The emulator takes its facts from the builder's.

use firstbyte::Limits;
use firstbyte::platform::Platform;
use microimage::check::Provider;
use microimage::scf::{self, header};
use outside::framing::BODY_LIMIT_BYTES;

/// The builder's platforms, each with the server's. Not here: FunctionGraph and OpenFaaS, of which
/// the builder knows nothing.
static PAIRS: [(&Provider, Platform); 5] = [
    (&Provider::SCF, Platform::Scf),
    (&Provider::FC, Platform::Fc),
    (&Provider::LAMBDA, Platform::LambdaAdapter),
    (&Provider::CLOUDRUN, Platform::Knative),
    (&Provider::KNATIVE, Platform::Knative),
];

/// What a platform's Knative is configured with differs: the server's table has Cloud Run's.
const CONFIGURED_ELSEWHERE: &str = "knative";

#[test]
fn both_sides_state_the_same_of_each_platform() {
    for (provider, platform) in PAIRS {
        let (facts, name) = (platform.facts(), provider.name);
        assert_eq!(facts.port, provider.port, "port of {name}");
        if let Some(path) = provider.event_path {
            assert_eq!(facts.event_path, path, "event path of {name}");
        }
        if name != CONFIGURED_ELSEWHERE {
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
fn both_sides_take_bodies_of_the_same_size() {
    assert_eq!(Limits::default().body_bytes, scf::MAX_BODY_BYTES);
    assert_eq!(BODY_LIMIT_BYTES, scf::MAX_BODY_BYTES as u64);
}
