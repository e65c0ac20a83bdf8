//! A function that gets JSON events: one typed handler, and the program that serves it.

// `firstbyte::main!` defines the start of the program; a test's harness has its own
#![cfg_attr(not(test), no_main)]

use firstbyte::{App, Event, Json, Result};
use serde::{Deserialize, Serialize};

/// The event; other members are skipped.
#[derive(Deserialize)]
struct Greeting<'a> {
    #[serde(default)]
    name: Option<&'a str>, // borrows from the event's bytes
}

#[derive(Serialize)]
struct Answer {
    message: String,
}

fn greet(event: Event<'_>) -> Result<Json<Answer>> {
    let greeting: Greeting<'_> = event.json()?;
    Ok(Json(Answer { message: format!("Hello, {}!", greeting.name.unwrap_or("world")) }))
}

fn app() -> App {
    App::new().event(greet)
}

firstbyte::main!(app());

#[cfg(test)]
mod tests {
    use super::*;
    use firstbyte::test;

    #[test]
    fn answers_the_sample() {
        let answer = test::event(include_str!("../events/event.json")).call_event(greet).unwrap();
        assert_eq!(answer.text(), r#"{"message":"Hello, Ann!"}"#);
    }

    #[test]
    fn refuses_what_is_not_json() {
        let answer = test::event("no JSON").send(&app());
        assert_eq!(answer.status().code(), 400);
        assert!(answer.text().starts_with(r#"{"errorCode":400,"#), "{}", answer.text());
    }
}
