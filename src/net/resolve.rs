//! Resolving names: `host:port`, as in a configuration.

use super::dial::Dial;
use super::dns::{ByName, Lookup, Want, wait_until};
use super::stream::TcpStream;
use super::until::Until;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Returns the addresses of a host, IPv4 first; a numeric address is returned as it is. It reads
/// /etc/hosts, then asks the name servers of /etc/resolv.conf (resolv.conf(5): nameserver, search,
/// domain, options ndots, timeout, attempts); `localhost` needs no file (RFC 6761, section 6.3). It
/// waits until `until` at most.
///
/// # Errors
/// Of kind `NotFound` if the name does not exist or has no address, `TimedOut` if no server has
/// answered in time, `Other` if no server knows or none is configured.
///
/// # Example
/// ```
/// use std::time::Duration;
///
/// let found = firstbyte::net::resolve("localhost", Duration::from_secs(1))?;
/// assert!(found.iter().all(|address| address.is_loopback()));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn resolve(host: &str, until: impl Into<Until>) -> io::Result<Vec<IpAddr>> {
    if let Some(address) = in_digits(host) {
        return Ok(vec![address]);
    }
    let found = wait_until(Lookup::new(host, Want::Both), until.into())?;
    Ok(found.addresses)
}

/// An address, in brackets or not.
fn in_digits(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    bare.unwrap_or(host).parse().ok()
}

impl TcpStream {
    /// Connects to `host:port`; the host is a name or an address (an IPv6 one in brackets). Its
    /// addresses are tried as in [`TcpStream::connect_to`]. Call that one if you have no name: the
    /// resolver adds some KiB.
    ///
    /// # Errors
    /// As [`TcpStream::connect_to`], or why the name is not found.
    ///
    /// # Example
    /// ```
    /// use firstbyte::net::TcpStream;
    /// use std::time::Duration;
    ///
    /// let error = TcpStream::connect("localhost:1", Duration::from_secs(1)).unwrap_err();
    /// assert!(error.to_string().starts_with("cannot connect to `localhost:1`: 127.0.0.1:1: "));
    /// ```
    pub fn connect(destination: &str, until: impl Into<Until>) -> io::Result<TcpStream> {
        let mut stream = TcpStream::begin(destination)?;
        stream.set_deadline(until);
        stream.finish()?;
        Ok(stream)
    }

    /// Begins to connect to `host:port` without waiting, as [`TcpStream::begin_to`].
    ///
    /// # Errors
    /// If `destination` has another form.
    pub fn begin(destination: &str) -> io::Result<TcpStream> {
        let malformed = || {
            let text = format!(
                "invalid destination `{}`; write it as host:port, for example redis:6379",
                destination.escape_debug()
            );
            io::Error::new(io::ErrorKind::InvalidInput, text)
        };
        let (host, port) = destination.rsplit_once(':').ok_or_else(malformed)?;
        let port: u16 = port.parse().map_err(|_| malformed())?;
        if let Some(address) = in_digits(host) {
            return Ok(TcpStream::begin_to(&[SocketAddr::new(address, port)]));
        }
        if host.is_empty() || host.contains([':', '[', ']', '/', '@']) {
            return Err(malformed());
        }
        let lookup = Lookup::new(host, Want::Both);
        let name = Box::new(ByName { lookup, port });
        Ok(TcpStream::dialing(Dial::by_name(name), destination.to_owned()))
    }
}
