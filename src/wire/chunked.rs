//! Decoder of the chunked transfer coding. RFC 9112, section 7.1.
//!
//! It is a state machine: each step gets the bytes that have arrived and returns where content is
//! among them. A line ends in CRLF, a size consists of hex digits, and nothing else is accepted.
//! Extensions (section 7.1.1, by its grammar) and trailer fields are checked, bounded and dropped
//! (RFC 9110, 6.5.1 allows it).

use super::Reject;
use std::ops::Range;

/// Result of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `input[..consumed]` held no content; more bytes are needed.
    Partial {
        /// Number of bytes that need not be passed again.
        consumed: usize,
    },
    /// `input[content]` is body; `input[..content.end]` is consumed.
    Content {
        /// Where the content is in `input`.
        content: Range<usize>,
    },
    /// The body is complete; the next request begins after `input[..consumed]`.
    End {
        /// Number of bytes up to the end of the trailer section.
        consumed: usize,
    },
}

/// Decoder of one body.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    state: State,
    /// Content bytes left in the current chunk.
    left: u64,
    /// Number of hex digits read of the current size.
    digits: u32,
    /// Number of bytes of extensions and trailer fields so far.
    overhead: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    /// After white space, where only another extension may follow.
    ExtensionEnd,
    /// After a semicolon.
    ExtensionStart,
    ExtensionName,
    /// After white space that follows a name.
    ExtensionNameEnd,
    /// After an equals sign.
    ValueStart,
    Value,
    Quoted,
    /// After a backslash.
    QuotedPair,
    /// After the closing quote.
    QuotedEnd,
    SizeLf,
    Content,
    ContentCr,
    ContentLf,
    /// At the start of a trailer line, or of the empty line that ends the body.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
}

impl Decoder {
    /// Largest total of bytes of the extensions and trailer fields of one body.
    pub const MAX_OVERHEAD_BYTES: usize = 16 * 1024;
    /// 16 hex digits are 64 bits; leading zeros count too, so that a size has a largest length.
    const MAX_SIZE_DIGITS: u32 = 16;

    /// Decodes `input`, the bytes not consumed by earlier steps.
    ///
    /// # Errors
    /// 400 for bytes that do not match the grammar of section 7.1.
    pub fn step(&mut self, input: &[u8]) -> Result<Step, Reject> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            if self.state == State::Content {
                let size = self.left.min((input.len() - at) as u64) as usize;
                self.left -= size as u64;
                if self.left == 0 {
                    self.state = State::ContentCr;
                }
                return Ok(Step::Content { content: at..at + size });
            }
            at += 1;
            if self.state == State::EndLf && byte == b'\n' {
                return Ok(Step::End { consumed: at });
            }
            self.state = self.next(byte)?;
        }
        Ok(Step::Partial { consumed: at })
    }

    fn next(&mut self, byte: u8) -> Result<State, Reject> {
        Ok(match (self.state, byte) {
            (State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                self.digits += 1;
                if self.digits > Self::MAX_SIZE_DIGITS {
                    return Err(Reject::bad_request("a chunk size has more than 16 digits"));
                }
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                self.left = self.left << 4 | u64::from(digit);
                State::Size
            }
            (State::Size, b'\r') if self.digits > 0 => State::SizeLf,
            (State::Size, b';') if self.digits > 0 => self.count(State::ExtensionStart)?,
            (State::Size, b' ' | b'\t') if self.digits > 0 => self.count(State::ExtensionEnd)?,
            (State::Size, _) => {
                return Err(Reject::bad_request("a chunk size is not a hexadecimal number"));
            }
            (State::ExtensionName | State::Value | State::QuotedEnd, b'\r') => State::SizeLf,
            (
                State::ExtensionName
                | State::ExtensionNameEnd
                | State::Value
                | State::QuotedEnd
                | State::ExtensionEnd
                | State::ExtensionStart
                | State::ValueStart
                | State::Quoted
                | State::QuotedPair,
                byte,
            ) => match extension(self.state, byte) {
                Some(state) => self.count(state)?,
                None => {
                    return Err(Reject::bad_request(
                        "a chunk extension is not `;name`, `;name=token` or `;name=\"text\"`",
                    ));
                }
            },
            (State::SizeLf, b'\n') => {
                self.digits = 0;
                if self.left == 0 { State::TrailerStart } else { State::Content }
            }
            (State::ContentCr, b'\r') => State::ContentLf,
            (State::ContentLf, b'\n') => State::Size,
            (State::ContentCr | State::ContentLf, _) => {
                return Err(Reject::bad_request("a chunk is longer than its size says"));
            }
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::TrailerStart, byte) if is_token_byte(byte) => self.count(State::TrailerName)?,
            (State::TrailerName, b':') => self.count(State::TrailerValue)?,
            (State::TrailerName, byte) if is_token_byte(byte) => self.count(State::TrailerName)?,
            (State::TrailerValue, b'\r') => State::TrailerLf,
            (State::TrailerValue, byte) if is_field_byte(byte) => {
                self.count(State::TrailerValue)?
            }
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::SizeLf | State::TrailerLf | State::EndLf, _) => {
                return Err(Reject::bad_request("a CR is not followed by LF"));
            }
            _ => {
                return Err(Reject::bad_request("a trailer field has an invalid byte"));
            }
        })
    }

    fn count(&mut self, state: State) -> Result<State, Reject> {
        self.overhead += 1;
        if self.overhead > Self::MAX_OVERHEAD_BYTES {
            return Err(Reject::bad_request(
                "chunk extensions and trailer fields are larger than the limit",
            ));
        }
        Ok(state)
    }
}

/// The state after `byte` within the extensions of a chunk (section 7.1.1): `*( BWS ";" BWS name [
/// BWS "=" BWS ( token / quoted-string ) ] )`. `None` if the byte is not allowed there.
fn extension(state: State, byte: u8) -> Option<State> {
    let is_space = matches!(byte, b' ' | b'\t');
    let is_token = is_token_byte(byte);
    Some(match (state, byte) {
        (State::ExtensionStart | State::ValueStart | State::ExtensionEnd, _) if is_space => state,
        (State::ExtensionStart | State::ExtensionName, _) if is_token => State::ExtensionName,
        (State::ValueStart | State::Value, _) if is_token => State::Value,
        (State::ValueStart, b'"') => State::Quoted,
        (State::Quoted, b'"') => State::QuotedEnd,
        (State::Quoted, b'\\') => State::QuotedPair,
        (State::Quoted | State::QuotedPair, _) if is_field_byte(byte) => State::Quoted,
        (State::ExtensionName | State::ExtensionNameEnd, b'=') => State::ValueStart,
        (State::ExtensionName | State::ExtensionNameEnd, _) if is_space => State::ExtensionNameEnd,
        (State::Value | State::QuotedEnd, _) if is_space => State::ExtensionEnd,
        (
            State::ExtensionName
            | State::ExtensionNameEnd
            | State::Value
            | State::QuotedEnd
            | State::ExtensionEnd,
            b';',
        ) => State::ExtensionStart,
        _ => return None,
    })
}

/// HTAB, SP, VCHAR or obs-text (RFC 9110, section 5.5).
fn is_field_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// tchar (RFC 9110, section 5.6.2).
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    type BodyAndRest = (Vec<u8>, Vec<u8>);

    /// The decoded body and the bytes after it, fed in pieces of `piece` bytes; `None` if it never
    /// ends.
    fn decode(input: &[u8], piece: usize) -> Result<Option<BodyAndRest>, Reject> {
        let mut decoder = Decoder::default();
        let mut body = Vec::new();
        let mut unread = Vec::new();
        for bytes in input.chunks(piece) {
            unread.extend_from_slice(bytes);
            loop {
                match decoder.step(&unread)? {
                    Step::Content { content } => {
                        body.extend_from_slice(&unread[content.clone()]);
                        unread.drain(..content.end);
                    }
                    Step::Partial { consumed } => {
                        unread.drain(..consumed);
                        break;
                    }
                    Step::End { consumed } => {
                        unread.drain(..consumed);
                        let seen = input.len()
                            - input
                                .chunks(piece)
                                .skip_while(|c| c.as_ptr() != bytes.as_ptr())
                                .map(<[u8]>::len)
                                .sum::<usize>()
                            + bytes.len();
                        unread.extend_from_slice(&input[seen..]);
                        return Ok(Some((body, unread)));
                    }
                }
            }
        }
        Ok(None)
    }

    #[test]
    fn decodes_however_it_is_cut() {
        let input = b"4\r\nWiki\r\n00A;a=\"b\";c\r\n0123456789\r\n0\r\nX-T: 1\r\nY:\r\n\r\n\
            GET / HTTP/1.1\r\n";
        for piece in 1..input.len() {
            let (body, rest) = decode(input, piece).unwrap().unwrap();
            assert_eq!(
                (&body[..], &rest[..]),
                (&b"Wiki0123456789"[..], &b"GET / HTTP/1.1\r\n"[..]),
                "pieces of {piece}"
            );
        }
        let whole = input.len() - b"GET / HTTP/1.1\r\n".len();
        for end in 0..whole {
            assert_eq!(decode(&input[..end], 7), Ok(None), "prefix of {end} bytes");
        }
    }

    #[test]
    fn refuses_what_is_not_the_grammar() {
        for bad in [
            &b"\r\n"[..],
            b"g\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b"0x1\r\n",
            b" 1\r\n",
            b"1 \r\n",
            b"1\n",
            b"1\r1",
            b"1\r\nab",
            b"1\r\na\n",
            b"1\r\na\rb",
            b"00000000000000001\r\n",
            b"fffffffffffffffff\r\n",
            b"1;\n\r\n",
            b"1;\r\n",
            b"1; \r\n",
            b"1;;\r\n",
            b"1;a;\r\n",
            b"1;a=\r\n",
            b"1;a= \r\n",
            b"1;a=b=c\r\n",
            b"1;=b\r\n",
            b"1;a \r\n",
            b"1;a=b \r\n",
            b"1;a b\r\n",
            b"1;a=b c\r\n",
            b"1;a=\"b\"c\r\n",
            b"1;a=\"b\r\n",
            b"1;a=\"b\n",
            b"1;a=\"b\\\r\n",
            b"1;a=\"\x00\"\r\n",
            b"1;a=\"\x7f\"\r\n",
            b"1;a=b\"c\"\r\n",
            b"1;\"a\"\r\n",
            b"1;a\n",
            b"1;a\rb",
            b"1;a=b\x80\r\n",
            b"1 ;\r\n",
            b"1 2\r\n",
            b";a\r\n",
            b"1;\x01\r\n",
            b"0\r\n: x\r\n",
            b"0\r\nA b: c\r\n",
            b"0\r\n folded\r\n",
            b"0\r\nA\r\n",
            b"0\r\n\rX",
            b"0\r\n\n",
            b"0\r\nA: \x7f",
        ] {
            for piece in 1..=bad.len() {
                assert_eq!(
                    decode(bad, piece).map_err(|reject| reject.status.code()),
                    Err(400),
                    "{}",
                    bad.escape_ascii()
                );
            }
        }
    }

    #[test]
    fn takes_extensions_of_the_grammar() {
        for good in [
            "5;a",
            "5;a=b",
            "5;a=\"x\\\"y\"",
            "5;a=\"\"",
            "5;a=\"; \t\x21\u{fc}\\\\\"",
            "5 ; a\t= b ;c",
            "5\t;a;b=\"c\";d",
            "05;!#$%&'*+-.^_`|~1a=1",
            "5;a ;b",
            "5;a = \"b\" ;c",
        ] {
            let input = format!("{good}\r\nhello\r\n0;z\r\n\r\n").into_bytes();
            for piece in [1, 2, 3, input.len()] {
                let body = decode(&input, piece).map(|done| done.map(|(body, _)| body));
                assert_eq!(body, Ok(Some(b"hello".to_vec())), "{good}");
            }
        }
    }

    #[test]
    fn bounds_extensions_and_trailers() {
        let long = [&b"1;"[..], &vec![b'a'; Decoder::MAX_OVERHEAD_BYTES + 1]].concat();
        assert!(decode(&long, 4096).is_err());
        let trailers = [&b"0\r\n"[..], &b"A: b\r\n".repeat(Decoder::MAX_OVERHEAD_BYTES)].concat();
        assert!(decode(&trailers, 4096).is_err());
    }
}
