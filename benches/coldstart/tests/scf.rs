//! Tests of `coldstart --engine scf` against the API that `firstbyte run --api` emulates: real
//! instances behind the API, and faults by name. They call no cloud.

mod common;
#[allow(dead_code)] // each test file uses its part
#[path = "../../../build/tests/common/debian.rs"]
mod debian;
mod stand_in;

use coldstart::phase::Phase;
use coldstart::results::{Aside, EngineKind, ReadFrom, Results, Run, Scenario};
use common::{compile, image};
use debian::DebianRegistry;
use microimage::registry::{Credentials, Registry, parse_reference};
use stand_in::{At, Bench, Gate, StandIn};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

/// Prints what a test lacks.
pub fn skipped(why: impl std::fmt::Display) {
    eprintln!("skipped: {why}");
}

const COLD: [&str; 5] = ["--yes", "--scenario", "cold", "--samples", "3"];

/// The only run of the only variant.
#[track_caller]
fn only(results: &Results) -> &Run {
    assert_eq!((results.variants.len(), results.variants[0].runs.len()), (1, 1));
    &results.variants[0].runs[0]
}

#[test]
fn every_scenario_is_measured_and_nothing_is_left() {
    let Some(stand_in) = StandIn::start(&["update-delay=0"]) else { return };
    let bench = Bench::at(&stand_in.address);
    let ended = bench.run(&["--yes", "--samples", "3", "--memory", "128,256"]);
    ended.ended(0).says("CNY").says("nothing that was made is left").says("NO CLOUD");
    let results = bench.results();
    assert_eq!((results.engine, results.variants.len()), (EngineKind::Scf, 2));
    for run in results.variants.iter().flat_map(|v| &v.runs) {
        let platform = run.on_platform.as_ref().expect("a platform's");
        assert_eq!((run.samples.len(), run.summary.n), (3, 3), "{platform:?}");
        let ahead = if run.scenario == Scenario::Provisioned { 3 } else { 0 };
        assert_eq!(platform.ahead_ns.len(), ahead, "a Provisioned Report for each instance");
        for sample in &run.samples {
            let of = sample.on_platform.as_ref().expect("a platform's");
            let cold = run.scenario != Scenario::Provisioned;
            assert_eq!((of.platform_ns.is_some(), sample.start_ns.is_some()), (cold, cold));
            assert_eq!((sample.unpack_ns, of.aside), (None, None));
            let known = of.platform_ns.unwrap_or(0)
                + of.handler_ns.expect("Report")
                + of.warm_round_trip_ns.expect("measured");
            let residual = of.residual_ns.expect("all times are known");
            assert_eq!(residual, sample.total_ns.unwrap() as i64 - known as i64);
        }
    }
    assert!(stand_in.everything().is_empty(), "{:?}", stand_in.everything());
    assert!(!bench.ledger().exists(), "an empty ledger is removed");
    let text = std::fs::read_to_string(bench.folder.path().join("target/coldstart/results.json"));
    assert!(!text.unwrap().contains(stand_in::SECRET));
}

#[test]
fn every_published_form_of_the_line_is_read_from_tail_and_from_cls() {
    for (form, tail) in [
        ("2021", "tail-cut=4096"),
        ("docs", "tail-cut=90"),
        ("2022", "tail-empty"),
        ("cloudbase", "tail-cut=4096"),
        ("docs", "tail-base64"),
    ] {
        let form = format!("line-form={form}");
        let Some(stand_in) = StandIn::start(&["update-delay=0", &form, tail]) else { return };
        let bench = Bench::at(&stand_in.address);
        bench.run(&COLD).ended(0);
        let results = bench.results();
        for sample in &only(&results).samples {
            let of = sample.on_platform.as_ref().expect("a platform's");
            let expected = if tail == "tail-cut=4096" { ReadFrom::Tail } else { ReadFrom::Cls };
            assert_eq!((of.aside, of.read_from), (None, Some(expected)), "{form} {tail}");
            assert!(of.platform_ns.is_some(), "{form}");
            assert_eq!(sample.start_ns.is_some(), form != "line-form=2021", "{form}");
        }
    }
}

/// Fault, further flags, exit code, words, and why the three samples are aside.
type Row = (&'static [&'static str], &'static [&'static str], i32, &'static str, Option<Aside>);

#[test]
fn every_fault_of_the_log_gets_its_verdict() {
    let rows: &[Row] = &[
        (&["tail-empty", "logs-late=1"], &[], 0, "warm round trip", None),
        (&["tail-empty", "logs-twice"], &[], 0, "warm round trip", None),
        (&["tail-empty", "logs-missing"], &[], 4, "logs_missing 3", Some(Aside::LogsMissing)),
        (&["warm-instead"], &[], 4, "warm_instead 3", Some(Aside::WarmInstead)),
        (&["started-ahead"], &[], 4, "warm_instead 3", Some(Aside::WarmInstead)),
        (&["request-limit=PublishVersion*2"], &[], 0, "refused for their rate", None),
        (&["clock-skew=200"], &[], 0, "warm round trip", None),
        // Refused by its signature, then corrected by the server's clock.
        (&["clock-skew=400"], &[], 0, "s off the platform's", None),
        (&["clock-skew=-400"], &[], 0, "s off the platform's", None),
        // Until a change is Active the previous content would answer.
        (&["update-delay=0.7"], &["--cold-by", "new-config"], 0, "warm round trip", None),
    ];
    for (faults, flags, code, words, aside) in rows {
        let delayed = faults.iter().any(|fault| fault.starts_with("update-delay"));
        let all = [if delayed { &[][..] } else { &["update-delay=0"] }, *faults].concat();
        let Some(stand_in) = StandIn::start(&all) else { return };
        let gate = Gate::before(&stand_in);
        if faults.contains(&"warm-instead") {
            // A warm instance of an older version has to exist, which can answer in the new one's
            // place.
            let direct = stand_in.address.clone();
            gate.set("PublishVersion", At::Done, move || stand_in::warm_latest(&direct));
        }
        let bench = Bench::at(&gate.address);
        bench.run(&[&COLD[..], flags].concat()).ended(*code).says(words);
        let results = bench.results();
        let run = only(&results);
        assert_eq!(run.samples.len(), 3, "never taken again until it fits: {faults:?}");
        assert!(run.samples.iter().all(|sample| sample.aside() == *aside), "{faults:?}");
        assert_eq!(run.summary.n, if aside.is_some() { 0 } else { 3 }, "{faults:?}");
        if faults.contains(&"logs-twice") {
            assert!(run.on_platform.as_ref().expect("a platform's").lines_twice >= 3);
        }
        stand_in.clear();
        assert!(stand_in.everything().is_empty(), "{faults:?}: {:?}", stand_in.everything());
    }
}

#[test]
fn a_failure_is_a_result_with_the_platforms_number_and_a_remedy() {
    let rows: &[(&str, &[&str], &str, Phase)] = &[
        ("fail=430", &[], "430", Phase::Start),
        ("fail=439", &[], "439 User process exit when running", Phase::Start),
        ("fail=444", &[], "444 PullImageFailed", Phase::Pull),
        ("fail=446", &[], "446 PortBindingFailed", Phase::Start),
        ("reset", &[], "InvokeFunction at", Phase::Start),
        ("publish-failed", &[], "PublishFailed", Phase::Pull),
        ("update-failed", &["--cold-by", "new-config"], "UpdateFailed", Phase::Pull),
        ("provisioned-failed", &["--scenario", "provisioned"], "Failed", Phase::Create),
        (
            "error=LimitExceeded.FunctionVersions@PublishVersion",
            &[],
            "at most 1000 versions",
            Phase::Create,
        ),
        ("error=InternalError@InvokeFunction", &[], "InvokeFunction: InternalError", Phase::Start),
        (
            "provisioned-in-progress",
            &["--scenario", "provisioned"],
            "still starting",
            Phase::Create,
        ),
    ];
    for (fault, flags, words, phase) in rows {
        let Some(stand_in) = StandIn::start(&["update-delay=0", fault]) else { return };
        let bench = Bench::at(&stand_in.address);
        let mut all = vec!["--yes", "--samples", "2"];
        if !flags.contains(&"--scenario") {
            all.extend(["--scenario", "cold"]);
        }
        all.extend(*flags);
        bench.run(&all).ended(1).says(words).says("--keep-going");
        let results = bench.results();
        let failure = only(&results).samples[0].error.clone().expect("a failure");
        assert!(failure.message.contains(words), "{fault}: {}", failure.message);
        assert_eq!(failure.phase, *phase, "{fault}: {}", failure.message);
        assert!(stand_in.everything().is_empty(), "{fault}: {:?}", stand_in.everything());
    }
}

#[test]
fn a_refusal_by_the_account_ends_the_run_and_leaves_nothing() {
    let rows: &[(&str, &str, &str)] = &[
        ("wrong-credentials", "AuthFailure.SecretIdNotFound", "TENCENTCLOUD_SECRET_ID"),
        ("no-permission", "UnauthorizedOperation", "QcloudSCFFullAccess"),
        ("no-permission=CreateFunction", "UnauthorizedOperation", "QcloudSCFFullAccess"),
        ("no-permission=InvokeFunction", "UnauthorizedOperation", "QcloudSCFFullAccess"),
        ("no-quota", "LimitExceeded.Namespace", "--namespace default"),
        ("error=LimitExceeded.Function@CreateFunction", "LimitExceeded.Function", "50 functions"),
        ("foreign-image", "InvalidParameterValue.ImageUri", "this account's own registry"),
        ("no-balance", "InsufficientBalance", "look at the account's balance"),
        ("create-failed", "CreateFailed", "firstbyte-bench-"),
        ("error=ResourceNotFound.ImageConfig@CreateFunction", "ImageConfig", "digest"),
    ];
    for (fault, code, advice) in rows {
        let Some(stand_in) = StandIn::start(&["update-delay=0", fault]) else { return };
        let bench = Bench::at(&stand_in.address);
        bench.run(&COLD).ended(4).says(code).says(advice);
        drop(bench);
        if !fault.starts_with("wrong-") && *fault != "no-permission" {
            assert!(stand_in.everything().is_empty(), "{fault}: {:?}", stand_in.everything());
        }
    }
}

#[test]
fn a_burst_over_the_platforms_pace_is_counted_as_throttled() {
    let Some(stand_in) = StandIn::start(&["update-delay=0", "burst=5"]) else { return };
    let bench = Bench::at(&stand_in.address);
    let flags = ["--yes", "--scenario", "cold", "--samples", "1", "--burst", "8"];
    let ended = bench.run(&flags);
    ended.says("throttled");
    let results = bench.results();
    let run = only(&results);
    let throttled = run.samples.iter().filter(|s| s.aside() == Some(Aside::Throttled)).count();
    assert!(throttled > 0 && run.samples.len() == 8, "{throttled}: {}", ended.said);
    assert_eq!(run.on_platform.as_ref().expect("a platform's").throttled, throttled as u64);
}

/// With the platform's own limit the second turn's eight would be throttled: eight of the control
/// function and eight measured ones were started a moment ago.
#[test]
fn a_run_paces_itself_below_the_platforms_limit() {
    let Some(stand_in) = StandIn::start(&["update-delay=0", "burst=20"]) else { return };
    let bench = Bench::at(&stand_in.address);
    let flags = ["--yes", "--scenario", "cold", "--samples", "2", "--burst", "8", "--pace", "18"];
    let ended = bench.run(&flags);
    ended.ended(0).says("no more than 18 a minute are asked for").says("takes 1m at least");
    ended.says("waiting ").says("8 more would be over 18 a minute (`--pace`)");
    let results = bench.results();
    let run = only(&results);
    assert_eq!(run.samples.len(), 16);
    assert!(run.samples.iter().all(|s| s.aside() != Some(Aside::Throttled)), "{}", ended.said);
    assert!(results.notes.iter().any(|note| note.contains("18 new instances a minute")));
}

/// An instance that the platform does not start gives no sample, and the run then pauses.
#[test]
fn refused_starts_count_as_throttled_and_make_the_run_pause() {
    std::thread::scope(|scope| {
        for fault in ["fail=429*1", "fail=432*1", "fail=449*1"] {
            scope.spawn(move || {
                let Some(stand_in) = StandIn::start(&["update-delay=0", fault]) else { return };
                let bench = Bench::at(&stand_in.address);
                let flags = ["--yes", "--scenario", "cold", "--samples", "2"];
                bench.run(&flags).ended(0).says("throttled 1").says("started no more instances");
                let results = bench.results();
                let asides: Vec<_> = only(&results).samples.iter().map(|s| s.aside()).collect();
                assert_eq!(asides, [Some(Aside::Throttled), None], "{fault}");
            });
        }
    });
}

/// Each fault that the stand-in can inject has a verdict in this file.
#[test]
fn no_fault_is_without_a_test() {
    let mine = include_str!("scf.rs");
    let faults = StandIn::faults();
    assert!(faults.len() > 20, "{faults:?}");
    for fault in faults {
        let named = ["\"", "=", "*"].iter().any(|end| mine.contains(&format!("\"{fault}{end}")));
        assert!(named, "`{fault}`");
    }
}

/// A thousand samples, in bursts: single ones would wait for PublishVersion's twenty a second.
#[test]
fn a_thousand_samples_leave_nothing_behind() {
    let Some(stand_in) = StandIn::start(&["update-delay=0", "burst=1000000"]) else { return };
    let bench = Bench::at(&stand_in.address);
    let shape = ["--yes", "--scenario", "cold", "--samples", "50", "--burst", "20"];
    // The stand-in starts any number of instances.
    let flags = [&shape[..], &["--log-wait", "30", "--pace", "1000000"]].concat();
    bench.run(&flags).ended(0);
    let results = bench.results();
    let run = only(&results);
    assert_eq!(run.samples.len(), 1000);
    let aside = run.aside();
    assert_eq!(run.summary.n + aside, 1000, "every one is cold or aside");
    assert!(run.summary.n > 500, "{aside} aside");
    assert!(stand_in.everything().is_empty(), "{:?}", stand_in.everything());
}

#[test]
fn nothing_is_made_before_the_user_accepts_the_plan() {
    let Some(stand_in) = StandIn::start(&["update-delay=0"]) else { return };
    let gate = Gate::before(&stand_in);
    let bench = Bench::at(&gate.address);
    let ended = bench.run(&["--scenario", "cold", "--samples", "7"]);
    ended.ended(2).says("add `--yes`").says("7 versions").says("PublishVersion 7").says("ceiling");
    assert_eq!(gate.actions(), ["GetAccount"], "only asked");
    assert!(!bench.ledger().exists());
}

#[test]
fn impossible_flags_are_refused_before_any_call() {
    let Some(stand_in) = StandIn::start(&[]) else { return };
    let gate = Gate::before(&stand_in);
    let bench = Bench::at(&gate.address);
    for (flags, words) in [
        (&["--endpoint", "http://scf.tencentcloudapi.com"][..], "plain HTTP"),
        (&["--cls-endpoint", "http://10.0.0.1"], "plain HTTP"),
        (&["--link", "loopback"], "no meaning on SCF"),
        (&["--burst", "auto"], "no meaning on SCF"),
        (&["--memory", "100"], "steps of 128"),
        (&["--event", "{"], "not JSON"),
        (&["--region", "a b"], "invalid region"),
        (&["--namespace", "a/b"], "--namespace"),
        (&["--image", "ccr.ccs.tencentyun.com/team/other:v1"], "not pinned"),
        (&["--cls-topic", "x"], "LOGSET/TOPIC"),
        (&["--burst", "501"], "500"),
        (&["--scenario", "accelerated", "--memory", "128,256,384,512,640,768"], "may have 5"),
    ] {
        bench.run(&[&["--yes"], flags].concat()).ended(2).says(words);
    }
    let mut nobody = bench.command(&COLD);
    nobody.env_remove("TENCENTCLOUD_SECRET_ID").env_remove("TENCENTCLOUD_SECRET_KEY");
    let ended = stand_in::Ended::of(nobody.output().expect("it runs"));
    ended.ended(2).says("tccli configure");
    assert!(gate.actions().is_empty(), "{:?}", gate.actions());
}

/// The run is killed at each action, once before the platform has seen the request and once after
/// it has done it; cleaning up then leaves nothing.
#[test]
fn a_run_killed_at_any_step_is_cleaned_up_by_its_ledger() {
    let Some(stand_in) = StandIn::start(&["update-delay=0"]) else { return };
    let gate = Gate::before(&stand_in);
    let flags = [
        "--yes",
        "--scenario",
        "cold",
        "--scenario",
        "provisioned",
        "--samples",
        "1",
        "--cold-by",
        "new-config",
    ];
    let whole = Bench::at(&gate.address);
    whole.run(&flags).ended(0);
    let actions = gate.actions();
    for expected in [
        "CreateNamespace",
        "CreateFunction",
        "UpdateFunctionConfiguration",
        "PublishVersion",
        "PutProvisionedConcurrencyConfig",
        "InvokeFunction",
        "DeleteProvisionedConcurrencyConfig",
        "DeleteFunctionVersion",
        "DeleteFunction",
        "DeleteNamespace",
    ] {
        assert!(actions.iter().any(|action| action == expected), "{expected}: {actions:?}");
    }
    for action in &actions {
        for at in [At::Asked, At::Done] {
            let bench = Bench::at(&gate.address);
            let killed = Arc::new(Mutex::new(None::<nix::unistd::Pid>));
            let target = Arc::clone(&killed);
            gate.set(action, at, move || {
                if let Some(pid) = *target.lock().expect("no panic") {
                    let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
                }
            });
            let mut command = bench.command(&flags);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let mut guard = killed.lock().expect("no panic");
            let mut child = command.spawn().expect("it starts");
            *guard = Some(nix::unistd::Pid::from_raw(child.id().cast_signed()));
            drop(guard);
            let status = child.wait().expect("it ended");
            assert_eq!(status.code(), None, "killed at {action} ({at:?})");
            if bench.ledger().exists() {
                bench.clean_up().ended(0);
                assert!(!bench.ledger().exists(), "{action} {at:?}");
            }
            let left = stand_in.everything();
            assert!(left.is_empty(), "killed at {action} ({at:?}): {left:?}");
        }
    }
}

#[test]
fn the_next_run_reports_and_cleans_up_a_killed_one_first() {
    let Some(stand_in) = StandIn::start(&["update-delay=0"]) else { return };
    let gate = Gate::before(&stand_in);
    let bench = Bench::at(&gate.address);
    end_at(&gate, &bench, "PublishVersion", nix::sys::signal::Signal::SIGKILL);
    assert!(!stand_in.everything().is_empty());
    assert!(!std::fs::read_to_string(bench.ledger()).unwrap().contains(stand_in::SECRET));
    let question = bench.run(&COLD[1..]);
    question.ended(2).says("an earlier run did not end in order").says("--clean-up");
    assert!(!stand_in.everything().is_empty(), "the question was not answered");
    bench.run(&COLD).ended(0).says("an earlier run did not end in order");
    assert!(stand_in.everything().is_empty(), "{:?}", stand_in.everything());
}

#[test]
fn a_terminated_run_deletes_its_resources() {
    use nix::sys::signal::Signal;
    for (signal, action) in [
        (Signal::SIGTERM, "CreateFunction"),
        (Signal::SIGINT, "InvokeFunction"),
        (Signal::SIGTERM, "PutProvisionedConcurrencyConfig"),
        (Signal::SIGHUP, "DeleteFunctionVersion"),
    ] {
        let Some(stand_in) = StandIn::start(&["update-delay=0"]) else { return };
        let gate = Gate::before(&stand_in);
        let bench = Bench::at(&gate.address);
        let ended = end_at(&gate, &bench, action, signal);
        ended.ended(130);
        assert!(stand_in.everything().is_empty(), "{action}: {:?}", stand_in.everything());
        assert!(!bench.ledger().exists(), "{action}");
    }
}

/// Runs until the platform has done an action, then sends the signal.
fn end_at(
    gate: &Gate,
    bench: &Bench,
    action: &str,
    signal: nix::sys::signal::Signal,
) -> stand_in::Ended {
    let target = Arc::new(Mutex::new(None::<nix::unistd::Pid>));
    let mine = Arc::clone(&target);
    gate.set(action, At::Done, move || {
        if let Some(pid) = *mine.lock().expect("no panic") {
            let _ = nix::sys::signal::kill(pid, signal);
        }
    });
    let flags = ["--yes", "--scenario", "cold", "--scenario", "provisioned", "--samples", "2"];
    let mut guard = target.lock().expect("no panic");
    let child = bench.command(&flags).spawn().expect("it starts");
    *guard = Some(nix::unistd::Pid::from_raw(child.id().cast_signed()));
    drop(guard);
    stand_in::Ended::of(child.wait_with_output().expect("it ended"))
}

#[test]
fn a_ledger_with_foreign_names_deletes_nothing() {
    let Some(stand_in) = StandIn::start(&["update-delay=0"]) else { return };
    let gate = Gate::before(&stand_in);
    let bench = Bench::at(&gate.address);
    std::fs::create_dir_all(bench.ledger().parent().unwrap()).unwrap();
    let write = |name: &str, endpoint: &str| {
        let ledger = serde_json::json!({
            "schema": 1, "run": "0a1b2c3d", "process": 0, "began": "2026-11-28T10:00:00Z",
            "region": "ap-guangzhou", "namespace": "default", "endpoint": endpoint,
            "entries": [{"kind": "function", "name": name, "made": true}],
        });
        std::fs::write(bench.ledger(), ledger.to_string()).unwrap();
    };
    let here = format!("http://{}", gate.address);
    write("production", &here);
    bench.clean_up().ended(2).says("which no run of coldstart makes");
    write("firstbyte-bench-0a1b2c3d-echo", "https://evil.example.org");
    bench.clean_up().ended(2).says("not the cloud's");
    write("firstbyte-bench-0a1b2c3d-echo", "http://evil.example.org");
    bench.clean_up().ended(2).says("plain HTTP");
    assert!(gate.actions().is_empty(), "{:?}", gate.actions());
    write("firstbyte-bench-0a1b2c3d-echo", &here);
    bench.clean_up().ended(0);
    assert!(!bench.ledger().exists(), "no ledger is created");
}

/// With a layer that no node can have there is a verdict on acceleration.
#[test]
fn new_layers_are_pushed_and_give_a_verdict_on_acceleration() {
    let Some(stand_in) = StandIn::start(&["update-delay=0", "line-form=docs"]) else { return };
    let Some(program) = compile("GOOD") else { return };
    let bench = Bench::at(&stand_in.address);
    let Some(registry) = DebianRegistry::start(bench.folder.path(), None) else { return };
    let place = format!("{}/team/function:v1", registry.1);
    let pushed = Registry::new(parse_reference(&place).unwrap(), &Credentials::Anonymous)
        .and_then(|open| open.push(&image(&program, "amd64")))
        .expect("a push");
    let pinned = format!("{place}@{}", pushed.rsplit_once('@').expect("a digest").1);
    let flags = [
        "--yes",
        "--samples",
        "5",
        "--scenario",
        "cold",
        "--scenario",
        "accelerated",
        "--cold-by",
        "new-layer",
        "--image",
        &pinned,
    ];
    bench.run(&flags).ended(0).says("10 images are pushed").says("stays in your registry");
    let results = bench.results();
    assert_eq!(results.variants[0].layers, 1);
    assert!(results.variants[0].compressed_bytes.is_some());
    let row = results.guidance.iter().find(|row| row.id == "acceleration").expect("a row");
    assert!(row.ci95.is_some() && row.verdict.contains("promised 5 times"), "{row:?}");
    assert!(results.notes.iter().any(|note| note.contains("new-layer")));
    let run = coldstart::scf::names::PREFIX;
    let tags = ureq::get(format!("http://{}/v2/team/function/tags/list", registry.1))
        .call()
        .and_then(|mut reply| reply.body_mut().read_to_string())
        .expect("a list");
    assert_eq!(tags.matches(run).count(), 10, "{tags}");
    assert!(stand_in.everything().is_empty(), "{:?}", stand_in.everything());
}

#[test]
fn function_toml_defines_the_measured_function() {
    let Some(stand_in) = StandIn::start(&["update-delay=0"]) else { return };
    let bench = Bench::at(&stand_in.address);
    let gate = Gate::before(&stand_in);
    let toml = "region = \"ap-guangzhou\"\nimage = \"ccr.ccs.tencentyun.com/team/echo:v1\"\n\
                memory_mb = 256\ncommand = \"/app\"\nargs = [\"-a\", \"-b\"]\n\
                public_net = \"fixed-ip\"\n[vpc]\nvpc_id = \"vpc-1\"\nsubnet_id = \"subnet-1\"\n\
                [log]\nlogset_id = \"set\"\ntopic_id = \"topic\"\n[environment]\n\
                GREETING = \"hello\"\n";
    let folder = bench.folder.path();
    std::fs::create_dir_all(folder.join("target/image")).unwrap();
    std::fs::write(folder.join("function.toml"), toml).unwrap();
    let digest = format!("sha256:{}", "0b".repeat(32));
    let made = serde_json::json!({ "reference": "echo:latest", "manifest_digest": digest });
    std::fs::write(folder.join("target/image/image.json"), made.to_string()).unwrap();
    // The platform's settings, read while the functions exist.
    let told = Arc::new(Mutex::new(Vec::new()));
    let (its, direct) = (Arc::clone(&told), stand_in.address.clone());
    gate.set("PublishVersion", At::Done, move || {
        its.lock().expect("no panic").extend(stand_in::functions(&direct));
    });
    let endpoint = format!("http://{}", gate.address);
    let flags = [
        "--engine",
        "scf",
        "--endpoint",
        &endpoint,
        "--function",
        "function.toml",
        "--yes",
        "--samples",
        "2",
        "--scenario",
        "cold",
        "--log-settle",
        "0",
    ];
    let ended = stand_in::Ended::of(bench.bare(&flags).output().expect("it runs"));
    ended.ended(0);
    let results = bench.results();
    assert_eq!(results.variants[0].name, "echo");
    assert!(results.variants[0].reference.ends_with(&digest));
    assert_eq!(only(&results).on_platform.as_ref().unwrap().memory_mib, Some(256));
    assert_eq!(only(&results).link, "ap-guangzhou");
    let told = told.lock().expect("no panic");
    assert_eq!(told.len(), 2, "{told:?}");
    for function in told.iter() {
        let image = &function["ImageConfig"];
        assert_eq!((&image["Command"], &image["Args"]), (&"/app".into(), &"-a -b".into()));
        let vpc = serde_json::json!({ "VpcId": "vpc-1", "SubnetId": "subnet-1" });
        assert_eq!(function["VpcConfig"], vpc);
        assert_eq!(function["ClsTopicId"], "topic");
        let net = &function["PublicNetConfig"];
        assert_eq!(net["PublicNetStatus"], "ENABLE");
        assert_eq!(net["EipConfig"]["EipStatus"], "DISABLE", "a bench needs no fixed address");
    }
}

#[test]
fn a_platforms_log_is_imported_with_what_it_leaves_out() {
    let bench = Bench::at("127.0.0.1:1");
    let lambda = "REPORT RequestId: a Duration: 395.99 ms Billed Duration: 662 ms Memory Size: \
                  512 MB Max Memory Used: 301 MB Init Duration: 265.72 ms\n";
    std::fs::write(bench.folder.path().join("lambda.log"), lambda).unwrap();
    let run = |flags: &[&str]| stand_in::Ended::of(bench.bare(flags).output().expect("it runs"));
    let flags = ["import", "--from", "lambda", "lambda.log", "--csv", "-"];
    run(&flags).ended(0).says("266 ms").says("lambda,lambda,").says("no client's clock");
    let results = bench.results();
    assert_eq!(results.engine, EngineKind::Lambda);
    assert_eq!((only(&results).samples.len(), only(&results).summary.n), (1, 0));
    assert_eq!(only(&results).samples[0].start_ns, Some(265_720_000));
    run(&["import", "--from", "scf", "lambda.log"]).ended(4).says("no `Init Report` line");
    run(&["import", "--from", "fc", "lambda.log"]).ended(4).says("FCInstanceEvents");
    run(&["import", "--from", "fc", "nothing.log"]).ended(4).says("cannot be read");
    // Numbers of different clouds, or of a cloud and this machine, are never compared.
    let file = bench.folder.path().join("target/coldstart/results.json");
    let scf = std::fs::read_to_string(&file).unwrap().replace("\"lambda\"", "\"scf\"");
    std::fs::write(bench.folder.path().join("scf.json"), scf).unwrap();
    run(&["compare", file.to_str().unwrap(), "scf.json"]).ended(4).says("not the same");
}
