//! Tests of the runner, with an engine that neither sleeps nor starts anything: order, bookkeeping,
//! and the results of a stopped run. Also tests of the command line, on a real image.

mod common;

use bench_kit::host::Host;
use coldstart::engine::{Calibration, Case, Engine, EngineError, Target, TurnSamples};
use coldstart::failure;
use coldstart::link::Link;
use coldstart::phase::Phase;
use coldstart::results::{EngineKind, Failure, PageCache, Results, Run, Sample, Scenario};
use coldstart::run::{Definition, Onward, Watcher, run};
use common::{COLDSTART, compile, image, layout, parts, skip_without_sandbox};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

/// Answers with the number of the call in microseconds; fails or stops on request.
#[derive(Default)]
struct Mock {
    calls: Vec<(usize, Scenario)>,
    floors: u64,
    fails: Option<Scenario>,
    stops_at: Option<usize>,
}

impl Engine for Mock {
    fn kind(&self) -> EngineKind {
        EngineKind::Embedded
    }

    fn take(&mut self, case: &Case) -> Result<TurnSamples, EngineError> {
        if self.stops_at == Some(self.calls.len()) {
            return Err(EngineError::Interrupted);
        }
        self.calls.push((case.variant, case.scenario));
        let at = self.calls.len() as u64;
        let error = (self.fails == Some(case.scenario))
            .then(|| Failure { phase: Phase::Start, message: "on request".into() });
        let total_ns = error.is_none().then_some(at * 1000);
        let sample = Sample { intended_start_ns: 5_000 + at, total_ns, error, ..Sample::default() };
        Ok(TurnSamples {
            samples: vec![sample; case.burst],
            requests: 3,
            bytes: 700,
            uncompressed_bytes: Some(900),
        })
    }

    fn calibrate(&mut self) -> Result<Option<Calibration>, EngineError> {
        self.floors += 1;
        Ok(Some(Calibration {
            pull_ns: Some(700),
            unpack_ns: Some(300),
            create_ns: None,
            start_ns: 200 + self.floors,
            connect_step_ns: Some(4.0),
        }))
    }
}

fn host() -> Host {
    let text = String::new;
    Host {
        kernel: text(),
        cpu_model: text(),
        cores: 2,
        memory_bytes: 1,
        os: text(),
        rustc: text(),
        git_describe: text(),
        date: text(),
    }
}

fn targets() -> Vec<Target> {
    ["one", "two"]
        .map(|name| Target { name: name.into(), image: image(b"x", "amd64"), port: 9000 })
        .to_vec()
}

fn definition(samples: usize) -> Definition {
    let case = |variant, scenario| Case {
        variant,
        link: Link::loopback(),
        scenario,
        page_cache: PageCache::Warm,
        burst: 1,
    };
    let cases =
        (0..2).flat_map(|v| [Scenario::Cold, Scenario::Accelerated].map(|s| case(v, s))).collect();
    Definition { cases, samples, warmups: 1, seed: 7, notes: vec!["on request".into()] }
}

#[test]
fn every_case_comes_once_a_round_and_the_order_changes() {
    let mut mock = Mock::default();
    let finished = run(&definition(20), &targets(), host(), &mut mock, None, &mut ()).expect("ran");
    assert!(finished.stopped.is_none());
    assert_eq!(mock.calls.len(), 21 * 4, "a warm-up and twenty rounds");
    let rounds: Vec<_> = mock.calls.chunks(4).collect();
    for round in &rounds {
        let mut counts = HashMap::new();
        round.iter().for_each(|call| *counts.entry(call).or_insert(0) += 1);
        assert!(counts.len() == 4 && counts.values().all(|&n| n == 1), "{round:?}");
    }
    assert!(rounds.windows(2).any(|pair| pair[0] != pair[1]), "always the same order");
}

/// An engine that runs four instances at once as fast as one, and more one after the other. It has
/// room for sixteen cold instances.
struct FourAtOnce;

impl Engine for FourAtOnce {
    fn kind(&self) -> EngineKind {
        EngineKind::Embedded
    }

    fn take(&mut self, case: &Case) -> Result<TurnSamples, EngineError> {
        let full = failure::no_room(&std::io::Error::other("full"));
        let error = (case.burst > 16 && case.scenario == Scenario::Cold).then_some(full);
        let total_ns = error.is_none().then_some(1000 * case.burst.div_ceil(4) as u64);
        Ok(TurnSamples {
            samples: vec![Sample { total_ns, error, ..Sample::default() }; case.burst],
            ..TurnSamples::default()
        })
    }

    fn calibrate(&mut self) -> Result<Option<Calibration>, EngineError> {
        Ok(None)
    }
}

/// The bursts of the second variant that remain after a ramp over these, by scenario, and its
/// notes.
fn ramped(
    bursts: &[usize],
    asked_for: &[usize],
    fits: &dyn Fn(&Case, &TurnSamples) -> bool,
) -> [(Vec<usize>, String); 2] {
    let mut definition = definition(1);
    definition.cases.retain(|case| case.variant == 1);
    let with = |case: &Case| {
        bursts.iter().map(|&burst| Case { burst, ..case.clone() }).collect::<Vec<_>>()
    };
    definition.cases = definition.cases.iter().flat_map(with).collect();
    let notes = coldstart::run::ramp(
        &mut definition,
        &targets(),
        asked_for,
        &mut FourAtOnce,
        fits,
        &mut (),
    );
    let notes = notes.expect("ran");
    [(Scenario::Cold, "two, cold, loopback: "), (Scenario::Accelerated, "two, accelerated: ")].map(
        |(scenario, name)| {
            let of = definition.cases.iter().filter(|c| c.scenario == scenario).map(|c| c.burst);
            let said = notes
                .iter()
                .filter_map(|note| note.strip_prefix(name))
                .collect::<Vec<_>>()
                .join("; ");
            (of.collect(), said)
        },
    )
}

#[test]
fn a_ramp_leaves_out_the_bursts_beyond_saturation_with_a_note() {
    let any = |_: &Case, _: &TurnSamples| true;
    let beyond =
        "bursts of more than 16 give no more starts per second, and are left out".to_owned();
    let ended = (vec![1, 2, 4, 8, 16], beyond.clone());
    assert_eq!(
        ramped(&[1, 2, 4, 8, 16, 32, 64], &[], &any),
        [ended.clone(), ended],
        "two steps beyond the fourth bring nothing"
    );

    let full =
        "bursts of 32 and more do not fit: this machine has no room for more instances: full"
            .to_owned();
    let [cold, accelerated] = ramped(&[8, 16, 32, 64], &[], &any);
    assert_eq!((cold, accelerated.0), ((vec![8, 16], full), vec![8, 16, 32]));

    let [cold, accelerated] = ramped(&[1, 2, 4, 8, 16, 32, 64], &[64], &any);
    assert_eq!(
        (cold, accelerated.0),
        ((vec![1, 2, 4, 8, 16, 64], beyond), vec![1, 2, 4, 8, 16, 64]),
        "64 was given as a number"
    );

    let small = |case: &Case, _: &TurnSamples| case.burst < 4;
    let disk = "bursts of 4 and more do not fit on the disk".to_owned();
    assert_eq!(ramped(&[1, 2, 4, 8], &[], &small)[0], (vec![1, 2], disk));
}

#[test]
fn keeps_every_sample_with_its_position_and_summarises() {
    let finished =
        run(&definition(10), &targets(), host(), &mut Mock::default(), None, &mut ()).expect("ran");
    let results = finished.results;
    assert_eq!(results.overhead.n, 10, "the floor is part of each round");
    let floor = &results.overhead;
    let phases = (floor.pull_ns_median, floor.unpack_ns_median, floor.create_ns_median);
    assert_eq!(phases, (Some(700.0), Some(300.0), None));
    let mut orders: Vec<usize> = Vec::new();
    for run in results.variants.iter().flat_map(|v| &v.runs) {
        assert_eq!((run.samples.len(), run.summary.n, run.requests, run.bytes), (10, 10, 3, 700));
        assert!(
            run.summary.min_ns <= run.summary.median_ns
                && run.summary.median_ns <= run.summary.max_ns
        );
        orders.extend(run.samples.iter().map(|s| s.order));
    }
    orders.sort_unstable();
    assert_eq!(orders, (0..40).collect::<Vec<_>>());
    let first = results
        .variants
        .iter()
        .flat_map(|v| &v.runs)
        .flat_map(|r| &r.samples)
        .find(|s| s.order == 0);
    assert_eq!(
        first.expect("a first sample").intended_start_ns,
        0,
        "times count from the run's beginning"
    );
    assert_eq!(results.variants[0].uncompressed_bytes, Some(900));
}

#[test]
fn a_failing_scenario_is_a_result_beside_the_others() {
    let mut mock = Mock { fails: Some(Scenario::Cold), ..Mock::default() };
    let results =
        run(&definition(5), &targets(), host(), &mut mock, None, &mut ()).expect("ran").results;
    for run in results.variants.iter().flat_map(|v| &v.runs) {
        assert_eq!(run.samples.len(), 5);
        assert_eq!(run.summary.n, if run.scenario == Scenario::Cold { 0 } else { 5 });
        assert_eq!(run.summary.median_ns.is_none(), run.scenario == Scenario::Cold);
    }
}

#[test]
fn a_stopped_run_keeps_its_complete_rounds() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("deep/results.json");
    // in the third counted round
    let mut mock = Mock { stops_at: Some(4 * 4 + 2), ..Mock::default() };
    let finished =
        run(&definition(50), &targets(), host(), &mut mock, Some(&path), &mut ()).expect("ran");
    assert!(matches!(finished.stopped, Some(EngineError::Interrupted)));
    let kept = Results::load(&path).expect("kept after each round");
    assert!(
        kept.variants.iter().flat_map(|v| &v.runs).all(|r| r.samples.len() == 3),
        "three whole rounds"
    );
    assert_eq!(finished.results, kept, "nothing of the fourth, and the notes");
    assert_eq!(kept.notes, ["on request"]);
    assert_eq!(
        std::fs::read_dir(folder.path().join("deep")).expect("a folder").count(),
        1,
        "no half-written file"
    );
}

#[test]
fn nothing_to_keep_is_an_error() {
    let mut mock = Mock { stops_at: Some(0), ..Mock::default() };
    assert!(run(&definition(5), &targets(), host(), &mut mock, None, &mut ()).is_err());
}

#[test]
fn results_of_another_schema_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("results.json");
    let mut results = run(&definition(5), &targets(), host(), &mut Mock::default(), None, &mut ())
        .expect("ran")
        .results;
    results.save(&path).expect("saved");
    assert_eq!(Results::load(&path).expect("read back"), results);
    results.schema = 2;
    results.save(&path).expect("saved");
    assert!(Results::load(&path).expect_err("refused").to_string().contains("schema"));
}

#[test]
fn a_record_is_never_replaced_by_another_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut results = run(&definition(5), &targets(), host(), &mut Mock::default(), None, &mut ())
        .expect("ran")
        .results;
    results.host.date = "2026-11-23T09:00:00Z".into();
    let first = results.keep(folder.path(), None).expect("kept");
    assert_eq!(results.keep(folder.path(), None).expect("kept"), first, "the same run once");
    results.notes.push("another run".into());
    let second = results.keep(folder.path(), None).expect("kept");
    let named = results.keep(folder.path(), Some("baselines")).expect("kept");
    let names = [&first, &second, &named]
        .map(|p| p.file_name().expect("a name").to_string_lossy().into_owned());
    let stem = "coldstart-2026-11-23";
    let embedded = "embedded-2-cores";
    let expected = [
        format!("{stem}-{embedded}.json"),
        format!("{stem}-{embedded}-2.json"),
        format!("{stem}-baselines-{embedded}.json"),
    ];
    assert_eq!(names, expected);
    assert_ne!(Results::load(&first).expect("there"), results, "the first is unchanged");
}

/// An image layout with a program of this fault; `None` if this machine cannot run it.
fn layout_of(fault: &str) -> Option<tempfile::TempDir> {
    if skip_without_sandbox() {
        return None;
    }
    let program = compile(fault)?;
    let folder = tempfile::tempdir().expect("a folder");
    layout(folder.path(), &parts(&program, "amd64"));
    Some(folder)
}

fn coldstart(image: &str, out: &std::path::Path, samples: u32, flags: &[&str]) -> Command {
    let mut command = Command::new(COLDSTART);
    command
        .args(["--image", image, "--link", "loopback", "--deadline", "5", "--out"])
        .arg(out)
        .arg("--samples")
        .arg(samples.to_string())
        .args(flags);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn the_command_prints_a_table_and_keeps_results() {
    let Some(image) = layout_of("GOOD") else { return };
    let out = tempfile::tempdir().expect("a folder");
    let done = coldstart(image.path().to_str().expect("a path"), out.path(), 3, &[])
        .output()
        .expect("it starts");
    let text = String::from_utf8_lossy(&done.stdout);
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    for word in ["function", "cold", "accelerated", "provisioned", "ms", "floor"] {
        assert!(text.contains(word), "{word} is missing in\n{text}");
    }
    let results = Results::load(&out.path().join("results.json")).expect("kept");
    assert_eq!(results.variants[0].runs.len(), 3);
}

/// The program calls a server of this machine on each request, and answers with that server's text.
/// Without the flags the same call is refused at once.
#[test]
fn instances_call_a_named_port_of_this_machine_and_the_results_note_it() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = server.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for mut peer in server.incoming().flatten() {
            let _ = peer.write_all(b"{\"from\":\"here\"}");
        }
    });
    let Some(image) = layout_of(&format!("CALLS={port}")) else { return };
    let place = image.path().to_str().expect("a path");
    let reach = format!("127.0.0.1:{port}");
    let networked = ["--network", "--reach", &reach];
    for (flags, answer) in
        [(&networked[..], "{\"from\":\"here\"}"), (&[][..], "Connection refused")]
    {
        let out = tempfile::tempdir().expect("a folder");
        let flags = [flags, &["--expect", answer]].concat();
        let done = coldstart(place, out.path(), 5, &flags).output().expect("it starts");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        if said.contains("`--network` is not possible here") {
            eprintln!("skipped: {said}");
            return;
        }
        assert_eq!(done.status.code(), Some(0), "{flags:?}: {done:?}");
        let results = Results::load(&out.path().join("results.json")).expect("kept");
        let runs = &results.variants[0].runs;
        assert_eq!(runs.len(), 3, "each scenario");
        for run in runs {
            let fine = run.samples.iter().filter(|sample| sample.total_ns.is_some());
            assert_eq!(fine.count(), 5, "{flags:?}, {:?}: {:?}", run.scenario, run.samples);
        }
        let note = results.notes.iter().find(|note| note.contains("instances had a network"));
        match flags.contains(&"--network") {
            true => {
                let note = note.expect("a note for the reader");
                assert!(note.contains(&reach) && note.contains("`create`"), "{note}");
            }
            false => assert_eq!(note, None),
        }
    }
}

#[test]
fn an_engine_with_its_own_network_refuses_the_flag() {
    let Some(image) = layout_of("GOOD") else { return };
    let place = image.path().to_str().expect("a path");
    let out = tempfile::tempdir().expect("a folder");
    for (engine, word) in [
        ("docker", "leave out `--network`"),
        ("podman", "leave out `--network`"),
        ("containerd", "loopback only"),
    ] {
        let flags = ["--network", "--engine", engine];
        let done = coldstart(place, out.path(), 1, &flags).output().expect("it starts");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(4), "{engine}: {said}");
        assert!(said.contains(word), "{engine}: {said}");
    }
}

#[test]
fn a_ramp_of_bursts_is_measured_drawn_and_summed_up() {
    let Some(image) = layout_of("GOOD") else { return };
    let out = tempfile::tempdir().expect("a folder");
    let place = image.path().to_str().expect("a path");
    let flags = ["--burst", "auto", "--scenario", "cold"];
    let done = coldstart(place, out.path(), 3, &flags).output().expect("it starts");
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    let results = Results::load(&out.path().join("results.json")).expect("kept");
    let bursts: Vec<usize> = results.variants[0].runs.iter().map(|r| r.burst).collect();
    assert!(
        bursts.len() >= 3 && bursts.iter().enumerate().all(|(at, &burst)| burst == 1 << at),
        "{bursts:?}"
    );
    assert!(String::from_utf8_lossy(&done.stdout).contains("starts a second"), "{done:?}");
    let last = bursts.last().expect("some");
    let ended = results
        .notes
        .iter()
        .find(|n| n.starts_with("function, cold, loopback: bursts of"))
        .expect("said");
    assert!(
        ended.contains(&format!("more than {last} "))
            || ended.contains(&format!("of {} and more", last * 2)),
        "{ended}"
    );

    let drawn = tempfile::tempdir().expect("a folder");
    let draw = |png: &[&str]| {
        let mut command = Command::new(COLDSTART);
        command
            .arg("plot")
            .arg(out.path().join("results.json"))
            .arg("--out")
            .arg(drawn.path())
            .args(png);
        command.output().expect("it starts")
    };
    let done = draw(&[]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let plots = |kind: &str| {
        let names = std::fs::read_dir(drawn.path()).expect("a folder").flatten().map(|e| e.path());
        names.filter(|path| path.extension().is_some_and(|e| e == kind)).collect::<Vec<_>>()
    };
    assert!(
        drawn.path().join("bursts-1.svg").exists() && drawn.path().join("report.html").exists()
    );
    let done = draw(&["--png"]);
    if String::from_utf8_lossy(&done.stderr).contains("librsvg2-bin") {
        return eprintln!("skipped: no rsvg-convert; `build/setup --plots` installs it");
    }
    assert_eq!((done.status.code(), plots("png").len()), (Some(0), plots("svg").len()), "{done:?}");
    for png in plots("png") {
        let bytes = std::fs::read(&png).expect("just written");
        // PNG, 5.2 and 11.2.2: the signature, and the width in the first chunk.
        let width = u32::from_be_bytes(bytes[16..20].try_into().expect("four"));
        assert!(
            bytes.starts_with(b"\x89PNG\r\n\x1a\n") && width == 2 * 880,
            "{}: {width}",
            png.display()
        );
    }
}

#[test]
fn exit_codes_distinguish_the_image_from_the_bench() {
    let Some(image) = layout_of("EXITS") else { return };
    let out = tempfile::tempdir().expect("a folder");
    let place = image.path().to_str().expect("a path");
    let failed = coldstart(place, out.path(), 3, &[]).output().expect("it starts");
    let text = String::from_utf8_lossy(&failed.stdout);
    assert_eq!(failed.status.code(), Some(1), "the measured thing failed");
    assert!(text.contains("cannot find the answer") && text.contains("phase start"), "{text}");
    let usage =
        coldstart(place, out.path(), 3, &["--scenario", "lukewarm"]).output().expect("it starts");
    assert_eq!(usage.status.code(), Some(2));
    let missing = coldstart("/nowhere/at/all", out.path(), 3, &[]).output().expect("it starts");
    assert_eq!(missing.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("/nowhere/at/all"));
}

#[test]
fn an_interrupted_run_leaves_no_process_and_no_folder() {
    let Some(image) = layout_of("GOOD") else { return };
    let out = tempfile::tempdir().expect("a folder");
    let place = image.path().to_str().expect("a path");
    let mut child = coldstart(place, out.path(), 100_000, &[]).spawn().expect("it starts");
    let path = out.path().join("results.json");
    while !path.exists() {
        assert!(child.try_wait().expect("asked").is_none(), "it ended before its first round");
        std::thread::sleep(std::time::Duration::from_millis(5)); // both cores are the bench's
    }
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    let children =
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("its helper");
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).expect("sent");
    let status = child.wait().expect("ended");
    let mut said = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(said.contains("interrupted"), "{said}");
    for helper in children.split_whitespace() {
        assert!(!std::path::Path::new(&format!("/proc/{helper}")).exists(), "the helper lives on");
    }
    let names: Vec<_> =
        std::fs::read_dir(out.path()).expect("a folder").flatten().map(|e| e.file_name()).collect();
    assert!(names.iter().all(|n| !n.to_string_lossy().starts_with("work-")), "{names:?}");
    assert!(Results::load(&path).expect("kept").variants[0].runs[0].summary.n > 0);
}

/// Regression: an interruption before the first round gave exit code 4, as if the bench could not
/// run.
#[test]
fn an_interruption_before_the_first_round_has_the_same_exit_code() {
    let Some(image) = layout_of("DEAF") else { return };
    let out = tempfile::tempdir().expect("a folder");
    let place = image.path().to_str().expect("a path");
    let mut child = coldstart(place, out.path(), 10, &[]).spawn().expect("it starts");
    let work = out.path().join(format!("work-{}", child.id())); // made once signals are listened to
    while !work.exists() {
        assert!(child.try_wait().expect("asked").is_none(), "it ended before it worked");
        std::thread::sleep(std::time::Duration::from_millis(5)); // both cores are the bench's
    }
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(child.id() as i32),
        nix::sys::signal::Signal::SIGINT,
    )
    .expect("sent");
    assert_eq!(child.wait().expect("ended").code(), Some(130));
    assert_eq!(
        std::fs::read_dir(out.path()).expect("a folder").count(),
        0,
        "nothing was measured, nothing is left"
    );
}

/// Writes results of the mock's run to a file, with every total `factor` times as long.
fn results_file(
    folder: &std::path::Path,
    name: &str,
    samples: usize,
    factor: u64,
) -> std::path::PathBuf {
    let mut results =
        run(&definition(samples), &targets(), host(), &mut Mock::default(), None, &mut ())
            .expect("ran")
            .results;
    for run in results.variants.iter_mut().flat_map(|v| &mut v.runs) {
        run.samples.iter_mut().for_each(|s| s.total_ns = s.total_ns.map(|ns| ns * factor));
        run.summarise();
    }
    results.host.date = "2026-11-23T09:00:00Z".into();
    let path = folder.join(name);
    results.save(&path).expect("saved");
    path
}

fn subcommand(arguments: &[&str]) -> (Option<i32>, String, String) {
    let done =
        Command::new(COLDSTART).args(arguments).stdin(Stdio::null()).output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (done.status.code(), text(&done.stdout), text(&done.stderr))
}

#[test]
fn compare_ends_with_3_for_slower_and_with_4_when_inconclusive() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, samples, factor| {
        results_file(folder.path(), name, samples, factor).display().to_string()
    };
    let (before, slower) = (file("before.json", 20, 1), file("slower.json", 20, 3));
    let (few, few_slower) = (file("few.json", 3, 1), file("few-slower.json", 3, 10));
    let (code, said, _) = subcommand(&["compare", &before, &slower]);
    assert!(
        code == Some(3) && said.contains("SLOWER") && said.contains("Cliff's delta"),
        "{code:?} {said}"
    );
    assert_eq!(subcommand(&["compare", &slower, &before]).0, Some(0), "faster is fine");
    assert_eq!(subcommand(&["compare", &before, &before]).0, Some(0));
    let (code, said, why) = subcommand(&["compare", &few, &few_slower]);
    assert!(
        code == Some(4) && said.contains("cannot tell") && why.contains("more samples"),
        "{code:?} {said} {why}"
    );
    let (code, _, why) = subcommand(&["compare", &before, "/nowhere.json"]);
    assert!(code == Some(4) && why.contains("/nowhere.json"), "{why}");
}

#[test]
fn a_baseline_of_another_engine_is_refused_before_the_run() {
    let Some(image) = layout_of("GOOD") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let baseline = results_file(folder.path(), "baseline.json", 5, 1);
    let text = std::fs::read_to_string(&baseline)
        .expect("there")
        .replace(r#""engine": "embedded""#, r#""engine": "docker""#);
    std::fs::write(&baseline, text).expect("written");
    let out = folder.path().join("out");
    let flags = ["--baseline", baseline.to_str().expect("a path")];
    let done = coldstart(image.path().to_str().expect("a path"), &out, 3, &flags)
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.code() == Some(4) && said.contains("`docker`"), "{said}");
    assert!(!out.exists(), "the run did not start");
}

#[test]
fn a_run_slower_than_its_baseline_ends_with_3() {
    let Some(image) = layout_of("GOOD") else { return };
    let (out, place) =
        (tempfile::tempdir().expect("a folder"), image.path().to_str().expect("a path"));
    let once = ["--scenario", "accelerated"];
    let done = coldstart(place, out.path(), 6, &once).output().expect("it starts");
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    let mut results = Results::load(&out.path().join("results.json")).expect("kept");
    for sample in results.variants.iter_mut().flat_map(|v| &mut v.runs).flat_map(|r| &mut r.samples)
    {
        sample.total_ns = sample.total_ns.map(|ns| ns / 100);
    }
    let baseline = out.path().join("baseline.json");
    results.save(&baseline).expect("saved");
    let flags = [&once[..], &["--baseline", baseline.to_str().expect("a path")]].concat();
    let done = coldstart(place, out.path(), 6, &flags).output().expect("it starts");
    assert_eq!(done.status.code(), Some(3), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn plot_and_record_write_to_the_paths_that_they_print() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = results_file(folder.path(), "results.json", 5, 1).display().to_string();
    let drawn = folder.path().join("drawn");
    let (code, said, why) = subcommand(&["plot", &file, "--out", drawn.to_str().expect("a path")]);
    assert_eq!(code, Some(0), "{why}");
    for name in ["report.html", "phases.svg", "samples.svg"] {
        let path = drawn.join(name);
        assert!(path.is_file() && said.contains(&path.display().to_string()), "{name}: {said}");
    }
    let (code, said, why) =
        subcommand(&["record", &file, "--into", drawn.to_str().expect("a path"), "--name", "mock"]);
    assert_eq!(code, Some(0), "{why}");
    assert!(said.trim_end().ends_with("coldstart-2026-11-23-mock-embedded-2-cores.json"), "{said}");
    assert!(Results::load(std::path::Path::new(said.trim_end())).is_ok());
    assert_eq!(subcommand(&["record", &file, "--name", "../elsewhere"]).0, Some(2));
}

/// Regression: `coldstart compare A B | head -1` panicked.
#[test]
fn a_closed_pipe_causes_no_panic() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = results_file(folder.path(), "results.json", 20, 1).display().to_string();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = Command::new(COLDSTART);
    let done = command
        .args(["compare", &file, &file])
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .expect("it starts");
    assert_eq!(
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned()),
        (Some(0), String::new())
    );
}

#[test]
fn a_provisioned_instance_has_nothing_to_evict() {
    let Some(image) = layout_of("GOOD") else { return };
    let (out, place) =
        (tempfile::tempdir_in(".").expect("a folder"), image.path().to_str().expect("a path"));
    let flags = ["--page-cache", "evicted", "--scenario", "provisioned"];
    let done = coldstart(place, out.path(), 1, &flags).output().expect("it starts");
    assert!(
        done.status.code() == Some(4)
            && String::from_utf8_lossy(&done.stderr).contains("read its files"),
        "{done:?}"
    );
}

/// Regression: with room for forty processes a burst of 64 hung, and no signal ended it.
#[test]
fn a_burst_that_is_too_large_for_the_machine_ends_with_a_result() {
    const UID: u32 = 61_234; // unused, so that the limit counts only this run
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("skipped: a limit of processes for a user of its own needs root");
    }
    let Some(image) = layout_of("GOOD") else { return };
    let out = tempfile::tempdir().expect("a folder");
    for folder in [image.path(), out.path()] {
        std::os::unix::fs::chown(folder, Some(UID), Some(UID)).expect("given away");
    }
    let mut command = Command::new("prlimit");
    let place = image.path().to_str().expect("a path");
    command.args(["--nproc=40", COLDSTART, "--image", place, "--out"]).arg(out.path());
    command.args([
        "--link",
        "loopback",
        "--scenario",
        "accelerated",
        "--samples",
        "1",
        "--warmups",
        "0",
        "--burst",
        "64",
    ]);
    std::os::unix::process::CommandExt::uid(&mut command, UID);
    std::os::unix::process::CommandExt::gid(&mut command, UID);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let began = std::time::Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("asked") {
            break status;
        }
        if began.elapsed() > std::time::Duration::from_secs(120) {
            child.kill().expect("killed");
            panic!("it hangs");
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    let (mut said, mut why) = (String::new(), String::new());
    child.stdout.take().expect("piped").read_to_string(&mut said).expect("text");
    child.stderr.take().expect("piped").read_to_string(&mut why).expect("text");
    if matches!(status.code(), Some(4 | 126))
        && (why.contains("not permitted") || why.contains("ermission denied"))
    {
        return eprintln!("skipped: an ordinary user cannot do this here: {why}");
    }
    assert_eq!(status.code(), Some(1), "{said}\n{why}");
    assert!(said.contains("this machine has no room for more instances"), "{said}");
}

/// Whether the docker engine of the bench has what it needs here.
fn skip_without_docker() -> bool {
    let answers = |program: &str, argument: &str| {
        let mut command = Command::new(program);
        command.arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let missing = !answers("docker", "version") || !answers("docker-registry", "--help");
    if missing {
        eprintln!(
            "skipped: no Docker Engine that runs, or no docker-registry; `build/setup --docker` \
             installs them"
        );
    }
    missing
}

#[test]
fn docker_engine_reports_a_program_that_listens_where_no_platform_can_reach_it() {
    if skip_without_docker() {
        return;
    }
    let Some(image) = layout_of("LOOPBACK") else { return };
    let out = tempfile::tempdir().expect("a folder");
    let place = image.path().to_str().expect("a path");
    let flags = ["--engine", "docker", "--scenario", "cold", "--warmups", "0"];
    let done = coldstart(place, out.path(), 1, &flags).output().expect("it starts");
    let text = String::from_utf8_lossy(&done.stdout);
    assert_eq!(done.status.code(), Some(1), "{}", String::from_utf8_lossy(&done.stderr));
    for word in ["446", "127.0.0.1:9000", "0.0.0.0:9000"] {
        assert!(text.contains(word), "{word} is missing in\n{text}");
    }
}

/// Regression: an instance's network was gone before the probe had ended. The probe then waited for
/// minutes in one connect, and no signal ended it.
#[test]
fn docker_engine_reports_the_cause_of_a_failed_start_soon() {
    if skip_without_docker() {
        return;
    }
    let of = |change: &dyn Fn(&str) -> String, architecture: &str, fault: &str| {
        let program = compile(fault)?;
        let parts = changed(parts(&program, architecture), change);
        let folder = tempfile::tempdir().expect("a folder");
        layout(folder.path(), &parts);
        Some(folder)
    };
    let same = |config: &str| config.to_owned();
    let no_program = |config: &str| config.replace("/app", "/nowhere");
    let cases = [
        (of(&same, "amd64", "EXITS"), "405 ContainerStateExited", "cannot find the answer"),
        (of(&no_program, "amd64", "GOOD"), "445 ContainerInitError", "nowhere"),
        (of(&same, "arm64", "GOOD"), "445 ContainerInitError", "the image is for `arm64`"),
    ];
    for (image, status, word) in cases {
        let Some(image) = image else {
            return eprintln!("skipped: no C compiler that links statically");
        };
        let out = tempfile::tempdir().expect("a folder");
        let flags = ["--engine", "docker", "--scenario", "accelerated", "--warmups", "0"];
        let began = std::time::Instant::now();
        let done = coldstart(image.path().to_str().expect("a path"), out.path(), 2, &flags)
            .output()
            .expect("it starts");
        let text = String::from_utf8_lossy(&done.stdout);
        assert_eq!(done.status.code(), Some(1), "{text}{}", String::from_utf8_lossy(&done.stderr));
        assert!(text.contains(status) && text.contains(word), "{text}");
        // Two samples, each with a deadline of 5 s, and the floor; before, it took some 13 minutes.
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "{:?}", began.elapsed());
    }
}

/// An image with another configuration.
fn changed(image: common::Parts, change: &dyn Fn(&str) -> String) -> common::Parts {
    let config = change(std::str::from_utf8(&image.config).expect("JSON")).into_bytes();
    let digest = |bytes: &[u8]| microimage::digest::Digest::of(bytes).to_string();
    let manifest = std::str::from_utf8(&image.manifest).expect("JSON");
    let manifest = manifest.replace(&digest(&image.config), &digest(&config));
    let manifest = manifest.replace(
        &format!("\"size\":{}", image.config.len()),
        &format!("\"size\":{}", config.len()),
    );
    common::Parts { manifest: manifest.into_bytes(), config, ..image }
}

#[test]
fn an_interrupted_run_leaves_nothing_in_docker_engine() {
    if skip_without_docker() {
        return;
    }
    let Some(image) = layout_of("GOOD") else { return };
    let out = tempfile::tempdir().expect("a folder");
    let place = format!("interrupted={}", image.path().display());
    let mut child =
        coldstart(&place, out.path(), 10_000, &["--engine", "docker"]).spawn().expect("it starts");
    wait_for_a_round(&mut child, out.path());
    let run = coldstart::owner::label_of(child.id()).expect("it runs");
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(child.id() as i32),
        nix::sys::signal::Signal::SIGINT,
    )
    .expect("sent");
    let status = child.wait().expect("ended");
    assert_eq!(status.code(), Some(130));
    let left = in_docker(&run);
    assert_eq!(left, "");
    let names: Vec<_> =
        std::fs::read_dir(out.path()).expect("a folder").flatten().map(|e| e.file_name()).collect();
    assert!(names.iter().all(|n| !n.to_string_lossy().starts_with("work-")), "{names:?}");
}

/// Regression: after a run was killed, the engine kept its images, and the registry continued to
/// run.
#[test]
fn the_next_run_removes_the_leftovers_of_a_killed_one_in_docker_engine() {
    if skip_without_docker() {
        return;
    }
    let Some(image) = layout_of("GOOD") else { return };
    let out = tempfile::tempdir().expect("a folder");
    let place = image.path().to_str().expect("a path");
    let mut child =
        coldstart(place, out.path(), 10_000, &["--engine", "docker"]).spawn().expect("it starts");
    wait_for_a_round(&mut child, out.path());
    let run = coldstart::owner::label_of(child.id()).expect("it runs");
    let folder = out.path().join(format!("work-{}", child.id()));
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert_ne!(in_docker(&run), "", "the floor's image at least");

    let flags = ["--engine", "docker", "--warmups", "0"];
    let done = coldstart(place, out.path(), 1, &flags).output().expect("it starts");
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(in_docker(&run), "");
    assert!(!folder.exists());
    let commands = std::fs::read_dir("/proc").expect("there").flatten();
    let ours =
        commands.filter_map(|process| std::fs::read_to_string(process.path().join("cmdline")).ok());
    let registry =
        ours.into_iter().find(|command| command.contains(folder.to_str().expect("a path")));
    assert_eq!(registry, None, "a registry of the killed run");

    let results = Results::load(&out.path().join("results.json")).expect("kept");
    let of =
        |scenario| results.variants[0].runs.iter().find(|r| r.scenario == scenario).expect("there");
    for scenario in [Scenario::Cold, Scenario::Accelerated] {
        let sample = &of(scenario).samples[0];
        assert!(
            sample.listen_ns <= sample.first_byte_ns && sample.first_byte_ns <= sample.start_ns,
            "{sample:?}"
        );
    }
    let ready = &of(Scenario::Provisioned).samples[0];
    assert!(
        ready.total_ns.is_some_and(|ns| Some(ns) < of(Scenario::Cold).samples[0].start_ns),
        "{ready:?}"
    );
    let step = results.overhead.connect_step_ns_median;
    assert!(step.is_some(), "the probe began before the program listened: a connect was refused");
}

#[test]
fn a_burst_in_docker_engine_shares_one_pull_and_its_schedule() {
    if skip_without_docker() {
        return;
    }
    let Some(image) = layout_of("GOOD") else { return };
    let out = tempfile::tempdir().expect("a folder");
    let place = image.path().to_str().expect("a path");
    let flags = ["--engine", "docker", "--burst", "3", "--burst-interval", "20", "--warmups", "0"];
    let done = coldstart(place, out.path(), 1, &flags).output().expect("it starts");
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stdout));
    let results = Results::load(&out.path().join("results.json")).expect("kept");
    for run in &results.variants[0].runs {
        let starts: Vec<u64> = run.samples.iter().map(|s| s.intended_start_ns).collect();
        assert!(starts.windows(2).all(|pair| pair[1] - pair[0] == 20_000_000), "{starts:?}");
        assert!(
            run.samples.iter().all(|s| s.total_ns.is_some() && s.peak_resident_bytes > Some(4096)),
            "{run:?}"
        );
    }
    let cold = &results.variants[0]
        .runs
        .iter()
        .find(|r| r.scenario == Scenario::Cold)
        .expect("there")
        .samples;
    let pulls: Vec<u64> = cold.iter().filter_map(|s| s.pull_ns).collect();
    assert!(
        !pulls.is_empty() && pulls.windows(2).all(|pair| pair[0] == pair[1]),
        "one pull: {pulls:?}"
    );
}

/// Waits until a run has kept its first round.
fn wait_for_a_round(child: &mut std::process::Child, out: &std::path::Path) {
    while !out.join("results.json").exists() {
        assert!(child.try_wait().expect("asked").is_none(), "it ended before its first round");
        std::thread::sleep(std::time::Duration::from_millis(5)); // both cores are the bench's
    }
}

/// Containers and images of one run.
fn in_docker(run: &str) -> String {
    let filter = format!("label=coldstart.run={run}");
    let lists = [
        ["ps", "--all", "--format", "{{.Names}}"],
        ["images", "--all", "--format", "{{.Repository}}"],
    ];
    let listed =
        lists.map(|list| Command::new("docker").args(list).args(["--filter", &filter]).output());
    listed.map(|done| String::from_utf8(done.expect("it starts").stdout).expect("text")).concat()
}

/// Result of a run of one image for 50 samples: exit code, text of either stream, runs.
fn tried(fault: &str, flags: &[&str]) -> Option<(Option<i32>, String, String, Vec<Run>)> {
    let image = layout_of(fault)?;
    let out = tempfile::tempdir().expect("a folder");
    let place = image.path().to_str().expect("a path");
    let done = coldstart(place, out.path(), 50, flags).output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut results = Results::load(&out.path().join("results.json")).expect("kept");
    assert!(out.path().join("report.html").is_file(), "the failure is drawn too");
    let runs = results.variants.remove(0).runs;
    Some((done.status.code(), text(&done.stdout), text(&done.stderr), runs))
}

/// Regression: an image that never listens was tried for two hours, fifty times in each of five
/// cases.
#[test]
fn a_case_that_fails_at_its_first_try_ends_the_run_with_a_flag_that_helps() {
    for (fault, flag) in [
        ("DEAF", "`--deadline SECONDS`"),
        ("ELSEWHERE", "`--port 8081`"),
        ("WEB", "`--request GET:/`"),
    ] {
        let Some((code, text, why, runs)) = tried(fault, &[]) else { return };
        assert_eq!(code, Some(1), "{text}{why}");
        assert!(text.contains(flag) && text.contains("phase start"), "{fault}: {text}");
        assert!(why.contains("`--keep-going`"), "{fault}: {why}");
        // Regression: the run had ended before the floor's turn, and blamed a missing compiler.
        assert!(!text.contains("no C compiler"), "{fault}: {text}");
        assert!(runs.len() == 1 && runs[0].samples.len() == 1, "{fault}: {runs:?}");
    }
    let Some((code, text, why, runs)) = tried("DEAF", &["--keep-going"]) else { return };
    assert_eq!(code, Some(1), "{text}{why}");
    let scenarios: Vec<_> = runs.iter().map(|run| (run.scenario, run.samples.len())).collect();
    assert_eq!(
        scenarios,
        [(Scenario::Cold, 1), (Scenario::Accelerated, 1), (Scenario::Provisioned, 1)],
        "each fails once"
    );
}

/// With `--keep-going` the rest is measured.
#[test]
fn a_case_that_fails_at_its_first_try_is_left_out_and_the_rest_is_measured() {
    let (Some(good), Some(deaf)) = (layout_of("GOOD"), layout_of("DEAF")) else { return };
    let out = tempfile::tempdir().expect("a folder");
    let place = |name: &str, folder: &tempfile::TempDir| {
        format!("{name}={}", folder.path().to_str().expect("a path"))
    };
    let (good, deaf) = (place("good", &good), place("deaf", &deaf));
    let flags = [&deaf, "--keep-going", "--scenario", "accelerated"];
    let done = coldstart(&good, out.path(), 5, &flags).output().expect("it starts");
    assert_eq!(done.status.code(), Some(1), "{}", String::from_utf8_lossy(&done.stderr));
    let results = Results::load(&out.path().join("results.json")).expect("kept");
    for variant in &results.variants {
        let samples = &variant.runs[0].samples;
        let failed = samples.iter().filter(|sample| sample.error.is_some()).count();
        let expected = if variant.name == "good" { (5, 0) } else { (1, 1) };
        assert_eq!((samples.len(), failed), expected, "{}", variant.name);
    }
}

/// An engine whose second image fails the first time, and which counts its calls.
struct FailsOnce(usize);

impl Engine for FailsOnce {
    fn kind(&self) -> EngineKind {
        EngineKind::Embedded
    }

    fn take(&mut self, case: &Case) -> Result<TurnSamples, EngineError> {
        self.0 += 1;
        let fails = case.variant == 1 && case.scenario == Scenario::Cold;
        let error = fails.then(|| failure::in_phase(Phase::Start, "no"));
        let total_ns = error.is_none().then_some(1000);
        let sample = Sample { total_ns, error, ..Sample::default() };
        Ok(TurnSamples { samples: vec![sample], ..TurnSamples::default() })
    }

    fn calibrate(&mut self) -> Result<Option<Calibration>, EngineError> {
        Ok(None)
    }
}

struct Decides(Onward);

impl Watcher for Decides {
    fn sampled(&mut self, _: usize, _: usize, _: &str) {}

    fn failed_at_first(&mut self, what: &str, failure: &Failure) -> Onward {
        assert!(what.starts_with("two, cold") && failure.message.contains("no"), "{what}");
        self.0
    }
}

#[test]
fn the_watcher_decides_about_a_case_that_fails_at_its_first_try() {
    // 4 cases, 1 warm-up, 10 rounds.
    for (onward, takes, failed) in
        [(Onward::Measure, 44..=44, 10), (Onward::LeaveOut, 34..=34, 1), (Onward::Stop, 1..=4, 1)]
    {
        let mut engine = FailsOnce(0);
        let mut watcher = Decides(onward);
        let finished =
            run(&definition(10), &targets(), host(), &mut engine, None, &mut watcher).expect("ran");
        assert!(takes.contains(&engine.0), "{onward:?}: {} turns", engine.0);
        assert_eq!(finished.gave_up.is_some(), onward == Onward::Stop);
        let samples =
            finished.results.variants.iter().flat_map(|v| &v.runs).flat_map(|r| &r.samples);
        assert_eq!(samples.filter(|s| s.error.is_some()).count(), failed, "{onward:?}");
    }
}

/// It runs outside this repository, without a flag.
#[test]
fn an_image_is_the_only_required_argument() {
    let Some(image) = layout_of("GOOD") else { return };
    let elsewhere = tempfile::tempdir().expect("a folder");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(COLDSTART);
        command.args(arguments).current_dir(elsewhere.path()).stdin(Stdio::null());
        let done = command.output().expect("it starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (done.status.code(), text(&done.stdout), text(&done.stderr))
    };
    let (code, _, why) = run(&[]);
    assert!(code == Some(4) && why.contains("`coldstart IMAGE`"), "{why}");
    let (code, _, why) = run(&["nginx:1"]);
    assert!(code == Some(4) && why.contains("docker save") && why.contains("docker.io"), "{why}");
    // A layout's folder, and an archive of it in the form of `docker save | gzip`.
    let place = image.path().to_str().expect("a path");
    let tar = elsewhere.path().join("saved.tar.gz");
    let loaded = microimage::source::load(place).expect("ours");
    let plain = elsewhere.path().join("saved.tar");
    microimage::archive::write(&loaded, &plain).expect("an archive");
    let mut gzip = Command::new("gzip");
    gzip.arg(&plain);
    assert!(gzip.status().expect("gzip").success() && tar.is_file());
    for place in [place, "saved.tar.gz"] {
        let (code, text, why) = run(&[
            place,
            "--samples",
            "2",
            "--link",
            "loopback",
            "--markdown",
            "t.md",
            "--csv",
            "-",
        ]);
        assert_eq!(code, Some(0), "{text}{why}");
        assert!(text.contains("\nengine,image,reference,"), "{text}");
        let markdown = std::fs::read_to_string(elsewhere.path().join("t.md")).expect("written");
        assert!(markdown.starts_with("| image | scenario | link |"), "{markdown}");
        // Regression: with a file of `docker save` the pull read five times as long as it is.
        assert!(text.contains(": its layers are not compressed"), "{text}");
        // The verdicts are under the table.
        assert!(text.contains("what the platform's advice would buy"), "{text}");
        let (code, again, _) = run(&["report"]);
        assert!(code == Some(0) && again.contains("what the platform's advice would buy"));
    }
}

/// Both forms have the same row for each case, and each row of CSV has as many fields as the
/// header.
#[test]
fn a_run_is_exported_as_markdown_and_csv() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = results_file(folder.path(), "results.json", 5, 1).display().to_string();
    let results = Results::load(std::path::Path::new(&file)).expect("saved");
    let (code, markdown, why) = subcommand(&["export", &file]);
    assert_eq!(code, Some(0), "{why}");
    let rows: Vec<_> = markdown.lines().take_while(|line| line.starts_with('|')).collect();
    assert_eq!(rows.len(), 2 + 4, "{markdown}");
    assert!(rows.iter().all(|row| row.matches('|').count() == rows[0].matches('|').count()));
    let (code, csv, why) = subcommand(&["export", &file, "--csv", "-"]);
    assert_eq!(code, Some(0), "{why}");
    let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines.len(), 1 + 4, "{csv}");
    assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{csv}");
    let at = lines[0].iter().position(|name| *name == "median_ns").expect("a column");
    let first = results.variants[0].runs[0].summary.median_ns.expect("a median");
    assert_eq!(lines[1][at], format!("{first:.0}"));
    let path = folder.path().join("t.csv").display().to_string();
    assert_eq!(subcommand(&["export", &file, "--export-csv", &path]).0, Some(0));
    assert_eq!(std::fs::read_to_string(path).expect("written"), csv);
}

/// A reader that closes the pipe does not end the program; a full disk is an error.
#[test]
fn a_full_output_is_an_error_and_a_closed_one_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = results_file(folder.path(), "results.json", 20, 1).display().to_string();
    let plan = ["plan", "--rate", "2", "--service", "20ms", "--cold", "300ms", "--days", "0.01"];
    for arguments in [&["report", &file][..], &["compare", &file, &file], &["export", &file], &plan]
    {
        let run = |out: Stdio, beside: Stdio| {
            let mut command = Command::new(COLDSTART);
            let done = command.args(arguments).stdout(out).stderr(beside).output();
            let done = done.expect("it starts");
            (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
        };
        let closed = || {
            let (reader, writer) = std::io::pipe().expect("a pipe");
            drop(reader);
            Stdio::from(writer)
        };
        assert_eq!(run(closed(), Stdio::piped()), (Some(0), String::new()), "{arguments:?}");
        let full = || std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
        let (code, why) = run(full().into(), Stdio::piped());
        assert!(code == Some(4) && why.contains("standard output cannot be written"), "{why}");
        // The pipe has no reader.
        assert_eq!(run(full().into(), closed()).0, Some(4));
    }
}
