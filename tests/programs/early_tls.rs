//! Function with an early TLS connection: rustls over `firstbyte::net`. `Tls` is all the code that
//! such a function needs. UPSTREAM is `host:port`, UPSTREAM_CA the PEM file of the trusted
//! authority.

use firstbyte::net::{Early, Fate, Handshake, Pool, Repeat, TcpStream};
use firstbyte::{App, Error, Request, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::io::{self, ErrorKind, Read, Write};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A TLS session and its stream.
struct Tls {
    session: ClientConnection,
    stream: TcpStream,
}

impl Handshake for Tls {
    fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    fn shake(&mut self) -> io::Result<()> {
        while self.session.is_handshaking() {
            let (read, written) = self.session.complete_io(&mut self.stream)?;
            if (read, written) == (0, 0) {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// A TLS 1.3 server sends session tickets without a request, which this reads. Other bytes are
    /// a close, or a reply without a request.
    fn is_stale(&mut self) -> bool {
        self.stream.set_nonblocking(true);
        let is_stale = loop {
            match self.session.read_tls(&mut self.stream) {
                Ok(0) => break true,
                Ok(_) => match self.session.process_new_packets() {
                    Ok(state) if state.plaintext_bytes_to_read() == 0 => {
                        if state.peer_has_closed() {
                            break true;
                        }
                    }
                    _ => break true,
                },
                Err(error) => break error.kind() != ErrorKind::WouldBlock,
            }
        };
        self.stream.set_nonblocking(false);
        is_stale
    }
}

fn begin() -> io::Result<Tls> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let config = match CONFIG.get() {
        Some(config) => config.clone(),
        None => {
            let mut roots = RootCertStore::empty();
            let file = std::env::var("UPSTREAM_CA").map_err(io::Error::other)?;
            for certificate in CertificateDer::pem_file_iter(file).map_err(io::Error::other)? {
                roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
            }
            let config = ClientConfig::builder().with_root_certificates(roots);
            CONFIG.get_or_init(|| Arc::new(config.with_no_client_auth())).clone()
        }
    };
    let upstream = std::env::var("UPSTREAM").map_err(io::Error::other)?;
    let host = upstream.rsplit_once(':').map_or(upstream.as_str(), |(host, _)| host);
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let session = ClientConnection::new(config, name).map_err(io::Error::other)?;
    Ok(Tls { session, stream: TcpStream::begin(&upstream)? })
}

static UPSTREAM: Early<Tls> = Early::new(begin);

static POOL: Pool<Tls> = Pool::new(|until| UPSTREAM.connect(until))
    .probe(|tls| !tls.is_stale())
    .fate(|_| Fate::Lost)
    .sent(|tls| tls.stream.sent());

/// The status line of a GET for /, or the error as text, which the tests check.
fn status(_: Request<'_>) -> Result<String> {
    let line = POOL.call(Duration::from_secs(5), Repeat::Idempotent, |tls| {
        let request = b"GET / HTTP/1.1\r\nHost: upstream\r\n\r\n";
        let mut stream = rustls::Stream::new(&mut tls.session, &mut tls.stream);
        stream.write_all(request)?;
        let mut reply = Vec::new();
        while !reply.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            reply.extend_from_slice(&byte);
        }
        Ok(String::from_utf8_lossy(&reply).lines().next().unwrap_or_default().to_owned())
    });
    line.map_err(|error: io::Error| Error::of(&error).for_caller())
}

fn main() -> ExitCode {
    let mut app = App::new().get("/status", status).web(|_| "here");
    if std::env::var_os("EARLY").is_some() {
        app = app.early(&UPSTREAM);
    }
    app.serve()
}
