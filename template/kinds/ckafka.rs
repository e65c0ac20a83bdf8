//! A function that gets messages of a CKafka topic in batches: one typed handler, and the program
//! that serves it.

// `firstbyte::main!` defines the start of the program; a test's harness has its own
#![cfg_attr(not(test), no_main)]

use firstbyte::trigger::Ckafka;
use firstbyte::{App, Event, Json, Result};
use serde::Serialize;

#[derive(Serialize)]
struct Answer {
    messages: usize,
    last_offset: i64,
}

/// After an error the platform sends the same batch again. Answer 200 to messages that can never be
/// processed.
fn on_messages(event: Event<'_>) -> Result<Json<Answer>> {
    let batch: Ckafka<'_> = event.json()?; // its &str fields borrow from the event's bytes
    let last_offset = batch.records.last().map_or(-1, |record| record.message.offset);
    Ok(Json(Answer { messages: batch.records.len(), last_offset }))
}

fn app() -> App {
    App::new().event(on_messages)
}

firstbyte::main!(app());

#[cfg(test)]
mod tests {
    use super::*;
    use firstbyte::test;

    #[test]
    fn answers_the_sample() {
        let answer =
            test::event(include_str!("../events/ckafka.json")).call_event(on_messages).unwrap();
        assert_eq!(answer.text(), r#"{"messages":2,"last_offset":37}"#);
    }

    #[test]
    fn refuses_what_is_not_json() {
        let answer = test::event("no JSON").send(&app());
        assert_eq!(answer.status().code(), 400);
        assert!(answer.text().starts_with(r#"{"errorCode":400,"#), "{}", answer.text());
    }
}
