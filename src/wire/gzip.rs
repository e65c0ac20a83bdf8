//! Decoder for a body in gzip format: it inflates one member after another and checks each against
//! its length and its checksum. RFC 1952 (gzip), RFC 9110, section 8.4.1.3 (as a content coding).
//!
//! The output goes after the bytes that the caller already has, up to a size that the caller sets;
//! so the caller decides about memory before the decoder uses it.

use super::{Reject, Status};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

/// State of one body; it resumes where it ran out of room.
#[derive(Default)]
pub struct Gzip {
    /// Offset in the compressed bytes.
    at: usize,
    /// Allocated once for all members.
    state: Box<DecompressorOxide>,
    /// Inflated size of the current member so far, in bytes; `None` between members.
    member: Option<usize>,
    /// Inflated size of the finished members, in bytes.
    done: usize,
    /// Number of members so far.
    members: usize,
}

/// Result of [`Gzip::inflate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inflated {
    /// The output is complete.
    Whole,
    /// The output is larger than the caller allowed.
    More,
}

/// First size of the output, in bytes; it then doubles.
const FIRST_BYTES: usize = 4 * 1024;
/// Size of a member's trailer: CRC-32 and length.
const TRAILER_BYTES: usize = 8;
/// Largest number of members. A member costs processor time even if it is empty (its tables are
/// made anew), and a body of 6 MiB has room for 300,000; tools that write many write one for each
/// 64 KiB.
const MOST_MEMBERS: usize = 4096;

impl Gzip {
    /// Inflates `coded` into `out`, starting at offset `from`, at most `most` bytes. After
    /// [`Inflated::More`], call it again with the same bytes and more room.
    ///
    /// # Errors
    /// 400 if `coded` is not entirely gzip, has too many members, or if a checksum or a length is
    /// wrong.
    pub fn inflate(
        &mut self,
        coded: &[u8],
        out: &mut Vec<u8>,
        from: usize,
        most: usize,
    ) -> Result<Inflated, Reject> {
        loop {
            let rest = coded.get(self.at..).unwrap_or_default();
            let Some(mut len) = self.member else {
                if rest.is_empty() && self.at > 0 {
                    out.truncate(from + self.done);
                    return Ok(Inflated::Whole);
                }
                if self.members == MOST_MEMBERS {
                    return Err(TOO_MANY);
                }
                self.members += 1;
                self.at += header(rest).ok_or(BROKEN)?;
                self.state.init();
                self.member = Some(0);
                continue;
            };
            // A member can refer back only to its own bytes.
            let begin = from + self.done;
            let room = out.get_mut(begin..).unwrap_or_default();
            let flags = TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
            let (status, read, written) = decompress(&mut self.state, rest, room, len, flags);
            self.at += read;
            len += written;
            self.member = Some(len);
            match status {
                TINFLStatus::Done => {}
                TINFLStatus::HasMoreOutput => {
                    let used = self.done + len;
                    if used >= most {
                        return Ok(Inflated::More);
                    }
                    let size = (used * 2).max(FIRST_BYTES).min(most);
                    out.resize(from + size, 0);
                    continue;
                }
                _ => return Err(BROKEN),
            }
            let content = out.get(begin..begin + len).unwrap_or_default();
            let trailer = coded.get(self.at..self.at + TRAILER_BYTES).ok_or(BROKEN)?;
            let mut expected = [0; TRAILER_BYTES];
            expected[..4].copy_from_slice(&crc32(content).to_le_bytes());
            expected[4..].copy_from_slice(&(len as u32).to_le_bytes());
            if trailer != expected {
                return Err(BROKEN);
            }
            self.at += TRAILER_BYTES;
            self.done += len;
            self.member = None;
        }
    }
}

/// Inflates `coded` completely, to at most `most` bytes.
///
/// # Errors
/// As [`Gzip::inflate`], and 413 if the output is larger.
pub fn whole(coded: &[u8], most: usize) -> Result<Vec<u8>, Reject> {
    let mut out = Vec::new();
    match Gzip::default().inflate(coded, &mut out, 0, most)? {
        Inflated::Whole => Ok(out),
        Inflated::More => Err(TOO_LARGE),
    }
}

/// Whether a field describes the compressed body and is wrong after the server has inflated it.
pub fn is_about_coded_body(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"content-encoding") || name.eq_ignore_ascii_case(b"content-length")
}

/// The reply to a body that exceeds the limit only after it is inflated.
pub const TOO_LARGE: Reject = Reject::new(
    Status::CONTENT_TOO_LARGE,
    "the request body is larger than the limit when it is inflated; send less at once",
);
const BROKEN: Reject = Reject::new(
    Status::BAD_REQUEST,
    "the body is not what its Content-Encoding says; send whole gzip members and nothing else",
);

const TOO_MANY: Reject = Reject::new(
    Status::BAD_REQUEST,
    "the body has more than 4096 gzip members; compress it as one",
);

/// Size of the member's header that `bytes` begin with (RFC 1952, section 2.3).
fn header(bytes: &[u8]) -> Option<usize> {
    let [0x1f, 0x8b, 8, flags, _, _, _, _, _, _, ..] = *bytes else { return None };
    let [sum, extra, name, comment] = [2, 4, 8, 16].map(|bit| flags & bit != 0);
    if flags & 0xe0 != 0 {
        return None; // reserved: what follows them is not known
    }
    let mut at = 10;
    if extra {
        let size = bytes.get(at..at + 2)?;
        at += 2 + usize::from(u16::from_le_bytes(size.try_into().ok()?));
    }
    for _ in 0..usize::from(name) + usize::from(comment) {
        at += 1 + bytes.get(at..)?.iter().position(|byte| *byte == 0)?;
    }
    if sum {
        let stated = bytes.get(at..at + 2)?;
        if stated != &crc32(bytes.get(..at)?).to_le_bytes()[..2] {
            return None;
        }
        at += 2;
    }
    (at <= bytes.len()).then_some(at)
}

/// The CRC-32 of ISO 3309, as RFC 1952, section 8, requires.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, &byte| TABLE[usize::from(sum as u8 ^ byte)] ^ sum >> 8)
}

/// CRC-32 of each byte.
static TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let mut sum = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 };
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes `text` into one uncompressed member, with these flags and the fields that they
    /// announce.
    fn member(text: &[u8], flags: u8, fields: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 255];
        bytes.extend_from_slice(fields);
        let size = text.len() as u16;
        bytes.push(1);
        bytes.extend_from_slice(&size.to_le_bytes());
        bytes.extend_from_slice(&(!size).to_le_bytes());
        bytes.extend_from_slice(text);
        bytes.extend_from_slice(&crc32(text).to_le_bytes());
        bytes.extend_from_slice(&u32::from(size).to_le_bytes());
        bytes
    }

    fn inflated(coded: &[u8], most: usize) -> Result<Option<Vec<u8>>, u16> {
        let (mut gzip, mut out) = (Gzip::default(), b"head".to_vec());
        match gzip.inflate(coded, &mut out, 4, most) {
            Ok(Inflated::Whole) => {
                assert!(out.starts_with(b"head"));
                Ok(Some(out.split_off(4)))
            }
            Ok(Inflated::More) => Ok(None),
            Err(reject) => Err(reject.status.code()),
        }
    }

    #[test]
    fn crc32_has_the_known_check_value() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn consecutive_members_are_joined() {
        let two = [member(b"hello, ", 0, b""), member(b"", 0, b""), member(b"w", 0, b"")].concat();
        assert_eq!(inflated(&two, 100), Ok(Some(b"hello, w".to_vec())));
    }

    /// Regression: 5 MB of empty members took the processor for seconds.
    #[test]
    fn members_are_counted() {
        let one = member(b"x", 0, b"");
        assert_eq!(inflated(&one.repeat(4096), 1 << 20), Ok(Some(b"x".repeat(4096))));
        assert_eq!(inflated(&one.repeat(4097), 1 << 20), Err(400));
        assert_eq!(inflated(&member(b"", 0, b"").repeat(200_000), 1 << 20), Err(400));
    }

    #[test]
    fn every_field_of_a_header_is_skipped() {
        let mut fields = b"\x03\0abcname\0comment\0".to_vec();
        assert_eq!(inflated(&member(b"x", 4 + 8 + 16, &fields), 9), Ok(Some(b"x".to_vec())));
        let mut head = vec![0x1f, 0x8b, 8, 2 + 4 + 8 + 16, 0, 0, 0, 0, 0, 255];
        head.extend_from_slice(&fields);
        fields.extend_from_slice(&crc32(&head).to_le_bytes()[..2]);
        assert_eq!(inflated(&member(b"x", head[3], &fields), 9), Ok(Some(b"x".to_vec())));
        *fields.last_mut().unwrap() ^= 1;
        assert_eq!(inflated(&member(b"x", head[3], &fields), 9), Err(400), "a wrong sum");
    }

    #[test]
    fn a_body_that_is_not_entirely_gzip_is_refused() {
        let whole = member(b"abc", 0, b"");
        for cut in 0..whole.len() {
            assert_eq!(inflated(&whole[..cut], 100), Err(400), "{cut} bytes");
        }
        for byte in [0, 1, 2, whole.len() - 8, whole.len() - 1, 11, 13] {
            let mut wrong = whole.clone();
            wrong[byte] ^= 0x40;
            assert_eq!(inflated(&wrong, 100), Err(400), "byte {byte}");
        }
        assert_eq!(inflated(&member(b"abc", 0x20, b""), 100), Err(400), "a reserved flag");
        assert_eq!(inflated(&[&whole[..], b"\0"].concat(), 100), Err(400), "garbage");
    }

    #[test]
    fn output_beyond_the_limit_waits_for_a_larger_limit() {
        let text = vec![b'a'; 20_000];
        let coded = [member(&text, 0, b""), member(&text, 0, b"")].concat();
        let (mut gzip, mut out) = (Gzip::default(), Vec::new());
        for most in [0, 1, 19_999, 20_000, 39_999] {
            assert_eq!(gzip.inflate(&coded, &mut out, 0, most), Ok(Inflated::More), "{most}");
            assert!(out.len() <= most);
        }
        assert_eq!(gzip.inflate(&coded, &mut out, 0, 40_000), Ok(Inflated::Whole));
        assert_eq!(out, [text.clone(), text].concat());
    }

    /// A distance beyond the member's start would read the request's head, or another member.
    #[test]
    fn a_member_reaches_back_into_itself_only() {
        // Fixed codes: the literal `a`, then a match of three bytes at distance 2.
        let bits = [1, 1, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
        let mut packed = vec![0_u8; bits.len().div_ceil(8)];
        bits.iter().enumerate().for_each(|(at, bit)| packed[at / 8] |= bit << (at % 8));
        let mut coded = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
        coded.extend_from_slice(&packed);
        coded.extend_from_slice(&[0; 8]);
        assert_eq!(inflated(&coded, 100), Err(400));
        assert_eq!(inflated(&[member(b"abc", 0, b""), coded].concat(), 100), Err(400));
    }
}
