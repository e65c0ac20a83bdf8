//! Pull of an image by the OCI distribution-spec: manifest first, then configuration and layers in
//! parallel. Every byte is verified while it arrives, and a file is kept only if its digest is
//! right. It uses plain HTTP to loopback only, without authentication and without a cache.

use microimage::digest::{Digest, VerifyingReader};
use microimage::image::{self, Blob, Descriptor, Image, MAX_JSON_BYTES, media_type};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

/// Blobs fetched at once: Docker Engine's default (dockerd, max-concurrent-downloads).
const PARALLEL_BLOBS: usize = 3;
/// Time without data after which a registry counts as broken.
const PATIENCE: Duration = Duration::from_secs(120);

/// Place of an image in a registry.
#[derive(Debug, Clone)]
pub struct Source {
    /// `http://127.0.0.1:port`.
    pub base: String,
    /// The name of the repository in it.
    pub name: String,
    /// Tag, or digest; a digest is verified against the manifest's bytes.
    pub reference: String,
}

/// Why a pull failed.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The request failed.
    #[error("GET {url}: {source}")]
    Http {
        /// The requested URL.
        url: String,
        /// The underlying error.
        source: Box<ureq::Error>,
    },
    /// The registry refused.
    #[error("GET {url}: the registry answered `{status}`; check the image's name")]
    Status {
        /// The requested URL.
        url: String,
        /// The status code.
        status: u16,
    },
    /// A blob did not arrive whole.
    #[error("GET {url}: {source}")]
    Blob {
        /// The requested URL.
        url: String,
        /// The underlying error.
        source: io::Error,
    },
    /// The bytes cannot be stored.
    #[error("cannot keep `{path}`: {source}")]
    Keep {
        /// The file.
        path: PathBuf,
        /// The underlying error.
        source: io::Error,
    },
    /// The manifest is not the requested one.
    #[error(
        "the manifest's digest is `{found}`, not the requested `{asked}`; the registry is broken"
    )]
    Manifest {
        /// The requested digest.
        asked: String,
        /// The digest of the received manifest.
        found: Digest,
    },
    /// This machine cannot start another thread.
    #[error("cannot start a thread for the pull: {0}")]
    Thread(#[source] io::Error),
    /// The image cannot be read.
    #[error(transparent)]
    Image(#[from] image::ImageError),
}

impl PullError {
    /// Whether the registry was too slow, rather than wrong.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Http { source, .. } => matches!(**source, ureq::Error::Timeout(_)),
            Self::Blob { source, .. } => source.kind() == io::ErrorKind::TimedOut,
            _ => false,
        }
    }
}

/// Pulls an image into `folder`, one file per blob (hex digest). The image reads from these files.
///
/// # Errors
/// [`PullError`]; blobs whose digest was right may stay in `folder`, nothing else does.
pub fn pull(source: &Source, folder: &Path) -> Result<Image, PullError> {
    let agent = agent();
    let Source { base, name, reference } = source;
    let accept = [media_type::OCI_MANIFEST, media_type::DOCKER_MANIFEST].join(", ");
    let url = format!("{base}/v2/{name}/manifests/{reference}");
    let mut bytes = Vec::new();
    get(&agent, &url, Some(&accept))?
        .take(MAX_JSON_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| PullError::Blob { url: url.clone(), source })?;
    let found = Digest::of(&bytes);
    if reference.starts_with("sha256:") && *reference != found.to_string() {
        return Err(PullError::Manifest { asked: reference.clone(), found });
    }
    let manifest = image::parse_manifest(&bytes)?;
    let mut wanted = vec![image::descriptor(manifest.config())?];
    for layer in manifest.layers() {
        wanted.push(image::descriptor(layer)?);
    }
    // the longest first, because it bounds the duration of the pull
    wanted.sort_by_key(|d| std::cmp::Reverse(d.size_bytes));
    wanted.dedup();
    let config = image::descriptor(manifest.config())?;
    fetch_all(&agent, &format!("{base}/v2/{name}/blobs"), &wanted, folder)?;
    let path = folder.join(config.digest.hex());
    let config = fs::read(&path).map_err(|source| PullError::Keep { path, source })?;
    let folder = folder.to_owned();
    Ok(Image::from_parts(bytes, config, |layer| {
        let path = folder.join(layer.digest.hex());
        Blob::new(move || Ok(Box::new(File::open(&path)?)))
    })?)
}

/// One connection, kept alive between requests. Each thread of a pull has its own. So it does not
/// depend on chance which blob uses the connection of the manifest, which saves a handshake and has
/// a wider window.
fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(PATIENCE))
        // No limit for the whole: the duration of a large pull depends on the link.
        .timeout_per_read(Some(PATIENCE))
        .max_idle_connections_per_host(1)
        .build()
        .into()
}

/// Fetches all blobs, a few at a time; the first error ends it. The first blob uses `agent`'s
/// connection.
fn fetch_all(
    agent: &ureq::Agent,
    base: &str,
    wanted: &[Descriptor],
    folder: &Path,
) -> Result<(), PullError> {
    let queue = Mutex::new(wanted.iter());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let mine = next(); // before any other thread can ask
    let work = |agent: &ureq::Agent| {
        while let Some(blob) = next() {
            fetch(agent, base, blob, folder)?;
        }
        Ok(())
    };
    let other = || work(&self::agent());
    std::thread::scope(|scope| {
        let named = |i| std::thread::Builder::new().name(format!("pull-{i}"));
        let spawned: Result<Vec<_>, _> = (1..PARALLEL_BLOBS.min(wanted.len()))
            .map(|i| named(i).spawn_scoped(scope, other))
            .collect();
        let others = spawned.map_err(PullError::Thread)?;
        let done =
            mine.map_or(Ok(()), |blob| fetch(agent, base, blob, folder)).and_then(|()| work(agent));
        others.into_iter().fold(done, |done, other| {
            done.and(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    })
}

fn fetch(
    agent: &ureq::Agent,
    base: &str,
    blob: &Descriptor,
    folder: &Path,
) -> Result<(), PullError> {
    let url = format!("{base}/{}", blob.digest);
    let path = folder.join(blob.digest.hex());
    let part = path.with_extension("part");
    let body = get(agent, &url, None)?;
    let mut body = VerifyingReader::new(body, blob.digest, blob.size_bytes);
    let mut file =
        File::create(&part).map_err(|source| PullError::Keep { path: part.clone(), source })?;
    let mut copy = || -> io::Result<()> {
        let mut buffer = vec![0u8; 128 * 1024];
        loop {
            match body.read(&mut buffer)? {
                0 => return Ok(()),
                n => io::Write::write_all(&mut file, &buffer[..n])?,
            }
        }
    };
    match copy() {
        Ok(()) => fs::rename(&part, &path).map_err(|source| PullError::Keep { path, source }),
        Err(source) => {
            let _ = fs::remove_file(&part);
            Err(PullError::Blob { url, source })
        }
    }
}

fn get(
    agent: &ureq::Agent,
    url: &str,
    accept: Option<&str>,
) -> Result<impl Read + use<>, PullError> {
    let mut request = agent.get(url);
    if let Some(accept) = accept {
        request = request.header("Accept", accept);
    }
    let reply = request
        .call()
        .map_err(|source| PullError::Http { url: url.to_owned(), source: Box::new(source) })?;
    match reply.status().as_u16() {
        200 => Ok(reply.into_body().into_reader()),
        status => Err(PullError::Status { url: url.to_owned(), status }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::net::{Ipv4Addr, TcpListener};
    use std::sync::Arc;

    const CONFIG: &[u8] = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers",
        "diff_ids":["sha256:0000000000000000000000000000000000000000000000000000000000000000"]}}"#;

    /// The number of a connection, and a path requested on it.
    type SeenRequests = Arc<Mutex<Vec<(usize, String)>>>;

    /// A registry with one image of one layer, which records the requests of each connection.
    /// Returns its address, the layer's path and the record.
    fn registry() -> (String, String, SeenRequests) {
        let layer = vec![b'l'; 10_000];
        let blob = |kind: &str, bytes: &[u8]| {
            format!(
                r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"{}","size":{}}}"#,
                Digest::of(bytes),
                bytes.len()
            )
        };
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{}]}}"#,
            media_type::OCI_MANIFEST,
            blob("config.v1+json", CONFIG),
            blob("layer.v1.tar", &layer)
        );
        let layer_path = format!("/v2/n/blobs/{}", Digest::of(&layer));
        let (asked, notes) = (Arc::new(Mutex::new(Vec::new())), layer_path.clone());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let kept = Arc::clone(&asked);
        std::thread::spawn(move || {
            for (number, peer) in listener.incoming().flatten().enumerate() {
                let (manifest, layer, layer_path, asked) =
                    (manifest.clone(), layer.clone(), layer_path.clone(), Arc::clone(&kept));
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(peer.try_clone().unwrap());
                    let mut peer = peer;
                    let mut line = String::new();
                    while reader.read_line(&mut line).is_ok_and(|n| n > 0) {
                        let path = line.split(' ').nth(1).unwrap().to_owned();
                        while reader.read_line(&mut line).is_ok() && !line.ends_with("\n\r\n") {}
                        line.clear();
                        asked.lock().unwrap().push((number, path.clone()));
                        let body = match path.as_str() {
                            "/v2/n/manifests/latest" => manifest.as_bytes(),
                            path if path == layer_path => &layer,
                            _ => CONFIG,
                        };
                        write!(peer, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())
                            .unwrap();
                        peer.write_all(body).unwrap();
                    }
                });
            }
        });
        (base, notes, asked)
    }

    /// Regression: the first thread took the connection of the manifest, so a pull over a far link
    /// had three typical times in place of one.
    #[test]
    fn the_largest_blob_uses_the_connection_of_the_manifest() {
        for _ in 0..20 {
            let (base, layer_path, asked) = registry();
            let folder = tempfile::tempdir().unwrap();
            let source = Source { base, name: "n".into(), reference: "latest".into() };
            pull(&source, folder.path()).unwrap();
            let asked = asked.lock().unwrap();
            let connection = |path: &str| asked.iter().find(|(_, asked)| asked == path).unwrap().0;
            assert_eq!(connection("/v2/n/manifests/latest"), connection(&layer_path), "{asked:?}");
            assert_eq!(asked.len(), 3);
        }
    }
}
