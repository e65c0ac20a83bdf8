//! Tests of the emulated API's faults, injected by a flag or on the control path, and of a restart.

mod common;
mod stand_in;

use serde_json::{Value, json};
use stand_in::{Client, StandIn, create};
use std::io::ErrorKind;
use std::thread;
use std::time::{Duration, Instant};

fn add(stand_in: &StandIn, fault: &str) {
    stand_in.control(json!({"add": [fault]}));
}

fn clear(stand_in: &StandIn) {
    assert_eq!(stand_in.control(json!({"clear": true}))["faults"], json!([]));
}

fn log(result: &Value) -> &str {
    result["Log"].as_str().unwrap()
}

fn id(result: &Value) -> &str {
    result["FunctionRequestId"].as_str().unwrap()
}

/// The status of a failed result.
#[track_caller]
fn status(result: &Value) -> u64 {
    let failed: Value = serde_json::from_str(result["ErrMsg"].as_str().unwrap())
        .unwrap_or_else(|_| panic!("no failure: {result}"));
    failed["statusCode"].as_u64().unwrap()
}

fn function(name: &str) -> Value {
    json!({"FunctionName": name})
}

#[test]
fn the_old_content_answers_while_a_change_is_in_progress_or_failed() {
    let stand_in = StandIn::start(&["--fault", "create-failed*1"]);
    let client = stand_in.client();
    client.ok("CreateFunction", create("slow"));
    client.wait("slow", "$LATEST", "CreateFailed");
    let found = client.ok("GetFunction", function("slow"));
    assert_eq!(found["StatusReasons"].as_array().unwrap().len(), 1);
    assert!(client.fails("Invoke", function("slow")).starts_with("FailedOperation.FunctionStatus"));
    client.ok("DeleteFunction", function("slow"));
    client.create("slow");

    let set = |value: &str| {
        let environment = json!({"Variables": [{"Key": "WHICH", "Value": value}]});
        let change = json!({"FunctionName": "slow", "Environment": environment});
        client.ok("UpdateFunctionConfiguration", change);
    };
    let which = || {
        let result = client.tell("slow", "$LATEST", "env");
        let lines = result["RetMsg"].as_str().unwrap().lines();
        lines.filter_map(|line| line.strip_prefix("WHICH=")).next().map(str::to_owned)
    };
    set("one");
    client.wait("slow", "$LATEST", "Active");
    add(&stand_in, "update-delay=1.5");
    let begun = Instant::now();
    set("two");
    assert_eq!(which().as_deref(), Some("one"), "the old content answers meanwhile");
    client.wait("slow", "$LATEST", "Active");
    assert!(begun.elapsed() >= Duration::from_millis(1500), "{:?}", begun.elapsed());
    assert_eq!(which().as_deref(), Some("two"));
    clear(&stand_in);
    add(&stand_in, "update-failed*1");
    set("three");
    client.wait("slow", "$LATEST", "UpdateFailed");
    assert_eq!(which().as_deref(), Some("two"), "the old content answers afterwards");
    set("four");
    client.wait("slow", "$LATEST", "Active");
    assert_eq!(which().as_deref(), Some("four"), "a failed update can be made again");
    add(&stand_in, "publish-failed*1");
    let made = client.ok("PublishVersion", function("slow"));
    let number = made["FunctionVersion"].as_str().unwrap();
    client.wait("slow", number, "PublishFailed");
    let call = json!({"FunctionName": "slow", "Qualifier": number});
    let refused = client.fails("Invoke", call);
    assert!(refused.starts_with("FailedOperation.FunctionVersionStatusNotActive"), "{refused}");
}

#[test]
fn log_lines_can_be_late_missing_or_doubled() {
    let stand_in = StandIn::start(&[]);
    let client = stand_in.client();
    client.create("logs");
    let lines = |result: &Value| client.search(&format!("SCF_RequestId:\"{}\"", id(result)));
    let plain = client.tell("logs", "$LATEST", "count");
    assert_eq!(lines(&plain).len(), 6, "a cold start's lines, and what the function has printed");
    add(&stand_in, "logs-twice*1");
    assert_eq!(lines(&client.tell("logs", "$LATEST", "count")).len(), 8);
    add(&stand_in, "logs-missing*1");
    assert_eq!(lines(&client.tell("logs", "$LATEST", "count")).len(), 0);
    add(&stand_in, "logs-late=1*1");
    let late = client.tell("logs", "$LATEST", "count");
    let begun = Instant::now();
    assert_eq!(lines(&late).len(), 0);
    while lines(&late).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20));
        thread::sleep(Duration::from_millis(50)); // CLS has no notification
    }
    assert!(begun.elapsed() >= Duration::from_millis(900), "{:?}", begun.elapsed());
    assert_eq!(lines(&client.tell("logs", "$LATEST", "count")).len(), 4, "each happened once");
    client.ok("UpdateFunctionConfiguration", json!({"FunctionName": "logs", "IgnoreSysLog": true}));
    client.wait("logs", "$LATEST", "Active");
    let own = client.tell("logs", "$LATEST", "print mine");
    assert_eq!(lines(&own), ["moody starts", "mine"], "IgnoreSysLog");
}

#[test]
fn each_published_form_of_the_init_report_can_be_chosen() {
    let stand_in = StandIn::start(&[]);
    let client = stand_in.client();
    client.create("forms");
    for (form, first, second) in [
        ("2021", "START RequestId:ID", "Init Report RequestId: ID InitDuration: "),
        ("docs", "START RequestId:ID", "Init Report RequestId: ID Coldstart: "),
        ("2022", "START RequestId:ID", "Init Report RequestId: ID Coldstart: "),
        ("cloudbase", "Init Report RequestId: ID Coldstart: ", "START RequestId:ID"),
    ] {
        add(&stand_in, &format!("line-form={form}"));
        let number = client.publish("forms");
        let result = client.tell("forms", &number, "count");
        let lines: Vec<&str> = log(&result).lines().collect();
        let of = |text: &str| text.replace("ID", id(&result));
        assert!(lines[0].starts_with(&of(first)), "{form}: {lines:?}");
        assert!(lines[1].starts_with(&of(second)), "{form}: {lines:?}");
        assert_eq!(lines[0].contains("PullCode") || lines[1].contains("PullCode"), {
            ["docs", "2022"].contains(&form)
        });
    }
}

#[test]
fn a_tail_is_cut_empty_or_coded() {
    let stand_in = StandIn::start(&[]);
    let client = stand_in.client();
    client.create("tails");
    let whole = client.tell("tails", "$LATEST", &"x".repeat(6000));
    assert_eq!(log(&whole).len(), 4096, "4 KB");
    assert!(
        !log(&whole).contains("START") && log(&whole).ends_with("MB\n"),
        "it has the end of the log"
    );
    add(&stand_in, "tail-cut=60*1");
    let cut = client.tell("tails", "$LATEST", "count");
    assert_eq!(log(&cut).len(), 60);
    assert!(!log(&cut).starts_with("Report"), "in mid-line: {}", log(&cut));
    add(&stand_in, "tail-empty*1");
    assert_eq!(log(&client.tell("tails", "$LATEST", "count")), "");
    add(&stand_in, "tail-base64*1");
    let coded = client.tell("tails", "$LATEST", "count");
    use base64::Engine as _;
    let plain = base64::engine::general_purpose::STANDARD.decode(log(&coded)).unwrap();
    assert!(plain.starts_with(b"START RequestId:"), "{coded}");
    let none = client.ok("InvokeFunction", function("tails"));
    assert_eq!(none["Result"]["Log"], "", "LogType None");
}

#[test]
fn a_burst_is_refused_with_429_and_not_queued() {
    let stand_in = StandIn::start(&["--fault", "burst=3"]);
    let client = stand_in.client();
    client.create("burst");
    let number = client.publish("burst");
    let calls = thread::scope(|scope| {
        let call = || client.tell("burst", &number, "sleep 1500");
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(call)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<Value>>()
    });
    let (good, bad): (Vec<&Value>, Vec<&Value>) = calls.iter().partition(|r| r["ErrMsg"] == "");
    assert_eq!((good.len(), bad.len()), (3, 5), "{calls:#?}");
    assert!(good.iter().all(|result| log(result).contains("Init Report")));
    for result in bad {
        assert_eq!(status(result), 429);
        assert!(result["ErrMsg"].as_str().unwrap().contains("ResourceLimit: "), "{result}");
        assert!(!log(result).contains("Init Report"), "{result}");
    }
}

#[test]
fn a_call_can_reach_an_instance_that_was_started_before_it() {
    let stand_in = StandIn::start(&[]);
    let client = stand_in.client();
    client.create("warm");
    let first = client.publish("warm");
    client.tell("warm", &first, "count");
    let version = |result: &Value| {
        let lines = result["RetMsg"].as_str().unwrap().lines();
        lines.filter_map(|line| line.strip_prefix("SCF_FUNCTIONVERSION=")).next().map(str::to_owned)
    };
    add(&stand_in, "started-ahead*1");
    let second = client.publish("warm");
    let ahead = client.tell("warm", &second, "env");
    assert!(!log(&ahead).contains("Init Report"), "{ahead}");
    assert_eq!(version(&ahead).as_deref(), Some("2"), "its own instance");
    add(&stand_in, "warm-instead*1");
    let third = client.publish("warm");
    let instead = client.tell("warm", &third, "env");
    assert!(!log(&instead).contains("Init Report"), "{instead}");
    assert_ne!(version(&instead).as_deref(), Some("3"), "another version's instance");
    let cold = client.tell("warm", &third, "env");
    assert!(log(&cold).contains("Init Report") && version(&cold).as_deref() == Some("3"), "{cold}");
}

#[test]
fn calls_fail_as_the_platform_fails_and_a_connection_is_reset() {
    let stand_in = StandIn::start(&["--fault", "fail=430*1"]);
    let client = stand_in.client();
    client.create("failing");
    assert_eq!(status(&client.tell("failing", "$LATEST", "count")), 430);
    for number in [439, 444] {
        add(&stand_in, &format!("fail={number}*1"));
        let result = client.tell("failing", "$LATEST", "count");
        assert_eq!(status(&result), number);
        assert!(log(&result).contains(&format!("ERROR RequestId:{}", id(&result))), "{result}");
    }
    assert_eq!(client.tell("failing", "$LATEST", "count")["RetMsg"], "1");
    add(&stand_in, "reset*1");
    let body = json!({"FunctionName": "failing", "Event": r#"{"do":"count"}"#}).to_string();
    let error = client.act("scf", "2018-04-16", "InvokeFunction", &body).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    let after = client.tell("failing", "$LATEST", "count");
    assert_eq!(after["RetMsg"], "3", "the function was called, and its result was lost");
}

#[test]
fn provisioned_concurrency_stays_in_progress_or_fails() {
    let stand_in = StandIn::start(&[]);
    let client = stand_in.client();
    client.create("stuck");
    let number = client.publish("stuck");
    let put = json!({
        "FunctionName": "stuck", "Qualifier": number, "VersionProvisionedConcurrencyNum": 1,
    });
    let about = json!({"FunctionName": "stuck", "Qualifier": number});
    let state =
        || client.ok("GetProvisionedConcurrencyConfig", about.clone())["Allocated"][0].take();
    add(&stand_in, "provisioned-in-progress*1");
    client.ok("PutProvisionedConcurrencyConfig", put.clone());
    assert_eq!(state()["Status"], "InProgress");
    let again = client.fails("PutProvisionedConcurrencyConfig", put.clone());
    assert!(again.starts_with("FailedOperation.ProvisionedInProgress"), "{again}");
    client.ok("DeleteProvisionedConcurrencyConfig", about.clone());
    add(&stand_in, "provisioned-failed*1");
    client.ok("PutProvisionedConcurrencyConfig", put);
    let failed = state();
    assert_eq!(failed["Status"], "Failed");
    assert!(failed["StatusReason"].as_str().unwrap().contains("InsufficientResources"), "{failed}");
}

#[test]
fn a_call_can_fail_for_credentials_permissions_quota_balance_or_clock() {
    let stand_in = StandIn::start(&[]);
    let client = stand_in.client();
    client.create("account");
    for (fault, action, parameters, code) in [
        ("request-limit*1", "GetAccount", json!({}), "RequestLimitExceeded"),
        ("request-limit=GetAccount*1", "GetAccount", json!({}), "RequestLimitExceeded"),
        ("wrong-credentials*1", "GetAccount", json!({}), "AuthFailure.SecretIdNotFound"),
        ("no-permission*1", "ListFunctions", json!({}), "UnauthorizedOperation.CAM"),
        (
            "no-permission=PublishVersion*1",
            "PublishVersion",
            function("account"),
            "UnauthorizedOperation.CAM",
        ),
        ("no-quota*1", "CreateFunction", create("more"), "LimitExceeded.Function"),
        ("no-quota*1", "PublishVersion", function("account"), "LimitExceeded.FunctionVersions"),
        ("no-quota*1", "CreateNamespace", json!({"Namespace": "n"}), "LimitExceeded.Namespace"),
        ("foreign-image*1", "CreateFunction", create("more"), "InvalidParameterValue.ImageUri"),
        ("no-balance*1", "Invoke", function("account"), "ResourceUnavailable.InsufficientBalance"),
        ("clock-skew=400", "GetAccount", json!({}), "AuthFailure.SignatureExpire"),
        ("clock-skew=-400", "GetAccount", json!({}), "AuthFailure.SignatureExpire"),
        ("error=InternalError*1", "GetAccount", json!({}), "InternalError"),
        (
            "error=FailedOperation.PublishVersion@PublishVersion*1",
            "PublishVersion",
            function("account"),
            "FailedOperation.PublishVersion",
        ),
    ] {
        add(&stand_in, fault);
        let error = client.fails(action, parameters.clone());
        assert!(error.starts_with(&format!("{code}: ")), "{fault}: {error}");
        if fault.starts_with("clock-skew") {
            clear(&stand_in);
        }
        assert!(client.call(action, parameters).is_ok_and(|_| true), "{fault} is over");
        for (action, of) in
            [("DeleteFunction", function("more")), ("DeleteNamespace", json!({"Namespace": "n"}))]
        {
            let _ = client.call(action, of); // removes what the second try has made
        }
    }
    add(&stand_in, "no-permission=PublishVersion");
    client.ok("GetFunction", function("account"));
    add(&stand_in, "no-balance*1");
    let found = client.ok("GetFunction", function("account"));
    assert_eq!(found["AvailableStatus"], "InsufficientBalance");
    // A skew within the permitted minutes: the log's times are shifted by it.
    clear(&stand_in);
    add(&stand_in, "clock-skew=200");
    let client = Client { skew: 0, ..client };
    let result = client.tell("account", "$LATEST", "count");
    let lines = client.search(&format!("SCF_RequestId:\"{}\"", id(&result)));
    assert_eq!(lines.len(), log(&result).lines().count());
}

#[test]
fn the_control_path_states_what_is_wrong_with_a_request() {
    let stand_in = StandIn::start(&["--fault", "logs-missing", "--fault", "fail=430*2"]);
    let json_kind = || vec![("Content-Type".into(), "application/json".into())];
    let get = stand_in.send("GET", "/control", Vec::new(), Vec::new()).unwrap();
    assert_eq!(get.body, br#"{"faults":["logs-missing","fail=430*2"]}"#);
    let order = json!({"clear": ["logs-missing"], "add": ["fail=439"]});
    assert_eq!(stand_in.control(order), json!({"faults": ["fail=439"]}));
    for (headers, body, expected) in [
        (json_kind(), "[]", "not a JSON object"),
        (json_kind(), r#"{"more":1}"#, "unknown member `more`"),
        (json_kind(), r#"{"add":["sing"]}"#, "unknown fault `sing`; the faults are update-delay"),
        (json_kind(), r#"{"add":[1]}"#, "`1` is not text"),
        (vec![("Content-Type".into(), "text/plain".into())], "{}", "is not application/json; send"),
    ] {
        let reply = stand_in.send("POST", "/control", headers, body.into()).unwrap();
        let said = String::from_utf8_lossy(&reply.body).into_owned();
        assert!(reply.status == 400 && said.contains(expected), "{body}: {said}");
    }
    let bad = std::process::Command::new(env!("CARGO_BIN_EXE_firstbyte"))
        .args(["run", "--image", "--api", "127.0.0.1:0", "--fault", "sing"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&bad.stderr);
    assert!(bad.status.code() == Some(2) && said.contains("unknown fault `sing`"), "{said}");
}

#[test]
fn a_restart_loses_nothing_even_after_a_kill() {
    let stand_in = StandIn::start(&["--api-state", "state.redb"]);
    let client = stand_in.client();
    client.create("kept");
    let number = client.publish("kept");
    let result = client.tell("kept", &number, "count");
    let trigger = json!({
        "FunctionName": "kept", "Type": "timer", "TriggerName": "yearly",
        "TriggerDesc": "0 0 0 1 1 * *",
    });
    client.ok("CreateTrigger", trigger);
    client.ok("CreateNamespace", json!({"Namespace": "other"}));
    client.ok(
        "PutProvisionedConcurrencyConfig",
        json!({
            "FunctionName": "kept", "Qualifier": number, "VersionProvisionedConcurrencyNum": 1,
        }),
    );
    let query = format!("SCF_RequestId:\"{}\"", id(&result));
    let everything = |client: &Client| {
        let about = |action: &str, of: Value| {
            let mut answer = client.ok(action, of);
            answer.as_object_mut().unwrap().remove("RequestId");
            answer
        };
        let status = json!({"FunctionName": "kept", "FunctionRequestId": id(&result)});
        json!([
            about("GetFunction", function("kept")),
            about("GetFunction", json!({"FunctionName": "kept", "Qualifier": number})),
            about("ListVersionByFunction", function("kept")),
            about("ListTriggers", function("kept")),
            about("ListAliases", function("kept")),
            about("ListNamespaces", json!({})),
            about("GetRequestStatus", status),
            client.search(&query),
        ])
    };
    let before = everything(&client);
    assert_eq!(before[7].as_array().unwrap().len(), 6);
    // Another process on the same file gets an error.
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_firstbyte"))
        .current_dir(stand_in.home.path())
        .args(["run", "--image", "--api", "127.0.0.1:0", "--api-state", "state.redb"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success() && said.contains("open in another process"), "{said}");

    let home = stand_in.stop();
    assert!(stand_in::names(&home.path().join("tmp")).is_empty(), "no file is left");
    let stand_in = StandIn::in_home(home, &["--api-state", "state.redb"]);
    assert_eq!(everything(&stand_in.client()), before);
    let about = json!({"FunctionName": "kept", "Qualifier": number});
    loop {
        let found = stand_in.client().ok("GetProvisionedConcurrencyConfig", about.clone());
        if found["Allocated"][0]["Status"] == "Done" {
            break; // the provisioned instances were restarted
        }
        thread::sleep(Duration::from_millis(20));
    }
    // A change that was answered survives SIGKILL; deleted entries do not come back.
    stand_in.client().ok("DeleteNamespace", json!({"Namespace": "other"}));
    let next = stand_in.client().ok("PublishVersion", function("kept"));
    assert_eq!(next["FunctionVersion"], "2");
    let home = stand_in.kill();
    let stand_in = StandIn::in_home(home, &["--api-state", "state.redb"]);
    let client = stand_in.client();
    client.wait("kept", "2", "Active");
    assert_eq!(client.ok("ListNamespaces", json!({}))["TotalCount"], 1);
    assert_eq!(client.tell("kept", "2", "version")["RetMsg"], "one");
    client.ok("DeleteFunction", function("kept"));
    let stand_in = StandIn::in_home(stand_in.stop(), &["--api-state", "state.redb"]);
    assert_eq!(stand_in.client().ok("ListFunctions", json!({}))["TotalCount"], 0);
    assert_eq!(stand_in.client().search(&query).len(), 6, "the log outlives its function");
}
