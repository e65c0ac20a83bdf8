//! Around: what an App does around every request and every reply of its own. The trait only; when
//! it is called is `app`'s matter. CORS and the access log are two that are ready.

use crate::asked::Asked;
use crate::error::Result;
use crate::reply::Reply;

/// What stands around every request and every reply of an App ([`App::around`]): handlers' replies
/// and errors, panics, 404 and 405, and what the server itself refuses (400, 408, 413, 414, 415,
/// 431, 501, 503, 505).
///
/// With several, `before` is asked in the order in which they were added, until one answers, and
/// every `after` sees every reply, in the opposite order: the first one added is the outermost. A
/// panic or an error in either is a failure like a handler's: it is logged, and the reply is a 500
/// that keeps the header fields it had, which those further out still see.
///
/// The server's own fields (content-length, date and the like) are not in the reply yet. A
/// redirect of the framing, a closed connection, a silent peer: where nothing is said there is
/// nothing to see.
///
/// # Cold start
/// An App without any is linked without what calls them.
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
    /// Whether it is fit to be used: asked once, before the port is bound.
    ///
    /// # Errors
    /// What is wrong with its configuration; the App does not serve then.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Answers a request in the handler's place, or lets it pass. Not asked about what the server
    /// itself refuses.
    ///
    /// # Errors
    /// The request's failure, as if a handler had returned it.
    fn before(&self, asked: &Asked<'_>) -> Result<Option<Reply>> {
        let _ = asked;
        Ok(None)
    }

    /// Sees every reply before it goes out, and may change it.
    ///
    /// # Errors
    /// The request's failure: the reply becomes a 500.
    fn after(&self, asked: &Asked<'_>, reply: &mut Reply) -> Result<()>;
}
