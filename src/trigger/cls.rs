//! CLS trigger: log lines as JSON, compressed with gzip, encoded in Base64; asynchronous. The page
//! says "ZIP"; the platform's own demos use gzip. Samples: cls.json, cls.decoded.json. Source:
//! platform page "Trigger event message structures", 2024-11-07.
//!
//! The function unpacks the gzip with a crate of its choice and its own limit: this is compressed
//! data from outside, of which a few KiB can become gigabytes. Few functions need it, so the server
//! does not contain an inflater.

use super::base64;
use super::record::record;
use crate::body::Body;
use crate::error::Result;
use crate::json;

record! {
    /// A batch of log lines, packed.
    pub struct Cls<'a> {
        /// The packed lines.
        required "clslogs" => logs: Packed<'a>,
    }
}

record! {
    /// Packed lines: [`Lines`] in gzip in Base64.
    pub struct Packed<'a> {
        /// The Base64 text.
        required "data" => data: &'a str,
    }
}

record! {
    /// Log lines of one topic.
    pub struct Lines<'a> {
        /// The topic's id.
        required "topic_id" => topic_id: &'a str,
        /// The topic's name.
        required "topic_name" => topic_name: &'a str,
        /// The lines.
        required "records" => records: Vec<Line<'a>>,
    }
}

record! {
    /// One log line.
    pub struct Line<'a> {
        /// Microseconds since 1970-01-01 UTC, as text: see [`Line::unix_us`].
        required "timestamp" => timestamp: &'a str,
        /// The line.
        required "content" => content: &'a str,
    }
}

impl Cls<'_> {
    /// Returns the gzip bytes. Unpack them with a crate of your choice and a limit on the result,
    /// then call [`Lines::read`].
    ///
    /// # Errors
    /// 400 if the data is not Base64.
    pub fn gzip(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        base64::decode(self.logs.data, &mut bytes)?;
        Ok(bytes)
    }
}

impl<'a> Lines<'a> {
    /// Parses unpacked lines in place.
    ///
    /// # Errors
    /// 400 if the text is not JSON of this form.
    pub fn read(unpacked: &'a mut Vec<u8>) -> Result<Lines<'a>> {
        json::parse(Body::from_vec(unpacked))
    }
}

impl Line<'_> {
    /// When the line was written, in microseconds since 1970-01-01 UTC; `None` if the text is not a
    /// number.
    pub fn unix_us(&self) -> Option<u64> {
        self.timestamp.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{read, round_trip};
    use super::*;

    #[test]
    fn reads_and_writes_the_samples() {
        let cls: Cls<'_> = round_trip(include_str!("../../tests/data/events/cls.json"), &[]);
        assert_eq!(
            cls.gzip().unwrap().get(..3),
            Some(&[0x1f, 0x8b, 8][..]),
            "gzip's magic and deflate (RFC 1952)"
        );
        let decoded = include_str!("../../tests/data/events/cls.decoded.json");
        let lines: Lines<'_> = round_trip(decoded, &[]);
        assert_eq!((lines.topic_name, lines.records.len()), ("testname", 2));
        assert_eq!(lines.records[1].unix_us(), Some(1_605_578_090_000_003));
        assert_eq!(Lines::read(&mut decoded.as_bytes().to_vec()).unwrap(), lines);
    }

    #[test]
    fn data_that_is_cut_off_is_an_error() {
        let cls: Cls<'_> = read(r#"{"clslogs":{"data":"ewogICJ0b3BpY19pZCI6ICIuLi4"}}"#);
        assert!(cls.gzip().unwrap_err().is_peers_fault());
    }
}
