//! Tests of the emulated API's log: the function's own lines among the platform's, reports of
//! instances that were started ahead, and the pull's part of a start.

mod common;
mod stand_in;

use serde_json::{Value, json};
use stand_in::{Client, StandIn, create};
use std::thread;
use std::time::{Duration, Instant};

fn id(result: &Value) -> &str {
    result["FunctionRequestId"].as_str().unwrap()
}

fn log(result: &Value) -> &str {
    result["Log"].as_str().unwrap()
}

/// The line of a log that begins with this text.
#[track_caller]
fn line<'a>(log: &'a str, beginning: &str) -> &'a str {
    log.lines()
        .find(|line| line.starts_with(beginning))
        .unwrap_or_else(|| panic!("no {beginning}: {log}"))
}

#[test]
fn what_a_function_prints_is_in_the_log_of_its_request() {
    let stand_in = StandIn::start(&[]);
    let client = stand_in.client();
    client.create("prints");
    let first = client.tell("prints", "$LATEST", "print one");
    let second = client.tell("prints", "$LATEST", "print two");
    for (result, expected) in [(&first, &["moody starts", "one"][..]), (&second, &["two"])] {
        let request = format!("SCF_RequestId:\"{}\"", id(result));
        assert_eq!(client.search(&format!("{request} AND SCF_Type:Custom")), expected);
        let all = client.search(&request);
        assert_eq!(all, log(result).lines().collect::<Vec<_>>(), "Tail has the same lines");
        let at = |text: &str| all.iter().position(|line| line.starts_with(text)).unwrap();
        assert!(at("START") < at(expected[0]) && at(expected[0]) < at("Response"), "{all:?}");
    }
    // A line in the platform's form that the function prints counts as the function's.
    let forged = client.tell("prints", "$LATEST", "print Init Report RequestId: x Coldstart: 1ms");
    let platform = format!("SCF_RequestId:\"{}\" AND SCF_Type:Platform", id(&forged));
    assert!(!client.search(&platform).iter().any(|line| line.starts_with("Init Report")));
    // Many calls at once, each in its own instance: each log has its own line only.
    let call = |number: usize| {
        let text = format!("call {number}");
        let result = client.tell("prints", "$LATEST", &format!("print {text}"));
        (text, result)
    };
    let call = &call;
    let results: Vec<(String, Value)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|number| scope.spawn(move || call(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (text, result) in &results {
        let own = client.search(&format!("SCF_RequestId:\"{}\" AND SCF_Type:Custom", id(result)));
        let own: Vec<&String> = own.iter().filter(|line| *line != "moody starts").collect();
        assert_eq!(own, [text], "{}", log(result));
    }
    // Lines before its exit are in the log too.
    let ended = client.tell("prints", "$LATEST", "exit 3");
    assert!(log(&ended).contains("ERROR RequestId:"), "{ended}");
}

#[test]
fn an_instance_that_was_started_ahead_has_its_report() {
    let stand_in = StandIn::start(&[]);
    let client = stand_in.client();
    client.create("ahead");
    let number = client.publish("ahead");
    let about = json!({"FunctionName": "ahead", "Qualifier": number});
    let mut put = about.clone();
    put["VersionProvisionedConcurrencyNum"] = json!(2);
    client.ok("PutProvisionedConcurrencyConfig", put);
    wait_until_done(&client, &about);
    let query = format!(
        "SCF_Namespace:\"default\" AND SCF_FunctionName:\"ahead\" AND SCF_Qualifier:\"{number}\" \
         AND SCF_Type:Platform AND SCF_Message:Provisioned*"
    );
    let begun = Instant::now();
    let reports = loop {
        let found = client.search(&query);
        if found.len() >= 2 {
            break found;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{found:?}");
        thread::sleep(Duration::from_millis(20)); // CLS has no notification
    };
    assert_eq!(reports.len(), 2, "one an instance: {reports:?}");
    for report in &reports {
        assert!(report.contains("Coldstart: ") && report.contains("InitFunction: "), "{report}");
        let request = report.split("RequestId: ").nth(1).unwrap().split(' ').next().unwrap();
        let all = client.search(&format!("SCF_RequestId:\"{request}\""));
        assert_eq!(all[1..], ["moody starts"], "what it printed while it started");
        let status = json!({"FunctionName": "ahead", "FunctionRequestId": request});
        assert_eq!(client.ok("GetRequestStatus", status)["TotalCount"], 0, "nobody's request");
    }
    let call = client.tell("ahead", &number, "print called");
    assert!(!log(&call).contains("Init Report"), "{call}");
    let own = client.search(&format!("SCF_RequestId:\"{}\" AND SCF_Type:Custom", id(&call)));
    assert_eq!(own, ["called"]);
    client.ok("DeleteProvisionedConcurrencyConfig", about);
}

#[track_caller]
fn wait_until_done(client: &Client, about: &Value) {
    let begun = Instant::now();
    loop {
        let found = client.ok("GetProvisionedConcurrencyConfig", about.clone());
        if found["Allocated"][0]["Status"] == "Done" {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{found}");
        thread::sleep(Duration::from_millis(20)); // the API has no notification
    }
}

#[test]
fn a_new_image_is_pulled_once_and_an_accelerated_one_never() {
    let stand_in = StandIn::start(&["--fault", "update-delay=0"]);
    let client = stand_in.client();
    let image = |byte: &str, accelerated: bool| {
        let digest = byte.repeat(32);
        json!({"ImageConfig": {
            "ImageType": "personal",
            "ImageUri": format!("ccr.ccs.tencentyun.com/team/moody:v1@sha256:{digest}"),
            "ContainerImageAccelerate": accelerated,
        }})
    };
    let mut made = create("pulls");
    made["Code"] = image("0a", false);
    client.ok("CreateFunction", made);
    client.wait("pulls", "$LATEST", "Active");
    let pulled = || {
        let number = client.publish("pulls");
        let result = client.tell("pulls", &number, "count");
        let report = line(log(&result), "Init Report").to_owned();
        !report.contains("(PullCode: 0ms")
    };
    let change = |image: Value| {
        client.ok("UpdateFunctionCode", json!({"FunctionName": "pulls", "Code": image}));
        client.wait("pulls", "$LATEST", "Active");
    };
    // A small image may be unpacked in less than half a millisecond, which is reported as 0 ms.
    if !pulled() {
        eprintln!("skipped: the image is unpacked in less than a millisecond here");
        return;
    }
    assert!(!pulled(), "the node has cached it");
    change(image("0b", false));
    assert!(pulled(), "a new digest is pulled");
    change(image("0c", true));
    assert!(!pulled(), "acceleration has cached it");
    change(image("0a", false));
    assert!(!pulled(), "the first one is still cached");
}
