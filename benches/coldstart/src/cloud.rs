//! `coldstart --engine scf`: cleans up after an earlier run first, then shows the plan and asks the
//! user, then measures, and always cleans up.

use crate::cli::RunArgs;
use crate::cli::scf::Asked;
use bench_kit::host;
use coldstart::results::{ColdBy, Results, Scenario};
use coldstart::scf::account::{Account, AccountError, FunctionSpec};
use coldstart::scf::budget::{Budget, Extent, Item, PROVISIONED_WITHIN_S};
use coldstart::scf::cleaning::{Cleaned, clean_up as delete};
use coldstart::scf::client::{Client, Endpoint, Service};
use coldstart::scf::credentials::Credentials;
use coldstart::scf::layer::Original;
use coldstart::scf::ledger::{Kind, Ledger, LedgerError, LedgerFile};
use coldstart::scf::measure::{self, CONTROLS_AT_ONCE, Definition, MeasureError, Subject, Watcher};
use coldstart::scf::names::{self, RunId};
use coldstart::scf::pace::NEW_A_MINUTE;
use indicatif::{ProgressBar, ProgressStyle};
use microimage::registry::Access;
use std::ffi::OsString;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;
use std::process;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

const SCF_VERSION: &str = "2018-04-16";
const CLS_VERSION: &str = "2020-10-16";
/// The tool prints a line for a wait of at least this time.
const WAIT_SAID: Duration = Duration::from_secs(2);

/// Inputs of this machine.
pub struct Around<'a> {
    /// The environment.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// HOME.
    pub home: Option<&'a Path>,
    /// Connection settings for registries.
    pub access: Access,
    /// Makes signals end the run in order. Until the run calls this, they end the process, which
    /// has created nothing yet.
    pub arm: &'a dyn Fn(&Arc<AtomicBool>) -> Result<(), String>,
}

/// Why the run has no result.
pub enum Failed {
    /// The request is impossible.
    Usage(String),
    /// The account or this machine does not allow it.
    Cannot(String),
    /// The user ended it before the first round was complete.
    Interrupted,
}

/// Result of a run.
#[derive(Default)]
pub struct Finished {
    /// The measurement; `None` if the user asked for none.
    pub results: Option<Results>,
    /// Why the measurement is incomplete.
    pub stopped: Option<String>,
    /// Whether a signal ended it.
    pub interrupted: bool,
    /// The case that failed at its first try.
    pub gave_up: Option<String>,
    /// Resources that could not be deleted.
    pub left: Vec<String>,
}

fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "coldstart: {text}");
}

/// Asks the user; `None` without a terminal.
fn ask(question: &str) -> Option<bool> {
    if !io::stdin().is_terminal() {
        return None;
    }
    let _ = write!(io::stderr().lock(), "coldstart: {question} [y/N] ");
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).ok()?;
    Some(matches!(line.trim(), "y" | "Y" | "yes"))
}

/// Deletes the resources of a ledger.
pub fn clean_up(args: &RunArgs, path: &Path, around: &Around<'_>) -> Result<Finished, Failed> {
    let ledger = LedgerFile::open(path).map_err(of_ledger)?;
    if ledger.ledger().entries.is_empty() {
        say("the ledger is empty: there is nothing to delete");
        ledger.close().map_err(of_ledger)?;
        return Ok(Finished::default());
    }
    list(&ledger);
    if !args.scf.yes {
        match ask("delete all of it?") {
            Some(true) => {}
            Some(false) => return Err(Failed::Cannot("nothing was deleted".into())),
            None => {
                return Err(Failed::Usage(
                    "there is no terminal to ask; add `--yes` to delete all of it".into(),
                ));
            }
        }
    }
    let cleaned = clean(args, ledger, around)?;
    if cleaned.left.is_empty() {
        say(&format!("{} resources are deleted, and nothing is left", cleaned.gone));
        return Ok(Finished::default());
    }
    Err(Failed::Cannot(format!("{} resources are left, see above", cleaned.left.len())))
}

fn of_ledger(error: LedgerError) -> Failed {
    match error {
        LedgerError::Foreign { .. } | LedgerError::Shape { .. } => Failed::Usage(error.to_string()),
        other => Failed::Cannot(other.to_string()),
    }
}

fn list(ledger: &LedgerFile) {
    let of = ledger.ledger();
    say(&format!(
        "`{}`: run {} of {} left in {}, namespace {}:",
        ledger.path().display(),
        of.run,
        of.began,
        of.region,
        of.namespace
    ));
    for entry in &of.entries {
        let what = match entry.kind {
            Kind::Namespace => "namespace",
            Kind::Function => "function",
            Kind::Provisioned => "provisioned instances of",
            Kind::Tag => "image",
        };
        let version = entry.version.as_ref().map(|v| format!(":{v}")).unwrap_or_default();
        let sure = if entry.made { "" } else { " (if it exists: it was about to be created)" };
        say(&format!("  {what} {}{version}{sure}", entry.name));
    }
}

/// Deletes the resources of an opened ledger, at the ledger's endpoint.
fn clean(args: &RunArgs, mut ledger: LedgerFile, around: &Around<'_>) -> Result<Cleaned, Failed> {
    let (asked, _) = args.scf.endpoints().map_err(Failed::Usage)?;
    let of = ledger.ledger().clone();
    let endpoint = match (asked, &of.endpoint) {
        (Some(asked), _) => asked,
        (None, Some(text)) => {
            let written = Endpoint::parse(text).map_err(|e| Failed::Usage(e.to_string()))?;
            // The ledger's file may be forged: it must not redirect requests.
            if !written.is_loopback() && !written.is_of_the_cloud() {
                return Err(Failed::Usage(format!(
                    "the ledger names the endpoint `{written}`, which is not the cloud's: if you \
                     mean it, `--endpoint {written}`"
                )));
            }
            written
        }
        (None, None) => Endpoint::public("scf"),
    };
    let (credentials, _) = credentials(args, around)?;
    let stop = Arc::new(AtomicBool::new(false));
    let account = account(credentials, of.region, endpoint, of.namespace, stop);
    let cleaned = delete(&account, &mut ledger, &mut |step| say(step))
        .map_err(|e| Failed::Cannot(e.to_string()))?;
    report(&cleaned);
    ledger.close().map_err(of_ledger)?;
    Ok(cleaned)
}

fn report(cleaned: &Cleaned) {
    cleaned.notes.iter().for_each(|note| say(note));
    cleaned.left.iter().for_each(|left| say(&format!("LEFT      {left}")));
}

fn credentials(
    args: &RunArgs,
    around: &Around<'_>,
) -> Result<(Credentials, Option<String>), Failed> {
    Credentials::find(around.variable, around.home, args.scf.profile.as_deref())
        .map_err(|e| Failed::Usage(e.to_string()))
}

fn account(
    credentials: Credentials,
    region: String,
    endpoint: Endpoint,
    namespace: String,
    stop: Arc<AtomicBool>,
) -> Account {
    let client = Client::new(credentials, region, endpoint.is_loopback(), stop);
    let scf = Service { name: "scf", version: SCF_VERSION, endpoint };
    Account { client, scf, namespace }
}

/// A complete run, from the plan to the last deletion.
pub fn measure(args: &RunArgs, around: &Around<'_>) -> Result<Finished, Failed> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = args.asked_of_scf().map_err(Failed::Usage)?;
    let path = args.scf.ledger.clone().unwrap_or_else(|| args.out.join("ledger.json"));
    what_is_left(args, &path, around)?;
    let (credentials, of_profile) = credentials(args, around)?;
    let region = asked.region.clone().or(of_profile).ok_or_else(|| {
        Failed::Usage(
            "the region is missing; add `--region ap-guangzhou`, or set TENCENTCLOUD_REGION".into(),
        )
    })?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if region.is_empty() || region.len() > 32 || !region.chars().all(plain) {
        return Err(Failed::Usage(format!(
            "invalid region `{region}`; write for example `ap-guangzhou`"
        )));
    }
    say(&format!("credentials of {}", credentials.origin));
    let endpoint = asked.endpoint.clone().unwrap_or_else(|| Endpoint::public("scf"));
    let cls = Service {
        name: "cls",
        version: CLS_VERSION,
        endpoint: asked.cls_endpoint.clone().unwrap_or_else(|| Endpoint::public("cls")),
    };
    let account =
        account(credentials, region.clone(), endpoint, asked.namespace.clone(), Arc::clone(&stop));
    let run = RunId::random();
    let definition = define(args, &asked, &run, around, &account)?;
    let budget = extent(&definition, &asked).budget().map_err(|e| Failed::Usage(e.to_string()))?;
    check_account(&account, &definition)?;
    budget.describe(&region, &asked.namespace, run.as_str()).lines().for_each(say);
    say(&format!("what is made is written to `{}` first, and deleted at the end", path.display()));
    if !args.scf.yes {
        match ask("go on?") {
            Some(true) => {}
            Some(false) => return Err(Failed::Cannot("nothing was made".into())),
            None => {
                return Err(Failed::Usage(
                    "there is no terminal to ask; add `--yes` to go on".into(),
                ));
            }
        }
    }
    (around.arm)(&stop).map_err(Failed::Cannot)?;
    let began = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let ledger = Ledger {
        schema: 1,
        run: run.as_str().to_owned(),
        process: process::id(),
        began,
        region,
        namespace: asked.namespace.clone(),
        endpoint: asked.endpoint.as_ref().map(Endpoint::to_string),
        entries: Vec::new(),
    };
    let mut ledger = LedgerFile::begin(&path, ledger).map_err(of_ledger)?;
    let mut bar = Bar::new();
    let measured = run_it(&definition, &budget, &account, cls, &mut ledger, args, &mut bar);
    bar.progress.finish_and_clear();
    let cleaned = delete(&account.unstoppable(), &mut ledger, &mut |step| say(step))
        .map_err(|e| Failed::Cannot(e.to_string()))?;
    report(&cleaned);
    if cleaned.left.is_empty() {
        say("nothing that was made is left");
    } else {
        say(&format!("to try again: coldstart --clean-up {}", path.display()));
    }
    ledger.close().map_err(of_ledger)?;
    match measured {
        Ok(finished) => Ok(Finished { left: cleaned.left, ..finished }),
        Err(Failed::Cannot(why)) if !cleaned.left.is_empty() => Err(Failed::Cannot(format!(
            "{why}; and {} created resources are left, see above",
            cleaned.left.len()
        ))),
        Err(error) => Err(error),
    }
}

fn run_it(
    definition: &Definition,
    budget: &Budget,
    account: &Account,
    cls: Service,
    ledger: &mut LedgerFile,
    args: &RunArgs,
    bar: &mut Bar,
) -> Result<Finished, Failed> {
    let cannot = |error: MeasureError| match error {
        MeasureError::Account(error) if error.is_interrupted() => Failed::Interrupted,
        other => Failed::Cannot(other.to_string()),
    };
    if names::is_our_namespace(&account.namespace) {
        account.create_namespace(ledger).map_err(|e| cannot(e.into()))?;
    }
    let keep = args.out.join("results.json");
    let measured = measure::measure(definition, budget, account, cls, ledger, &keep, bar);
    let finished = measured.map_err(cannot)?;
    Ok(Finished {
        results: Some(finished.results),
        interrupted: finished.stopped.as_ref().is_some_and(AccountError::is_interrupted),
        stopped: finished.stopped.map(|why| why.to_string()),
        gave_up: finished.gave_up,
        left: Vec::new(),
    })
}

/// Lists what a killed run has left, and offers to delete it before anything else.
fn what_is_left(args: &RunArgs, path: &Path, around: &Around<'_>) -> Result<(), Failed> {
    if !path.exists() {
        return Ok(());
    }
    let ledger = LedgerFile::open(path).map_err(of_ledger)?;
    if ledger.ledger().entries.is_empty() {
        return ledger.close().map_err(of_ledger);
    }
    say("an earlier run did not end in order; what it made may still exist, and cost money");
    list(&ledger);
    let command = format!("coldstart --clean-up {}", path.display());
    match args.scf.yes.then_some(true).or_else(|| ask("delete all of it first?")) {
        Some(true) => {
            let cleaned = clean(args, ledger, around)?;
            match cleaned.left.len() {
                0 => Ok(()),
                n => Err(Failed::Cannot(format!(
                    "{n} resources of the earlier run are left, see above; nothing was made. Try \
                     again: {command}"
                ))),
            }
        }
        Some(false) => Err(Failed::Cannot(format!(
            "its list would be lost: `{command}`, or keep it and write another, `--ledger FILE`"
        ))),
        None => Err(Failed::Usage(format!("first: `{command} --yes`, or add `--yes` here"))),
    }
}

/// Converts the flags to functions and cases.
fn define(
    args: &RunArgs,
    asked: &Asked,
    run: &RunId,
    around: &Around<'_>,
    account: &Account,
) -> Result<Definition, Failed> {
    let cold_by = args.scf.cold_by.unwrap_or_default();
    let mut access = around.access.clone();
    access.trust.ca.extend(args.ca.iter().cloned());
    access.trust.insecure.extend(args.insecure_registry.iter().cloned());
    let mut originals = Vec::new();
    if cold_by == ColdBy::NewLayer {
        for image in &asked.images {
            say(&format!("reading   {}", image.reference));
            let pulled = Original::pull(&image.reference, &access);
            originals.push(pulled.map_err(|e| Failed::Cannot(e.to_string()))?);
        }
    }
    let (mut subjects, mut functions, mut cases) = (Vec::new(), Vec::new(), Vec::new());
    let spec =
        |what: String, image: &crate::cli::scf::Named, memory_mib, accelerated| FunctionSpec {
            name: run.function(&what),
            image: image.reference.clone(),
            registry_id: image.registry_id.clone(),
            command: asked.command.clone(),
            args: asked.args.clone(),
            accelerated,
            memory_mib,
            timeout_s: asked.timeout_s,
            init_timeout_s: asked.init_timeout_s,
            role: asked.role.clone(),
            environment: asked.environment.clone(),
            log: asked.log.clone(),
            vpc: asked.vpc.clone(),
            public_net: asked.public_net,
        };
    for (at, image) in asked.images.iter().enumerate() {
        for &memory_mib in &asked.memories {
            let several = asked.memories.len() > 1;
            let name = match several {
                true => format!("{}-{memory_mib}mib", image.name),
                false => image.name.clone(),
            };
            let subject = subjects.len();
            let original = (!originals.is_empty()).then_some(at);
            subjects.push(Subject {
                name,
                reference: image.reference.clone(),
                memory_mib,
                size: original.and_then(|at: usize| originals.get(at)).map(|of: &Original| {
                    (of.image().total_compressed_bytes(), of.image().layers().len())
                }),
                original,
            });
            for accelerated in [false, true] {
                let mine = asked
                    .scenarios
                    .iter()
                    .filter(|&&scenario| (scenario == Scenario::Accelerated) == accelerated);
                let mine: Vec<Scenario> = mine.copied().collect();
                if mine.is_empty() {
                    continue;
                }
                let function = functions.len();
                let kind = if accelerated { "a" } else { "p" };
                functions.push(spec(
                    // The number comes first, because a long name loses its end.
                    format!("{function}{kind}-{memory_mib}-{}", image.name),
                    image,
                    memory_mib,
                    accelerated,
                ));
                for scenario in mine {
                    for &burst in &asked.bursts {
                        cases.push((subject, Item { function, memory_mib, scenario, burst }));
                    }
                }
            }
        }
    }
    let least = asked.memories.first().copied().unwrap_or(128);
    let control = spec("control".into(), &asked.images[0], least, false);
    Ok(Definition {
        run: run.clone(),
        subjects,
        functions,
        control,
        cases,
        samples: asked.samples,
        new_a_minute: args.scf.pace.unwrap_or(NEW_A_MINUTE),
        seed: args.seed,
        cold_by,
        originals,
        access,
        event: asked.event.clone(),
        provision_wait: Duration::from_secs(
            args.scf.provision_wait.unwrap_or(PROVISIONED_WITHIN_S),
        ),
        log_wait: Duration::from_secs(args.scf.log_wait.unwrap_or(300)),
        log_settle: Duration::from_secs(args.scf.log_settle.unwrap_or(20)),
        keep_going: args.keep_going,
        notes: notes(asked, cold_by, account),
        host: host::describe(),
    })
}

/// Notes for readers of the results.
fn notes(asked: &Asked, cold_by: ColdBy, account: &Account) -> Vec<String> {
    let mut notes = vec![
        match cold_by {
            ColdBy::NewVersion => {
                "made cold by new-version: a version is published, and its first call is taken; \
                 the image is the same, so nodes may have it"
            }
            ColdBy::NewConfig => {
                "made cold by new-config: an environment variable is changed and a version \
                 published; the image is the same, so nodes may have it"
            }
            ColdBy::NewLayer => {
                "made cold by new-layer: the image is pushed with one layer more, whose only file \
                 is a nonce; layers that it shares with earlier images may still be on a node"
            }
        }
        .to_owned(),
        "phases are of the platform's log (Init Report, whole milliseconds): pull = PullCode, \
         create = InitRuntime, start = InitFunction; unpack is part of pull"
            .to_owned(),
        "total is by this machine's clock, from before the request is written until the answer is \
         read, on a connection that is open: never compare it with another engine's"
            .to_owned(),
        "cold is a sample only with an Init Report of its own request; provisioned only without"
            .to_owned(),
    ];
    if asked.bursts.iter().any(|&burst| burst > 1) {
        notes.push(
            "a burst's calls go out at once: where the handler is quicker than a start takes, a \
             call may meet an instance that another one has warmed, and is counted as \
             warm_instead"
                .into(),
        );
    }
    if account.scf.endpoint.is_loopback() {
        notes.push(format!(
            "NO CLOUD: the platform was emulated on this machine, at {}",
            account.scf.endpoint
        ));
    }
    notes
}

fn extent(definition: &Definition, asked: &Asked) -> Extent {
    Extent {
        items: definition.cases.iter().map(|(_, item)| *item).collect(),
        samples: definition.samples,
        cold_by: definition.cold_by,
        timeout_s: asked.timeout_s,
        init_timeout_s: asked.init_timeout_s,
        provisioned_within_s: definition.provision_wait.as_secs(),
        control_mib: definition.control.memory_mib,
        controls_at_once: CONTROLS_AT_ONCE,
        new_a_minute: definition.new_a_minute,
        accelerated: definition.functions.iter().filter(|f| f.accelerated).count(),
        namespace: names::is_our_namespace(&asked.namespace),
    }
}

/// The first call: checks that the key works and that the quota is enough.
fn check_account(account: &Account, definition: &Definition) -> Result<(), Failed> {
    let left = account.concurrency_left_mib().map_err(|error| match error.is_interrupted() {
        true => Failed::Interrupted,
        false => Failed::Cannot(error.to_string()),
    })?;
    let control = definition.control.memory_mib;
    let of_item = |i: &Item| i.burst * i.memory_mib + i.burst.min(CONTROLS_AT_ONCE) * control;
    let needed = definition.cases.iter().map(|(_, item)| of_item(item)).max();
    match (left, needed) {
        (Some(left), Some(needed)) if left < needed => Err(Failed::Cannot(format!(
            "the account has {left} MB of concurrency left in this region, and the largest burst \
             needs {needed} MB: a smaller `--burst` or `--memory`, or ask for more (console, \
             Function Service, quota); nothing was made"
        ))),
        _ => Ok(()),
    }
}

/// Prints steps as lines, and samples as a progress bar on a terminal.
struct Bar {
    progress: ProgressBar,
}

impl Bar {
    fn new() -> Self {
        let progress = match io::stderr().is_terminal() {
            true => ProgressBar::new(0),
            false => ProgressBar::hidden(),
        };
        let style = ProgressStyle::with_template("{bar:32} {pos}/{len} turns, {eta} left  {msg}");
        Self {
            progress: progress.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())),
        }
    }
}

impl Watcher for Bar {
    fn step(&mut self, what: &str) {
        self.progress.suspend(|| say(what));
    }

    fn waiting(&mut self, how_long: Duration, why: &str) {
        let text = format!("waiting   {} s: {why}", how_long.as_secs_f64().ceil());
        // On a terminal the bar shows it; elsewhere a log of short waits does not help.
        if self.progress.is_hidden() && how_long >= WAIT_SAID {
            say(&text);
        }
        self.progress.set_message(text);
    }

    fn sampled(&mut self, done: u64, of: u64, what: &str) {
        self.progress.set_length(of);
        self.progress.set_message(what.to_owned());
        self.progress.set_position(done);
    }
}
