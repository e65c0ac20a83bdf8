//! Program coldstart: the only file that prints, reads the environment and chooses exit codes
//! (docs/CONTRACTS.md, section 5).

#![forbid(unsafe_code)]

mod cli;
mod cloud;
mod planning;
#[cfg_attr(not(target_os = "linux"), path = "starting/elsewhere.rs")]
mod starting;

use bench_kit::host;
use clap::{CommandFactory as _, Parser};
use cli::{Cli, RunArgs};
use coldstart::engine::{Case, EngineError, Target, TurnSamples};
use coldstart::results::{self, EngineKind, Failure, PageCache, Results, Scenario};
use coldstart::run::{self, Onward, RunError, Watcher};
use coldstart::work::Work;
use coldstart::{baselines, compare, guidance, import, plot, report, table};
use indicatif::{ProgressBar, ProgressStyle};
use microimage::image::{Compression, Image};
use microimage::manual;
use microimage::registry::{Access, Keychain, Trust};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io::{self, IsTerminal, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

/// A sample of the measured image failed.
const EXIT_FAILED: u8 = 1;
/// Slower than the baseline beyond noise.
const EXIT_SLOWER: u8 = 3;
/// The command line is invalid, or the request impossible.
const EXIT_USAGE: u8 = 2;
/// The bench itself could not run.
const EXIT_CANNOT: u8 = 4;
/// Largest image that the platform accepts, in compressed bytes (SCF quotas).
const IMAGE_LIMIT_BYTES: u64 = 1 << 30;
/// The largest log that is imported, in bytes: it is read into memory.
const MAX_LOG_BYTES: u64 = 1 << 30;
/// Width of exported plots, in pixels.
const PLOT_WIDTH: f64 = 880.0;
/// The exit code with which a shell reports SIGINT.
const EXIT_INTERRUPTED: u8 = 130;

/// The first error of writing to standard output.
static UNWRITTEN: Mutex<Option<io::Error>> = Mutex::new(None);

/// Prints a line. A reader that closes early (`coldstart compare … | head -1`) does not change the
/// exit code; a full disk does.
macro_rules! say {
    ($($text:tt)*) => { print(&format!("{}\n", format_args!($($text)*))) };
}

/// Prints a note on standard error, which may be closed.
macro_rules! remark {
    ($($text:tt)*) => {{
        let line = format!("coldstart: {}\n", format_args!($($text)*));
        let _ = io::stderr().write_all(line.as_bytes());
    }};
}

fn print(text: &str) {
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush())
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        UNWRITTEN.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|a| a == microimage::sandbox::HELPER_SUBCOMMAND) {
        return microimage::sandbox::helper_main()
            .map_or(ExitCode::from(4), |()| ExitCode::SUCCESS);
    }
    // A burst needs half a dozen descriptors per instance. If the limit cannot be raised, the
    // machine saturates there.
    let _ = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    let cli = Cli::parse(); // exits with 2 on a usage error
    let done = match cli.command {
        None => run_engine(&cli.run),
        Some(cli::Command::Run(args)) => run_engine(&args),
        Some(cli::Command::Baselines { only, run }) => {
            measure_baselines(&only, run.for_baselines())
        }
        Some(cli::Command::Compare { before, after }) => compare(&before, &after),
        Some(cli::Command::Plot { file, out, png }) => draw(&file, out.as_deref(), png),
        Some(cli::Command::Plan(args)) => match planning::plan(&args, print) {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(planning::Failed::Cannot(message)) => Err(message),
            Err(planning::Failed::Usage(message)) => {
                remark!("{message}");
                Ok(ExitCode::from(EXIT_USAGE))
            }
        },
        Some(cli::Command::Import { from, file, name, out, export }) => {
            import(from, &file, name.as_deref(), &out, &export)
        }
        Some(cli::Command::Record { file, into, name }) => keep(&file, &into, name.as_deref()),
        Some(cli::Command::Report { file }) => Results::load(&file)
            .map_err(|e| e.to_string())
            .map(|results| say!("{}", table::render(&results).trim_end()))
            .map(|()| ExitCode::SUCCESS),
        Some(cli::Command::Export { file, mut export }) => {
            if export.markdown.is_none() && export.csv.is_none() {
                export.markdown = Some("-".into());
            }
            Results::load(&file)
                .map_err(|e| e.to_string())
                .and_then(|results| export_to(&results, &export))
                .map(|()| ExitCode::SUCCESS)
        }
        Some(cli::Command::Completions(arguments)) => {
            say!("{}", manual::completions(Cli::command(), arguments.shell).trim_end());
            Ok(ExitCode::SUCCESS)
        }
        Some(cli::Command::Man(arguments)) => manual::man(Cli::command(), &arguments)
            .map(|text| print(&text))
            .map(|()| ExitCode::SUCCESS),
    };
    let unwritten = UNWRITTEN.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (done, unwritten) {
        (Ok(code), None) => code,
        (done, unwritten) => {
            if let Some(error) = unwritten {
                remark!("standard output cannot be written: {error}");
            }
            if let Err(message) = done {
                remark!("{message}");
            }
            ExitCode::from(EXIT_CANNOT)
        }
    }
}

/// Measures here, or on the platform itself.
fn run_engine(args: &RunArgs) -> Result<ExitCode, String> {
    if args.engine != EngineKind::Scf && args.scf.clean_up.is_none() {
        return args.targets(&access()).and_then(|targets| measure(args, targets, Vec::new()));
    }
    // Before the run, so that no money is spent on a comparison that is impossible.
    let baseline =
        args.baseline.as_deref().map(|path| load_baseline(path, args.engine)).transpose()?;
    let home = std::env::home_dir();
    let around = cloud::Around {
        variable: &|name| std::env::var_os(name),
        home: home.as_deref(),
        access: access(),
        arm: &stop_on_signals,
    };
    let done = match &args.scf.clean_up {
        Some(ledger) => cloud::clean_up(args, ledger, &around),
        None => cloud::measure(args, &around),
    };
    let finished = match done {
        Ok(finished) => finished,
        Err(cloud::Failed::Usage(message)) => {
            remark!("{message}");
            return Ok(ExitCode::from(EXIT_USAGE));
        }
        Err(cloud::Failed::Interrupted) => {
            remark!("interrupted before the first round was complete: nothing is kept");
            return Ok(ExitCode::from(EXIT_INTERRUPTED));
        }
        Err(cloud::Failed::Cannot(message)) => return Err(message),
    };
    let Some(mut results) = finished.results else { return Ok(ExitCode::SUCCESS) };
    results.guidance = guidance::advise(&results, args.load());
    let path = args.out.join("results.json");
    show(&results, &path, &args.export)?;
    let samples = || results.variants.iter().flat_map(|v| &v.runs).flat_map(|r| &r.samples);
    if let Some(case) = finished.gave_up {
        remark!(
            "stopped: the first try of `{case}` failed (see `failed:` above); nothing more was \
             measured, `--keep-going` leaves it out and measures the rest"
        );
        return Ok(ExitCode::from(EXIT_FAILED));
    }
    if let Some(why) = finished.stopped {
        remark!("stopped early: {why}; what was measured is in `{}`", path.display());
        let code = if finished.interrupted { EXIT_INTERRUPTED } else { EXIT_CANNOT };
        return Ok(ExitCode::from(code));
    }
    if !finished.left.is_empty() {
        return Err("some created resources could not be deleted, see above".into());
    }
    if samples().any(|s| s.error.is_some()) {
        return Ok(ExitCode::from(EXIT_FAILED));
    }
    if !samples().any(|s| s.counts()) {
        return Err("no sample is confirmed by its log, see the counts above".into());
    }
    baseline.map_or(Ok(ExitCode::SUCCESS), |baseline| compare_loaded(&baseline, &results))
}

/// Writes results, and shows them in every form.
fn show(results: &Results, path: &Path, export: &cli::ExportArgs) -> Result<(), String> {
    results.save(path).map_err(|e| e.to_string())?;
    say!("{}", table::render(results).trim_end());
    let written = plot_into(results, path.parent().unwrap_or(Path::new(".")))?;
    say!("\n{}\n{}", path.display(), written.display());
    export_to(results, export)
}

/// Imports cold starts from a platform's log.
fn import(
    from: import::Platform,
    file: &Path,
    name: Option<&str>,
    out: &Path,
    export: &cli::ExportArgs,
) -> Result<ExitCode, String> {
    let unread = |e: io::Error| format!("`{}` cannot be read: {e}", file.display());
    let mut bytes = Vec::new();
    let reader: Box<dyn io::Read> = match file == Path::new("-") {
        true => Box::new(io::stdin().lock()),
        false => Box::new(std::fs::File::open(file).map_err(unread)?),
    };
    reader.take(MAX_LOG_BYTES + 1).read_to_end(&mut bytes).map_err(unread)?;
    if bytes.len() as u64 > MAX_LOG_BYTES {
        return Err(format!("`{}` has over {MAX_LOG_BYTES} bytes; split it", file.display()));
    }
    let text = String::from_utf8_lossy(&bytes);
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = name.map(str::to_owned).or(stem).filter(|name| name != "-");
    let mut results =
        import::import(from, name.as_deref().unwrap_or("log"), &text, host::describe())
            .map_err(|e| format!("`{}`: {e}", file.display()))?;
    results.guidance = guidance::advise(&results, guidance::Load::default());
    show(&results, &out.join("results.json"), export)?;
    Ok(ExitCode::SUCCESS)
}

/// The first signal ends a run in order; the second ends the process at once.
fn stop_on_signals(stop: &Arc<AtomicBool>) -> Result<(), String> {
    for signal in
        [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP]
    {
        let again = signal_hook::flag::register_conditional_shutdown(
            signal,
            EXIT_INTERRUPTED.into(),
            Arc::clone(stop),
        );
        again.map_err(|e| e.to_string())?;
        signal_hook::flag::register(signal, Arc::clone(stop)).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// Writes the table to the files that were given.
fn export_to(results: &Results, export: &cli::ExportArgs) -> Result<(), String> {
    let wanted = [
        export.markdown.as_ref().map(|path| (path, coldstart::export::markdown(results))),
        export.csv.as_ref().map(|path| (path, coldstart::export::csv(results))),
    ];
    for (path, text) in wanted.into_iter().flatten() {
        if path == Path::new("-") {
            print(&text);
        } else {
            results::write(path, text.as_bytes()).map_err(|e| e.to_string())?;
            say!("{}", path.display());
        }
    }
    Ok(())
}

/// Access to registries, with docker's and podman's credentials, as in microimage.
fn access() -> Access {
    let home = std::env::home_dir();
    let variable = |name: &str| std::env::var_os(name);
    Access {
        keychain: Keychain::from_environment(variable, home.as_deref()),
        trust: Trust::from_environment(variable, home.as_deref()),
        report: None,
    }
}

fn measure_baselines(only: &[String], args: RunArgs) -> Result<ExitCode, String> {
    if args.engine.is_platform() {
        return Err(
            "comparison images are built here, and a platform takes them from a registry: \
                    push them, then `coldstart --engine scf --image REF@DIGEST` for each"
                .into(),
        );
    }
    let folder = args.out.join("baselines");
    let (mut built, mut notes) = (Vec::new(), Vec::new());
    for baseline in
        baselines::ALL.iter().filter(|b| only.is_empty() || only.iter().any(|name| name == b.name))
    {
        remark!("building {}", baseline.name);
        match baseline.image(&folder) {
            Ok(image) => {
                built.push(Target { name: baseline.name.to_owned(), image, port: baselines::PORT });
            }
            // If this machine cannot build one, the others are still measured.
            Err(error) => {
                remark!("{} is left out: {error}", baseline.name);
                notes.push(format!("{} is left out: {error}", baseline.name));
            }
        }
    }
    if built.is_empty() {
        return Err(match notes.first() {
            Some(note) => note.clone(),
            None => format!("unknown comparison image {}", only.join(" or ")),
        });
    }
    // our image is read only now, because the first build takes minutes
    let mut targets = args.targets(&access())?;
    targets.extend(built);
    measure(&args, targets, notes)
}

fn measure(
    args: &RunArgs,
    targets: Vec<Target>,
    more_notes: Vec<String>,
) -> Result<ExitCode, String> {
    let mut definition = args.definition(&targets)?;
    // Before the run, so that no minutes are spent on a comparison that is impossible.
    let baseline =
        args.baseline.as_deref().map(|path| load_baseline(path, args.engine)).transpose()?;
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signals(&stop)?;
    let work = Work::create(&args.out)
        .map_err(|e| format!("cannot work in `{}`: {e}", args.out.display()))?;
    if definition.cases.iter().any(|case| case.page_cache == PageCache::Evicted)
        && !work.evicts().map_err(|e| format!("cannot work in `{}`: {e}", args.out.display()))?
    {
        return Err(format!(
            "nothing can be evicted in `{}`, which is in memory; `--out` a folder on a disk",
            args.out.display()
        ));
    }
    let mut notes = args.notes();
    notes.extend(more_notes);
    for target in targets.iter().filter(|t| t.image.total_compressed_bytes() >= IMAGE_LIMIT_BYTES) {
        notes.push(format!(
            "{} is over the platform's limit of 1 GiB compressed: the platform would refuse it",
            target.name
        ));
    }
    let pulls = definition.cases.iter().any(|case| case.scenario == Scenario::Cold);
    for target in targets.iter().filter(|t| pulls && is_uncompressed(&t.image)) {
        notes.push(format!(
            "{}: its layers are not compressed (`docker save` writes them so); a registry has them \
             compressed, and a pull from there is shorter: measure HOST/NAME:TAG",
            target.name
        ));
    }
    let mut engine = starting::start_engine(args, &targets, stop, work, &mut notes)?;
    let path = args.out.join("results.json");
    let mut bar = Bar::new(args.keep_going);
    let ramped = match args.ramps() {
        true => {
            // A daemon has one copy for all of a burst.
            let one_copy = args.engine != EngineKind::Embedded;
            let fits = |case: &Case, last: &TurnSamples| {
                one_copy || fits_on_disk(case, last, &targets, &args.out)
            };
            run::ramp(
                &mut definition,
                &targets,
                &args.asked_for(),
                engine.as_mut(),
                &fits,
                &mut bar,
            )
            .map(|said| notes.extend(said))
        }
        false => Ok(()),
    };
    definition.notes = notes;
    let finished = ramped.map_err(RunError::from).and_then(|()| {
        run::run(&definition, &targets, host::describe(), engine.as_mut(), Some(&path), &mut bar)
    });
    bar.progress.finish_and_clear();
    drop(engine);
    let finished = match finished {
        Err(RunError::Engine(EngineError::Interrupted)) => {
            remark!("interrupted before the first round was complete: nothing is kept");
            return Ok(ExitCode::from(EXIT_INTERRUPTED));
        }
        other => other.map_err(|e| e.to_string())?,
    };
    let mut results = finished.results;
    results.guidance = guidance::advise(&results, args.load());
    results.save(&path).map_err(|e| e.to_string())?;
    say!("{}", table::render(&results).trim_end());
    let written = plot_into(&results, &args.out)?;
    say!("\n{}\n{}", path.display(), written.display());
    export_to(&results, &args.export)?;
    if let Some(case) = finished.gave_up {
        remark!(
            "stopped: the first try of `{case}` failed (see `failed:` above); nothing more was \
             measured, `--keep-going` leaves it out and measures the rest"
        );
        return Ok(ExitCode::from(EXIT_FAILED));
    }
    if let Some(why) = finished.stopped {
        remark!("stopped early: {why}; what was measured is in `{}`", path.display());
        let interrupted = matches!(why, EngineError::Interrupted);
        return Ok(ExitCode::from(if interrupted { EXIT_INTERRUPTED } else { EXIT_CANNOT }));
    }
    // A failure must not hide a case that became slower.
    let compared = baseline.as_ref().map(|baseline| compare_loaded(baseline, &results));
    let mut samples = results.variants.iter().flat_map(|v| &v.runs).flat_map(|r| &r.samples);
    if samples.any(|s| s.error.is_some()) {
        compared.and_then(Result::err).inspect(|why| remark!("{why}"));
        return Ok(ExitCode::from(EXIT_FAILED));
    }
    compared.unwrap_or(Ok(ExitCode::SUCCESS))
}

fn load_baseline(path: &Path, engine: EngineKind) -> Result<Results, String> {
    let baseline = Results::load(path).map_err(|e| e.to_string())?;
    if baseline.engine != engine {
        let error = compare::Error::Engines { before: baseline.engine, after: engine };
        return Err(format!("`{}`: {error}", path.display()));
    }
    Ok(baseline)
}

/// Whether it has a layer that is sent as it is: of a file of `docker save`, for example.
fn is_uncompressed(image: &Image) -> bool {
    image.layers().iter().any(|layer| {
        let media_type = &layer.descriptor().media_type;
        Compression::of_media_type(media_type) == Some(Compression::None)
    })
}

/// Whether each instance of a burst can have a copy of the image here, and half of the disk stays
/// free.
fn fits_on_disk(case: &Case, last: &TurnSamples, targets: &[Target], out: &Path) -> bool {
    let image_bytes = match case.scenario {
        Scenario::Provisioned => return true, // they share one copy
        Scenario::Cold | Scenario::Accelerated => {
            targets[case.variant].image.total_compressed_bytes()
                + last.uncompressed_bytes.unwrap_or(0)
        }
    };
    let free_bytes = rustix::fs::statvfs(out)
        .map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    image_bytes.saturating_mul(case.burst as u64) < free_bytes / 2
}

fn compare(before: &Path, after: &Path) -> Result<ExitCode, String> {
    let load = |path: &Path| Results::load(path).map_err(|e| e.to_string());
    compare_loaded(&load(before)?, &load(after)?)
        .map_err(|e| format!("`{}`, `{}`: {e}", before.display(), after.display()))
}

fn compare_loaded(before: &Results, after: &Results) -> Result<ExitCode, String> {
    for difference in compare::circumstances(before, after).map_err(|e| e.to_string())? {
        remark!("{difference}");
    }
    let comparisons = compare::compare(before, after).map_err(|e| e.to_string())?;
    for comparison in &comparisons {
        say!("{comparison}");
    }
    if compare::any_fails(&comparisons) {
        return Ok(ExitCode::from(EXIT_FAILED));
    }
    match (compare::any_slower(&comparisons), compare::none_decided(&comparisons)) {
        (true, _) => Ok(ExitCode::from(EXIT_SLOWER)),
        (false, true) => Err("inconclusive: take more samples".into()),
        (false, false) => Ok(ExitCode::SUCCESS),
    }
}

fn draw(file: &Path, out: Option<&Path>, png: bool) -> Result<ExitCode, String> {
    let results = Results::load(file).map_err(|e| e.to_string())?;
    let folder = out.or(file.parent()).unwrap_or(Path::new("."));
    say!("{}", plot_into(&results, folder)?.display());
    let mut plots = vec![
        ("phases".to_owned(), plot::phases(&results, PLOT_WIDTH)),
        ("samples".to_owned(), plot::samples(&results, PLOT_WIDTH)),
    ];
    plots.extend((1..).map(|i| format!("bursts-{i}")).zip(plot::bursts(&results, PLOT_WIDTH)));
    for (name, plot) in plots {
        let path = folder.join(name).with_extension("svg");
        results::write(&path, plot::document(&plot).as_bytes()).map_err(|e| e.to_string())?;
        say!("{}", path.display());
        if png {
            let path = path.with_extension("png");
            rasterize(&plot::flat_document(&plot), &path)?;
            say!("{}", path.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// SVG to PNG at twice the size, by librsvg's own program.
fn rasterize(svg: &str, path: &Path) -> Result<(), String> {
    let missing =
        |e| format!("PNG needs `rsvg-convert` (Debian's librsvg2-bin): {e}; the SVG was written");
    let mut command = std::process::Command::new("rsvg-convert");
    command.args(["--zoom", "2", "--output"]).arg(path).stdin(std::process::Stdio::piped());
    let mut child = command.spawn().map_err(missing)?;
    let written = child
        .stdin
        .take()
        .map_or(Ok(()), |mut pipe| std::io::Write::write_all(&mut pipe, svg.as_bytes()));
    let status = child.wait().map_err(missing)?;
    match (written, status.success()) {
        (Ok(()), true) => Ok(()),
        _ => Err(format!("`rsvg-convert` could not draw `{}`: {status}", path.display())),
    }
}

/// Keeps a run under its date, engine and number of cores.
fn keep(file: &Path, folder: &Path, name: Option<&str>) -> Result<ExitCode, String> {
    let results = Results::load(file).map_err(|e| e.to_string())?;
    let path = results.keep(folder, name).map_err(|e| e.to_string())?;
    say!("{}", path.display());
    Ok(ExitCode::SUCCESS)
}

/// Writes report.html; returns where.
fn plot_into(results: &Results, folder: &Path) -> Result<PathBuf, String> {
    let path = folder.join("report.html");
    results::write(&path, report::render(results).as_bytes()).map_err(|e| e.to_string())?;
    Ok(path)
}

/// The progress bar: on standard error, and only on a terminal.
struct Bar {
    progress: ProgressBar,
    keep_going: bool,
}

impl Bar {
    fn new(keep_going: bool) -> Self {
        let progress = if std::io::stderr().is_terminal() {
            ProgressBar::new(0)
        } else {
            ProgressBar::hidden()
        };
        let style = ProgressStyle::with_template("{bar:32} {pos}/{len} samples, {eta} left  {msg}");
        let progress = progress.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { progress, keep_going }
    }
}

impl Watcher for Bar {
    fn sampled(&mut self, done: usize, of: usize, what: &str) {
        self.progress.set_length(of as u64);
        self.progress.set_message(what.to_owned());
        self.progress.set_position(done as u64);
    }

    fn failed_at_first(&mut self, what: &str, failure: &Failure) -> Onward {
        if !self.keep_going {
            return Onward::Stop;
        }
        self.progress
            .suspend(|| remark!("{what} is left out, because it fails: {}", failure.message));
        Onward::LeaveOut
    }
}
