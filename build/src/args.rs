//! Command line of microimage: its commands, flags and help texts. It makes no decisions.

use clap::{Args, Parser, Subcommand, ValueEnum};
use microimage::cargo;
use microimage::check::Provider;
use microimage::elf::Architecture;
use microimage::image;
use microimage::layer;
use microimage::manual::{CompletionsArguments, ManArguments};
use microimage::sandbox::Reach;
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
    /// Show what is in an image
    Inspect(InspectArguments),
    /// Show what differs between two images; exit code 1 if anything does
    Diff(DiffArguments),
    /// Check an image against a platform's rules; exit code 1 if one is broken
    Check(CheckArguments),
    /// Push an image to a registry and print the reference to deploy
    Push(PushArguments),
    /// Pull an image from a registry into an image layout
    Pull(PullArguments),
    /// Unpack an image's files into a new folder
    Unpack(UnpackArguments),
    /// Print the completions of a shell
    Completions(CompletionsArguments),
    /// Write the manual pages into a folder
    Man(ManArguments),
}

/// Access to registries.
#[derive(Args)]
#[command(next_help_heading = "Registries")]
pub struct RegistryArguments {
    /// Trust the certificates in this PEM file, authorities or a registry's own; may be repeated
    #[arg(long, value_name = "FILE")]
    pub ca: Vec<PathBuf>,
    /// Accept any certificate of this registry, or plain HTTP; may be repeated
    #[arg(long, value_name = "HOST")]
    pub insecure_registry: Vec<String>,
}

#[derive(Args)]
pub struct ImageArguments {
    /// Workspace package or example; the default is the template
    pub function: Option<String>,
    /// Only compile, and put target/image/root/app in place for `docker build -f
    /// scratch.Dockerfile`
    #[arg(long, conflicts_with_all = ["push", "load"])]
    pub stage_only: bool,
    /// How the program is compiled
    #[arg(long, value_enum, default_value = "fast")]
    pub profile: Profile,
    /// Which binary of the package
    #[arg(long, value_name = "NAME")]
    pub bin: Option<String>,
    /// Push a document about the image beside it, as an OCI referrer; the tag does not change
    #[arg(long, value_enum, value_name = "DOCUMENT", requires = "push")]
    pub attach: Vec<Document>,
    #[command(flatten)]
    pub pack: PackArguments,
    #[command(flatten)]
    pub deliver: DeliverArguments,
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
    #[command(flatten)]
    pub deliver: DeliverArguments,
}

#[derive(Args)]
pub struct InspectArguments {
    /// Layout folder, archive file, or HOST/NAME:TAG
    #[arg(default_value = "target/image/oci")]
    pub image: String,
    /// Which platform of an index to use
    #[arg(long, default_value = "amd64")]
    pub arch: Architecture,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub registry: RegistryArguments,
}

#[derive(Args)]
pub struct DiffArguments {
    /// Layout folder, archive file, or HOST/NAME:TAG
    pub left: String,
    /// The other image: layout folder, archive file, or HOST/NAME:TAG
    pub right: String,
    /// Which platform of an index to use
    #[arg(long, default_value = "amd64")]
    pub arch: Architecture,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub registry: RegistryArguments,
}

#[derive(Args)]
pub struct CheckArguments {
    /// Layout folder, archive file, or HOST/NAME:TAG
    #[arg(default_value = "target/image/oci")]
    pub image: String,
    /// Which platform of an index to use
    #[arg(long, default_value = "amd64")]
    pub arch: Architecture,
    /// Platform whose rules are checked
    #[arg(long, value_enum, default_value = "scf")]
    pub platform: PlatformName,
    /// Memory that the function will have, in MiB; --run enforces it
    #[arg(long, value_name = "MIB")]
    pub memory: Option<u64>,
    /// Start it as the platform would, read-only with a tmpfs /tmp, and send it events
    #[arg(long)]
    pub run: bool,
    /// Recorded events for --run: a JSON file, or a folder of them
    #[arg(long, value_name = "PATH", requires = "run")]
    pub events: Option<PathBuf>,
    /// With --run: allow calls to everything that this machine reaches; the default is loopback
    /// only
    #[arg(long, requires = "run")]
    pub network: bool,
    /// With --network: also allow calls to this TCP port of this machine itself; may be repeated
    #[arg(long, value_name = "HOST:PORT", requires = "network")]
    pub reach: Vec<Reach>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub registry: RegistryArguments,
}

#[derive(Args)]
pub struct PushArguments {
    /// Name to push to, HOST/NAME:TAG; several get the same image
    #[arg(required = true)]
    pub reference: Vec<String>,
    /// Layout folder, archive file, or HOST/NAME:TAG; with several, one per platform, an index is
    /// pushed under its own tag
    #[arg(long, default_value = "target/image/oci")]
    pub image: Vec<String>,
    /// Show no progress on the terminal
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    pub registry: RegistryArguments,
}

#[derive(Args)]
pub struct PullArguments {
    /// HOST/NAME:TAG or HOST/NAME@DIGEST
    pub reference: String,
    /// The layout folder to write
    #[arg(short, long)]
    pub output: PathBuf,
    /// Show no progress on the terminal
    #[arg(short, long)]
    pub quiet: bool,
    /// Which platform of an index to use
    #[arg(long, default_value = "amd64")]
    pub arch: Architecture,
    #[command(flatten)]
    pub registry: RegistryArguments,
}

#[derive(Args)]
pub struct UnpackArguments {
    /// Layout folder, archive file, or HOST/NAME:TAG
    pub image: String,
    /// The folder to make
    pub folder: PathBuf,
    /// Which platform of an index to use
    #[arg(long, default_value = "amd64")]
    pub arch: Architecture,
    #[command(flatten)]
    pub registry: RegistryArguments,
}

/// Where a built image is sent besides the folder.
#[derive(Args)]
pub struct DeliverArguments {
    /// Push the image to this name and print the reference to deploy; may be repeated
    #[arg(long, value_name = "HOST/NAME:TAG")]
    pub push: Vec<String>,
    /// Load the image into Docker Engine
    #[arg(long)]
    pub load: bool,
    /// Print only the digest, or what was pushed; show no progress
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    pub registry: RegistryArguments,
}

/// What can be attached to an image.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Document {
    /// The crates inside, CycloneDX 1.5
    Sbom,
    /// How it was built, SLSA provenance 1.0, not signed
    Provenance,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum PlatformName {
    /// Tencent Cloud SCF, image functions
    Scf,
    /// Alibaba Cloud Function Compute
    Fc,
    /// AWS Lambda with the Web Adapter
    Lambda,
    /// Google Cloud Run
    Cloudrun,
    /// Knative Serving
    Knative,
}

#[derive(Args)]
pub struct PackArguments {
    /// Manifest and media types
    #[arg(long, value_enum, default_value = "oci")]
    pub format: Format,
    /// Layer compression; zstd only with `--format oci`
    #[arg(long, value_enum, default_value = "gzip")]
    pub compression: Compression,
    /// Architecture: amd64 or arm64
    #[arg(long, default_value = "amd64")]
    pub arch: Architecture,
    /// Name and tag inside the image; FUNCTION:latest when not given; may be repeated
    #[arg(short, long, value_name = "NAME:TAG")]
    pub tag: Vec<String>,
    /// Annotation of the manifest, for example org.opencontainers.image.revision=1a2b3c
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub annotation: Vec<(String, String)>,
    /// Label of the configuration, over the recipe's
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub label: Vec<(String, String)>,
    /// Ship an empty /tmp that everyone may write to; platforms bring their own
    #[arg(long)]
    pub tmp: bool,
    /// Ship certificate authorities, from this machine unless a PEM file is named
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "/etc/ssl/certs/ca-certificates.crt")]
    pub ca_bundle: Option<PathBuf>,
    /// Ship a time zone, for example Asia/Shanghai
    #[arg(long, value_name = "ZONE")]
    pub tzdata: Vec<String>,
    /// Where time zones are on this machine
    #[arg(long, value_name = "FOLDER", default_value = "/usr/share/zoneinfo", hide = true)]
    pub zoneinfo: PathBuf,
    /// Ship /etc/passwd and /etc/group with root and this user
    #[arg(long, value_name = "NAME:UID")]
    pub passwd: Option<String>,
}

/// `NAME=VALUE`.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not `NAME=VALUE`")),
    }
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

impl PlatformName {
    /// Its rules.
    pub fn provider(self) -> &'static Provider {
        match self {
            PlatformName::Scf => &Provider::SCF,
            PlatformName::Fc => &Provider::FC,
            PlatformName::Lambda => &Provider::LAMBDA,
            PlatformName::Cloudrun => &Provider::CLOUDRUN,
            PlatformName::Knative => &Provider::KNATIVE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_platform_has_its_name_on_the_command_line() {
        let names = PlatformName::value_variants();
        assert_eq!(names.len(), Provider::ALL.len());
        for (name, provider) in names.iter().zip(Provider::ALL) {
            assert_eq!(name.provider(), provider, "Provider::ALL is in the order of the names");
            let word = name.to_possible_value().expect("no name is hidden");
            assert_eq!(word.get_name(), provider.name);
        }
    }
}
