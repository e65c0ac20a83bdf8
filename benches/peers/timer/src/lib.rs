//! Function that every peer serves: it gets a timer's event and returns one message, as in
//! template/src/main.rs. HTTP and JSON belong to the peers; this crate also has their port.

use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

/// The event of a timer trigger; other members are skipped.
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

/// The address to listen on: 0.0.0.0 and `PORT`, or 9000 without it.
///
/// # Panics
/// If `PORT` is not a port, which is a mistake of the bench.
pub fn address() -> SocketAddr {
    let port = std::env::var("PORT")
        .map_or(9000, |text| text.parse().expect("`PORT` is a number from 0 to 65535"));
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port))
}
