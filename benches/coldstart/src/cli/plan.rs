//! Flags of `coldstart plan`, and the sweep of scenarios and the plan's header made of them. Each
//! mistake is one line with what to type.

use clap::{Args, Subcommand};
use coldstart::plan::arrivals::Shape;
use coldstart::plan::cold::ColdTable;
use coldstart::plan::distribution::{Distribution, SAMPLES_LIMIT_BYTES};
use coldstart::plan::document::Header;
use coldstart::plan::duration::{self, LONGEST_RUN_NS, SECOND_NS};
use coldstart::plan::fleet::Functions;
use coldstart::plan::limiter::StartLimit;
use coldstart::plan::measured::{self, Measured};
use coldstart::plan::pool::Reuse;
use coldstart::plan::provision::Policy;
use coldstart::plan::rules::{Currency, Platform};
use coldstart::plan::sweep::{Ask, REQUESTS, Source, Sweep};
use coldstart::plan::target::Target;
use coldstart::plan::trace::{Placement, Trace};
use coldstart::results::Results;
use serde_json::json;
use std::path::{Path, PathBuf};

/// The file of `--cold from-results` if none is named.
const DEFAULT_RESULTS: &str = "target/coldstart/results.json";
/// No page states SCF's keep-alive, so a plan covers a range.
const DEFAULT_KEEP_ALIVES: &str = "60s,300s,1800s";
/// Target of `auto` without `--target`.
const DEFAULT_TARGET: &str = "cold<=1%";
/// Cold starts of a public cloud (Huawei, EuroSys'25): LogNormal, mean 3.24 s.
const DEFAULT_COLD: &str = "lognormal:1.345s,29.4s";
const DEFAULT_SERVICE: &str = "20ms";
/// The default swing of `diurnal`.
const DEFAULT_SWING: f64 = 0.8;
const MOST_RATE: f64 = 1e7;
const MOST_REQUESTS: u64 = 1_000_000_000_000;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct PlanArgs {
    #[command(subcommand)]
    pub command: Option<PlanCommand>,
    /// A results.json of coldstart: its cold starts, and its requests to ready instances
    pub results: Option<PathBuf>,
    /// Requests per second; several with `,`
    #[arg(long, value_name = "R[,R…]", allow_hyphen_values = true)]
    pub rate: Option<String>,
    /// poisson, constant, diurnal[:SWING], or a FILE: `TIME[,DURATION]` lines in seconds, Azure
    /// 2021's table, or counts per minute
    #[arg(long, value_name = "SHAPE|FILE", default_value = "poisson")]
    pub arrivals: String,
    /// When in its minute a request of a file with counts per minute arrives
    #[arg(long, value_enum, default_value = "poisson")]
    pub placement: Placement,
    /// Service time of a warm request: a duration, lognormal:MEDIAN,P99, exp:MEAN, weibull:K,SCALE,
    /// a file of samples, or from-results
    #[arg(long, value_name = "DURATION|DISTRIBUTION", allow_hyphen_values = true)]
    pub service: Option<String>,
    /// Duration of a cold start, before the request's own time; forms as for --service
    #[arg(long, value_name = "DURATION|DISTRIBUTION|from-results", allow_hyphen_values = true)]
    pub cold: Option<String>,
    /// Provisioned instances: N (several with `,`), auto, target:SHARE[,MIN,MAX], or a FILE with a
    /// timetable of `HH:MM,N` lines
    #[arg(long, value_name = "N|auto|target:0.8|FILE", allow_hyphen_values = true)]
    pub provisioned: Option<String>,
    /// Keep-alive of an idle instance; several with `,`; unknown for SCF, so a range
    #[arg(
        long,
        value_name = "D[,D…]",
        default_value = DEFAULT_KEEP_ALIVES,
        allow_hyphen_values = true
    )]
    pub keep_alive: String,
    /// Which idle instance gets a request; unknown for SCF
    #[arg(long, value_enum, default_value = "newest")]
    pub reuse: Reuse,
    /// Requests that an instance serves at once; the default is the platform's
    #[arg(long, value_name = "N")]
    pub concurrency: Option<u32>,
    /// Functions that share the rate, the limit on starts and the quota: N, or N:EXPONENT where the
    /// k-th has a share of k^-EXPONENT; each function has its own provisioned instances
    #[arg(long, value_name = "N[:EXPONENT]", default_value = "1", allow_hyphen_values = true)]
    pub functions: String,
    /// Largest number of instances of all functions; the default is the platform's quota
    #[arg(long, value_name = "N")]
    pub max_instances: Option<u64>,
    /// Time for which a request holds its instance after its service time
    #[arg(long, value_name = "D", default_value = "0", allow_hyphen_values = true)]
    pub hold: String,
    /// Platform whose quota, prices and start limit apply; without it SCF's, with starts counted
    /// and not limited
    #[arg(long, value_enum)]
    pub platform: Option<Platform>,
    /// The function's memory; several with `,`
    #[arg(long, value_name = "MIB[,MIB…]", default_value = "128", allow_hyphen_values = true)]
    pub memory: String,
    #[arg(long, value_enum, default_value = "cny")]
    pub currency: Currency,
    /// Bill cold starts as running time (the platform's pages do not say; off by default)
    #[arg(long)]
    pub init_billed: bool,
    /// Target for `--provisioned auto`: `cold<=1%`, `p99<=50ms`, `refused<=0.1%`
    #[arg(long, value_name = "TARGET")]
    pub target: Option<String>,
    /// Requests to simulate for each scenario
    #[arg(long, value_name = "N", conflicts_with = "days", allow_hyphen_values = true)]
    pub requests: Option<String>,
    /// Days to simulate, in place of a number of requests
    #[arg(long, value_name = "D", allow_hyphen_values = true)]
    pub days: Option<String>,
    /// The beginning without on-demand instances: left out, or kept, as after a deployment
    #[arg(long, value_enum, default_value = "remove")]
    pub warm_up: WarmUp,
    /// Seed of all random numbers; the same seed gives the same bytes
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Simulate only every N-th scenario, from the I-th on (1/N … N/N); `plan merge` joins the
    /// files
    #[arg(long, value_name = "I/N")]
    pub shard: Option<String>,
    /// Number of threads; it does not change the result
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// File for plan.json
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// File for the report
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Folder for the report's plots as SVG
    #[arg(long, value_name = "DIR")]
    pub plots: Option<PathBuf>,
}

#[derive(Subcommand)]
pub enum PlanCommand {
    /// Join the files of all shards: the same bytes as one run
    Merge {
        /// Files written with `--shard I/N --json FILE`, one per shard
        files: Vec<PathBuf>,
        /// File for plan.json; the default is standard output
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        /// File for the report
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum WarmUp {
    Remove,
    Keep,
}

/// The `i`-th of `n` shards, from 1 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardOf {
    pub i: u64,
    pub n: u64,
}

impl PlanArgs {
    /// The scenarios, and the plan's header.
    ///
    /// # Errors
    /// One line for the first mistake.
    pub fn sweep(&self) -> Result<(Sweep, Header), String> {
        let mut notes = Vec::new();
        let rules = self.platform.unwrap_or(Platform::Scf).rules();
        let starts = match (self.platform, rules.starts) {
            (Some(_), limit) => limit,
            (None, limit) => StartLimit::Unlimited { window_ns: limit.window_ns() },
        };
        let memories_mib = list(&self.memory, "--memory", |text| {
            let mib = text.parse::<u64>().ok().filter(|n| (1..=1 << 20).contains(n));
            mib.ok_or_else(|| "write whole MiB, such as `128`".into())
        })?;
        let keep_alives_ns = list(&self.keep_alive, "--keep-alive", duration::parse)?;
        let hold_ns = duration::parse(&self.hold).map_err(|e| format!("--hold {e}"))?;
        let concurrency = self.concurrency.unwrap_or(rules.concurrency);
        if !(1..=10_000).contains(&concurrency) {
            return Err(format!("`--concurrency {concurrency}` must be from 1 to 10,000"));
        }
        if self.max_instances == Some(0) {
            return Err("`--max-instances 0` lets nothing start; write 1 or more".into());
        }
        let functions =
            Functions::parse(&self.functions).map_err(|e| format!("--functions {e}"))?;
        let source = self.source(&mut notes)?;
        let (requests, length_ns) = self.length(&source)?;
        let measured = self.measured()?;
        let service = self.service(measured.as_ref(), &source, &mut notes)?;
        let colds = self.colds(measured.as_ref(), &mut notes)?;
        let ask = self.ask()?;
        let target = match (&ask, &self.target) {
            (Ask::Auto(target), _) => Some(target.to_string()),
            (_, Some(text)) => {
                Some(text.parse::<Target>().map_err(|e| format!("--target {e}"))?.to_string())
            }
            (_, None) => None,
        };
        let warm_up = self.warm_up == WarmUp::Remove && matches!(source, Source::Shape { .. });
        let sweep = Sweep {
            source,
            requests,
            length_ns,
            service,
            durations: self.service.is_none(),
            colds,
            ask,
            keep_alives_ns,
            memories_mib,
            reuse: self.reuse,
            concurrency,
            functions,
            most_instances: self.max_instances,
            hold_ns,
            rules,
            starts,
            warm_up,
            seed: self.seed,
        };
        self.check(&sweep)?;
        let short = sweep.jobs().iter().filter_map(|job| job.run().short_warm_up_ns()).min();
        notes.extend(short.map(|ns| {
            format!(
                "the warm-up lasts {}, less than the longest keep-alive: instances that a rarer \
                 peak before it would have left are not there",
                duration::short(ns / SECOND_NS * SECOND_NS)
            )
        }));
        self.notes(&sweep, &mut notes);
        let currency = match self.currency {
            Currency::Cny => "cny",
            Currency::Usd => "usd",
        };
        let header = Header {
            seed: self.seed,
            inputs: self.inputs(&sweep, target.as_deref(), measured.as_ref()),
            target,
            platform: rules.name.into(),
            currency: currency.into(),
            allowed_starts: match self.platform {
                Some(_) => None,
                None => rules.starts.count(),
            },
            init_billed: self.init_billed,
            notes,
        };
        Ok((sweep, header))
    }

    /// Parses the number of a shard and of all shards.
    ///
    /// # Errors
    /// One line.
    pub fn shard(&self) -> Result<Option<ShardOf>, String> {
        let Some(text) = &self.shard else { return Ok(None) };
        let of = text.split_once('/').and_then(|(i, n)| {
            Some(ShardOf { i: i.trim().parse().ok()?, n: n.trim().parse().ok()? })
        });
        of.filter(|s| (1..=s.n).contains(&s.i) && s.n <= 1_000_000).map(Some).ok_or_else(|| {
            format!("invalid shard `--shard {text}`; write I/N, from `1/N` to `N/N`, such as `1/8`")
        })
    }

    fn source(&self, notes: &mut Vec<String>) -> Result<Source, String> {
        let (name, swing) = match self.arrivals.split_once(':') {
            Some((name, swing)) if name == "diurnal" => (name, Some(swing)),
            _ => (self.arrivals.as_str(), None),
        };
        let shape = match name {
            "poisson" => Some(Shape::Poisson),
            "constant" => Some(Shape::Constant),
            "diurnal" => {
                let swing = match swing {
                    None => DEFAULT_SWING,
                    Some(text) => {
                        text.parse().ok().filter(|s| (0.0..=1.0).contains(s)).ok_or_else(|| {
                            format!("`--arrivals diurnal:{text}`: write a swing from 0 to 1")
                        })?
                    }
                };
                notes.push(format!(
                    "diurnal: the rate is 1 - {swing} cos(2 pi t / day) times the mean, least at \
                     00:00 and most at 12:00; Poisson, by thinning"
                ));
                Some(Shape::Diurnal { swing })
            }
            _ => None,
        };
        let Some(shape) = shape else {
            let path = Path::new(&self.arrivals);
            if !path.exists() {
                return Err(format!(
                    "`--arrivals {}` is neither poisson, constant or diurnal nor a file that is \
                     there",
                    self.arrivals
                ));
            }
            if self.rate.is_some() {
                notes.push("`--rate` is not used: a trace has its own times".into());
            }
            let trace = Trace::open(path, self.placement).map_err(|e| e.to_string())?;
            notes.push(format!(
                "arrivals: {} requests over {} ({}); a replay begins without on-demand instances",
                trace.requests(),
                duration::short(trace.length_ns()),
                trace.describe()
            ));
            if trace.functions() > 1 {
                notes.push(format!(
                    "the trace has {} functions, each with instances of its own; they share the \
                     limit on starts and the quota, and provisioned instances are each function's",
                    trace.functions()
                ));
            }
            if trace.merged() > 1 {
                notes.push(format!(
                    "the counts of {} functions are added up as if they were one: functions do not \
                     share instances, so cold starts are understated; give one row",
                    trace.merged()
                ));
            }
            return Ok(Source::Trace(trace));
        };
        let rates = list(self.rate.as_deref().unwrap_or("100"), "--rate", |text| {
            let rate = text.parse::<f64>().ok().filter(|r| *r > 0.0 && *r <= MOST_RATE);
            rate.ok_or_else(|| "write requests per second, above 0 and up to 10000000".into())
        })?;
        Ok(Source::Shape { shape, rates })
    }

    fn length(&self, source: &Source) -> Result<(Option<u64>, Option<u64>), String> {
        let requests = match &self.requests {
            None => None,
            Some(text) => {
                let plain = text.replace('_', "");
                let whole = plain.parse::<u64>().ok().or_else(|| {
                    // 1e9
                    let number = plain.parse::<f64>().ok()?;
                    (number.fract() == 0.0 && (0.0..=1e15).contains(&number))
                        .then_some(number as u64)
                });
                Some(whole.filter(|n| (1..=MOST_REQUESTS).contains(n)).ok_or_else(|| {
                    format!("`--requests {text}`: write a whole number from 1 to 10^12")
                })?)
            }
        };
        let length_ns = match &self.days {
            None => None,
            Some(text) => {
                let days = text.parse::<f64>().ok().filter(|d| *d > 0.0 && *d <= 36_525.0);
                let days = days.ok_or_else(|| {
                    format!("`--days {text}`: write a number above 0, at most 36525")
                })?;
                Some((days * duration::DAY_NS as f64) as u64)
            }
        };
        if let Source::Shape { rates, .. } = source {
            for rate in rates {
                let seconds = match (requests, length_ns) {
                    (Some(n), _) => n as f64 / rate,
                    (None, Some(ns)) => {
                        if ns as f64 / 1e9 * rate > MOST_REQUESTS as f64 {
                            return Err(format!(
                                "`--days` at {rate} requests/s are more than 10^12 requests; \
                                 simulate fewer days"
                            ));
                        }
                        ns as f64 / 1e9
                    }
                    (None, None) => REQUESTS as f64 / rate,
                };
                if seconds * SECOND_NS as f64 > LONGEST_RUN_NS as f64 / 2.0 {
                    return Err(format!(
                        "{rate} requests/s make a run longer than 50 years; set `--requests` or \
                         `--days`"
                    ));
                }
            }
        }
        Ok((requests, length_ns))
    }

    /// The results of the bench, if some input comes from them.
    fn measured(&self) -> Result<Option<Measured>, String> {
        let wanted = [&self.cold, &self.service]
            .into_iter()
            .any(|flag| flag.as_deref() == Some("from-results"));
        let path = match (&self.results, wanted) {
            (Some(path), _) => path.clone(),
            (None, true) => PathBuf::from(DEFAULT_RESULTS),
            (None, false) => return Ok(None),
        };
        let results = Results::load(&path).map_err(|e| e.to_string())?;
        let measured =
            measured::read(&results).map_err(|e| format!("`{}`: {e}", path.display()))?;
        Ok(Some(measured))
    }

    fn service(
        &self,
        measured: Option<&Measured>,
        source: &Source,
        notes: &mut Vec<String>,
    ) -> Result<Distribution, String> {
        let from_results = |measured: Option<&Measured>| {
            measured.and_then(|m| m.service.clone()).ok_or_else(|| {
                "`--service from-results`: the results have no request to a ready instance; run \
                 the bench with `--scenario provisioned`"
                    .to_owned()
            })
        };
        let traced = matches!(source, Source::Trace(t) if t.mean_service_ns().is_some());
        match self.service.as_deref() {
            Some("from-results") => from_results(measured),
            Some(text) => {
                Distribution::parse(text, read_samples).map_err(|e| format!("--service {e}"))
            }
            None if measured.is_some_and(|m| m.service.is_some()) && !traced => {
                notes.push(
                    "service times are the bench's requests to ready instances: the handler's own \
                     work may take longer (`--service`)"
                        .into(),
                );
                from_results(measured)
            }
            None => {
                if !traced {
                    notes.push(format!(
                        "service time assumed: {DEFAULT_SERVICE} per request (`--service`)"
                    ));
                }
                Distribution::parse(DEFAULT_SERVICE, read_samples)
            }
        }
    }

    fn colds(
        &self,
        measured: Option<&Measured>,
        notes: &mut Vec<String>,
    ) -> Result<Vec<(String, ColdTable)>, String> {
        match (self.cold.as_deref(), measured) {
            (Some("from-results") | None, Some(measured)) => {
                notes.extend(measured.notes.iter().cloned());
                Ok(measured.colds.clone())
            }
            (Some(text), _) => {
                let cold =
                    Distribution::parse(text, read_samples).map_err(|e| format!("--cold {e}"))?;
                Ok(vec![("cold".into(), ColdTable::of(cold))])
            }
            (None, None) => {
                notes.push(format!(
                    "cold starts assumed: `{DEFAULT_COLD}`, a public cloud's (Huawei, EuroSys'25); \
                     name a results.json or `--cold`"
                ));
                let cold = Distribution::parse(DEFAULT_COLD, read_samples)?;
                Ok(vec![("cold".into(), ColdTable::of(cold))])
            }
        }
    }

    fn ask(&self) -> Result<Ask, String> {
        let target = |text: &str| text.parse::<Target>().map_err(|e| format!("--target {e}"));
        let text = match (&self.provisioned, &self.target) {
            (Some(text), _) => text.trim(),
            (None, Some(_)) => "auto",
            (None, None) => "0",
        };
        if text == "auto" {
            return Ok(Ask::Auto(target(self.target.as_deref().unwrap_or(DEFAULT_TARGET))?));
        }
        if let Some(tracking) = text.strip_prefix("target:") {
            let policy = Policy::tracking(tracking).map_err(|e| format!("--provisioned {e}"))?;
            return Ok(Ask::Policies(vec![(format!("provisioned {text}"), policy)]));
        }
        if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') && !Path::new(text).exists() {
            let numbers = list(text, "--provisioned", |text| {
                let n = text.parse::<u32>().ok().filter(|n| *n <= 1_000_000);
                n.ok_or_else(|| {
                    "write a number from 0 to 1000000, `auto`, `target:0.8` or a file".into()
                })
            })?;
            let named = numbers.into_iter().map(|n| (format!("provisioned {n}"), Policy::Fixed(n)));
            return Ok(Ask::Policies(named.collect()));
        }
        let table = read_samples(text).map_err(|e| {
            format!("--provisioned {e}; write a number, `auto`, `target:0.8` or a timetable's file")
        })?;
        let policy =
            Policy::timetable(&table).map_err(|e| format!("`--provisioned {text}`: {e}"))?;
        Ok(Ask::Policies(vec![("provisioned by timetable".into(), policy)]))
    }

    /// Checks the sweep against the platform's limits.
    fn check(&self, sweep: &Sweep) -> Result<(), String> {
        for job in sweep.jobs() {
            let run = job.run();
            let most = run.most_instances;
            let rules = sweep.rules;
            let quota = match rules.quota {
                coldstart::plan::rules::Quota::MemoryMb(mb) => format!("{mb} MB of memory"),
                _ => "instances".into(),
            };
            let load = job.load().map(|load| load / f64::from(sweep.concurrency));
            if let Some(load) = load.filter(|&l| self.max_instances.is_none() && l > most as f64) {
                return Err(format!(
                    "the rate keeps {load:.0} instances busy on average, and the quota of {} \
                     allows {most} ({quota}); lower `--rate`, or set your quota with \
                     `--max-instances`",
                    rules.name
                ));
            }
            if let Ask::Policies(policies) = &sweep.ask {
                for n in policies.iter().filter_map(|(_, policy)| policy.fixed()) {
                    if u64::from(n) * u64::from(sweep.functions.count) > most {
                        return Err(format!(
                            "`--provisioned {n}` is more than the {most} instances that there may \
                             be ({}); set your quota with `--max-instances`",
                            if self.max_instances.is_some() { "`--max-instances`" } else { &quota }
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds notes for a reader.
    fn notes(&self, sweep: &Sweep, notes: &mut Vec<String>) {
        let rules = sweep.rules;
        notes.push(match (sweep.warm_up, &sweep.source) {
            (true, _) => "the beginning without on-demand instances is left out".into(),
            (false, Source::Trace(_)) => {
                "the beginning without on-demand instances counts".to_owned()
            }
            (false, _) => {
                "the beginning without on-demand instances counts, as after a deployment".into()
            }
        });
        notes.push(
            "a cold request takes its cold start and then its service time, and holds its instance \
             for both; the cold share is of served requests"
                .into(),
        );
        if sweep.keep_alives_ns.len() > 1 && rules.name == "scf" {
            notes.push(
                "no page states SCF's keep-alive and its choice of an idle instance: read the \
                 answers of all keep-alives as a range"
                    .into(),
            );
        }
        if sweep.functions.count > 1 {
            notes.push(format!(
                "{} functions share the arrivals, the limit on starts and the quota; provisioned \
                 instances are each function's",
                sweep.functions.count
            ));
        }
        if self.platform.is_none() {
            notes.push(format!(
                "starts are not limited: `--platform scf` refuses those beyond {} of all \
                 functions of a region",
                rules.starts.describe()
            ));
        }
        match rules.price(self.currency) {
            Some(price) => notes.push(format!(
                "cost: of the simulated requests, {}, prices of {}; without free tiers, basic \
                 package, traffic and taxes; refused requests cost nothing; cold starts are {}; \
                 idle_low bills what the most requests at once of each 10 s leave idle, idle_high \
                 what is idle at each instant",
                price.source,
                price.date,
                if self.init_billed {
                    "billed as running time"
                } else {
                    "not billed (`--init-billed`)"
                }
            )),
            None => notes.push(format!("cost: no price of {} is known", rules.name)),
        }
        notes.extend(rules.left_out.iter().map(|what| format!("left out: {what}")));
        notes.push("not simulated: callers that retry after a refusal".into());
    }

    /// The flags and the rules as they were used.
    fn inputs(
        &self,
        sweep: &Sweep,
        target: Option<&str>,
        measured: Option<&Measured>,
    ) -> serde_json::Value {
        let rates = match &sweep.source {
            Source::Shape { rates, .. } => Some(rates.clone()),
            Source::Trace(_) => None,
        };
        let cold_means_ns: Vec<f64> =
            sweep.colds.iter().map(|(_, cold)| cold.alone().mean_ns()).collect();
        let provisioned = match (&self.provisioned, &self.target) {
            (Some(text), _) => text.as_str(),
            (None, Some(_)) => "auto",
            (None, None) => "0",
        };
        json!({
            "results": measured.map(|m| m.describe.clone()),
            "rate": rates,
            "arrivals": self.arrivals,
            "placement": self.placement.name(),
            "service": self.service,
            "service_mean_ns": match &sweep.source {
                Source::Trace(trace) if sweep.durations => trace.mean_service_ns(),
                _ => None,
            }.unwrap_or_else(|| sweep.service.mean_ns()),
            "cold": self.cold,
            "cold_mean_ns": cold_means_ns,
            "provisioned": provisioned,
            "keep_alive_ns": sweep.keep_alives_ns,
            "reuse": self.reuse.name(),
            "concurrency": sweep.concurrency,
            "functions": self.functions,
            "max_instances": self.max_instances,
            "hold_ns": sweep.hold_ns,
            "platform": sweep.rules.name,
            "rules": sweep.rules.facts,
            "starts": sweep.starts.describe(),
            "provisioning": sweep.rules.provisioning.describe(),
            "memory_mib": sweep.memories_mib,
            "target": target,
            "requests": sweep.requests,
            "days": self.days,
            "warm_up": if sweep.warm_up { "removed" } else { "kept" },
            "init_billed": self.init_billed,
        })
    }
}

/// A list with `,`; each item in turn.
fn list<T>(
    text: &str,
    flag: &str,
    item: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let items: Result<Vec<T>, String> = text
        .split(',')
        .map(|part| item(part.trim()).map_err(|e| format!("`{flag} {}`: {e}", part.trim())))
        .collect();
    items
}

fn read_samples(path: &str) -> Result<String, String> {
    let length = std::fs::metadata(path).map(|m| m.len());
    if length.is_ok_and(|n| n > SAMPLES_LIMIT_BYTES) {
        return Err(format!("`{path}` is larger than 64 MiB; take fewer samples"));
    }
    std::fs::read_to_string(path).map_err(|e| format!("cannot read `{path}`: {e}"))
}
