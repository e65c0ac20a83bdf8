//! A connection to the host of a URL, with TLS if the URL begins with `https`: rustls on a stream
//! of `firstbyte::net`. It does not implement HTTP.

use firstbyte::net::{Handshake, TcpStream};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{self, Read, Write};
use std::sync::Arc;

/// A parsed URL with its TLS settings.
pub struct Url {
    /// `https://HOST[:PORT]`, or `http://…`.
    pub origin: String,
    /// `HOST[:PORT]`, the value of the field Host.
    pub authority: String,
    /// The path with its query, percent-encoded as in the URL.
    pub target: String,
    /// `HOST:PORT`, to connect to.
    destination: String,
    /// `None` for plain HTTP.
    tls: Option<(ServerName<'static>, Arc<ClientConfig>)>,
}

impl Url {
    /// Parses the environment variable `url`. The connection trusts the PEM file that the variable
    /// `ca` names, or else Mozilla's list of authorities.
    ///
    /// # Errors
    /// States which of the two variables is wrong and why.
    pub fn of_environment(url: &str, ca: &str) -> Result<Url, String> {
        let text = std::env::var(url).map_err(|_| format!("{url} is not set"))?;
        Url::read(url, &text, ca)
    }

    /// Parses a text in the same way; `name` is its name in error messages.
    ///
    /// # Errors
    /// As [`Url::of_environment`].
    pub fn read(name: &str, text: &str, ca: &str) -> Result<Url, String> {
        let wrong = |what| format!("{name} {what}; write it as https://HOST[:PORT]/PATH");
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("has characters that must be percent-encoded"));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("has no scheme"))?;
        let default_port = match scheme {
            "https" => 443,
            "http" => 80,
            _ => return Err(wrong("has a scheme other than https or http")),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(wrong("contains a user"));
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| wrong("has a wrong port"))?)
            }
            _ => (authority, default_port),
        };
        let server = host.trim_matches(['[', ']']).to_owned();
        let server = ServerName::try_from(server).map_err(|_| wrong("has no host"))?;
        let tls = if scheme == "https" { Some((server, config(ca)?)) } else { None };
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Url {
            origin: format!("{scheme}://{authority}"),
            authority: authority.to_owned(),
            target: format!("{slash}{target}"),
            destination: format!("{host}:{port}"),
            tls,
        })
    }

    /// Starts a connection; does not wait for it.
    ///
    /// # Errors
    /// An invalid name, or an error of TLS.
    pub fn begin(&self) -> io::Result<Link> {
        let stream = TcpStream::begin(&self.destination)?;
        let Some((name, config)) = &self.tls else { return Ok(Link::Plain(stream)) };
        let tls = ClientConnection::new(Arc::clone(config), name.clone());
        let tls = tls.map_err(io::Error::other)?;
        Ok(Link::Tls(Box::new(StreamOwned::new(tls, stream))))
    }
}

/// TLS settings, with the trusted authorities.
fn config(ca: &str) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    if let Ok(path) = std::env::var(ca) {
        let wrong = |problem: String| format!("{ca}, `{path}`: {problem}");
        let found =
            CertificateDer::pem_file_iter(&path).map_err(|error| wrong(error.to_string()))?;
        for certificate in found {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(wrong("it contains no certificate".to_owned()));
        }
    } else {
        roots.extend(public(ca)?.iter().cloned());
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

/// Mozilla's list of authorities: 44 KiB of a layer.
#[cfg(feature = "public-roots")]
fn public(_: &str) -> Result<&'static [TrustAnchor<'static>], String> {
    Ok(webpki_roots::TLS_SERVER_ROOTS)
}

/// Without this feature a function trusts only the authorities of a file.
#[cfg(not(feature = "public-roots"))]
fn public(ca: &str) -> Result<&'static [TrustAnchor<'static>], String> {
    Err(format!("{ca} is not set; set it to a PEM file with the trusted authorities"))
}

/// A connection, plain or over TLS.
pub enum Link {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Handshake for Link {
    fn stream(&mut self) -> &mut TcpStream {
        match self {
            Link::Plain(stream) => stream,
            Link::Tls(tls) => &mut tls.sock,
        }
    }

    fn shake(&mut self) -> io::Result<()> {
        match self {
            Link::Plain(stream) => stream.finish(),
            Link::Tls(tls) => {
                while tls.conn.is_handshaking() {
                    tls.conn.complete_io(&mut tls.sock)?;
                }
                Ok(())
            }
        }
    }

    /// Reads what has arrived: TLS 1.3 servers send tickets without a request; other bytes end the
    /// connection.
    fn is_stale(&mut self) -> bool {
        self.stream().set_nonblocking(true);
        let read = self.read(&mut [0]);
        self.stream().set_nonblocking(false);
        !read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Link::Plain(stream) => stream.read(buffer),
            Link::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Link::Plain(stream) => stream.write(bytes),
            Link::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Link::Plain(stream) => stream.flush(),
            Link::Tls(tls) => tls.flush(),
        }
    }
}
