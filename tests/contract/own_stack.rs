//! `serve` on a stack that is not the kernel's: nothing beside it may be taken for free stack. A
//! reader of the code found that 256 KiB below the stack pointer were given back to the kernel,
//! whatever they were. With the function of programs/own_stack.rs, built as functions are.

use outside::peer::{Peer, get};
use outside::program;
use outside::server::Server;
use rustix::process::Signal;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

fn start(on_a_thread: bool) -> Server {
    let mut command = Command::new(program::own_stack());
    if on_a_thread {
        command.env("ON_A_THREAD", "1");
    }
    Server::start(command)
}

#[test]
fn memory_beside_a_stack_of_ones_own_stays_as_it_is() {
    for on_a_thread in [false, true] {
        let mut server = start(on_a_thread);
        let mut peer = Peer::to(server.address);
        // In the boot lane, after pauses too: what is put off is done in the first one.
        for target in ["/marks", "/marks", "/wait", "/marks"] {
            assert_eq!(peer.ask(get(target)).text(), "whole", "on a thread: {on_a_thread}");
            sleep(Duration::from_millis(20));
        }
        // Others while a handler waits: the runtime takes over.
        let mut others: Vec<Peer> = (0..20).map(|_| Peer::to(server.address)).collect();
        for other in &mut others {
            other.send(get("/wait"));
        }
        for other in &mut others {
            assert_eq!(other.reply().text(), "whole", "on a thread: {on_a_thread}");
        }
        drop(others);
        assert_eq!(peer.ask(get("/marks")).text(), "whole");
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0));
        outside::eventually("serve returns to its caller", || {
            server.output().iter().any(|line| line == "served: true, whole")
        });
    }
}

#[test]
fn a_server_on_a_stack_of_its_own_stops_from_the_boot_lane() {
    for on_a_thread in [false, true] {
        let mut server = start(on_a_thread);
        assert_eq!(Peer::to(server.address).ask(get("/wait")).text(), "whole");
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0));
    }
}
