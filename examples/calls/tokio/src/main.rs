//! A function that calls a server with an async client: it answers `{"status":…,"bytes":…}` for
//! what UPSTREAM_URL names. It trusts the PEM file that UPSTREAM_CA names, or else Mozilla's list
//! of authorities.

#![no_main]
#![deny(unsafe_code)]

mod client;

use firstbyte::{App, Event, Json, Result};

fn ask(event: Event<'_>) -> Result<Json<client::Answer>> {
    Ok(Json(client::call(event.context())?))
}

firstbyte::dns!();
firstbyte::main!(App::new().event(ask));
