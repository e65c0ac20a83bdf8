//! Threads that come before the allocator is set up. The first one to need more than the boot arena
//! has became mimalloc's main thread; it ended, and the next one to allocate found no main heap:
//! SIGSEGV in the first request, or before the port was open.

use outside::peer::{Peer, get};
use outside::server::Server;
use std::process::Command;

#[test]
fn threads_may_come_first_in_every_way() {
    for way in [
        "IN_THE_FIRST_HANDLER",
        "THREADS_BEFORE_LISTENING",
        "THREADS_BEFORE_FIRST_REQUEST",
        "SERVE_ON_A_THREAD",
    ] {
        let mut command = Command::new(outside::program::waiting());
        command.env(way, "1");
        let mut server = Server::start(command);
        let mut peer = Peer::to(server.address);
        for target in ["/threads", "/threads", "/", "/threads"] {
            let expected = if target == "/" { "here" } else { "both" };
            assert_eq!(peer.ask(get(target)).text(), expected, "{way}: {target}");
        }
        server.assert_alive();
    }
}
