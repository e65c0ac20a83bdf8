//! Functions: CreateFunction, GetFunction, ListFunctions, UpdateFunctionCode,
//! UpdateFunctionConfiguration, DeleteFunction.

use crate::api::account::{MAX_ACCELERATED, MAX_FUNCTIONS};
use crate::api::clock::text;
use crate::api::content::{Content, is_name};
use crate::api::error::ApiError;
use crate::api::parameters::Parameters;
use crate::api::session::Session;
use crate::api::world::{Alias, DEFAULT, Function, Key, LATEST, Status, Version, World};
use crate::invocation::new_id;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The namespace of a request; `default` when it names none.
pub(super) fn namespace(of: &Parameters) -> &str {
    of.text("Namespace").filter(|name| !name.is_empty()).unwrap_or("default")
}

impl Session {
    /// CreateFunction.
    pub(super) fn create_function(&self, of: &Parameters) -> Result<Value, ApiError> {
        let (name, namespace) = (of.required("FunctionName"), namespace(of));
        if !is_name(name, 2..=60) {
            return Err(ApiError::new(
                "InvalidParameterValue.FunctionName",
                format_args!(
                    "`{name}`: 2 to 60 letters, digits, `-` and `_`, a letter first, neither last"
                ),
            ));
        }
        let is_web = match of.text("Type").unwrap_or("Event") {
            "Event" => false,
            "HTTP" => true,
            other => {
                return Err(ApiError::new(
                    "InvalidParameterValue.FunctionType",
                    format_args!("Type is `{other}`; it has to be Event or HTTP"),
                ));
            }
        };
        match of.text("Runtime") {
            Some("CustomImage") => {}
            None => return Err(ApiError::new("MissingParameter.Runtime", "Runtime is missing")),
            Some(other) => {
                return Err(ApiError::new(
                    "InvalidParameterValue.Runtime",
                    format_args!("Runtime is `{other}`; the emulator supports CustomImage only"),
                ));
            }
        }
        let mut content = Content::default();
        let code = of.value("Code").cloned().unwrap_or_default();
        content.set_image(&code, &self.digest)?;
        content.configure(of, is_web)?;
        self.refuse_image()?;
        self.change(|world, now| {
            world.namespace(namespace)?;
            let key = (namespace.to_owned(), name.to_owned());
            if world.functions.contains_key(&key) {
                return Err(ApiError::new(
                    "ResourceInUse.Function",
                    format_args!("the function `{name}` exists already in `{namespace}`"),
                ));
            }
            let count = world.functions.keys().filter(|(its, _)| its == namespace).count();
            if count >= MAX_FUNCTIONS || self.faults.happens("no-quota") {
                return Err(ApiError::new(
                    "LimitExceeded.Function",
                    format_args!("the namespace has {MAX_FUNCTIONS} functions, which is the limit"),
                ));
            }
            within_acceleration(world, &content, None)?;
            let next = self.next(now, "create-failed", Status::Active, Status::CreateFailed);
            let version = Version::new(content, Status::Creating, next, now);
            let default = Alias {
                version: LATEST.to_owned(),
                routing: routing(),
                description: String::new(),
                added_ms: now,
                modified_ms: now,
            };
            let function = Function {
                name: name.to_owned(),
                namespace: namespace.to_owned(),
                id: format!("lam-{}", &new_id()[..8]),
                is_web,
                next_version: 1,
                versions: BTreeMap::from([(LATEST.to_owned(), version)]),
                aliases: BTreeMap::from([(DEFAULT.to_owned(), default)]),
                triggers: Vec::new(),
            };
            world.functions.insert(key, function);
            world.function_mut(namespace, name)?;
            world.version_mut(namespace, name, LATEST)?;
            Ok(json!({}))
        })
    }

    /// The platform's error for an image that it cannot read.
    fn refuse_image(&self) -> Result<(), ApiError> {
        match self.faults.happens("foreign-image") {
            true => Err(ApiError::new(
                "InvalidParameterValue.ImageUri",
                "the image is not in a registry of this account",
            )),
            false => Ok(()),
        }
    }

    /// GetFunction.
    pub(super) fn get_function(&self, of: &Parameters) -> Result<Value, ApiError> {
        let name = of.text("FunctionName").unwrap_or_default();
        if name.is_empty() {
            return Err(ApiError::new(
                "InvalidParameter.FunctionNameOrResourceIdRequired",
                "FunctionName is missing",
            ));
        }
        let available = match self.faults.happens("no-balance") {
            true => "InsufficientBalance",
            false => "Available",
        };
        let asked = of.text("Qualifier").filter(|text| !text.is_empty()).unwrap_or(LATEST);
        self.read(|world, _| {
            let function = world.function(namespace(of), name)?;
            let (_, number) = function.resolve(asked, 1.0)?;
            let version = function.version(&number)?;
            let mut answer = describe(function, &number, version);
            answer.insert("AvailableStatus".into(), available.into());
            Ok(answer.into())
        })
    }

    /// ListFunctions.
    pub(super) fn list_functions(&self, of: &Parameters) -> Result<Value, ApiError> {
        let (offset, limit) = of.page(100)?;
        let key = of.text("SearchKey").unwrap_or_default();
        let descending = of.text("Order").is_none_or(|order| order.eq_ignore_ascii_case("DESC"));
        let by = of.text("Orderby").unwrap_or("AddTime");
        if !["AddTime", "ModTime", "FunctionName"].contains(&by) {
            return Err(ApiError::new(
                "InvalidParameterValue.OrderBy",
                format_args!("Orderby is `{by}`; it has to be AddTime, ModTime or FunctionName"),
            ));
        }
        self.read(|world, _| {
            world.namespace(namespace(of))?;
            let is_it = |function: &&Function| {
                function.namespace == namespace(of) && function.name.contains(key)
            };
            let mut found: Vec<(&Function, &Version)> = world
                .functions
                .values()
                .filter(is_it)
                .filter_map(|function| Some((function, function.versions.get(LATEST)?)))
                .collect();
            found.sort_by_key(|(function, version)| match by {
                "FunctionName" => (function.name.clone(), 0),
                "ModTime" => (String::new(), version.modified_ms),
                _ => (String::new(), version.added_ms),
            });
            if descending {
                found.reverse();
            }
            let total = found.len();
            let functions: Vec<Value> = found
                .into_iter()
                .skip(offset)
                .take(limit)
                .map(|(function, version)| {
                    let all = describe(function, LATEST, version);
                    let kept = [
                        "FunctionName",
                        "FunctionId",
                        "Namespace",
                        "Runtime",
                        "Type",
                        "Status",
                        "StatusDesc",
                        "StatusReasons",
                        "Description",
                        "AddTime",
                        "ModTime",
                        "Tags",
                    ];
                    all.into_iter().filter(|(key, _)| kept.contains(&key.as_str())).collect()
                })
                .collect();
            Ok(json!({"Functions": functions, "TotalCount": total}))
        })
    }

    /// UpdateFunctionCode and UpdateFunctionConfiguration.
    pub(super) fn update_function(&self, of: &Parameters, code: bool) -> Result<Value, ApiError> {
        let (name, namespace) = (of.required("FunctionName"), namespace(of));
        let publish = of.flag("Publish")?.unwrap_or(false);
        self.change(|world, now| {
            let function = world.function(namespace, name)?;
            let is_web = function.is_web;
            let latest = function.version(LATEST)?;
            ready(latest)?;
            let mut content = latest.content.clone();
            if code {
                let code = of.value("Code").cloned().unwrap_or_default();
                content.set_image(&code, &self.digest)?;
                self.refuse_image()?;
                within_acceleration(world, &content, Some(&(namespace.into(), name.into())))?;
            } else {
                if of.text("Runtime").is_some_and(|runtime| runtime != "CustomImage") {
                    return Err(ApiError::new(
                        "InvalidParameterValue.Runtime",
                        "Runtime cannot be changed",
                    ));
                }
                content.configure(of, is_web)?;
            }
            let next = self.next(now, "update-failed", Status::Active, Status::UpdateFailed);
            if publish && next.1 == Status::Active {
                self.publish(world, namespace, name, content.clone(), next.0, now)?;
            }
            world.version_mut(namespace, name, LATEST)?.change(content, next, now);
            Ok(json!({}))
        })
    }

    /// DeleteFunction: deletes one version, or the whole function.
    pub(super) fn delete_function(&self, of: &Parameters) -> Result<Value, ApiError> {
        if of.text("Qualifier").is_some_and(|qualifier| !qualifier.is_empty()) {
            return self.delete_version(of);
        }
        let (name, namespace) = (of.required("FunctionName"), namespace(of));
        self.change(|world, _| {
            world.function_mut(namespace, name)?;
            let key = (namespace.to_owned(), name.to_owned());
            let function = world.functions.remove(&key).expect("it was found");
            for number in function.versions.into_keys() {
                world.touched.push(Key::Version(key.0.clone(), key.1.clone(), number));
            }
            Ok(json!({}))
        })
    }
}

/// An alias's default routing.
pub(super) fn routing() -> Value {
    json!({"AdditionalVersionWeights": [], "AddtionVersionMatchs": []})
}

/// Checks that a version can be changed: no other change is in progress.
pub(super) fn ready(version: &Version) -> Result<(), ApiError> {
    match version.status {
        Status::Active | Status::UpdateFailed | Status::PublishFailed => Ok(()),
        other => Err(ApiError::new(
            "FailedOperation.FunctionStatusError",
            format_args!("the function is {}; wait until it is Active", other.name()),
        )),
    }
}

fn within_acceleration(
    world: &World,
    content: &Content,
    own: Option<&(String, String)>,
) -> Result<(), ApiError> {
    let is_on = |function: &Function| {
        let latest = function.versions.get(LATEST);
        latest.is_some_and(|latest| {
            latest.pending.as_ref().unwrap_or(&latest.content).is_accelerated()
        })
    };
    let others =
        world.functions.iter().filter(|(key, function)| Some(*key) != own && is_on(function));
    match content.is_accelerated() && others.count() >= MAX_ACCELERATED {
        true => Err(ApiError::new(
            "LimitExceeded.ContainerImageAccelerateQuota",
            format_args!("{MAX_ACCELERATED} functions have image acceleration, which is the limit"),
        )),
        false => Ok(()),
    }
}

/// GetFunction's answer.
fn describe(function: &Function, number: &str, version: &Version) -> Map<String, Value> {
    let content = &version.content;
    let variables: Vec<Value> = content
        .environment
        .iter()
        .map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect();
    let reasons = match version.status {
        Status::CreateFailed | Status::UpdateFailed | Status::PublishFailed => json!([
            {"ErrorCode": "FailedOperation.PullImage", "ErrorMessage": "a fault was injected"}
        ]),
        _ => json!([]),
    };
    let triggers: Vec<Value> = function
        .triggers
        .iter()
        .filter(|trigger| number == LATEST || trigger.qualifier == number)
        .map(super::trigger::describe)
        .collect();
    let answer = json!({
        "FunctionName": function.name,
        "FunctionId": function.id,
        "Namespace": function.namespace,
        "FunctionVersion": number,
        "Qualifier": number,
        "Type": if function.is_web { "HTTP" } else { "Event" },
        "Runtime": "CustomImage",
        "Handler": "",
        "Description": content.description,
        "Status": version.status.name(),
        "StatusDesc": "",
        "StatusReasons": reasons,
        "MemorySize": content.memory_mb,
        "Timeout": content.timeout_s,
        "InitTimeout": content.init_timeout_s,
        "Environment": {"Variables": variables},
        "Role": content.role,
        "ImageConfig": content.image,
        "ClsLogsetId": content.cls_logset,
        "ClsTopicId": content.cls_topic,
        "Triggers": triggers,
        "AddTime": text(version.added_ms),
        "ModTime": text(version.modified_ms),
    });
    // Members without meaning for image functions, and members that are only stored.
    let rest = json!({
        "CodeInfo": "",
        "CodeSize": 0,
        "CodeResult": "success",
        "CodeError": "",
        "ErrNo": 0,
        "UseGpu": "FALSE",
        "InstallDependency": "FALSE",
        "L5Enable": "FALSE",
        "OnsEnable": "FALSE",
        "DnsCache": "FALSE",
        "AsyncRunEnable": "FALSE",
        "TraceEnable": "FALSE",
        "Tags": [],
        "Layers": [],
        "VpcConfig": {"VpcId": "", "SubnetId": ""},
        "PublicNetConfig": {
            "PublicNetStatus": "ENABLE",
            "EipConfig": {"EipStatus": "DISABLE", "EipAddress": []},
        },
        "InstanceConcurrencyConfig": null,
        "DeadLetterConfig": {"Type": "", "Name": "", "FilterType": ""},
    });
    let members = |value: Value| match value {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    let mut all = members(rest);
    all.extend(content.kept.clone());
    all.extend(members(answer));
    all
}
