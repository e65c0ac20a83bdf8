//! State that several handlers share. A value that lives as long as the process needs no reference
//! count: a `static` if it can be made without arguments, a `&'static` made once in `main` if it
//! needs some. Both are plain references in the handlers.
//!
//! Hold a lock only for a moment, and never across a wait (`firstbyte::sleep`, a write to a slow
//! reader). Make expensive values on first use (`LazyLock`), so that a cold start does not pay for
//! them.
//!
//! Try it: `cargo run --example shared_state`, then `curl -X PUT -d tea localhost:9000/things/1`,
//! `curl localhost:9000/things/1`.

use firstbyte::{App, Request, Result, Status};
use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

/// Initialised at compile time: costs nothing at start.
static REQUESTS: AtomicU64 = AtomicU64::new(0);
/// Made by the first request that needs it.
static GREETINGS: LazyLock<HashMap<&str, &str>> =
    LazyLock::new(|| HashMap::from([("en", "hello"), ("de", "hallo")]));

/// Made in `main`, with an argument.
struct Store {
    things: Mutex<HashMap<u32, String>>,
    most: usize,
}

impl Store {
    fn put(&self, request: Request<'_>) -> Result<(Status, &'static str)> {
        let (id, thing) = (request.parsed_param("id")?, request.text()?.to_owned());
        let mut things = self.things.lock().unwrap_or_else(PoisonError::into_inner);
        if things.len() >= self.most && !things.contains_key(&id) {
            return Ok((Status::CONFLICT, "full"));
        }
        things.insert(id, thing);
        Ok((Status::CREATED, "kept"))
    }

    fn get(&self, request: Request<'_>) -> Result<Option<String>> {
        let id: u32 = request.parsed_param("id")?;
        Ok(self.things.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned())
    }
}

fn app(most: usize) -> App {
    let store: &'static Store = Box::leak(Box::new(Store { things: Mutex::default(), most }));
    App::new()
        .put("/things/{id}", |request| store.put(request))
        .get("/things/{id}", |request| store.get(request))
        .get("/hello/{language}", |request| {
            request.param("language").and_then(|language| GREETINGS.get(language)).copied()
        })
        .web(|_| format!("request {}", REQUESTS.fetch_add(1, Ordering::Relaxed) + 1))
}

fn main() -> ExitCode {
    app(1000).serve()
}

#[cfg(test)]
mod tests {
    use super::*;
    use firstbyte::test;

    #[test]
    fn handlers_share() {
        let app = app(1);
        let put = |id: &str| {
            test::request("PUT", &format!("/things/{id}")).body("tea").send(&app).status().code()
        };
        assert_eq!((put("1"), put("1"), put("2"), put("x")), (201, 201, 409, 400));
        assert_eq!(test::get("/things/1").send(&app).text(), "tea");
        assert_eq!(test::get("/things/2").send(&app).status(), Status::NOT_FOUND);
        assert_eq!(test::get("/hello/de").send(&app).text(), "hallo");
        assert_eq!(
            (test::get("/").send(&app).text(), test::get("/").send(&app).text()),
            ("request 1", "request 2")
        );
    }
}
