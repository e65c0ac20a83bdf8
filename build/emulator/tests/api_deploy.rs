//! `firstbyte deploy --endpoint` against the stand-in, end to end: the real tccli signs and sends,
//! real instances answer.

mod common;
mod stand_in;

use serde_json::{Value, json};
use stand_in::{StandIn, has_tccli};
use std::fs;
use std::process::{Command, Output, Stdio};

/// Deploys with that function.toml; its project is the stand-in's folder.
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
fn a_function_is_deployed_deployed_again_and_answers() {
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

    // Callers move to the new version, and the older one's instances end.
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

#[test]
fn a_refusal_is_told_in_the_platforms_words() {
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
