//! A function that asks a server over HTTPS: `{"status":…,"bytes":…}` of what UPSTREAM_URL names.
//! Trusted is the PEM file that UPSTREAM_CA names, or else Mozilla's list of authorities.

// `firstbyte::main!` is the start; a test's harness has a main of its own
#![cfg_attr(not(test), no_main)]

mod client;
mod http;

use firstbyte::{App, Event, Json, Result};
use serde::Serialize;

#[derive(Serialize)]
struct Answer {
    status: u16,
    bytes: usize,
}

fn ask(event: Event<'_>) -> Result<Json<Answer>> {
    let reply = client::get(event.context())?;
    Ok(Json(Answer { status: reply.status, bytes: reply.body.len() }))
}

fn app() -> App {
    App::new().event(ask)
}

firstbyte::main!(app());
