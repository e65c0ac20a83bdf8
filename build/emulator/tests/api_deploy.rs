//! Tests of `firstbyte deploy --endpoint` against the emulated API, end to end: the real tccli
//! signs and sends the requests, and real instances answer.

mod common;
mod stand_in;

use serde_json::{Value, json};
use stand_in::{StandIn, has_tccli};
use std::fs;
use std::process::{Command, Output, Stdio};

/// Deploys with this function.toml; the project is the stand-in's folder.
fn deploy(stand_in: &StandIn, function: &str, key: &str) -> Output {
    let home = stand_in.home.path();
    fs::write(home.join("Cargo.toml"), "[package]\nname = \"hello\"\n").unwrap();
    fs::write(home.join("function.toml"), function).unwrap();
    let index = fs::read_to_string(home.join("target/image/oci/index.json")).unwrap();
    let index: Value = serde_json::from_str(&index).unwrap();
    let digest = &index["manifests"][0]["digest"];
    let image = json!({"reference": "hello:latest", "manifest_digest": digest});
    fs::write(home.join("target/image/image.json"), image.to_string()).unwrap();
    Command::new(env!("CARGO_BIN_EXE_firstbyte"))
        .current_dir(home)
        .args(["deploy", "--endpoint", &format!("http://{}", stand_in.address)])
        .env("TENCENTCLOUD_SECRET_ID", "test-id")
        .env("TENCENTCLOUD_SECRET_KEY", key)
        .env("HOME", home)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

const FUNCTION: &str = "region = \"ap-guangzhou\"\nimage = \
                        \"ccr.ccs.tencentyun.com/team/hello:v1\"\nmemory_mb = 256\n";

#[test]
fn a_function_is_deployed_twice_and_answers() {
    if !has_tccli() {
        return;
    }
    let stand_in = StandIn::start(&[]);
    let client = stand_in.client();
    let first = deploy(&stand_in, &format!("{FUNCTION}provisioned = 1\n"), "test-key");
    assert!(first.status.success(), "{}", said(&first));
    let alias = || {
        let about = json!({"FunctionName": "hello", "Name": "$DEFAULT"});
        client.ok("GetAlias", about)["FunctionVersion"].take()
    };
    assert_eq!(alias(), "1");
    let found = client.ok("GetFunction", json!({"FunctionName": "hello", "Qualifier": "1"}));
    assert_eq!(
        (&found["MemorySize"], &found["Description"]),
        (&json!(256), &found["ImageConfig"]["ImageUri"])
    );
    let result = client.tell("hello", "$DEFAULT", "count");
    assert_eq!(result["RetMsg"], "1");
    assert!(!result["Log"].as_str().unwrap().contains("Init Report"), "it was started ahead");

    // Callers reach the new version, and instances of the older one end.
    let text = format!("{FUNCTION}provisioned = 1\n[environment]\nGREETING = \"again\"\n");
    let second = deploy(&stand_in, &text, "test-key");
    assert!(second.status.success(), "{}", said(&second));
    assert_eq!(alias(), "2");
    let result = client.tell("hello", "$DEFAULT", "env");
    assert!(result["RetMsg"].as_str().unwrap().contains("GREETING=again\n"), "{result}");
    let provisioned =
        client.ok("GetProvisionedConcurrencyConfig", json!({"FunctionName": "hello"}));
    let allocated = provisioned["Allocated"].as_array().unwrap();
    assert_eq!((allocated.len(), &allocated[0]["Qualifier"]), (1, &json!("2")), "{provisioned}");
}

/// Regression: a function made by `just new --timer` never fired.
#[test]
fn triggers_are_made_and_removed_and_a_second_run_changes_nothing() {
    if !has_tccli() {
        return;
    }
    let stand_in = StandIn::start(&[]);
    let client = stand_in.client();
    let timer = |cron: &str| {
        format!("{FUNCTION}[[trigger]]\ntype = \"timer\"\nname = \"tick\"\ncron = \"{cron}\"\n")
    };
    let all = timer("* * * * * * *")
        + "[[trigger]]\ntype = \"http\"\nauth = \"none\"\n[[trigger]]\ntype = \"cos\"\nbucket = \
           \"photos-1250000000\"\nevents = [\"cos:ObjectCreated:*\"]\nprefix = \"in/\"\n";
    let first = deploy(&stand_in, &all, "test-key");
    let told = said(&first);
    assert!(first.status.success() && told.contains("made      the timer trigger tick"), "{told}");
    stand_in.log.wait("START", 1); // the timer has called a real instance
    let host = told.split("url       https://").nth(1).unwrap().lines().next().unwrap().to_owned();
    let reply = stand_in.send("GET", "/x", vec![("Host".into(), host)], Vec::new()).unwrap();
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));

    let listed = || client.ok("ListTriggers", json!({"FunctionName": "hello"}))["Triggers"].take();
    let before = listed();
    assert_eq!(before.as_array().unwrap().len(), 3);
    let second = deploy(&stand_in, &all, "test-key");
    assert!(second.status.success(), "{}", said(&second));
    assert_eq!(listed(), before, "nothing was changed");

    // A trigger that this program did not make stays. One that function.toml no longer has is
    // removed.
    client.ok(
        "CreateTrigger",
        json!({"FunctionName": "hello", "TriggerName": "theirs", "Type": "timer",
            "TriggerDesc": "0 0 0 1 1 * *", "Qualifier": "$DEFAULT"}),
    );
    let third = deploy(&stand_in, &timer("0 0 0 2 1 * *"), "test-key");
    assert!(third.status.success(), "{}", said(&third));
    for line in ["changed   the timer trigger tick", "removed   the http", "removed   the cos"] {
        assert!(said(&third).contains(line), "{}", said(&third));
    }
    let names = || {
        let mut names: Vec<(String, String)> = listed()
            .as_array()
            .unwrap()
            .iter()
            .map(|of| (of["TriggerName"].to_string(), of["TriggerDesc"].to_string()))
            .collect();
        names.sort();
        names
    };
    let left = names();
    assert!(
        left.len() == 2 && left[0].0.contains("theirs") && left[1].1.contains("0 0 0 2 1"),
        "{left:?}"
    );
    let theirs = timer("0 0 0 3 1 * *").replace("tick", "theirs");
    let refused = deploy(&stand_in, &theirs, "test-key");
    let words = said(&refused);
    assert!(!refused.status.success() && words.contains("no deployment made it"), "{words}");
    assert_eq!(names(), left, "nothing was changed");
}

#[test]
fn a_refusal_has_the_platforms_message() {
    if !has_tccli() {
        return;
    }
    let stand_in = StandIn::start(&["--fault", "foreign-image*1"]);
    for (key, code) in [
        ("another-key", "AuthFailure.SignatureFailure"),
        ("test-key", "InvalidParameterValue.ImageUri"),
    ] {
        let refused = deploy(&stand_in, FUNCTION, key);
        assert!(!refused.status.success() && said(&refused).contains(code), "{}", said(&refused));
    }
    stand_in.control(json!({"add": ["create-failed*1"]}));
    let failed = deploy(&stand_in, FUNCTION, "test-key");
    assert!(
        !failed.status.success() && said(&failed).contains("CreateFailed"),
        "{}",
        said(&failed)
    );
}
