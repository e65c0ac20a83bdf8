//! Threads before the allocator's set-up. Regression: the first thread that needed more than the
//! boot arena became mimalloc's main thread. It ended, and the next thread to allocate found no
//! main heap: SIGSEGV in the first request, or before the port was open.

use outside::peer::{Peer, get};
use outside::server::Server;
use std::process::Command;

#[test]
fn threads_may_allocate_before_the_allocators_set_up() {
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
