//! Tests of the embedded engine on real namespaces: its measurements, its messages about failing
//! programs, and that nothing remains. They compile programs from programs/function.c; without a C
//! compiler or namespaces they are skipped, with a message.

mod common;

use coldstart::engine::{Case, Engine, EngineError};
use coldstart::link::Link;
use coldstart::phase::Phase;
use coldstart::request::Ask;
use coldstart::results::{PageCache, Sample, Scenario};
use common::{Bench, Entry, compile, image, image_of, skip_without_sandbox};
use microimage::sandbox::ResourceLimits;
use std::time::{Duration, Instant};

fn case(scenario: Scenario) -> Case {
    Case { variant: 0, link: Link::loopback(), scenario, page_cache: PageCache::Warm, burst: 1 }
}

/// Deadline of results that appear before any deadline; it is long for busy machines.
const PATIENT: Duration = Duration::from_secs(30);
/// Deadline of results that appear only after it.
const SHORT: Duration = Duration::from_secs(2);

/// The error of a cold start of a program with a fault.
fn failure_of(fault: &str, deadline: Duration) -> Option<(Phase, String)> {
    let mut bench = Bench::of(fault, deadline)?;
    failure_in(&mut bench, fault)
}

fn failure_in(bench: &mut Bench, fault: &str) -> Option<(Phase, String)> {
    let outcome = bench.engine.take(&case(Scenario::Cold)).expect("the engine works");
    let error = outcome.samples[0]
        .error
        .clone()
        .unwrap_or_else(|| panic!("{fault} was measured as if it were fine"));
    assert_eq!(outcome.samples[0].total_ns, None, "a failed sample has no total");
    Some((error.phase, error.message))
}

/// Duration of each phase, in the order of time; all of them must exist.
fn all_phases_ns(sample: &Sample) -> Vec<u64> {
    let of = |&phase: &Phase| {
        sample.phase_ns(phase).unwrap_or_else(|| panic!("no {phase} in {sample:?}"))
    };
    Phase::all().iter().map(of).collect()
}

#[test]
fn a_cold_start_has_all_phases_and_they_fit_into_its_total() {
    let Some(mut bench) = Bench::of("GOOD", Duration::from_secs(10)) else { return };
    for _ in 0..3 {
        let outcome = bench.engine.take(&case(Scenario::Cold)).expect("the engine works");
        let sample = &outcome.samples[0];
        assert_eq!(sample.error, None);
        let total = sample.total_ns.expect("a total");
        let phases = all_phases_ns(sample);
        let sum: u64 = phases.iter().sum();
        assert!(sum <= total && total - sum < total / 2, "{phases:?} in {total}");
        let (listen, first, last) = (sample.listen_ns, sample.first_byte_ns, sample.start_ns);
        assert!(listen <= first && first <= last, "{sample:?}");
        assert!(sample.peak_resident_bytes > Some(4096), "{sample:?}");
        assert_eq!(outcome.requests, 3, "manifest, configuration, layer");
        // The layer is a plain tar, so that manifest and configuration come on top of its size.
        let tar = outcome.uncompressed_bytes.expect("it was unpacked");
        assert!(outcome.bytes > tar && outcome.bytes < tar + 4096, "{} of {tar}", outcome.bytes);
    }
}

#[test]
fn scenarios_leave_out_what_is_already_there() {
    let Some(mut bench) = Bench::of("GOOD", Duration::from_secs(10)) else { return };
    let take = |bench: &mut Bench, scenario| -> Sample {
        let sample =
            bench.engine.take(&case(scenario)).expect("the engine works").samples[0].clone();
        assert_eq!(sample.error, None);
        sample
    };
    let accelerated = take(&mut bench, Scenario::Accelerated);
    assert!(
        accelerated.pull_ns.is_none()
            && accelerated.unpack_ns.is_some()
            && accelerated.total_ns.is_some()
    );
    let provisioned = take(&mut bench, Scenario::Provisioned);
    assert!(
        provisioned.unpack_ns.is_none()
            && provisioned.create_ns.is_none()
            && provisioned.listen_ns.is_none()
    );
    assert_eq!(provisioned.start_ns, provisioned.total_ns);
    let evicted = Case { page_cache: PageCache::Evicted, ..case(Scenario::Accelerated) };
    assert_eq!(bench.engine.take(&evicted).expect("the engine works").samples[0].error, None);
}

#[test]
fn a_link_delays_the_pull_and_nothing_else() {
    let Some(mut bench) = Bench::of("GOOD", Duration::from_secs(10)) else { return };
    let slow = Case { link: "1Gbit/20ms".parse().expect("a link"), ..case(Scenario::Cold) };
    let mut take = || bench.engine.take(&slow).expect("the engine works").samples[0].clone();
    let samples = [take(), take(), take(), take(), take()];
    // Handshake, manifest, then configuration beside layer on a second connection: four round
    // trips.
    assert!(samples.iter().all(|s| s.pull_ns >= Some(80_000_000)), "{samples:?}");
    // The fastest start, because a busy machine delays single ones.
    let start_ns = samples.iter().map(|s| s.start_ns.expect("started")).min();
    assert!(start_ns < Some(80_000_000), "{samples:?}");
}

#[test]
fn a_burst_has_as_many_samples_as_instances_on_its_schedule() {
    let Some(mut bench) = Bench::of("GOOD", Duration::from_secs(10)) else { return };
    for scenario in [Scenario::Cold, Scenario::Provisioned] {
        let outcome =
            bench.engine.take(&Case { burst: 6, ..case(scenario) }).expect("the engine works");
        assert_eq!(outcome.samples.len(), 6);
        assert!(outcome.samples.iter().all(|s| s.error.is_none()), "{:?}", outcome.samples);
        let first = outcome.samples[0].intended_start_ns;
        assert!(outcome.samples.iter().all(|s| s.intended_start_ns == first), "all at once");
    }
}

#[test]
fn an_instance_sees_only_its_sandbox() {
    let Some(mut bench) = Bench::of("LOOKS", Duration::from_secs(10)) else { return };
    let outcome = bench.engine.take(&case(Scenario::Cold)).expect("the engine works");
    assert_eq!(outcome.samples[0].error, None);
    // Its answer is now the reference answer; a wrong expectation prints it.
    bench.engine.expect(b"show me");
    let outcome = bench.engine.take(&case(Scenario::Cold)).expect("the engine works");
    let seen = outcome.samples[0].error.clone().expect("not what was expected").message;
    for fact in [
        r#""pid":1"#,
        r#""uid":65532"#,
        r#""gid":65532"#,
        r#""host":"instance""#,
        r#""root_writable":false"#,
        r#""tmp_writable":true"#,
        r#""greeting":"hello""#,
    ] {
        assert!(seen.contains(fact), "{fact} is missing in {seen}");
    }
    assert!(!seen.contains(r#""exec_ns":0"#), "{seen}");
}

#[test]
fn reports_a_program_that_listens_where_no_platform_can_reach_it() {
    let Some((phase, message)) = failure_of("LOOPBACK", SHORT) else { return };
    assert_eq!(phase, Phase::Start);
    assert!(message.contains("127.0.0.1:9000") && message.contains("446"), "{message}");
}

#[test]
fn reports_a_program_that_never_listened_with_its_output() {
    let Some((phase, message)) = failure_of("DEAF", SHORT) else { return };
    assert_eq!(phase, Phase::Start);
    assert!(message.contains("warming up") && message.contains("446"), "{message}");
}

#[test]
fn reports_how_a_program_ended_with_its_last_output() {
    let Some((phase, message)) = failure_of("EXITS", PATIENT) else { return };
    assert_eq!(phase, Phase::Start);
    assert!(message.contains("cannot find the answer") && message.contains("code 3"), "{message}");
    assert!(message.contains("405 ContainerStateExited"), "it never listened: {message}");
}

#[test]
fn reports_an_answer_that_is_an_error() {
    let Some((phase, message)) = failure_of("WRONG", PATIENT) else { return };
    assert_eq!(phase, Phase::Start);
    assert!(
        message.contains("500") && message.contains("no answer") && message.contains("430"),
        "{message}"
    );
}

#[test]
fn reports_a_program_that_listened_and_never_answered() {
    let Some((_, message)) = failure_of("MUTE", SHORT) else { return };
    assert!(message.contains("did not answer") && message.contains("433"), "{message}");
}

/// Regression: the status of a program that aborted on the first request was sometimes 443, for the
/// closed connection, and sometimes 439, for the end.
#[test]
fn reports_a_program_that_crashed_on_its_first_request() {
    for _ in 0..5 {
        let Some((_, message)) = failure_of("ABORTS", PATIENT) else { return };
        for word in ["439", "no such event", "was ended by signal"] {
            assert!(message.contains(word), "{word} is missing in {message}");
        }
    }
}

/// A bench whose instances are limited; `None`, with a message, if no cgroup can be made.
fn limited(fault: &str, limits: ResourceLimits) -> Option<Bench> {
    if skip_without_sandbox() {
        return None;
    }
    let image = image(&compile(fault)?, "amd64");
    let mut bench = Bench::limited(image, Ask::default(), PATIENT, limits)?;
    match bench.engine.take(&case(Scenario::Cold)) {
        Err(EngineError::Sandbox(error @ microimage::sandbox::Error::Cgroup(_))) => {
            eprintln!("skipped: {error}");
            None
        }
        _ => Some(bench),
    }
}

#[test]
fn reports_that_memory_ran_out() {
    let limits = ResourceLimits { memory_bytes: Some(64 << 20), cpu_millis: None };
    let Some(mut bench) = limited("HUNGRY", limits) else { return };
    let Some((_, message)) = failure_in(&mut bench, "HUNGRY") else { return };
    assert!(message.contains("434") && message.contains("signal 9"), "{message}");
}

#[test]
fn a_limit_of_processor_time_slows_a_busy_program() {
    let limits = ResourceLimits { memory_bytes: None, cpu_millis: Some(200) };
    let Some(mut bench) = limited("BUSY", limits) else { return };
    let sample = bench.engine.take(&case(Scenario::Accelerated)).expect("the engine works").samples
        [0]
    .clone();
    assert_eq!(sample.error, None);
    // 20 ms in each 100 ms: of 200 ms the tenth slice begins 900 ms after the first.
    assert!(sample.start_ns.is_some_and(|ns| ns > 700_000_000), "{sample:?}");
}

#[test]
fn a_limit_does_not_break_a_good_program() {
    let limits = ResourceLimits { memory_bytes: Some(64 << 20), cpu_millis: Some(200) };
    let Some(mut bench) = limited("GOOD", limits) else { return };
    let outcome =
        bench.engine.take(&Case { burst: 3, ..case(Scenario::Cold) }).expect("the engine works");
    assert!(outcome.samples.iter().all(|s| s.error.is_none()), "{:?}", outcome.samples);
}

#[test]
fn an_oci_runtime_measures_the_same_phases() {
    let there = |program: &str| {
        let mut command = std::process::Command::new(program);
        command.arg("--version").output().is_ok_and(|done| done.status.success())
    };
    let Some(program) = compile("GOOD") else { return };
    for runtime in ["runc", "crun"] {
        if !nix::unistd::geteuid().is_root() || !there(runtime) {
            eprintln!("skipped: no {runtime}, or not root");
            continue;
        }
        let image = image(&program, "amd64");
        let mut bench =
            Bench::run_by(Some(runtime), image, Ask::default(), PATIENT, ResourceLimits::default())
                .expect("an engine");
        let sample =
            bench.engine.take(&case(Scenario::Cold)).expect("the engine works").samples[0].clone();
        let forbidden = |e: &str| {
            e.contains("ermission denied")
                || e.contains("not permitted")
                || e.contains("not supported")
        };
        if let Some(error) =
            sample.error.as_ref().filter(|e| e.phase == Phase::Create && forbidden(&e.message))
        {
            eprintln!("skipped: {runtime} cannot create a container here: {}", error.message);
            continue;
        }
        assert_eq!(sample.error, None, "{runtime}");
        let phases = all_phases_ns(&sample);
        assert!(
            phases.iter().sum::<u64>() <= sample.total_ns.expect("a total"),
            "{runtime}: {sample:?}"
        );
    }
}

/// Regression: unpacking as root gives files their owners, but instances had other ids. A file that
/// only its owner may execute could not run, and an id above 65,535 was impossible.
#[test]
fn the_images_user_has_the_rights_of_the_file_modes() {
    if skip_without_sandbox() {
        return;
    }
    let Some(program) = compile("LOOKS") else { return };
    let table = [
        ("", 0o700, 0, 0),
        ("65532", 0o500, 65_532, 65_532),
        ("1001230000", 0o755, 0, 1_001_230_000),
    ];
    for (user, mode, owner, uid) in table {
        let layer = [Entry { path: "app", content: &program, mode, owner }];
        let mut bench =
            Bench::with(image_of(&[&layer], user), Ask::default(), PATIENT).expect("an engine");
        let sample =
            bench.engine.take(&case(Scenario::Cold)).expect("the engine works").samples[0].clone();
        assert_eq!(sample.error, None, "{user:?}");
        bench.engine.expect(b"show me");
        let seen = failure_in(&mut bench, "LOOKS").expect("not what was expected").1;
        assert!(seen.contains(&format!(r#""uid":{uid},"#)), "{user:?}: {seen}");
    }
}

#[test]
fn an_unknown_user_is_a_failure_of_the_image() {
    if skip_without_sandbox() {
        return;
    }
    let layer = [Entry { path: "app", content: b"x", mode: 0o755, owner: 0 }];
    let mut bench =
        Bench::with(image_of(&[&layer], "nobody"), Ask::default(), PATIENT).expect("an engine");
    for scenario in [Scenario::Cold, Scenario::Provisioned] {
        let error =
            bench.engine.take(&case(scenario)).expect("the engine works").samples[0].error.clone();
        let error = error.expect("there is no such user");
        assert!(error.phase == Phase::Create && error.message.contains("/etc/passwd"), "{error:?}");
    }
}

#[test]
fn upper_layers_replace_and_remove_what_lower_ones_have() {
    if skip_without_sandbox() {
        return;
    }
    let Some(program) = compile("LOOKS") else { return };
    let file = |path, content| Entry { path, content, mode: 0o755, owner: 0 };
    let lower = [file("app", b"no program".as_slice()), file("removed", b"x")];
    let upper = [file("app", &program), file(".wh.removed", b"")];
    let mut bench = Bench::with(image_of(&[&lower, &upper], "65532"), Ask::default(), PATIENT)
        .expect("an engine");
    let outcome = bench.engine.take(&case(Scenario::Cold)).expect("the engine works");
    assert_eq!(
        (outcome.samples[0].error.clone(), outcome.requests),
        (None, 4),
        "manifest, configuration, two layers"
    );
    bench.engine.expect(b"show me");
    let seen = failure_in(&mut bench, "LOOKS").expect("not what was expected").1;
    assert!(seen.contains(r#""sees_removed":false"#), "{seen}");
}

#[test]
fn notices_an_answer_that_differs_from_the_first() {
    let Some(mut bench) = Bench::of("FICKLE", Duration::from_secs(5)) else { return };
    assert_eq!(
        bench.engine.take(&case(Scenario::Cold)).expect("the engine works").samples[0].error,
        None
    );
    let second =
        bench.engine.take(&case(Scenario::Cold)).expect("the engine works").samples[0].clone();
    assert!(second.error.is_some_and(|e| e.message.contains("expected")));
}

#[test]
fn reports_a_program_for_another_machine() {
    if skip_without_sandbox() {
        return;
    }
    // An arm64 ELF header without content: execve refuses it by its header.
    let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 183, 0];
    elf.resize(4096, 0);
    let mut bench = Bench::with(image(&elf, "arm64"), Ask::default(), Duration::from_secs(1))
        .expect("an engine");
    let error = bench.engine.take(&case(Scenario::Cold)).expect("the engine works").samples[0]
        .error
        .clone();
    let error = error.expect("arm64 does not run here");
    assert!(error.phase == Phase::Create && error.message.contains("architecture"), "{error:?}");
}

#[test]
fn a_blob_with_a_wrong_digest_is_a_failed_pull_and_leaves_nothing() {
    let Some(mut bench) = Bench::of("GOOD", Duration::from_secs(5)) else { return };
    bench.engine.corrupt_layer(0);
    let sample =
        bench.engine.take(&case(Scenario::Cold)).expect("the engine works").samples[0].clone();
    let error = sample.error.expect("the bytes are wrong");
    assert!(error.phase == Phase::Pull && error.message.contains("444"), "{error:?}");
    assert_eq!(bench.samples_left_behind(), 0);
}

#[test]
fn an_interrupted_sample_ends_at_once_and_leaves_nothing() {
    let Some(mut bench) = Bench::of("DEAF", Duration::from_secs(60)) else { return };
    let stop = bench.stop.clone();
    let began = Instant::now();
    let ringer = std::thread::spawn(move || {
        // the time of a user's Ctrl-C, not a wait for readiness
        std::thread::sleep(Duration::from_millis(300));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let taken = bench.engine.take(&case(Scenario::Cold));
    ringer.join().expect("rang");
    assert!(matches!(taken, Err(EngineError::Interrupted)), "{taken:?}");
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(bench.samples_left_behind(), 0);
    let folder = bench.folder.path().to_owned();
    drop(bench.engine);
    assert_eq!(std::fs::read_dir(folder).expect("the folder").count(), 0, "work folder gone");
}
