//! `check`: each broken image fails by the rule that it breaks and by no other, and `--run` starts what can be started.

mod common;

use common::{HELLO, MemoryContext};
use microimage::assemble::{Options, assemble};
use microimage::check::{self, Finding, Provider, Report, Verdict};
use microimage::contents;
use microimage::entry::Limits;
use microimage::image::{Compression, Image};
use microimage::recipe::Recipe;
use std::fs;
use std::path::Path;

/// fixtures/server.s: answers every request on port 9000 with 200.
const SERVER: &[u8] = include_bytes!("fixtures/server.elf");

fn build(lines: &str, program: &[u8], options: &Options) -> Image {
    let context = MemoryContext::default().program("app", program).file("data", b"x");
    assemble(&Recipe::parse(&format!("FROM scratch\n{lines}")).expect(lines), &context, options).expect(lines).image
}

fn report(image: &Image, provider: &'static Provider, memory_mib: Option<u64>) -> Report {
    let contents = contents::read(image, &Limits::default()).expect("a good image");
    check::check(image, &contents, provider, memory_mib, "/proc").expect("a good image")
}

fn not_passed(report: &Report) -> Vec<(&'static str, Verdict)> {
    report
        .findings
        .iter()
        .filter(|f| matches!(f.verdict, Verdict::Warn | Verdict::Fail))
        .map(|f| (f.rule, f.verdict))
        .collect()
}

const GOOD: &str = "COPY app /app\nEXPOSE 9000\nENTRYPOINT [\"/app\"]\n";

#[test]
fn our_own_image_passes_everywhere() {
    for provider in [&Provider::SCF, &Provider::FC, &Provider::LAMBDA, &Provider::CLOUDRUN, &Provider::KNATIVE] {
        let report = report(&build(GOOD, HELLO, &Options::default()), provider, None);
        assert_eq!((not_passed(&report), report.passed), (vec![], true), "{}", provider.name);
    }
}

#[test]
fn each_mistake_breaks_its_own_rule() {
    for (lines, rule, verdict) in [
        ("COPY app /app\nENTRYPOINT [\"/app\"]", "port", Verdict::Warn),
        ("COPY app /app\nEXPOSE 8080\nENTRYPOINT [\"/app\"]", "port", Verdict::Warn),
        ("COPY app /app\nEXPOSE 9000\nENV PORT=8080\nENTRYPOINT [\"/app\"]", "port", Verdict::Fail),
        ("COPY app /app\nEXPOSE 9000\nENTRYPOINT [\"/app\", \"a b\"]", "arguments", Verdict::Fail),
        ("COPY app /bin/sh\nEXPOSE 9000\nENTRYPOINT [\"/bin/sh\"]", "entrypoint", Verdict::Warn),
        ("COPY app /app\nCOPY data /tmp/data\nEXPOSE 9000\nENTRYPOINT [\"/app\"]", "/tmp", Verdict::Fail),
        ("COPY app /app\nEXPOSE 9000\nUSER app\nENTRYPOINT [\"/app\"]", "user", Verdict::Fail),
        ("COPY app /app\nEXPOSE 9000\nENV DB_PASSWORD=hunter2\nENTRYPOINT [\"/app\"]", "secrets", Verdict::Fail),
        (
            "COPY app /app\nEXPOSE 9000\nLABEL x=AKID1234567890abcdefABCDEF\nENTRYPOINT [\"/app\"]",
            "secrets",
            Verdict::Fail,
        ),
        (
            "COPY app /app\nEXPOSE 9000\nENV URL=https://me:pw@example.com/\nENTRYPOINT [\"/app\"]",
            "secrets",
            Verdict::Fail,
        ),
    ] {
        let report = report(&build(lines, HELLO, &Options::default()), &Provider::SCF, None);
        assert_eq!(not_passed(&report), [(rule, verdict)], "{lines}");
        assert_eq!(report.passed, verdict != Verdict::Fail);
        let text = report.text();
        assert!(!text.contains("hunter2") && !text.contains("AKID1234") && !text.contains("me:pw"), "{text}");
        assert!(
            report
                .findings
                .iter()
                .all(|f| (f.verdict == Verdict::Pass || f.verdict == Verdict::Skip) == f.remedy.is_empty()),
            "{text}"
        );
    }
}

#[test]
fn judges_size_memory_compression_architecture_and_layers() {
    let zstd = build(GOOD, HELLO, &Options { compression: Compression::Zstd, ..Options::default() });
    assert_eq!(not_passed(&report(&zstd, &Provider::SCF, None)), [("compression", Verdict::Warn)]);
    assert_eq!(not_passed(&report(&zstd, &Provider::KNATIVE, None)), []);
    let small = report(&build(GOOD, HELLO, &Options::default()), &Provider::SCF, Some(32));
    assert_eq!(not_passed(&small), [("memory", Verdict::Warn)]);
    let indexed = build(GOOD, HELLO, &Options::default()).with_index();
    for (provider, verdict) in
        [(&Provider::SCF, Verdict::Warn), (&Provider::LAMBDA, Verdict::Fail), (&Provider::KNATIVE, Verdict::Warn)]
    {
        assert_eq!(not_passed(&report(&indexed, provider, None)), [("one manifest", verdict)]);
    }
    // Written by hand: two layers, a file that only its owner may read, a program that nobody may execute.
    let tar = |name: &str, mode| common::Tar::default().raw(name, b'0', "", mode, HELLO).bytes();
    let image = common::image(&[tar("app", 0o600), tar("other", 0o640)]);
    let found = not_passed(&report(&image, &Provider::SCF, None));
    assert_eq!(found, [("layers", Verdict::Warn), ("program", Verdict::Fail), ("readable", Verdict::Fail)]);
    let dynamic = fs::read("/bin/true").expect("a dynamic program");
    let image = common::image(&[common::Tar::default().raw("app", b'0', "", 0o755, &dynamic).bytes()]);
    assert_eq!(not_passed(&report(&image, &Provider::SCF, None)), [("program", Verdict::Fail)]);
}

#[test]
fn wants_a_digest_in_the_name_of_what_a_registry_holds() {
    let image = build(GOOD, HELLO, &Options::default()).with_reference("registry.example.com/echo:1");
    let contents = contents::read(&image, &Limits::default()).expect("a good image");
    let check = |place: &str| check::check(&image, &contents, &Provider::SCF, None, place).expect("a good image");
    assert_eq!(not_passed(&check("registry.example.com/echo:1")), [("pinned", Verdict::Warn)]);
    let pinned = format!("registry.example.com/echo:1@{}", image.manifest_digest());
    assert_eq!(not_passed(&check(&pinned)), []);
    assert!(check("registry.example.com/echo:1").text().contains(&format!("deploy `{pinned}`")));
}

fn run(image: &Image, provider: &'static Provider, events: Option<&Path>) -> Option<Vec<Finding>> {
    match check::run::run(image, provider, events, Path::new(env!("CARGO_BIN_EXE_microimage"))) {
        Ok(findings) => Some(findings),
        Err(check::run::RunError::Sandbox(error @ microimage::sandbox::Error::Namespace { .. })) => {
            eprintln!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn starts_the_image_and_plays_events_against_it() {
    let home = tempfile::tempdir().expect("a folder");
    for (name, body) in [("b.json", "{}"), ("a.json", "[1]"), ("a.response.json", "{}"), ("README.md", "words")] {
        fs::write(home.path().join(name), body).expect("a file");
    }
    let image = build(GOOD, SERVER, &Options::default());
    let Some(findings) = run(&image, &Provider::SCF, Some(home.path())) else { return };
    let seen: Vec<_> =
        findings.iter().map(|f| (f.rule, f.verdict, f.evidence.split(':').next().unwrap_or_default())).collect();
    let rules: Vec<_> = seen.iter().map(|(rule, verdict, _)| (*rule, *verdict)).collect();
    assert_eq!(
        rules,
        [("starts", Verdict::Pass), ("answers", Verdict::Pass), ("answers", Verdict::Pass), ("stays", Verdict::Pass)],
        "{findings:?}"
    );
    assert_eq!((seen[1].2, seen[2].2), ("`a.json`", "`b.json`"));
    let findings = run(&image, &Provider::SCF, None).expect("it ran before");
    assert!(findings.iter().any(|f| f.rule == "answers" && f.evidence == "GET /: status 200"), "{findings:?}");
}

#[test]
fn tells_what_a_program_printed_that_does_not_listen() {
    let Some(findings) = run(&build(GOOD, HELLO, &Options::default()), &Provider::SCF, None) else { return };
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    assert_eq!((finding.rule, finding.verdict), ("starts", Verdict::Fail));
    assert!(
        finding.evidence.contains("ended before it listened; it exited with code 0, and printed last: \"ok\""),
        "{}",
        finding.evidence
    );
}
