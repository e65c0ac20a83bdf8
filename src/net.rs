//! Connections to others: streams that wait rightly, a pool, connections begun early, and names.
//!
//! Everything here waits without holding up other requests: in the boot lane the main thread
//! watches for others itself, in a handler elsewhere the event loop is lent to another thread, on
//! any other thread it just blocks. What a function does not use of it is not linked. TLS, HTTP and
//! databases stay with the crates that are good at them: [`TcpStream`] is `Read + Write`.
//!
//! - [`Until`]: until when something is waited for. Made of a
//!   [`Deadline`](crate::Deadline), a `Duration` from now, or an `Instant`.
//! - [`TcpStream`]: `connect("host:port", until)`, `connect_to(&[SocketAddr], until)`,
//!   `set_deadline`, `set_read_timeout`, `set_write_timeout`, `set_nonblocking`, `is_stale`,
//!   `sent` (bytes so far), `shutdown`. A deadline that passes is `TimedOut`, in words.
//! - [`resolve`]: the addresses of a name. [`dns!`](crate::dns) gives the same resolver to crates
//!   that ask the C library (`getaddrinfo`): std, redis, postgres, mysql, ureq.
//!   [`within`] gives such look-ups a deadline.
//! - [`Pool`]: connections that are used again, of any type: `static POOL: Pool<T, E> =
//!   Pool::new(|until| …).probe(…).fate(…)`, and `POOL.call(until, Repeat::…, |connection| …)`.
//!   What has failed is sent again only if nothing was sent or the caller says that it may be.
//! - [`Early`]: a connection that is begun while the instance waits for its first request:
//!   `static UPSTREAM: Early<T> = Early::new(|| …)`, `App::early(&UPSTREAM)`, and
//!   `UPSTREAM.connect(until)` in a handler (or in a pool's `connect`). What `T` must be is
//!   [`Handshake`]: a [`TcpStream`], or something of yours around one, a TLS session for example.
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
#[cfg_attr(not(target_os = "linux"), path = "net/socket/elsewhere.rs")]
mod socket;
mod stream;
mod until;

pub use early::{Early, Handshake};
pub use pool::{Fate, Pool, Repeat, Taken};
pub use resolve::resolve;
pub use stream::TcpStream;
pub use until::{Until, within};

/// Defines the C library's `getaddrinfo`, `freeaddrinfo` and `gai_strerror` in this program, so
/// that every crate that looks names up does it by [`net::resolve`](crate::net::resolve): without
/// holding up other requests, with an error at once where nobody can be asked (musl's takes 5 s),
/// and with an answer where a server has one for IPv4 and none for IPv6 (musl's fails after 5 s).
///
/// To be written once, beside [`main!`](crate::main): it is the program's decision, and no
/// library's. It costs some 11 KiB of a layer where a
/// name is looked up, and 1.5 KiB where none is. With another C library than musl it does the same
/// for what calls these functions by name.
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
            // JUSTIFICATION: the linker takes the program's definition before the C library's.
            // SAFETY: the names are the C library's and so is what they do; each is defined once.
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
