//! A function that asks MySQL or MariaDB: `{"value":1}`, which is what `SELECT 1` gives on the
//! server that MYSQL_URL names.

#![no_main]
#![deny(unsafe_code)]

mod client;

use firstbyte::{App, Event, Json, Result};

fn ask(event: Event<'_>) -> Result<Json<client::Answer>> {
    Ok(Json(client::call(event.context())?))
}

firstbyte::dns!();
firstbyte::main!(App::new().event(ask));
