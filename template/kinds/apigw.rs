//! A function behind API Gateway or a function URL: its events become requests, and the reply
//! becomes the integrated response. If it is deployed as a Web function, the same handler gets the
//! requests themselves.

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
    App::new()
        .get("/hello/{name}", hello)
        .web(|_| "try /hello/Ann\n")
        .event(|_| "no request\n")
        .bridge()
}

firstbyte::main!(app());

#[cfg(test)]
mod tests {
    use super::*;
    use firstbyte::test;

    #[test]
    fn answers_gateways_and_clients_alike() {
        let event = r#"{"httpMethod":"GET","path":"/hello/Ann","headers":{},"queryString":{}}"#;
        let answer = test::event(event).send(&app());
        assert!(
            answer.text().starts_with(r#"{"isBase64Encoded":false,"statusCode":200,"#),
            "{}",
            answer.text()
        );
        assert!(answer.text().contains(r#"\"message\":\"Hello, Ann!\""#), "{}", answer.text());
        assert_eq!(test::get("/hello/Ann").send(&app()).text(), r#"{"message":"Hello, Ann!"}"#);
    }

    #[test]
    fn answers_the_sample() {
        let answer = test::event(include_str!("../events/apigw.json")).send(&app());
        assert!(answer.text().contains("try /hello/Ann"), "{}", answer.text());
    }
}
