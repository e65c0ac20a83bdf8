//! Documented facts about the function platforms' images. It makes no judgement. Each line names
//! its document. A fact that no document states is `None` or `Undocumented`, and becomes a warning
//! instead of a failure.

use crate::scf;
use std::time::Duration;

/// Whether a platform supports a feature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Support {
    /// The documents allow it.
    Allowed,
    /// The documents forbid it.
    Refused,
    /// The documents do not mention it.
    Undocumented,
}

/// Source of the port number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PortSource {
    /// The platform's documents: the port is always this one.
    Fixed,
    /// The platform sets `PORT`, which overrides the image's value.
    ByPlatform,
    /// The image sets the first of these variables that is present: the component that sends the
    /// requests reads it too.
    ByImage(&'static [&'static str]),
}

/// What a size limit counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Size {
    /// Layers as stored in the registry.
    Compressed,
    /// Unpacked files.
    Uncompressed,
}

/// One platform's documented facts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Provider {
    /// Name on the command line.
    pub name: &'static str,
    /// Document of its rules, for those that `sources` does not list.
    pub source: &'static str,
    /// Documents of single rules, by rule.
    pub sources: &'static [(&'static str, &'static str)],
    /// The port that the program must listen on.
    pub port: u16,
    /// Source of that port number.
    pub port_source: PortSource,
    /// Time within which the program must listen.
    pub start_limit: Duration,
    /// Folder that must contain a program of the platform's own, which connects the image to the
    /// platform.
    pub companion: Option<&'static str>,
    /// Whether requests come from within the instance, so that a program may listen on 127.0.0.1
    /// only.
    pub asks_from_inside: bool,
    /// Architectures, by Go's names.
    pub architectures: &'static [&'static str],
    /// Largest image, in bytes, and what is counted.
    pub max_size: Option<(u64, Size)>,
    /// Whether a tag may name an index of several platforms.
    pub index: Support,
    /// Whether layers may be zstd.
    pub zstd: Support,
    /// Whether only `/tmp` is writable, over which the platform mounts its own.
    pub tmp_is_overlaid: bool,
    /// Whether arguments are split at spaces before the program gets them.
    pub splits_arguments: bool,
    /// Path to which events are posted, if the platform has one.
    pub event_path: Option<&'static str>,
    /// Recommended least memory in MiB for images below a number of compressed bytes, in ascending
    /// order.
    pub memory_tiers: &'static [(u64, u64)],
}

const MIB: u64 = 1 << 20;

impl Provider {
    /// All platforms. A test compares this list with the command line's names.
    pub const ALL: [&Provider; 5] =
        [&Self::SCF, &Self::FC, &Self::LAMBDA, &Self::CLOUDRUN, &Self::KNATIVE];

    /// The document that states `rule`.
    pub fn source_of(&self, rule: &str) -> &'static str {
        self.sources
            .iter()
            .find(|(name, _)| *name == rule)
            .map_or(self.source, |(_, source)| source)
    }

    /// The port to which requests are sent if the image's environment is `env`.
    ///
    /// # Errors
    /// The variable whose value is not a port, with its value.
    pub fn port_for<'a>(&self, env: &'a [String]) -> Result<u16, &'a str> {
        let PortSource::ByImage(names) = self.port_source else { return Ok(self.port) };
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
        port_source: PortSource::Fixed,
        start_limit: scf::START_LIMIT,
        companion: None,
        asks_from_inside: false,
        architectures: &["amd64"],
        max_size: Some((1 << 30, Size::Compressed)),
        index: Support::Undocumented,
        zstd: Support::Undocumented,
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
        port_source: PortSource::Fixed,
        start_limit: Duration::from_secs(120),
        companion: None,
        asks_from_inside: false,
        architectures: &["amd64"],
        max_size: Some((10 << 30, Size::Uncompressed)),
        index: Support::Refused,
        zstd: Support::Undocumented,
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
        port_source: PortSource::ByImage(&["AWS_LWA_PORT", "PORT"]),
        start_limit: Duration::from_secs(10),
        companion: Some("opt/extensions"),
        asks_from_inside: true,
        architectures: &["amd64", "arm64"],
        max_size: Some((10 << 30, Size::Uncompressed)),
        index: Support::Refused,
        zstd: Support::Undocumented,
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
        port_source: PortSource::ByPlatform,
        start_limit: Duration::from_secs(240),
        companion: None,
        asks_from_inside: false,
        architectures: &["amd64"],
        max_size: None,
        index: Support::Allowed,
        zstd: Support::Allowed,
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
        port_source: PortSource::ByPlatform,
        start_limit: Duration::from_secs(600),
        companion: None,
        asks_from_inside: false,
        architectures: &["amd64", "arm64"],
        max_size: None,
        index: Support::Allowed,
        zstd: Support::Allowed,
        tmp_is_overlaid: false,
        splits_arguments: false,
        event_path: None,
        memory_tiers: &[],
    };
}
