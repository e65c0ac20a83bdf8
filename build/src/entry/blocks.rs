//! Tar as a stream of headers and contents, in blocks of 512 bytes. It finds the end of each entry,
//! and does not interpret entries. POSIX.1-2017, pax, "ustar Interchange Format"; where the
//! standard leaves a choice, it accepts what Docker Engine's reader accepts.

use std::io::{self, Read};
use std::ops::Range;

const BLOCK_BYTES: usize = 512;
/// Fields of a header.
pub(super) const MODE: Range<usize> = 100..108;
pub(super) const UID: Range<usize> = 108..116;
pub(super) const GID: Range<usize> = 116..124;
const SIZE: Range<usize> = 124..136;
pub(super) const MTIME: Range<usize> = 136..148;
const CHECKSUM: Range<usize> = 148..156;
pub(super) const TYPE: usize = 156;

/// The reader. Between two headers, reading returns the content of the entry.
pub(super) struct Blocks<R> {
    inner: R,
    /// Number of bytes of content not read yet.
    content_bytes: u64,
    /// Number of bytes between the content's end and the next header.
    padding_bytes: u64,
}

impl<R: Read> Blocks<R> {
    pub fn new(inner: R) -> Blocks<R> {
        Blocks { inner, content_bytes: 0, padding_bytes: 0 }
    }

    /// Number of bytes left of the entry's content.
    pub fn content_bytes(&self) -> u64 {
        self.content_bytes
    }

    pub fn into_inner(self) -> R {
        self.inner
    }

    /// The next entry's header, after skipping the rest of the current content; `None` at the end,
    /// which is two blocks of zeros or the end of the stream.
    pub fn next_header(&mut self) -> io::Result<Option<tar::Header>> {
        if io::copy(&mut self.inner.by_ref().take(self.content_bytes), &mut io::sink())?
            != self.content_bytes
        {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // Missing padding at the end of the stream is accepted.
        io::copy(&mut self.inner.by_ref().take(self.padding_bytes), &mut io::sink())?;
        (self.content_bytes, self.padding_bytes) = (0, 0);
        let Some(header) = self.block()? else { return Ok(None) };
        if header == [0; BLOCK_BYTES] {
            return match self.block()? {
                Some(block) if block != [0; BLOCK_BYTES] => {
                    Err(invalid("there is a block of zeros between two entries"))
                }
                _ => Ok(None),
            };
        }
        if !is_summed_up(&header) {
            return Err(invalid("a header's checksum is wrong"));
        }
        let size = number(&header[SIZE]).and_then(|size| u64::try_from(size).ok());
        let size = size.ok_or_else(|| invalid("an entry's size is not a number"))?;
        let header = tar::Header::from_byte_slice(&header).clone();
        // Links, folders and devices have no content, whatever their size field states: Docker's
        // reader (Go's archive/tar) ignores it.
        let kind = header.entry_type();
        let has_content = !(kind.is_hard_link()
            || kind.is_symlink()
            || kind.is_dir()
            || kind.is_character_special()
            || kind.is_block_special()
            || kind.is_fifo());
        self.set_content(if has_content { size } else { 0 });
        Ok(Some(header))
    }

    /// Reads one more header block, which GNU's sparse files have before the content.
    pub fn more_header(&mut self) -> io::Result<[u8; BLOCK_BYTES]> {
        let content_bytes = std::mem::take(&mut self.content_bytes);
        let block = self.block()?;
        self.content_bytes = content_bytes;
        block.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn set_content(&mut self, size_bytes: u64) {
        self.content_bytes = size_bytes;
        let over = size_bytes % BLOCK_BYTES as u64;
        self.padding_bytes = if over == 0 { 0 } else { BLOCK_BYTES as u64 - over };
    }

    fn block(&mut self) -> io::Result<Option<[u8; BLOCK_BYTES]>> {
        let mut block = [0; BLOCK_BYTES];
        let mut filled = 0;
        while filled < BLOCK_BYTES {
            match self.inner.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(Some(block))
    }
}

impl<R: Read> Read for Blocks<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.by_ref().take(self.content_bytes).read(buffer)?;
        self.content_bytes -= n as u64;
        Ok(n)
    }
}

/// Whether the checksum is the sum of all bytes, with its own field taken as spaces. Some old
/// writers added signed bytes; readers accept both sums.
fn is_summed_up(header: &[u8; BLOCK_BYTES]) -> bool {
    let (mut unsigned, mut signed) = (0i64, 0i64);
    for (at, byte) in header.iter().enumerate() {
        let byte = if CHECKSUM.contains(&at) { b' ' } else { *byte };
        unsigned += i64::from(byte);
        signed += i64::from(byte as i8);
    }
    number(&header[CHECKSUM]).is_some_and(|sum| sum == unsigned || sum == signed)
}

/// A number in a header: octal digits between spaces and zero bytes; an empty field for 0; or GNU's
/// binary form, whose highest bit is set.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    let (first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        // Two's complement, without the marker bit.
        let start = if first & 0x40 != 0 { -1 } else { 0 };
        let top = i128::from(start) << 6 | i128::from(first & 0x3f);
        let value = rest.iter().try_fold(top, |value, byte| {
            value.checked_mul(256).map(|value| value | i128::from(*byte))
        });
        return value.and_then(|value| i64::try_from(value).ok());
    }
    let text = std::str::from_utf8(field).ok()?;
    let text = text.trim_start_matches([' ', '\0']);
    let text = text.split('\0').next()?.trim_end_matches(' ');
    if text.is_empty() { Some(0) } else { i64::from_str_radix(text, 8).ok() }
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_binary() {
        for (field, expected) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"77777777777 ", Some(0o77_777_777_777)),
            (b"\x80\0\0\0\0\0\0\0\0\0\x01\x02", Some(258)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"0000648\0", None),
            (b"-000001\0", Some(-1)),
            (b"12\xff4    ", None),
        ] {
            assert_eq!(number(field), expected, "{field:?}");
        }
    }
}
