//! Linker wrapper: rustc calls this program as its linker (`-Clinker-flavor=ld.lld`). It passes the
//! order of functions to rust-lld, and removes code that a stripped program cannot use. rust-lld
//! does the rest. LLD's documentation: `--symbol-ordering-file`, `--strip-all`.

use super::omit::{self, SourceOfStd, Symboliser, omit_symboliser};
use crate::order::Order;
use object::read::archive::ArchiveFile;
use object::{Object as _, ObjectSymbol as _};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

/// First argument that rustc passes to a linker of LLD's flavour; no user types it first.
pub const FIRST_ARGUMENT: &str = "-flavor";
/// Option with the order file; it belongs to this wrapper, not to LLD.
pub const ORDER_ARGUMENT: &str = "--function-order=";
/// rustc's arguments for `strip = "symbols"`.
const STRIP: [&str; 2] = ["--strip-all", "-s"];
/// Name of the linker on the search path that rustc sets.
const LINKER: &str = "rust-lld";

/// Why a program was not linked.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// A file cannot be read or written.
    #[error("`{path}`: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The underlying I/O error.
        source: io::Error,
    },
    /// The linker cannot be run.
    #[error(
        "`rust-lld` cannot be run: {0}; it comes with the Rust toolchain (`rustup component add \
         llvm-tools`)"
    )]
    Start(io::Error),
}

/// Links as rust-lld would with the same arguments, in the order that [`ORDER_ARGUMENT`] names.
///
/// # Errors
/// [`LinkError`].
pub fn link(arguments: impl Iterator<Item = OsString>) -> Result<ExitStatus, LinkError> {
    let (ours, arguments): (Vec<_>, Vec<_>) = arguments
        .partition(|argument| argument.as_encoded_bytes().starts_with(ORDER_ARGUMENT.as_bytes()));
    let mut arguments = arguments;
    let mut kept = None;
    if arguments.iter().any(|argument| STRIP.iter().any(|strip| argument == strip)) {
        let sysroot = sysroot(&arguments).map(Path::to_owned);
        let source = || fs::read_to_string(sysroot.as_ref()?.join(omit::SOURCE)).ok();
        for argument in arguments.iter_mut().filter(|argument| is_object(Path::new(argument))) {
            kept = without_symboliser(argument, &source)?.or(kept);
        }
    }
    if let Some(place) = output(&arguments).and_then(notice_beside) {
        write_notice(&place, kept)?;
    }
    initialise_before_text(&mut arguments);
    let mut command = Command::new(LINKER);
    command.args(&arguments);
    if let (Some(list), Some(output)) =
        (ours.first().and_then(|it| it.to_str()), output(&arguments))
    {
        let list = Path::new(&list[ORDER_ARGUMENT.len()..]);
        let mut order = String::from_utf8_lossy(&read(list)?).into_owned();
        // No library's list contains the program's own functions, and the first request uses most
        // of them.
        if let Some(name) = crate_name(output) {
            order = format!("{order}\n{name}::*\n");
        }
        let order = Order::parse(&order);
        let mut symbols = Vec::new();
        for path in arguments.iter().map(Path::new).filter(|path| is_input(path)) {
            collect(&read(path)?, &mut symbols);
        }
        let mut file = output.as_os_str().to_owned();
        file.push(".order");
        let file = PathBuf::from(file);
        fs::write(&file, order.of_symbols(symbols.iter().map(String::as_str)))
            .map_err(|source| LinkError::File { path: file.clone(), source })?;
        let mut argument = OsString::from("--symbol-ordering-file=");
        argument.push(&file);
        // The order contains names from other profiles, and functions that this program may lack.
        command.arg(argument).arg("--no-warn-symbol-ordering");
    }
    command.status().map_err(LinkError::Start)
}

/// Links a changed copy of an object file in its place, if the file contains the symboliser.
/// rustc's own file stays unchanged, because it may be linked again. Returns why the symboliser was
/// kept, if it was.
fn without_symboliser(
    argument: &mut OsString,
    source: SourceOfStd<'_>,
) -> Result<Option<&'static str>, LinkError> {
    let mut bytes = read(Path::new(argument))?;
    match omit_symboliser(&mut bytes, source) {
        Symboliser::Absent => Ok(None),
        Symboliser::Kept(why) => Ok(Some(why)),
        Symboliser::Omitted => {
            argument.push(".omitted.o");
            let at = |source| LinkError::File { path: argument.clone().into(), source };
            fs::write(&argument, bytes).map_err(at)?;
            Ok(None)
        }
    }
}

/// File for the notice about a program that rustc has linked into this folder: beside it, named
/// after its crate.
fn notice_beside(output: &Path) -> Option<PathBuf> {
    Some(output.with_file_name(format!("{}.notice", crate_name(output)?)))
}

/// Writes the file that [`notice`] reads, or removes an old one: rustc hides its linker's output.
fn write_notice(place: &Path, kept: Option<&str>) -> Result<(), LinkError> {
    let result = match kept {
        Some(why) => fs::write(
            place,
            format!("std's symboliser stays in the program, a fifth of a small one: {why}"),
        ),
        None => match fs::remove_file(place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        },
    };
    result.map_err(|source| LinkError::File { path: place.to_owned(), source })
}

/// The message of [`link`] about the program that cargo has put at `executable`; one line.
pub(super) fn notice(executable: &Path) -> Option<String> {
    let file = format!("{}.notice", executable.file_name()?.to_str()?.replace('-', "_"));
    let folder = executable.parent()?;
    // rustc links a binary in deps/, and an example in its final folder.
    [folder.join("deps"), folder.to_owned()]
        .iter()
        .find_map(|folder| fs::read_to_string(folder.join(&file)).ok())
}

/// The sysroot of the calling rustc; the start-up objects are there.
fn sysroot(arguments: &[OsString]) -> Option<&Path> {
    arguments.iter().find_map(|argument| {
        let (sysroot, _) = argument.to_str()?.split_once("/lib/rustlib/")?;
        sysroot.starts_with('/').then_some(Path::new(sysroot))
    })
}

/// Orders the objects so that musl's `_init`, three bytes that every start calls, does not have a
/// page of its own. It is placed by the first object that has it; if that is crt1.o, it is after
/// all code.
fn initialise_before_text(arguments: &mut [OsString]) {
    let named = |name: &str| {
        arguments
            .iter()
            .position(|argument| Path::new(argument).file_name() == Some(OsStr::new(name)))
    };
    if let (Some(start), Some(init)) =
        (named("crt1.o").or_else(|| named("rcrt1.o")), named("crti.o"))
        && start < init
    {
        arguments[start..=init].rotate_right(1);
    }
}

fn output(arguments: &[OsString]) -> Option<&Path> {
    let at = arguments.iter().position(|argument| argument == "-o")?;
    arguments.get(at + 1).map(Path::new)
}

/// `hello` for `…/deps/hello-0123456789abcdef`, the form in which cargo names rustc's output.
fn crate_name(output: &Path) -> Option<&str> {
    Some(output.file_name()?.to_str()?.rsplit_once('-')?.0)
}

fn is_input(path: &Path) -> bool {
    is_object(path) || path.extension() == Some(OsStr::new("rlib"))
}

fn is_object(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("o"))
}

fn read(path: &Path) -> Result<Vec<u8>, LinkError> {
    fs::read(path).map_err(|source| LinkError::File { path: path.to_owned(), source })
}

/// Collects the names that an object file or an archive of object files defines. Other files
/// (archives contain rustc's metadata) define no linked name.
fn collect(bytes: &[u8], symbols: &mut Vec<String>) {
    if let Ok(archive) = ArchiveFile::parse(bytes) {
        for member in archive.members().flatten() {
            if let Ok(bytes) = member.data(bytes) {
                collect_object(bytes, symbols);
            }
        }
    } else {
        collect_object(bytes, symbols);
    }
}

fn collect_object(bytes: &[u8], symbols: &mut Vec<String>) {
    if let Ok(file) = object::File::parse(bytes) {
        let defined = file.symbols().filter(|symbol| symbol.is_definition());
        symbols.extend(defined.filter_map(|symbol| symbol.name().ok().map(str::to_owned)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_output_inputs_and_crate_in_rustcs_arguments() {
        let arguments = [
            "-flavor",
            "gnu",
            "a.rcgu.o",
            "-o",
            "/t/deps/my_fn-0123456789abcdef",
            "libx.rlib",
            "-lc",
        ]
        .map(OsString::from);
        assert_eq!(output(&arguments).and_then(crate_name), Some("my_fn"));
        let inputs: Vec<_> = arguments.iter().filter(|it| is_input(Path::new(it))).collect();
        assert_eq!(inputs, ["a.rcgu.o", "libx.rlib"]);
        assert_eq!(output(&arguments[..4]), None);
    }

    #[test]
    fn init_comes_before_the_code_and_the_rest_stays() {
        let mut arguments =
            ["-o", "f", "/s/crt1.o", "/s/crti.o", "/s/crtbegin.o", "a.o", "/s/crtn.o"]
                .map(OsString::from);
        initialise_before_text(&mut arguments);
        assert_eq!(
            arguments,
            ["-o", "f", "/s/crti.o", "/s/crt1.o", "/s/crtbegin.o", "a.o", "/s/crtn.o"]
        );
    }

    #[test]
    fn other_files_define_nothing() {
        let mut symbols = Vec::new();
        for bytes in [
            &b""[..],
            b"!<arch>\n",
            b"!<arch>\nlib.rmeta/      0           0     0     644     4         `\nrust",
            b"\x7fELF",
        ] {
            collect(bytes, &mut symbols);
        }
        assert_eq!(symbols, Vec::<String>::new());
    }
}
