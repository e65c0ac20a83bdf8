//! An event function with types: it gets an order and returns a receipt. `&str` fields borrow from
//! the request's bytes, so parsing copies nothing; an event that is not an order is answered with
//! 400.
//!
//! Try it: `cargo run --example typed_event`, then
//! `curl -d '{"customer":"Ann","items":[{"name":"tea","cents":350,"count":2}]}'
//! localhost:9000/event-invoke`.

use firstbyte::{App, Error, Event, Json, Result, Status};
use serde::{Deserialize, Serialize};
use std::process::ExitCode;

#[derive(Deserialize)]
struct Order<'a> {
    customer: &'a str,
    #[serde(borrow)]
    items: Vec<Item<'a>>,
}

#[derive(Deserialize)]
struct Item<'a> {
    name: &'a str,
    cents: u64,
    count: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Receipt {
    text: String,
    total_cents: u64,
}

fn receipt(event: Event<'_>) -> Result<Json<Receipt>> {
    let order: Order<'_> = event.json()?;
    let mut total_cents = 0u64;
    for Item { name, cents, count } in &order.items {
        let item = cents.checked_mul(*count).and_then(|item| total_cents.checked_add(item));
        total_cents = item.ok_or_else(|| {
            Error::peer(Status::BAD_REQUEST, format!("there is no price for `{name}`"))
        })?;
    }
    Ok(Json(Receipt {
        text: format!("{}: {} items", order.customer, order.items.len()),
        total_cents,
    }))
}

fn main() -> ExitCode {
    App::new().event(receipt).serve()
}

#[cfg(test)]
mod tests {
    use super::*;
    use firstbyte::test;

    #[test]
    fn adds_up() {
        let order = r#"{"customer":"Ann","items":[{"name":"tea","cents":350,"count":2},
            {"name":"bun","cents":90,"count":1}]}"#;
        let answer = test::event(order).call_event(receipt).unwrap();
        assert_eq!(
            answer.json::<Receipt>().unwrap(),
            Receipt { text: "Ann: 2 items".into(), total_cents: 790 }
        );
        assert!(test::event(r#"{"customer":7}"#).call_event(receipt).unwrap_err().is_peers_fault());
    }
}
