//! Download of a blob into an unnamed file: it accepts no more bytes than promised, resumes after a
//! broken connection, and verifies the digest. OCI distribution-spec 1.1, "Pulling blobs"; RFC
//! 9110, section 14 (Range).

use super::attempts::{Attempts, WORTHWHILE_BYTES};
use super::error::RegistryError;
use super::link::{Ask, Link, Target, Trouble, chain};
use super::progress::Transfer;
use crate::image::Descriptor;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{Read, Seek, Write};
use ureq::http::Method;
use ureq::http::header;

/// Pulls the blob. `what` names it in errors.
pub(super) fn pull(
    link: &Link,
    descriptor: &Descriptor,
    what: &str,
    transfer: &Transfer,
) -> Result<File, RegistryError> {
    let step = format!("pulling {what}");
    let file =
        tempfile::tempfile().map_err(|source| RegistryError::Blob { what: "kept", source })?;
    let mut spool = Spool { file, hasher: Sha256::new(), filled: 0 };
    let mut attempts = Attempts::new();
    let mut lied = false;
    loop {
        let before = spool.filled;
        let result = fetch(link, &step, descriptor, &mut spool, transfer);
        if spool.filled.saturating_sub(before) >= WORTHWHILE_BYTES {
            attempts.progress();
        }
        if let Err(trouble) = result {
            link.wait(&step, &mut attempts, trouble)?;
            continue;
        }
        let found = format!("sha256:{}", hex::encode(spool.hasher.finalize_reset()));
        if found == descriptor.digest.to_string() {
            return Ok(spool.file);
        }
        let why = format!("its bytes have the digest `{found}`, not `{}`", descriptor.digest);
        if lied {
            return Err(link.step(&step, why));
        }
        // The transfer may have damaged the blob: try once more from the start.
        lied = true;
        spool.restart(transfer)?;
        link.wait(&step, &mut attempts, Trouble::passing(why))?;
    }
}

/// The part of the blob that has arrived.
struct Spool {
    file: File,
    hasher: Sha256,
    /// Number of bytes that have arrived.
    filled: u64,
}

impl Spool {
    fn restart(&mut self, transfer: &Transfer) -> Result<(), RegistryError> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .map_err(|source| RegistryError::Blob { what: "kept", source })?;
        self.hasher = Sha256::new();
        transfer.moved(-(i64::try_from(self.filled).unwrap_or(i64::MAX)));
        self.filled = 0;
        Ok(())
    }
}

/// Sends one request for the missing part.
fn fetch(
    link: &Link,
    step: &str,
    descriptor: &Descriptor,
    spool: &mut Spool,
    transfer: &Transfer,
) -> Result<(), Trouble> {
    let path = format!("blobs/{}", descriptor.digest);
    let mut ask = Ask::new(Method::GET, Target::Path(&path));
    ask.text = false;
    if spool.filled > 0 && spool.filled < descriptor.size_bytes {
        ask = ask.header(header::RANGE, format!("bytes={}-", spool.filled));
    }
    let mut reply = link.attempt(step, &mut ask)?;
    match reply.status() {
        206 if begins_at(reply.header(header::CONTENT_RANGE), spool.filled) => {}
        200 if spool.filled == 0 => {}
        // The registry sends the whole blob again, or a part other than the requested one.
        200 => spool.restart(transfer)?,
        206 | 416 if spool.filled > 0 => {
            spool.restart(transfer)?;
            return Err(Trouble::passing("it does not resume the blob"));
        }
        _ => return Err(link.unexpected(step, &mut reply).into()),
    }
    let mut buffer = vec![0; 1 << 16];
    let mut reader = reply.reader();
    loop {
        let n = reader.read(&mut buffer).map_err(|error| Trouble::passing(chain(&error)))?;
        if n == 0 {
            break;
        }
        let filled = spool.filled + n as u64;
        if filled > descriptor.size_bytes {
            return Err(link
                .step(step, "more bytes arrive than the manifest promises".to_owned())
                .into());
        }
        spool.hasher.update(&buffer[..n]);
        spool
            .file
            .write_all(&buffer[..n])
            .map_err(|source| RegistryError::Blob { what: "kept", source })?;
        spool.filled = filled;
        transfer.moved(n as i64);
    }
    match descriptor.size_bytes - spool.filled {
        0 => Ok(()),
        left => Err(Trouble::passing(format!("it ends {left} bytes early"))),
    }
}

/// Whether `Content-Range` begins at an offset: `bytes 5-9/10`.
fn begins_at(content_range: Option<&str>, offset: u64) -> bool {
    content_range
        .and_then(|value| value.trim().strip_prefix("bytes "))
        .and_then(|value| value.split('-').next())
        .and_then(|first| first.trim().parse().ok())
        == Some(offset)
}

#[cfg(test)]
mod tests {
    use super::begins_at;

    #[test]
    fn reads_the_offset_of_a_range() {
        for (value, expected) in [
            (Some("bytes 5-9/10"), true),
            (Some("bytes 5-9/*"), true),
            (Some("bytes 0-9/10"), false),
            (Some("bytes */10"), false),
            (Some("5-9/10"), false),
            (None, false),
        ] {
            assert_eq!(begins_at(value, 5), expected, "{value:?}");
        }
    }
}
