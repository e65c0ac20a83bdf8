//! From exec to listening: the address, and the order of the first steps. The port is bound first;
//! everything else comes after it, except what a function wants done before
//! (`Init::BeforeListening`).

use crate::alloc;
use crate::app::{App, Init};
use crate::error::{Error, Result};
use crate::json;
use crate::log;
use crate::platform;
use crate::transport::records;
use crate::transport::timeline::{self, Mark};
use crate::transport::{self, Limits};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::process::ExitCode;

/// Environment variable with the address to listen on, for tests and local runs: `host:port`; port
/// 0 takes any free port.
const OVERRIDE: &str = "FIRSTBYTE_ADDR";

/// Defines the program's C `main` for an [`App`], without the standard library's start-up: two
/// lines instead of `fn main`, for functions that want the earliest first byte.
///
/// # Cold start
/// Before std calls `fn main` it checks the standard streams, sets up a signal stack and handlers,
/// and names the main thread: a dozen system calls and several page faults. This macro does the
/// part of it that a server needs. What is missing: `std::env::args` is empty, and the main thread
/// has no name.
///
/// # Example
/// ```no_run
/// #![cfg_attr(not(test), no_main)]
/// use firstbyte::{App, Request};
///
/// fn hello(_: Request<'_>) -> &'static str {
///     "hello"
/// }
///
/// firstbyte::main!(App::new().web(hello));
/// ```
#[macro_export]
macro_rules! main {
    ($app:expr) => {
        // JUSTIFICATION: the C library calls a function of this name; nothing else bypasses std's
        // start-up.
        // SAFETY: the name is defined once: `no_main` keeps rustc from making its own, and a second
        // one does not link.
        #[cfg(not(test))] // the test harness has a main of its own
        #[unsafe(no_mangle)]
        extern "C" fn main(
            _: ::core::ffi::c_int,
            _: *const *const ::core::ffi::c_char,
        ) -> ::core::ffi::c_int {
            $crate::start(|| $app)
        }

        #[cfg(test)]
        #[allow(dead_code)]
        fn main() -> ::std::process::ExitCode {
            $crate::App::serve($app)
        }
    };
}

/// Starts the App; `firstbyte::main!` expands to it. Do not call it yourself.
#[doc(hidden)]
pub fn start(app: fn() -> App) -> i32 {
    timeline::begin(variable);
    transport::replace_std_start_up();
    // A panic must not unwind through C. Its message has been printed by then.
    std::panic::catch_unwind(|| app().try_serve()).map_or(101, |served| match served {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("firstbyte: {error:#}");
            1
        }
    })
}

impl App {
    /// Listens and serves until SIGTERM or SIGINT. On failure it prints the reason in one line on
    /// standard error and returns exit code 1; it returns 1 too if the drain time-out cut something
    /// off.
    ///
    /// # Cold start
    /// The port is bound and listened on before anything else happens, except
    /// [`Init::BeforeListening`].
    pub fn serve(self) -> ExitCode {
        match self.try_serve() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("firstbyte: {error:#}");
                ExitCode::FAILURE
            }
        }
    }

    /// As [`App::serve`], for a `main` that handles errors itself.
    ///
    /// # Errors
    /// If a route is malformed; if the address is malformed, taken or not permitted; if the server
    /// stopped and had to cut something off; if a stop hook failed.
    pub fn try_serve(mut self) -> Result<()> {
        let (limits, workers) = self.take_settings()?;
        run(self, limits, workers)
    }
}

/// Binds, listens, then serves until a signal stops it.
fn run(app: App, limits: Limits, workers: usize) -> Result<()> {
    timeline::begin(variable);
    let address = address(variable)?;
    app.initialise(Init::BeforeListening)?;
    #[cfg(feature = "minihttp")]
    if variable("FIRSTBYTE_TRANSPORT").is_none_or(|name| name == "minihttp") {
        records::init(variable)?;
        settle();
        return transport::minihttp::serve(address, app, limits, workers)
            .map_err(|error| Error::io(format!("cannot listen on {address}: {error}")));
    }
    let listener = transport::listen(address, limits.backlog).map_err(|error| {
        Error::io(match error.kind() {
            ErrorKind::AddrInUse => {
                format!(
                    "port {} of {} is in use; stop the other program or set \
                     FIRSTBYTE_ADDR=host:port",
                    address.port(),
                    address.ip()
                )
            }
            ErrorKind::PermissionDenied => {
                format!("no permission to listen on {address}; take a port from 1024 on")
            }
            _ => format!("cannot listen on {address}: {error}"),
        })
    })?;
    timeline::mark(Mark::Listening);
    records::init(variable)?;
    match transport::serve(listener, app, limits, workers, ready, settle) {
        true => Ok(()),
        false => Err(Error::io("the server stopped before all work was done; see its log")),
    }
}

/// Prints the address if it was overridden: the caller waits for it (port 0 is any port). The
/// platform does not read this line.
fn ready(listener: &TcpListener) {
    if variable(OVERRIDE).is_some()
        && let Ok(address) = listener.local_addr()
    {
        log::announce(format_args!("listening on {address}"));
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Sets up what a first reply does not need.
fn settle() {
    alloc::settle();
    json::settle();
}

/// The address to listen on: FIRSTBYTE_ADDR for tests and local runs; otherwise 0.0.0.0 with the
/// platform's port (docs/CONTRACTS.md, section 2).
fn address(variable: impl Fn(&str) -> Option<String>) -> Result<SocketAddr> {
    if let Some(text) = variable(OVERRIDE) {
        // Numeric addresses and `localhost` only: a resolver is 30 KiB that no instance needs.
        let numbers = text
            .strip_prefix("localhost:")
            .map_or(text.clone(), |port| format!("127.0.0.1:{port}"));
        return numbers.parse().map_err(|_| {
            Error::io(format!(
                "FIRSTBYTE_ADDR is `{text}`; write it as address:port, for example 127.0.0.1:9000"
            ))
        });
    }
    let port = platform::port(&variable)?;
    Ok(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<String, String> {
        address(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
        .map(|address| address.to_string())
        .map_err(|error| error.to_string())
    }

    #[test]
    fn chooses_the_address() {
        assert_eq!(with(&[]), Ok("0.0.0.0:9000".into()));
        assert_eq!(with(&[("PORT", "8080")]), Ok("0.0.0.0:8080".into()));
        assert_eq!(
            with(&[("PORT", "8080"), ("TENCENTCLOUD_RUNENV", "SCF")]),
            Ok("0.0.0.0:9000".into())
        );
        assert_eq!(
            with(&[("PORT", "x"), ("TENCENTCLOUD_RUNENV", "SCF")]),
            Ok("0.0.0.0:9000".into())
        );
        assert_eq!(
            with(&[("FIRSTBYTE_ADDR", "127.0.0.1:1"), ("PORT", "2")]),
            Ok("127.0.0.1:1".into())
        );
        assert!(with(&[("PORT", "70000")]).unwrap_err().contains("70000"));
        assert!(with(&[("FIRSTBYTE_ADDR", "nonsense")]).unwrap_err().contains("address:port"));
    }
}
