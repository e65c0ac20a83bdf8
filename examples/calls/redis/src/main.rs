//! A function that asks Redis for a key: `{"value":…}` of `greeting`, on the server that REDIS_URL
//! names. An event `{"increment":"KEY"}` counts instead: a command that must not run twice.

// `firstbyte::main!` is the start; a test's harness has a main of its own
#![cfg_attr(not(test), no_main)]

mod client;

use client::Repeat;
use firstbyte::{App, Event, Json, Result};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Asked<'a> {
    increment: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Answer {
    Text { value: Option<String> },
    Count { value: i64 },
}

fn ask(event: Event<'_>) -> Result<Json<Answer>> {
    let context = event.context();
    let asked = event.json::<Asked<'_>>().ok().and_then(|asked| asked.increment);
    Ok(Json(match asked {
        None => Answer::Text {
            value: client::call(context, redis::cmd("GET").arg("greeting"), Repeat::Allowed)?,
        },
        Some(key) => Answer::Count {
            value: client::call(context, redis::cmd("INCR").arg(key), Repeat::Never)?,
        },
    }))
}

fn app() -> App {
    App::new().event(ask)
}

firstbyte::main!(app());
