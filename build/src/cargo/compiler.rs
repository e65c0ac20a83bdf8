//! C compiler of a function for x86-64. The workspace's .cargo/config.toml names `musl-gcc`. If
//! that is missing, or compiles for another processor, this file chooses another compiler. cc-rs,
//! "External configuration via environment variables".
//! that is. cc-rs, "External configuration via environment variables".

use super::CargoError;
use crate::stage::Staging;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The variable with the C compiler that cc-rs uses for x86-64 images.
pub const CC_VARIABLE: &str = "CC_x86_64_unknown_linux_musl";
const AR_VARIABLE: &str = "AR_x86_64_unknown_linux_musl";

/// The C compiler of x86-64 functions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CCompiler {
    /// The compiler that the environment or .cargo/config.toml names.
    #[default]
    AsConfigured,
    /// Debian's compiler for x86-64: the native one, or a cross compiler.
    Gcc(PathBuf),
    /// Zig's compiler, which cross-compiles on every machine.
    Zig(PathBuf),
    /// No compiler was found.
    Missing,
}

/// Compiler settings of a build.
pub(super) struct CompilerSettings {
    pub variables: Vec<(&'static str, PathBuf)>,
    pub notice: String,
}

impl CCompiler {
    /// Looks for a compiler. `set` is the value of [`CC_VARIABLE`]; `search` are the folders of
    /// PATH.
    pub fn find(set: Option<&OsStr>, search: &[PathBuf]) -> CCompiler {
        let is_x86_64_linux = cfg!(all(target_os = "linux", target_arch = "x86_64"));
        CCompiler::choose(set, is_x86_64_linux, &|program| {
            search.iter().map(|folder| folder.join(program)).find(|path| is_executable(path))
        })
    }

    fn choose(
        set: Option<&OsStr>,
        is_x86_64_linux: bool,
        find: &dyn Fn(&str) -> Option<PathBuf>,
    ) -> CCompiler {
        if set.is_some_and(|set| !set.is_empty()) {
            return CCompiler::AsConfigured;
        }
        // On another processor, `musl-gcc` compiles for that processor.
        if is_x86_64_linux && find("musl-gcc").is_some() {
            return CCompiler::AsConfigured;
        }
        find("x86_64-linux-gnu-gcc")
            .map(CCompiler::Gcc)
            .or_else(|| find("zig").map(CCompiler::Zig))
            .unwrap_or(CCompiler::Missing)
    }

    /// The settings of a build in `workspace` with the target folder `target`; `None` if the
    /// workspace names its own compiler.
    ///
    /// # Errors
    /// The wrapper script cannot be written.
    pub(super) fn give(
        &self,
        workspace: &Path,
        target: &Path,
    ) -> Result<Option<CompilerSettings>, CargoError> {
        let (program, variables) = match self {
            CCompiler::AsConfigured | CCompiler::Missing => return Ok(None),
            _ if names_another(workspace) => return Ok(None),
            CCompiler::Gcc(gcc) => {
                let ar = gcc.with_file_name("x86_64-linux-gnu-ar");
                let ar = is_executable(&ar).then_some((AR_VARIABLE, ar));
                let variables = [(CC_VARIABLE, gcc.clone())].into_iter().chain(ar).collect();
                ("x86_64-linux-gnu-gcc", variables)
            }
            CCompiler::Zig(zig) => {
                let folder = target.join("microimage");
                let cc = (CC_VARIABLE, folder.join("zig-cc"));
                let ar = (AR_VARIABLE, folder.join("zig-ar"));
                write_script(&cc.1, &cc_script(zig))?;
                write_script(&ar.1, &ar_script(zig))?;
                ("zig cc", vec![cc, ar])
            }
        };
        let notice = format!(
            "C code is compiled by `{program}`, not by `musl-gcc`: the digest \
             differs, and is equal only on machines that use the same compiler"
        );
        Ok(Some(CompilerSettings { variables, notice }))
    }
}

/// Whether .cargo/config.toml names a compiler other than `musl-gcc`.
fn names_another(workspace: &Path) -> bool {
    let text = fs::read_to_string(workspace.join(".cargo/config.toml")).unwrap_or_default();
    text.lines()
        .any(|line| line.trim_start().starts_with(CC_VARIABLE) && !line.contains("\"musl-gcc\""))
}

/// Script that removes the target options that cc-rs passes to clang: Zig has its own.
fn cc_script(zig: &Path) -> String {
    format!(
        "#!/bin/sh\nfor argument; do\n    shift\n    case $argument in\n        --target=* | \
         -m64) ;;\n        *) set -- \"$@\" \"$argument\" ;;\n    esac\ndone\nexec {} cc -target \
         x86_64-linux-musl \"$@\"\n",
        quoted(zig)
    )
}

fn ar_script(zig: &Path) -> String {
    format!("#!/bin/sh\nexec {} ar \"$@\"\n", quoted(zig))
}

/// Quotes a path as one word of sh(1).
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

fn write_script(path: &Path, text: &str) -> Result<(), CargoError> {
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    let at = |source| CargoError::Stage { path: path.to_owned(), source };
    let staging = Staging::file(path).map_err(at)?;
    fs::write(staging.path(), text).map_err(at)?;
    fs::set_permissions(staging.path(), fs::Permissions::from_mode(0o755)).map_err(at)?;
    staging.keep(path).map_err(at)
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_first_compiler_for_x86_64_is_chosen() {
        let (gcc, zig) = ("x86_64-linux-gnu-gcc", "zig");
        let of = |set: Option<&str>, is_x86_64_linux: bool, there: &[&str]| {
            CCompiler::choose(set.map(OsStr::new), is_x86_64_linux, &|program| {
                there.contains(&program).then(|| PathBuf::from(program))
            })
        };
        for (set, is_x86_64_linux, there, expected) in [
            (None, true, &["musl-gcc", gcc, zig][..], CCompiler::AsConfigured),
            (None, true, &[gcc, zig], CCompiler::Gcc(gcc.into())),
            (None, true, &[zig], CCompiler::Zig(zig.into())),
            (None, true, &[], CCompiler::Missing),
            (Some(""), true, &[], CCompiler::Missing),
            (Some("clang"), true, &[zig], CCompiler::AsConfigured),
            // on another processor, `musl-gcc` compiles for that one
            (None, false, &["musl-gcc"], CCompiler::Missing),
            (None, false, &["musl-gcc", gcc], CCompiler::Gcc(gcc.into())),
            (None, false, &["musl-gcc", zig], CCompiler::Zig(zig.into())),
            (Some("clang"), false, &[zig], CCompiler::AsConfigured),
        ] {
            assert_eq!(of(set, is_x86_64_linux, there), expected, "{set:?} {there:?}");
        }
    }

    #[test]
    fn the_wrapper_removes_options_that_zig_refuses() {
        let home = tempfile::tempdir().expect("a folder");
        let zig = home.path().join("it's zig");
        write_script(&zig, "#!/bin/sh\nfor word; do echo \"$word\"; done\n").expect("a script");
        let given = CCompiler::Zig(zig).give(home.path(), home.path()).expect("written");
        let given = given.expect("something");
        let [(_, cc), (_, ar)] = &given.variables[..] else { panic!("two programs") };
        for (program, words, expected) in [
            (
                cc,
                &["-O3", "--target=x86_64-unknown-linux-musl", "-m64", "-Da=b c", "-c", "x.c"][..],
                "cc\n-target\nx86_64-linux-musl\n-O3\n-Da=b c\n-c\nx.c\n",
            ),
            (ar, &["cq", "a.a", "x.o"], "ar\ncq\na.a\nx.o\n"),
        ] {
            let output = Command::new(program).args(words).output().expect("sh");
            assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
        }
        assert!(given.notice.contains("`zig cc`"), "{}", given.notice);
    }

    #[test]
    fn a_compiler_that_the_workspace_names_is_kept() {
        let home = tempfile::tempdir().expect("a folder");
        fs::create_dir(home.path().join(".cargo")).expect("a folder");
        let gcc = CCompiler::Gcc("/usr/bin/x86_64-linux-gnu-gcc".into());
        for (compiler, is_given) in [("musl-gcc", true), ("clang", false)] {
            let text = format!("[env]\n{CC_VARIABLE} = \"{compiler}\"\n");
            fs::write(home.path().join(".cargo/config.toml"), text).expect("a file");
            let given = gcc.give(home.path(), home.path()).expect("nothing to write");
            assert_eq!(given.is_some(), is_given, "{compiler}");
        }
    }
}
