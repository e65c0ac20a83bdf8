//! Static check on real and damaged files: which are static programs and which are not.

mod common;

use common::HELLO;
use microimage::elf::{Architecture, ElfError, StaticElf};
use std::fs;

fn refused(bytes: &[u8]) -> String {
    StaticElf::parse(bytes, Architecture::Amd64).expect_err("not a static program").to_string()
}

/// `HELLO` with some bytes replaced.
fn patched(at: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = HELLO.to_vec();
    bytes[at..at + with.len()].copy_from_slice(with);
    bytes
}

#[test]
fn accepts_a_static_program() {
    let proof = StaticElf::parse(HELLO, Architecture::Amd64).expect("a static program");
    assert_eq!(
        (proof.architecture(), proof.size_bytes(), proof.position_independent()),
        (Architecture::Amd64, HELLO.len() as u64, false)
    );
}

#[test]
fn refuses_this_very_test_which_is_dynamic_and_names_the_fix() {
    let bytes =
        fs::read(std::env::current_exe().expect("a test is a program")).expect("it can be read");
    let error = refused(&bytes);
    for part in [
        "it is dynamically linked",
        "`libc.so.6`",
        "--target x86_64-unknown-linux-musl",
        "crt-static",
    ] {
        assert!(error.contains(part), "`{part}` in: {error}");
    }
}

#[test]
fn refuses_a_shared_library() {
    let maps = fs::read_to_string("/proc/self/maps").expect("Linux");
    let library = maps
        .lines()
        .filter_map(|l| l.split_whitespace().last())
        .find(|p| p.contains("libgcc_s"))
        .expect("std links it");
    let error = refused(&fs::read(library).expect("it can be read"));
    assert!(error.contains("needs the shared libraries `libc.so.6`"), "{error}");
}

#[test]
fn names_what_a_file_is_instead() {
    for (bytes, says) in [
        (&b""[..], "an empty file"),
        (b"#!/bin/sh\n", "a script"),
        (b"MZ\x90\0", "a Windows program"),
        (b"\xcf\xfa\xed\xfe\x07\0\0\x01", "a macOS program"),
        (b"\0asm\x01\0\0\0", "a WebAssembly module"),
        (b"hello", "something else"),
        (b"\x7fELF", "truncated or malformed"),
        (&HELLO[..63], "truncated or malformed"),
        (&patched(4, &[1]), "32-bit"),
        (&patched(5, &[2]), "big-endian"),
        (&patched(16, &[1, 0]), "an object file"),
        (&patched(16, &[4, 0]), "a core dump"),
        (&patched(16, &[9, 9]), "an unknown kind"),
        (
            &patched(18, &[183, 0]),
            "built for arm64, the image is for amd64; build with `--target \
             x86_64-unknown-linux-musl`, or make the image with `--arch arm64`",
        ),
        (&patched(18, &[243, 0]), "machine 243"),
        (&patched(24, &[0; 8]), "entry point is not code"),
        (&patched(32, &[0xff; 8]), "program headers lie outside"),
    ] {
        let error = refused(bytes);
        assert!(error.contains(says), "`{says}` in: {error}");
    }
}

#[test]
fn refuses_every_prefix_and_survives_every_flipped_byte() {
    for end in 0..HELLO.len() {
        // Section headers at the end are not loaded, so a cut there is not detected; a cut within a
        // segment is.
        if let Ok(proof) = StaticElf::parse(&HELLO[..end], Architecture::Amd64) {
            assert!(proof.size_bytes() >= 0xd4, "cut at {end}");
        }
    }
    let dynamic = fs::read("/bin/true").expect("a dynamic program");
    for original in [HELLO, &dynamic[..dynamic.len().min(4096)]] {
        for at in 0..original.len().min(1024) {
            for bit in [1, 0x80] {
                let mut bytes = original.to_vec();
                bytes[at] ^= bit;
                // any verdict, no panic
                let _: Result<StaticElf, ElfError> = StaticElf::parse(&bytes, Architecture::Amd64);
            }
        }
    }
}
