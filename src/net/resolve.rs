//! Names in place of addresses: `host:port` as one writes it.

use super::dial::Dial;
use super::dns::{ByName, Lookup, Want, wait_until};
use super::stream::TcpStream;
use super::until::Until;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// The addresses of a host, IPv4 first; an address in digits is itself. Asks /etc/hosts, then the
/// name servers of /etc/resolv.conf (resolv.conf(5): nameserver, search, domain, options ndots,
/// timeout, attempts); `localhost` needs no file (RFC 6761, section 6.3). Waits until `until` at
/// most.
///
/// # Errors
/// Of kind `NotFound` if there is no such name or it has no address, `TimedOut` if nobody has
/// answered in time, `Other` if no server can tell, or there is none to ask.
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
    /// Connects to `host:port`, where the host is a name or an address (an IPv6 one in brackets).
    /// Its addresses are tried as in [`TcpStream::connect_to`], which is the one to call where no
    /// name is known: a resolver is some KiB.
    ///
    /// # Errors
    /// As [`TcpStream::connect_to`], and why the name is not found.
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

    /// Begins to connect to `host:port`, and waits for nothing, as [`TcpStream::begin_to`].
    ///
    /// # Errors
    /// If it is not written like that.
    pub fn begin(destination: &str) -> io::Result<TcpStream> {
        let malformed = || {
            let text = format!(
                "`{}` is no destination; write it as host:port, for example redis:6379",
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
