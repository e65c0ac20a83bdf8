//! The command line's shape and help. It decides nothing.

use clap::{Args, Parser, Subcommand, ValueEnum};
use microimage::cargo;
use microimage::elf::Architecture;
use microimage::image;
use microimage::layer;
use std::path::PathBuf;

/// A static ELF in, a minimal and reproducible OCI image out, no daemon.
#[derive(Parser)]
#[command(version, disable_help_subcommand = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Compile a function of this workspace and pack it
    Image(ImageArguments),
    /// Pack what a recipe names; nothing is compiled
    Build(BuildArguments),
}

#[derive(Args)]
pub struct ImageArguments {
    /// Workspace package or example; the template when not given
    pub function: Option<String>,
    /// How the program is compiled
    #[arg(long, value_enum, default_value = "fast")]
    pub profile: Profile,
    #[command(flatten)]
    pub pack: PackArguments,
}

#[derive(Args)]
pub struct BuildArguments {
    /// The recipe
    #[arg(short, long, default_value = "scratch.Dockerfile")]
    pub file: PathBuf,
    /// The folder that COPY copies from; its .dockerignore is honoured
    #[arg(long, default_value = ".")]
    pub context: PathBuf,
    /// Folder for oci, docker.tar and image.json
    #[arg(short, long)]
    pub output: PathBuf,
    #[command(flatten)]
    pub pack: PackArguments,
}

#[derive(Args)]
pub struct PackArguments {
    /// Manifest and media types
    #[arg(long, value_enum, default_value = "oci")]
    pub format: Format,
    /// Of the layer; zstd only with `--format oci`
    #[arg(long, value_enum, default_value = "gzip")]
    pub compression: Compression,
    /// Architecture: amd64 or arm64
    #[arg(long, default_value = "amd64")]
    pub arch: Architecture,
    /// Name and tag inside the image; FUNCTION:latest when not given
    #[arg(long, value_name = "NAME:TAG")]
    pub tag: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Format {
    Oci,
    Docker,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Compression {
    Gzip,
    None,
    Zstd,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Profile {
    /// The workspace's release profile
    Fast,
    /// Standard library compiled along, for size
    Small,
    /// As small, and a panic ends the process at once
    Tiny,
    /// Position independent, read-only relocations, overflow checks
    Hardened,
}

impl From<Format> for layer::Format {
    fn from(format: Format) -> layer::Format {
        match format {
            Format::Oci => layer::Format::Oci,
            Format::Docker => layer::Format::Docker,
        }
    }
}

impl From<Compression> for image::Compression {
    fn from(compression: Compression) -> image::Compression {
        match compression {
            Compression::Gzip => image::Compression::Gzip,
            Compression::None => image::Compression::None,
            Compression::Zstd => image::Compression::Zstd,
        }
    }
}

impl From<Profile> for cargo::Profile {
    fn from(profile: Profile) -> cargo::Profile {
        match profile {
            Profile::Fast => cargo::Profile::Fast,
            Profile::Small => cargo::Profile::Small,
            Profile::Tiny => cargo::Profile::Tiny,
            Profile::Hardened => cargo::Profile::Hardened,
        }
    }
}
