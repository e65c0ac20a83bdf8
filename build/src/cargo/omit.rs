//! Takes functions out of an object file before it is linked: what a stripped program carries and
//! cannot use. It knows ELF and no linker. System V ABI: "Sections", "Symbol Table", "Relocation";
//! Linux Standard Base: "Exception Frames".
//!
//! std links a reader of DWARF into every program, for the names in a backtrace. A fifth of a small
//! function is that reader, and a program without symbols has nothing for it to read: each frame is
//! `<unknown>` with it as without it. Otherwise only a recompiled standard library leaves it out
//! (`-Zbuild-std`), which a stable toolchain does not do.

use object::elf::{self, FileHeader64, Rela64, SectionHeader64, Sym64};
use object::read::elf::{FileHeader as _, Rela as _, SectionHeader as _, Sym as _};
use object::read::{Result, SectionIndex};
use object::{LittleEndian, SymbolIndex};
use std::mem::offset_of;
use std::ops::Range;

/// How the names of the functions begin ([`crate::order::name`]): each returns nothing, and its
/// callers take "nothing found" for an answer. This is the neck through which std reaches the
/// reader.
const SYMBOLISER: &[&str] = &["<std::backtrace_rs::symbolize::gimli::Cache>::with_global"];
/// A word that every one of their symbols contains, however it is mangled.
const WORD: &str = "with_global";

type Elf = FileHeader64<LittleEndian>;
type Section = SectionHeader64<LittleEndian>;
const ENDIAN: LittleEndian = LittleEndian;

/// Makes std's symboliser return at once and forget whatever it called, so that the linker's
/// `--gc-sections` drops all that only it used. Gives how many functions that were.
///
/// A function is taken only where it is alone in its section, as rustc's are. Anything else, and
/// what is no relocatable ELF file, stays as it is.
pub fn omit_symboliser(bytes: &mut [u8]) -> usize {
    let emptied = functions(bytes).unwrap_or_default();
    for edit in emptied.iter().flatten() {
        if let Some(place) = bytes.get_mut(edit.place.clone()) {
            place.copy_from_slice(&edit.value[..edit.place.len()]);
        }
    }
    emptied.len()
}

/// Bytes to be written, and where: at most eight.
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

/// The edits of each function.
fn functions(bytes: &[u8]) -> Result<Vec<Vec<Edit>>> {
    let header = Elf::parse(bytes)?;
    let Some(code) = Code::of(header) else { return Ok(Vec::new()) };
    let sections = header.sections(ENDIAN, bytes)?;
    let symbols = sections.symbols(ENDIAN, bytes, elf::SHT_SYMTAB)?;
    let table = sections.section(symbols.section())?.sh_offset(ENDIAN) as usize;
    let section_at =
        |index: SectionIndex| header.e_shoff(ENDIAN) as usize + index.0 * size_of::<Section>();
    let mut functions = Vec::new();
    for (index, symbol) in symbols.enumerate() {
        let Ok(name) = str::from_utf8(symbol.name(ENDIAN, symbols.strings())?) else { continue };
        if !name.contains(WORD)
            || !SYMBOLISER.iter().any(|start| crate::order::name(name).starts_with(start))
        {
            continue;
        }
        let Some(home) = symbols.symbol_section(ENDIAN, symbol, index)? else { continue };
        let section = sections.section(home)?;
        let (size, room) = (section.sh_size(ENDIAN), section.data(ENDIAN, bytes)?.len());
        if symbol.st_value(ENDIAN) != 0 || symbol.st_size(ENDIAN) != size || room <= code.stop.len()
        {
            continue;
        }
        let short = (code.stop.len() as u64).to_le_bytes();
        let mut edits = vec![
            Edit::new(section.sh_offset(ENDIAN) as usize, code.stop),
            Edit::new(section_at(home) + offset_of!(Section, sh_size), &short),
            Edit::new(
                table
                    + index.0 * size_of::<Sym64<LittleEndian>>()
                    + offset_of!(Sym64<LittleEndian>, st_size),
                &short,
            ),
        ];
        let mut frames = 0;
        for (index, list) in sections.enumerate() {
            let Some((relocations, _)) = list.rela(ENDIAN, bytes)? else { continue };
            let of = list.info_link(ENDIAN);
            if of == home {
                // What it called, it calls no longer.
                edits.push(Edit::new(
                    section_at(index) + offset_of!(Section, sh_size),
                    &0u64.to_le_bytes(),
                ));
            } else if sections.section_name(ENDIAN, sections.section(of)?)? == b".eh_frame" {
                // Where its frame is told, its size stands behind its place, and is as wide.
                let points_here = |relocation: &&Rela64<LittleEndian>| {
                    let target = SymbolIndex(relocation.r_sym(ENDIAN, false) as usize);
                    let home_of =
                        |symbol| symbols.symbol_section(ENDIAN, symbol, target).ok().flatten();
                    relocation.r_addend(ENDIAN) == 0
                        && relocation.r_type(ENDIAN, false) == code.begins
                        && symbols.symbol(target).ok().and_then(home_of) == Some(home)
                };
                for relocation in relocations.iter().filter(points_here) {
                    let frame =
                        sections.section(of)?.sh_offset(ENDIAN) + relocation.r_offset(ENDIAN) + 4;
                    edits.push(Edit::new(frame as usize, &short[..4]));
                    frames += 1;
                }
            }
        }
        // A frame that is told in a way that is not known here would go on claiming what comes
        // behind the function.
        if frames == 1 {
            functions.push(edits);
        }
    }
    Ok(functions)
}

/// What differs between machines.
struct Code {
    /// A function that returns at once.
    stop: &'static [u8],
    /// The relocation by which a frame says where its function begins: 32 bits, relative.
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

    /// A crate that is called std and has the neck in it, as rustc compiles it.
    fn compiled(target: &str) -> Option<Vec<u8>> {
        const SOURCE: &str = "#![no_std]
            pub mod backtrace_rs { pub mod symbolize { pub mod gimli {
                pub struct Cache;
                unsafe extern \"C\" { fn reader(what: usize) -> usize; }
                impl Cache {
                    #[inline(never)]
                    fn with_global(what: usize) { unsafe { reader(reader(what) + 1); reader(what); \
                              } }
                }
                #[unsafe(no_mangle)]
                pub extern \"C\" fn resolve(what: usize) { Cache::with_global(what) }
            } } }";
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (source, object) = (folder.path().join("std.rs"), folder.path().join("std.o"));
        fs::write(&source, SOURCE).expect("a temporary folder is ours");
        let status = Command::new("rustc")
            .args([
                "--edition=2024",
                "--crate-name=std",
                "--crate-type=rlib",
                "--emit=obj",
                "-Copt-level=3",
                "--cap-lints=allow",
            ])
            .args([
                "-Csymbol-mangling-version=v0",
                "-Cforce-unwind-tables=yes",
                "--target",
                target,
                "-o",
            ])
            .arg(&object)
            .arg(&source)
            .status()
            .expect("rustc is what compiled this test");
        status.success().then(|| fs::read(&object).expect("rustc has written it"))
    }

    #[test]
    fn the_symboliser_returns_at_once_and_calls_nobody() {
        for target in ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"] {
            let Some(before) = compiled(target) else {
                eprintln!(
                    "skipped: no standard library for {target}; build/setup --arm64 installs it"
                );
                continue;
            };
            let mut after = before.clone();
            assert_eq!(omit_symboliser(&mut after), 1, "{target}");
            let file = object::File::parse(&*after).expect("it is still an object file");
            let neck = file
                .symbols()
                .find(|it| it.name().is_ok_and(|name| name.contains(WORD)))
                .expect("it is still there");
            let section = file
                .section_by_index(neck.section_index().expect("a section of its own"))
                .expect("it is in the file");
            let code = section.data().expect("it lies in the file");
            assert!([&[0xc3][..], &[0xc0, 0x03, 0x5f, 0xd6]].contains(&code), "{code:x?}");
            assert_eq!((neck.size(), section.relocations().count()), (code.len() as u64, 0));
            let resolve = file.section_by_name(".text.resolve").expect("its caller is as it was");
            assert_eq!(
                resolve.data(),
                object::File::parse(&*before)
                    .unwrap()
                    .section_by_name(".text.resolve")
                    .unwrap()
                    .data()
            );
            // Its frame is the one whose size is the function's; there is none of the old size any
            // more.
            let sizes = |bytes: &[u8], size: u32| {
                let file = object::File::parse(bytes).unwrap();
                let frames = file.section_by_name(".eh_frame").expect("unwinding was asked for");
                let places: Vec<u64> = frames.relocations().map(|(place, _)| place + 4).collect();
                let data = frames.data().unwrap();
                places
                    .iter()
                    .filter(|at| {
                        data.get(**at as usize..**at as usize + 4) == Some(&size.to_le_bytes())
                    })
                    .count()
            };
            // On some machines the caller is as short as that.
            let short = code.len() as u32;
            assert_eq!(sizes(&after, short), sizes(&before, short) + 1, "{target}");
            assert_eq!(omit_symboliser(&mut after), 0, "there is nothing left to take out");
        }
    }

    #[test]
    fn damaged_files_stay_as_they_are_or_are_edited_in_bounds() {
        let Some(whole) = compiled("x86_64-unknown-linux-musl") else { return };
        for bytes in [&b""[..], b"\x7fELF", b"!<arch>\n"] {
            let mut bytes = bytes.to_vec();
            assert_eq!(omit_symboliser(&mut bytes), 0);
        }
        for length in 0..whole.len() {
            omit_symboliser(&mut whole[..length].to_vec());
        }
        let mut random = 1u32;
        for at in 0..whole.len() {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let mut bytes = whole.clone();
            bytes[at] ^= (random >> 24) as u8 | 1;
            omit_symboliser(&mut bytes);
        }
    }
}
