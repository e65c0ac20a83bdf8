//! From exec to listening: which address, which order. The port is bound first; everything else comes after.

use crate::app::App;
use crate::error::{Error, Result};
use crate::transport::{self, Limits};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

/// The port that the platform sends to (platform page "WebServer image function").
const PLATFORM_PORT: u16 = 9000;
/// Where to listen instead, for tests and local runs: `host:port`, port 0 for any.
const OVERRIDE: &str = "FIRSTBYTE_ADDR";

/// What `firstbyte::main!` expands to; not for calling.
#[doc(hidden)]
pub fn start(app: fn() -> App) -> i32 {
    transport::replace_std_start_up();
    // A panic must not leave through C. Its message has been printed by then.
    std::panic::catch_unwind(|| app().try_serve()).map_or(101, |served| match served {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("firstbyte: {error}");
            1
        }
    })
}

/// Binds, listens, then serves until it is told to stop.
pub(crate) fn run(app: App, limits: Limits, workers: usize) -> Result<()> {
    let variable = |name: &str| std::env::var(name).ok();
    let address = address(variable)?;
    #[cfg(feature = "minihttp")]
    if variable("FIRSTBYTE_TRANSPORT").is_none_or(|name| name == "minihttp") {
        crate::log::init(variable)?;
        settle();
        return transport::minihttp::serve(address, app, limits, workers)
            .map_err(|error| Error::io(format!("cannot listen on {address}: {error}")));
    }
    let listener = transport::listen(address, limits.backlog).map_err(|error| {
        Error::io(match error.kind() {
            ErrorKind::AddrInUse => {
                format!(
                    "port {} of {} is in use; stop the other program or set FIRSTBYTE_ADDR=host:port",
                    address.port(),
                    address.ip()
                )
            }
            ErrorKind::PermissionDenied => format!("no permission to listen on {address}; take a port from 1024 on"),
            _ => format!("cannot listen on {address}: {error}"),
        })
    })?;
    crate::log::init(variable)?;
    if variable(OVERRIDE).is_some()
        && let Ok(address) = listener.local_addr()
    {
        // Whoever moved the address waits to be told (port 0 is any port); the platform reads no such line.
        crate::log::announce(format_args!("listening on {address}"));
    }
    transport::serve(listener, app, limits, workers, settle);
    Ok(())
}

/// What a first reply need not wait for.
fn settle() {
    crate::alloc::settle();
    crate::json::settle();
}

/// FIRSTBYTE_ADDR for tests and local runs; else 0.0.0.0 with PORT, which a user's own variable of that name must
/// not move off 9000 on SCF (docs/CONTRACTS.md, section 2).
fn address(variable: impl Fn(&str) -> Option<String>) -> Result<SocketAddr> {
    if let Some(text) = variable(OVERRIDE) {
        // Numbers only, but for one name: a resolver is 30 KiB that no instance needs.
        let numbers = text.strip_prefix("localhost:").map_or(text.clone(), |port| format!("127.0.0.1:{port}"));
        return numbers.parse().map_err(|_| {
            Error::io(format!("FIRSTBYTE_ADDR is `{text}`; write it as address:port, for example 127.0.0.1:9000"))
        });
    }
    let on_scf = variable("TENCENTCLOUD_RUNENV").is_some_and(|value| value == "SCF");
    let port = match variable("PORT") {
        Some(text) if !on_scf => text
            .parse()
            .map_err(|_| Error::io(format!("PORT is `{text}`; write a number from 0 to 65535, or unset it")))?,
        _ => PLATFORM_PORT,
    };
    Ok(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<String, String> {
        address(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
            .map(|address| address.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn chooses_the_address() {
        assert_eq!(with(&[]), Ok("0.0.0.0:9000".into()));
        assert_eq!(with(&[("PORT", "8080")]), Ok("0.0.0.0:8080".into()));
        assert_eq!(with(&[("PORT", "8080"), ("TENCENTCLOUD_RUNENV", "SCF")]), Ok("0.0.0.0:9000".into()));
        assert_eq!(with(&[("PORT", "x"), ("TENCENTCLOUD_RUNENV", "SCF")]), Ok("0.0.0.0:9000".into()));
        assert_eq!(with(&[("FIRSTBYTE_ADDR", "127.0.0.1:1"), ("PORT", "2")]), Ok("127.0.0.1:1".into()));
        assert!(with(&[("PORT", "70000")]).unwrap_err().contains("70000"));
        assert!(with(&[("FIRSTBYTE_ADDR", "nonsense")]).unwrap_err().contains("address:port"));
    }
}
