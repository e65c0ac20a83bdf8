//! Tests of docs/CONTRACTS.md, sections 2 and 3, over a real socket: the echo example with the
//! default limits, and a server with shorter limits where a test would have to wait. They use raw
//! bytes; wire_table.rs tests the framing of messages, abuse.rs hostile crowds.

#[path = "contract/address.rs"]
mod address;
#[path = "contract/allocator.rs"]
mod allocator;
#[path = "contract/around.rs"]
mod around;
#[path = "contract/behind_nginx.rs"]
mod behind_nginx;
#[path = "contract/bodies.rs"]
mod bodies;
#[path = "contract/boot_lane.rs"]
mod boot_lane;
#[path = "contract/calling_out.rs"]
mod calling_out;
#[path = "contract/coded_bodies.rs"]
mod coded_bodies;
#[path = "contract/connections.rs"]
mod connections;
#[path = "contract/crowd.rs"]
mod crowd;
#[path = "contract/deadlocks.rs"]
mod deadlocks;
#[path = "contract/early_tls.rs"]
mod early_tls;
#[path = "contract/echo.rs"]
mod echo;
#[path = "contract/endings.rs"]
mod endings;
#[path = "contract/errors.rs"]
mod errors;
#[path = "contract/events.rs"]
mod events;
#[path = "contract/failures.rs"]
mod failures;
#[path = "contract/handlers.rs"]
mod handlers;
#[path = "contract/log_floods.rs"]
mod log_floods;
#[path = "contract/logs.rs"]
mod logs;
#[path = "contract/names.rs"]
mod names;
#[path = "contract/one_at_a_time.rs"]
mod one_at_a_time;
#[path = "contract/own_stack.rs"]
mod own_stack;
#[path = "contract/pipelines.rs"]
mod pipelines;
#[path = "contract/profile.rs"]
mod profile;
#[path = "contract/server_sent_events.rs"]
mod server_sent_events;
#[path = "contract/slow_peers.rs"]
mod slow_peers;
#[path = "contract/starting.rs"]
mod starting;
#[path = "contract/stopping.rs"]
mod stopping;
#[path = "contract/timeouts.rs"]
mod timeouts;
#[path = "contract/upstream.rs"]
mod upstream;
#[path = "contract/waiting.rs"]
mod waiting;

use outside::program;
use outside::server::Server;
use std::process::Command;

/// A server with limits other than the defaults: see programs/short_limits.rs.
#[track_caller]
fn server_with(limits: &[&str]) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_short_limits"));
    command.args(limits);
    Server::start(command)
}

/// A function whose `main` is firstbyte's: see programs/bare.rs.
#[track_caller]
fn bare() -> Server {
    Server::start(Command::new(env!("CARGO_BIN_EXE_bare")))
}

/// The echo example's command line.
fn echo_command() -> Command {
    Command::new(program::echo())
}
