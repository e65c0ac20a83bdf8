//! Flags of `--engine scf`: their meaning, and checks of their combinations. It sends nothing.

use super::{Burst, RunArgs, short_name};
use clap::Args;
use coldstart::request::TIMER_EVENT;
use coldstart::results::{ColdBy, PageCache, Scenario};
use coldstart::scf::client::Endpoint;
use coldstart::scf::names;
use microimage::registry;
use scaffold::deploy::function::{Function, PublicNet};
use scaffold::deploy::image::Made;
use std::fs;
use std::path::{Path, PathBuf};

/// Default turns of each case: sufficient for a median and its interval; p90 needs 50, p99
/// hundreds.
const DEFAULT_SAMPLES: u32 = 30;
/// The file of `just image`, relative to function.toml, with the digest that pins its image.
const MADE: &str = "target/image/image.json";

/// Measuring on the platform itself.
#[derive(Args, Clone)]
#[command(next_help_heading = "Tencent Cloud SCF (--engine scf)")]
pub struct ScfArgs {
    /// The region, for example ap-guangzhou; by default TENCENTCLOUD_REGION's or the profile's
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// A profile of tccli, in place of the key in the environment
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// The namespace of the functions: firstbyte-bench, made and deleted; any other namespace is
    /// kept
    #[arg(long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// What makes an instance cold; only new-layer has bytes that no node can have, and only then
    /// is there a verdict on acceleration
    #[arg(long, value_enum)]
    pub cold_by: Option<ColdBy>,
    /// A function.toml with image, region, memory, limits, environment, command, args, role, log
    /// and networks
    #[arg(long, value_name = "FILE")]
    pub function: Option<PathBuf>,
    /// The enterprise registry that the images are in
    #[arg(long, value_name = "ID")]
    pub registry_id: Option<String>,
    /// Seconds that a request may take, 1 to 300; 3 by default
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=300))]
    pub timeout: Option<u64>,
    /// Seconds that pull and start may take, 3 to 300; 90 by default
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(3..=300))]
    pub init_timeout: Option<u64>,
    /// Log set and topic of CLS that the functions log to; by default function.toml's, or the
    /// platform's own
    #[arg(long, value_name = "LOGSET/TOPIC")]
    pub cls_topic: Option<String>,
    /// Seconds to wait for the last logs; 300 by default
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub log_wait: Option<u64>,
    /// Seconds after which a request that ended without a start in its log was warm; 20 by default
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub log_settle: Option<u64>,
    /// Seconds within which provisioned instances must start; 330 by default
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub provision_wait: Option<u64>,
    /// Largest number of new instances to request in a minute; 450 by default, of the 500 that a
    /// region starts for all functions of the account together
    #[arg(long, value_name = "INSTANCES", value_parser = clap::value_parser!(u64).range(1..))]
    pub pace: Option<u64>,
    /// Another endpoint of SCF's API; plain HTTP on this machine only
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// Another endpoint of CLS's API; by default that of --endpoint
    #[arg(long, value_name = "URL")]
    pub cls_endpoint: Option<String>,
    /// File that lists the created resources; OUT/ledger.json by default
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
    /// Do not ask before resources are made or deleted
    #[arg(long)]
    pub yes: bool,
    /// Delete the resources that a run has left, by its ledger, and end
    #[arg(long, value_name = "LEDGER")]
    pub clean_up: Option<PathBuf>,
}

/// An image as the user names it.
pub struct Named {
    /// The variant's name.
    pub name: String,
    /// `HOST/NAMESPACE/NAME:TAG@sha256:…`.
    pub reference: String,
    /// The enterprise registry.
    pub registry_id: Option<String>,
}

/// Settings from the flags and function.toml.
pub struct Asked {
    pub images: Vec<Named>,
    pub region: Option<String>,
    pub memories: Vec<u64>,
    pub scenarios: Vec<Scenario>,
    pub bursts: Vec<u64>,
    pub samples: u64,
    pub timeout_s: u64,
    pub init_timeout_s: u64,
    pub role: Option<String>,
    pub command: Option<String>,
    pub args: Option<String>,
    pub vpc: Option<(String, String)>,
    pub public_net: Option<bool>,
    pub environment: Vec<(String, String)>,
    pub event: String,
    pub namespace: String,
    pub log: Option<(String, String)>,
    pub endpoint: Option<Endpoint>,
    pub cls_endpoint: Option<Endpoint>,
}

impl ScfArgs {
    /// A flag that another engine does not have.
    pub fn first_set(&self) -> Option<&'static str> {
        let set = [
            (self.region.is_some(), "--region"),
            (self.profile.is_some(), "--profile"),
            (self.namespace.is_some(), "--namespace"),
            (self.cold_by.is_some(), "--cold-by"),
            (self.function.is_some(), "--function"),
            (self.registry_id.is_some(), "--registry-id"),
            (self.timeout.is_some(), "--timeout"),
            (self.init_timeout.is_some(), "--init-timeout"),
            (self.cls_topic.is_some(), "--cls-topic"),
            (self.log_wait.is_some(), "--log-wait"),
            (self.log_settle.is_some(), "--log-settle"),
            (self.provision_wait.is_some(), "--provision-wait"),
            (self.pace.is_some(), "--pace"),
            (self.endpoint.is_some(), "--endpoint"),
            (self.cls_endpoint.is_some(), "--cls-endpoint"),
            (self.ledger.is_some(), "--ledger"),
            (self.yes, "--yes"),
        ];
        set.into_iter().find(|(set, _)| *set).map(|(_, flag)| flag)
    }

    /// Both endpoints, if they differ from the public ones.
    pub fn endpoints(&self) -> Result<(Option<Endpoint>, Option<Endpoint>), String> {
        let read = |text: &Option<String>| {
            text.as_deref().map(Endpoint::parse).transpose().map_err(|e| e.to_string())
        };
        let scf = read(&self.endpoint)?;
        Ok((scf.clone(), read(&self.cls_endpoint)?.or(scf.filter(Endpoint::is_loopback))))
    }
}

impl RunArgs {
    /// Reads flags and function.toml for a run on SCF.
    pub fn asked_of_scf(&self) -> Result<Asked, String> {
        self.has_nothing_of_other_engines()?;
        let of = &self.scf;
        let function = of.function.as_deref().map(read_function).transpose()?;
        let function = function.as_ref();
        let (endpoint, cls_endpoint) = of.endpoints()?;
        let stand_in = endpoint.as_ref().is_some_and(Endpoint::is_loopback);
        let images = self.named_images(function, stand_in)?;
        let mut memories = self.memory.clone();
        if memories.is_empty() {
            memories.push(function.map_or(128, |(f, _)| u64::from(f.memory_mb)));
        }
        memories.sort_unstable();
        memories.dedup();
        let fits =
            |mib: &u64| *mib == 64 || (mib.is_multiple_of(128) && (128..=122_880).contains(mib));
        if let Some(wrong) = memories.iter().find(|mib| !fits(mib)) {
            return Err(format!(
                "`--memory {wrong}`: it has to be 64, or 128 to 3072 in steps of 128"
            ));
        }
        let mut bursts = self.asked_for().into_iter().map(|n| n as u64).collect::<Vec<_>>();
        bursts.sort_unstable();
        bursts.dedup();
        let all = [Scenario::Cold, Scenario::Accelerated, Scenario::Provisioned];
        let mut scenarios =
            if self.scenarios.is_empty() { all.to_vec() } else { self.scenarios.clone() };
        scenarios.dedup();
        let event = self.event.clone().unwrap_or_else(|| TIMER_EVENT.into());
        let log = match of.cls_topic.as_deref().map(|text| text.split_once('/')) {
            None => function
                .and_then(|(f, _)| f.log.as_ref())
                .map(|log| (log.logset_id.clone(), log.topic_id.clone())),
            Some(Some((set, topic))) if !set.is_empty() && !topic.is_empty() => {
                Some((set.to_owned(), topic.to_owned()))
            }
            Some(_) => {
                return Err("invalid `--cls-topic`; write LOGSET/TOPIC, two ids of CLS".into());
            }
        };
        let namespace = of.namespace.clone().unwrap_or_else(|| names::PREFIX.into());
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if namespace.is_empty() || namespace.len() > 60 || !namespace.chars().all(plain) {
            return Err(format!("`--namespace {namespace}`: use letters, digits, `-` and `_`"));
        }
        Ok(Asked {
            images,
            region: of.region.clone().or(function.map(|(f, _)| f.region.clone())),
            memories,
            scenarios,
            bursts,
            samples: u64::from(self.samples.unwrap_or(DEFAULT_SAMPLES)),
            timeout_s: of
                .timeout
                .or(function.map(|(f, _)| u64::from(f.timeout_s).min(300)))
                .unwrap_or(3),
            init_timeout_s: of
                .init_timeout
                .or(function.and_then(|(f, _)| f.init_timeout_s).map(u64::from))
                .unwrap_or(90),
            role: function.and_then(|(f, _)| f.role.clone()),
            command: function.and_then(|(f, _)| f.command.clone()),
            args: function.and_then(|(f, _)| f.args.as_ref()).map(|args| args.join(" ")),
            vpc: function
                .and_then(|(f, _)| f.vpc.as_ref())
                .map(|vpc| (vpc.vpc_id.clone(), vpc.subnet_id.clone())),
            public_net: function.and_then(|(f, _)| f.public_net).map(|net| net != PublicNet::Off),
            environment: function
                .map(|(f, _)| f.environment.clone().into_iter().collect())
                .unwrap_or_default(),
            event,
            namespace,
            log,
            endpoint,
            cls_endpoint,
        })
    }

    fn has_nothing_of_other_engines(&self) -> Result<(), String> {
        let set = [
            (!self.links.is_empty(), "--link", "the link is the region's own"),
            (
                self.page_caches != [PageCache::Warm],
                "--page-cache",
                "a node's cache cannot be seen",
            ),
            (self.runtime.is_some(), "--runtime", "the platform has its own"),
            (self.network, "--network", "the function's own settings define its network"),
            (self.cpus.is_some(), "--cpus", "they come with `--memory`"),
            (self.port.is_some(), "--port", "it is 9000"),
            (self.request.is_some(), "--request", "it is an event: `--event JSON`"),
            (self.expect.is_some(), "--expect", "replies are not compared"),
            (self.burst_interval > 0, "--burst-interval", "all calls of a burst go at once"),
            (
                self.bursts.contains(&Burst::Auto),
                "--burst auto",
                "a cloud is never saturated: give numbers, up to 500",
            ),
        ];
        match set.into_iter().find(|(set, ..)| *set) {
            Some((_, flag, why)) => Err(format!("`{flag}` has no meaning on SCF: {why}")),
            None => Ok(()),
        }
    }

    fn named_images(
        &self,
        function: Option<&(Function, PathBuf)>,
        stand_in: bool,
    ) -> Result<Vec<Named>, String> {
        let named = [&self.places[..], &self.images[..]].concat();
        let mut images: Vec<Named> = Vec::new();
        for text in &named {
            let (name, reference) = match text.split_once('=') {
                Some((name, rest)) if !name.contains('/') => (Some(name.to_owned()), rest),
                _ => (None, text.as_str()),
            };
            let name = name.unwrap_or_else(|| short_name(reference));
            let registry_id = self.scf.registry_id.clone();
            images.push(Named { name, reference: reference.to_owned(), registry_id });
        }
        if let (true, Some((function, path))) = (images.is_empty(), function) {
            if function.web {
                return Err(format!(
                    "`{}` belongs to a Web function: the API calls event functions only",
                    path.display()
                ));
            }
            let made = path.parent().unwrap_or(Path::new("")).join(MADE);
            let digest = Made::read(&made).map_err(|e| e.to_string())?.digest;
            images.push(Named {
                name: short_name(&function.image.to_string()),
                reference: format!("{}@{digest}", function.image),
                registry_id: self.scf.registry_id.clone().or(function.registry_id.clone()),
            });
        }
        if images.is_empty() {
            return Err("no image is named: `--image HOST/NAMESPACE/NAME:TAG@sha256:…`, as \
                        `microimage push` prints it, or `--function function.toml`"
                .into());
        }
        for (at, image) in images.iter().enumerate() {
            check_image(image, stand_in)?;
            if images[..at].iter().any(|other| other.name == image.name) {
                return Err(format!(
                    "two images have the name `{}`; give them names with `--image NAME=REF`",
                    image.name
                ));
            }
        }
        Ok(images)
    }
}

fn read_function(path: &Path) -> Result<(Function, PathBuf), String> {
    let text = fs::read_to_string(path)
        .map_err(|e| format!("`{}` cannot be read: {e}", path.display()))?;
    let function = Function::parse(&text).map_err(|e| e.to_string())?;
    Ok((function, path.to_owned()))
}

/// Checks that a reference is pinned, and in a registry from which the platform pulls.
fn check_image(image: &Named, stand_in: bool) -> Result<(), String> {
    let text = &image.reference;
    let parsed = registry::parse_reference(text).map_err(|e| e.to_string())?;
    if parsed.digest().is_none() || parsed.tag().is_none() {
        return Err(format!(
            "`{text}` is not pinned; write tag and digest, `HOST/NAMESPACE/NAME:TAG@sha256:…`, so \
             that every sample has the same bytes"
        ));
    }
    let host = parsed.registry();
    let enterprise = host.ends_with(".tencentcloudcr.com");
    if !stand_in && !enterprise && !host.ends_with("ccs.tencentyun.com") {
        return Err(format!(
            "`{text}` is at {host}: SCF pulls from Tencent's own registries only \
             (ccr.ccs.tencentyun.com, NAME.tencentcloudcr.com), in the function's region"
        ));
    }
    if enterprise && image.registry_id.is_none() {
        return Err(format!("`{text}` is in an enterprise registry: add `--registry-id tcr-…`"));
    }
    Ok(())
}
