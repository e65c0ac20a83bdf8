//! Promises of an image's profiles (docs/profiles.md). `.ci/profiles` sets FIRSTBYTE_PROFILE to the
//! profile of FIRSTBYTE_ECHO; without that the echo is built by `cargo build --release`.

use outside::peer::{Peer, get, invoke};
use outside::program;
use outside::server::Server;
use std::io::Write;
use std::process::Command;

fn is_tiny() -> bool {
    std::env::var("FIRSTBYTE_PROFILE").is_ok_and(|name| name == "tiny")
}

/// CONTRACTS.md, section 2. In the other profiles a panic is a 500 and other requests continue,
/// which `errors` tests.
#[test]
fn only_in_tiny_a_panic_ends_the_process() {
    let mut server = Server::echo();
    let mut peer = Peer::to(server.address);
    assert_eq!(peer.ask(get("/")).status, 200);
    peer.send(get("/panic"));
    if is_tiny() {
        assert!(!server.wait().success());
        peer.assert_closed();
    } else {
        assert_eq!(peer.reply().status, 500);
        server.assert_alive();
    }
}

/// The instructions that parse JSON are chosen at run time: a processor of 2003 has none of
/// today's.
#[test]
fn runs_on_any_x86_64() {
    const QEMU: &str = "qemu-x86_64-static";
    if Command::new(QEMU).arg("--version").output().is_err() {
        let _ = writeln!(std::io::stderr(), "skipped: no {QEMU}; build/setup --arm64 installs it");
        return;
    }
    let event =
        format!("[{}]", vec!["{\"a\":\"b\\n\u{e4}\",\"c\":[1,-2.5e3,true]}"; 1000].join(","));
    for processor in ["Opteron_G1", "core2duo", "Nehalem", "max"] {
        let mut command = Command::new(QEMU);
        command.args(["-cpu", processor]).arg(program::echo());
        let server = Server::start(command);
        for _ in 0..3 {
            // The first request is answered before the processor's features are detected.
            let reply = Peer::to(server.address).ask(invoke(&event));
            assert_eq!(
                (reply.status, reply.text().len()),
                (200, event.replace("-2.5e3", "-2500.0").len()),
                "{processor}"
            );
        }
    }
}
