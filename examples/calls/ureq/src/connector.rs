//! ureq's transport: each connection is a link of link.rs, which serves other requests while it
//! waits, and `firstbyte::net` resolves names. Neither starts a thread.

use crate::link::{Link, Url};
use firstbyte::net::{Early, Handshake, Until};
use std::cell::Cell;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Mutex, OnceLock, PoisonError};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

/// The connection to pass to `App::early`.
pub static EARLY: Early<Link> = Early::new(|| url()?.begin());

/// Parses UPSTREAM_URL once.
///
/// # Errors
/// States what is wrong with UPSTREAM_URL or UPSTREAM_CA.
pub fn url() -> io::Result<&'static Url> {
    static URL: OnceLock<Result<Url, String>> = OnceLock::new();
    let read = || Url::of_environment("UPSTREAM_URL", "UPSTREAM_CA");
    URL.get_or_init(read).as_ref().map_err(|problem| io::Error::other(problem.as_str()))
}

thread_local! {
    static MADE: Cell<u32> = const { Cell::new(0) };
}

/// Number of connections that this thread has made; a handler has the thread to itself while it
/// runs. If a request leaves the number unchanged, it used a kept connection.
pub fn connections_made() -> u32 {
    MADE.get()
}

/// A resolver that returns no address: each connection resolves its own name.
#[derive(Debug)]
pub struct Resolves;

impl Resolver for Resolves {
    fn resolve(
        &self,
        _: &Uri,
        _: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(self.empty())
    }
}

/// A connector that makes connections.
#[derive(Debug)]
pub struct Begins;

impl Connector for Begins {
    type Out = Session;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<Session>, ureq::Error> {
        MADE.set(MADE.get().wrapping_add(1));
        let authority = details.uri.authority().ok_or(ureq::Error::ConnectionFailed)?;
        let scheme = format!("{}://", details.uri.scheme_str().unwrap_or_default());
        let until = until(details.timeout);
        let ours = url()?;
        let link = if ours.authority == authority.as_str() && ours.origin.starts_with(&scheme) {
            EARLY.connect(until)?
        } else {
            // the target of a redirection
            let origin = format!("{scheme}{authority}");
            let url =
                Url::read("a redirection", &origin, "UPSTREAM_CA").map_err(io::Error::other)?;
            let mut link = url.begin()?;
            link.stream().set_deadline(until);
            link.shake()?;
            link
        };
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(Some(Session { link: Mutex::new(link), buffers }))
    }
}

fn until(timeout: NextTimeout) -> Until {
    timeout.not_zero().map(|left| *left).into()
}

/// A connection that belongs to ureq.
pub struct Session {
    /// ureq requires `Sync`. No thread ever waits for this lock.
    link: Mutex<Link>,
    buffers: LazyBuffers,
}

impl Session {
    fn link(&mut self) -> &mut Link {
        self.link.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for Session {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let link = self.link.get_mut().unwrap_or_else(PoisonError::into_inner);
        link.stream().set_deadline(until(timeout));
        link.write_all(&self.buffers.output()[..amount])?;
        Ok(link.flush()?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let link = self.link.get_mut().unwrap_or_else(PoisonError::into_inner);
        link.stream().set_deadline(until(timeout));
        let size = loop {
            match link.read(self.buffers.input_append_buf()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.buffers.input_appended(size);
        Ok(size > 0)
    }

    fn is_open(&mut self) -> bool {
        !self.link().is_stale()
    }

    fn is_tls(&self) -> bool {
        let link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(*link, Link::Tls(_))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}
