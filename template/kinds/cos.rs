//! A function for events of objects in a bucket: one typed handler, and the program that serves
//! it.

// `firstbyte::main!` defines the start of the program; a test's harness has its own
#![cfg_attr(not(test), no_main)]

use firstbyte::trigger::Cos;
use firstbyte::{App, Event, Json, Result};
use serde::Serialize;

#[derive(Serialize)]
struct Answer {
    objects: Vec<String>,
}

fn on_objects(event: Event<'_>) -> Result<Json<Answer>> {
    let cos: Cos<'_> = event.json()?; // its &str fields borrow from the event's bytes
    let answer = |record: &firstbyte::trigger::cos::Record<'_>| {
        format!(
            "{} {} ({} bytes)",
            record.event.name,
            record.cos.object.path(),
            record.cos.object.size_bytes
        )
    };
    Ok(Json(Answer { objects: cos.records.iter().map(answer).collect() }))
}

fn app() -> App {
    App::new().event(on_objects)
}

firstbyte::main!(app());

#[cfg(test)]
mod tests {
    use super::*;
    use firstbyte::test;

    #[test]
    fn answers_the_sample() {
        let answer =
            test::event(include_str!("../events/cos.json")).call_event(on_objects).unwrap();
        assert!(answer.text().contains("cos:ObjectCreated:"), "{}", answer.text());
    }

    #[test]
    fn refuses_what_is_not_json() {
        let answer = test::event("no JSON").send(&app());
        assert_eq!(answer.status().code(), 400);
        assert!(answer.text().starts_with(r#"{"errorCode":400,"#), "{}", answer.text());
    }
}
