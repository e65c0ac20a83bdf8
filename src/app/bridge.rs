//! Bridge: passes events of API Gateway and function URLs to the App's routes and Web handler, and
//! all others to its event handler. The event itself decides: only a gateway's has `httpMethod` and
//! `path` at its top level.

use super::App;
use crate::asked::Asked;
use crate::body::Body;
use crate::error::{Caller, Error, Result};
use crate::event::Event;
use crate::json;
use crate::reply::Reply;
use crate::spare;
use crate::trigger::apigw::ApiGateway;
use crate::trigger::integrated::IntegratedResponse;
use memchr::arch::all::twoway::Finder;

/// An event without this text is not a gateway's.
const MARK: &[u8] = b"\"httpMethod\"";

impl App {
    /// Passes events of API Gateway and of function URLs to the routes and the Web handler, and
    /// turns their replies into the integrated response (Base64 where the body is not text). So the
    /// same handlers work as a Web function and behind a gateway. All other events go to the event
    /// handler; without one they get 400.
    ///
    /// A handler's failure becomes the reply that the gateway passes on, for example 500, and
    /// therefore does not count as a failed invocation. [`trigger::apigw`](crate::trigger::apigw)
    /// describes how an event becomes a request.
    ///
    /// # Example
    /// ```
    /// use firstbyte::{App, test};
    ///
    /// let app = App::new().get("/hello", |_| "hello").bridge();
    /// let event = r#"{"httpMethod":"GET","path":"/hello","headers":{},"queryString":{}}"#;
    /// let answer = test::event(event).send(&app);
    /// assert!(answer.text().starts_with(r#"{"isBase64Encoded":false,"statusCode":200,"#));
    /// assert!(answer.text().ends_with(r#","body":"hello"}"#));
    /// assert_eq!(test::get("/hello").send(&app).text(), "hello");
    /// ```
    pub fn bridge(mut self) -> App {
        self.bridge = Some(answer);
        self
    }
}

/// Answers an event of an App with a bridge.
fn answer(app: &App, event: Event<'_>) -> Result<Reply> {
    if Finder::new(MARK).find(event.bytes(), MARK).is_none() {
        return other(app, event);
    }
    // Parsing rewrites the bytes, and the event may turn out to be for the event handler.
    let mut copy = spare::take();
    copy.extend_from_slice(event.bytes());
    let reply = match json::parse::<ApiGateway<'_>>(Body::from_vec(&mut copy)) {
        Ok(request) if request.is_request() => answer_request(app, &event, &request),
        _ => other(app, event),
    };
    spare::give_back(copy);
    reply
}

/// Answers an event that does not come from a gateway.
fn other(app: &App, event: Event<'_>) -> Result<Reply> {
    let Some(surround) = &app.surround else { return app.answer_event(event) };
    let asked = Asked::of_event("POST", App::EVENT_PATH, event.headers(), event.context());
    let mut event = Some(event);
    let (reply, _) = (surround.wrap)(app, &asked, Caller::Platform, &mut || match event.take() {
        Some(event) => app.answer_event(event),
        None => Err(Error::new("an event is answered once")),
    });
    Ok(reply)
}

fn answer_request(app: &App, event: &Event<'_>, gateway: &ApiGateway<'_>) -> Result<Reply> {
    let (reply, _) = gateway.as_request(event.context(), |request| {
        let asked = Asked::of(&request);
        let answer_web =
            |request| app.check_plain(asked.headers()).and_then(|()| app.answer_web(request));
        match &app.surround {
            None => app.reply(&asked, Caller::Gateway, || answer_web(request)),
            Some(surround) => {
                let mut request = Some(request);
                (surround.wrap)(app, &asked, Caller::Gateway, &mut || match request.take() {
                    Some(request) => answer_web(request),
                    None => Err(Error::new("a request is answered once")),
                })
            }
        }
    })?;
    IntegratedResponse::wrap_for(gateway.http_method, reply)
}

#[cfg(test)]
mod tests {
    use crate::test::{self, Answer};
    use crate::{App, Error, Reply, Request, Result, Status};

    fn app() -> App {
        App::new()
            .get("/hello/{name}", |request| {
                format!("hello, {}", request.param("name").unwrap_or_default())
            })
            .get("/broken", |_| -> Result<Reply> { Err(Error::new("broken")) })
            .get("/panic", |_| -> Reply { panic!("asked to") })
            .post("/test/value", |request: Request<'_>| {
                Reply::bytes("application/octet-stream", request.body())
            })
            .bridge()
    }

    fn get(path: &str) -> Answer {
        let event =
            format!(r#"{{"httpMethod":"GET","path":"{path}","headers":{{}},"queryString":{{}}}}"#);
        test::event(event).header("x-scf-request-id", "r-1").send(&app())
    }

    #[test]
    fn one_handler_serves_requests_and_events() {
        assert_eq!(test::get("/hello/ann").send(&app()).text(), "hello, ann");
        assert!(get("/hello/ann").text().contains(r#""statusCode":200,"#));
        assert!(get("/hello/ann").text().ends_with(r#""body":"hello, ann"}"#));
    }

    #[test]
    fn bytes_go_in_and_out_as_base64() {
        let sample = include_str!("../../tests/data/events/apigw.base64.json");
        let answer = test::event(sample).send(&app());
        assert!(
            answer.text().starts_with(r#"{"isBase64Encoded":true,"statusCode":200,"#),
            "{}",
            answer.text()
        );
        assert!(answer.text().ends_with(r#""body":"AAEC/f7/"}"#), "{}", answer.text());
    }

    #[test]
    fn failures_are_the_clients_replies() {
        for (path, status, message) in [
            ("/broken", 500, "the function failed"),
            ("/panic", 500, "the function failed"),
            ("/missing", 404, "no handler"),
            ("/test/value", 405, "no such method"),
        ] {
            let answer = get(path);
            assert_eq!(answer.status(), Status::OK, "the invocation went well");
            let text = answer.text();
            assert!(
                text.contains(&format!(r#""statusCode":{status},"#)) && text.contains(message),
                "{text}"
            );
            assert!(text.contains(r#"\"requestId\":\"r-1\""#), "{text}");
        }
    }

    #[test]
    fn the_reply_to_head_has_no_body() {
        let answer = test::event(r#"{"httpMethod":"HEAD","path":"/hello/ann"}"#).send(&app());
        assert!(
            answer.text().contains(r#""statusCode":200,"#)
                && answer.text().ends_with(r#""body":""}"#)
        );
    }

    #[test]
    fn other_events_stay_the_event_handlers() {
        let timer = include_str!("../../tests/data/events/timer.json");
        let nested = include_str!("../../tests/data/events/eventbridge.apigw.json");
        let text = r#""httpMethod""#;
        for event in [timer, nested, text] {
            let answer = test::event(event).send(&app());
            assert_eq!(answer.status(), Status::BAD_REQUEST);
            assert!(answer.text().contains("function URLs only"), "{}", answer.text());
        }
        let app = app()
            .event(|event: crate::Event<'_>| String::from_utf8_lossy(event.bytes()).into_owned());
        for event in [timer, nested, text, "no JSON with \"httpMethod\""] {
            assert_eq!(test::event(event).send(&app).text(), event);
        }
    }
}
