//! Edit of an object file before linking: makes std's DWARF reader unreachable, which a stripped
//! program contains and cannot use. It reads and edits ELF, and calls no linker. System V ABI:
//! "Sections", "Symbol Table", "Relocation"; Linux Standard Base: "Exception Frames".
//!
//! std links that reader into every program, for the names in a backtrace. It is a fifth of a small
//! function, and in a program without symbols it finds nothing: each frame is `<unknown>` with it
//! and without it. Otherwise only a recompiled standard library leaves it out (`-Zbuild-std`),
//! which a stable toolchain cannot do.

use object::elf::{self, FileHeader64, Rela64, SectionHeader64, Sym64};
use object::read::elf::{
    FileHeader as _, Rela as _, SectionHeader as _, SectionTable, Sym as _, SymbolTable,
};
use object::read::{Result, SectionIndex};
use object::{LittleEndian, SymbolIndex};
use std::mem::offset_of;
use std::ops::Range;

/// The function through which std calls the reader, by its [`crate::order::name`].
const ENTRY: &str = "<std::backtrace_rs::symbolize::gimli::Cache>::with_global";
/// A word that is part of its symbol in every mangling.
const WORD: &str = "with_global";
/// Its declaration in std's source: it returns nothing, so if it returns at once, its callers
/// behave as if nothing had been found.
const SIGNATURE: &str = "fn with_global(f: impl FnOnce(&mut Self))";
/// Builds of std whose source was read for [`SIGNATURE`], by std's crate id in mangled names. The
/// id is a hash of the compiler's release and of the build, so another std has another id.
const READ: &[&str] = &[
    "Csaz6eC2DG7lh_3std", // Rust 1.95.0, x86_64-unknown-linux-musl
    "Cs3vIF18vCiwS_3std", // Rust 1.95.0, aarch64-unknown-linux-musl
];
/// Where a sysroot has that file of std's source, if the component rust-src is installed.
pub(super) const SOURCE: &str = "lib/rustlib/src/rust/library/backtrace/src/symbolize/gimli.rs";

/// Reads std's file that defines the function, if it exists; called only when needed.
pub(super) type SourceOfStd<'a> = &'a dyn Fn() -> Option<String>;

type Elf = FileHeader64<LittleEndian>;
type Section = SectionHeader64<LittleEndian>;
type Symbol = Sym64<LittleEndian>;
const ENDIAN: LittleEndian = LittleEndian;

/// Result for std's symboliser in an object file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Symboliser {
    /// The file does not define the function, or the function already returns at once.
    Absent,
    /// The function now returns at once.
    Omitted,
    /// It is unchanged, for this reason.
    Kept(&'static str),
}

/// Makes std's symboliser return at once and removes its references, so that the linker's
/// `--gc-sections` drops all that only it used.
///
/// It acts on a function only if two conditions hold. The function is known to return nothing,
/// because its std is one of [`READ`] or because `source` (std's file that defines it) declares it
/// so. And it has the form that rustc gives it: alone in its section, described by one frame, using
/// its own cache. Everything else, and any file that is not a relocatable ELF file, stays
/// unchanged.
pub(super) fn omit_symboliser(bytes: &mut [u8], source: SourceOfStd<'_>) -> Symboliser {
    let entries = entries(bytes, source).unwrap_or_default();
    let entries: std::result::Result<Vec<_>, _> = entries.into_iter().collect();
    match entries {
        Err(why) => Symboliser::Kept(why),
        Ok(edits) if edits.is_empty() => Symboliser::Absent,
        Ok(edits) => {
            for edit in edits.iter().flatten() {
                if let Some(place) = bytes.get_mut(edit.place.clone()) {
                    place.copy_from_slice(&edit.value[..edit.place.len()]);
                }
            }
            Symboliser::Omitted
        }
    }
}

/// Whether std's source defines the function once, and declares it to return nothing.
fn returns_nothing(source: &str) -> bool {
    let mut definitions = source.match_indices("fn with_global");
    match (definitions.next(), definitions.next()) {
        (Some((at, _)), None) => {
            source[at..].split_once('{').is_some_and(|(head, _)| head.trim_end() == SIGNATURE)
        }
        _ => false,
    }
}

/// Bytes to write and their place: at most eight.
struct Edit {
    place: Range<usize>,
    value: [u8; 8],
}

impl Edit {
    fn new(place: usize, bytes: &[u8]) -> Edit {
        let mut value = [0; 8];
        value[..bytes.len()].copy_from_slice(bytes);
        Edit { place: place..place + bytes.len(), value }
    }
}

/// The edits that make one function return at once, or why it stays.
type EntryEdits = std::result::Result<Vec<Edit>, &'static str>;

/// The edits for each definition of [`ENTRY`] in the file.
fn entries(bytes: &[u8], source: SourceOfStd<'_>) -> Result<Vec<EntryEdits>> {
    let header = Elf::parse(bytes)?;
    let Some(code) = Code::of(header) else { return Ok(Vec::new()) };
    let sections = header.sections(ENDIAN, bytes)?;
    let object = Object {
        header,
        bytes,
        symbols: sections.symbols(ENDIAN, bytes, elf::SHT_SYMTAB)?,
        sections,
    };
    let mut found = Vec::new();
    for (index, symbol) in object.symbols.enumerate() {
        let mangled = object.symbol_name(symbol);
        let is_neck = |name: &str| {
            name.strip_prefix(ENTRY).is_some_and(|rest| rest.is_empty() || rest.starts_with("::<"))
        };
        if !mangled.contains(WORD) || !is_neck(&crate::order::name(mangled)) {
            continue;
        }
        let Some(home) = object.symbols.symbol_section(ENDIAN, symbol, index)? else { continue };
        if object.sections.section(home)?.data(ENDIAN, bytes)? == code.stop {
            continue;
        }
        let is_known = READ.iter().any(|id| mangled.contains(id))
            || source().is_some_and(|source| returns_nothing(&source));
        found.push(match is_known {
            true => object.edits(&code, index, symbol, home)?,
            false => Err("whether `with_global` of this toolchain's std returns nothing is not \
                          known; `rustup component add rust-src` lets microimage look it up"),
        });
    }
    Ok(found)
}

/// A parsed relocatable file.
struct Object<'a> {
    header: &'a Elf,
    bytes: &'a [u8],
    sections: SectionTable<'a, Elf>,
    symbols: SymbolTable<'a, Elf>,
}

impl Object<'_> {
    /// The symbol's name; empty if it is not text.
    fn symbol_name(&self, symbol: &Symbol) -> &str {
        let name = symbol.name(ENDIAN, self.symbols.strings()).unwrap_or_default();
        str::from_utf8(name).unwrap_or_default()
    }

    /// The section that a relocation points into.
    fn target(&self, relocation: &Rela64<LittleEndian>) -> Option<SectionIndex> {
        let target = SymbolIndex(relocation.r_sym(ENDIAN, false) as usize);
        let symbol = self.symbols.symbol(target).ok()?;
        self.symbols.symbol_section(ENDIAN, symbol, target).ok()?
    }

    /// Offset of the section's header in the file.
    fn header_of(&self, section: SectionIndex) -> usize {
        self.header.e_shoff(ENDIAN) as usize + section.0 * size_of::<Section>()
    }

    /// The edits that make the function `symbol` in the section `home` return at once.
    fn edits(
        &self,
        code: &Code,
        index: SymbolIndex,
        symbol: &Symbol,
        home: SectionIndex,
    ) -> Result<EntryEdits> {
        const CODE: elf::SectionFlags = elf::SectionFlags(elf::SHF_ALLOC.0 | elf::SHF_EXECINSTR.0);
        let section = self.sections.section(home)?;
        let room = section.data(ENDIAN, self.bytes)?.len();
        let is_function = symbol.st_type() == elf::STT_FUNC
            && section.sh_type(ENDIAN) == elf::SHT_PROGBITS
            && section.sh_flags(ENDIAN) & CODE == CODE;
        if !is_function || room <= code.stop.len() {
            return Ok(Err("`with_global` is not a function of the expected kind"));
        }
        let shares = |(other, it): (SymbolIndex, &Symbol)| {
            other != index
                && it.st_type() != elf::STT_SECTION
                && !self.symbol_name(it).is_empty()
                && self.symbols.symbol_section(ENDIAN, it, other).ok().flatten() == Some(home)
                && it.st_type() != elf::STT_NOTYPE // where data begins in code, on AArch64
        };
        if symbol.st_value(ENDIAN) != 0
            || symbol.st_size(ENDIAN) != section.sh_size(ENDIAN)
            || self.symbols.enumerate().any(shares)
        {
            return Ok(Err("`with_global` is not alone in its section"));
        }
        let caches: Vec<_> = self
            .symbols
            .enumerate()
            .filter(|(_, it)| {
                let name = self.symbol_name(it);
                name.contains(WORD)
                    && crate::order::name(name).strip_prefix(ENTRY) == Some("::MAPPINGS_CACHE")
            })
            .filter_map(|(at, it)| self.symbols.symbol_section(ENDIAN, it, at).ok().flatten())
            .collect();

        let table = self.sections.section(self.symbols.section())?.sh_offset(ENDIAN) as usize;
        let entry = table + index.0 * size_of::<Symbol>();
        let short = (code.stop.len() as u64).to_le_bytes();
        let mut edits = vec![
            Edit::new(section.sh_offset(ENDIAN) as usize, code.stop),
            Edit::new(self.header_of(home) + offset_of!(Section, sh_size), &short),
            Edit::new(entry + offset_of!(Symbol, st_size), &short),
        ];
        let (mut frames, mut uses_cache) = (0, false);
        for (index, list) in self.sections.enumerate() {
            let Some((relocations, _)) = list.rela(ENDIAN, self.bytes)? else { continue };
            let of = list.info_link(ENDIAN);
            if of == home {
                uses_cache |= relocations
                    .iter()
                    .any(|it| self.target(it).is_some_and(|target| caches.contains(&target)));
                // Its calls are removed.
                let none = 0u64.to_le_bytes();
                edits.push(Edit::new(self.header_of(index) + offset_of!(Section, sh_size), &none));
            } else if self.sections.section_name(ENDIAN, self.sections.section(of)?)?
                == b".eh_frame"
            {
                // A frame has the function's size right after its place, with the same width.
                let points_here = |it: &&Rela64<LittleEndian>| {
                    it.r_addend(ENDIAN) == 0
                        && it.r_type(ENDIAN, false) == code.begins
                        && self.target(it) == Some(home)
                };
                for relocation in relocations.iter().filter(points_here) {
                    let frames_at = self.sections.section(of)?.sh_offset(ENDIAN);
                    let frame = frames_at + relocation.r_offset(ENDIAN) + 4;
                    edits.push(Edit::new(frame as usize, &short[..4]));
                    frames += 1;
                }
            }
        }
        // With a frame of an unknown form, the frame would afterwards describe the code after the
        // function.
        Ok(match (frames, uses_cache) {
            (1, true) => Ok(edits),
            (1, false) => Err("`with_global` does not use its cache"),
            _ => Err("the frame of `with_global` has an unknown form"),
        })
    }
}

/// What differs between architectures.
struct Code {
    /// Machine code of a function that returns at once.
    stop: &'static [u8],
    /// Relocation by which a frame refers to its function's start: 32 bits, relative.
    begins: elf::RelocationType,
}

impl Code {
    fn of(header: &Elf) -> Option<Code> {
        match header.e_machine(ENDIAN) {
            elf::EM_X86_64 => Some(Code { stop: &[0xc3], begins: elf::R_X86_64_PC32 }),
            elf::EM_AARCH64 => {
                Some(Code { stop: &[0xc0, 0x03, 0x5f, 0xd6], begins: elf::R_AARCH64_PREL32 })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
    use std::fs;
    use std::process::Command;

    const TARGETS: [&str; 2] = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"];
    /// The function as std has it: it uses its cache and returns nothing.
    const ENTRY_OF_STD: &str = "#[inline(never)]
        fn with_global(what: usize) {
            static mut MAPPINGS_CACHE: [usize; 8] = [1; 8];
            unsafe { reader(&raw mut MAPPINGS_CACHE, what); reader(&raw mut MAPPINGS_CACHE, 1); }
        }
        #[unsafe(no_mangle)]
        pub extern \"C\" fn resolve(what: usize) { Cache::with_global(what) }";

    /// A crate named std that contains `entry`, as rustc compiles it.
    fn compiled(target: &str, entry: &str) -> Option<Vec<u8>> {
        let text = format!(
            "#![no_std]
            pub mod backtrace_rs {{ pub mod symbolize {{ pub mod gimli {{
                pub struct Cache;
                unsafe extern \"C\" {{ fn reader(cache: *mut [usize; 8], what: usize) -> usize; }}
                impl Cache {{ {entry} }}
            }} }} }}"
        );
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (source, object) = (folder.path().join("std.rs"), folder.path().join("std.o"));
        fs::write(&source, text).expect("a temporary folder is ours");
        let status = Command::new("rustc")
            .args(["--edition=2024", "--crate-name=std", "--crate-type=rlib", "--emit=obj"])
            .args(["-Copt-level=3", "--cap-lints=allow", "-Csymbol-mangling-version=v0"])
            .args(["-Cforce-unwind-tables=yes", "--target", target, "-o"])
            .arg(&object)
            .arg(&source)
            .status()
            .expect("rustc is what compiled this test");
        if !status.success() {
            eprintln!("skipped: no standard library for {target}; build/setup --arm64 installs it");
        }
        status.success().then(|| fs::read(&object).expect("rustc has written it"))
    }

    /// The declaration in std's current source.
    fn signed() -> Option<String> {
        Some("unsafe fn with_global(f: impl FnOnce(&mut Self)) { f() }".to_owned())
    }

    #[test]
    fn the_symboliser_returns_at_once_and_calls_nothing() {
        for target in TARGETS {
            let Some(before) = compiled(target, ENTRY_OF_STD) else { continue };
            let mut after = before.clone();
            assert_eq!(omit_symboliser(&mut after, &signed), Symboliser::Omitted, "{target}");
            let file = object::File::parse(&*after).expect("it is still an object file");
            let entry = file
                .symbols()
                .find(|it| it.name().is_ok_and(|name| crate::order::name(name).ends_with(WORD)))
                .expect("it is still there");
            let section = file
                .section_by_index(entry.section_index().expect("a section of its own"))
                .expect("it is in the file");
            let code = section.data().expect("it lies in the file");
            assert!([&[0xc3][..], &[0xc0, 0x03, 0x5f, 0xd6]].contains(&code), "{code:x?}");
            assert_eq!((entry.size(), section.relocations().count()), (code.len() as u64, 0));
            let resolve = file.section_by_name(".text.resolve").expect("its caller is as it was");
            let unchanged = object::File::parse(&*before).unwrap();
            let unchanged = unchanged.section_by_name(".text.resolve").unwrap();
            assert_eq!(resolve.data(), unchanged.data());
            // Its frame has the function's new size; no frame of the old size is left.
            let sizes = |bytes: &[u8], size: u32| {
                let file = object::File::parse(bytes).unwrap();
                let frames = file.section_by_name(".eh_frame").expect("unwinding was asked for");
                let places: Vec<u64> = frames.relocations().map(|(place, _)| place + 4).collect();
                let data = frames.data().unwrap();
                let has_size = |at: &&u64| {
                    let at = **at as usize;
                    data.get(at..at + 4) == Some(&size.to_le_bytes())
                };
                places.iter().filter(has_size).count()
            };
            // On some machines the caller is equally short.
            let short = code.len() as u32;
            assert_eq!(sizes(&after, short), sizes(&before, short) + 1, "{target}");
            assert_eq!(omit_symboliser(&mut after, &signed), Symboliser::Absent, "nothing is left");
        }
    }

    /// A function that returns a value must not be changed: its callers' behaviour would become
    /// undefined.
    #[test]
    fn a_function_of_another_form_is_unchanged() {
        let no_source: fn() -> Option<String> = || None;
        let returns = || signed().map(|it| it.replace(") {", ") -> bool {"));
        let with = |from: &str, to: &str| {
            assert!(ENTRY_OF_STD.contains(from), "{from}");
            ENTRY_OF_STD.replace(from, to)
        };
        let returning = with("(what: usize) {\n", "(what: usize) -> usize {\n")
            .replace("reader(&raw mut MAPPINGS_CACHE, 1);", "reader(&raw mut MAPPINGS_CACHE, 1)")
            .replace(
                "pub extern \"C\" fn resolve(what: usize)",
                "pub extern \"C\" fn resolve(what: usize) -> usize",
            );
        let without_cache = with("MAPPINGS_CACHE", "SOMETHING");
        let in_company = with(
            "#[inline(never)]",
            "#[inline(never)] #[unsafe(link_section = \".text.resolve\")]",
        );
        let cases: [(&str, &str, SourceOfStd<'_>, &str); 5] = [
            ("std is not known", ENTRY_OF_STD, &no_source, "is not known"),
            ("std says that it returns a value", ENTRY_OF_STD, &returns, "is not known"),
            ("it returns a value", &returning, &no_source, "is not known"),
            ("it is another function", &without_cache, &signed, "does not use its cache"),
            ("it shares its section", &in_company, &signed, "not alone"),
        ];
        for (what, entry, source, why) in cases {
            let Some(before) = compiled(TARGETS[0], entry) else { return };
            let mut after = before.clone();
            match omit_symboliser(&mut after, source) {
                Symboliser::Kept(found) => assert!(found.contains(why), "{what}: {found}"),
                other => panic!("{what}: {other:?}"),
            }
            assert!(before == after, "{what}: the file has changed");
        }
    }

    #[test]
    fn functions_with_similar_names_are_unchanged() {
        let other = ENTRY_OF_STD.replace("with_global(", "with_globally(");
        let Some(mut bytes) = compiled(TARGETS[0], &other) else { return };
        assert_eq!(omit_symboliser(&mut bytes, &signed), Symboliser::Absent);
    }

    /// With a new toolchain this fails until its std's source has been read; then add its id to
    /// READ.
    #[test]
    fn the_source_of_this_toolchains_std_was_read_or_is_installed() {
        let run = |arguments: &[&str]| {
            let output = Command::new("rustc").args(arguments).output().expect("rustc runs");
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        let sysroot = std::path::PathBuf::from(run(&["--print", "sysroot"]));
        let source = fs::read_to_string(sysroot.join(SOURCE)).ok();
        if let Some(source) = &source {
            assert!(returns_nothing(source), "`with_global` has another signature: read it again");
        }
        for target in TARGETS {
            let folder = sysroot.join("lib/rustlib").join(target).join("lib");
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
            let is_std = |path: &std::path::PathBuf| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                name.starts_with("libstd-") && name.ends_with(".rlib")
            };
            let Some(std) = entries.map(|entry| entry.path()).find(is_std) else {
                eprintln!("skipped: no standard library for {target}");
                continue;
            };
            let bytes = fs::read(std).expect("an installed library can be read");
            let holds = |id: &&str| bytes.windows(id.len()).any(|window| window == id.as_bytes());
            let is_read = READ.iter().any(holds);
            assert!(is_read || source.is_some(), "{target}: images keep the symboliser");
        }
    }

    #[test]
    fn a_signature_is_compared_completely() {
        let source = |signature: &str| format!("impl Cache {{ {signature} {{ f() }} }}");
        assert!(returns_nothing(&source(SIGNATURE)));
        assert!(returns_nothing(&source(&format!("unsafe {SIGNATURE}"))));
        let twice = source(SIGNATURE).repeat(2);
        let others = [
            &source(&format!("{SIGNATURE} -> bool")),
            &source("fn with_global<R>(f: impl FnOnce(&mut Self) -> R) -> R"),
            &source("fn with_global_state(f: impl FnOnce(&mut Self))"),
            &twice,
            "",
        ];
        for other in others {
            assert!(!returns_nothing(other), "{other}");
        }
    }

    #[test]
    fn damaged_files_are_unchanged_or_edited_in_bounds() {
        let Some(whole) = compiled(TARGETS[0], ENTRY_OF_STD) else { return };
        for bytes in [&b""[..], b"\x7fELF", b"!<arch>\n"] {
            let mut bytes = bytes.to_vec();
            assert_eq!(omit_symboliser(&mut bytes, &signed), Symboliser::Absent);
        }
        for length in 0..whole.len() {
            omit_symboliser(&mut whole[..length].to_vec(), &signed);
        }
        let mut random = 1u32;
        for at in 0..whole.len() {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let mut bytes = whole.clone();
            bytes[at] ^= (random >> 24) as u8 | 1;
            omit_symboliser(&mut bytes, &signed);
        }
    }
}
