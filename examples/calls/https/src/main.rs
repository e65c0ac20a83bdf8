//! A function that calls a server over HTTPS: it answers `{"status":…,"bytes":…}` for what
//! UPSTREAM_URL names. It trusts the PEM file that UPSTREAM_CA names, or else Mozilla's list of
//! authorities.

#![no_main]
#![deny(unsafe_code)]

mod client;
mod http;
mod link;

use firstbyte::{App, Event, Json, Result};

fn ask(event: Event<'_>) -> Result<Json<client::Answer>> {
    Ok(Json(client::call(event.context())?))
}

firstbyte::main!(App::new().early(&client::EARLY).event(ask));
