//! A Web function: routes with parameters, a query, statuses, a redirect, and a handler for
//! everything else.
//!
//! Try it: `cargo run --example web_routes`, then `curl -i localhost:9000/sum/2/3?unit=m`.

use firstbyte::{App, Json, Reply, Request, Result, Status};
use std::process::ExitCode;

/// `/sum/{a}/{b}?unit=…`: parameters must be numbers, or the caller gets 400.
fn sum(request: Request<'_>) -> Result<String> {
    let (a, b): (i64, i64) = (request.parsed_param("a")?, request.parsed_param("b")?);
    let unit = request.query_param("unit").unwrap_or_default();
    Ok(format!("{}{unit}", a.saturating_add(b)))
}

/// Answers 201 with the location of the new thing.
fn make(request: Request<'_>) -> Result<Reply> {
    let name = request.text()?.trim();
    Reply::json(name)?
        .with_status(Status::CREATED)
        .with_header("location", format!("/things/{}", name.len()))
}

fn app() -> App {
    App::new()
        .get("/", |_| Reply::redirect(Status::SEE_OTHER, "/things"))
        .get("/things", |_| Json(["tea", "bun"]))
        .post("/things", make)
        .get("/things/{id}", |request| match request.param("id") {
            Some("1") => Some("tea"),
            _ => None, // a 404
        })
        .get("/sum/{a}/{b}", sum)
        .web(|request| format!("nothing at {}\n", request.path()))
}

fn main() -> ExitCode {
    app().serve()
}

#[cfg(test)]
mod tests {
    use super::*;
    use firstbyte::test;

    #[test]
    fn answers() {
        for (call, status, text) in [
            (test::get("/"), 303, ""),
            (test::get("/things"), 200, r#"["tea","bun"]"#),
            (test::post("/things", "pie\n"), 201, "\"pie\""),
            (test::get("/things/1"), 200, "tea"),
            (test::get("/sum/2/3?unit=m"), 200, "5m"),
            (test::get("/else"), 200, "nothing at /else\n"),
        ] {
            let answer = call.send(&app());
            assert_eq!((answer.status().code(), answer.text()), (status, text));
        }
        assert_eq!(test::get("/things/2").send(&app()).status(), Status::NOT_FOUND);
        assert_eq!(test::get("/sum/2/three").send(&app()).status(), Status::BAD_REQUEST);
        assert_eq!(
            test::request("DELETE", "/things").send(&app()).header("allow"),
            Some("GET, HEAD, POST")
        );
    }
}
