//! The template's function with all of its work inside `firstbyte::blocking`, as in a handler that
//! calls out. The start bench compares it with the plain function.

#![no_main]
#![deny(unsafe_code)]

use firstbyte::trigger::Timer;
use firstbyte::{App, Event, Json, Result, blocking};
use serde::Serialize;

#[derive(Serialize)]
struct Answer {
    message: String,
}

fn on_timer(event: Event<'_>) -> Result<Json<Answer>> {
    blocking(|| {
        let timer: Timer<'_> = event.json()?;
        Ok(Json(Answer { message: format!("{} fired at {}", timer.trigger_name, timer.time) }))
    })
}

fn app() -> App {
    App::new().event(on_timer)
}

firstbyte::main!(app());
