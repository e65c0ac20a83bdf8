//! Path and method → handler. Matching is matchit's: `/users/{id}`, `/files/{*rest}`; paths are
//! compared as they were sent, percent-encoding untouched. Methods: RFC 9110, section 9.1.

use crate::error::{Error, Result};
use crate::handler::WebHandler;
use matchit::Params;

/// The routes of one App.
#[derive(Default)]
pub(crate) struct Routes {
    paths: matchit::Router<Vec<(&'static str, WebHandler)>>,
    /// Whether there is a route at all: an event function pays for no look-up.
    any: bool,
}

/// What the routes say to a request.
pub(crate) enum Matched<'a> {
    Handler(&'a WebHandler, Params<'a, 'a>),
    /// The path is known, the method is not: the methods that are.
    OtherMethods(String),
    Nothing,
}

impl Routes {
    /// # Errors
    /// If the method is not in capitals, or the pattern is malformed, conflicts with an earlier
    /// one, or has the method already.
    pub(crate) fn add(
        &mut self,
        method: &'static str,
        pattern: &str,
        handler: WebHandler,
    ) -> Result<()> {
        self.any = true;
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
        if let Ok(found) = self.paths.at_mut(pattern)
            && found.params.iter().all(|(name, value)| {
                value == format!("{{{name}}}") || value == format!("{{*{name}}}")
            })
        {
            if found.value.iter().any(|(known, _)| *known == method) {
                return Err(Error::new(format!("the route `{method} {pattern}` is added twice")));
            }
            found.value.push((method, handler));
            return Ok(());
        }
        self.paths.insert(pattern, vec![(method, handler)]).map_err(|error| {
            Error::new(format!("the route `{method} {pattern}` cannot be added: {error}"))
        })
    }

    pub(crate) fn find<'a>(&'a self, method: &str, path: &'a str) -> Matched<'a> {
        if !self.any {
            return Matched::Nothing;
        }
        let Ok(found) = self.paths.at(path) else { return Matched::Nothing };
        let exact = found.value.iter().find(|(known, _)| *known == method);
        // A GET handler answers HEAD as well; the transport leaves the body out (RFC 9110, section
        // 9.3.2).
        let for_head = || found.value.iter().find(|(known, _)| method == "HEAD" && *known == "GET");
        match exact.or_else(for_head) {
            Some((_, handler)) => Matched::Handler(handler, found.params),
            None => Matched::OtherMethods(allow(found.value.iter().map(|(known, _)| *known))),
        }
    }
}

/// The value of an Allow field (RFC 9110, section 10.2.1).
fn allow<'m>(methods: impl Iterator<Item = &'m str>) -> String {
    let each = methods.map(|method| if method == "GET" { "GET, HEAD" } else { method });
    each.collect::<Vec<_>>().join(", ")
}
