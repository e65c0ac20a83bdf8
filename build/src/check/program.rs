//! Rule about the program: it is in the image, every user may execute it, and it needs no other
//! file to start. It reads one file of the image and starts nothing.

use super::finding::{Judgement, RuleVerdict, Subject, fail, pass, warn};
use crate::contents::{Contents, ContentsError, Found, What};
use crate::elf::{Architecture, ElfError, StaticElf};
use crate::entry::LayerLimits;
use crate::inspect::size;
use crate::rootfs::normalize;
use std::path::{Path, PathBuf};

/// Largest program that is read, in bytes.
const MAX_PROGRAM_BYTES: u64 = 1 << 30;

/// The program's path in the image after following links, with the entry there.
fn find_program(subject: &Subject<'_>) -> Option<(PathBuf, Found)> {
    let argv = subject.image.argv();
    let program = argv.first()?;
    let search = subject
        .image
        .env()
        .iter()
        .find_map(|line| line.strip_prefix("PATH="))
        .unwrap_or(crate::recipe::DEFAULT_PATH);
    let folder = subject.image.working_dir();
    let candidates = match program.contains('/') {
        true => vec![normalize(folder, program)],
        false => {
            search.split(':').map(|path| normalize(folder, &format!("{path}/{program}"))).collect()
        }
    };
    candidates.into_iter().find_map(|path| follow(subject.contents, path))
}

pub(super) fn follow(contents: &Contents, mut path: String) -> Option<(PathBuf, Found)> {
    for _ in 0..40 {
        let found = contents.files.get(Path::new(&path));
        match found {
            Some(Found { what: What::Symlink { target }, .. }) => {
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
                path = normalize(&folder, target.to_str()?);
            }
            Some(found) => return Some((path.into(), found.clone())),
            None => {
                // A parent folder may be a link, as with usrmerge: `/bin/x` where bin is a link to
                // usr/bin.
                let (at, target) = path.match_indices('/').find_map(|(end, _)| {
                    match contents.files.get(Path::new(&path[..end])) {
                        Some(Found { what: What::Symlink { target }, .. }) => {
                            Some((end, target.to_str()?.to_owned()))
                        }
                        _ => None,
                    }
                })?;
                let folder = path[..at].rsplit_once('/').map_or("", |(folder, _)| folder);
                path = normalize(folder, &format!("{target}{}", &path[at..]));
            }
        }
    }
    None
}

pub(super) fn program(subject: &Subject<'_>) -> Result<Judgement, ContentsError> {
    if subject.image.argv().is_empty() {
        return Ok((RuleVerdict::Skip, "the image names no program".into(), String::new()));
    }
    let Some((path, found)) = find_program(subject) else {
        return Ok(fail(
            "the program that the entrypoint names is not in the image",
            "COPY it to the entrypoint's path",
        ));
    };
    let shown = format!("/{}", crate::entry::shown(&path));
    if found.mode & 0o001 == 0 {
        return Ok(fail(
            format!("`{shown}` has mode {:o}: not every user may execute it", found.mode),
            "`chmod 0755` before it is copied",
        ));
    }
    let Ok(architecture) = subject.image.architecture().parse::<Architecture>() else {
        return Ok((
            RuleVerdict::Skip,
            format!("`{shown}`: programs for {} cannot be checked", subject.image.architecture()),
            String::new(),
        ));
    };
    let bytes = subject.contents.read_file(
        subject.image,
        &path,
        MAX_PROGRAM_BYTES,
        &LayerLimits::default(),
    )?;
    let bytes = bytes.unwrap_or_default();
    Ok(match StaticElf::parse(&bytes, architecture) {
        Ok(elf) => pass(format!(
            "`{shown}` is static, {}{}",
            size(elf.size_bytes()),
            if elf.position_independent() { ", position independent" } else { "" }
        )),
        Err(ElfError::Interpreter { interpreter, .. }) => {
            match follow(subject.contents, normalize("/", &interpreter)) {
                Some(_) => warn(
                    format!("`{shown}` is dynamic; its linker `{interpreter}` is in the image"),
                    "a static program starts in less time: build for a musl target",
                ),
                None => fail(
                    format!(
                        "`{shown}` is dynamic and its linker `{interpreter}` is not in the image"
                    ),
                    "build it for a musl target, or copy the linker and the libraries",
                ),
            }
        }
        Err(ElfError::NotElf(what)) => warn(
            format!("`{shown}` is {what}, not an ELF program"),
            "make sure that its interpreter is in the image",
        ),
        Err(error) => {
            fail(format!("`{shown}`: {error}"), "build it again for the image's architecture")
        }
    })
}
