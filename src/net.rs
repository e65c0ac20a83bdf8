//! Outgoing connections: streams with deadlines, a pool, early connections, and name look-ups.
//!
//! A wait here does not delay other requests. In the boot lane the main thread also watches for
//! other connections; in a handler elsewhere the event loop is lent to another thread; any other
//! thread blocks. Parts that a function does not use are not linked. TLS, HTTP and databases are
//! left to their crates: [`TcpStream`] is `Read + Write`.
//!
//! - [`Until`]: the time at which a wait ends. Made of a [`Deadline`](crate::Deadline), a
//!   `Duration` from now, or an `Instant`.
//! - [`TcpStream`]: `connect("host:port", until)`, `connect_to(&[SocketAddr], until)`,
//!   `set_deadline`, `set_read_timeout`, `set_write_timeout`, `set_nonblocking`, `is_stale`, `sent`
//!   (bytes so far), `shutdown`. A missed deadline is an error of kind `TimedOut` that names what
//!   was waited for.
//! - [`resolve`]: the addresses of a name. [`dns!`](crate::dns) gives the same resolver to crates
//!   that call the C library's `getaddrinfo`: std, redis, postgres, mysql, ureq. [`within`] gives
//!   such look-ups a deadline.
//! - [`Pool`]: reused connections of any type: `static POOL: Pool<T, E> = Pool::new(|until|
//!   …).probe(…).fate(…)`, and `POOL.call(until, Repeat::…, |connection| …)`. Failed work is
//!   repeated only if nothing was sent or the caller allows it.
//! - [`Early`]: a connection that is begun while the instance waits for its first request: `static
//!   UPSTREAM: Early<T> = Early::new(|| …)`, `App::early(&UPSTREAM)`, and `UPSTREAM.connect(until)`
//!   in a handler (or in a pool's `connect`). `T` implements [`Handshake`]: a [`TcpStream`], or a
//!   type around one, for example a TLS session.
//!
//! # Example
//! ```
//! use firstbyte::net::{TcpStream, Until};
//! use std::io::{Read, Write};
//! use std::time::Duration;
//!
//! # let server = std::net::TcpListener::bind("127.0.0.1:0")?;
//! # let address = server.local_addr()?;
//! # let serves = std::thread::spawn(move || -> std::io::Result<()> {
//! #     let (mut peer, _) = server.accept()?;
//! #     let mut request = [0; 6];
//! #     peer.read_exact(&mut request)?;
//! #     peer.write_all(b"+PONG\r\n")
//! # });
//! let until = Until::after(Duration::from_secs(2)); // in a handler: context.deadline()
//! let mut stream = TcpStream::connect_to(&[address], until)?;
//! stream.write_all(b"PING\r\n")?;
//! let mut reply = [0; 7];
//! stream.read_exact(&mut reply)?;
//! assert_eq!(&reply, b"+PONG\r\n");
//! # serves.join().unwrap()?;
//! # Ok::<(), std::io::Error>(())
//! ```

mod dial;
#[doc(hidden)]
pub mod dns;
mod early;
mod pool;
mod resolve;
mod socket;
mod stream;
mod until;

pub use early::{Early, Handshake};
pub use pool::{Fate, Pool, Repeat, Taken};
pub use resolve::resolve;
pub use stream::TcpStream;
pub use until::{Until, within};

/// Defines the C library's `getaddrinfo`, `freeaddrinfo` and `gai_strerror` in this program, so
/// that every crate that looks names up uses [`net::resolve`](crate::net::resolve). A look-up then
/// does not delay other requests, fails at once if there is no name server (musl: after 5 s), and
/// succeeds if a server answers for IPv4 and not for IPv6 (musl: fails after 5 s).
///
/// Write it once, beside [`main!`](crate::main): the decision belongs to the program, and not to a
/// library. It adds some 11 KiB to a layer if names are looked up, and 1.5 KiB if not. With a C
/// library other than musl it does the same for code that calls these functions by name.
///
/// # Example
/// ```no_run
/// #![cfg_attr(not(test), no_main)]
/// use firstbyte::{App, Result};
///
/// fn addresses() -> Result<String> {
///     use std::net::ToSocketAddrs;
///     Ok(format!("{:?}", ("redis.internal", 6379).to_socket_addrs()?.collect::<Vec<_>>()))
/// }
///
/// firstbyte::dns!();
/// firstbyte::main!(App::new().web(|_| addresses()));
/// ```
#[macro_export]
macro_rules! dns {
    () => {
        const _: () = {
            // JUSTIFICATION: the linker prefers the program's definition to the C library's.
            // SAFETY: names and behaviour are the C library's; each is defined once.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn getaddrinfo(
                node: *const ::core::ffi::c_char,
                service: *const ::core::ffi::c_char,
                hints: *const $crate::net::dns::addrinfo,
                result: *mut *mut $crate::net::dns::addrinfo,
            ) -> ::core::ffi::c_int {
                // JUSTIFICATION: as above.
                // SAFETY: the caller's promise is passed on.
                unsafe { $crate::net::dns::getaddrinfo(node, service, hints, result) }
            }

            // JUSTIFICATION: as above.
            // SAFETY: as above.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn freeaddrinfo(list: *mut $crate::net::dns::addrinfo) {
                // JUSTIFICATION: as above.
                // SAFETY: the caller's promise is passed on.
                unsafe { $crate::net::dns::freeaddrinfo(list) }
            }

            // JUSTIFICATION: as above.
            // SAFETY: as above.
            #[unsafe(no_mangle)]
            extern "C" fn gai_strerror(code: ::core::ffi::c_int) -> *const ::core::ffi::c_char {
                $crate::net::dns::gai_strerror(code)
            }
        };
    };
}
