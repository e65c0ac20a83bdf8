//! Tests of a deployment's requests with the tools that use them: `tccli`'s own skeletons, the
//! models of the Python SDK that comes with it, and the real `tccli`, which sends to an endpoint on
//! the loopback. Without `tccli` (`build/setup --deploy`) these tests are skipped with a message;
//! the others run everywhere.

mod endpoint;

use endpoint::{Endpoint, Sent};
use scaffold::deploy::difference::There;
use scaffold::deploy::plan::{self, Deployment, PlanError};
use scaffold::deploy::tccli::{self, Tccli, TccliEnvironment, TccliError};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// A function.toml with every key.
const FULL: &str = r#"
name = "hello-web"
description = "greets"
type = "web"
region = "ap-guangzhou"
namespace = "greetings"
role = "reader"
memory_mb = 256
timeout_s = 5
init_timeout_s = 30
concurrency = 10
image = "team.tencentcloudcr.com/ns/hello:v1"
registry_id = "tcr-12345678"
command = "/bin/app"
args = ["--loud", "-v"]
acceleration = true
provisioned = 2
public_net = "fixed-ip"
[vpc]
vpc_id = "vpc-12345678"
subnet_id = "subnet-12345678"
[log]
logset_id = "5cf00000-0000-4000-8000-000000000001"
topic_id = "5cf00000-0000-4000-8000-000000000002"
[environment]
GREETING = "Hi \"there\" ${name}"
"#;
const SMALL: &str = "region = \"ap-guangzhou\"\nimage = \"ccr.ccs.tencentyun.com/ns/hello:v1\"\n";

/// One trigger of each kind.
const TRIGGERS: &str = r#"
[[trigger]]
type = "timer"
name = "tick"
cron = "0 */5 * * * * *"
message = "now"
[[trigger]]
type = "cos"
bucket = "photos-1250000000"
events = ["cos:ObjectCreated:*"]
prefix = "in/"
[[trigger]]
type = "ckafka"
instance = "ckafka-12345678"
topic = "orders"
[[trigger]]
type = "http"
auth = "none"
"#;

/// The files of a project that a deployment reads.
fn project(function: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("Cargo.toml", "[package]\nname = \"hello\"\n");
    write("function.toml", function);
    let image = json!({"reference": "hello:latest", "manifest_digest": DIGEST});
    write("target/image/image.json", &image.to_string());
    folder
}

fn read(folder: &tempfile::TempDir) -> Result<Deployment, PlanError> {
    Deployment::read(folder.path(), &folder.path().join("target"))
}

fn tool() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = tccli::find(&env::split_paths(&path).collect::<Vec<_>>());
    if found.is_none() {
        eprintln!("skipped: no `tccli` on PATH; `build/setup --deploy` installs it");
    }
    found
}

/// `tccli` in a home of its own, without the user's credentials, settings and proxies.
fn quiet(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("HOME", home).env("PATH", env::var_os("PATH").unwrap_or_default());
    command
}

/// The requests of a deployment, with the API's name for each.
fn requests(deployment: &Deployment) -> Vec<(&'static str, Value)> {
    let named = deployment.files().into_iter().filter_map(|(file, text)| {
        let action = match file.as_str() {
            "list-triggers.json" => "ListTriggers",
            "put-trigger-1.json" => "UpdateTrigger",
            "put-trigger-2.json" => "CreateTrigger", // a bucket's trigger is never updated
            "put-trigger-3.json" => "UpdateTrigger",
            "put-trigger-4.json" => "CreateTrigger",
            "create-function.json" => "CreateFunction",
            "update-function-code.json" => "UpdateFunctionCode",
            "update-function-configuration.json" => "UpdateFunctionConfiguration",
            "get-function.json" => "GetFunction",
            "publish-version.json" => "PublishVersion",
            "put-provisioned-concurrency-config.json" => "PutProvisionedConcurrencyConfig",
            "get-provisioned-concurrency-config.json" => "GetProvisionedConcurrencyConfig",
            "get-alias.json" => "GetAlias",
            "point-alias.json" => "UpdateAlias", // and CreateAlias, below
            "list-aliases.json" => "ListAliases",
            "delete-provisioned-concurrency-config.json" => "DeleteProvisionedConcurrencyConfig",
            _ => return None,
        };
        Some((action, serde_json::from_str(&text).unwrap()))
    });
    let mut named: Vec<(&str, Value)> = named.collect();
    let made = named
        .iter()
        .find(|(action, _)| *action == "UpdateAlias")
        .map(|(_, request)| request.clone());
    named.extend(made.map(|request| ("CreateAlias", request)));
    let there = There::read(&json!({"Type": "cos", "TriggerName": "b", "TriggerDesc": "{}",
        "Qualifier": "$DEFAULT"}));
    let gone = serde_json::to_value(deployment.requests().delete_trigger(&there)).unwrap();
    named.push(("DeleteTrigger", gone));
    named
}

/// Checks that a request has only members of the skeleton, with the same types.
fn fits(request: &Value, skeleton: &Value, at: &str) {
    match (request, skeleton) {
        (Value::Object(members), Value::Object(known)) => {
            for (name, value) in members {
                let known =
                    known.get(name).unwrap_or_else(|| panic!("{at}.{name} is not in the skeleton"));
                fits(value, known, &format!("{at}.{name}"));
            }
        }
        (Value::Array(values), Value::Array(known)) => {
            values.iter().for_each(|value| fits(value, &known[0], at))
        }
        (value, Value::String(kind)) => {
            let does = match kind.as_str() {
                "String" => value.is_string(),
                "Integer" => value.is_i64() || value.is_u64(),
                "Boolean" => value.is_boolean(),
                "Float" => value.is_number(),
                _ => false,
            };
            assert!(does, "{at} is {value}, the skeleton has {kind}");
        }
        _ => panic!("{at} is {request}, the skeleton has {skeleton}"),
    }
}

#[test]
fn requests_fit_the_skeletons_of_tccli() {
    let Some(tccli) = tool() else { return };
    let home = tempfile::tempdir().unwrap();
    let mut seen = BTreeSet::new();
    for function in [FULL, SMALL, &format!("{SMALL}{TRIGGERS}")] {
        let deployment = read(&project(function)).unwrap();
        for (action, request) in requests(&deployment) {
            let output = quiet(&tccli, home.path())
                .args(["scf", action, "--generate-cli-skeleton"])
                .output()
                .unwrap();
            let skeleton = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
                panic!("{action}: {error}: {}", String::from_utf8_lossy(&output.stderr))
            });
            fits(&request, &skeleton, action);
            seen.insert(action);
        }
    }
    assert_eq!(seen.len(), 16, "{seen:?}");
}

#[test]
fn requests_pass_the_models_of_the_python_sdk_unchanged() {
    let Some(tccli) = tool() else { return };
    // tccli's own interpreter has the SDK.
    let script = fs::read_to_string(&tccli).unwrap();
    let python =
        script.lines().next().and_then(|line| line.strip_prefix("#!")).expect("tccli is a script");
    let home = tempfile::tempdir().unwrap();
    for function in [FULL, SMALL, &format!("{SMALL}{TRIGGERS}")] {
        let deployment = read(&project(function)).unwrap();
        for (action, request) in requests(&deployment) {
            let program = format!(
                "import json, sys, warnings\nfrom tencentcloud.scf.v20180416 import \
                 models\nwarnings.simplefilter('error')\nmodel = \
                 models.{action}Request()\nmodel.from_json_string(sys.stdin.read())\nprint(model.\
                 to_json_string())\n"
            );
            let mut child = quiet(Path::new(python), home.path())
                .args(["-c", &program])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            let complaint = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && complaint.is_empty(), "{action}: {complaint}");
            let understood: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(without_nulls(understood), request, "{action}");
        }
    }
}

/// Members that were not given are null.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, v)| !v.is_null())
            .map(|(k, v)| (k, without_nulls(v)))
            .collect(),
        Value::Array(values) => values.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// Result of a deployment.
struct Deployed {
    result: Result<Option<String>, TccliError>,
    /// The requests that the platform got.
    sent: Vec<Sent>,
    /// The lines that the user saw.
    said: Vec<String>,
}

/// Deploys with the real tccli against `answers`; returns the result and the requests.
fn deployed(
    function: &str,
    answers: impl Fn(&str, usize) -> Value + Send + 'static,
) -> Option<Deployed> {
    let tccli = tool()?;
    let (home, folder) = (tempfile::tempdir().unwrap(), project(function));
    // A program named tccli that runs the real one with an empty environment.
    let wrapper = home.path().join("tccli");
    let script = format!(
        "#!/bin/sh\nexec env -i HOME='{}' PATH=\"$PATH\" TENCENTCLOUD_SECRET_ID=AKIDEXAMPLE \
         TENCENTCLOUD_SECRET_KEY=EXAMPLE '{}' \"$@\"\n",
        home.path().display(),
        tccli.display()
    );
    fs::write(&wrapper, script).unwrap();
    fs::set_permissions(&wrapper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let around = TccliEnvironment {
        path: vec![home.path().into()],
        secrets: true,
        ..TccliEnvironment::default()
    };
    let endpoint = Endpoint::start(answers);
    let tccli = Tccli::ready(&around, Some(endpoint.url())).unwrap();
    let deployment = read(&folder).unwrap();
    let mut said = Vec::new();
    let result = tccli.deploy(&deployment, &folder.path().join("target/deploy"), &mut |line| {
        said.push(line.to_owned())
    });
    Some(Deployed { result, sent: endpoint.stop(), said })
}

fn actions(sent: &[Sent]) -> Vec<&str> {
    sent.iter().map(|request| request.action.as_str()).collect()
}

#[test]
fn a_new_function_is_created_published_and_provisioned_by_the_real_tccli() {
    let answered = deployed(FULL, |action, nth| match (action, nth) {
        ("GetFunction", 0) => {
            json!({"Error": {"Code": "ResourceNotFound.Function", "Message": "no such function"}})
        }
        ("GetFunction", 1) => json!({"Status": "Creating", "FunctionName": "hello-web"}),
        ("GetFunction", _) => json!({"Status": "Active", "FunctionName": "hello-web"}),
        ("PublishVersion", _) => json!({"FunctionVersion": "1", "FunctionName": "hello-web"}),
        ("GetProvisionedConcurrencyConfig", 0) => {
            json!({"UnallocatedConcurrencyNum": 9, "Allocated": []})
        }
        ("GetProvisionedConcurrencyConfig", 1) => started("1", "InProgress"),
        ("GetProvisionedConcurrencyConfig", _) => started("1", "Done"),
        ("GetAlias", _) => pointing("$LATEST"),
        _ => json!({}),
    });
    let Some(Deployed { result, sent, .. }) = answered else { return };
    assert_eq!(result.unwrap().as_deref(), Some("1"));
    let expected = [
        "GetFunction",
        "CreateFunction",
        "GetFunction",
        "GetFunction",
        "PublishVersion",
        "GetFunction",
        "PutProvisionedConcurrencyConfig",
        "GetProvisionedConcurrencyConfig",
        "GetProvisionedConcurrencyConfig",
        "GetProvisionedConcurrencyConfig",
        "GetAlias",
        "UpdateAlias",
    ];
    assert_eq!(actions(&sent), expected);
    assert!(
        sent.iter()
            .all(|request| request.region == "ap-guangzhou" && request.version == "2018-04-16")
    );
    let uri = format!("team.tencentcloudcr.com/ns/hello:v1@{DIGEST}");
    assert_eq!(
        sent[1].body,
        json!({
            "FunctionName": "hello-web", "Namespace": "greetings", "Type": "HTTP",
            "Runtime": "CustomImage",
            "Code": {"ImageConfig": {"ImageType": "enterprise", "ImageUri": uri,
                "RegistryId": "tcr-12345678", "Command": "/bin/app", "Args": "--loud -v",
                "ContainerImageAccelerate": true, "ImagePort": 9000}},
            "MemorySize": 256, "Timeout": 5, "InitTimeout": 30, "Description": "greets",
            "Role": "reader",
            "Environment": {"Variables": [{"Key": "GREETING", "Value": "Hi \"there\" ${name}"}]},
            "InstanceConcurrencyConfig": {"DynamicEnabled": "FALSE", "MaxConcurrency": 10},
            "VpcConfig": {"VpcId": "vpc-12345678", "SubnetId": "subnet-12345678"},
            "PublicNetConfig": {"PublicNetStatus": "ENABLE", "EipConfig": {"EipStatus": "ENABLE"}},
            "ClsLogsetId": "5cf00000-0000-4000-8000-000000000001",
            "ClsTopicId": "5cf00000-0000-4000-8000-000000000002",
        })
    );
    assert_eq!(
        sent[5].body,
        json!({"FunctionName": "hello-web", "Namespace": "greetings", "Qualifier": "1"})
    );
    assert_eq!(
        sent[6].body,
        json!({"FunctionName": "hello-web", "Namespace": "greetings", "Qualifier": "1",
            "VersionProvisionedConcurrencyNum": 2})
    );
    assert_eq!(sent[7].body, sent[5].body, "the version's instances are asked for");
    assert_eq!(
        sent[11].body,
        json!({"FunctionName": "hello-web", "Namespace": "greetings", "Name": "$DEFAULT",
            "FunctionVersion": "1"})
    );
}

/// The platform's answer about a version's instances.
fn started(version: &str, status: &str) -> Value {
    let of = json!({"Qualifier": version, "Status": status, "StatusReason": "why",
        "TriggerActions": null, "AllocatedProvisionedConcurrencyNum": 2,
        "AvailableProvisionedConcurrencyNum": 1});
    json!({"UnallocatedConcurrencyNum": 9, "Allocated": [of]})
}

/// An alias that sends all of its callers to a version.
fn pointing(version: &str) -> Value {
    let routing = json!({"AdditionalVersionWeights": [], "AddtionVersionMatchs": []});
    json!({"Name": "$DEFAULT", "FunctionVersion": version, "RoutingConfig": routing})
}

/// Answers about a function with version 2 and its instances, until version 3 has started.
fn of_version_2(action: &str, nth: usize) -> Value {
    match (action, nth) {
        ("GetFunction", _) => json!({"Status": "Active"}),
        ("PublishVersion", _) => json!({"FunctionVersion": "3"}),
        ("GetProvisionedConcurrencyConfig", 0) => started("3", "Done"),
        ("GetProvisionedConcurrencyConfig", _) => started("2", "Done"),
        ("GetAlias", _) => pointing("2"),
        ("ListAliases", _) => json!({"Aliases": [pointing("3")], "TotalCount": 1}),
        _ => json!({}),
    }
}

#[test]
fn callers_move_to_the_new_version_and_the_older_ones_instances_end() {
    let Some(Deployed { result, sent, said }) = deployed(FULL, of_version_2) else { return };
    assert_eq!(result.unwrap().as_deref(), Some("3"));
    let expected = [
        "GetAlias",
        "UpdateAlias",
        "GetProvisionedConcurrencyConfig",
        "ListAliases",
        "DeleteProvisionedConcurrencyConfig",
    ];
    assert_eq!(
        actions(&sent[sent.len() - 5..]),
        expected,
        "callers are moved before the instances end"
    );
    let older = json!({"FunctionName": "hello-web", "Namespace": "greetings", "Qualifier": "2"});
    assert_eq!(sent.last().unwrap().body, older);
    let back = "moved     alias $DEFAULT from version 2 to 3; back: tccli scf UpdateAlias \
                --region ap-guangzhou --Namespace greetings --FunctionName hello-web --Name \
                '$DEFAULT' --FunctionVersion '2'";
    assert!(said.iter().any(|line| line == back), "{said:?}");
}

#[test]
fn instances_of_an_older_version_stay_while_another_alias_uses_them() {
    let answered = deployed(FULL, |action, nth| match action {
        "ListAliases" => {
            let mut other = pointing("1");
            other["Name"] = json!("other");
            other["RoutingConfig"]["AdditionalVersionWeights"] =
                json!([{"Version": "2", "Weight": 0.1}]);
            json!({"Aliases": [pointing("3"), other], "TotalCount": 2})
        }
        _ => of_version_2(action, nth),
    });
    let Some(Deployed { result, sent, said }) = answered else { return };
    assert_eq!(result.unwrap().as_deref(), Some("3"));
    assert_eq!(actions(&sent).last(), Some(&"ListAliases"));
    let last = said.last().unwrap();
    let end = "tccli scf DeleteProvisionedConcurrencyConfig --region ap-guangzhou --Namespace \
               greetings --FunctionName hello-web --Qualifier '2'";
    assert!(last.contains("alias other sends callers there") && last.ends_with(end), "{last}");
}

#[test]
fn an_alias_that_splits_its_callers_is_not_changed() {
    let answered = deployed(FULL, |action, nth| {
        let mut answer = of_version_2(action, nth);
        if action == "GetAlias" {
            answer["RoutingConfig"]["AddtionVersionMatchs"] =
                json!([{"Version": "1", "Key": "k", "Method": "exact"}]);
        }
        answer
    });
    let Some(Deployed { result, sent, said }) = answered else { return };
    assert_eq!(result.unwrap().as_deref(), Some("3"));
    assert_eq!(actions(&sent).last(), Some(&"GetAlias"));
    let last = said.last().unwrap();
    assert!(
        last.contains("alias $DEFAULT splits its callers")
            && last.contains("--FunctionVersion '3'"),
        "{last}"
    );
}

#[test]
fn a_missing_alias_is_created() {
    let function = FULL.replace("provisioned = 2", "provisioned = 2\nalias = \"live\"");
    let answered = deployed(&function, |action, nth| match action {
        "GetAlias" => json!({"Error": {"Code": "ResourceNotFound.Alias", "Message": "none"}}),
        _ => of_version_2(action, nth),
    });
    let Some(Deployed { result, sent, .. }) = answered else { return };
    assert_eq!(result.unwrap().as_deref(), Some("3"));
    let made = sent.last().unwrap();
    assert_eq!(made.action, "CreateAlias");
    assert_eq!((&made.body["Name"], &made.body["FunctionVersion"]), (&json!("live"), &json!("3")));
}

#[test]
fn instances_that_do_not_start_stop_a_deployment_before_callers_are_moved() {
    let answered = deployed(FULL, |action, nth| match action {
        "GetProvisionedConcurrencyConfig" => started("3", "Failed"),
        _ => of_version_2(action, nth),
    });
    let Some(Deployed { result, sent, .. }) = answered else { return };
    let error = result.unwrap_err().to_string();
    assert!(
        error.contains("version 3: Failed, why") && error.contains("--Qualifier '3'"),
        "{error}"
    );
    assert_eq!(actions(&sent).last(), Some(&"GetProvisionedConcurrencyConfig"));
}

/// After `provisioned = 0` the alias still sends all callers to the last published version.
#[test]
fn without_provisioning_it_names_the_version_that_callers_still_reach() {
    let Some(Deployed { result, said, .. }) = deployed(SMALL, of_version_2) else { return };
    assert_eq!(result.unwrap(), None);
    let last = said.last().unwrap();
    assert!(
        last.contains("to version 2, not to this") && last.contains("--FunctionVersion '$LATEST'"),
        "{last}"
    );
    assert!(last.contains("DeleteProvisionedConcurrencyConfig"), "{last}");
}

#[test]
fn an_existing_function_is_updated_and_not_published() {
    let answers = |action: &str, _| {
        if action == "GetAlias" { pointing("$LATEST") } else { json!({"Status": "Active"}) }
    };
    let Some(Deployed { result, sent, said }) = deployed(SMALL, answers) else { return };
    assert_eq!(result.unwrap(), None);
    assert!(said.last().unwrap().starts_with("active"), "{said:?}");
    let expected = [
        "GetFunction",
        "ListTriggers",
        "UpdateFunctionCode",
        "GetFunction",
        "UpdateFunctionConfiguration",
        "GetFunction",
        "GetAlias",
    ];
    assert_eq!(actions(&sent), expected);
    let uri = format!("ccr.ccs.tencentyun.com/ns/hello:v1@{DIGEST}");
    assert_eq!(sent[2].body["Code"]["ImageConfig"]["ImageUri"], json!(uri));
    assert_eq!(
        sent[4].body["Environment"],
        json!({"Variables": []}),
        "removed variables are deleted"
    );
}

/// Regression: an update cannot change the type, so an event function stayed one although
/// function.toml said Web.
#[test]
fn a_function_of_the_other_type_is_not_changed() {
    for (function, there, words) in [
        (SMALL, "HTTP", "as a Web function, and function.toml has `type = \"event\"`"),
        (FULL, "Event", "`type = \"web\"`"),
    ] {
        let answers = move |_: &str, _| json!({"Status": "Active", "Type": there});
        let Some(Deployed { result, sent, .. }) = deployed(function, answers) else { return };
        let error = result.unwrap_err().to_string();
        assert!(
            error.contains(words)
                && error.contains("tccli scf DeleteFunction --region ap-guangzhou"),
            "{error}"
        );
        assert_eq!(actions(&sent), ["GetFunction"], "nothing was changed");
    }
}

#[test]
fn settings_that_function_toml_no_longer_has_are_kept_and_reported() {
    let answers = |action: &str, _| match action {
        "GetAlias" => pointing("$LATEST"),
        _ => {
            json!({"Status": "Active", "Type": "Event", "Description": "greets", "Role": "reader",
            "InitTimeout": 90, "InstanceConcurrencyConfig": null})
        }
    };
    let Some(Deployed { result, said, .. }) = deployed(SMALL, answers) else { return };
    assert_eq!(result.unwrap(), None);
    let kept: Vec<_> = said.iter().filter(|line| line.starts_with("kept ")).collect();
    assert_eq!(kept.len(), 2, "90 s is the default: {kept:?}");
    assert!(
        kept[0].contains("description is still \"greets\"")
            && kept[1].contains("role is still \"reader\""),
        "{kept:?}"
    );
}

/// All functions of a workspace share one folder of images: the image that was made last may be
/// that of another function.
#[test]
fn another_functions_image_is_not_deployed() {
    let folder = project(SMALL);
    let path = folder.path().join("target/image/image.json");
    for (reference, is_taken) in [
        ("echo:latest", false),
        ("hello-web:latest", false),
        ("hello:latest", true),
        ("ccr.ccs.tencentyun.com/ns/hello:v1", true),
    ] {
        fs::write(&path, json!({"reference": reference, "manifest_digest": DIGEST}).to_string())
            .unwrap();
        match read(&folder) {
            Ok(_) => assert!(is_taken, "{reference}"),
            Err(error) => {
                assert!(
                    !is_taken && error.to_string().contains(&format!("is `{reference}`")),
                    "{reference}: {error}"
                );
            }
        }
    }
}

#[test]
fn the_placeholder_image_is_never_deployed() {
    let placeholder =
        "region = \"ap-guangzhou\"\nimage = \"ccr.ccs.tencentyun.com/namespace/function:v1\"\n";
    let deployment = read(&project(placeholder)).unwrap();
    let error = deployment.check().unwrap_err().to_string();
    assert!(error.contains("namespace/function:v1") && error.contains("just push"), "{error}");
    assert!(deployment.summary().contains(&error), "a dry run reports it too");
    let folder = project(SMALL);
    assert!(read(&folder).unwrap().check().is_ok());
    assert_eq!(
        plan::image_name(folder.path()).unwrap().to_string(),
        "ccr.ccs.tencentyun.com/ns/hello:v1"
    );
    assert!(plan::image_name(project(placeholder).path()).is_err());
}

/// Regression: images of docker.io, and of Hong Kong's registry for a function in Guangzhou, were
/// sent to the platform without an error.
#[test]
fn an_image_that_the_platform_does_not_accept_is_refused_before_any_call() {
    for (image, words) in [
        (
            "docker.io/library/hello:v1",
            "`docker.io` is not one: push it to ccr.ccs.tencentyun.com/",
        ),
        ("127.0.0.1:5000/hello:v1", "Tencent's own registries only"),
        ("hkccr.ccs.tencentyun.com/ns/hello:v1", "the personal registry of ap-hongkong"),
    ] {
        let function = format!("region = \"ap-guangzhou\"\nimage = \"{image}\"\n");
        let error = read(&project(&function)).unwrap_err().to_string();
        assert!(error.contains(image) && error.contains(words), "{error}");
    }
    let hong_kong = "region = \"ap-hongkong\"\nimage = \"hkccr.ccs.tencentyun.com/ns/hello:v1\"\n";
    assert!(read(&project(hong_kong)).is_ok());
}

#[test]
fn a_refusal_ends_the_deployment_with_the_platforms_message() {
    let refuse = |action: &str, _| match action {
        "GetFunction" => json!({"Error": {"Code": "ResourceNotFound.Function", "Message": "none"}}),
        _ => {
            json!({"Error": {"Code": "InvalidParameterValue.ImageUri", "Message": "no such image"}})
        }
    };
    let Some(Deployed { result, sent, .. }) = deployed(SMALL, refuse) else { return };
    let error = result.unwrap_err().to_string();
    assert!(
        error.contains("CreateFunction failed") && error.contains("InvalidParameterValue.ImageUri"),
        "{error}"
    );
    assert_eq!(actions(&sent), ["GetFunction", "CreateFunction"]);
    let failed = |_: &str, nth| match nth {
        0 => json!({"Status": "Active"}),
        _ => {
            let reason = json!({"ErrorCode": "X", "ErrorMessage": "image pull failed"});
            json!({"Status": "UpdateFailed", "StatusReasons": [reason]})
        }
    };
    let Some(Deployed { result, .. }) = deployed(SMALL, failed) else { return };
    let error = result.unwrap_err().to_string();
    assert!(error.contains("UpdateFailed") && error.contains("image pull failed"), "{error}");
}

#[test]
fn without_tccli_or_credentials_the_error_has_a_remedy() {
    let empty = tempfile::tempdir().unwrap();
    let around = TccliEnvironment {
        path: vec![empty.path().into()],
        home: Some(empty.path().into()),
        ..Default::default()
    };
    let error = Tccli::ready(&around, None).unwrap_err().to_string();
    assert!(error.contains("build/setup --deploy") && error.contains("--dry-run"), "{error}");
    fs::write(empty.path().join("tccli"), "").unwrap();
    let error = Tccli::ready(&around, None).unwrap_err().to_string();
    assert!(
        error.contains("tccli configure") && error.contains("TENCENTCLOUD_SECRET_ID"),
        "{error}"
    );
    fs::create_dir(empty.path().join(".tccli")).unwrap();
    fs::write(empty.path().join(".tccli/default.credential"), "{}").unwrap();
    assert!(Tccli::ready(&around, None).is_ok());
    assert!(
        Tccli::ready(&TccliEnvironment { profile: Some("other".into()), ..around.clone() }, None)
            .is_err()
    );
    assert!(Tccli::ready(&TccliEnvironment { secrets: true, home: None, ..around }, None).is_ok());
}

#[test]
fn without_an_image_the_error_states_how_to_make_one() {
    let folder = project(SMALL);
    fs::remove_dir_all(folder.path().join("target")).unwrap();
    let error = read(&folder).unwrap_err().to_string();
    // Regression: of a dry run it asked for a push, which nobody can do before the image is there.
    let (build, push) = (error.find("`just image`"), error.find("`just push`"));
    assert!(build.is_some() && build < push && error.contains("no image yet"), "{error}");
}

/// `ap-guangzou` went to the platform without a word.
#[test]
fn a_region_that_is_not_known_is_named_with_a_known_one() {
    let note = "`ap-guangzou`, which is not known here; did you mean `ap-guangzhou`?";
    let mistyped = SMALL.replace("ap-guangzhou", "ap-guangzou");
    assert!(read(&project(&mistyped)).unwrap().summary().contains(note));
    assert!(!read(&project(SMALL)).unwrap().summary().contains("not known here"));
}

#[test]
fn a_dry_run_prints_the_calls_in_order_with_the_benchs_verdicts() {
    let folder = project(FULL);
    fs::create_dir(folder.path().join("target/coldstart")).unwrap();
    let row = |id: &str| {
        json!({"id": id, "variant": "hello", "link": "same-region", "modelled": true,
            "measured": "m", "verdict": id})
    };
    let results = json!({"schema": 1, "host": {"date": "2026-11-22T1:2:3Z", "cpu_model": "A CPU"},
        "guidance": [row("acceleration"), row("provisioned")]});
    fs::write(folder.path().join("target/coldstart/results.json"), results.to_string()).unwrap();
    let deployment = read(&folder).unwrap();
    let summary = deployment.summary();
    assert!(
        summary.contains(
            "acceleration  on    bench: acceleration (m; same-region, modelled; 2026-11-22, A CPU)"
        ),
        "{summary}"
    );
    assert!(summary.contains("provisioned   2     bench: provisioned"), "{summary}");
    let calls = deployment.calls(Path::new("out"));
    let mut rest = calls.as_str();
    for action in [
        "GetFunction",
        "CreateFunction",
        "UpdateFunctionCode",
        "PublishVersion",
        "PutProvisionedConcurrencyConfig",
        "GetProvisionedConcurrencyConfig",
        "GetAlias",
        "CreateAlias",
        "UpdateAlias",
        "ListAliases",
        "DeleteProvisionedConcurrencyConfig",
    ] {
        let call = format!("tccli scf {action} --region ap-guangzhou --cli-input-json file://out/");
        rest = rest.split_once(&call).unwrap_or_else(|| panic!("{action} in its place: {calls}")).1;
    }
    let small = read(&project(SMALL)).unwrap().calls(Path::new("out"));
    assert!(
        !small.contains("PublishVersion") && !small.contains("publish-version.json"),
        "{small}"
    );
}

#[test]
fn examples_pin_the_image_and_have_both_switches() {
    for function in [FULL, SMALL] {
        let deployment = read(&project(function)).unwrap();
        let files = deployment.files();
        let file = |name: &str| &files.iter().find(|(file, _)| *file == name).unwrap().1;
        for name in ["main.tf", "serverless.yml", "knative.yaml", "s.yaml"] {
            assert!(file(name).contains(DIGEST), "{name}: {}", file(name));
            assert!(
                file(name).contains("not measured; `just bench-coldstart` measures it"),
                "{name}"
            );
        }
        let on = function == FULL;
        assert!(
            file("main.tf").contains(&format!("container_image_accelerate = {on}")),
            "{}",
            file("main.tf")
        );
        let named = file("main.tf").matches("\"greetings\"").count();
        assert_eq!(
            named,
            if on { 3 } else { 0 },
            "the version and its instances are in the namespace too"
        );
        assert!(
            file("s.yaml")
                .contains(&format!("accelerationType: {}", if on { "Default" } else { "None" }))
        );
        assert_eq!(file("main.tf").contains("version_provisioned_concurrency_num = 2"), on);
        assert_eq!(file("main.tf").contains(r#"GREETING = "Hi \"there\" $${name}""#), on);
        assert!(
            file("knative.yaml").contains(&format!("min-scale: \"{}\"", if on { 2 } else { 0 }))
        );
    }
}

/// Each file has the same settings, with the tool's own keys.
#[test]
fn examples_have_command_networks_log_and_triggers() {
    let function =
        FULL.replace("type = \"web\"\n", "").replace("concurrency = 10\n", "") + TRIGGERS;
    let deployment = read(&project(&function)).unwrap();
    let files = deployment.files();
    let file = |name: &str| &files.iter().find(|(file, _)| *file == name).unwrap().1;
    for (name, expected) in [
        (
            "main.tf",
            &[
                "    command     = \"/bin/app\"\n",
                "    args        = \"--loud -v\"\n",
                " = \"vpc-12345678\"\n",
                " = \"subnet-12345678\"\n",
                "enable_public_net = true\n",
                "enable_eip_config = true\n",
                " = \"5cf00000-0000-4000-8000-000000000001\"\n",
                "resource \"tencentcloud_scf_trigger_config\" \"trigger_1\" {\n",
                "  trigger_name    = \"tick\"\n",
                "  trigger_desc    = \"0 */5 * * * * *\"\n",
                "  custom_argument = \"now\"\n",
                "= \"photos-1250000000.cos.ap-guangzhou.myqcloud.com\"\n",
                r#""{\"event\":\"cos:ObjectCreated:*\",\"filter\":{\"Prefix\":\"in/\","#,
                "= \"ckafka-12345678-orders\"\n",
                "qualifier     = \"$DEFAULT\"\n",
                "resource \"tencentcloud_scf_trigger_config\" \"trigger_4\" {\n",
                r#"= "{\"AuthType\":\"NONE\""#,
            ][..],
        ),
        (
            "serverless.yml",
            &[
                "    command: \"/bin/app\"\n    args: \"--loud -v\"\n",
                "  publicAccess: true\n  eip: true\n",
                "  vpcConfig:\n    vpcId: \"vpc-12345678\"\n    subnetId: \"subnet-12345678\"\n",
                "  cls:\n    logsetId: \"5cf00000-0000-4000-8000-000000000001\"\n",
                "          cronExpression: \"0 */5 * * * * *\"\n          argument: \"now\"\n",
                "          events: \"cos:ObjectCreated:*\"\n",
                "          filter: {\"prefix\": \"in/\", \"suffix\": \"\"}\n",
                "          name: \"ckafka-12345678\"\n          topic: \"orders\"\n",
                "has no function URL",
            ],
        ),
        (
            "knative.yaml",
            &[
                "          command:\n            - \"/bin/app\"\n",
                "          args:\n            - \"--loud\"\n            - \"-v\"\n",
                "# [vpc], [log], [[trigger]] of function.toml: resources of Tencent Cloud",
            ],
        ),
        (
            "s.yaml",
            &[
                "        entrypoint:\n          - \"/bin/app\"\n",
                "        command:\n          - \"--loud\"\n          - \"-v\"\n",
                "# [vpc], [log], [[trigger]] of function.toml: resources of Tencent Cloud",
            ],
        ),
    ] {
        for line in expected {
            assert!(file(name).contains(line), "{line}: {name}: {}", file(name));
        }
    }
    let off = function.replace("\"fixed-ip\"", "\"off\"");
    let files = read(&project(&off)).unwrap().files();
    let file = |name: &str| &files.iter().find(|(file, _)| *file == name).unwrap().1;
    assert!(file("main.tf").contains("enable_public_net = false\n"));
    assert!(file("serverless.yml").contains("publicAccess: false\n"));
    assert!(file("s.yaml").contains("      internetAccess: false\n"));
    // Without these settings in function.toml the files do not have them.
    let files = read(&project(SMALL)).unwrap().files();
    for (name, text) in &files {
        for word in ["vpc", "trigger", "cls_", "cls:", "command", "internetAccess", "eip"] {
            let is_example =
                ["main.tf", "serverless.yml", "knative.yaml", "s.yaml"].contains(&&**name);
            assert!(!is_example || !text.contains(word), "{word}: {name}: {text}");
        }
    }
}

#[test]
fn yaml_examples_are_yaml() {
    let ruler = "import sys, yaml\nprint(len(yaml.safe_load(sys.stdin)))";
    if !Command::new("python3")
        .args(["-c", "import yaml"])
        .output()
        .is_ok_and(|output| output.status.success())
    {
        eprintln!("skipped: python3 has no module `yaml`");
        return;
    }
    for function in [FULL, SMALL, &format!("{SMALL}{TRIGGERS}")] {
        let deployment = read(&project(function)).unwrap();
        for (name, text) in deployment.files().iter().filter(|(name, _)| name.ends_with("ml")) {
            let mut child = Command::new("python3")
                .args(["-c", ruler])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
            assert!(child.wait_with_output().unwrap().status.success(), "{name}: {text}");
        }
    }
}

#[test]
fn the_terraform_example_is_formatted_as_terraform_does() {
    if Command::new("terraform").arg("version").output().is_err() {
        eprintln!("skipped: no `terraform` on PATH");
        return;
    }
    for function in [FULL, SMALL, &format!("{SMALL}{TRIGGERS}")] {
        let deployment = read(&project(function)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        deployment.write(folder.path()).unwrap();
        let mut format = Command::new("terraform");
        format
            .args(["fmt", "-check", "-diff", "main.tf"])
            .current_dir(folder.path())
            .env("CHECKPOINT_DISABLE", "1");
        let output = format.output().unwrap();
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success(), "{said}");
    }
}
