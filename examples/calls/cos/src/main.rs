//! A function that reads an object from COS, Tencent Cloud's object storage: it answers
//! `{"bytes":…}` with the size of the object that COS_URL names. It uses the temporary credentials
//! of the function's role. It trusts the PEM file that COS_CA names, or else Mozilla's list of
//! authorities.

#![no_main]
#![deny(unsafe_code)]

mod client;
mod http;
mod link;
mod sign;

use firstbyte::{App, Event, Json, Result};

fn ask(event: Event<'_>) -> Result<Json<client::Answer>> {
    Ok(Json(client::call(event.context())?))
}

firstbyte::main!(App::new().early(&client::EARLY).event(ask));
