//! Around: the trait for code that runs around every request and every reply of an App. `app`
//! decides when it is called. CORS and the access log implement it.

use crate::asked::Asked;
use crate::error::Result;
use crate::reply::Reply;

/// Code that runs around every request and reply of an App ([`App::around`]): around handlers'
/// replies and errors, panics, 404 and 405, and the server's own refusals (400, 408, 413, 414, 415,
/// 431, 501, 503, 505).
///
/// With several, `before` is called in the order in which they were added until one answers. Every
/// `after` is called for every reply, in the opposite order: the first one added is the outermost.
/// A panic or an error in either counts as a handler's failure: it is logged, and the reply becomes
/// a 500 that keeps its header fields, which the outer ones still see.
///
/// The reply does not yet have the server's own fields (content-length, date and the like). There
/// is no call where there is no reply: for a connection that the peer closes or leaves silent.
///
/// # Cold start
/// An App that adds none is linked without the code that calls them.
///
/// # Example
/// ```
/// use firstbyte::{App, Around, Asked, Reply, Result, test};
///
/// struct Named(&'static str);
///
/// impl Around for Named {
///     fn before(&self, asked: &Asked<'_>) -> Result<Option<Reply>> {
///         Ok((asked.path() == "/health").then(|| Reply::text("well")))
///     }
///
///     fn after(&self, _: &Asked<'_>, reply: &mut Reply) -> Result<()> {
///         reply.set_header("server", self.0)
///     }
/// }
///
/// let app = App::new().get("/", |_| "here").around(Named("mine"));
/// assert_eq!(test::get("/health").send(&app).text(), "well");
/// let missing = test::get("/missing").send(&app);
/// assert_eq!((missing.status().code(), missing.header("server")), (404, Some("mine")));
/// ```
///
/// [`App::around`]: crate::App::around
pub trait Around: Send + Sync + 'static {
    /// Checks the configuration. Called once, before the port is bound.
    ///
    /// # Errors
    /// What is wrong with the configuration; the App then refuses to serve.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Answers a request in place of the handler, or returns `None` to let it pass. Not called for
    /// what the server itself refuses.
    ///
    /// # Errors
    /// The request's failure, as if a handler had returned it.
    fn before(&self, asked: &Asked<'_>) -> Result<Option<Reply>> {
        let _ = asked;
        Ok(None)
    }

    /// Sees every reply before it is sent, and may change it.
    ///
    /// # Errors
    /// The request's failure: the reply becomes a 500.
    fn after(&self, asked: &Asked<'_>, reply: &mut Reply) -> Result<()>;
}
