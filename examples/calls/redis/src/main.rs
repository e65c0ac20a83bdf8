//! A function that reads a key from Redis: it answers `{"value":…}` with the value of `greeting`,
//! from the server that REDIS_URL names. An event `{"increment":"KEY"}` increments a key instead,
//! as an example of a command that must not run twice.

#![no_main]
#![deny(unsafe_code)]

mod client;

use firstbyte::net::Repeat;
use firstbyte::{App, Event, IntoReply, Json, Reply, Result};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(default)]
    increment: Option<&'a str>,
}

#[derive(Serialize)]
struct Count {
    value: i64,
}

fn ask(event: Event<'_>) -> Result<Reply> {
    let context = event.context();
    match event.json() {
        Ok(Asked { increment: Some(key) }) => {
            let value = client::command(context, redis::cmd("INCR").arg(key), Repeat::IfUnsent)?;
            Json(Count { value }).into_reply()
        }
        _ => Json(client::call(context)?).into_reply(),
    }
}

firstbyte::main!(App::new().early(&client::EARLY).event(ask));
