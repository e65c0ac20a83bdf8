//! Build profiles: the arguments of cargo and the flags of rustc for a profile and an architecture.
//! It starts nothing. The Cargo book: "Profiles", "Unstable features: build-std"; rustc book:
//! "Codegen options".

use super::CargoError;
use super::rustc::Rustc;
use crate::elf::Architecture;
use std::process::Command;

/// How the program is compiled (CONTRACTS.md, section 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Profile {
    /// The workspace's `dev`: compiles in seconds, for a function under development. No image is
    /// made with it.
    Dev,
    /// The workspace's `release`.
    Fast,
    /// Optimised for size with a recompiled standard library; panics still unwind.
    Small,
    /// As `small`, and a panic ends the process at once.
    Tiny,
    /// Position independent with read-only relocations and overflow checks.
    Hardened,
}

impl Profile {
    /// Adds the profile's arguments of cargo and flags of rustc.
    pub(super) fn arguments(
        self,
        architecture: Architecture,
        command: &mut Command,
        flags: &mut Vec<String>,
        rustc: &Rustc,
    ) -> Result<(), CargoError> {
        let name = match self {
            Profile::Dev => return Ok(()),
            Profile::Fast => {
                command.arg("--release");
                return Ok(());
            }
            Profile::Small => "small",
            Profile::Tiny => "tiny",
            Profile::Hardened => "hardened",
        };
        let mut settings = vec![("inherits", "\"release\"")];
        match self {
            Profile::Dev | Profile::Fast => {}
            Profile::Hardened => {
                settings.push(("overflow-checks", "true"));
                flags.extend(
                    [
                        "-Crelocation-model=pie",
                        "-Clink-arg=-zrelro",
                        "-Clink-arg=-znow",
                        "-Clink-arg=-zseparate-code",
                        "-Clink-arg=--rosegment",
                    ]
                    .map(str::to_owned),
                );
            }
            Profile::Small | Profile::Tiny => {
                rustc.require(
                    "lib/rustlib/src/rust/library/std",
                    "the standard library's source (rust-src)",
                    "rustup component add rust-src",
                )?;
                settings.push(("opt-level", "\"z\"")); // with "s" the layers are 4 and 9 % larger
                // -Zbuild-std is cargo's nightly switch; RUSTC_BOOTSTRAP lets a stable toolchain
                // take it, with its own std.
                command.env("RUSTC_BOOTSTRAP", "1");
                flags.push(format!(
                    "-Clink-arg={}",
                    rustc.compiled_builtins(architecture)?.display()
                ));
            }
        }
        if self == Profile::Small {
            command
                .args(["-Zbuild-std=std,panic_unwind", "-Zbuild-std-features=optimize_for_size"]);
        }
        if self == Profile::Tiny {
            settings.push(("panic", "\"abort\""));
            command.args(["-Zbuild-std=std,panic_abort", "-Zbuild-std-features=optimize_for_size"]);
            // This profile neither unwinds nor prints panics, so unwind tables and panic locations
            // are not used.
            let unread = ["-Cforce-unwind-tables=no", "-Zlocation-detail=none"];
            flags.extend(
                ["-Zunstable-options", "-Cpanic=immediate-abort"]
                    .into_iter()
                    .chain(unread)
                    .map(str::to_owned),
            );
        }
        command.args(["--profile", name]);
        for (key, value) in settings {
            command.arg("--config").arg(format!("profile.{name}.{key}={value}"));
        }
        Ok(())
    }
}

/// The settings of .cargo/config.toml for amd64, for arm64: the same linker and layout, and
/// Debian's cross compiler for C code.
pub(super) fn cross(architecture: Architecture, command: &mut Command, flags: &mut Vec<String>) {
    if architecture != Architecture::Arm64 {
        return;
    }
    let target = architecture.rust_target();
    let variable = target.replace('-', "_");
    for setting in [
        format!("target.{target}.linker=\"rust-lld\""),
        // [env] does not replace a variable that the user has set.
        format!("env.CC_{variable}=\"{ARM64_CC}\""),
        format!("env.CFLAGS_{variable}=\"{MIMALLOC}\""),
    ] {
        command.arg("--config").arg(setting);
    }
    let layout = [
        "-Crelocation-model=static",
        "-Clink-arg=-znorelro",
        "-Clink-arg=-znoseparate-code",
        "-Clink-arg=--no-rosegment",
        "-Clink-arg=--build-id=none",
        "-Clink-arg=--icf=all",
    ];
    flags.extend(layout.map(str::to_owned));
}

/// mimalloc's compile-time defaults, as in .cargo/config.toml for amd64.
const MIMALLOC: &str = "-DMI_DEFAULT_ALLOW_THP=0 -DMI_DEFAULT_ARENA_RESERVE=65536L \
                        -DMI_PRIM_HAS_PROCESS_ATTACH -fno-asynchronous-unwind-tables \
                        -fno-unwind-tables";

/// The C compiler of Debian's package gcc-aarch64-linux-gnu.
const ARM64_CC: &str = "aarch64-linux-gnu-gcc";

pub(super) fn cross_hint(architecture: Architecture) -> String {
    match architecture {
        Architecture::Amd64 => {
            " (C code needs `musl-gcc`, `x86_64-linux-gnu-gcc` or `zig`: `build/setup` installs \
             one)"
                .to_owned()
        }
        Architecture::Arm64 => {
            format!(" (C code needs `{ARM64_CC}`: `apt-get install gcc-aarch64-linux-gnu`)")
        }
    }
}
