//! Observer of a relayed WebSocket's frames: it reads their heads to learn how the connection ends
//! and how much data passes. It gets bytes and reads no socket. RFC 6455, section 5.2.

use std::time::{Duration, Instant};

/// Largest message, in bytes.
pub const MAX_MESSAGE_BYTES: u64 = 256 << 10;
/// What one side may send in a second, according to the page. The emulator reports the first
/// excess and keeps the connection, because no page states what the platform does.
const MESSAGES_A_SECOND: u32 = 10;
const BYTES_A_SECOND: u64 = 128 << 10;
/// The side that ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The caller.
    Client,
    /// The function.
    Function,
}

/// The connection ended without a close frame (RFC 6455, section 7.1.5).
pub(crate) const ABNORMAL: u16 = 1006;
/// A message is too large.
pub(crate) const TOO_BIG: u16 = 1009;
/// A close frame without a code.
const NO_CODE: u16 = 1005;

/// The frames of one direction. If the bytes are not a WebSocket, the other side must refuse them:
/// the observer then reads no further.
#[derive(Default)]
pub(crate) struct Frames {
    /// An incomplete head, or the incomplete content of a close frame.
    partial: Vec<u8>,
    /// Bytes of content that have not passed yet.
    left: u64,
    message_bytes: u64,
    /// The close frame's code.
    pub(crate) end: Option<u16>,
    /// Whether a message exceeded the limit.
    pub(crate) is_over: bool,
    /// Start of the current second, and the messages and bytes in it.
    second: Option<(Instant, u32, u64)>,
    /// The exceeded limit of the platform, if any.
    pub(crate) too_fast: Option<&'static str>,
}

impl Frames {
    pub(crate) fn see(&mut self, mut bytes: &[u8]) {
        self.count(0, bytes.len() as u64);
        while !bytes.is_empty() && self.end.is_none() {
            if self.left > 0 {
                let size = self.left.min(bytes.len() as u64);
                self.left -= size;
                bytes = &bytes[usize::try_from(size).unwrap_or(bytes.len())..];
                continue;
            }
            self.partial.push(bytes[0]); // heads are short
            bytes = &bytes[1..];
            if let Some(head) = Head::read(&self.partial) {
                self.take(head);
            }
        }
    }

    fn take(&mut self, head: Head) {
        const CLOSE: u8 = 8;
        if head.opcode == CLOSE {
            let content = &self.partial[head.bytes..];
            let wanted = head.content_bytes.min(2);
            if (content.len() as u64) < wanted {
                return; // the code is in bytes that have not arrived
            }
            let mask = head.mask.unwrap_or_default();
            self.end = Some(match content {
                [first, second, ..] => u16::from_be_bytes([first ^ mask[0], second ^ mask[1]]),
                _ => NO_CODE,
            });
            return;
        }
        self.partial.clear();
        self.left = head.content_bytes;
        if head.opcode > CLOSE {
            return;
        }
        if head.opcode != 0 {
            self.message_bytes = 0;
            self.count(1, 0);
        }
        self.message_bytes = self.message_bytes.saturating_add(head.content_bytes);
        if self.message_bytes > MAX_MESSAGE_BYTES {
            self.is_over = true;
            self.end = Some(TOO_BIG);
        }
    }

    fn count(&mut self, messages: u32, bytes: u64) {
        let now = Instant::now();
        let second = self.second.get_or_insert((now, 0, 0));
        if now.duration_since(second.0) > Duration::from_secs(1) {
            *second = (now, 0, 0);
        }
        second.1 += messages;
        second.2 += bytes;
        // One message of the largest size alone exceeds a second's bytes.
        if second.1 > MESSAGES_A_SECOND {
            self.too_fast = Some("more than 10 messages a second");
        } else if second.1 > 1 && second.2 > BYTES_A_SECOND {
            self.too_fast = Some("more than 128 KB a second");
        }
    }
}

/// A frame's head (RFC 6455, section 5.2).
struct Head {
    bytes: usize,
    opcode: u8,
    content_bytes: u64,
    mask: Option<[u8; 4]>,
}

impl Head {
    /// Returns `None` if the head is incomplete.
    fn read(bytes: &[u8]) -> Option<Head> {
        let [first, second, rest @ ..] = bytes else { return None };
        let (content_bytes, rest) = match second & 0x7f {
            126 => {
                let (size, rest) = rest.split_first_chunk::<2>()?;
                (u64::from(u16::from_be_bytes(*size)), rest)
            }
            127 => {
                let (size, rest) = rest.split_first_chunk::<8>()?;
                (u64::from_be_bytes(*size), rest)
            }
            size => (u64::from(size), rest),
        };
        let (mask, rest) = match second & 0x80 {
            0 => (None, rest),
            _ => {
                let (mask, rest) = rest.split_first_chunk::<4>()?;
                (Some(*mask), rest)
            }
        };
        let head = bytes.len() - rest.len();
        Some(Head { bytes: head, opcode: first & 0x0f, content_bytes, mask })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end_of(bytes: &[u8], at_a_time: usize) -> (Option<u16>, bool) {
        let mut frames = Frames::default();
        bytes.chunks(at_a_time).for_each(|bytes| frames.see(bytes));
        (frames.end, frames.is_over)
    }

    #[test]
    fn finds_the_end_for_every_split_of_the_bytes() {
        let masked_close = [0x88, 0x82, 1, 2, 3, 4, 0x03 ^ 1, 0xe8 ^ 2];
        let text = [&[0x81, 126, 0, 200][..], &[0x88; 200]].concat();
        let ping = [0x89, 0x80, 1, 2, 3, 4];
        for (bytes, end) in [
            ([&text[..], &[0x88, 2, 0x03, 0xf3]].concat(), Some(1011)),
            ([&ping[..], &masked_close].concat(), Some(1000)),
            (vec![0x88, 0x00], Some(NO_CODE)),
            (text.clone(), None),
        ] {
            for at_a_time in 1..=bytes.len() {
                assert_eq!(end_of(&bytes, at_a_time), (end, false), "{at_a_time} at a time");
            }
        }
        let most = MAX_MESSAGE_BYTES.to_be_bytes();
        let one = [&[0x82, 127][..], &most].concat();
        assert_eq!(end_of(&one, 3), (None, false));
        let mut frames = Frames::default();
        frames.see(&[0x02, 1, 0]);
        frames.see(&[&[0x80, 127][..], &most].concat());
        assert!(frames.is_over, "all pieces count");
    }
}
