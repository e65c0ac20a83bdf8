//! Target: a connection's bytes with several requests. hyper reads everything that we accept as the
//! same messages with the same bodies. Model and oracle are those of tests/differential.rs; the
//! fuzzer looks for bytes that no generator makes.
#![no_main]

#[path = "../../tests/src/framing.rs"]
mod framing;
#[path = "../../tests/src/oracle.rs"]
mod oracle;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (ours, _) = framing::read(bytes);
    if ours.is_empty() {
        return;
    }
    let theirs = oracle::read(bytes);
    for (index, message) in ours.iter().enumerate() {
        if theirs.get(index) != Some(message) {
            let known = oracle::WE_ACCEPT.iter().any(|(is_known, _)| is_known(message));
            assert!(known, "request {index}:\nours   {message:?}\ntheirs {:?}", theirs.get(index));
            return;
        }
    }
});
