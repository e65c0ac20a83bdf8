//! A thousand damaged inputs, the same in each run: a reader may accept or refuse them, but it does
//! not panic, does not write outside its folder, and does not exceed its limits. The targets
//! `layer`, `image` and `archive` of fuzz/ search the same readers; these tests need no nightly
//! toolchain.

mod common;

use common::{HELLO, Tar, image, walk};
use microimage::contents;
use microimage::digest::Digest;
use microimage::elf::{Architecture, StaticElf};
use microimage::entry::{Budget, EntryError, LayerLimits, read_entries};
use microimage::ignore::Ignore;
use microimage::image::{Blob, Image, media_type};
use microimage::recipe::Recipe;
use microimage::unpack::unpack_layer;
use microimage::{archive, image as images, source};
use std::fs;
use std::io::Read;

/// Random numbers that are easy to check: Marsaglia's xorshift, 64 bits.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// A damaged copy of `bytes`: flipped bits, or a piece that is removed, doubled, or replaced by
/// bytes that are difficult for parsers.
fn damage(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..1 + random.below(4) {
        let at = random.below(bytes.len());
        let end = (at + 1 + random.below(64)).min(bytes.len());
        match random.below(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            3 => bytes.truncate(at),
            4 => {
                let stumbles: [&[u8]; 8] = [
                    b"../",
                    b"\0",
                    b"/",
                    b"77777777777",
                    b"\xff\xff\xff\xff",
                    b"-1",
                    b"\"",
                    b"99999999999999999999",
                ];
                let piece = stumbles[random.below(stumbles.len())];
                let end = (at + piece.len()).min(bytes.len());
                bytes.splice(at..end, piece.iter().copied());
            }
            // Exchanges blocks of a tar.
            _ if bytes.len() >= 1024 => {
                let (a, b) = (random.below(bytes.len() / 512), random.below(bytes.len() / 512));
                for n in 0..512 {
                    bytes.swap(a * 512 + n, b * 512 + n);
                }
            }
            _ => {}
        }
    }
    bytes
}

/// Corrects the checksums of headers, so that the damage reaches the code after the checksum.
fn with_checksums(mut tar: Vec<u8>) -> Vec<u8> {
    for block in tar.as_chunks_mut::<512>().0 {
        if &block[257..262] == b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    tar
}

fn sample_tar() -> Vec<u8> {
    Tar::default()
        .folder("d/", 0o755)
        .file("d/file", b"some content")
        .symlink("d/link", "../d/file")
        .hardlink("hard", "d/file")
        .raw("p", b'x', "", 0o644, b"20 path=d/longer/fi\n34 SCHILY.xattr.user.x=some value\n")
        .file("d/other", b"more")
        .raw("@LongLink", b'L', "", 0o644, b"d/a-gnu-name\0")
        .file("short", &[7; 700])
        .file("d/.wh.file", b"")
        .file(".wh..wh..opq", b"")
        .bytes()
}

#[test]
fn damaged_layers_reach_nothing_outside() {
    let home = tempfile::tempdir().expect("a folder");
    fs::write(home.path().join("canary"), b"alive").expect("a file");
    let limits =
        LayerLimits { max_entries: 100, max_uncompressed_bytes: 1 << 20, ..LayerLimits::default() };
    let (mut random, tar) = (Random(0x9e37_79b9_7f4a_7c15), sample_tar());
    let (mut good, mut bad) = (0, 0);
    for round in 0..500 {
        let mut bytes = damage(&tar, &mut random);
        if round % 2 == 0 {
            bytes = with_checksums(bytes);
        }
        let dest = home.path().join("rootfs");
        fs::create_dir(&dest).expect("a folder");
        let unpacked = unpack_layer(bytes.as_slice(), media_type::OCI_LAYER, &dest, &limits);
        let listed = contents::read(&image(std::slice::from_ref(&bytes)), &limits);
        match (&unpacked, &listed) {
            (Ok(_), Ok(listed)) => {
                good += 1;
                let files: Vec<_> =
                    listed.files.keys().map(|path| path.display().to_string()).collect();
                assert_eq!(files, walk(&dest), "round {round}: the list is what is on disk");
            }
            (Err(_), Err(_)) => bad += 1,
            _ => panic!(
                "round {round}: unpacking says {unpacked:?}, listing {:?}",
                listed.map(|c| c.files)
            ),
        }
        let _: Result<_, EntryError> =
            read_entries(bytes.as_slice(), &Budget::new(&limits), |_, content| {
                Ok(content.read_to_end(&mut Vec::new()).map(drop)?)
            });
        let names: Vec<_> = fs::read_dir(home.path())
            .expect("a folder")
            .map(|e| e.expect("an entry").file_name())
            .collect();
        assert_eq!(names.len(), 2, "round {round}: {names:?}");
        assert_eq!(
            fs::read(home.path().join("canary")).expect("still there"),
            b"alive",
            "round {round}"
        );
        fs::remove_dir_all(&dest).expect("ours");
    }
    assert!(good > 50 && bad > 50, "{good} unpacked, {bad} refused: the damage must reach both");
}

#[test]
fn damaged_manifests_configurations_and_compressed_layers_are_refused_or_read() {
    let sample = image(&[sample_tar()]);
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut layer = Vec::new();
    sample.layers()[0].open().and_then(|mut r| r.read_to_end(&mut layer)).expect("in memory");
    let mut read = 0;
    for _ in 0..150 {
        let config = damage(sample.config_bytes(), &mut random);
        // The digest is corrected, so that the damage reaches the code after its check.
        let text = String::from_utf8_lossy(sample.manifest_bytes()).replace(
            &sample.config_descriptor().digest.to_string(),
            &Digest::of(&config).to_string(),
        );
        for manifest in [text.into_bytes(), damage(sample.manifest_bytes(), &mut random)] {
            let _ = images::parse_manifest(&manifest);
            if let Ok(image) =
                Image::from_parts(manifest, config.clone(), |_| Blob::from_bytes(layer.clone()))
            {
                let _ = (
                    image.argv(),
                    image.env(),
                    image.exposed_ports(),
                    image.labels(),
                    image.working_dir(),
                );
                read += 1;
            }
        }
        let dest = tempfile::tempdir().expect("a folder");
        for kind in [media_type::OCI_LAYER_GZIP, media_type::OCI_LAYER_ZSTD] {
            let _ = unpack_layer(
                damage(&layer, &mut random).as_slice(),
                kind,
                dest.path(),
                &LayerLimits {
                    max_entries: 100,
                    max_uncompressed_bytes: 1 << 20,
                    ..LayerLimits::default()
                },
            );
        }
    }
    assert!(read > 5, "{read} were read: the damage must not stop everything at the first check");
}

#[test]
fn damaged_archives_are_refused_or_read() {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("docker.tar");
    archive::write(&image(&[sample_tar()]).with_reference("x:1"), &path).expect("an archive");
    let (whole, mut random) = (fs::read(&path).expect("an archive"), Random(0x1234_5678_9abc_def1));
    for round in 0..400 {
        let mut bytes = damage(&whole, &mut random);
        if round % 2 == 0 {
            bytes = with_checksums(bytes);
        }
        fs::write(&path, bytes).expect("a file");
        if let Ok(image) = source::load(&path.display().to_string()) {
            let _ = image
                .layers()
                .iter()
                .try_for_each(|layer| layer.open()?.read_to_end(&mut Vec::new()).map(drop));
        }
    }
}

#[test]
fn damaged_recipes_patterns_and_programs_get_a_verdict() {
    let recipe = b"# escape=\\\nFROM scratch\nENV A=\"x y\" B=${A:-z}\nCOPY [\"a\", \"/b\"]\n\
        WORKDIR /x\nEXPOSE 80-90/tcp\nLABEL a='b'\nUSER 1:2\nENTRYPOINT [\"/app\"]\nCMD [\"x\"]\n";
    let patterns = b"*\n!a/**/b\n[a-z]?.x\n\\*\n# words\n";
    let mut random = Random(0xdead_beef_cafe_f00d);
    for round in 0..1000 {
        let _ = Recipe::parse(&String::from_utf8_lossy(&damage(recipe, &mut random)));
        // Regular expressions take long to compile.
        if round % 20 == 0
            && let Ok(ignore) =
                Ignore::parse(&String::from_utf8_lossy(&damage(patterns, &mut random)))
        {
            let _ = ignore.excludes("a/b/c.x");
        }
        let _ = StaticElf::parse(&damage(HELLO, &mut random), Architecture::Amd64);
    }
}
