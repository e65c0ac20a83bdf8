//! Sparse files: a map of the offsets of a file's stored bytes; all other bytes are zeros. It reads
//! the four forms of GNU tar: the old header, and 0.0, 0.1 and 1.0 in pax headers (GNU tar manual,
//! "Storing Sparse Files"). Pure and bounded: holes count towards the limits too.

use super::blocks::{Blocks, number};
use std::io::{self, Read};

/// Largest number of pieces of one file.
const MAX_PIECES: usize = 65_536;

/// A piece of stored bytes: its offset in the file and its length, in bytes.
pub(super) type Piece = (u64, u64);

/// A sparse file's description in a pax header.
#[derive(Default)]
pub(super) struct PaxSparse {
    /// The file's real name; `path` has a generated one.
    pub name: Option<Vec<u8>>,
    major: Option<u64>,
    minor: Option<u64>,
    size_bytes: Option<u64>,
    /// Offset, length, offset, length, as listed by a 0.x header.
    numbers: Vec<u64>,
    is_stated: bool,
}

impl PaxSparse {
    /// Adds the record `GNU.sparse.KEY`; `None` if it is malformed.
    pub fn absorb(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let text = || std::str::from_utf8(value).ok();
        let value_number = || text()?.parse().ok();
        self.is_stated = true;
        match key {
            b"name" => self.name = Some(value.to_vec()),
            b"major" => self.major = Some(value_number()?),
            b"minor" => self.minor = Some(value_number()?),
            b"size" | b"realsize" => self.size_bytes = Some(value_number()?),
            b"offset" if self.numbers.len().is_multiple_of(2) => self.numbers.push(value_number()?),
            b"numbytes" if !self.numbers.len().is_multiple_of(2) => {
                self.numbers.push(value_number()?)
            }
            b"offset" | b"numbytes" => return None,
            b"map" => {
                self.numbers.clear();
                for part in text()?.split(',') {
                    self.numbers.push(part.parse().ok()?);
                }
            }
            _ => {} // `numblocks` repeats the length of the list
        }
        (self.numbers.len() <= 2 * MAX_PIECES).then_some(())
    }

    /// Whether the entry is a sparse file.
    pub fn is_stated(&self) -> bool {
        self.is_stated
    }

    /// The map and the file's size in bytes. In version 1.0 the map precedes the content.
    pub fn map(self, blocks: &mut Blocks<impl Read>) -> Option<(Vec<Piece>, u64)> {
        let size_bytes = self.size_bytes?;
        let numbers = match (self.major, self.minor) {
            (Some(1), Some(0)) => numbers_in_front(blocks)?,
            (None | Some(0), _) => self.numbers,
            _ => return None,
        };
        let pieces = numbers.chunks(2).map(|pair| Some((*pair.first()?, *pair.get(1)?)));
        checked(pieces.collect::<Option<_>>()?, size_bytes, blocks.content_bytes())
    }
}

/// Reads the map of version 1.0: decimal numbers, one per line, padded to whole blocks. The first
/// number is the number of pairs.
fn numbers_in_front(blocks: &mut Blocks<impl Read>) -> Option<Vec<u64>> {
    let mut wanted = 1;
    let (mut numbers, mut text) = (Vec::new(), String::new());
    while numbers.len() < wanted {
        let mut block = [0; 512];
        blocks.read_exact(&mut block).ok()?;
        for byte in block {
            match byte {
                b'0'..=b'9' if text.len() < 20 => text.push(char::from(byte)),
                b'\n' => {
                    numbers.push(text.parse::<u64>().ok()?);
                    text.clear();
                    if numbers.len() == 1 {
                        let pairs = usize::try_from(numbers[0]).ok()?;
                        wanted = 1 + 2 * (pairs <= MAX_PIECES).then_some(pairs)?;
                    }
                    if numbers.len() == wanted {
                        break;
                    }
                }
                _ => return None,
            }
        }
    }
    numbers.remove(0);
    Some(numbers)
}

/// Reads the map of GNU's old form: four pieces in the header, 21 in each block that follows it.
pub(super) fn old_gnu_map(
    header: &tar::Header,
    blocks: &mut Blocks<impl Read>,
) -> Option<(Vec<Piece>, u64)> {
    let field = |field: &[u8]| u64::try_from(number(field)?).ok();
    let gnu = header.as_gnu()?;
    let mut pieces = Vec::new();
    let mut take = |sparse: &[tar::GnuSparseHeader]| {
        for piece in sparse.iter().filter(|piece| !piece.is_empty()) {
            pieces.push((field(&piece.offset)?, field(&piece.numbytes)?));
        }
        (pieces.len() <= MAX_PIECES).then_some(())
    };
    take(&gnu.sparse)?;
    let mut is_extended = gnu.is_extended();
    while is_extended {
        let mut more = tar::GnuExtSparseHeader::new();
        more.as_mut_bytes().copy_from_slice(&blocks.more_header().ok()?);
        take(&more.sparse)?;
        is_extended = more.is_extended();
    }
    checked(pieces, field(&gnu.realsize)?, blocks.content_bytes())
}

/// Checks that the pieces are in order, within the file, and exactly the stored bytes.
fn checked(pieces: Vec<Piece>, size_bytes: u64, stored_bytes: u64) -> Option<(Vec<Piece>, u64)> {
    let (mut end, mut sum) = (0, 0u64);
    for (offset, length) in &pieces {
        if *offset < end {
            return None;
        }
        end = offset.checked_add(*length)?;
        sum = sum.checked_add(*length)?;
    }
    (end <= size_bytes && sum == stored_bytes).then_some((pieces, size_bytes))
}

/// Reader of the whole file: stored bytes at their offsets, zeros between them.
pub(super) struct Expanded<'a> {
    stored: &'a mut dyn Read,
    pieces: std::iter::Peekable<std::vec::IntoIter<Piece>>,
    at: u64,
    size_bytes: u64,
}

impl<'a> Expanded<'a> {
    pub fn new(stored: &'a mut dyn Read, pieces: Vec<Piece>, size_bytes: u64) -> Expanded<'a> {
        Expanded { stored, pieces: pieces.into_iter().peekable(), at: 0, size_bytes }
    }
}

impl Read for Expanded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.pieces.next_if(|(offset, length)| offset + length <= self.at).is_some() {}
        let most = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX).min(buffer.len());
        let n = match self.pieces.peek() {
            Some((offset, length)) if *offset <= self.at => {
                let most = most(offset + length - self.at);
                match self.stored.read(&mut buffer[..most])? {
                    0 if most > 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    n => n,
                }
            }
            next => {
                let end = next.map_or(self.size_bytes, |(offset, _)| *offset);
                let most = most(end - self.at);
                buffer[..most].fill(0);
                most
            }
        };
        self.at += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_stored_bytes_at_their_places() {
        let mut stored = &b"abcde"[..];
        let mut file = Vec::new();
        let pieces = vec![(0, 0), (2, 3), (6, 2), (9, 0)];
        Expanded::new(&mut stored, pieces, 9).read_to_end(&mut file).expect("in memory");
        assert_eq!(file, b"\0\0abc\0de\0");
    }

    #[test]
    fn a_map_that_contradicts_itself_is_none() {
        assert!(checked(vec![(0, 2), (4, 1)], 5, 3).is_some());
        for (pieces, size_bytes, stored_bytes) in [
            (vec![(0, 2), (1, 1)], 5, 3),       // overlap
            (vec![(4, 1), (0, 2)], 5, 3),       // out of order
            (vec![(0, 2)], 1, 2),               // beyond the end of the file
            (vec![(0, 2)], 2, 3),               // more bytes are stored
            (vec![(0, 2)], 2, 1),               // fewer bytes are stored
            (vec![(u64::MAX, 2)], u64::MAX, 2), // beyond 64 bits
        ] {
            assert!(checked(pieces.clone(), size_bytes, stored_bytes).is_none(), "{pieces:?}");
        }
    }
}
