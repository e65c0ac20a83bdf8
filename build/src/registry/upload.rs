//! Upload of a blob: mounted from another repository if possible, sent in one request or several,
//! resumed at the offset that the registry reports. OCI distribution-spec 1.1, "Pushing blobs".

use super::address::join;
use super::attempts::{Attempts, WORTHWHILE_BYTES};
use super::error::RegistryError;
use super::link::{Ask, Content, Link, Reply, Target, Trouble, chain};
use super::progress::Transfer;
use crate::digest::Digest;
use crate::image::Layer;
use std::io::{self, Read};
use ureq::http::header::{self, HeaderName};
use ureq::http::{Method, Uri};

/// The client sends a blob of at most this many bytes in one request, which ends the upload.
const SINGLE_BYTES: u64 = 4 << 20;
/// The size of a chunk, in bytes, for a registry that refuses a whole blob in one request.
const PIECE_BYTES: u64 = 8 << 20;
/// Upper bound of the minimum chunk size that a registry may request, in bytes.
const MAX_PIECE_BYTES: u64 = 512 << 20;

const CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Source of a blob's bytes.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    Bytes(&'a [u8]),
    Layer(&'a Layer),
}

impl<'a> Source<'a> {
    /// A reader from the first byte on. It fails at the end if the bytes do not match the digest.
    fn open(self) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Source::Bytes(bytes) => Box::new(bytes),
            Source::Layer(layer) => Box::new(layer.open()?),
        })
    }
}

/// A blob to push.
pub(super) struct Upload<'a> {
    pub(super) link: &'a Link,
    pub(super) digest: Digest,
    pub(super) size_bytes: u64,
    pub(super) source: Source<'a>,
    /// Repositories of the same registry that may already have the blob.
    pub(super) mount_from: &'a [String],
    pub(super) transfer: &'a Transfer,
}

/// Whether the registry has the blob, with the correct size.
pub(super) fn exists(link: &Link, digest: Digest, size_bytes: u64) -> Result<bool, RegistryError> {
    let step = format!("looking for blob `{digest}`");
    let path = format!("blobs/{digest}");
    let mut reply = link.send(&step, &mut Ask::new(Method::HEAD, Target::Path(&path)))?;
    match reply.status() {
        200 => {
            let size = reply.header(header::CONTENT_LENGTH).and_then(|value| value.parse().ok());
            Ok(size.is_none_or(|size: u64| size == size_bytes))
        }
        404 => Ok(false),
        _ => Err(link.unexpected(&step, &mut reply)),
    }
}

/// An upload that has begun.
struct Session {
    uri: Uri,
    /// Number of bytes that the registry has.
    offset: u64,
    /// The largest chunk to send, in bytes.
    piece_bytes: u64,
}

impl Upload<'_> {
    /// Pushes the blob if the registry lacks it.
    pub(super) fn run(&self) -> Result<(), RegistryError> {
        let step = format!("pushing blob `{}`", self.digest);
        if exists(self.link, self.digest, self.size_bytes)? {
            self.transfer.moved(self.size_bytes as i64);
            return Ok(());
        }
        let mut attempts = Attempts::new();
        let mut session: Option<Session> = None;
        let mut piece_bytes = u64::MAX;
        let mut is_sure = true;
        loop {
            let before = session.as_ref().map_or(0, |session| session.offset);
            let result = self.attempt(&step, &mut session, is_sure, piece_bytes);
            let after = session.as_ref().map_or(0, |session| session.offset);
            if after.saturating_sub(before) >= WORTHWHILE_BYTES {
                attempts.progress();
            }
            match result {
                Ok(()) => return Ok(()),
                Err(Failure::TooLarge(why)) if piece_bytes > PIECE_BYTES => {
                    piece_bytes = PIECE_BYTES;
                    session = None;
                    self.link.wait(&step, &mut attempts, Trouble::passing(why))?;
                }
                Err(Failure::TooLarge(why)) => return Err(self.link.step(&step, why)),
                Err(Failure::Lost(why)) => {
                    // The registry does not know the session: the upload has succeeded or never
                    // began.
                    session = None;
                    is_sure = true;
                    if exists(self.link, self.digest, self.size_bytes)? {
                        return Ok(());
                    }
                    self.link.wait(&step, &mut attempts, Trouble::passing(why))?;
                }
                Err(Failure::Trouble(trouble)) => {
                    is_sure = false;
                    self.link.wait(&step, &mut attempts, trouble)?;
                }
            }
        }
    }

    /// Continues the upload. `is_sure` states that the registry reported the session's offset.
    fn attempt(
        &self,
        step: &str,
        session: &mut Option<Session>,
        is_sure: bool,
        piece_bytes: u64,
    ) -> Result<(), Failure> {
        match session {
            None => match self.begin(step, piece_bytes)? {
                Some(begun) => *session = Some(begun),
                None => {
                    self.transfer.moved(self.size_bytes as i64);
                    return Ok(());
                }
            },
            Some(session) if !is_sure => {
                let known = session.offset;
                self.ask_offset(step, session)?;
                self.transfer.moved(session.offset as i64 - known as i64);
            }
            Some(_) => {}
        }
        let Some(session) = session else { return Ok(()) };
        if session.offset == 0 && self.size_bytes <= SINGLE_BYTES.min(session.piece_bytes) {
            let mut bytes = Vec::new();
            self.source
                .open()
                .and_then(|mut reader| reader.read_to_end(&mut bytes))
                .map_err(unreadable)?;
            self.end(step, session, &bytes)?;
            self.transfer.moved(bytes.len() as i64);
            return Ok(());
        }
        let mut reader = self.source.open().map_err(unreadable)?;
        let skipped = io::copy(&mut (&mut reader).take(session.offset), &mut io::sink());
        skipped.map_err(unreadable)?;
        while session.offset < self.size_bytes {
            self.send_piece(step, session, &mut reader)?;
        }
        // Only now is it verified that the sent bytes match the digest.
        match reader.read(&mut [0]) {
            Ok(0) => {}
            Ok(_) => return Err(unreadable(io::ErrorKind::InvalidData.into())),
            Err(error) => return Err(unreadable(error)),
        }
        self.end(step, session, b"")
    }

    /// Begins an upload; `None` if the registry mounts the blob from another repository.
    fn begin(&self, step: &str, piece_bytes: u64) -> Result<Option<Session>, Failure> {
        let mounts = self
            .mount_from
            .iter()
            .map(|from| format!("blobs/uploads/?mount={}&from={from}", self.digest));
        let paths: Vec<_> = match self.mount_from {
            [] => vec!["blobs/uploads/".to_owned()],
            _ => mounts.collect(),
        };
        let mut begun = None;
        for path in paths {
            let mut ask = Ask::new(Method::POST, Target::Path(&path)).content(Content::Bytes(b""));
            let mut reply = self.link.attempt(step, &mut ask)?;
            match reply.status() {
                201 => return Ok(None),
                202 => {
                    let uri = self.location(step, &reply)?;
                    let least = reply
                        .header(CHUNK_MIN_LENGTH)
                        .and_then(|value| value.trim().parse().ok())
                        .unwrap_or(0)
                        .min(MAX_PIECE_BYTES);
                    reply.finish();
                    let piece_bytes = piece_bytes.max(least).max(1);
                    begun = Some(Session { uri, offset: 0, piece_bytes });
                }
                _ => return Err(self.link.unexpected(step, &mut reply).into()),
            }
        }
        Ok(begun)
    }

    /// Asks how much of the blob the registry has.
    fn ask_offset(&self, step: &str, session: &mut Session) -> Result<(), Failure> {
        let mut reply =
            self.link.attempt(step, &mut Ask::new(Method::GET, Target::Uri(&session.uri)))?;
        match reply.status() {
            200..=204 => {}
            404 | 405 | 410 => return Err(Failure::Lost(reply.refusal())),
            _ => return Err(self.link.unexpected(step, &mut reply).into()),
        }
        if reply.header(header::RANGE).is_none() {
            return Err(Failure::Lost("it does not send the upload's offset".to_owned()));
        }
        session.offset = self.offset(step, &reply, 0)?;
        if let Some(uri) = reply.location() {
            session.uri = uri;
        }
        reply.finish();
        Ok(())
    }

    /// Sends the next chunk, or the whole rest.
    fn send_piece(
        &self,
        step: &str,
        session: &mut Session,
        reader: &mut dyn Read,
    ) -> Result<(), Failure> {
        let size = (self.size_bytes - session.offset).min(session.piece_bytes);
        let last = session.offset + size - 1;
        let mut counted =
            Counted { inner: reader.take(size), failed: None, transfer: self.transfer };
        let mut ask = Ask::new(Method::PATCH, Target::Uri(&session.uri))
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::CONTENT_RANGE, format!("{}-{last}", session.offset))
            .content(Content::Reader(&mut counted, size));
        let sent = self.link.attempt(step, &mut ask);
        if let Some(error) = counted.failed {
            return Err(unreadable(error));
        }
        let mut reply = sent?;
        match reply.status() {
            200..=204 => {}
            404 | 410 => return Err(Failure::Lost(reply.refusal())),
            413 => return Err(Failure::TooLarge(reply.refusal())),
            416 => return Err(Trouble::passing(reply.refusal()).into()),
            _ => return Err(self.link.unexpected(step, &mut reply).into()),
        }
        let sent = session.offset + size;
        session.uri = self.location(step, &reply)?;
        session.offset = self.offset(step, &reply, sent)?;
        reply.finish();
        if session.offset != sent {
            return Err(Trouble::passing(format!(
                "it has {} of the {sent} bytes that were sent",
                session.offset
            ))
            .into());
        }
        Ok(())
    }

    /// Ends the upload with its last bytes; the registry then verifies the digest.
    fn end(&self, step: &str, session: &Session, bytes: &[u8]) -> Result<(), Failure> {
        let separator = if session.uri.query().is_some() { '&' } else { '?' };
        let digest = self.digest.to_string().replace(':', "%3A");
        let uri = format!("{}{separator}digest={digest}", session.uri);
        let uri = join(&session.uri, &uri)
            .ok_or_else(|| self.link.step(step, "it names an invalid address".to_owned()))?;
        let mut ask = Ask::new(Method::PUT, Target::Uri(&uri))
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .content(Content::Bytes(bytes));
        let mut reply = self.link.attempt(step, &mut ask)?;
        match reply.status() {
            200..=204 => {}
            // If a reply was lost, its session may have ended already.
            404 | 410 | 416 => return Err(Failure::Lost(reply.refusal())),
            413 => return Err(Failure::TooLarge(reply.refusal())),
            _ => return Err(self.link.unexpected(step, &mut reply).into()),
        }
        let found = reply.header(CONTENT_DIGEST).map(str::to_owned);
        reply.finish();
        match found {
            Some(found) if found != self.digest.to_string() => Err(self
                .link
                .step(
                    step,
                    format!("it has other bytes: their digest is `{}`", found.escape_debug()),
                )
                .into()),
            _ => Ok(()),
        }
    }

    fn location(&self, step: &str, reply: &Reply) -> Result<Uri, RegistryError> {
        let why = "it does not send the upload's next address (`Location`)";
        reply.location().ok_or_else(|| self.link.step(step, why.to_owned()))
    }

    /// The offset in `Range: 0-N`; `otherwise` if the registry omits it. A registry without any
    /// bytes sends `0-0` or `0--1`, and one with one byte sends `0-0`. Reading this as no bytes is
    /// safe only if the upload is short enough to begin again, and one byte is.
    fn offset(&self, step: &str, reply: &Reply, otherwise: u64) -> Result<u64, RegistryError> {
        let Some(range) = reply.header(header::RANGE) else { return Ok(otherwise) };
        let range = range.trim().trim_start_matches("bytes=");
        let last = range.split_once('-').and_then(|(first, last)| {
            (first.trim() == "0").then(|| last.trim().parse::<i64>().ok()).flatten()
        });
        let offset = match last {
            Some(0) if otherwise == 1 => 1,
            Some(last @ 1..) => last as u64 + 1,
            Some(-1 | 0) => 0,
            _ => {
                let shown: String = range.chars().take(40).flat_map(char::escape_debug).collect();
                return Err(self.link.step(step, format!("its `Range` is `{shown}`")));
            }
        };
        if offset > self.size_bytes {
            let why = format!("it has {offset} bytes of a blob of {}", self.size_bytes);
            return Err(self.link.step(step, why));
        }
        Ok(offset)
    }
}

/// Why an upload failed.
enum Failure {
    Trouble(Trouble),
    /// The registry does not know the session.
    Lost(String),
    /// The registry rejects a chunk of this size.
    TooLarge(String),
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Failure {
        Failure::Trouble(trouble)
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Failure {
        Failure::Trouble(Trouble::Final(error))
    }
}

fn unreadable(source: io::Error) -> Failure {
    RegistryError::Blob { what: "read", source }.into()
}

/// Counts what is sent, and keeps the error of the local side apart from those of the network.
struct Counted<'a, R> {
    inner: R,
    failed: Option<io::Error>,
    transfer: &'a Transfer,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Ok(n) => {
                self.transfer.moved(n as i64);
                Ok(n)
            }
            Err(error) => {
                let copy = io::Error::new(error.kind(), chain(&error));
                self.failed = Some(error);
                Err(copy)
            }
        }
    }
}
