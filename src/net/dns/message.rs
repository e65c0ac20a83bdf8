//! DNS messages as bytes: writes a question and reads its reply. Pure. Anybody can send a datagram,
//! so the code checks every length. RFC 1035, section 4; RFC 3596 for AAAA.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest name in a message, in bytes (RFC 1035, section 2.3.4).
const MOST_NAME: usize = 255;
/// Header of a message, in bytes.
const HEADER: usize = 12;
/// Largest number of aliases (CNAME) that the resolver follows.
const MOST_ALIASES: usize = 16;
/// Largest number of addresses that the resolver takes from one reply.
const MOST_ADDRESSES: usize = 64;
/// Largest number of records that the resolver reads from one reply.
const MOST_RECORDS: usize = 512;

const CNAME: u16 = 5;
const INTERNET: u16 = 1;

/// The type of record in a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    A,
    Aaaa,
}

impl Kind {
    fn number(self) -> u16 {
        match self {
            Kind::A => 1,
            Kind::Aaaa => 28,
        }
    }
}

/// A name server's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The addresses and the canonical name; no addresses if the name exists without any. If
    /// `is_cut`, the server has more of them than a datagram holds.
    Addresses { addresses: Vec<IpAddr>, canonical: String, is_cut: bool },
    /// The name does not exist (NXDOMAIN).
    NoName,
    /// The server failed; this is its response code.
    Failure(u8),
}

/// Appends the question for `name`; returns false if the name is not valid in a question.
pub(super) fn write_question(out: &mut Vec<u8>, id: u16, name: &str, kind: Kind) -> bool {
    out.extend_from_slice(&id.to_be_bytes());
    // One question, with recursion desired.
    out.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    let begin = out.len();
    let name = name.strip_suffix('.').unwrap_or(name);
    for label in name.as_bytes().split(|byte| *byte == b'.') {
        // A valid host name has no control characters and no blanks.
        let is_fit = !label.is_empty() && label.iter().all(|byte| *byte > b' ' && *byte != 127);
        match u8::try_from(label.len()) {
            Ok(size) if size < 64 && is_fit => out.push(size),
            _ => return false,
        }
        out.extend_from_slice(label);
    }
    out.push(0);
    if out.len() - begin > MOST_NAME {
        return false;
    }
    out.extend_from_slice(&kind.number().to_be_bytes());
    out.extend_from_slice(&INTERNET.to_be_bytes());
    true
}

/// Reads the answer that `reply` gives to `question`, which [`write_question`] wrote; `None` if
/// `reply` does not belong to it.
pub(super) fn read_reply(reply: &[u8], question: &[u8]) -> Option<Answer> {
    let flags = number(reply, 2)?;
    let asked = question.get(HEADER..)?;
    let end = HEADER + asked.len();
    let is_reply = reply.get(..2) == question.get(..2)
        && flags & 0xf800 == 0x8000 // a response, to a standard query
        && number(reply, 4)? == 1
        && reply.get(HEADER..end)?.eq_ignore_ascii_case(asked);
    if !is_reply {
        return None;
    }
    let is_cut = flags & 0x0200 != 0;
    match (flags & 15) as u8 {
        0 => {}
        3 => return Some(Answer::NoName),
        code => return Some(Answer::Failure(code)),
    }
    let kind = number(question, question.len().checked_sub(4)?)?;
    let records = records(reply, end, usize::from(number(reply, 6)?));
    // A truncated or malformed record ends the list. The records before it count only if the server
    // marked its reply as truncated.
    if records.is_none() && !is_cut {
        return Some(Answer::Failure(1)); // FORMERR, but the server's
    }
    let records = records.unwrap_or_default();
    let mut canonical = text(reply, HEADER)?;
    for _ in 0..MOST_ALIASES {
        let alias = records.iter().find(|record| record.kind == CNAME && record.is_of(&canonical));
        match alias.and_then(|record| text(reply, record.at)) {
            Some(next) => canonical = next,
            None => break,
        }
    }
    let of_name = records.iter().filter(|record| record.kind == kind && record.is_of(&canonical));
    let addresses = of_name.filter_map(|record| record.address(reply)).take(MOST_ADDRESSES);
    Some(Answer::Addresses { addresses: addresses.collect(), canonical, is_cut })
}

struct Record {
    name: String,
    kind: u16,
    /// Offset of its data in the message.
    at: usize,
    size: usize,
}

impl Record {
    fn is_of(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    fn address(&self, reply: &[u8]) -> Option<IpAddr> {
        let data = reply.get(self.at..self.at + self.size)?;
        match self.kind {
            1 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).into()),
            _ => Some(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into()),
        }
    }
}

/// Reads the records of class IN, starting at `at`.
fn records(reply: &[u8], mut at: usize, count: usize) -> Option<Vec<Record>> {
    let mut records = Vec::new();
    for _ in 0..count.min(MOST_RECORDS) {
        let begin = at;
        at = skip_name(reply, at)?;
        let (kind, class) = (number(reply, at)?, number(reply, at + 2)?);
        let size = usize::from(number(reply, at + 8)?);
        at += 10;
        if reply.len() < at + size {
            return None;
        }
        if class == INTERNET && (kind == CNAME || kind == 1 || kind == 28) {
            records.push(Record { name: text(reply, begin)?, kind, at, size });
        }
        at += size;
    }
    Some(records)
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    let end = at.checked_add(2)?;
    Some(u16::from_be_bytes(bytes.get(at..end)?.try_into().ok()?))
}

/// Offset of the end of the name that starts at `at`.
fn skip_name(reply: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *reply.get(at)? {
            0 => return Some(at + 1),
            size @ 1..64 => at += 1 + usize::from(size),
            192.. => return reply.get(at + 1).map(|_| at + 2),
            _ => return None,
        }
    }
}

/// Decompresses a name (RFC 1035, section 4.1.4). The code follows pointers backwards only, so a
/// loop is impossible.
fn text(reply: &[u8], mut at: usize) -> Option<String> {
    let mut text = String::new();
    let mut before = at;
    loop {
        match *reply.get(at)? {
            0 => return Some(text),
            size @ 1..64 => {
                let label = reply.get(at + 1..at + 1 + usize::from(size))?;
                if !text.is_empty() {
                    text.push('.');
                }
                if label.contains(&b'.') {
                    return None; // two names would have the same text
                }
                text.push_str(std::str::from_utf8(label).ok()?);
                at += 1 + label.len();
            }
            192.. => {
                let to = usize::from(number(reply, at)? & 0x3fff);
                if to >= before {
                    return None;
                }
                before = to;
                at = to;
            }
            _ => return None,
        }
        if text.len() > MOST_NAME {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        write_question(&mut bytes, 0x1234, name, Kind::A).then_some(bytes)
    }

    /// Writes a reply to `question` with these records.
    fn reply(question: &[u8], count: u8, records: &[u8]) -> Vec<u8> {
        let mut bytes = question.to_vec();
        bytes[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, count]);
        bytes.extend_from_slice(records);
        bytes
    }

    const ADDRESS: &[u8] = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0\x01";

    #[test]
    fn writes_names_that_can_be_asked_for() {
        let bytes = question("db.example.").unwrap();
        assert_eq!(&bytes[12..], b"\x02db\x07example\0\0\x01\0\x01");
        let most = [vec!["x".repeat(63); 3], vec!["x".repeat(61)]].concat().join(".");
        assert!(question(&most).is_some() && question(&format!("{most}x")).is_none());
        for name in ["", ".", "a..b", ".a", "a b", "a\n", &"x".repeat(64)] {
            assert!(question(name).is_none(), "{name:?}");
        }
    }

    #[test]
    fn reads_what_answers_the_question_and_nothing_else() {
        let asked = question("db.example").unwrap();
        let good = reply(&asked, 1, ADDRESS);
        let expected = Answer::Addresses {
            addresses: vec![Ipv4Addr::new(10, 0, 0, 1).into()],
            canonical: "db.example".to_owned(),
            is_cut: false,
        };
        assert_eq!(read_reply(&good, &asked), Some(expected.clone()));
        let capitals = [&good[..13], b"DB", &good[15..]].concat();
        assert!(matches!(read_reply(&capitals, &asked), Some(Answer::Addresses { .. })));
        for (at, byte) in [(0, 0x13), (1, 0x35), (2, 0x01), (2, 0x89), (5, 2), (13, b'x'), (26, 2)]
        {
            let mut other = good.clone();
            other[at] = byte;
            assert_eq!(read_reply(&other, &asked), None, "byte {at}");
        }
        for (code, answer) in
            [(3, Answer::NoName), (2, Answer::Failure(2)), (5, Answer::Failure(5))]
        {
            let mut other = good.clone();
            other[3] |= code;
            assert_eq!(read_reply(&other, &asked), Some(answer));
        }
        for end in 0..good.len() {
            let read = read_reply(&good[..end], &asked);
            let is_refused = matches!(read, None | Some(Answer::Failure(1)));
            assert!(is_refused, "cut at {end}: {read:?}");
        }
    }

    #[test]
    fn names_that_never_end_are_refused() {
        let asked = question("db.example").unwrap();
        let at = asked.len() as u8;
        for name in [&[0xc0, at][..], &[0xc0, at + 1], b"\x01a\xc0\xff", b"\x40", b"\x02a.\0"] {
            let records = [name, &ADDRESS[2..]].concat();
            let read = read_reply(&reply(&asked, 1, &records), &asked);
            assert_eq!(read, Some(Answer::Failure(1)), "{name:?}");
        }
    }

    #[test]
    fn aliases_are_followed_to_their_end_and_no_further() {
        let asked = question("db.example").unwrap();
        let alias = b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x03\x01a\0";
        let of_alias = b"\x01A\0\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0\x02";
        // The queried name is an alias, so its own address does not count.
        let bytes = reply(&asked, 3, &[of_alias, ADDRESS, alias].concat());
        let Some(Answer::Addresses { addresses, canonical, .. }) = read_reply(&bytes, &asked)
        else {
            panic!("no answer");
        };
        assert_eq!(
            (addresses, canonical),
            (vec![Ipv4Addr::new(10, 0, 0, 2).into()], "a".to_owned())
        );
    }
}
