//! Routes: path and method to handler. matchit does the matching: `/users/{id}`, `/files/{*rest}`;
//! paths are compared as they were sent, percent-encoding untouched. Methods: RFC 9110, section
//! 9.1.

use crate::error::{Error, Result};
use crate::handler::WebHandler;
use crate::reply::Reply;
use matchit::Params;

/// What an App needs of its routes. The first route sets a pointer to it, so that an App without
/// routes is linked without matchit.
pub(crate) trait Routing: Send + Sync {
    /// # Errors
    /// If the method is not in upper case, or the pattern is malformed, conflicts with an earlier
    /// one, or already has this method.
    fn add(&mut self, method: &'static str, pattern: &str, handler: WebHandler) -> Result<()>;

    fn find<'a>(&'a self, method: &str, path: &'a str) -> Matched<'a>;

    /// Adds an Allow field with every method of the path (RFC 9110, section 10.2.1).
    ///
    /// # Errors
    /// If the field is not a valid one.
    fn with_allow(&self, reply: Reply, path: &str) -> Result<Reply>;
}

/// The routes of one App: a tree for each method, so that the pattern that matches the path best
/// does not hide another one that has the method.
#[derive(Default)]
pub(crate) struct Routes {
    methods: Vec<(&'static str, matchit::Router<Route>)>,
}

struct Route {
    handler: WebHandler,
    /// Whether the pattern ends in `{*rest}`; such a pattern matches paths that it does not know.
    catches_all: bool,
}

/// The routes' answer for a request.
pub(crate) enum Matched<'a> {
    Handler(&'a WebHandler, Params<'a, 'a>),
    /// Only routes of other methods match the path. `is_known`: one of them matches by more than a
    /// `{*rest}`.
    OtherMethods {
        is_known: bool,
    },
    Nothing,
}

impl Routing for Routes {
    fn add(&mut self, method: &'static str, pattern: &str, handler: WebHandler) -> Result<()> {
        if method.is_empty()
            || !method.bytes().all(|byte| byte.is_ascii_uppercase() || b"-_".contains(&byte))
        {
            return Err(Error::new(format!("invalid method `{method}`; use upper case")));
        }
        if !pattern.starts_with('/') {
            return Err(Error::new(format!(
                "the route `{method} {pattern}` can match no path; start with `/`"
            )));
        }
        let place = match self.methods.iter().position(|(known, _)| *known == method) {
            Some(place) => place,
            None => {
                self.methods.push((method, matchit::Router::new()));
                self.methods.len() - 1
            }
        };
        let catches_all = pattern.rsplit('/').next().is_some_and(|last| last.starts_with("{*"));
        let route = Route { handler, catches_all };
        self.methods[place].1.insert(pattern, route).map_err(|error| {
            let twice =
                matches!(&error, matchit::InsertError::Conflict { with } if with == pattern);
            Error::new(match twice {
                true => format!("the route `{method} {pattern}` is added twice"),
                false => format!("the route `{method} {pattern}` cannot be added: {error}"),
            })
        })
    }

    fn find<'a>(&'a self, method: &str, path: &'a str) -> Matched<'a> {
        // A GET handler answers HEAD as well; the transport leaves the body out (RFC 9110, section
        // 9.3.2).
        let found = self
            .of(method, path)
            .or_else(|| (method == "HEAD").then(|| self.of("GET", path)).flatten());
        if let Some(found) = found {
            return Matched::Handler(&found.value.handler, found.params);
        }
        let mut others = self.that_take(path).peekable();
        match others.peek() {
            None => Matched::Nothing,
            Some(_) => Matched::OtherMethods { is_known: others.any(|(_, knows)| knows) },
        }
    }

    fn with_allow(&self, reply: Reply, path: &str) -> Result<Reply> {
        reply.with_header("allow", self.allow(path))
    }
}

impl Routes {
    fn of<'a>(&'a self, method: &str, path: &'a str) -> Option<matchit::Match<'a, 'a, &'a Route>> {
        let (_, paths) = self.methods.iter().find(|(known, _)| *known == method)?;
        paths.at(path).ok()
    }

    /// The methods that have a route for the path, in the order in which they were added, and for
    /// each whether its pattern matches by more than a `{*rest}`.
    fn that_take(&self, path: &str) -> impl Iterator<Item = (&'static str, bool)> {
        self.methods.iter().filter_map(move |(method, paths)| {
            paths.at(path).ok().map(|found| (*method, !found.value.catches_all))
        })
    }

    fn allow(&self, path: &str) -> String {
        let has_head = self.that_take(path).any(|(method, _)| method == "HEAD");
        let each = self.that_take(path).map(|(method, _)| match method {
            "GET" if !has_head => "GET, HEAD",
            method => method,
        });
        each.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use crate::test;
    use crate::{App, Request};

    /// Which handler answers, or the status and the Allow field.
    fn answered(app: &App, method: &str, path: &str) -> String {
        let answer = test::request(method, path).send(app);
        match answer.status().code() {
            200 => answer.text().to_owned(),
            code => format!("{code} {}", answer.header("allow").unwrap_or("-")),
        }
    }

    fn routes() -> App {
        let named = |name: &'static str| move |_: Request<'_>| name;
        App::new()
            .post("/orders", named("post"))
            .get("/orders/{id}", named("one"))
            .route("DELETE", "/orders/{order}", named("delete"))
            .route("OPTIONS", "/{*rest}", named("options"))
            .get("/files/{*path}", named("file"))
            .get("/files/index", named("index"))
    }

    /// Regression: `.post("/orders", …).route("OPTIONS", "/{*rest}", …).web(…)` answered
    /// `GET /missing` with 405, and `OPTIONS /orders` too.
    #[test]
    fn each_method_of_each_path_has_its_one_answer() {
        let (with, without) = (routes().web(|_| "web"), routes());
        for (method, path, with_web, without_web) in [
            ("POST", "/orders", "post", "post"),
            ("OPTIONS", "/orders", "options", "options"),
            ("OPTIONS", "/missing", "options", "options"),
            ("OPTIONS", "/orders/7", "options", "options"),
            ("GET", "/missing", "web", "405 OPTIONS"),
            ("HEAD", "/missing", "web", "405 OPTIONS"),
            ("PUT", "/missing", "web", "405 OPTIONS"),
            ("GET", "/orders", "405 POST, OPTIONS", "405 POST, OPTIONS"),
            ("GET", "/orders/7", "one", "one"),
            ("HEAD", "/orders/7", "one", "one"),
            ("DELETE", "/orders/7", "delete", "delete"),
            (
                "POST",
                "/orders/7",
                "405 GET, HEAD, DELETE, OPTIONS",
                "405 GET, HEAD, DELETE, OPTIONS",
            ),
            (
                "get",
                "/orders/7",
                "405 GET, HEAD, DELETE, OPTIONS",
                "405 GET, HEAD, DELETE, OPTIONS",
            ),
            ("GET", "/files/a/b", "file", "file"),
            ("GET", "/files/index", "index", "index"),
            ("PUT", "/files/a/b", "web", "405 GET, HEAD, OPTIONS"),
            ("PUT", "/files/index", "405 GET, HEAD, OPTIONS", "405 GET, HEAD, OPTIONS"),
            ("GET", "/", "web", "404 -"),
            ("OPTIONS", "/", "web", "404 -"),
            ("GET", "/orders/", "web", "405 OPTIONS"),
            ("OPTIONS", "*", "web", "404 -"),
        ] {
            let each = [&with, &without].map(|app| answered(app, method, path));
            assert_eq!(each, [with_web, without_web].map(str::to_owned), "{method} {path}");
        }
    }

    #[test]
    fn a_head_route_of_its_own_goes_first() {
        let app = App::new().get("/a", |_| "get").route("HEAD", "/a", |_| "head");
        assert_eq!(answered(&app, "HEAD", "/a"), "head");
        assert_eq!(answered(&app, "PUT", "/a"), "405 GET, HEAD");
        let app = App::new().route("HEAD", "/a", |_| "head");
        assert_eq!(answered(&app, "GET", "/a"), "405 HEAD");
    }
}
