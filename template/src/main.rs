//! A function that a timer fires: one typed handler, and the program that serves it.

// `firstbyte::main!` defines the start of the program; a test's harness has its own
#![cfg_attr(not(test), no_main)]

use firstbyte::trigger::Timer;
use firstbyte::{App, Event, Json, Result};
use serde::Serialize;

#[derive(Serialize)]
struct Answer {
    message: String,
}

fn on_timer(event: Event<'_>) -> Result<Json<Answer>> {
    let timer: Timer<'_> = event.json()?; // its &str fields borrow from the event's bytes
    Ok(Json(Answer { message: format!("{} fired at {}", timer.trigger_name, timer.time) }))
}

fn app() -> App {
    App::new().event(on_timer)
}

firstbyte::main!(app());

#[cfg(test)]
mod tests {
    use super::*;
    use firstbyte::test;

    #[test]
    fn answers_the_sample() {
        let answer =
            test::event(include_str!("../events/timer.json")).call_event(on_timer).unwrap();
        assert_eq!(answer.text(), r#"{"message":"EveryDay fired at 2019-02-21T11:49:00Z"}"#);
    }

    #[test]
    fn refuses_what_is_not_json() {
        let answer = test::event("no JSON").send(&app());
        assert_eq!(answer.status().code(), 400);
        assert!(answer.text().starts_with(r#"{"errorCode":400,"#), "{}", answer.text());
    }
}
