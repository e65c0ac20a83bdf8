//! Tests of `coldstart plan` from outside: its output, its files and its errors (docs/CONTRACTS.md,
//! section 9).

use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

fn plan(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coldstart"));
    command.arg("plan").args(arguments).current_dir(folder);
    command.output().expect("coldstart starts")
}

#[track_caller]
fn done(folder: &Path, arguments: &[&str]) -> String {
    let output = plan(folder, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("text")
}

#[track_caller]
fn json(folder: &Path, arguments: &[&str]) -> Value {
    done(folder, &[arguments, &["--json", "plan.json"]].concat());
    let text = fs::read_to_string(folder.join("plan.json")).expect("plan.json is written");
    serde_json::from_str(&text).expect("plan.json is JSON")
}

/// Checks that the command is refused with exit code 2 and one line that has `words`.
#[track_caller]
fn refused(folder: &Path, arguments: &[&str], words: &str) {
    let output = plan(folder, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{arguments:?}: {said}");
    assert!(said.contains(words), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty() && !folder.join("refused.json").exists());
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn plan_json_has_the_keys_of_the_contract_and_the_answer_is_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--rate", "40", "--service", "exp:100ms", "--cold", "300ms", "--provisioned", "5"];
    let found = json(folder.path(), &[&flags[..], &["--keep-alive", "0s", "--seed", "7"]].concat());
    assert_eq!(
        keys(&found),
        ["inputs", "kind", "notes", "requests", "scenarios", "schema", "seed"]
    );
    assert_eq!((&found["schema"], &found["kind"]), (&1.into(), &"plan".into()));
    assert_eq!((&found["seed"], &found["requests"]), (&7.into(), &1_000_000.into()));
    let row = &found["scenarios"][0];
    assert_eq!(
        keys(row),
        ["cold_share", "cost", "instances", "latency_ns", "name", "provisioned", "refused_share"]
    );
    for share in ["cold_share", "refused_share"] {
        assert_eq!(keys(&row[share]), ["ci95_high", "ci95_low", "value"]);
    }
    assert_eq!(keys(&row["latency_ns"]), ["p50", "p99", "p999"]);
    assert_eq!(keys(&row["instances"]), ["mean", "peak"]);
    assert_eq!(
        keys(&row["cost"]),
        [
            "compute",
            "currency",
            "idle_high",
            "idle_low",
            "price_date",
            "requests",
            "total_high",
            "total_low"
        ]
    );
    // B(5, 4) = 0.19907, and a million calls at CNY 0.0133 for 10,000.
    let cold = row["cold_share"]["value"].as_f64().unwrap();
    assert!((cold - 0.19907).abs() < 0.004, "{cold}");
    assert_eq!(row["cost"]["requests"], 1.33);
    let more = ["--keep-alive", "0s", "--target", "cold<=10%"];
    let text = done(folder.path(), &[&flags[..], &more].concat());
    assert!(text.contains("`cold<=10%` is not met"), "{text}");
    let answer = text.lines().next().unwrap();
    assert!(
        answer.starts_with("With 5 provisioned instances") && answer.ends_with('.'),
        "{answer}"
    );
}

#[test]
fn without_keep_alive_the_numbers_for_a_target_are_erlangs() {
    let folder = tempfile::tempdir().unwrap();
    for (target, n) in [("cold<=5%", 9), ("cold<=1%", 11)] {
        let flags = ["--rate", "50", "--service", "exp:100ms", "--cold", "300ms"];
        let more = ["--keep-alive", "0", "--provisioned", "auto", "--target", target];
        let found = json(folder.path(), &[&flags[..], &more].concat());
        assert_eq!(found["scenarios"][0]["provisioned"], n, "{target}");
        assert!(found["scenarios"].as_array().unwrap().len() > 4, "a curve");
    }
    // A target for the tail: the tail consists of cold starts, so they have to be rarer than 1 %.
    let flags = ["--rate", "50", "--service", "20ms", "--cold", "1s", "--keep-alive", "0"];
    let found = json(folder.path(), &[&flags[..], &["--target", "p99<=50ms"]].concat());
    assert!(found["scenarios"][0]["latency_ns"]["p99"].as_u64().unwrap() <= 50_000_000);
    let text = done(
        folder.path(),
        &[&flags[..], &["--target", "p99<=5ms", "--max-instances", "9"]].concat(),
    );
    assert!(text.starts_with("No number of provisioned instances"), "{text}");
}

#[test]
fn the_limit_on_starts_refuses_and_a_target_is_not_met_by_refusing() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--rate", "2000", "--service", "exp:20ms", "--cold", "300ms", "--keep-alive", "0"];
    let found = json(folder.path(), &flags);
    assert!(found["notes"].to_string().contains("`--platform scf` plays that"));
    assert_eq!(found["scenarios"][0]["refused_share"]["value"], 0.0);
    let limited = [&flags[..], &["--platform", "scf", "--target", "cold<=1%"]].concat();
    let found = json(folder.path(), &limited);
    assert_eq!(found["scenarios"][0]["provisioned"], 53);
    let row = found["scenarios"].as_array().unwrap().iter().find(|row| row["provisioned"] == 0);
    let refused = row.unwrap()["refused_share"]["value"].as_f64().unwrap();
    assert!(refused > 0.99, "500 starts a minute for 120,000 requests: {refused}");
}

#[test]
fn shards_merge_to_the_bytes_of_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let flags = [
        "--rate",
        "5,20",
        "--service",
        "lognormal:50ms,400ms",
        "--provisioned",
        "0,2,4",
        "--requests",
        "20000",
        "--memory",
        "128,256",
    ];
    done(folder.path(), &[&flags[..], &["--json", "one.json", "--html", "one.html"]].concat());
    let mut files = Vec::new();
    for i in 1..=5 {
        let (shard, file) = (format!("{i}/5"), format!("{i}.json"));
        let threads = (1 + i % 2).to_string();
        let more = ["--shard", &shard, "--json", &file, "--threads", &threads];
        done(folder.path(), &[&flags[..], &more].concat());
        files.push(file);
    }
    files.rotate_left(2);
    let names: Vec<&str> = files.iter().map(String::as_str).collect();
    let merge = [&["merge"], &names[..], &["--json", "m.json", "--html", "m.html"]].concat();
    done(folder.path(), &merge);
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert!(read("one.json") == read("m.json") && read("one.html") == read("m.html"));
    assert!(done(folder.path(), &[&["merge"], &names[..]].concat()).as_bytes() == read("one.json"));
    assert_eq!(
        serde_json::from_slice::<Value>(&read("m.json")).unwrap()["scenarios"]
            .as_array()
            .unwrap()
            .len(),
        36
    );

    refused(folder.path(), &[&["merge"], &names[1..]].concat(), "shard 3/5 is missing");
    refused(folder.path(), &["merge", "1.json", "1.json"], "both shard 1/5");
    refused(folder.path(), &["merge", "one.json"], "not the file of a shard");
    refused(folder.path(), &["merge", "gone.json"], "cannot read");
    refused(folder.path(), &["merge"], "nothing to merge");
    done(
        folder.path(),
        &["--rate", "5", "--requests", "1000", "--shard", "2/5", "--json", "x.json"],
    );
    refused(folder.path(), &["merge", "1.json", "x.json"], "another plan");
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let folder = tempfile::tempdir().unwrap();
    let flags =
        ["--rate", "20", "--service", "exp:50ms", "--requests", "20000", "--keep-alive", "1s"];
    let with = |seed: &str, threads: &str| {
        json(folder.path(), &[&flags[..], &["--seed", seed, "--threads", threads]].concat())
    };
    assert_eq!(with("1", "1"), with("1", "4"));
    assert_ne!(with("1", "1")["scenarios"], with("2", "1")["scenarios"]);
}

#[test]
fn target_tracking_provisions_125_for_100_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--rate", "100", "--arrivals", "constant", "--service", "1s", "--cold", "100ms"];
    let more = ["--provisioned", "target:0.8", "--keep-alive", "60s", "--days", "0.1"];
    let found = json(folder.path(), &[&flags[..], &more].concat());
    let row = &found["scenarios"][0];
    assert_eq!((&row["provisioned"], &row["instances"]["peak"]), (&125.into(), &125.into()));
    assert_eq!(row["cold_share"]["value"], 0.0);
}

#[test]
fn a_timetable_follows_the_day() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("table.csv"), "08:00,30\n20:00,2\n").unwrap();
    let flags = ["--rate", "5", "--arrivals", "diurnal", "--service", "100ms", "--cold", "1s"];
    let more =
        ["--provisioned", "table.csv", "--days", "2", "--keep-alive", "0", "--html", "p.html"];
    let found = json(folder.path(), &[&flags[..], &more].concat());
    let row = &found["scenarios"][0];
    assert_eq!(row["provisioned"], 30);
    let mean = row["instances"]["mean"].as_f64().unwrap();
    assert!((15.9..17.0).contains(&mean), "{mean} for half a day of 30 and half of 2");
    let page = fs::read_to_string(folder.path().join("p.html")).unwrap();
    assert!(page.contains("hour of the day") && page.matches("<svg").count() >= 4, "{page}");
    for outside in ["<script", "<link", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "the page fetches: {outside}");
    }
}

#[test]
fn cold_starts_come_from_the_results_of_the_bench_with_phases_taken_out() {
    let folder = tempfile::tempdir().unwrap();
    let sample = |order: u64, pull: u64, total: u64| {
        serde_json::json!({"order": order, "intended_start_ns": 0, "pull_ns": pull,
            "unpack_ns": 20_000_000u64, "create_ns": 1, "start_ns": 1, "listen_ns": null,
            "first_byte_ns": null, "total_ns": total, "outlier": false, "error": null})
    };
    let run = |scenario: &str, samples: Vec<Value>| {
        serde_json::json!({"link": "same-region", "scenario": scenario, "page_cache": "warm",
            "burst": 1, "requests": 1, "bytes": 1, "samples": samples,
            "summary": {"n": 2, "median_ns": null, "p90_ns": null, "p99_ns": null, "min_ns": null,
                "max_ns": null, "ci95_low_ns": null, "ci95_high_ns": null}})
    };
    let cold = (0..2).map(|n| sample(n, 70_000_000, 100_000_000)).collect();
    let ready = (0..2).map(|n| sample(n, 0, 4_000_000)).collect();
    let results = serde_json::json!({"schema": 1, "engine": "embedded",
        "host": {"kernel": "", "cpu_model": "", "cores": 2, "memory_bytes": 1, "os": "",
            "rustc": "", "git_describe": "", "date": "2026-11-24T00:00:00Z"},
        "overhead": {"start_ns_median": null, "n": 0},
        "variants": [{"name": "echo", "reference": "", "compressed_bytes": 1,
            "uncompressed_bytes": 1, "layers": 1,
            "runs": [run("cold", cold), run("provisioned", ready)]}],
        "guidance": [], "notes": []});
    fs::write(folder.path().join("results.json"), results.to_string()).unwrap();
    let flags = ["results.json", "--rate", "1", "--keep-alive", "0", "--requests", "2000"];
    let found = json(folder.path(), &flags);
    let p50 = |at: usize| found["scenarios"][at]["latency_ns"]["p50"].as_u64().unwrap();
    // All are cold: 100 ms and 4 ms; without 70 ms of pull; without 20 ms of unpack too.
    assert_eq!([p50(0), p50(1), p50(2)], [104_000_000, 34_000_000, 14_000_000]);
    let name = |at: usize| found["scenarios"][at]["name"].as_str().unwrap().to_owned();
    assert!(name(1).contains("acceleration") && name(2).contains("no size"), "{}", name(1));
    // Two samples are too few for a p99: it is withheld, and a note states the reason.
    assert_eq!(found["scenarios"][0]["latency_ns"]["p99"], Value::Null);
    assert!(found["notes"].to_string().contains("p99 is withheld"), "{}", found["notes"]);
    refused(folder.path(), &["gone.json"], "gone.json");
    refused(folder.path(), &["--cold", "from-results"], "results.json");
}

#[test]
fn p999_is_withheld_if_there_are_too_few_samples() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--rate", "10", "--service", "exp:20ms", "--cold", "1s", "--keep-alive", "60s"];
    let with = |n: &str| json(folder.path(), &[&flags[..], &["--requests", n]].concat());
    assert_eq!(with("9999")["scenarios"][0]["latency_ns"]["p999"], Value::Null);
    assert!(with("10000")["scenarios"][0]["latency_ns"]["p999"].is_u64());
    fs::write(folder.path().join("cold.txt"), "100ms\n200ms\n300ms\n").unwrap();
    let flags =
        ["--rate", "10", "--service", "exp:20ms", "--cold", "cold.txt", "--keep-alive", "0"];
    let found = json(folder.path(), &flags);
    assert_eq!(found["scenarios"][0]["latency_ns"]["p999"], Value::Null);
    assert!(found["notes"].to_string().contains("of the 3 measured cold starts"));
}

#[test]
fn platforms_without_a_price_have_no_cost() {
    let folder = tempfile::tempdir().unwrap();
    for platform in ["lambda", "fc", "cloudrun", "knative"] {
        let flags = ["--platform", platform, "--rate", "10", "--requests", "2000"];
        let found = json(folder.path(), &flags);
        assert_eq!(found["scenarios"][0]["cost"], Value::Null, "{platform}");
        assert!(found["notes"].to_string().contains("no price"), "{platform}");
        assert!(!found["inputs"]["rules"].as_array().unwrap().is_empty(), "{platform}");
    }
}

#[test]
fn if_requests_wait_none_is_refused_and_waiting_is_erlangs() {
    // Cap 5, load 4, waiting without end: Erlang C(5, 4) = 0.5541 wait, 1 / (5 mu - lambda) each.
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--platform", "knative", "--rate", "40", "--service", "exp:100ms", "--cold", "0"];
    let more = ["--max-instances", "5", "--concurrency", "1", "--keep-alive", "600s"];
    let found = json(folder.path(), &[&flags[..], &more].concat());
    assert_eq!(found["scenarios"][0]["refused_share"]["value"], 0.0);
    let p50 = found["scenarios"][0]["latency_ns"]["p50"].as_u64().unwrap() as f64 / 1e6;
    // Sojourn = exp(10/s) + (with 0.5541) exp(10/s): P(> t) = e^-10t (1 + 0.5541 * 10 t).
    // x = 10 t with e^-x (1 + 0.5541 x) = 0.5 is 1.204.
    assert!((p50 - 120.4).abs() < 4.0, "{p50} ms");
}

#[test]
fn traces_of_every_kind_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
    let azure = format!("{data}/azure-functions-2021-sample-199.csv");
    let found = json(folder.path(), &["--arrivals", &azure, "--cold", "1s", "--keep-alive", "60s"]);
    assert_eq!(found["requests"], 199);
    assert!(found["notes"].to_string().contains("31 functions"), "{}", found["notes"]);
    // Three at once, then one every ten minutes: all cold with a keep-alive of five.
    fs::write(
        folder.path().join("t.csv"),
        "time,duration\n0,0.5\n0,0.5\n0.1,0.5\n600,1\n1200.5,1\n",
    )
    .unwrap();
    let with = |keep_alive: &str| {
        let flags = ["--arrivals", "t.csv", "--cold", "0", "--keep-alive", keep_alive];
        json(folder.path(), &flags)["scenarios"][0]["cold_share"]["value"].as_f64().unwrap()
    };
    assert_eq!((with("300s"), with("1200s")), (1.0, 0.6));
    fs::write(folder.path().join("rfc.csv"), "2026-11-27T10:00:00Z\n2026-11-27T10:00:01.5Z\n")
        .unwrap();
    assert_eq!(json(folder.path(), &["--arrivals", "rfc.csv"])["requests"], 2);
    fs::write(folder.path().join("m.csv"), "minute,count\n0,60\n2,30\n").unwrap();
    let peak = |placement: &str| {
        let flags = ["--arrivals", "m.csv", "--placement", placement, "--service", "500ms"];
        let more = ["--cold", "0", "--keep-alive", "60s"];
        let found = json(folder.path(), &[&flags[..], &more].concat());
        assert_eq!(found["requests"], 90);
        found["scenarios"][0]["instances"]["peak"].as_u64().unwrap()
    };
    // One a second; sixty at once; at random in between.
    assert_eq!((peak("uniform"), peak("start")), (1, 60));
    assert!((2..20).contains(&peak("poisson")));
}

#[test]
fn bad_input_is_one_line_each() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("empty.csv", b"");
    write("blank.csv", b"\n\n\n");
    write("header.csv", b"time\n");
    write("unsorted.csv", b"1\n3\n2\n");
    write("negative.csv", b"-1\n2\n");
    write("text.csv", b"1\ntwo\n");
    write("nan.csv", b"NaN\n1\n");
    write("duration.csv", b"1,-0.5\n");
    write("some.csv", b"1,0.5\n2\n");
    write("late.csv", b"0\n9999999999\n");
    write("binary.csv", &[0xff, 0xfe, 0, 1, 2]);
    write("line.csv", &[b'1'; 100_000]);
    write("azure.csv", b"app,func,end_timestamp,duration\na,b,1\n");
    write("azure-empty.csv", b"app,func,end_timestamp,duration\n");
    write("minutes.csv", b"minute,count\n1,5\n0,5\n");
    write("counts.csv", b"minute,count\n1,-5\n");
    write("none.csv", b"minute,count\n1,0\n");
    for (file, words) in [
        ("empty.csv", "is empty"),
        ("blank.csv", "is empty"),
        ("header.csv", "contains no time stamp"),
        ("unsorted.csv", "line 3: its time is before"),
        ("negative.csv", "`-1` is negative"),
        ("text.csv", "line 2: `two` is not a time"),
        ("nan.csv", "time"),
        ("duration.csv", "negative"),
        ("some.csv", "on some lines only"),
        ("late.csv", "100 years"),
        ("binary.csv", "not text"),
        ("line.csv", "64 KiB"),
        ("azure.csv", "fewer columns"),
        ("azure-empty.csv", "no request"),
        ("minutes.csv", "not after"),
        ("counts.csv", "`-5`"),
        ("none.csv", "no request"),
        ("gone.csv", "neither"),
        (".", "cannot read"),
    ] {
        refused(folder.path(), &["--arrivals", file, "--json", "refused.json"], words);
    }
    for (flags, words) in [
        (&["--rate", "0"][..], "--rate 0"),
        (&["--rate", "-1"], "--rate -1"),
        (&["--rate", "NaN"], "NaN"),
        (&["--rate", "inf"], "inf"),
        (&["--rate", "1e9"], "10000000"),
        (&["--rate", "100000", "--service", "20ms"], "quota"),
        (&["--rate", "100", "--provisioned", "5000"], "--provisioned 5000"),
        (&["--provisioned", "-1"], "-1"),
        (&["--provisioned", "gone.csv"], "timetable"),
        (&["--provisioned", "target:2"], "target:0.8"),
        (&["--service", "exp:0"], "mean"),
        (&["--service", "-5ms"], "negative"),
        (&["--service", "20"], "`20`"),
        (&["--service", "pareto:1,5ms"], "pareto"),
        (&["--cold", "weibull:0.01,1s"], "mean"),
        (&["--cold", "cauchy:1s,1s"], "cauchy"),
        (&["--cold", "empty.csv"], "no sample"),
        (&["--keep-alive", "5"], "--keep-alive 5"),
        (&["--keep-alive", "-5s"], "negative"),
        (&["--concurrency", "0"], "--concurrency 0"),
        (&["--max-instances", "0"], "--max-instances 0"),
        (&["--memory", "0"], "--memory 0"),
        (&["--requests", "0"], "--requests 0"),
        (&["--requests", "1.5"], "--requests 1.5"),
        (&["--days", "0"], "--days 0"),
        (&["--rate", "0.0001", "--requests", "1e9"], "years"),
        (&["--target", "cold<=200%"], "200%"),
        (&["--target", "speed<=1"], "speed"),
        (&["--functions", "0"], "functions"),
        (&["--arrivals", "diurnal:2"], "diurnal:2"),
        (&["--shard", "0/3", "--json", "refused.json"], "--shard 0/3"),
        (&["--shard", "4/3", "--json", "refused.json"], "--shard 4/3"),
        (&["--shard", "1/3"], "--json"),
    ] {
        refused(folder.path(), flags, words);
    }
}

#[test]
fn a_long_trace_is_read_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut file =
        std::io::BufWriter::new(fs::File::create(folder.path().join("long.csv")).unwrap());
    for n in 0..1_500_000u32 {
        writeln!(file, "{}.{:06}", n / 500, (n % 500) * 2_000).unwrap();
    }
    file.into_inner().unwrap();
    // 60 MiB of address space for data cannot hold the stamps of a trace ten times as long. This
    // one shows that none is kept: 1.5 million would be 24 MB as pairs.
    let script = "ulimit -d 65536; exec \"$0\" plan --arrivals long.csv --keep-alive 60s \
                  --threads 1 --json long.json";
    let status = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_coldstart")])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    let text = fs::read_to_string(folder.path().join("long.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["requests"], 1_500_000);
}

/// docs/capacity.md shows a command and its rows, and beside each the exact share: the same flags
/// give the same bytes everywhere, so they are compared as text.
#[test]
fn the_page_shows_the_rows_that_its_command_prints() {
    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/capacity.md"))
            .expect("the page");
    let command = page.lines().find_map(|line| line.strip_prefix("just plan "));
    let flags: Vec<&str> = command.expect("a command").split(' ').collect();
    let folder = tempfile::tempdir().unwrap();
    let table = done(folder.path(), &flags);
    let printed: Vec<&str> =
        table.lines().filter_map(|line| line.strip_prefix(" provisioned ")).collect();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let rows: Vec<Vec<&str>> = rows
        .map(|row| row.split(" | ").collect::<Vec<_>>())
        .filter(|cells| cells.len() == 8 && cells[0].trim_matches('*').parse::<u32>().is_ok())
        .collect();
    assert_eq!((rows.len(), printed.len()), (4, 4), "{table}");
    for (cells, line) in rows.into_iter().zip(printed) {
        let [n, cold, interval, exact, p50, p99, p999, cost] = cells[..] else { unreachable!() };
        let n = n.trim_matches('*');
        let (low, high) = interval.split_once(" to ").expect("two bounds");
        let shown = [n.to_owned() + ",", cold.into(), format!("{low} % .. {high}")];
        for text in shown.iter().map(String::as_str).chain([p50, p99, p999, cost]) {
            assert!(line.contains(text), "the page's `{text}` is not in `{line}`");
        }
        let share = coldstart::plan::erlang::blocked(n.parse().expect("a number"), 40.0);
        assert_eq!(exact, format!("{:.3} %", share * 100.0), "Erlang B of {n}");
    }
}
