//! What the function platforms write down about images: numbers and yes or no. It judges nothing.
//! Each line names the document it was read in; what no document says is `None` or `Undocumented`,
//! and becomes a warning, not a failure.

use crate::scf;
use std::time::Duration;

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

/// Who says which port it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PortSaid {
    /// The platform's documents: it is always this one.
    Fixed,
    /// The platform, in `PORT`, over what the image says.
    ByPlatform,
    /// The image, in its first variable of these that is set: whoever asks reads it as well.
    ByImage(&'static [&'static str]),
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
    /// Where its rules are written, for those that `sources` does not name.
    pub source: &'static str,
    /// Where single rules are written, by the rule.
    pub sources: &'static [(&'static str, &'static str)],
    /// The port that the program must listen on.
    pub port: u16,
    /// Who says so.
    pub port_said: PortSaid,
    /// The program must listen within this.
    pub start_limit: Duration,
    /// A folder in which the image must bring a program of the platform's own, the part that speaks
    /// to it.
    pub companion: Option<&'static str>,
    /// Whether requests come from within the instance, so that a program may listen on 127.0.0.1
    /// alone.
    pub asks_from_inside: bool,
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
    /// All of them. A test of the command line holds its names to this list.
    pub const ALL: [&Provider; 5] =
        [&Self::SCF, &Self::FC, &Self::LAMBDA, &Self::CLOUDRUN, &Self::KNATIVE];

    /// Where `rule` is written.
    pub fn source_of(&self, rule: &str) -> &'static str {
        self.sources
            .iter()
            .find(|(name, _)| *name == rule)
            .map_or(self.source, |(_, source)| source)
    }

    /// The port that requests come to when the image's environment is `env`. `Err` for a variable
    /// that says none.
    ///
    /// # Errors
    /// The variable, as it stands.
    pub fn port_for<'a>(&self, env: &'a [String]) -> Result<u16, &'a str> {
        let PortSaid::ByImage(names) = self.port_said else { return Ok(self.port) };
        let value = |name: &&str| {
            env.iter().find_map(|line| Some((line, line.strip_prefix(*name)?.strip_prefix('=')?)))
        };
        match names.iter().find_map(value) {
            None => Ok(self.port),
            Some((line, port)) => port.parse().ok().filter(|port| *port != 0).ok_or(line.as_str()),
        }
    }

    /// Tencent Cloud SCF.
    pub const SCF: Provider = Provider {
        name: "scf",
        source: "Tencent Cloud, SCF image functions (product/583/56051)",
        sources: &[
            (
                "port",
                "Tencent Cloud, API 2018-04-16, ImageConfig.ImagePort: 9000 for a web server image",
            ),
            ("arguments", "Tencent Cloud, API 2018-04-16, ImageConfig.Args: separated by spaces"),
            (
                "pinned",
                "Tencent Cloud, API 2018-04-16, ImageConfig.ImageUri: \
                 {domain}/{namespace}/{imageName}:{tag}@{digest}",
            ),
            (
                "/tmp",
                "Tencent Cloud, SCF web functions (product/583/42611): a read-only root, /tmp \
                 excepted",
            ),
            (
                "starts",
                "Tencent Cloud, SCF status codes (product/583/42611): the server must listen \
                 within 30 s",
            ),
            ("answers", "Tencent Cloud, SCF quotas: a function's time-out is 3 s unless it is set"),
        ],
        port: scf::PORT,
        port_said: PortSaid::Fixed,
        start_limit: scf::START_LIMIT,
        companion: None,
        asks_from_inside: false,
        architectures: &["amd64"],
        max_size: Some((1 << 30, Size::Compressed)),
        index: Word::Undocumented,
        zstd: Word::Undocumented,
        tmp_is_overlaid: true,
        splits_arguments: true,
        event_path: Some(scf::EVENT_PATH),
        memory_tiers: &[(256 * MIB, 256), (512 * MIB, 512), (1024 * MIB, 1024)],
    };

    /// Alibaba Cloud Function Compute.
    pub const FC: Provider = Provider {
        name: "fc",
        source: "Alibaba Cloud, Function Compute custom containers \
                 (awesome-fc/custom-container-docs)",
        sources: &[(
            "starts",
            "Alibaba Cloud, Function Compute custom containers: the server must listen within 120 \
             s",
        )],
        port: 9000,
        port_said: PortSaid::Fixed,
        start_limit: Duration::from_secs(120),
        companion: None,
        asks_from_inside: false,
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
        source: "AWS, Lambda container images",
        sources: &[
            ("port", "awslabs/aws-lambda-web-adapter, README: AWS_LWA_PORT, else PORT, else 8080"),
            (
                "companion",
                "awslabs/aws-lambda-web-adapter, README: copied to /opt/extensions/lambda-adapter",
            ),
            ("size", "AWS, Lambda quotas: a container image of 10 GB uncompressed"),
            ("starts", "AWS, Lambda runtime environment: the init phase has 10 s"),
        ],
        port: 8080,
        port_said: PortSaid::ByImage(&["AWS_LWA_PORT", "PORT"]),
        start_limit: Duration::from_secs(10),
        companion: Some("opt/extensions"),
        asks_from_inside: true,
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
        sources: &[(
            "starts",
            "Google Cloud, Cloud Run health checks: the default TCP startup probe has 240 s",
        )],
        port: 8080,
        port_said: PortSaid::ByPlatform,
        start_limit: Duration::from_secs(240),
        companion: None,
        asks_from_inside: false,
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
        sources: &[(
            "starts",
            "Knative Serving, config-deployment: progress-deadline is 600 s unless it is set",
        )],
        port: 8080,
        port_said: PortSaid::ByPlatform,
        start_limit: Duration::from_secs(600),
        companion: None,
        asks_from_inside: false,
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
