//! Command line of coldstart: flags, help texts, and the targets and the run definition made of
//! them. It uses no engine.

pub mod plan;
pub mod scf;

use clap::{Args, Parser, Subcommand};
use coldstart::burst::RAMP;
use coldstart::engine::{Case, Target};
use coldstart::guidance::Load;
use coldstart::link::Link;
use coldstart::request::Ask;
use coldstart::results::{EngineKind, PageCache, Scenario};
use coldstart::run::Definition;
use microimage::image::Image;
use microimage::manual::{CompletionsArguments, ManArguments};
use microimage::registry::Access;
use microimage::sandbox::{Reach, ResourceLimits};
use microimage::scf as platform;
use microimage::source;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The output of `just image`.
const DEFAULT_IMAGE: &str = "target/image/oci";
const DEFAULT_SAMPLES: u32 = 50;
/// The platform's port (SCF), if an image states none.
const DEFAULT_PORT: u16 = platform::PORT;

#[derive(Parser)]
#[command(
    name = "coldstart",
    version,
    about = "Measures where the time of a container's cold start goes",
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(Subcommand)]
pub enum Command {
    /// Measure (the default)
    Run(RunArgs),
    /// Measure our image beside well-known kinds of images; builds them first, from packages
    /// (mmdebstrap) and a crate
    Baselines {
        /// Only these; may be repeated: axum-scratch, axum-debian, python-http, python-flask, node,
        /// axum-250mib
        #[arg(long = "only", value_name = "NAME")]
        only: Vec<String>,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Compare two results.json; exit code 3 if the second is slower beyond noise
    Compare { before: PathBuf, after: PathBuf },
    /// Draw a results.json again: report.html and the plots as SVG, beside it or into --out
    Plot {
        file: PathBuf,
        /// Folder to write into
        #[arg(long)]
        out: Option<PathBuf>,
        /// Also write the plots as PNG (needs rsvg-convert)
        #[arg(long)]
        png: bool,
    },
    /// Print the table of a results.json again
    Report {
        #[arg(default_value = "target/coldstart/results.json")]
        file: PathBuf,
    },
    /// Write the table of a results.json as Markdown or CSV; without a file, Markdown on standard
    /// output
    Export {
        #[arg(default_value = "target/coldstart/results.json")]
        file: PathBuf,
        #[command(flatten)]
        export: ExportArgs,
    },
    /// Plan capacity by simulation: cold share, latency and cost of a request rate, and how many
    /// provisioned instances a target needs
    Plan(Box<plan::PlanArgs>),
    /// Read cold starts from a platform's own log: results.json, report.html and the table; values
    /// that the log does not have stay empty
    Import {
        /// Platform of the log
        #[arg(long, value_enum)]
        from: coldstart::import::Platform,
        /// The log file; `-` is standard input
        file: PathBuf,
        /// The variant's name; the default is the file's name
        #[arg(long, value_name = "NAME", value_parser = record_name)]
        name: Option<String>,
        /// Folder for the results
        #[arg(long, default_value = "target/coldstart")]
        out: PathBuf,
        #[command(flatten)]
        export: ExportArgs,
    },
    /// Keep a results.json, with its machine, under its date
    Record {
        #[arg(default_value = "target/coldstart/results.json")]
        file: PathBuf,
        /// Folder of the history
        #[arg(long, default_value = "benches/record")]
        into: PathBuf,
        /// What was compared, as part of the file's name
        #[arg(long, value_name = "NAME", value_parser = record_name)]
        name: Option<String>,
    },
    /// Print the completions of a shell
    Completions(CompletionsArguments),
    /// Write the manual pages into a folder
    Man(ManArguments),
}

/// Number of instances started at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Burst {
    Of(u16),
    /// Doubled as long as that gives more starts per second.
    Auto,
}

#[derive(Args, Clone)]
pub struct RunArgs {
    /// Engine that pulls, unpacks, creates and starts
    #[arg(long, value_enum, default_value = "embedded")]
    pub engine: EngineKind,
    /// Images to measure, in the forms of --image
    #[arg(value_name = "IMAGE", value_parser = image_argument)]
    pub places: Vec<String>,
    /// An image layout, a docker-archive, an OCI archive (also gzipped; FILE#NAME for one of
    /// several), or HOST/NAME:TAG in a registry (with its digest for `--engine scf`); NAME= names
    /// the variant; may be repeated
    #[arg(long = "image", value_name = "[NAME=]REF|PATH", value_parser = image_argument)]
    pub images: Vec<String>,
    /// Samples of each case; the default is 50, 10 with baselines, 30 with `--engine scf`
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub samples: Option<u32>,
    /// Rounds at the beginning that are not kept
    #[arg(long, default_value_t = 1)]
    pub warmups: u32,
    /// loopback, same-region, cross-region, or RATE/RTT such as 100Mbit/30ms; may be repeated; the
    /// default is all three
    #[arg(long = "link")]
    pub links: Vec<Link>,
    /// May be repeated; the default is all three
    #[arg(long = "scenario", value_enum)]
    pub scenarios: Vec<Scenario>,
    /// Whether files are in memory before they are read
    #[arg(long = "page-cache", value_enum, default_value = "warm")]
    pub page_caches: Vec<PageCache>,
    /// Instances started at once; may be repeated; `auto` doubles them until this machine is
    /// saturated
    #[arg(long = "burst", value_name = "N|auto", default_value = "1", value_parser = burst)]
    pub bursts: Vec<Burst>,
    /// Milliseconds between two intended starts of a burst
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub burst_interval: u64,
    /// The request that ends a start; the default is a timer's event
    #[arg(long, value_name = "METHOD:/path")]
    pub request: Option<Ask>,
    /// The event in place of a timer's: JSON, or @ and the name of a file with it
    #[arg(long, value_name = "JSON|@FILE", value_parser = event, conflicts_with = "request")]
    pub event: Option<String>,
    /// The body of a correct answer; the default is that of the first answer
    #[arg(long, value_name = "BODY")]
    pub expect: Option<String>,
    /// The port of an instance; the default is the image's PORT, or 9000 if it exposes that, or the
    /// lowest TCP port that it exposes
    #[arg(long)]
    pub port: Option<u16>,
    /// Seconds from exec to a correct answer; the platform allows 30
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=900))]
    pub deadline: u64,
    /// runc or crun, to create and start in place of our own sandbox (embedded engine, as root)
    #[arg(long, value_name = "PROGRAM", value_parser = ["runc", "crun"])]
    pub runtime: Option<String>,
    /// Allow instances to call everything that this machine reaches; the default is loopback only.
    /// The network is made within `create` (embedded engine; a container of Docker Engine always
    /// has its network)
    #[arg(long, conflicts_with = "runtime")]
    pub network: bool,
    /// With --network: also allow calls to this TCP port of this machine itself; may be repeated
    #[arg(long, value_name = "HOST:PORT", requires = "network")]
    pub reach: Vec<Reach>,
    /// Memory limit of an instance; with `--engine scf` the functions' memory settings, one variant
    /// each: 128,256,512
    #[arg(long, value_name = "MIB", value_delimiter = ',')]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub memory: Vec<u64>,
    /// CPU limit of an instance, in cores
    #[arg(long, value_name = "CORES")]
    pub cpus: Option<f64>,
    /// Trust the certificates in this PEM file, authorities or a registry's own; may be repeated
    #[arg(long, value_name = "FILE")]
    pub ca: Vec<PathBuf>,
    /// Accept any certificate of this registry, or plain HTTP; may be repeated
    #[arg(long, value_name = "HOST")]
    pub insecure_registry: Vec<String>,
    /// Seed of the random order
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// A results.json to compare with; exit code 3 if this run is slower beyond noise
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Requests per second, for the advice on provisioned concurrency
    #[arg(long, value_name = "QPS", default_value_t = 100.0)]
    pub rate: f64,
    /// The function's memory setting, for the price of an idle instance
    #[arg(long, value_name = "MIB", default_value_t = 128)]
    pub function_memory: u64,
    /// Folder for the results
    #[arg(long, default_value = "target/coldstart")]
    pub out: PathBuf,
    /// Leave a case out if its first try fails, and measure the rest; without this flag the run
    /// ends there
    #[arg(long)]
    pub keep_going: bool,
    #[command(flatten)]
    pub export: ExportArgs,
    #[command(flatten)]
    pub scf: scf::ScfArgs,
}

/// Further outputs of the table.
#[derive(Args, Clone)]
pub struct ExportArgs {
    /// File for the table as Markdown; `-` is standard output
    #[arg(long, value_name = "FILE", alias = "export-markdown")]
    pub markdown: Option<PathBuf>,
    /// File for the numbers as CSV; `-` is standard output
    #[arg(long, value_name = "FILE", alias = "export-csv")]
    pub csv: Option<PathBuf>,
}

impl RunArgs {
    /// Loads every image, from registries with `access` and the flags.
    pub fn targets(&self, access: &Access) -> Result<Vec<Target>, String> {
        let mut access = access.clone();
        access.trust.ca.extend(self.ca.iter().cloned());
        access.trust.insecure.extend(self.insecure_registry.iter().cloned());
        let default = [DEFAULT_IMAGE.to_owned()];
        let named = [&self.places[..], &self.images[..]].concat();
        if named.is_empty() && !Path::new(DEFAULT_IMAGE).exists() {
            return Err(format!(
                "no image is named, and `{DEFAULT_IMAGE}` does not exist; type `coldstart IMAGE`: \
                 IMAGE is the folder of an OCI layout, the file of `docker save`, or HOST/NAME:TAG"
            ));
        }
        let images = if named.is_empty() { &default[..] } else { &named[..] };
        let mut targets: Vec<Target> = Vec::new();
        for text in images {
            let (name, place) = match text.split_once('=') {
                Some((name, place)) if !name.contains('/') => (Some(name.to_owned()), place),
                _ => (None, text.as_str()), // a path may contain a `=`
            };
            let image = source::load_through(place, "amd64", &access).map_err(|e| e.to_string())?;
            let name = name.unwrap_or_else(|| short_name(image.reference().unwrap_or(place)));
            if targets.iter().any(|t| t.name == name) {
                return Err(format!(
                    "two images have the name `{name}`; give them names with `--image NAME=PATH`"
                ));
            }
            let port = self.port.unwrap_or_else(|| port_of(&image));
            targets.push(Target { name, image, port });
        }
        Ok(targets)
    }

    /// Every image with every link, scenario and page-cache state. A case without registry is
    /// measured once, with the first link.
    ///
    /// # Errors
    /// What the docker engine cannot do.
    pub fn definition(&self, targets: &[Target]) -> Result<Definition, String> {
        if self.memory.len() > 1 {
            return Err("several memory settings need `--engine scf`; give one".into());
        }
        if let Some(flag) = self.scf.first_set() {
            return Err(format!("`{flag}` is for `--engine scf` only"));
        }
        let daemon = self.engine != EngineKind::Embedded;
        let all_links = [Link::loopback(), Link::same_region(), Link::cross_region()];
        let links = match (daemon, self.links.is_empty()) {
            (true, true) => &all_links[..1],
            (false, true) => &all_links[..],
            (_, false) => &self.links[..],
        };
        let plain = links.iter().all(|l| !l.is_shaped())
            && self.page_caches.iter().all(|&p| p == PageCache::Warm);
        if daemon && !plain {
            return Err(format!(
                "the {} engine measures on loopback, with a warm page cache; use `--engine \
                 embedded` for the rest",
                self.engine
            ));
        }
        let all_scenarios = [Scenario::Cold, Scenario::Accelerated, Scenario::Provisioned];
        let scenarios =
            if self.scenarios.is_empty() { &all_scenarios[..] } else { &self.scenarios[..] };
        let mut cases = Vec::new();
        for variant in 0..targets.len() {
            for &scenario in scenarios {
                let links = if scenario == Scenario::Cold { links } else { &links[..1] };
                for link in links {
                    for &page_cache in &self.page_caches {
                        // An instance that listens has read its files: there is nothing to evict.
                        if scenario == Scenario::Provisioned && page_cache == PageCache::Evicted {
                            continue;
                        }
                        for burst in self.burst_sizes() {
                            cases.push(Case {
                                variant,
                                link: link.clone(),
                                scenario,
                                page_cache,
                                burst: burst.into(),
                            });
                        }
                    }
                }
            }
        }
        if cases.is_empty() {
            return Err(
                "a provisioned instance has read its files already; leave out `--page-cache \
                        evicted`, or that scenario"
                    .into(),
            );
        }
        Ok(Definition {
            cases,
            samples: self.samples.unwrap_or(DEFAULT_SAMPLES) as usize,
            warmups: self.warmups as usize,
            seed: self.seed,
            notes: Vec::new(),
        })
    }

    /// Whether the largest burst must be found.
    pub fn ramps(&self) -> bool {
        self.bursts.contains(&Burst::Auto)
    }

    /// The bursts that were given as numbers.
    pub fn asked_for(&self) -> Vec<usize> {
        let number = |burst: &Burst| match burst {
            Burst::Of(n) => Some(usize::from(*n)),
            Burst::Auto => None,
        };
        self.bursts.iter().filter_map(number).collect()
    }

    /// Every burst that may be measured, without duplicates, ascending.
    fn burst_sizes(&self) -> BTreeSet<u16> {
        let of = |burst: &Burst| match burst {
            Burst::Of(n) => vec![*n],
            Burst::Auto => RAMP.to_vec(),
        };
        self.bursts.iter().flat_map(of).collect()
    }

    /// Sets the defaults of a run of baselines: every image must give the same answer, and a 250
    /// MiB image over a slow link takes minutes, so only on request.
    pub fn for_baselines(mut self) -> Self {
        self.samples = self.samples.or(Some(10));
        if self.links.is_empty() && self.engine == EngineKind::Embedded {
            self.links = vec![Link::loopback(), Link::same_region()];
        }
        if self.request.is_none() && self.event.is_none() {
            self.expect = self.expect.or_else(|| Some(coldstart::baselines::ANSWER.to_owned()));
        }
        self
    }

    /// The request that ends a start.
    pub fn ask(&self) -> Ask {
        match &self.event {
            Some(event) => Ask::of_event(event.clone()),
            None => self.request.clone().unwrap_or_default(),
        }
    }

    pub fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline)
    }

    pub fn limits(&self) -> ResourceLimits {
        ResourceLimits {
            memory_bytes: self.memory.first().map(|mib| mib.saturating_mul(1 << 20)),
            cpu_millis: self.cpus.map(|cores| (cores.clamp(0.001, 1024.0) * 1000.0) as u32),
        }
    }

    pub fn load(&self) -> Load {
        Load { requests_per_second: self.rate.max(0.0), memory_mib: self.function_memory }
    }

    /// Notes for a reader of the results.
    pub fn notes(&self) -> Vec<String> {
        let mut notes =
            match self.engine {
                // The run's definition makes its notes.
                EngineKind::Scf | EngineKind::Lambda | EngineKind::Fc => Vec::new(),
                EngineKind::Embedded => vec![
                "links are modelled: rate, round trip, a handshake and TCP's slow start, on \
                 loopback"
                    .to_owned(),
                "the registry serves from memory; just-unpacked files are in the page cache \
                 unless a run says evicted"
                    .to_owned(),
                "provisioned: the instance has been seen listening and has answered nothing yet"
                    .to_owned(),
            ],
                kind => vec![
                match kind {
                    EngineKind::Containerd => "start counts from `ctr tasks start`, which creates \
                                               the task too; containerd exposes no exec time",
                    _ => "start counts from the start request to the engine, which exposes no \
                          exec time",
                }
                .to_owned(),
                "provisioned: the instance has been seen listening and has answered nothing yet"
                    .to_owned(),
                format!(
                    "accelerated: `{}` of a local archive takes the place of unpack",
                    match kind {
                        EngineKind::Containerd => "ctr images import".to_owned(),
                        _ => format!("{kind} load"),
                    }
                ),
                "the registry is the distribution server on loopback, its storage in the page \
                 cache"
                    .to_owned(),
                "the image is removed before each cold sample; on an ext4 without a journal the \
                 engine's next unpack pays for that too"
                    .to_owned(),
            ],
            };
        if self.limits().is_empty() {
            notes.push("instances have no memory or CPU limit (`--memory`, `--cpus`)".into());
        }
        notes.extend(
            self.memory.first().map(|mib| format!("instances are limited to {mib} MiB of memory")),
        );
        notes.extend(self.cpus.map(|cores| format!("instances are limited to {cores} cores")));
        notes.extend(
            self.request
                .as_ref()
                .map(|ask| format!("the request that ends a start: {}", ask.describe())),
        );
        notes.extend(self.event.is_some().then(|| "the event was given with `--event`".into()));
        if self.engine != EngineKind::Embedded && self.bursts != [Burst::Of(1)] {
            notes.push(
                "a burst's instances are on one node: the engine brings the image once for all of \
                 them"
                    .into(),
            );
        }
        if self.burst_interval > 0 {
            notes
                .push(format!("{} ms between two intended starts of a burst", self.burst_interval));
        }
        if self.page_caches.contains(&PageCache::Evicted) {
            notes.push(
                "evicted: the rootfs before a start, stored blobs before an accelerated one; \
                 just-pulled blobs stay"
                    .into(),
            );
        }
        notes
    }
}

/// The port of an image's program, by the image: PORT, which programs read; then the platform's
/// port if it is exposed; then the lowest exposed one.
fn port_of(image: &Image) -> u16 {
    let own = image.env().iter().find_map(|line| line.strip_prefix("PORT=")?.parse().ok());
    let exposed = image.tcp_ports();
    match own {
        Some(port @ 1..) => port,
        _ if exposed.contains(&DEFAULT_PORT) => DEFAULT_PORT,
        _ => exposed.first().copied().unwrap_or(DEFAULT_PORT),
    }
}

/// JSON, or `@` and a file of it.
fn event(text: &str) -> Result<String, String> {
    let event = match text.strip_prefix('@') {
        Some(file) => fs::read_to_string(file).map_err(|e| format!("cannot read `{file}`: {e}"))?,
        None => text.to_owned(),
    };
    serde_json::from_str::<serde::de::IgnoredAny>(&event)
        .map(|_| event)
        .map_err(|why| format!("it is not JSON: {why}"))
}

/// `64`, or `auto`.
fn burst(text: &str) -> Result<Burst, String> {
    match text.parse::<u16>() {
        _ if text == "auto" => Ok(Burst::Auto),
        Ok(n) if (1..=RAMP[RAMP.len() - 1]).contains(&n) => Ok(Burst::Of(n)),
        _ => Err(format!("write a number from 1 to {}, or `auto`", RAMP[RAMP.len() - 1])),
    }
}

/// `[NAME=]PLACE`, with a name that a registry accepts (distribution-spec, "Pulling manifests": a
/// component of `<name>`), because it becomes part of references and files.
fn image_argument(text: &str) -> Result<String, String> {
    let Some((name, _)) = text.split_once('=').filter(|(name, _)| !name.contains('/')) else {
        return Ok(text.to_owned());
    };
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits = name.starts_with(plain)
        && name.ends_with(plain)
        && name.len() <= 64
        && name.chars().all(|c| plain(c) || c == '-');
    let hint = "use lower-case letters and digits, with `-` between them";
    fits.then(|| text.to_owned())
        .ok_or_else(|| format!("`{name}` cannot be an image's name: {hint}"))
}

/// A part of a file's name, without path separators.
fn record_name(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    fits.then(|| text.to_owned()).ok_or_else(|| "use letters, digits and `-` only".into())
}

/// `echo` of `registry/folder/echo:tag`, of `target/image/oci` and of `dir/echo.tar`; a name that a
/// registry accepts.
pub fn short_name(text: &str) -> String {
    let text = text.split('@').next().unwrap_or(text);
    let last = text.rsplit('/').next().unwrap_or(text);
    let last = last.split(':').next().unwrap_or(last).trim_end_matches(".tar");
    let name: String = last
        .to_ascii_lowercase()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "image".into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use microimage::digest::Digest;
    use microimage::image::{Blob, media_type};

    /// An image with these ports and this environment.
    fn image(ports: &[&str], env: &[&str]) -> Image {
        let exposed: serde_json::Map<_, _> =
            ports.iter().map(|port| ((*port).to_owned(), serde_json::json!({}))).collect();
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux",
            "config": {"ExposedPorts": exposed, "Env": env},
            "rootfs": {"type": "layers", "diff_ids": []},
        });
        let config = config.to_string().into_bytes();
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "layers": [],
            "config": {"mediaType": media_type::OCI_CONFIG, "digest": Digest::of(&config),
                "size": config.len()},
        });
        Image::from_parts(manifest.to_string().into_bytes(), config, |_| Blob::from_bytes([]))
            .expect("consistent")
    }

    /// Regression: of `53/udp` and `9000/tcp`, port 53 was used, over TCP.
    #[test]
    fn the_port_is_an_exposed_tcp_port() {
        for (ports, env, expected) in [
            (&["53/udp", "9000/tcp"][..], &[][..], 9000),
            (&["53/udp", "8080"], &[], 8080),
            (&["8080"], &[], 8080),
            (&["10000/tcp", "8080/tcp"], &[], 8080),
            (&["80/tcp", "9000/tcp"], &[], 9000),
            (&["3000-3002/TCP"], &[], 3000),
            (&["53/udp"], &[], 9000),
            (&["9000/sctp", "x", "70000", "0"], &[], 9000),
            (&[], &[], 9000),
            (&["80/tcp", "3000/tcp"], &["PORT=3000"], 3000),
            (&["80/tcp"], &["PORT=http"], 80),
        ] {
            assert_eq!(port_of(&image(ports, env)), expected, "{ports:?} {env:?}");
        }
    }

    #[test]
    fn an_image_needs_no_flag() {
        for line in [
            &["coldstart", "a/oci", "b.tar", "--samples", "3"][..],
            &["coldstart", "run", "a/oci", "b.tar"],
            &["coldstart", "--image", "b.tar", "a/oci"],
        ] {
            let cli = Cli::try_parse_from(line).expect("understood");
            let run = match cli.command {
                Some(Command::Run(run)) => run,
                None => cli.run,
                Some(_) => panic!("another command: {line:?}"),
            };
            let mut named = [run.places, run.images].concat();
            named.sort();
            assert_eq!(named, ["a/oci", "b.tar"], "{line:?}");
        }
        let compare = Cli::try_parse_from(["coldstart", "compare", "a", "b"]).expect("understood");
        assert!(matches!(compare.command, Some(Command::Compare { .. })));
    }
}
