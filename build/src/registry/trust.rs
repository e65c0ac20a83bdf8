//! Trusted certificates per registry: the system's, those of `--ca`, and those that Docker and
//! podman keep for one host. The client trusts every given certificate itself, even if it is not an
//! authority's. RFC 5280, section 6; Docker's documentation, "Verify repository client with
//! certificates".

use super::address;
use super::error::RegistryError;
use super::identity::Identity;
use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

/// The largest file of certificates, in bytes.
const MAX_FILE_BYTES: u64 = 8 << 20;

/// Certificates and registries that are trusted in addition to the system's authorities.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// PEM files whose certificates are trusted for every registry.
    pub ca: Vec<PathBuf>,
    /// Registries (`HOST` or `HOST:PORT`) whose certificate is not checked, or that may use plain
    /// HTTP.
    pub insecure: Vec<String>,
    /// Folders with one subfolder per host, which holds the host's authorities as `*.crt`, and
    /// client certificates as `*.cert` with their `*.key`.
    pub folders: Vec<PathBuf>,
}

impl Trust {
    /// The folders of Docker and podman, as the environment states them.
    pub fn from_environment(
        variable: impl Fn(&str) -> Option<OsString>,
        home: Option<&Path>,
    ) -> Trust {
        let user = variable("XDG_CONFIG_HOME")
            .filter(|folder| !folder.is_empty())
            .map(PathBuf::from)
            .or_else(|| home.map(|home| home.join(".config")));
        let system = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
        let folders = user.map(|folder| folder.join("containers/certs.d"));
        Trust { folders: folders.into_iter().chain(system).collect(), ..Trust::default() }
    }

    /// Whether the user allows `host` (with or without a port) to be insecure. A name without a
    /// port covers every port.
    pub(super) fn is_insecure(&self, host: &str) -> bool {
        let (name, port) = address::split_port(host);
        self.insecure.iter().any(|allowed| {
            // An address where a name is expected, as in a browser's line.
            let allowed = allowed.trim_start_matches("https://").trim_start_matches("http://");
            let allowed = allowed.trim_end_matches('/');
            let (allowed_name, allowed_port) = address::split_port(allowed);
            allowed_name.eq_ignore_ascii_case(name)
                && (allowed_port.is_none() || allowed_port == port)
        })
    }
}

/// TLS configurations, one per host, created on first use.
pub(super) struct Configurations {
    trust: Trust,
    system: OnceLock<Vec<CertificateDer<'static>>>,
    of_host: Mutex<HashMap<String, OfHost>>,
}

/// The TLS settings of one host.
#[derive(Clone)]
struct OfHost {
    config: Arc<ClientConfig>,
    identity: Arc<Identity>,
}

impl Configurations {
    pub(super) fn new(trust: Trust) -> Configurations {
        Configurations { trust, system: OnceLock::new(), of_host: Mutex::default() }
    }

    pub(super) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The configuration for `host`, with or without a port.
    pub(super) fn of(&self, host: &str) -> Result<Arc<ClientConfig>, RegistryError> {
        let mut of_host = self.of_host.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(known) = of_host.get(host) {
            return Ok(Arc::clone(&known.config));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Arc::new(self.verifier(host, &provider)?);
        // As in Docker Engine: a host whose certificate is not checked does not get ours.
        let shown = match self.trust.is_insecure(host) {
            true => None,
            false => self.files_of(host, "cert").into_iter().next(),
        };
        let identity = Arc::new(Identity::new(shown, Arc::clone(&provider)));
        let failed = |error: rustls::Error| RegistryError::Step {
            registry: host.to_owned(),
            step: "preparing TLS".to_owned(),
            why: error.to_string(),
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(Arc::clone(&identity) as Arc<dyn ResolvesClientCert>);
        let config = Arc::new(config);
        of_host.insert(host.to_owned(), OfHost { config: Arc::clone(&config), identity });
        Ok(config)
    }

    /// The client certificate for `host`, if its configuration exists.
    pub(super) fn identity(&self, host: &str) -> Option<Arc<Identity>> {
        let of_host = self.of_host.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        of_host.get(host).map(|known| Arc::clone(&known.identity))
    }

    fn verifier(&self, host: &str, provider: &CryptoProvider) -> Result<Verifier, RegistryError> {
        let algorithms = provider.signature_verification_algorithms;
        if self.trust.is_insecure(host) {
            return Ok(Verifier { algorithms, trusted: None });
        }
        let system = self.system.get_or_init(|| rustls_native_certs::load_native_certs().certs);
        let mut certificates = system.clone();
        for path in &self.trust.ca {
            certificates.extend(read(path)?);
        }
        for path in self.files_of(host, "crt") {
            certificates.extend(read(&path)?);
        }
        let mut roots = RootCertStore::empty();
        // A certificate that cannot be an authority may still be the server's own.
        roots.add_parsable_certificates(certificates.iter().cloned());
        Ok(Verifier { algorithms, trusted: Some(Trusted { roots, certificates }) })
    }

    /// The files for `host` whose names end with `.EXTENSION`, folder by folder, sorted by name.
    fn files_of(&self, host: &str, extension: &str) -> Vec<PathBuf> {
        if host.contains('/') || host.starts_with('.') {
            return Vec::new();
        }
        let mut found = Vec::new();
        for folder in &self.trust.folders {
            let Ok(entries) = fs::read_dir(folder.join(host)) else { continue };
            let paths = entries.flatten().map(|entry| entry.path());
            let mut paths: Vec<_> =
                paths.filter(|p| p.extension().is_some_and(|e| e == extension)).collect();
            paths.sort();
            found.extend(paths);
        }
        found
    }
}

/// The certificates in a PEM file, at least one.
fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, RegistryError> {
    let failed = |why: String| RegistryError::CertificateFile { path: path.to_owned(), why };
    let size = fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if size > MAX_FILE_BYTES {
        return Err(failed(format!("it has {size} bytes")));
    }
    let text = fs::read(path).map_err(|error| failed(error.to_string()))?;
    let certificates = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| failed(broken(&error)))?;
    if certificates.is_empty() {
        return Err(failed("it contains no `BEGIN CERTIFICATE`".to_owned()));
    }
    Ok(certificates)
}

/// What is wrong with a PEM file, as text. The library's own lists a marker's bytes as numbers.
fn broken(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => {
            "a certificate in it has no end: it was cut off".to_owned()
        }
        pem::Error::IllegalSectionStart { .. } => {
            "a line of it that begins with `-----BEGIN` does not end with `-----`".to_owned()
        }
        other => other.to_string(),
    }
}

/// Verifies a server's certificate: by its chain, or because the certificate itself is trusted.
#[derive(Debug)]
struct Verifier {
    algorithms: WebPkiSupportedAlgorithms,
    /// `None` for a registry whose certificate is not checked.
    trusted: Option<Trusted>,
}

#[derive(Debug)]
struct Trusted {
    roots: RootCertStore,
    certificates: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(trusted) = &self.trusted else { return Ok(ServerCertVerified::assertion()) };
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let chain = rustls::client::verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &trusted.roots,
            intermediates,
            now,
            self.algorithms.all,
        );
        match chain {
            Ok(()) => {}
            // webpki checks the validity period before it looks for an issuer and before it refuses
            // an authority's certificate as a server's: so with these two errors the period is
            // valid, and it remains to check whether the certificate itself is trusted.
            Err(error)
                if is_about_the_issuer(&error)
                    && trusted.certificates.iter().any(|known| known == end_entity) => {}
            Err(error) => return Err(error),
        }
        verify_server_name(&certificate, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn is_about_the_issuer(error: &rustls::Error) -> bool {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => true,
        rustls::Error::InvalidCertificate(CertificateError::Other(other)) => {
            matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
        }
        _ => false,
    }
}

/// What is wrong with a certificate, as text.
pub(super) fn explain(error: &CertificateError) -> String {
    use CertificateError as E;
    match error {
        E::UnknownIssuer => "no trusted authority has signed it".to_owned(),
        E::Expired | E::ExpiredContext { .. } => {
            "it has expired; the registry needs a new one".to_owned()
        }
        E::NotValidYet | E::NotValidYetContext { .. } => {
            "it is not valid yet; check this machine's clock".to_owned()
        }
        E::NotValidForName => "it is for another host".to_owned(),
        E::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            "it names no host in `subjectAltName`; issue it \
             again with one"
                .to_owned()
        }
        E::NotValidForNameContext { presented, .. } => {
            format!("it is for other hosts: {}", presented.join(", "))
        }
        E::Other(other)
            if matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity)) =>
        {
            "it is self-signed".to_owned()
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_registries_are_insecure() {
        let trust = Trust {
            insecure: vec![
                "a.example.com".into(),
                "b.example.com:5000".into(),
                "http://d.example.com:5000/".into(),
            ],
            ..Trust::default()
        };
        for (host, expected) in [
            ("a.example.com", true),
            ("A.example.com:5000", true),
            ("b.example.com:5000", true),
            ("b.example.com", false),
            ("b.example.com:5001", false),
            ("x.a.example.com", false),
            ("c.example.com", false),
            ("d.example.com:5000", true),
            ("d.example.com:5001", false),
        ] {
            assert_eq!(trust.is_insecure(host), expected, "{host}");
        }
    }
}
