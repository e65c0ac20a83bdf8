//! `check` from outside: each faulty image fails only by the rule that it breaks, and `--run`
//! starts every image that can be started.

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

/// As in the adapter's documentation: its program beside the function's.
const ADAPTED: &str =
    "COPY app /app\nCOPY app /opt/extensions/lambda-adapter\nEXPOSE 8080\nENTRYPOINT [\"/app\"]\n";

#[test]
fn each_platform_has_its_own_port_and_companion() {
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
fn names_the_document_of_each_rule() {
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
    // A layer whose DiffID differs from the configuration's.
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

/// Evidence contains text of the image's builder, and a terminal would execute control sequences in
/// it.
#[test]
fn control_sequences_of_an_image_are_escaped() {
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
    // Made by hand: two layers, a file that only its owner may read, a program that no user may
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
    // Every image based on a distribution has some files that only root may read.
    let program = tar("app", 0o755);
    let base = common::image(&[program, tar("etc/shadow", 0o640), tar("root/.profile", 0o600)]);
    let found = not_passed(&report(&base, &Provider::SCF, None));
    assert_eq!(found, [("layers", RuleVerdict::Warn), ("readable", RuleVerdict::Warn)]);
    let dynamic = fs::read("/bin/true").expect("a dynamic program");
    let image =
        common::image(&[common::Tar::default().raw("app", b'0', "", 0o755, &dynamic).bytes()]);
    assert_eq!(not_passed(&report(&image, &Provider::SCF, None)), [("program", RuleVerdict::Fail)]);
}

#[test]
fn warns_of_a_registry_reference_without_a_digest() {
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
fn starts_the_image_and_sends_it_events() {
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
fn reports_the_output_of_a_program_that_does_not_listen() {
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

/// The sandbox has only loopback, where 127.0.0.1 would work like any other address; on a platform
/// it cannot be reached.
#[test]
fn a_program_that_listens_on_127_0_0_1_only_does_not_start() {
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
        finding.evidence.starts_with("it listens on 127.0.0.1:9000 only"),
        "{}",
        finding.evidence
    );
    // Allowed if the sender of requests is inside the instance too.
    let image = build(&(GOOD.to_owned() + "ENV PORT=9000"), &local, &Options::default());
    let findings = run(&image, &Provider::LAMBDA, None).expect("it ran before");
    assert_eq!(
        (findings[0].rule, findings[0].verdict),
        ("starts", RuleVerdict::Pass),
        "{findings:?}"
    );
}

/// An image with a program, files and this configuration, made without a recipe.
fn with_files(files: &[(&str, &[u8])], config: serde_json::Value) -> Image {
    let mut tar = common::Tar::default().raw("app", b'0', "", 0o755, SERVER);
    for (name, content) in files {
        tar = tar.file(name, content);
    }
    let tar = tar.bytes();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": config,
        "rootfs": {"type": "layers", "diff_ids": [DiffId::of(&tar)]},
    });
    common::image_of(&[common::gzip(&tar)], &config)
}

fn plain() -> serde_json::Value {
    json!({"Entrypoint": ["/app"], "ExposedPorts": {"9000/tcp": {}}})
}

/// Regression: `.env` and private keys among an image's files passed.
#[test]
fn secrets_among_the_files_are_named_and_never_shown() {
    let body = "MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQC";
    let key = |kind: &str| format!("-----BEGIN {kind}PRIVATE KEY-----\n{body}\n").into_bytes();
    for (path, content, why) in [
        ("srv/.env", b"DB_PASSWORD=hunter2\n".to_vec(), "a dotenv file with values"),
        ("srv/.env.production", b"A=hunter2\n".to_vec(), "a dotenv file"),
        ("etc/tls/server.key", key(""), "a private key"),
        ("root/.ssh/id_ed25519", key("OPENSSH "), "`OPENSSH`"),
        ("key.pem", key("EC "), "`EC`"),
        ("key.pem", key("ENCRYPTED "), "`ENCRYPTED`"),
        ("root/.npmrc", b"//r/:_authToken=hunter2\n".to_vec(), "a package registry's token"),
        ("root/.netrc", b"machine m login l password hunter2".to_vec(), "a password"),
        (
            "root/.docker/config.json",
            br#"{"auths": {"r": {"auth": "aHVudGVyMg=="}}}"#.to_vec(),
            "an image registry's credentials",
        ),
    ] {
        let report = report(&with_files(&[(path, &content)], plain()), &Provider::SCF, None);
        assert_eq!(not_passed(&report), [("secrets", RuleVerdict::Fail)], "{path}");
        let text = report.text();
        assert!(text.contains(&format!("file `/{path}` ({why}")) || text.contains(why), "{text}");
        assert!(text.contains(&format!("`/{path}`")), "{text}");
        for secret in ["hunter2", "aHVudGVyMg", &body[..12]] {
            assert!(!text.contains(secret), "{path}: {text}");
        }
    }
    let harmless: [(&str, &[u8]); 4] = [
        ("srv/.env.example", b"DB_PASSWORD=changeme\n"),
        ("root/.npmrc", b"registry=https://registry.example/\n"),
        ("usr/share/doc/keys", b"-----BEGIN PRIVATE KEY-----\n...\n"),
        ("etc/ssl/cert.pem", b"-----BEGIN CERTIFICATE-----\nMIIEvgIBADANBgkqhkiG9w0BAQ\n"),
    ];
    assert_eq!(not_passed(&report(&with_files(&harmless, plain()), &Provider::SCF, None)), []);
}

/// `docker history` shows the commands of a build to everyone.
#[test]
fn secrets_in_arguments_and_in_the_history_are_found() {
    let url = "https://me:hunter2@example.com/";
    let tar = common::Tar::default().raw("app", b'0', "", 0o755, HELLO).bytes();
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "config": {"Entrypoint": ["/app", url], "ExposedPorts": {"9000/tcp": {}}},
        "rootfs": {"type": "layers", "diff_ids": [DiffId::of(&tar)]},
        "history": [{"created_by": "COPY app /app"}, {"created_by": format!("RUN wget {url}")}],
    });
    let report = report(&common::image_of(&[common::gzip(&tar)], &config), &Provider::SCF, None);
    let found = report.findings.iter().find(|f| f.rule == "secrets").expect("a rule");
    assert_eq!(found.verdict, RuleVerdict::Fail);
    assert!(
        found.evidence.contains("an argument") && found.evidence.contains("line 2 of the history"),
        "{found:?}"
    );
    assert!(!found.evidence.contains("hunter2"));
}

/// A file that a later layer removes is still in the image that everyone pulls.
#[test]
fn a_secret_that_a_later_layer_hides_is_found() {
    let lower = common::Tar::default().file("srv/.env", b"TOKEN=hunter2\n");
    let upper = common::Tar::default().raw("app", b'0', "", 0o755, HELLO).file("srv/.wh..env", b"");
    let image = common::image(&[lower.bytes(), upper.bytes()]);
    let report = report(&image, &Provider::SCF, None);
    let found = report.findings.iter().find(|f| f.rule == "secrets").expect("a rule");
    assert_eq!(found.verdict, RuleVerdict::Fail);
    assert!(
        found.evidence.contains("file `/srv/.env` (a dotenv file with values) of layer 1, hidden")
            && found.remedy.contains("without the layer"),
        "{found:?}"
    );
}

/// Runs `microimage check --run` for an image in its own layout, with these flags. Returns the exit
/// code and the output.
fn check_run(image: &Image, flags: &[&str]) -> (Option<i32>, String) {
    let home = tempfile::tempdir().expect("a folder");
    let oci = home.path().join("oci");
    microimage::layout::write(image, &oci).expect("a layout");
    let done = std::process::Command::new(env!("CARGO_BIN_EXE_microimage"))
        .args(["check", &oci.display().to_string(), "--run"])
        .args(flags)
        .output()
        .expect("it starts");
    let text = [&done.stdout[..], &done.stderr[..]].map(String::from_utf8_lossy).concat();
    (done.status.code(), text)
}

/// Regression: for an image without an entrypoint, or with an unknown user, only an error was
/// printed, without the report.
#[test]
fn the_report_is_always_printed() {
    let rules = |image: &Image| report(image, &Provider::SCF, None).findings.len();
    let passwd: (&str, &[u8]) = ("etc/passwd", b"root:x:0:0::/:/bin/sh\n");
    let with = |change: serde_json::Value| {
        let mut config = plain();
        for (name, value) in change.as_object().expect("a map") {
            config[name] = value.clone();
        }
        with_files(&[passwd], config)
    };
    for (image, says) in [
        (with(json!({"Entrypoint": null})), "the image names no program"),
        (with(json!({"User": "nobody-knows"})), "`nobody-knows`"),
        (with(json!({"User": "0:nobody-knows"})), "/etc/group"),
        (with(json!({"Entrypoint": ["/nowhere"]})), "/nowhere"),
        (with(json!({"Entrypoint": ["nowhere"]})), "finding nowhere"),
        (with(json!({"Entrypoint": ["/etc/passwd"]})), "/etc/passwd"),
        (with(json!({"WorkingDir": "/nowhere"})), "working directory /nowhere"),
    ] {
        let (code, text) = check_run(&image, &[]);
        if text.contains("namespaces are not permitted") {
            return common::skipped(text);
        }
        assert_eq!(code, Some(1), "{text}");
        let lines = text.lines().filter(|line| {
            ["pass  ", "WARN  ", "FAIL  ", "skip  "].iter().any(|v| line.starts_with(v))
        });
        assert_eq!(lines.count(), rules(&image) + 1, "{text}");
        let starts: Vec<_> = text.lines().filter(|line| line.starts_with("FAIL  starts")).collect();
        assert!(starts.len() == 1 && starts[0].contains(says), "{says}: {text}");
    }
    let (code, text) = check_run(&with(json!({})), &["--events", "/nowhere/at/all"]);
    assert!(
        code == Some(1) && text.contains("FAIL  starts") && text.contains("--events"),
        "{text}"
    );
    assert!(text.contains("pass  architecture"), "{text}");
}

/// Restrictions of the trial are reported beside its result.
#[test]
fn restrictions_of_the_trial_are_reported() {
    let tar = common::Tar::default().raw("app", b'0', "", 0o755, SERVER).raw(
        "/dev/null",
        b'3',
        "",
        0o666,
        b"",
    );
    let (code, text) = check_run(&common::image(&[tar.bytes()]), &[]);
    if text.contains("namespaces are not permitted") {
        return common::skipped(text);
    }
    assert_eq!(code, Some(0), "{text}");
    let starts = text.lines().find(|line| line.starts_with("pass  starts")).expect("a rule");
    assert!(starts.contains("left out: 1 devices"), "{text}");
}

/// A program that first touches 64 MiB.
#[test]
fn memory_is_enforced() {
    let source = "#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\nint main(void) { \
                  char *p = malloc(64 << 20); if (!p) return 1; memset(p, 1, 64 << 20); \
                  pause(); return p[5]; }\n";
    let home = tempfile::tempdir().expect("a folder");
    let (c, program) = (home.path().join("hungry.c"), home.path().join("hungry"));
    fs::write(&c, source).expect("a file");
    let is_compiled = ["musl-gcc", "cc"].iter().any(|compiler| {
        let mut compiler = std::process::Command::new(compiler);
        compiler.args(["-static", "-O0", "-o"]).args([&program, &c]);
        compiler.output().is_ok_and(|done| done.status.success())
    });
    if !is_compiled {
        return common::skipped("no C compiler that links statically");
    }
    let image = build(GOOD, &fs::read(&program).expect("compiled"), &Options::default());
    let (code, text) = check_run(&image, &["--memory", "32"]);
    if text.contains("namespaces are not permitted") {
        return common::skipped(text);
    }
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("over its memory limit of 32 MiB") && text.contains("434"), "{text}");
    // A program that needs less memory runs.
    let (code, text) = check_run(&build(GOOD, SERVER, &Options::default()), &["--memory", "128"]);
    assert!(code == Some(0) && text.contains("128 MiB"), "{text}");
}

/// Regression: `microimage inspect | head -1` panicked.
#[test]
fn a_closed_pipe_is_no_failure_and_a_full_disk_is_one() {
    let home = tempfile::tempdir().expect("a folder");
    let oci = home.path().join("oci");
    microimage::layout::write(&build(GOOD, HELLO, &Options::default()), &oci).expect("a layout");
    let run = |command: &str, out: std::process::Stdio| {
        let mut microimage = std::process::Command::new(env!("CARGO_BIN_EXE_microimage"));
        let done = microimage
            .args([command, &oci.display().to_string()])
            .stdout(out)
            .stderr(std::process::Stdio::piped())
            .output()
            .expect("it starts");
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    for command in ["inspect", "check"] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        assert_eq!(run(command, writer.into()), (Some(0), String::new()), "{command}");
        let full = fs::File::options().write(true).open("/dev/full").expect("Linux has it");
        let (code, said) = run(command, full.into());
        assert!(
            code == Some(1) && said.starts_with("error: standard output cannot be written"),
            "{code:?} {said}"
        );
    }
}

/// `9000`, without a protocol, is TCP.
#[test]
fn a_port_without_a_protocol_is_tcp() {
    for (ports, verdict) in [
        (json!({"9000": {}}), RuleVerdict::Pass),
        (json!({"53/udp": {}, "9000/tcp": {}}), RuleVerdict::Pass),
        (json!({"9000/udp": {}}), RuleVerdict::Warn),
    ] {
        let config = json!({"Entrypoint": ["/app"], "ExposedPorts": ports});
        let report = report(&with_files(&[], config), &Provider::SCF, None);
        let found = report.findings.iter().find(|f| f.rule == "port").expect("a rule");
        assert_eq!(found.verdict, verdict, "{found:?}");
    }
}
