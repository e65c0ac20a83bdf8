//! Target: a body in gzip format. The content is the same for every first limit, never larger than
//! the limit, and the bytes before it are unchanged.
#![no_main]

use firstbyte::wire::gzip::{Gzip, Inflated, whole};
use libfuzzer_sys::fuzz_target;

const MOST_BYTES: usize = 1 << 20;
const FRONT: &[u8] = b"what is in front";

fuzz_target!(|input: &[u8]| {
    let Some((&first, coded)) = input.split_first() else { return };
    let at_once = whole(coded, MOST_BYTES);
    let (mut gzip, mut out, mut most) = (Gzip::default(), FRONT.to_vec(), usize::from(first));
    let in_steps = loop {
        let step = gzip.inflate(coded, &mut out, FRONT.len(), most);
        assert!(out.starts_with(FRONT) && out.len() <= FRONT.len() + most);
        match step {
            Ok(Inflated::Whole) => break Ok(out.split_off(FRONT.len())),
            Ok(Inflated::More) if most == MOST_BYTES => break Err(413),
            Ok(Inflated::More) => most = (most * 3 + 1).min(MOST_BYTES),
            Err(reject) => break Err(reject.status.code()),
        }
    };
    assert_eq!(at_once.map_err(|reject| reject.status.code()), in_steps);
});
