//! A function: one typed handler, and a `main` that serves it.

use firstbyte::{App, Event, Json, Result};
use serde::{Deserialize, Serialize};

/// What a timer trigger sends; fields that are not named here are skipped.
#[derive(Deserialize)]
struct Timer<'a> {
    #[serde(rename = "TriggerName")]
    trigger: &'a str,
    #[serde(rename = "Time")]
    time: &'a str,
}

#[derive(Serialize)]
struct Answer {
    message: String,
}

fn on_timer(event: Event<'_>) -> Result<Json<Answer>> {
    let timer: Timer = event.json()?;
    Ok(Json(Answer { message: format!("{} fired at {}", timer.trigger, timer.time) }))
}

fn main() -> std::process::ExitCode {
    App::new().event(on_timer).serve()
}
