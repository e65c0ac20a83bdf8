//! Test of the emulated API with Tencent's own command line.

mod common;
mod stand_in;

use serde_json::json;
use stand_in::{StandIn, create, has_tccli};
use std::time::{SystemTime, UNIX_EPOCH};

#[test]
fn tccli_makes_publishes_calls_and_reads_the_log() {
    if !has_tccli() {
        return;
    }
    let stand_in = StandIn::start(&[]);
    let input = |value: serde_json::Value| {
        let path = stand_in.home.path().join("input.json");
        std::fs::write(&path, value.to_string()).unwrap();
        format!("file://{}", path.display())
    };
    let scf = |action: &str, value: serde_json::Value| {
        stand_in.tccli(&["scf", action, "--cli-input-json", &input(value)])
    };
    scf("CreateFunction", create("hello")).unwrap();
    stand_in.client().wait("hello", "$LATEST", "Active");
    let found = scf("GetFunction", json!({"FunctionName": "hello"})).unwrap();
    assert_eq!(found["Status"], "Active");
    let uri = found["ImageConfig"]["ImageUri"].as_str().unwrap();
    assert!(uri.starts_with("ccr.ccs.tencentyun.com/team/moody:v1@sha256:"), "{uri}");
    let made = scf("PublishVersion", json!({"FunctionName": "hello"})).unwrap();
    assert_eq!(made["FunctionVersion"], "1");
    stand_in.client().wait("hello", "1", "Active");
    let call = json!({
        "FunctionName": "hello", "Qualifier": "1", "LogType": "Tail", "Event": r#"{"do":"count"}"#,
    });
    let result = scf("InvokeFunction", call).unwrap()["Result"].take();
    assert_eq!((&result["RetMsg"], &result["InvokeResult"]), (&json!("1"), &json!(0)));
    let (id, log) =
        (result["FunctionRequestId"].as_str().unwrap(), result["Log"].as_str().unwrap());
    assert!(log.contains(&format!("Init Report RequestId: {id} Coldstart: ")), "{log}");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let search = json!({
        "TopicId": found["ClsTopicId"], "From": now - 60_000, "To": now + 60_000,
        "QueryString": format!("SCF_RequestId:\"{id}\""), "QuerySyntax": 1,
    });
    let found = stand_in.tccli(&["cls", "SearchLog", "--cli-input-json", &input(search)]).unwrap();
    let lines = found["Results"].as_array().unwrap();
    assert_eq!(lines.len(), log.lines().count(), "{found}");
    let refused = scf("GetFunction", json!({"FunctionName": "nobody"})).unwrap_err();
    assert!(refused.contains("code:ResourceNotFound.Function"), "{refused}");
}
