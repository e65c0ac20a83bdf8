//! What the profiles of an image promise of the program (docs/profiles.md). `.ci/profiles` says in FIRSTBYTE_PROFILE which one
//! FIRSTBYTE_ECHO is; without that the echo is as `cargo build --release` makes it.

use outside::peer::{Peer, get};
use outside::server::Server;

fn is_tiny() -> bool {
    std::env::var("FIRSTBYTE_PROFILE").is_ok_and(|name| name == "tiny")
}

/// CONTRACTS.md, section 2: everywhere else it is a 500 and all others live on, which is a test of `errors`.
#[test]
fn in_tiny_alone_what_panics_ends_the_process() {
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
