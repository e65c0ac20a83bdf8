//! Parser and writer of the heads of WebSocket frames: a frame's length and kind. The crate
//! tungstenite unmasks the contents and assembles messages. RFC 6455, section 5.2.

/// The head of a frame from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHead {
    /// Number of bytes of the head.
    pub head_bytes: usize,
    /// Number of bytes of the content that follows.
    pub content_bytes: u64,
    /// 0 continuation, 1 text, 2 binary, 8 close, 9 ping, 10 pong.
    pub opcode: u8,
    /// Whether it is the last frame of its message.
    pub is_last: bool,
}

impl FrameHead {
    /// Whether it is a close, a ping or a pong.
    pub(crate) fn is_control(&self) -> bool {
        self.opcode >= 8
    }

    /// Reads the head at the start of `bytes`; `None` if it is not complete yet.
    ///
    /// # Errors
    /// States what is wrong with the head; the connection then ends with code 1002.
    pub(crate) fn read(bytes: &[u8]) -> Result<Option<FrameHead>, &'static str> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let (opcode, is_last) = (first & 0x0f, first & 0x80 != 0);
        if first & 0x70 != 0 {
            return Err("a reserved bit is set, and no extension was agreed on");
        }
        if !matches!(opcode, 0..=2 | 8..=10) {
            return Err("an opcode is unknown");
        }
        if second & 0x80 == 0 {
            return Err("a client's frame is not masked");
        }
        let short = second & 0x7f;
        if opcode >= 8 && (short > 125 || !is_last) {
            return Err("a control frame is in pieces or longer than 125 bytes");
        }
        let (length, bytes_of_length, least) = match short {
            126 => {
                let Some(length) = rest.first_chunk::<2>() else { return Ok(None) };
                (u64::from(u16::from_be_bytes(*length)), 2, 126)
            }
            127 => {
                let Some(length) = rest.first_chunk::<8>() else { return Ok(None) };
                (u64::from_be_bytes(*length), 8, 1 << 16)
            }
            short => (u64::from(short), 0, 0),
        };
        if length < least || length > i64::MAX as u64 {
            return Err("a length is not in its shortest form");
        }
        let head_bytes = 2 + bytes_of_length + 4;
        let is_complete = bytes.len() >= head_bytes;
        let head = FrameHead { head_bytes, content_bytes: length, opcode, is_last };
        Ok(is_complete.then_some(head))
    }

    /// Appends the head of a server's unfragmented frame.
    pub(crate) fn write(out: &mut Vec<u8>, opcode: u8, content_bytes: usize) {
        out.push(0x80 | opcode);
        match content_bytes {
            0..=125 => out.push(content_bytes as u8),
            126..=0xffff => {
                out.push(126);
                out.extend_from_slice(&(content_bytes as u16).to_be_bytes());
            }
            _ => {
                out.push(127);
                out.extend_from_slice(&(content_bytes as u64).to_be_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_of_a_head_is_incomplete() {
        for (bytes, content_bytes) in [
            (&[0x81, 0x85, 1, 2, 3, 4][..], 5),
            (&[0x82, 0xfe, 0x01, 0x00, 1, 2, 3, 4], 256),
            (&[0x02, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4], 65_536),
        ] {
            for end in 0..bytes.len() {
                assert_eq!(FrameHead::read(&bytes[..end]), Ok(None));
            }
            let head = FrameHead::read(bytes).unwrap().unwrap();
            assert_eq!((head.head_bytes, head.content_bytes), (bytes.len(), content_bytes));
        }
    }

    #[test]
    fn refuses_what_no_client_may_send() {
        for bytes in [
            &[0x81, 0x05][..],                           // not masked
            &[0xc1, 0x85],                               // RSV1
            &[0x83, 0x85],                               // an unknown opcode
            &[0x8b, 0x80],                               // another
            &[0x89, 0xfe],                               // a ping of more than 125 bytes
            &[0x09, 0x80],                               // a ping in pieces
            &[0x81, 0xfe, 0, 125, 0, 0, 0, 0],           // 125 in two bytes
            &[0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff], // 65,535 in eight
            &[0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0],    // the highest bit
        ] {
            assert!(FrameHead::read(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn writes_the_shortest_form() {
        for (size, head) in [
            (125, &[0x82, 125][..]),
            (126, &[0x82, 126, 0, 126]),
            (65_535, &[0x82, 126, 0xff, 0xff]),
            (65_536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut out = Vec::new();
            FrameHead::write(&mut out, 2, size);
            assert_eq!(out, head);
        }
    }
}
