//! A function that queries MySQL or MariaDB: it answers `{"value":1}`, the result of `SELECT 1` on
//! the server that MYSQL_URL names.

#![no_main]
#![deny(unsafe_code)]

mod client;

use firstbyte::{App, Event, Json, Result};

fn ask(event: Event<'_>) -> Result<Json<client::Answer>> {
    Ok(Json(client::call(event.context())?))
}

firstbyte::dns!();
firstbyte::main!(App::new().event(ask));
