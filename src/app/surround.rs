//! Hooks of an App that run around its requests and replies, in their order.

use super::App;
use crate::around::Around;
use crate::asked::Asked;
use crate::error::{Caller, Error, Result};
use crate::platform::{Completion, Role};
use crate::reply::Reply;
use crate::request::Request;
use crate::transport::catch;

/// The hooks, and the functions that call them. An App without hooks holds no pointer to this code.
pub(super) struct Surround {
    all: Vec<Box<dyn Around>>,
    /// Answers a request, with the hooks around it.
    pub answer: fn(&App, Option<Role>, Request<'_>, &Asked<'_>) -> (Reply, Completion),
    /// The same for a request that a bridge makes of an event.
    pub wrap: Wrap,
    /// Passes a reply that the server made itself to the hooks.
    pub after: fn(&App, &Asked<'_>, Caller, &mut Reply),
}

/// Answers with `answer` unless a hook answers, and passes the reply to all hooks.
pub(super) type Wrap =
    fn(&App, &Asked<'_>, Caller, &mut dyn FnMut() -> Result<Reply>) -> (Reply, Completion);

impl App {
    /// Adds a hook that runs around every request and every reply of this App, including refusals
    /// of the server itself; [`Around`] states the order of several.
    ///
    /// # Example
    /// ```
    /// use firstbyte::{AccessLog, App, Cors, test};
    ///
    /// let app = App::new()
    ///     .get("/", |_| "here")
    ///     .around(AccessLog)
    ///     .around(Cors::new().origin("https://app.example"));
    /// let reply = test::get("/missing").header("Origin", "https://app.example").send(&app);
    /// assert_eq!(reply.status().code(), 404);
    /// assert_eq!(reply.header("access-control-allow-origin"), Some("https://app.example"));
    /// ```
    pub fn around(mut self, hook: impl Around) -> App {
        if let Err(error) = hook.check() {
            self.misconfigured.get_or_insert(error);
        }
        let surround = self
            .surround
            .get_or_insert_with(|| Box::new(Surround { all: Vec::new(), answer, wrap, after }));
        surround.all.push(Box::new(hook));
        self
    }

    /// [`App::around`] for a function that may answer a request in place of the handler: `Ok(None)`
    /// passes the request on.
    ///
    /// # Example
    /// ```
    /// use firstbyte::{App, Asked, Error, Status, test};
    ///
    /// let app = App::new().get("/", |_| "here").before(|asked: &Asked<'_>| {
    ///     match asked.header("x-key") {
    ///         Some("right") => Ok(None),
    ///         _ => Err(Error::peer(Status::UNAUTHORIZED, "send the key in `x-key`")),
    ///     }
    /// });
    /// assert_eq!(test::get("/").header("x-key", "right").send(&app).text(), "here");
    /// assert_eq!(test::get("/").send(&app).status().code(), 401);
    /// ```
    pub fn before<F>(self, before: F) -> App
    where
        F: Fn(&Asked<'_>) -> Result<Option<Reply>> + Send + Sync + 'static,
    {
        struct Before<F>(F);

        impl<F> Around for Before<F>
        where
            F: Fn(&Asked<'_>) -> Result<Option<Reply>> + Send + Sync + 'static,
        {
            fn before(&self, asked: &Asked<'_>) -> Result<Option<Reply>> {
                (self.0)(asked)
            }

            fn after(&self, _: &Asked<'_>, _: &mut Reply) -> Result<()> {
                Ok(())
            }
        }

        self.around(Before(before))
    }

    /// [`App::around`] for a function that sees every reply.
    ///
    /// # Example
    /// ```
    /// use firstbyte::{App, Asked, Reply, test};
    ///
    /// let app = App::new().after(|_: &Asked<'_>, reply: &mut Reply| {
    ///     reply.set_header("x-content-type-options", "nosniff")
    /// });
    /// let reply = test::get("/").send(&app);
    /// assert_eq!(reply.status().code(), 404);
    /// assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    /// ```
    pub fn after<F>(self, after: F) -> App
    where
        F: Fn(&Asked<'_>, &mut Reply) -> Result<()> + Send + Sync + 'static,
    {
        struct After<F>(F);

        impl<F> Around for After<F>
        where
            F: Fn(&Asked<'_>, &mut Reply) -> Result<()> + Send + Sync + 'static,
        {
            fn after(&self, asked: &Asked<'_>, reply: &mut Reply) -> Result<()> {
                (self.0)(asked, reply)
            }
        }

        self.around(After(after))
    }
}

fn answer(
    app: &App,
    role: Option<Role>,
    request: Request<'_>,
    asked: &Asked<'_>,
) -> (Reply, Completion) {
    let caller = if role.is_some() { Caller::Platform } else { Caller::Web };
    if app.bridge.is_some() && matches!(role, Some(Role::Event(_))) {
        // The bridge knows the client's request, and calls the hooks itself.
        return app.reply(asked, caller, || app.answer(role, request));
    }
    let mut request = Some(request);
    wrap(app, asked, caller, &mut || match request.take() {
        Some(request) => app.answer(role, request),
        None => Err(Error::new("a request is answered once")),
    })
}

fn wrap(
    app: &App,
    asked: &Asked<'_>,
    caller: Caller,
    answer: &mut dyn FnMut() -> Result<Reply>,
) -> (Reply, Completion) {
    let (mut reply, completion) = app.reply(asked, caller, || {
        for hook in app.surround.iter().flat_map(|surround| &surround.all) {
            if let Some(reply) = hook.before(asked)? {
                return Ok(reply);
            }
        }
        answer()
    });
    after(app, asked, caller, &mut reply);
    (reply, completion)
}

fn after(app: &App, asked: &Asked<'_>, caller: Caller, reply: &mut Reply) {
    for hook in app.surround.iter().flat_map(|surround| &surround.all).rev() {
        let error = match catch(|| hook.after(asked, reply)) {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => error,
            Err(panicked) => panicked.into_error(),
        };
        reply.become_like(app.failed(asked, &error, caller));
    }
    App::watch_stream(asked, caller, reply); // a hook may have put another one in its place
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Status;
    use crate::test::{self, Call};

    /// A hook that puts its name in a field of every reply, and answers or fails according to the
    /// path.
    struct Mark(&'static str);

    impl Around for Mark {
        fn before(&self, asked: &Asked<'_>) -> Result<Option<Reply>> {
            match asked.path().strip_prefix(self.0) {
                Some("/answers") => Ok(Some(Reply::text("early"))),
                Some("/refuses") => Err(Error::peer(Status::UNAUTHORIZED, "no")),
                Some("/panics") => panic!("in before"),
                _ => Ok(None),
            }
        }

        fn after(&self, asked: &Asked<'_>, reply: &mut Reply) -> Result<()> {
            let seen = reply.header("seen").unwrap_or("-").to_owned();
            reply.set_header("seen", format!("{seen} {}:{}", self.0, reply.status().code()))?;
            match asked.path().strip_prefix(self.0) {
                Some("/after-fails") => Err(Error::new("in after")),
                Some("/after-panics") => panic!("in after"),
                Some("/after-status") => {
                    reply.set_status(Status::ACCEPTED);
                    Ok(())
                }
                _ => Ok(()),
            }
        }
    }

    fn app() -> App {
        App::new()
            .event(|event: crate::Event<'_>| match event.bytes() {
                b"fail" => Err(Error::new("broken")),
                _ => Ok("event"),
            })
            .get("/", |_| "here")
            .get("/error", |_| -> Result<()> { Err(Error::new("untold")) })
            .get("/panic", |_| -> &'static str { panic!("asked to") })
            .get("/stream", |_| Reply::stream("text/plain", |_| Ok(())))
            .around(Mark("/a"))
            .around(Mark("/b"))
    }

    #[test]
    fn every_reply_is_seen_by_all_from_the_inside_out() {
        let app = app();
        let table: [(Call, u16, &str, &str); 15] = [
            (test::get("/"), 200, "- /b:200 /a:200", "here"),
            (test::request("HEAD", "/"), 200, "- /b:200 /a:200", "here"),
            (test::get("/stream"), 200, "- /b:200 /a:200", ""),
            (test::get("/missing"), 404, "- /b:404 /a:404", "no handler"),
            (test::post("/", ""), 405, "- /b:405 /a:405", "no such method"),
            (test::get("/error"), 500, "- /b:500 /a:500", "the function failed"),
            (test::get("/panic"), 500, "- /b:500 /a:500", "the function failed"),
            (test::get("/a/answers"), 200, "- /b:200 /a:200", "early"),
            (test::get("/b/answers"), 200, "- /b:200 /a:200", "early"),
            (test::get("/a/refuses"), 401, "- /b:401 /a:401", "no"),
            (test::get("/b/panics"), 500, "- /b:500 /a:500", "the function failed"),
            (test::get("/b/after-fails"), 500, "- /b:404 /a:500", "the function failed"),
            (test::get("/b/after-panics"), 500, "- /b:404 /a:500", "the function failed"),
            (test::get("/b/after-status"), 202, "- /b:404 /a:202", "no handler"),
            (test::event("1"), 200, "- /b:200 /a:200", "event"),
        ];
        for (call, status, seen, text) in table {
            let answer = call.clone().send(&app);
            assert_eq!(
                (answer.status().code(), answer.header("seen")),
                (status, Some(seen)),
                "{call:?}"
            );
            assert!(answer.text().contains(text), "{call:?}: {}", answer.text());
        }
        assert!(test::event("fail").send(&app).text().contains("broken"), "the platform gets it");
    }

    #[test]
    fn a_bridged_request_is_seen_once_and_as_the_client_made_it() {
        let app = app().bridge();
        let event = r#"{"httpMethod":"GET","path":"/missing","headers":{}}"#;
        let text = test::event(event).send(&app).text().to_owned();
        assert!(text.contains(r#""statusCode":404"#), "{text}");
        assert!(text.contains(r#""seen":"- /b:404 /a:404""#), "{text}");
        assert_eq!(test::event(event).send(&app).header("seen"), None);
        let answer = test::event("{}").send(&app);
        assert_eq!((answer.text(), answer.header("seen")), ("event", Some("- /b:200 /a:200")));
    }

    #[test]
    fn a_field_that_no_reply_can_have_is_a_failure_and_not_a_broken_reply() {
        let app = App::new().after(|_, reply: &mut Reply| reply.set_header("x", "a\r\nb: c"));
        let answer = test::get("/").send(&app);
        assert_eq!((answer.status().code(), answer.header("x")), (500, None));
    }
}
