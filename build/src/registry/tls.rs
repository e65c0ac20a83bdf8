//! TLS for ureq: a connector that wraps a TCP connection and uses our own set of trusted
//! certificates. [`super::trust`] verifies the certificates.

use super::error::RegistryError;
use super::trust::{Configurations, explain};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
    TransportAdapter,
};

/// Why the TLS handshake failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    /// The peer does not speak TLS.
    #[error("{0}")]
    NotTls(String),
    /// The peer's certificate is not trusted.
    #[error("{0}")]
    Certificate(String),
    /// The configuration for this host cannot be made.
    #[error("{0}")]
    Configuration(RegistryError),
    /// The server has ended the handshake with an alert.
    #[error("{0}")]
    Alert(String),
    /// Any other TLS error.
    #[error("{0}")]
    Other(String),
}

impl From<HandshakeError> for ureq::Error {
    fn from(error: HandshakeError) -> ureq::Error {
        ureq::Error::Other(Box::new(error))
    }
}

/// Wraps connections of `https` addresses in TLS.
pub(super) struct TlsConnector(pub(super) Arc<Configurations>);

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsConnector")
    }
}

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = Either<In, TlsTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(transport) = chained else { return Ok(None) };
        if !details.needs_tls() || transport.is_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let authority = details.uri.authority().ok_or(ureq::Error::ConnectionFailed)?;
        let config = self.0.of(authority.as_str()).map_err(HandshakeError::Configuration)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| HandshakeError::Other(format!("`{host}` is not a host name")))?;
        let mut connection = ClientConnection::new(config, name)
            .map_err(|error| HandshakeError::Other(error.to_string()))?;
        let mut socket = TransportAdapter::new(transport.boxed(), details.current_time.clone());
        socket.set_timeout(details.timeout);
        if let Err(error) = connection.complete_io(&mut socket) {
            return Err(handshake_error(error));
        }
        let buffers = LazyBuffers::new(
            details.config.input_buffer_size(),
            details.config.output_buffer_size(),
        );
        let stream = StreamOwned::new(connection, socket);
        Ok(Some(Either::B(TlsTransport { buffers, stream })))
    }
}

fn handshake_error(error: io::Error) -> ureq::Error {
    use rustls::Error as E;
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<E>());
    match tls {
        Some(E::InvalidCertificate(why)) => HandshakeError::Certificate(explain(why)).into(),
        Some(E::InvalidMessage(_)) => HandshakeError::NotTls(
            "it answers a TLS handshake with other bytes, usually plain HTTP".to_owned(),
        )
        .into(),
        Some(alert @ E::AlertReceived(_)) => HandshakeError::Alert(alert.to_string()).into(),
        Some(other) => HandshakeError::Other(other.to_string()).into(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            HandshakeError::NotTls("it closes the connection in the TLS handshake".to_owned())
                .into()
        }
        None => ureq::Error::from(error),
    }
}

/// A TLS connection.
pub(super) struct TlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsTransport")
    }
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let output = &self.buffers.output()[..amount];
        self.stream.write_all(output)?;
        self.stream.flush()?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let input = self.buffers.input_append_buf();
        let amount = self.stream.read(input)?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}
