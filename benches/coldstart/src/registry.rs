//! Registry on loopback, in this process: the pull side of the OCI distribution-spec 1.1 (end-1,
//! end-2, end-3), from memory, counting requests and bytes. It accepts no pushes, has no
//! authentication and listens only on 127.0.0.1. Every blob is always in memory.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use microimage::digest::Digest;
use microimage::image::Image;
use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

const DIGEST_HEADER: HeaderName = HeaderName::from_static("docker-content-digest");
const VERSION_HEADER: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// A running registry; it stops when dropped.
pub struct Registry {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Traffic so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// Answered requests, with any status.
    pub requests: u64,
    /// Bytes of bodies sent.
    pub bytes: u64,
}

#[derive(Default)]
struct Shared {
    contents: RwLock<HashMap<String, Content>>,
    requests: AtomicU64,
    bytes: AtomicU64,
}

#[derive(Clone)]
struct Content {
    media_type: String,
    digest: String,
    bytes: Bytes,
}

impl Registry {
    /// Listens on a free port of loopback.
    ///
    /// # Errors
    /// If no port is free or no thread can be started.
    pub fn start() -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("registry".into()).spawn(move || {
            runtime.block_on(async {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                tokio::select! {
                    () = accept(listener, served) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { address, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `image` as `name` under `tag` and under its digest.
    ///
    /// # Errors
    /// If a layer cannot be read.
    pub fn serve(&self, name: &str, tag: &str, image: &Image) -> io::Result<()> {
        for layer in image.layers() {
            let mut bytes = Vec::new();
            io::Read::read_to_end(&mut layer.open()?, &mut bytes)?;
            self.put_blob(name, layer.descriptor().digest, bytes.into());
        }
        self.put_blob(
            name,
            image.config_descriptor().digest,
            Bytes::copy_from_slice(image.config_bytes()),
        );
        let manifest = Content {
            media_type: image.media_type().to_owned(),
            digest: image.manifest_digest().to_string(),
            bytes: Bytes::copy_from_slice(image.manifest_bytes()),
        };
        for reference in [tag, &manifest.digest] {
            self.put(format!("/v2/{name}/manifests/{reference}"), manifest.clone());
        }
        Ok(())
    }

    /// Serves `bytes` as the blob `digest`, without comparing them: that is the puller's task.
    pub fn put_blob(&self, name: &str, digest: Digest, bytes: Bytes) {
        let media_type = "application/octet-stream".to_owned();
        self.put(
            format!("/v2/{name}/blobs/{digest}"),
            Content { media_type, digest: digest.to_string(), bytes },
        );
    }

    /// Requests and bytes since the registry began.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            requests: self.shared.requests.load(Ordering::Relaxed),
            bytes: self.shared.bytes.load(Ordering::Relaxed),
        }
    }

    fn put(&self, path: String, content: Content) {
        self.shared.contents.write().unwrap_or_else(PoisonError::into_inner).insert(path, content);
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: tokio::net::TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| {
            let reply = shared.reply(&request);
            async { Ok::<_, Infallible>(reply) }
        });
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service),
        );
    }
}

impl Shared {
    fn reply(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let path = request.uri().path();
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut reply = error(
                StatusCode::METHOD_NOT_ALLOWED,
                "UNSUPPORTED",
                "this registry can only be pulled from",
            );
            reply.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return reply;
        }
        if path == "/v2/" {
            let mut reply = json(StatusCode::OK, Bytes::from_static(b"{}"));
            reply.headers_mut().insert(VERSION_HEADER, HeaderValue::from_static("registry/2.0"));
            return reply;
        }
        let found = self.contents.read().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
        let Some(content) = found else {
            let code =
                if path.contains("/manifests/") { "MANIFEST_UNKNOWN" } else { "BLOB_UNKNOWN" };
            return error(StatusCode::NOT_FOUND, code, "not found");
        };
        let length = content.bytes.len();
        let body = if request.method() == Method::HEAD { Bytes::new() } else { content.bytes };
        self.bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
        let mut reply = Response::new(Full::new(body));
        let headers = reply.headers_mut();
        for (name, value) in [(CONTENT_TYPE, &content.media_type), (DIGEST_HEADER, &content.digest)]
        {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        reply
    }
}

/// The error body of the distribution-spec, "Error Codes".
fn error(status: StatusCode, code: &str, message: &str) -> Response<Full<Bytes>> {
    let body = serde_json::json!({"errors": [{"code": code, "message": message}]});
    json(status, Bytes::from(body.to_string()))
}

fn json(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    /// Status line, fields and body of the answer to one request, as they come over the wire.
    fn ask(registry: &Registry, method: &str, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(registry.address()).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.to_ascii_lowercase(), body.to_owned())
    }

    #[test]
    fn speaks_the_pull_side_of_the_distribution_spec_and_nothing_else() {
        let registry = Registry::start().unwrap();
        let digest = Digest::of(b"blob");
        registry.put_blob("n", digest, Bytes::from_static(b"blob"));
        let blob = format!("/v2/n/blobs/{digest}");

        let (head, body) = ask(&registry, "GET", "/v2/");
        assert!(
            head.starts_with("http/1.1 200")
                && head.contains("docker-distribution-api-version: registry/2.0")
        );
        assert_eq!(body, "{}");
        let (head, body) = ask(&registry, "GET", &blob);
        assert!(
            head.contains("content-length: 4")
                && head.contains(&format!("docker-content-digest: {digest}")),
            "{head}"
        );
        assert_eq!(body, "blob");
        let (head, body) = ask(&registry, "HEAD", &blob);
        assert!(head.starts_with("http/1.1 200") && head.contains("content-length: 4"), "{head}");
        assert_eq!(body, "", "a length, and no body");
        for (path, code) in
            [("/v2/n/blobs/sha256:0", "BLOB_UNKNOWN"), ("/v2/n/manifests/none", "MANIFEST_UNKNOWN")]
        {
            let (head, body) = ask(&registry, "GET", path);
            assert!(head.starts_with("http/1.1 404") && body.contains(code), "{head} {body}");
        }
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let (head, body) = ask(&registry, method, &blob);
            assert!(
                head.starts_with("http/1.1 405") && head.contains("allow: get, head"),
                "{method}: {head}"
            );
            assert!(body.contains("UNSUPPORTED"));
        }
        let traffic = registry.traffic();
        assert_eq!(
            (traffic.requests, traffic.bytes),
            (9, 4),
            "requested bodies, without the bodies of errors"
        );
    }
}
