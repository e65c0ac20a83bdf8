//! `check`: each broken image fails by the rule that it breaks and by no other, and `--run` starts
//! what can be started.

mod common;

use common::{HELLO, MemoryContext};
use microimage::assemble::{Options, assemble};
use microimage::check::{self, Finding, Provider, Report, RuleVerdict};
use microimage::contents;
use microimage::digest::{DiffId, Digest};
use microimage::entry::LayerLimits;
use microimage::image::{Blob, Compression, Image, media_type};
use microimage::inspect;
use microimage::recipe::Recipe;
use serde_json::json;
use std::fs;
use std::path::Path;

/// fixtures/server.s: answers every request on port 9000 with 200.
const SERVER: &[u8] = include_bytes!("fixtures/server.elf");

fn build(lines: &str, program: &[u8], options: &Options) -> Image {
    let context = MemoryContext::default().program("app", program).file("data", b"x");
    assemble(&Recipe::parse(&format!("FROM scratch\n{lines}")).expect(lines), &context, options)
        .expect(lines)
        .image
}

fn report(image: &Image, provider: &'static Provider, memory_mib: Option<u64>) -> Report {
    let contents = contents::read(image, &LayerLimits::default()).expect("a good image");
    check::check(image, &contents, provider, memory_mib, "/proc").expect("a good image")
}

fn not_passed(report: &Report) -> Vec<(&'static str, RuleVerdict)> {
    report
        .findings
        .iter()
        .filter(|f| matches!(f.verdict, RuleVerdict::Warn | RuleVerdict::Fail))
        .map(|f| (f.rule, f.verdict))
        .collect()
}

const GOOD: &str = "COPY app /app\nEXPOSE 9000\nENTRYPOINT [\"/app\"]\n";

#[test]
fn our_own_image_passes_everywhere() {
    for provider in Provider::ALL {
        let lines = if provider == &Provider::LAMBDA { ADAPTED } else { GOOD };
        let report = report(&build(lines, HELLO, &Options::default()), provider, None);
        assert_eq!((not_passed(&report), report.passed), (vec![], true), "{}", provider.name);
    }
}

/// As the adapter's documents have it: their program beside ours.
const ADAPTED: &str =
    "COPY app /app\nCOPY app /opt/extensions/lambda-adapter\nEXPOSE 8080\nENTRYPOINT [\"/app\"]\n";

#[test]
fn each_platform_has_its_own_word_on_the_port_and_on_what_stands_in_front() {
    for (provider, lines, expected) in [
        (&Provider::LAMBDA, GOOD.to_owned(), &[("companion", RuleVerdict::Fail)][..]),
        (
            &Provider::LAMBDA,
            ADAPTED.replace("COPY app /opt", "COPY data /opt"),
            &[("companion", RuleVerdict::Fail)],
        ),
        (&Provider::LAMBDA, ADAPTED.to_owned() + "ENV PORT=3000", &[]),
        (&Provider::LAMBDA, ADAPTED.to_owned() + "ENV AWS_LWA_PORT=3000 PORT=3000", &[]),
        (
            &Provider::LAMBDA,
            ADAPTED.to_owned() + "ENV AWS_LWA_PORT=3000 PORT=4000",
            &[("port", RuleVerdict::Fail)],
        ),
        (&Provider::LAMBDA, ADAPTED.to_owned() + "ENV PORT=http", &[("port", RuleVerdict::Fail)]),
        (&Provider::CLOUDRUN, GOOD.to_owned() + "ENV PORT=3000", &[("port", RuleVerdict::Warn)]),
        (&Provider::CLOUDRUN, GOOD.to_owned() + "ENV PORT=8080", &[]),
        (&Provider::KNATIVE, GOOD.to_owned() + "ENV PORT=3000", &[("port", RuleVerdict::Warn)]),
        (&Provider::FC, GOOD.to_owned() + "ENV PORT=3000", &[("port", RuleVerdict::Fail)]),
    ] {
        let report = report(&build(&lines, HELLO, &Options::default()), provider, None);
        assert_eq!(not_passed(&report), expected, "{}: {lines}", provider.name);
    }
}

#[test]
fn says_where_each_rule_is_written() {
    let report = report(&build(GOOD, HELLO, &Options::default()), &Provider::SCF, None);
    let source = |rule: &str| report.findings.iter().find(|f| f.rule == rule).expect(rule).source;
    assert!(
        source("port").contains("ImagePort") && source("arguments").contains("ImageConfig.Args")
    );
    assert!(source("size").contains("583/56051") && source("/tmp").contains("583/42611"));
    assert!(report.findings.iter().all(|f| !f.source.is_empty()));
}

/// An image without a file whose manifest claims `compressed_bytes`.
fn claimed(compressed_bytes: u64, media_type: &str, config: serde_json::Value) -> Image {
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": config,
        "rootfs": {"type": "layers", "diff_ids": [DiffId::of(&[0; 1024])]},
    });
    let config = config.to_string().into_bytes();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media_type,
        "config": {"mediaType": media_type::OCI_CONFIG, "digest": Digest::of(&config),
            "size": config.len()},
        "layers": [{"mediaType": media_type::OCI_LAYER, "digest": Digest::of(&[0; 1024]),
            "size": compressed_bytes}],
    });
    Image::from_parts(manifest.to_string().into_bytes(), config, |_| Blob::from_bytes([0; 1024]))
        .expect("consistent")
}

#[test]
fn rules_that_no_recipe_of_ours_breaks_are_broken_by_hand() {
    let run = || json!({"Entrypoint": ["/app"], "ExposedPorts": {"9000/tcp": {}}});
    let empty =
        contents::read(&claimed(1024, media_type::OCI_MANIFEST, run()), &LayerLimits::default())
            .expect("no file");
    let verdict = |image: &Image, rule: &str, memory_mib| {
        let report =
            check::check(image, &empty, &Provider::SCF, memory_mib, "/proc").expect("a good image");
        let finding = report.findings.iter().find(|f| f.rule == rule).expect(rule);
        (finding.verdict, finding.evidence.clone())
    };
    let oci = |compressed_bytes| claimed(compressed_bytes, media_type::OCI_MANIFEST, run());
    for (mib, memory_mib, size, memory) in [
        (1, None, RuleVerdict::Pass, RuleVerdict::Pass),
        (255, Some(128), RuleVerdict::Pass, RuleVerdict::Warn),
        (255, Some(256), RuleVerdict::Pass, RuleVerdict::Pass),
        (256, None, RuleVerdict::Pass, RuleVerdict::Warn),
        (256, Some(256), RuleVerdict::Pass, RuleVerdict::Warn),
        (256, Some(512), RuleVerdict::Pass, RuleVerdict::Pass),
        (512, Some(512), RuleVerdict::Pass, RuleVerdict::Warn),
        (512, Some(1024), RuleVerdict::Pass, RuleVerdict::Pass),
        (1023, Some(1024), RuleVerdict::Pass, RuleVerdict::Pass),
        (1024, Some(1024), RuleVerdict::Fail, RuleVerdict::Warn),
    ] {
        let image = oci(mib << 20);
        let found =
            (verdict(&image, "size", memory_mib).0, verdict(&image, "memory", memory_mib).0);
        assert_eq!(found, (size, memory), "{mib} MiB with {memory_mib:?}");
    }
    let other = claimed(1024, "application/vnd.example.manifest+json", run());
    assert_eq!(verdict(&other, "format", None).0, RuleVerdict::Fail);
    let idle = claimed(1024, media_type::OCI_MANIFEST, json!({}));
    assert_eq!(
        verdict(&idle, "entrypoint", None),
        (RuleVerdict::Fail, "the image starts nothing".into())
    );
    let lost = claimed(
        1024,
        media_type::OCI_MANIFEST,
        json!({"Entrypoint": ["/app"], "WorkingDir": "/nowhere"}),
    );
    let (found, evidence) = verdict(&lost, "working folder", None);
    assert!(
        found == RuleVerdict::Fail && evidence.contains("`/nowhere` is not in the image"),
        "{evidence}"
    );
    // A layer that is another one than the configuration says.
    let tar = common::Tar::default().raw("app", b'0', "", 0o755, HELLO).bytes();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": run(),
        "rootfs": {"type": "layers", "diff_ids": [DiffId::of(b"another")]},
    });
    let image = common::image_of(&[common::gzip(&tar)], &config);
    assert_eq!(
        not_passed(&report(&image, &Provider::SCF, None)),
        [("contents", RuleVerdict::Fail)]
    );
}

/// Evidence holds what the image's builder wrote, and a terminal obeys some of it.
#[test]
fn what_an_image_says_is_shown_and_not_obeyed() {
    let evil = "\u{1b}[2J\u{9b}x\u{202e}y\nfake  PASS";
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [DiffId::of(&[0; 1024])]},
        "config": {
            "Entrypoint": [evil], "Env": [format!("A={evil}")], "User": evil,
            "WorkingDir": format!("/{evil}"), "ExposedPorts": {evil: {}}, "Labels": {evil: evil},
        },
    });
    let tars = [common::Tar::default()
        .symlink("l", "x\u{1b}[2J")
        .file("f\u{1b}[2J", b"")
        .folder("d\u{1b}[2J/", 0o700)
        .bytes()];
    let image = common::image_of(&[common::gzip(&tars[0])], &config).with_reference(evil);
    let other = common::image(&[common::Tar::default().file("l", b"").bytes()]);
    let read =
        |image: &Image| contents::read(image, &LayerLimits::default()).expect("a good image");
    let (found, others) = (read(&image), read(&other));
    let texts = [
        inspect::View::of(&image, &found).text(),
        inspect::diff((&image, &found), (&other, &others)).join("\n"),
        check::check(&image, &found, &Provider::SCF, None, evil).expect("read").text(),
    ];
    for text in texts {
        assert!(text.contains("\\u{1b}[2J") || text.contains("\\u001b[2J"), "{text:?}");
        assert!(
            !text.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'),
            "{text:?}"
        );
        assert!(!text.lines().any(|line| line.starts_with("fake")), "{text}");
    }
}

#[test]
fn each_mistake_breaks_its_own_rule() {
    for (lines, rule, verdict) in [
        ("COPY app /app\nENTRYPOINT [\"/app\"]", "port", RuleVerdict::Warn),
        ("COPY app /app\nEXPOSE 8080\nENTRYPOINT [\"/app\"]", "port", RuleVerdict::Warn),
        (
            "COPY app /app\nEXPOSE 9000\nENV PORT=8080\nENTRYPOINT [\"/app\"]",
            "port",
            RuleVerdict::Fail,
        ),
        (
            "COPY app /app\nEXPOSE 9000\nENTRYPOINT [\"/app\", \"a b\"]",
            "arguments",
            RuleVerdict::Fail,
        ),
        (
            "COPY app /bin/sh\nEXPOSE 9000\nENTRYPOINT [\"/bin/sh\"]",
            "entrypoint",
            RuleVerdict::Warn,
        ),
        (
            "COPY app /app\nCOPY data /tmp/data\nEXPOSE 9000\nENTRYPOINT [\"/app\"]",
            "/tmp",
            RuleVerdict::Fail,
        ),
        ("COPY app /app\nEXPOSE 9000\nUSER app\nENTRYPOINT [\"/app\"]", "user", RuleVerdict::Fail),
        (
            "COPY app /app\nEXPOSE 9000\nENV DB_PASSWORD=hunter2\nENTRYPOINT [\"/app\"]",
            "secrets",
            RuleVerdict::Fail,
        ),
        (
            "COPY app /app\nEXPOSE 9000\nLABEL x=AKID1234567890abcdefABCDEF\nENTRYPOINT [\"/app\"]",
            "secrets",
            RuleVerdict::Fail,
        ),
        (
            "COPY app /app\nEXPOSE 9000\nENV URL=https://me:pw@example.com/\nENTRYPOINT [\"/app\"]",
            "secrets",
            RuleVerdict::Fail,
        ),
    ] {
        let report = report(&build(lines, HELLO, &Options::default()), &Provider::SCF, None);
        assert_eq!(not_passed(&report), [(rule, verdict)], "{lines}");
        assert_eq!(report.passed, verdict != RuleVerdict::Fail);
        let text = report.text();
        assert!(
            !text.contains("hunter2") && !text.contains("AKID1234") && !text.contains("me:pw"),
            "{text}"
        );
        assert!(
            report
                .findings
                .iter()
                .all(|f| (f.verdict == RuleVerdict::Pass || f.verdict == RuleVerdict::Skip)
                    == f.remedy.is_empty()),
            "{text}"
        );
    }
}

#[test]
fn judges_size_memory_compression_architecture_and_layers() {
    let zstd =
        build(GOOD, HELLO, &Options { compression: Compression::Zstd, ..Options::default() });
    assert_eq!(
        not_passed(&report(&zstd, &Provider::SCF, None)),
        [("compression", RuleVerdict::Warn)]
    );
    assert_eq!(not_passed(&report(&zstd, &Provider::KNATIVE, None)), []);
    let small = report(&build(GOOD, HELLO, &Options::default()), &Provider::SCF, Some(32));
    assert_eq!(not_passed(&small), [("memory", RuleVerdict::Warn)]);
    for (provider, lines, verdict) in [
        (&Provider::SCF, GOOD, RuleVerdict::Warn),
        (&Provider::LAMBDA, ADAPTED, RuleVerdict::Fail),
        (&Provider::KNATIVE, GOOD, RuleVerdict::Warn),
    ] {
        let indexed = build(lines, HELLO, &Options::default()).with_index();
        assert_eq!(not_passed(&report(&indexed, provider, None)), [("one manifest", verdict)]);
    }
    // Written by hand: two layers, a file that only its owner may read, a program that nobody may
    // execute.
    let tar = |name: &str, mode| common::Tar::default().raw(name, b'0', "", mode, HELLO).bytes();
    let image = common::image(&[tar("app", 0o600), tar("other", 0o640)]);
    let found = not_passed(&report(&image, &Provider::SCF, None));
    assert_eq!(
        found,
        [
            ("layers", RuleVerdict::Warn),
            ("program", RuleVerdict::Fail),
            ("readable", RuleVerdict::Fail)
        ]
    );
    let dynamic = fs::read("/bin/true").expect("a dynamic program");
    let image =
        common::image(&[common::Tar::default().raw("app", b'0', "", 0o755, &dynamic).bytes()]);
    assert_eq!(not_passed(&report(&image, &Provider::SCF, None)), [("program", RuleVerdict::Fail)]);
}

#[test]
fn wants_a_digest_in_the_name_of_what_a_registry_holds() {
    let image =
        build(GOOD, HELLO, &Options::default()).with_reference("registry.example.com/echo:1");
    let contents = contents::read(&image, &LayerLimits::default()).expect("a good image");
    let check = |place: &str| {
        check::check(&image, &contents, &Provider::SCF, None, place).expect("a good image")
    };
    assert_eq!(not_passed(&check("registry.example.com/echo:1")), [("pinned", RuleVerdict::Warn)]);
    let pinned = format!("registry.example.com/echo:1@{}", image.manifest_digest());
    assert_eq!(not_passed(&check(&pinned)), []);
    assert!(check("registry.example.com/echo:1").text().contains(&format!("deploy `{pinned}`")));
}

fn run(image: &Image, provider: &'static Provider, events: Option<&Path>) -> Option<Vec<Finding>> {
    match check::run::run(image, provider, events, Path::new(env!("CARGO_BIN_EXE_microimage"))) {
        Ok(findings) => Some(findings),
        Err(check::run::RunError::Sandbox(
            error @ microimage::sandbox::Error::Namespace { .. },
        )) => {
            common::skipped(format_args!("{error}"));
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn starts_the_image_and_plays_events_against_it() {
    let home = tempfile::tempdir().expect("a folder");
    for (name, body) in
        [("b.json", "{}"), ("a.json", "[1]"), ("a.response.json", "{}"), ("README.md", "words")]
    {
        fs::write(home.path().join(name), body).expect("a file");
    }
    let image = build(GOOD, SERVER, &Options::default());
    let Some(findings) = run(&image, &Provider::SCF, Some(home.path())) else { return };
    let seen: Vec<_> = findings
        .iter()
        .map(|f| (f.rule, f.verdict, f.evidence.split(':').next().unwrap_or_default()))
        .collect();
    let rules: Vec<_> = seen.iter().map(|(rule, verdict, _)| (*rule, *verdict)).collect();
    assert_eq!(
        rules,
        [
            ("starts", RuleVerdict::Pass),
            ("answers", RuleVerdict::Pass),
            ("answers", RuleVerdict::Pass),
            ("stays", RuleVerdict::Pass)
        ],
        "{findings:?}"
    );
    assert_eq!((seen[1].2, seen[2].2), ("`a.json`", "`b.json`"));
    let findings = run(&image, &Provider::SCF, None).expect("it ran before");
    assert!(
        findings.iter().any(|f| f.rule == "answers" && f.evidence == "GET /: status 200"),
        "{findings:?}"
    );
}

#[test]
fn tells_what_a_program_printed_that_does_not_listen() {
    let Some(findings) = run(&build(GOOD, HELLO, &Options::default()), &Provider::SCF, None) else {
        return;
    };
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    assert_eq!((finding.rule, finding.verdict), ("starts", RuleVerdict::Fail));
    assert!(
        finding
            .evidence
            .contains("ended before it listened; it exited with code 0, and printed last: \"ok\""),
        "{}",
        finding.evidence
    );
}

/// On the loopback that the sandbox has, 127.0.0.1 is as good as any address; on a platform nobody
/// finds a program there.
#[test]
fn a_program_that_listens_on_127_0_0_1_alone_does_not_start() {
    // struct sockaddr_in of fixtures/server.s: AF_INET, port 9000, 0.0.0.0.
    let (anywhere, port) = (*b"\x02\x00\x23\x28\x00\x00\x00\x00", 4);
    let at = SERVER.windows(8).position(|bytes| bytes == anywhere).expect("its address");
    let mut local = SERVER.to_vec();
    local[at + port..at + 8].copy_from_slice(&[127, 0, 0, 1]);
    let image = build(GOOD, &local, &Options::default());
    let Some(findings) = run(&image, &Provider::SCF, None) else { return };
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    assert_eq!((finding.rule, finding.verdict), ("starts", RuleVerdict::Fail));
    assert!(
        finding.evidence.starts_with("it listens on 127.0.0.1:9000 alone"),
        "{}",
        finding.evidence
    );
    // Where the one who asks is inside as well, that is allowed.
    let image = build(&(GOOD.to_owned() + "ENV PORT=9000"), &local, &Options::default());
    let findings = run(&image, &Provider::LAMBDA, None).expect("it ran before");
    assert_eq!(
        (findings[0].rule, findings[0].verdict),
        ("starts", RuleVerdict::Pass),
        "{findings:?}"
    );
}
