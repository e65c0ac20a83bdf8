//! A Web function: requests arrive unchanged, routes go to handlers, and all other paths to the
//! last handler.

// `firstbyte::main!` defines the start of the program; a test's harness has its own
#![cfg_attr(not(test), no_main)]

use firstbyte::{App, Json, Request};
use serde::Serialize;

#[derive(Serialize)]
struct Answer {
    message: String,
}

/// GET /hello/{name}
fn hello(request: Request<'_>) -> Json<Answer> {
    Json(Answer { message: format!("Hello, {}!", request.param("name").unwrap_or("world")) })
}

fn app() -> App {
    App::new().get("/hello/{name}", hello).web(|_| "try /hello/Ann\n")
}

firstbyte::main!(app());

#[cfg(test)]
mod tests {
    use super::*;
    use firstbyte::test;

    #[test]
    fn answers_its_routes_and_all_other_paths() {
        assert_eq!(test::get("/hello/Ann").send(&app()).text(), r#"{"message":"Hello, Ann!"}"#);
        assert_eq!(test::get("/").send(&app()).text(), "try /hello/Ann\n");
        assert_eq!(test::request("DELETE", "/hello/Ann").send(&app()).status().code(), 405);
    }
}
