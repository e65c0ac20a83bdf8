//! The function that every peer serves: a timer's event in, one message out, as
//! template/src/main.rs does it. No HTTP and no JSON library: each peer brings its own. And the one
//! thing that all share at a start: the port.

use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

/// What a timer trigger sends; fields that are not named here are skipped.
#[derive(Deserialize)]
pub struct Timer<'a> {
    #[serde(rename = "TriggerName")]
    trigger: &'a str,
    #[serde(rename = "Time")]
    time: &'a str,
}

/// The reply.
#[derive(Serialize)]
pub struct Answer {
    message: String,
}

/// The function.
pub fn on_timer(timer: &Timer<'_>) -> Answer {
    Answer { message: format!("{} fired at {}", timer.trigger, timer.time) }
}

/// 0.0.0.0 and `PORT`, or 9000 without it.
///
/// # Panics
/// When `PORT` is no port: a bench's mistake.
pub fn address() -> SocketAddr {
    let port = std::env::var("PORT")
        .map_or(9000, |text| text.parse().expect("`PORT` is a number from 0 to 65535"));
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port))
}
