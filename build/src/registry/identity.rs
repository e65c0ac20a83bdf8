//! Client certificate for a registry that requests one: `NAME.cert` with its `NAME.key` in the
//! host's folder of Docker or podman. The client reads it only when a server requests it, so a key
//! that only root may read causes no error with other registries. RFC 8446, section 4.3.2; Docker's
//! documentation, "Verify repository client with certificates".

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// The largest file of a certificate or a key, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The client certificate for one host.
#[derive(Debug)]
pub(super) struct Identity {
    /// The first certificate in the host's folders.
    path: Option<PathBuf>,
    provider: Arc<CryptoProvider>,
    /// Set after the server has asked.
    shown: OnceLock<Result<Arc<CertifiedKey>, Lack>>,
}

/// Why the client sent no certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Lack {
    Nothing,
    Unusable { path: PathBuf, why: String },
}

impl Identity {
    /// `path` is the certificate; its key is the file beside it that ends with `.key`.
    pub(super) fn new(path: Option<PathBuf>, provider: Arc<CryptoProvider>) -> Identity {
        Identity { path, provider, shown: OnceLock::new() }
    }

    /// An explanation for a refused request; `None` if the server never requested a certificate.
    pub(super) fn refused(&self) -> Option<String> {
        Some(match self.shown.get()? {
            Ok(_) => {
                let path = self.path.as_deref().unwrap_or(Path::new("")).display();
                format!("it does not accept the one in `{path}`")
            }
            Err(lack) => lack.text(),
        })
    }

    /// What is missing, if the server requested a certificate and the client sent none.
    pub(super) fn lack(&self) -> Option<String> {
        self.shown.get()?.as_ref().err().map(Lack::text)
    }

    fn load(&self) -> Result<Arc<CertifiedKey>, Lack> {
        let path = self.path.as_ref().ok_or(Lack::Nothing)?;
        let key_path = path.with_extension("key");
        let unusable = |path: &Path| {
            let path = path.to_owned();
            move |why: String| Lack::Unusable { path, why }
        };
        let chain = read(path).and_then(|text| {
            let chain = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
            match chain {
                Ok(chain) if chain.is_empty() => Err("it has no `BEGIN CERTIFICATE`".to_owned()),
                other => other.map_err(|error| error.to_string()),
            }
        });
        let chain = chain.map_err(unusable(path))?;
        let key = read(&key_path).and_then(|text| {
            PrivateKeyDer::from_pem_slice(&text)
                .map_err(|_| "it contains no unencrypted private key".to_owned())
        });
        let key = key.map_err(unusable(&key_path))?;
        let key = CertifiedKey::from_der(chain, key, &self.provider)
            .map_err(|error| unusable(&key_path)(error.to_string()))?;
        Ok(Arc::new(key))
    }
}

impl Lack {
    fn text(&self) -> String {
        match self {
            Lack::Nothing => "there is none".to_owned(),
            Lack::Unusable { path, why } => format!("`{}` cannot be used: {why}", path.display()),
        }
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.shown.get_or_init(|| self.load()).as_ref().ok().cloned()
    }

    fn has_certs(&self) -> bool {
        self.path.is_some()
    }
}

/// Reads a small file. No message quotes its content, because it may be a key.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let open = || -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut text)?;
        Ok(text)
    };
    let text = open().map_err(|error| error.to_string())?;
    match text.len() as u64 > MAX_FILE_BYTES {
        true => Err(format!("it is larger than {MAX_FILE_BYTES} bytes")),
        false => Ok(text),
    }
}
