//! What the function platforms write down about images: numbers and yes or no. It judges nothing. Each line names the
//! document it was read in; what no document says is `None` or `Undocumented`, and becomes a warning, not a failure.

/// Yes, no, or nobody says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Word {
    /// The documents promise it.
    Allowed,
    /// The documents exclude it.
    Refused,
    /// The documents are silent.
    Undocumented,
}

/// Which size a limit counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Size {
    /// Layers as stored in the registry.
    Compressed,
    /// Files once unpacked.
    Uncompressed,
}

/// One platform.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Provider {
    /// As on the command line.
    pub name: &'static str,
    /// Where its rules are written.
    pub source: &'static str,
    /// The port that the program must listen on.
    pub port: u16,
    /// Whether the platform sets `PORT` and a program that honours it may listen elsewhere.
    pub port_from_env: bool,
    /// Architectures in Go's words.
    pub architectures: &'static [&'static str],
    /// Largest image, in bytes, and of what.
    pub max_size: Option<(u64, Size)>,
    /// Whether a tag may name an index of several platforms.
    pub index: Word,
    /// Whether layers may be zstd.
    pub zstd: Word,
    /// Whether only `/tmp` can be written, over which the platform mounts its own.
    pub tmp_is_overlaid: bool,
    /// Whether arguments are split at blanks on their way to the program.
    pub splits_arguments: bool,
    /// Path that events are posted to, if the platform has one.
    pub event_path: Option<&'static str>,
    /// Smallest memory in MiB for an image below so many compressed bytes, rising.
    pub memory_tiers: &'static [(u64, u64)],
}

const MIB: u64 = 1 << 20;

impl Provider {
    /// Tencent Cloud SCF.
    pub const SCF: Provider = Provider {
        name: "scf",
        source: "Tencent Cloud, SCF image functions (product/583/41076, 583/56051); API 2018-04-16, ImageConfig",
        port: 9000,
        port_from_env: false,
        architectures: &["amd64"],
        max_size: Some((1 << 30, Size::Compressed)),
        index: Word::Undocumented,
        zstd: Word::Undocumented,
        tmp_is_overlaid: true,
        splits_arguments: true,
        event_path: Some("/event-invoke"),
        memory_tiers: &[(256 * MIB, 64), (512 * MIB, 512), (1024 * MIB, 1024)],
    };

    /// Alibaba Cloud Function Compute.
    pub const FC: Provider = Provider {
        name: "fc",
        source: "Alibaba Cloud, Function Compute custom containers (awesome-fc/custom-container-docs)",
        port: 9000,
        port_from_env: false,
        architectures: &["amd64"],
        max_size: Some((10 << 30, Size::Uncompressed)),
        index: Word::Refused,
        zstd: Word::Undocumented,
        tmp_is_overlaid: false,
        splits_arguments: false,
        event_path: Some("/invoke"),
        memory_tiers: &[],
    };

    /// AWS Lambda, with the Web Adapter in front.
    pub const LAMBDA: Provider = Provider {
        name: "lambda",
        source: "AWS, Lambda container images and quotas; awslabs/aws-lambda-web-adapter",
        port: 8080,
        port_from_env: true,
        architectures: &["amd64", "arm64"],
        max_size: Some((10 << 30, Size::Uncompressed)),
        index: Word::Refused,
        zstd: Word::Undocumented,
        tmp_is_overlaid: true,
        splits_arguments: false,
        event_path: Some("/events"),
        memory_tiers: &[],
    };

    /// Google Cloud Run.
    pub const CLOUDRUN: Provider = Provider {
        name: "cloudrun",
        source: "Google Cloud, Cloud Run container runtime contract",
        port: 8080,
        port_from_env: true,
        architectures: &["amd64"],
        max_size: None,
        index: Word::Allowed,
        zstd: Word::Allowed,
        tmp_is_overlaid: false,
        splits_arguments: false,
        event_path: None,
        memory_tiers: &[],
    };

    /// Knative Serving.
    pub const KNATIVE: Provider = Provider {
        name: "knative",
        source: "Knative, runtime contract (knative/specs)",
        port: 8080,
        port_from_env: true,
        architectures: &["amd64", "arm64"],
        max_size: None,
        index: Word::Allowed,
        zstd: Word::Allowed,
        tmp_is_overlaid: false,
        splits_arguments: false,
        event_path: None,
        memory_tiers: &[],
    };
}
