//! Target: a name server's reply, and the files that a look-up reads. The result is addresses or
//! none, in bounded time and memory.
#![no_main]

use firstbyte::net::dns::{fuzz_files, fuzz_reply};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    // Unchanged input is hardly ever a reply to the question.
    assert!(fuzz_reply(input, "db.example", 0x1234) <= 64);
    // With the header and the question of a reply, so that the records are read.
    let mut reply = vec![0x12, 0x34, 0x81, 0x80, 0, 1, 0, 9, 0, 0, 0, 0];
    reply.extend_from_slice(b"\x02db\x07example\x00\x00\x01\x00\x01");
    reply.extend_from_slice(input);
    assert!(fuzz_reply(&reply, "db.example", 0x1234) <= 64);
    if let Ok(text) = std::str::from_utf8(input) {
        let name = text.lines().next().unwrap_or_default();
        assert!(fuzz_files(input, name) <= 17 + input.len());
        assert!(fuzz_reply(&reply, name, 0x1234) <= 64);
    }
});
