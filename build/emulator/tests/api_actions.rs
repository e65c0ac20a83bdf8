//! Tests of the emulated API: each action, with requests that are signed as the SDK signs them.

mod common;
mod stand_in;

use serde_json::{Value, json};
use stand_in::{Client, StandIn, create};
use std::collections::BTreeMap;
use std::io::{BufReader, Write as _};
use std::net::TcpStream;
use tc3::Credential;

fn with(mut value: Value, key: &str, changed: Value) -> Value {
    value[key] = changed;
    value
}

fn image(change: Value) -> Value {
    let mut image = json!({"ImageType": "personal", "ImageUri": "ccr.ccs.tencentyun.com/a/b:v1"});
    for (key, value) in change.as_object().unwrap() {
        image[key] = value.clone();
    }
    json!({"ImageConfig": image})
}

#[test]
fn accepts_requests_of_its_key_only_and_states_why_it_refuses_others() {
    let stand_in = StandIn::start(&["--api-key", "someone:secret-of-theirs"]);
    let asks = |id: &str, key: &str, skew: i64| {
        let credential = Credential::new(id, key);
        let client = Client { credential, skew, ..stand_in.client() };
        client.call("GetAccount", json!({}))
    };
    assert!(asks("someone", "secret-of-theirs", 0).is_ok());
    for (id, key, skew, code) in [
        ("test-id", "test-key", 0, "AuthFailure.SecretIdNotFound"),
        ("someone", "test-key", 0, "AuthFailure.SignatureFailure"),
        ("someone", "secret-of-theirs", 310, "AuthFailure.SignatureExpire"),
        ("someone", "secret-of-theirs", -310, "AuthFailure.SignatureExpire"),
    ] {
        let error = asks(id, key, skew).unwrap_err();
        assert!(error.starts_with(code), "{error}");
    }
    let client =
        Client { credential: Credential::new("someone", "secret-of-theirs"), ..stand_in.client() };
    let act = |service, version, action, body| client.act(service, version, action, body).unwrap();
    for (service, version, action, body, code) in [
        ("scf", "2018-04-16", "Sing", "{}", "InvalidAction"),
        ("scf", "2018-04-16", "SearchLog", "{}", "InvalidAction"),
        ("scf", "2020-10-16", "GetAccount", "{}", "NoSuchVersion"),
        ("cvm", "2017-03-12", "DescribeInstances", "{}", "NoSuchProduct"),
        ("scf", "2018-04-16", "GetAccount", "[", "InvalidParameter"),
        ("scf", "2018-04-16", "PublishVersion", "{}", "MissingParameter"),
        ("scf", "2018-04-16", "PublishVersion", r#"{"FunctionName":7}"#, "InvalidParameterValue"),
        ("scf", "2018-04-16", "GetAccount", r#"{"More":7}"#, "UnknownParameter"),
    ] {
        let error = act(service, version, action, body).unwrap_err();
        assert!(error.starts_with(&format!("{code}: ")), "{error}");
    }
    // No part of a key is sent or printed.
    let printed = [stand_in.notes.all(), stand_in.log.all()].concat().join("\n");
    assert!(!printed.contains("secret-of-theirs"), "{printed}");
    // An unsigned request, and bytes that are not HTTP.
    let reply = stand_in.send("POST", "/", Vec::new(), b"{}".to_vec()).unwrap();
    assert!(String::from_utf8_lossy(&reply.body).contains("MissingParameter"));
    let mut raw = TcpStream::connect(&stand_in.address).unwrap();
    raw.write_all(b"no http\r\n\r\n").unwrap();
    let (reply, _) = emulator::wire::Reply::read(&mut BufReader::new(&raw), "POST").unwrap();
    assert_eq!(reply.status, 400);
}

#[test]
fn listens_on_loopback_only() {
    let home = stand_in::home();
    for address in ["0.0.0.0:0", "[::]:0"] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_firstbyte"))
            .current_dir(home.path())
            .args(["run", "--image", "--api", address])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("not on the loopback"), "{said}");
    }
}

#[test]
fn a_functions_life_follows_the_documents() {
    let stand_in = StandIn::start(&["--fault", "update-delay=0.3"]);
    let client = stand_in.client();
    client.ok("CreateFunction", create("life"));
    let about = json!({"FunctionName": "life"});
    assert_eq!(client.ok("GetFunction", about.clone())["Status"], "Creating");
    let early = client.fails("Invoke", about.clone());
    assert!(early.starts_with("FailedOperation.FunctionStatusError"), "{early}");
    let twice = client.fails("CreateFunction", create("life"));
    assert!(twice.starts_with("ResourceInUse.Function"), "{twice}");
    client.wait("life", "$LATEST", "Active");
    let found = client.ok("GetFunction", about.clone());
    assert_eq!(
        ["Type", "Runtime", "FunctionVersion", "Namespace", "AvailableStatus"].map(|k| &found[k]),
        ["Event", "CustomImage", "$LATEST", "default", "Available"]
    );
    assert_eq!((&found["InitTimeout"], &found["MemorySize"]), (&json!(90), &json!(128)));

    // The environment of the real instance has the configuration and its version.
    let change = json!({
        "FunctionName": "life", "MemorySize": 256, "Timeout": 7,
        "Environment": {"Variables": [{"Key": "GREETING", "Value": "hello"}]},
    });
    client.ok("UpdateFunctionConfiguration", change);
    assert_eq!(client.ok("GetFunction", about.clone())["Status"], "Updating");
    let busy = client.fails("UpdateFunctionConfiguration", about.clone());
    assert!(busy.starts_with("FailedOperation.FunctionStatusError"), "{busy}");
    // "While updating, calls reach the content before the update."
    let environment = |qualifier: &str| -> BTreeMap<String, String> {
        let result = client.tell("life", qualifier, "env");
        let lines = result["RetMsg"].as_str().unwrap().lines().map(str::to_owned);
        lines.filter_map(|l| l.split_once('=').map(|(k, v)| (k.into(), v.into()))).collect()
    };
    assert_eq!(environment("$LATEST").get("GREETING"), None);
    client.wait("life", "$LATEST", "Active");
    let has = environment("$LATEST");
    for (name, value) in [
        ("GREETING", "hello"),
        ("FROM_IMAGE", "yes"),
        ("SCF_FUNCTIONNAME", "life"),
        ("SCF_FUNCTIONVERSION", "$LATEST"),
        ("TENCENTCLOUD_REGION", "ap-guangzhou"),
    ] {
        assert_eq!(has.get(name).map(String::as_str), Some(value), "{name}");
    }
    let request = client.tell("life", "$LATEST", "request");
    let head = request["RetMsg"].as_str().unwrap().to_ascii_lowercase();
    assert!(
        head.contains("x-scf-memory: 256\r\n") && head.contains("x-scf-timeout: 7\r\n"),
        "{head}"
    );

    // A version keeps its content. Its first call is cold, the next is warm.
    let first = client.publish("life");
    let pid = |qualifier: &str| {
        let result = client.tell("life", qualifier, "count");
        let is_cold = result["Log"].as_str().unwrap().contains("Init Report");
        (result["RetMsg"].as_str().unwrap().to_owned(), is_cold)
    };
    assert_eq!(pid(&first), ("1".into(), true));
    assert_eq!(pid(&first), ("2".into(), false));
    let change = json!({
        "FunctionName": "life", "Publish": "TRUE", "Environment": {"Variables": []},
    });
    client.ok("UpdateFunctionConfiguration", change);
    client.wait("life", "2", "Active");
    assert_eq!(pid("2"), ("1".into(), true));
    assert_eq!(environment("1").get("GREETING").map(String::as_str), Some("hello"));
    assert_eq!(environment("2").get("GREETING"), None);

    // Aliases; `$DEFAULT` always exists.
    let alias = |name: &str, version: &str| {
        with(json!({"FunctionName": "life", "Name": name}), "FunctionVersion", json!(version))
    };
    client.ok("CreateAlias", alias("prod", "1"));
    assert!(client.fails("CreateAlias", alias("prod", "1")).starts_with("ResourceInUse.Alias"));
    assert!(
        client.fails("CreateAlias", alias("1st", "1")).starts_with("InvalidParameterValue.Name")
    );
    assert_eq!(environment("prod").get("SCF_FUNCTIONVERSION").map(String::as_str), Some("1"));
    client.ok("UpdateAlias", alias("prod", "2"));
    client.ok("UpdateAlias", alias("$DEFAULT", "2"));
    let named = json!({"FunctionName": "life", "Name": "prod"});
    assert_eq!(client.ok("GetAlias", named.clone())["FunctionVersion"], "2");
    assert_eq!(
        client.ok("ListAliases", json!({"FunctionName": "life", "Limit": "100"}))["TotalCount"],
        2
    );
    let plain =
        client.ok("InvokeFunction", json!({"FunctionName": "life", "Event": "{\"do\":\"env\"}"}));
    let text = plain["Result"]["RetMsg"].as_str().unwrap();
    assert!(text.contains("SCF_FUNCTIONVERSION=2\n"), "InvokeFunction goes to $DEFAULT: {text}");
    let version = |number: &str| json!({"FunctionName": "life", "Qualifier": number});
    let bound = client.fails("DeleteFunctionVersion", version("2"));
    assert!(bound.starts_with("UnsupportedOperation.AliasBind"), "{bound}");
    client.ok("DeleteFunctionVersion", with(version("1"), "ForceDelete", json!("true")));
    assert!(client.fails("Invoke", version("1")).starts_with("ResourceNotFound.Qualifier"));
    client.ok("UpdateAlias", alias("$DEFAULT", "$LATEST"));
    client.ok("DeleteAlias", named.clone());
    assert!(client.fails("GetAlias", named).starts_with("ResourceNotFound.Alias"));
    let versions = client.ok("ListVersionByFunction", about.clone());
    assert_eq!(versions["FunctionVersion"], json!(["$LATEST", "2"]));

    // Command and Args of the function replace those of the image.
    let code = |change: Value| json!({"FunctionName": "life", "Code": image(change)});
    client.ok("UpdateFunctionCode", code(json!({"Command": "/bin/nothing"})));
    client.wait("life", "$LATEST", "Active");
    let result = client.tell("life", "$LATEST", "count");
    assert_eq!(result["InvokeResult"], -1);
    assert!(result["ErrMsg"].as_str().unwrap().contains("\"statusCode\":445"), "{result}");
    client.ok("UpdateFunctionCode", code(json!({"Command": "/bin/app", "Args": "-u  x"})));
    client.wait("life", "$LATEST", "Active");
    assert_eq!(pid("$LATEST"), ("1".into(), true));

    let functions = client.ok("ListFunctions", json!({"SearchKey": "li"}));
    assert_eq!(
        (&functions["TotalCount"], &functions["Functions"][0]["FunctionName"]),
        (&json!(1), &json!("life"))
    );
    client.ok("DeleteFunction", about.clone());
    assert!(client.fails("GetFunction", about).starts_with("ResourceNotFound.Function"));
}

#[test]
fn calls_have_a_result_a_status_and_lines() {
    let stand_in = StandIn::start(&[]);
    let client = stand_in.client();
    client.create("calls");
    let good = client.tell("calls", "$LATEST", "count");
    let id = good["FunctionRequestId"].as_str().unwrap();
    assert_eq!((&good["RetMsg"], &good["ErrMsg"]), (&json!("1"), &json!("")));
    assert!(good["MemUsage"].as_u64().unwrap() > 0 && good["Duration"].as_f64().unwrap() > 0.0);
    let lines = client.search(&format!("SCF_RequestId:\"{id}\""));
    let starts = [
        format!("START RequestId:{id}"),
        format!("Init Report RequestId: {id} Coldstart: "),
        "moody starts".to_owned(), // a line of the function
        format!("Response RequestId:{id} RetMsg:\"1\""),
        format!("END RequestId:{id}"),
        format!("Report RequestId:{id} Duration:"),
    ];
    assert_eq!(lines.len(), starts.len(), "{lines:#?}");
    for (line, start) in lines.iter().zip(&starts) {
        assert!(line.starts_with(start.as_str()), "{line}");
    }
    assert_eq!(good["Log"].as_str().unwrap(), lines.join("\n") + "\n");
    let reports = "SCF_FunctionName:\"calls\" AND SCF_Type:Platform AND SCF_Message:Report*";
    assert_eq!(client.search(reports), lines[5..]);
    let status = json!({"FunctionName": "calls", "FunctionRequestId": id});
    let status = client.ok("GetRequestStatus", status);
    assert_eq!((&status["TotalCount"], &status["Data"][0]["RetCode"]), (&json!(1), &json!(0)));

    for (order, status) in [("fail", 430), ("exit 3", 439), ("garbage", 443)] {
        let bad = client.tell("calls", "$LATEST", order);
        let failed: Value = serde_json::from_str(bad["ErrMsg"].as_str().unwrap()).unwrap();
        assert_eq!((&failed["statusCode"], &bad["RetMsg"]), (&json!(status), &json!("")), "{bad}");
        assert_eq!(bad["InvokeResult"], -1);
    }

    // Asynchronous: the result is in the log.
    let later = json!({
        "FunctionName": "calls", "InvocationType": "Event", "ClientContext": r#"{"do":"version"}"#,
    });
    let result = client.ok("Invoke", later);
    let id = result["Result"]["FunctionRequestId"].as_str().unwrap().to_owned();
    let found = loop {
        let found = client.search(&format!("SCF_RequestId:\"{id}\" AND SCF_Message:Response*"));
        if !found.is_empty() {
            break found;
        }
        std::thread::sleep(std::time::Duration::from_millis(20)); // CLS has no notification
    };
    assert!(found[0].ends_with("RetMsg:\"one\""), "{found:?}");

    for (call, code) in [
        (json!({"FunctionName": "calls", "Event": "{"}), "InvalidParameterValue.Param"),
        (json!({"FunctionName": "calls", "LogType": "All"}), "InvalidParameterValue.Param"),
        (json!({"FunctionName": "calls", "Qualifier": "9"}), "ResourceNotFound.Qualifier"),
        (json!({"FunctionName": "nobody"}), "ResourceNotFound.Function"),
        (json!({"FunctionName": "calls", "Namespace": "x"}), "ResourceNotFound.Namespace"),
        (
            json!({"FunctionName": "calls", "Event": format!("\"{}\"", "x".repeat(6 << 20))}),
            "InvalidParameter.RequestTooLarge",
        ),
    ] {
        assert!(client.fails("InvokeFunction", call).starts_with(code), "{code}");
    }
}

#[test]
fn documented_limits_are_enforced() {
    let stand_in = StandIn::start(&["--fault", "update-delay=0"]);
    let client = stand_in.client();
    let long = "x".repeat(4096);
    let variable = |key: &str, value: &str| json!({"Variables": [{"Key": key, "Value": value}]});
    for (key, value, code) in [
        ("FunctionName", json!("x"), "InvalidParameterValue.FunctionName"),
        ("FunctionName", json!("1st"), "InvalidParameterValue.FunctionName"),
        ("FunctionName", json!("ends-"), "InvalidParameterValue.FunctionName"),
        ("FunctionName", json!("a".repeat(61)), "InvalidParameterValue.FunctionName"),
        ("MemorySize", json!(100), "InvalidParameterValue.MemorySize"),
        ("MemorySize", json!(3200), "InvalidParameterValue.MemorySize"),
        ("Timeout", json!(901), "LimitExceeded.Timeout"),
        ("InitTimeout", json!(301), "LimitExceeded.InitTimeout"),
        ("Environment", variable("A", &long), "InvalidParameterValue.EnvironmentExceededLimit"),
        ("Environment", variable("SCF_A", "1"), "InvalidParameterValue.EnvironmentSystemProtect"),
        ("Environment", variable("1A", "1"), "InvalidParameterValue.Environment"),
        ("Type", json!("Job"), "InvalidParameterValue.FunctionType"),
        ("Runtime", json!("Go1"), "InvalidParameterValue.Runtime"),
        ("Runtime", json!(null), "MissingParameter.Runtime"),
        ("Namespace", json!("nowhere"), "ResourceNotFound.Namespace"),
        ("Code", json!({}), "MissingParameter.Code"),
        ("Code", image(json!({"ImageType": "public"})), "InvalidParameterValue.ImageType"),
        ("Code", image(json!({"ImageType": "enterprise"})), "InvalidParameterValue.RegistryId"),
        ("Code", image(json!({"ImageUri": "hello"})), "InvalidParameterValue.ImageUri"),
        ("Code", image(json!({"Command": "sh -c"})), "InvalidParameterValue.Command"),
        ("Code", image(json!({"ImagePort": 8080})), "InvalidParameterValue.Port"),
        (
            "InstanceConcurrencyConfig",
            json!({"MaxConcurrency": 2}),
            "InvalidParameterValue.InstanceConcurrencyConfig",
        ),
    ] {
        let error = client.fails("CreateFunction", with(create("limits"), key, value));
        assert!(error.starts_with(&format!("{code}: ")), "{key}: {error}");
    }
    for nth in 0..50 {
        client.ok("CreateFunction", create(&format!("function{nth}")));
    }
    let full = client.fails("CreateFunction", create("function50"));
    assert!(full.starts_with("LimitExceeded.Function: "), "{full}");
    let account = client.ok("GetAccount", json!({}));
    assert_eq!(account["AccountUsage"]["Namespace"][0]["FunctionsCount"], 50);
    for nth in 1..5 {
        let namespace = json!({"Namespace": format!("space{nth}"), "Description": "d"});
        client.ok("CreateNamespace", namespace.clone());
        assert!(client.fails("CreateNamespace", namespace).starts_with("ResourceInUse.Namespace"));
    }
    let full = client.fails("CreateNamespace", json!({"Namespace": "space5"}));
    assert!(full.starts_with("LimitExceeded.Namespace"), "{full}");
    client.ok("CreateFunction", with(create("elsewhere"), "Namespace", json!("space1")));
    let used = client.fails("DeleteNamespace", json!({"Namespace": "space1"}));
    assert!(used.starts_with("ResourceInUse.Namespace"), "{used}");
    client.ok("DeleteFunction", json!({"FunctionName": "elsewhere", "Namespace": "space1"}));
    client.ok("DeleteNamespace", json!({"Namespace": "space1"}));
    let spaces = client.ok("ListNamespaces", json!({}));
    assert_eq!(spaces["TotalCount"], 4);
    for _ in 0..1000 {
        client.ok("PublishVersion", json!({"FunctionName": "function1"}));
    }
    let full = client.fails("PublishVersion", json!({"FunctionName": "function1"}));
    assert!(full.starts_with("LimitExceeded.FunctionVersions"), "{full}");
    // At most five functions have image acceleration.
    let code = image(json!({"ContainerImageAccelerate": true}));
    for nth in 0..6 {
        let name = format!("function{nth}");
        let update = json!({"FunctionName": name, "Code": code.clone()});
        match client.call("UpdateFunctionCode", update) {
            Ok(_) => assert!(nth < 5),
            Err(error) => {
                assert_eq!(nth, 5, "{error}");
                assert!(
                    error.starts_with("LimitExceeded.ContainerImageAccelerateQuota"),
                    "{error}"
                );
            }
        }
    }
}

#[test]
fn provisioned_instances_start_before_their_calls() {
    let stand_in = StandIn::start(&[]);
    let client = stand_in.client();
    client.create("ahead");
    let number = client.publish("ahead");
    let put = json!({
        "FunctionName": "ahead", "Qualifier": number, "VersionProvisionedConcurrencyNum": 2,
    });
    let latest = client
        .fails("PutProvisionedConcurrencyConfig", with(put.clone(), "Qualifier", json!("$LATEST")));
    assert!(latest.starts_with("InvalidParameterValue.Qualifier"), "{latest}");
    client.ok("PutProvisionedConcurrencyConfig", put);
    let about = json!({"FunctionName": "ahead", "Qualifier": number});
    loop {
        let found = client.ok("GetProvisionedConcurrencyConfig", about.clone());
        if found["Allocated"][0]["Status"] == "Done" {
            assert_eq!(found["Allocated"][0]["AvailableProvisionedConcurrencyNum"], 2);
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let result = client.tell("ahead", &number, "count");
    assert_eq!(result["RetMsg"], "1");
    assert!(!result["Log"].as_str().unwrap().contains("Init Report"), "{result}");
    client.ok("DeleteProvisionedConcurrencyConfig", about.clone());
    assert_eq!(client.ok("GetProvisionedConcurrencyConfig", about)["Allocated"], json!([]));
}

#[test]
fn timers_and_urls_call_real_instances() {
    let stand_in = StandIn::start(&[]);
    let client = stand_in.client();
    client.create("fired");
    let trigger = |kind: &str, name: &str, description: &str| {
        json!({
            "FunctionName": "fired", "Type": kind, "TriggerName": name, "TriggerDesc": description,
            "Qualifier": "$DEFAULT",
        })
    };
    let timer = with(trigger("timer", "tick", "* * * * * * *"), "CustomArgument", json!("hi"));
    let made = client.ok("CreateTrigger", timer.clone());
    assert_eq!(made["TriggerInfo"]["TriggerDesc"], r#"{"cron":"* * * * * * *"}"#);
    assert!(client.fails("CreateTrigger", timer).starts_with("ResourceInUse.Trigger"));
    let bad = client.fails("CreateTrigger", trigger("timer", "bad", "* * * * *"));
    assert!(bad.starts_with("InvalidParameterValue.TriggerDesc") && bad.contains("seven"), "{bad}");
    // The moody function returns its event.
    let fired = stand_in.log.wait("\\\"TriggerName\\\":\\\"tick\\\"", 2);
    assert!(fired[0].contains("\\\"Message\\\":\\\"hi\\\""), "{fired:?}");
    let status = json!({
        "FunctionName": "fired", "Type": "timer", "TriggerName": "tick", "Qualifier": "$DEFAULT",
        "Enable": "CLOSE",
    });
    client.ok("UpdateTriggerStatus", status);

    let net = r#"{"AuthType":"NONE","NetConfig":{"EnableIntranet":false,"EnableExtranet":true}}"#;
    let made = client.ok("CreateTrigger", trigger("http", "url", net));
    let about: Value =
        serde_json::from_str(made["TriggerInfo"]["TriggerDesc"].as_str().unwrap()).unwrap();
    let host = about["NetConfig"]["ExtranetUrl"].as_str().unwrap();
    let host = host.strip_prefix("https://").unwrap().to_owned();
    let ask = |host: &str| {
        let headers = vec![("Host".into(), host.to_owned())];
        stand_in.send("GET", "/a?b=c%20d", headers, Vec::new()).unwrap()
    };
    let reply = ask(&host);
    let event: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(
        (reply.status, &event["path"], &event["queryString"]["b"], &event["httpMethod"]),
        (200, &json!("/a"), &json!("c d"), &json!("GET"))
    );
    assert_eq!(
        ask(&host.replacen('.', ".in.", 1)).status,
        404,
        "the URL is not open within the cloud"
    );
    assert_eq!(ask("1-2.ap-guangzhou.tencentscf.com").status, 404);

    let bucket = "hello-1250000000.cos.ap-guangzhou.myqcloud.com";
    let event = r#"{"event":"cos:ObjectCreated:*","filter":{"Prefix":"in/","Suffix":""}}"#;
    client.ok("CreateTrigger", trigger("cos", bucket, event));
    client.ok("CreateTrigger", trigger("ckafka", "ckafka-abc-topic", r#"{"maxMsgNum":100}"#));
    let all = client.ok("ListTriggers", json!({"FunctionName": "fired", "Limit": 100}));
    assert_eq!(all["TotalCount"], 4);
    for (kind, name, description) in [
        ("timer", "tick", ""),
        ("http", "url", ""),
        ("cos", bucket, event),
        ("ckafka", "ckafka-abc-topic", ""),
    ] {
        client.ok("DeleteTrigger", trigger(kind, name, description));
        let gone = client.fails("DeleteTrigger", trigger(kind, name, description));
        assert!(gone.starts_with("ResourceNotFound.Trigger"), "{gone}");
    }
    assert_eq!(ask(&host).status, 404);
}

#[test]
fn a_web_function_can_be_called_by_its_url_only() {
    let stand_in = StandIn::start(&[]);
    let client = stand_in.client();
    client.ok("CreateFunction", with(create("site"), "Type", json!("HTTP")));
    client.wait("site", "$LATEST", "Active");
    let refused = client.fails("Invoke", json!({"FunctionName": "site"}));
    assert!(refused.starts_with("FailedOperation.InvokeFunction"), "{refused}");
    let net = r#"{"AuthType":"NONE","NetConfig":{"EnableIntranet":true,"EnableExtranet":true}}"#;
    let made = client.ok(
        "CreateTrigger",
        json!({
            "FunctionName": "site", "Type": "http", "TriggerName": "url", "TriggerDesc": net,
        }),
    );
    let about: Value =
        serde_json::from_str(made["TriggerInfo"]["TriggerDesc"].as_str().unwrap()).unwrap();
    let host = about["NetConfig"]["IntranetHTTPUrl"].as_str().unwrap();
    let headers = vec![("Host".into(), host.strip_prefix("http://").unwrap().to_owned())];
    let reply = stand_in.send("GET", "/count", headers, Vec::new()).unwrap();
    assert_eq!((reply.status, reply.body), (200, b"1".to_vec()));
}
