//! plan.json (docs/CONTRACTS.md, section 9), and the file of a shard, from which the whole plan can
//! be joined: it has the counts as whole numbers, so that the merged plan has the same bytes as
//! that of one run.

use super::bill::{self, Price};
use super::estimate::{self, Share};
use super::pool::Usage;
use super::sweep::Scenario;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The schema's number; a reader refuses any other.
pub const SCHEMA: u32 = 1;

/// Values that apply to all scenarios of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The seed of all random numbers.
    pub seed: u64,
    /// The flags and the rules as they were used.
    pub inputs: Value,
    /// The target of `auto`.
    pub target: Option<String>,
    /// Platform whose rules and prices apply.
    pub platform: String,
    /// Currency of the bill.
    pub currency: String,
    /// Starts per window that the platform allows, if the plan does not limit them.
    pub allowed_starts: Option<u64>,
    /// Whether cold starts are billed as running time.
    pub init_billed: bool,
    /// What a reader must know.
    pub notes: Vec<String>,
}

/// plan.json.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// See [`SCHEMA`].
    pub schema: u32,
    /// `plan`.
    pub kind: &'static str,
    /// The seed of all random numbers.
    pub seed: u64,
    /// Requests of a scenario that count: served or refused.
    pub requests: u64,
    /// The flags and the rules as they were used.
    pub inputs: Value,
    /// A row each.
    pub scenarios: Vec<Row>,
    /// What a reader must know.
    pub notes: Vec<String>,
}

/// A scenario of plan.json.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Its difference from the others.
    pub name: String,
    /// Provisioned instances: the number, or the largest number of a policy.
    pub provisioned: u64,
    /// Share of cold starts among served requests.
    pub cold_share: Share,
    /// Share of refused requests among all requests.
    pub refused_share: Share,
    /// From arrival to end, in nanoseconds.
    pub latency_ns: Latency,
    /// Number of instances.
    pub instances: Instances,
    /// The bill; `None` if no price is known.
    pub cost: Option<Cost>,
}

/// Quantiles; `None`: withheld, and a note says why.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// The median.
    pub p50: Option<u64>,
    /// Exceeded by one request in a hundred.
    pub p99: Option<u64>,
    /// Exceeded by one request in a thousand.
    pub p999: Option<u64>,
}

/// Instances, provisioned ones included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Instances {
    /// Mean over time.
    pub mean: f64,
    /// Largest number at once.
    pub peak: u64,
}

/// Cost of the simulated requests.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cost {
    /// The currency, as ISO 4217 writes it.
    pub currency: &'static str,
    /// Date from which the prices are valid.
    pub price_date: &'static str,
    /// Of the requests themselves.
    pub requests: f64,
    /// Of the time that they ran.
    pub compute: f64,
    /// Cost of idle provisioned instances, by the platform's windows.
    pub idle_low: f64,
    /// Cost of idle provisioned instances, at each instant.
    pub idle_high: f64,
    /// Total with `idle_low`.
    pub total_low: f64,
    /// Total with `idle_high`.
    pub total_high: f64,
}

/// Result of one shard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shard {
    /// See [`SCHEMA`].
    pub schema: u32,
    /// See [`SHARD_KIND`].
    pub kind: String,
    /// Number of the shard, from 1.
    pub shard: u64,
    /// Number of shards.
    pub of: u64,
    /// Equal in all shards of a plan.
    pub header: Header,
    /// The scenarios of each of its jobs, by the number of the job.
    pub jobs: Vec<(u64, Vec<Scenario>)>,
}

/// Value of a shard's `kind`.
pub const SHARD_KIND: &str = "plan-shard";

/// Mean number of instances.
pub fn mean_instances(usage: &Usage) -> f64 {
    (usage.on_demand_ns + usage.provisioned_ns) as f64 / usage.length_ns.max(1) as f64
}

impl Plan {
    /// The plan of these scenarios.
    pub fn new(header: &Header, scenarios: &[Scenario], price: Option<Price>) -> Self {
        let mut notes = header.notes.clone();
        let rows: Vec<Row> =
            scenarios.iter().map(|scenario| row(header, scenario, price, &mut notes)).collect();
        let over =
            |s: &&Scenario| header.allowed_starts.is_some_and(|n| s.tally.usage.most_starts > n);
        if let Some(busiest) =
            scenarios.iter().filter(over).max_by_key(|s| s.tally.usage.most_starts)
        {
            notes.push(format!(
                "{}: {} instances were started in one minute; {} starts {} and refuses the rest \
                 (`--platform {}` plays that)",
                busiest.name,
                busiest.tally.usage.most_starts,
                header.platform,
                header.allowed_starts.unwrap_or_default(),
                header.platform
            ));
        }
        let requests = scenarios.first().map_or(0, |s| s.tally.all.served + s.tally.all.refused);
        Self {
            schema: SCHEMA,
            kind: "plan",
            seed: header.seed,
            requests,
            inputs: header.inputs.clone(),
            scenarios: rows,
            notes,
        }
    }

    /// The text of the file.
    pub fn to_json(&self) -> String {
        // A plan can always be written: its maps have strings as keys.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

fn row(header: &Header, scenario: &Scenario, price: Option<Price>, notes: &mut Vec<String>) -> Row {
    let (tally, name) = (&scenario.tally, &scenario.name);
    let mut quantile = |q| match estimate::latency_ns(tally, q, scenario.samples) {
        Ok(ns) => Some(ns),
        Err(why) => {
            notes.push(format!("{name}: {why}"));
            None
        }
    };
    let latency_ns = Latency { p50: quantile(0.5), p99: quantile(0.99), p999: quantile(0.999) };
    let cost = price.map(|price| {
        let cost = price.of(tally, scenario.memory_mib, header.init_billed);
        Cost {
            currency: price.currency,
            price_date: price.date,
            requests: bill::units(cost.requests_pico),
            compute: bill::units(cost.compute_pico),
            idle_low: bill::units(cost.idle_low_pico),
            idle_high: bill::units(cost.idle_high_pico),
            total_low: bill::units(cost.total_low_pico()),
            total_high: bill::units(cost.total_high_pico()),
        }
    });
    Row {
        name: name.clone(),
        provisioned: scenario.provisioned,
        cold_share: estimate::cold_share(tally),
        refused_share: estimate::refused_share(tally),
        latency_ns,
        instances: Instances {
            mean: mean_instances(&tally.usage),
            peak: tally.usage.peak_instances,
        },
        cost,
    }
}

impl Shard {
    /// The text of the file.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }

    /// Joins shards, in any order.
    ///
    /// # Errors
    /// One line: which shard is missing, double, or of another plan.
    pub fn merge(shards: Vec<(String, Self)>) -> Result<(Header, Vec<Scenario>), String> {
        let (first_name, first) =
            shards.first().ok_or("nothing to merge: give the shards' files")?;
        let (header, of) = (first.header.clone(), first.of);
        let mut seen = std::collections::BTreeMap::new();
        for (name, shard) in &shards {
            if shard.of != of || shard.header != header {
                return Err(format!(
                    "`{name}` is a shard of another plan than `{first_name}`: the same flags must \
                     be given to each"
                ));
            }
            if let Some(other) = seen.insert(shard.shard, name) {
                return Err(format!("`{name}` and `{other}` are both shard {}/{of}", shard.shard));
            }
        }
        if let Some(missing) = (1..=of).find(|n| !seen.contains_key(n)) {
            return Err(format!("shard {missing}/{of} is missing"));
        }
        let mut jobs: Vec<_> = shards.into_iter().flat_map(|(_, shard)| shard.jobs).collect();
        jobs.sort_by_key(|(number, _)| *number);
        Ok((header, jobs.into_iter().flat_map(|(_, scenarios)| scenarios).collect()))
    }
}

/// Reads the file of a shard.
///
/// # Errors
/// One line.
pub fn read_shard(name: &str, text: &str) -> Result<Shard, String> {
    let wrong = |why: String| {
        format!("`{name}` is not the file of a shard: {why}; it is written by `--shard I/N --json`")
    };
    let shard: Shard = serde_json::from_str(text).map_err(|e| wrong(e.to_string()))?;
    match (shard.schema, shard.kind.as_str()) {
        (SCHEMA, SHARD_KIND) => Ok(shard),
        (schema, kind) => Err(wrong(format!("it is `{kind}` of schema {schema}"))),
    }
}
