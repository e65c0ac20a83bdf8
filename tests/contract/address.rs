//! Section 2: the server's address. Port 9000 is tested if it is free.

use outside::peer::{Peer, get};
use outside::server::{run_to_end, signal_to};
use rustix::process::Signal;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

/// Lock of tests that need a fixed port.
static PORTS: Mutex<()> = Mutex::new(());

/// A server that does not print when it listens, as on the platform: requests are repeated until it
/// answers.
struct Quiet(Child);

impl Quiet {
    fn start(variables: &[(&str, &str)]) -> Quiet {
        let mut command = crate::echo_command();
        command.env_remove("FIRSTBYTE_ADDR").env_remove("PORT").env_remove("TENCENTCLOUD_RUNENV");
        command.envs(variables.iter().copied()).stdout(Stdio::null()).stderr(Stdio::null());
        Quiet(command.spawn().expect("the echo starts"))
    }

    #[track_caller]
    fn assert_answers_on(&mut self, port: u16) {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        outside::eventually("the server listens", || {
            assert_eq!(self.0.try_wait().expect("ours"), None, "the server has ended");
            TcpStream::connect(address).is_ok()
        });
        assert_eq!(Peer::to(address).ask(get("/")).status, 200);
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .expect("loopback has ports")
        .port()
}

fn is_9000_free() -> bool {
    let free = TcpListener::bind(("0.0.0.0", 9000)).is_ok();
    if !free {
        eprintln!("skipped: port 9000 is in use here");
    }
    free
}

#[test]
fn the_variable_port_is_used_outside_of_scf() {
    let _turn = PORTS.lock();
    let port = free_port();
    Quiet::start(&[("PORT", &port.to_string())]).assert_answers_on(port);
    Quiet::start(&[("PORT", &port.to_string()), ("TENCENTCLOUD_RUNENV", "OTHER")])
        .assert_answers_on(port);
}

#[test]
fn the_platforms_port_is_9000() {
    let _turn = PORTS.lock();
    if is_9000_free() {
        Quiet::start(&[]).assert_answers_on(9000);
    }
}

#[test]
fn a_users_variable_does_not_move_the_port_on_scf() {
    let _turn = PORTS.lock();
    if is_9000_free() {
        let elsewhere = free_port().to_string();
        Quiet::start(&[("PORT", &elsewhere), ("TENCENTCLOUD_RUNENV", "SCF")])
            .assert_answers_on(9000);
    }
}

#[test]
fn firstbyte_addr_overrides_both() {
    let _turn = PORTS.lock();
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let variables =
        [("FIRSTBYTE_ADDR", address.as_str()), ("PORT", "1"), ("TENCENTCLOUD_RUNENV", "SCF")];
    Quiet::start(&variables).assert_answers_on(port);
}

#[test]
fn an_invalid_address_ends_the_program_with_a_line_that_names_it() {
    for (name, value) in [
        ("FIRSTBYTE_ADDR", "nonsense"),
        ("FIRSTBYTE_ADDR", "127.0.0.1"),
        ("FIRSTBYTE_ADDR", "127.0.0.1:70000"),
        ("PORT", "70000"),
        ("PORT", "-1"),
        ("PORT", "http"),
        ("PORT", ""),
    ] {
        let mut command: Command = crate::echo_command();
        command
            .env_remove("FIRSTBYTE_ADDR")
            .env_remove("PORT")
            .env_remove("TENCENTCLOUD_RUNENV")
            .env(name, value);
        let (status, lines) = run_to_end(command);
        assert_eq!(status.code(), Some(1), "{name}={value}");
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains(&format!("`{value}`")) && lines[0].contains(name), "{lines:?}");
    }
}

#[test]
fn a_port_in_use_ends_the_program_with_one_line_that_names_it() {
    let _turn = PORTS.lock();
    let taken = TcpListener::bind(("0.0.0.0", 0)).expect("a port is free");
    let port = taken.local_addr().expect("it is bound").port();
    let mut command = crate::echo_command();
    command
        .env_remove("FIRSTBYTE_ADDR")
        .env_remove("TENCENTCLOUD_RUNENV")
        .env("PORT", port.to_string());
    let (status, lines) = run_to_end(command);
    assert_eq!(status.code(), Some(1));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains(&format!("port {port}")), "{lines:?}");
}

#[test]
fn the_port_is_free_again_as_soon_as_the_server_has_stopped() {
    let _turn = PORTS.lock();
    let port = free_port();
    for _ in 0..3 {
        let mut server = Quiet::start(&[("PORT", &port.to_string())]);
        server.assert_answers_on(port);
        signal_to(server.0.id(), Signal::TERM);
        assert_eq!(server.0.wait().expect("ours").code(), Some(0));
    }
}
