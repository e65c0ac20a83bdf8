//! Static check: whether a file is a static Linux program for one architecture. Such a program has
//! no interpreter, no needed libraries, and all its segments in the file. It takes bytes and runs
//! nothing. System V gABI, chapters 4 and 5; ELF-64 little endian only, as all supported targets
//! are.

use object::elf;
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use std::fmt;
use std::str::FromStr;

/// The architecture of a program and of an image, by Go's names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Architecture {
    /// x86-64.
    Amd64,
    /// AArch64.
    Arm64,
}

/// A program that was checked to be static. Only [`StaticElf::parse`] creates the value, so no
/// other code checks again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StaticElf {
    architecture: Architecture,
    position_independent: bool,
    size_bytes: u64,
}

/// Why a file is not a static program for the architecture, and what to do.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// The file is not ELF.
    #[error(
        "it is {0}, not a Linux program (ELF); build for a target such as `{target}`",
        target = Architecture::Amd64.rust_target()
    )]
    NotElf(&'static str),
    /// An ELF file that is not a program.
    #[error("it is {0}, not a program that can be executed")]
    NotProgram(&'static str),
    /// A 32-bit or big-endian program.
    #[error("it is a {0} program; only 64-bit little-endian programs are supported")]
    Class(&'static str),
    /// It is built for another machine.
    #[error(
        "it is built for {found}, the image is for {wanted}; build with `--target {target}`{hint}",
        target = wanted.rust_target()
    )]
    Machine {
        /// The machine in the file.
        found: String,
        /// The image's architecture.
        wanted: Architecture,
        /// A flag that suits the file.
        hint: String,
    },
    /// It asks for a dynamic linker.
    #[error(
        "it is dynamically linked: it asks for the interpreter `{interpreter}`{libraries}, and an \
         image from scratch has neither; build with `--target {target}`, or for a glibc target \
         with `RUSTFLAGS=-Ctarget-feature=+crt-static`"
    )]
    Interpreter {
        /// Path of the dynamic linker.
        interpreter: String,
        /// Needed libraries, as part of a sentence.
        libraries: String,
        /// A Rust target that links statically.
        target: &'static str,
    },
    /// It needs libraries without naming an interpreter.
    #[error(
        "it needs the shared libraries {libraries}, and an image from scratch has none; link them \
         statically (`--target {target}`)"
    )]
    Libraries {
        /// Their names.
        libraries: String,
        /// A Rust target that links statically.
        target: &'static str,
    },
    /// Headers or segments that are outside the file.
    #[error("it is damaged: {0}; build or copy it again")]
    Damaged(&'static str),
}

impl StaticElf {
    /// Checks that `bytes` are a static program for `wanted`.
    ///
    /// # Errors
    /// [`ElfError`], which states what to do about it.
    pub fn parse(bytes: &[u8], wanted: Architecture) -> Result<StaticElf, ElfError> {
        let header = header(bytes)?;
        let endian = object::LittleEndian;
        let kind = header.e_type(endian);
        match kind {
            elf::ET_EXEC | elf::ET_DYN => {}
            elf::ET_REL => return Err(ElfError::NotProgram("an object file")),
            elf::ET_CORE => return Err(ElfError::NotProgram("a core dump")),
            _ => return Err(ElfError::NotProgram("an ELF file of an unknown kind")),
        }
        check_machine(header.e_machine(endian), wanted)?;
        let segments = header
            .program_headers(endian, bytes)
            .map_err(|_| ElfError::Damaged("its program headers lie outside of the file"))?;
        let mut interpreter = None;
        let mut needed = Vec::new();
        let mut entry_is_code = false;
        for segment in segments {
            let end = segment.p_offset(endian).checked_add(segment.p_filesz(endian));
            if end.is_none_or(|end| end > bytes.len() as u64) {
                return Err(ElfError::Damaged("a segment ends beyond the end of the file"));
            }
            match segment.p_type(endian) {
                elf::PT_INTERP => {
                    interpreter = Some(text(segment.data(endian, bytes).unwrap_or_default()))
                }
                elf::PT_DYNAMIC => needed = needed_libraries(bytes, segments, segment)?,
                elf::PT_LOAD if segment.p_flags(endian).0 & elf::PF_X.0 != 0 => {
                    let into = header.e_entry(endian).checked_sub(segment.p_vaddr(endian));
                    entry_is_code |= into.is_some_and(|into| into < segment.p_memsz(endian));
                }
                _ => {}
            }
        }
        let target = wanted.rust_target();
        let libraries = needed.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
        if let Some(interpreter) = interpreter {
            let libraries = if libraries.is_empty() {
                libraries
            } else {
                format!(" and the libraries {libraries}")
            };
            return Err(ElfError::Interpreter { interpreter, libraries, target });
        }
        if !needed.is_empty() {
            return Err(ElfError::Libraries { libraries, target });
        }
        if !entry_is_code {
            // A shared library has its entry at zero; a file that was cut or patched has it
            // anywhere.
            let what = if kind == elf::ET_DYN {
                "a shared library"
            } else {
                "an ELF file whose entry point is not code"
            };
            return Err(ElfError::NotProgram(what));
        }
        Ok(StaticElf {
            architecture: wanted,
            position_independent: kind == elf::ET_DYN,
            size_bytes: bytes.len() as u64,
        })
    }

    /// The architecture it runs on.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// Whether it is a static PIE, loaded at a random address (profile `hardened`).
    pub fn position_independent(&self) -> bool {
        self.position_independent
    }

    /// Size of the file, in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }
}

impl Architecture {
    /// The Rust target that links static programs for it.
    pub const fn rust_target(self) -> &'static str {
        match self {
            Architecture::Amd64 => "x86_64-unknown-linux-musl",
            Architecture::Arm64 => "aarch64-unknown-linux-musl",
        }
    }

    fn of_machine(machine: elf::Machine) -> Option<Architecture> {
        match machine {
            elf::EM_X86_64 => Some(Architecture::Amd64),
            elf::EM_AARCH64 => Some(Architecture::Arm64),
            _ => None,
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Architecture::Amd64 => "amd64",
            Architecture::Arm64 => "arm64",
        })
    }
}

impl FromStr for Architecture {
    type Err = String;

    fn from_str(text: &str) -> Result<Architecture, String> {
        match text {
            "amd64" | "x86_64" => Ok(Architecture::Amd64),
            "arm64" | "aarch64" => Ok(Architecture::Arm64),
            other => Err(format!("unknown architecture `{other}`; use `amd64` or `arm64`")),
        }
    }
}

type Header = elf::FileHeader64<object::LittleEndian>;
type Segment = elf::ProgramHeader64<object::LittleEndian>;

/// The file's header, or an error with the file's kind.
fn header(bytes: &[u8]) -> Result<&Header, ElfError> {
    match bytes {
        [] => return Err(ElfError::NotElf("an empty file")),
        [b'#', b'!', ..] => return Err(ElfError::NotElf("a script")),
        [b'M', b'Z', ..] => return Err(ElfError::NotElf("a Windows program")),
        [0xcf, 0xfa, 0xed, 0xfe, ..] | [0xca, 0xfe, 0xba, 0xbe, ..] => {
            return Err(ElfError::NotElf("a macOS program"));
        }
        [0, b'a', b's', b'm', ..] => return Err(ElfError::NotElf("a WebAssembly module")),
        [0x7f, b'E', b'L', b'F', ..] => {}
        _ => return Err(ElfError::NotElf("something else")),
    }
    match bytes.get(4..6) {
        Some([2, 1]) => {}
        Some([1, _]) => return Err(ElfError::Class("32-bit")),
        Some([2, 2]) => return Err(ElfError::Class("big-endian")),
        _ => return Err(ElfError::Damaged("its header is truncated or malformed")),
    }
    Header::parse(bytes).map_err(|_| ElfError::Damaged("its header is truncated or malformed"))
}

fn check_machine(machine: elf::Machine, wanted: Architecture) -> Result<(), ElfError> {
    let found = Architecture::of_machine(machine);
    if found == Some(wanted) {
        return Ok(());
    }
    let hint = found.map_or(String::new(), |a| format!(", or make the image with `--arch {a}`"));
    let found = found
        .map_or_else(|| format!("machine {} of the ELF numbering", machine.0), |a| a.to_string());
    Err(ElfError::Machine { found, wanted, hint })
}

/// The names in DT_NEEDED entries.
fn needed_libraries(
    bytes: &[u8],
    segments: &[Segment],
    dynamic: &Segment,
) -> Result<Vec<String>, ElfError> {
    let endian = object::LittleEndian;
    let damaged = || ElfError::Damaged("its dynamic section lies outside of the file");
    let entries = dynamic.dynamic(endian, bytes).map_err(|_| damaged())?.unwrap_or_default();
    let entries: Vec<_> = entries
        .iter()
        .map(|e| (e.d_tag(endian), e.d_val(endian)))
        .take_while(|(tag, _)| *tag != elf::DT_NULL)
        .collect();
    let strings_at =
        entries.iter().find(|(tag, _)| *tag == elf::DT_STRTAB).map(|(_, value)| *value);
    let mut names = Vec::new();
    for (_, offset) in entries.iter().filter(|(tag, _)| *tag == elf::DT_NEEDED) {
        let address = strings_at.and_then(|at| at.checked_add(*offset)).ok_or_else(damaged)?;
        let name =
            segments.iter().filter(|s| s.p_type(endian) == elf::PT_LOAD).find_map(|segment| {
                let into = usize::try_from(address.checked_sub(segment.p_vaddr(endian))?).ok()?;
                segment.data(endian, bytes).ok()?.get(into..)
            });
        names.push(text(name.ok_or_else(damaged)?));
    }
    Ok(names)
}

/// A zero-terminated string of the file, shortened and without control characters.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().take(200).position(|b| *b == 0).unwrap_or(bytes.len().min(200));
    String::from_utf8_lossy(&bytes[..end]).escape_debug().collect()
}
