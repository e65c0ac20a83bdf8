//! One handler for several deployments: as a Web function it gets requests; as an event function
//! behind API Gateway or a function URL it gets events, which the bridge turns into requests.
//! Timers are not requests and stay events.
//!
//! Try it: `cargo run --example apigw_bridge`, then `curl localhost:9000/hello/Ann`, or as the
//! gateway does: `curl -d '{"httpMethod":"GET","path":"/hello/Ann","headers":{}}'
//! localhost:9000/event-invoke`.

use firstbyte::trigger::Timer;
use firstbyte::{App, Event, Request, Result};
use std::process::ExitCode;

fn hello(request: Request<'_>) -> String {
    format!("Hello, {}!", request.param("name").unwrap_or("stranger"))
}

fn tick(event: Event<'_>) -> Result<String> {
    let timer: Timer<'_> = event.json()?;
    Ok(format!("{} at {}", timer.trigger_name, timer.time))
}

fn app() -> App {
    App::new().get("/hello/{name}", hello).event(tick).bridge()
}

fn main() -> ExitCode {
    app().serve()
}

#[cfg(test)]
mod tests {
    use super::*;
    use firstbyte::test;

    #[test]
    fn serves_requests_gateways_and_timers() {
        assert_eq!(test::get("/hello/Ann").send(&app()).text(), "Hello, Ann!");
        let gateway =
            test::event(r#"{"httpMethod":"GET","path":"/hello/Ann","headers":{}}"#).send(&app());
        assert!(gateway.text().ends_with(r#""body":"Hello, Ann!"}"#), "{}", gateway.text());
        let timer =
            test::event(r#"{"Type":"Timer","TriggerName":"daily","Time":"2026-01-01T00:00:00Z"}"#);
        assert_eq!(timer.send(&app()).text(), "daily at 2026-01-01T00:00:00Z");
    }
}
