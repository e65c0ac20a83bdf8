//! Command `coldstart plan`: reads files, shows progress, writes plan.json and the report.

use crate::cli::plan::{PlanArgs, PlanCommand};
use clap::ValueEnum;
use coldstart::plan::answer;
use coldstart::plan::bill::Price;
use coldstart::plan::document::{Header, Plan, SCHEMA, SHARD_KIND, Shard, read_shard};
use coldstart::plan::rules::{Currency, Platform};
use coldstart::plan::sweep::{Scenario, Sweep};
use coldstart::{plot, report, results};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// Why there is no plan; one line.
pub enum Failed {
    /// The request is impossible.
    Usage(String),
    /// The plan cannot be written.
    Cannot(String),
}

/// Prints on standard output.
pub type Print = fn(&str);

/// Runs the command.
pub fn plan(args: &PlanArgs, print: Print) -> Result<(), Failed> {
    match &args.command {
        Some(PlanCommand::Merge { files, json, html }) => {
            merge(files, json.as_deref(), html.as_deref(), print)
        }
        None => simulate(args, print),
    }
}

fn simulate(args: &PlanArgs, print: Print) -> Result<(), Failed> {
    let (sweep, header) = args.sweep().map_err(Failed::Usage)?;
    let shard = args.shard().map_err(Failed::Usage)?;
    if shard.is_some() && (args.json.is_none() || args.html.is_some()) {
        return Err(Failed::Usage(
            "`--shard` needs `--json FILE` for `plan merge`, which also draws (`--html`)".into(),
        ));
    }
    let jobs: Vec<_> =
        sweep.jobs().into_iter().enumerate().map(|(n, job)| (n as u64, job)).collect();
    let mine: Vec<_> = match shard {
        None => jobs,
        Some(of) => jobs.into_iter().filter(|(n, _)| n % of.n == of.i - 1).collect(),
    };
    let (numbers, mine): (Vec<u64>, Vec<_>) = mine.into_iter().unzip();
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = args.threads.unwrap_or(available).clamp(1, 1024);
    let progress = AtomicU64::new(0);
    let done = watched(&progress, || Sweep::simulate(&mine, threads, &progress));
    let done = done.map_err(|e| Failed::Usage(e.to_string()))?;
    match shard {
        None => {
            let scenarios: Vec<Scenario> = done.into_iter().flatten().collect();
            let plan = Plan::new(&header, &scenarios, price(&header));
            print(&answer::table(&header, &plan, &scenarios));
            write(&header, &plan, &scenarios, args.json.as_deref(), args.html.as_deref())?;
            let Some(folder) = &args.plots else { return Ok(()) };
            for (name, plot) in report::plan::plots(&header, &plan, &scenarios) {
                let path = folder.join(name).with_extension("svg");
                save(Some(&path), &plot::document(&plot))?;
            }
            Ok(())
        }
        Some(of) => {
            let jobs: Vec<_> = numbers.into_iter().zip(done).collect();
            print(&format!("shard {}/{}: {} of the plan's jobs\n", of.i, of.n, jobs.len()));
            let shard = Shard {
                schema: SCHEMA,
                kind: SHARD_KIND.into(),
                shard: of.i,
                of: of.n,
                header,
                jobs,
            };
            save(args.json.as_deref(), &shard.to_json())
        }
    }
}

fn merge(
    files: &[PathBuf],
    json: Option<&Path>,
    html: Option<&Path>,
    print: Print,
) -> Result<(), Failed> {
    let mut shards = Vec::new();
    for path in files {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|e| Failed::Usage(format!("cannot read `{name}`: {e}")))?;
        let shard = read_shard(&name, &text).map_err(Failed::Usage)?;
        shards.push((name, shard));
    }
    let (header, scenarios) = Shard::merge(shards).map_err(Failed::Usage)?;
    let plan = Plan::new(&header, &scenarios, price(&header));
    match json {
        Some(_) => print(&answer::table(&header, &plan, &scenarios)),
        None => print(&plan.to_json()),
    }
    write(&header, &plan, &scenarios, json, html)
}

fn price(header: &Header) -> Option<Price> {
    let platform = Platform::from_str(&header.platform, false).ok()?;
    platform.rules().price(Currency::from_str(&header.currency, false).ok()?)
}

fn write(
    header: &Header,
    plan: &Plan,
    scenarios: &[Scenario],
    json: Option<&Path>,
    html: Option<&Path>,
) -> Result<(), Failed> {
    save(json, &plan.to_json())?;
    let Some(html) = html else { return Ok(()) };
    save(Some(html), &report::plan::render(header, plan, scenarios))
}

fn save(path: Option<&Path>, text: &str) -> Result<(), Failed> {
    let Some(path) = path else { return Ok(()) };
    results::write(path, text.as_bytes()).map_err(|e| Failed::Cannot(e.to_string()))
}

/// Shows the number of simulated requests on a terminal while `work` runs.
fn watched<R>(progress: &AtomicU64, work: impl FnOnce() -> R) -> R {
    if !std::io::stderr().is_terminal() {
        return work();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}, {elapsed}") {
        bar.set_style(style);
    }
    let (done, waiting) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let shown = &bar;
        scope.spawn(move || {
            while waiting.recv_timeout(Duration::from_millis(200))
                == Err(mpsc::RecvTimeoutError::Timeout)
            {
                let millions = progress.load(Ordering::Relaxed) as f64 / 1e6;
                shown.set_message(format!("{millions:.1} million requests simulated"));
                shown.tick();
            }
        });
        let result = work();
        drop(done);
        bar.finish_and_clear();
        result
    })
}
