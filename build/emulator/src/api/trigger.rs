//! Triggers: CreateTrigger, UpdateTrigger, UpdateTriggerStatus, DeleteTrigger, ListTriggers
//! (583/39901, "Trigger configuration description"). Timers and function URLs call real instances
//! ([`super::timer`], [`super::url`]). COS and CKafka triggers are only stored: the emulator has
//! no buckets and no topics.

use crate::api::clock::text;
use crate::api::error::ApiError;
use crate::api::parameters::Parameters;
use crate::api::session::Session;
use crate::api::world::{LATEST, Trigger};
use crate::invocation::new_id;
use scaffold::cron::Cron;
use serde_json::{Value, json};

/// Largest number of triggers of one kind that a function may have.
const MAX_TRIGGERS: usize = 10;

fn wrong(code: &str, what: impl std::fmt::Display) -> ApiError {
    ApiError::new(format!("InvalidParameterValue.{code}"), what)
}

fn namespace(of: &Parameters) -> &str {
    of.text("Namespace").filter(|name| !name.is_empty()).unwrap_or("default")
}

fn qualifier(of: &Parameters) -> &str {
    of.text("Qualifier").filter(|text| !text.is_empty()).unwrap_or(LATEST)
}

fn enabled(of: &Parameters) -> Result<Option<bool>, ApiError> {
    match of.text("Enable") {
        None | Some("") => Ok(None),
        Some("OPEN") => Ok(Some(true)),
        Some("CLOSE") => Ok(Some(false)),
        Some(other) => {
            Err(wrong("Enable", format_args!("Enable is `{other}`; it has to be OPEN or CLOSE")))
        }
    }
}

impl Session {
    /// CreateTrigger.
    pub(super) fn create_trigger(&self, of: &Parameters) -> Result<Value, ApiError> {
        let (kind, name) = (of.required("Type"), of.required("TriggerName"));
        check_name(kind, name)?;
        let given = of.text("TriggerDesc").unwrap_or_default();
        let url_id = if kind == "http" { new_id()[..8].to_owned() } else { String::new() };
        let enabled = enabled(of)?.unwrap_or(true);
        let (region, app_id) = (self.base.region.clone(), self.base.app_id.clone());
        let description = description(kind, given, &host(&app_id, &url_id, &region, false))?;
        self.change(|world, now| {
            let function = world.function_mut(namespace(of), of.required("FunctionName"))?;
            function.resolve(qualifier(of), 1.0)?;
            let is_kind = |trigger: &&Trigger| trigger.kind == kind;
            let is_same = |trigger: &Trigger| {
                trigger.kind == kind
                    && match kind {
                        "http" => trigger.qualifier == qualifier(of),
                        "cos" => trigger.name == name && trigger.description == description,
                        _ => trigger.name == name,
                    }
            };
            if function.triggers.iter().any(is_same) {
                return Err(ApiError::new(
                    "ResourceInUse.Trigger",
                    format_args!("the trigger `{name}` of type {kind} exists already"),
                ));
            }
            if function.triggers.iter().filter(is_kind).count() >= MAX_TRIGGERS {
                return Err(ApiError::new(
                    "LimitExceeded.Trigger",
                    format_args!(
                        "the function has {MAX_TRIGGERS} triggers of this type, which is the limit"
                    ),
                ));
            }
            let trigger = Trigger {
                kind: kind.to_owned(),
                name: name.to_owned(),
                description,
                qualifier: qualifier(of).to_owned(),
                enabled,
                argument: of.text("CustomArgument").unwrap_or_default().to_owned(),
                comment: of.text("Description").unwrap_or_default().to_owned(),
                url_id,
                added_ms: now,
                modified_ms: now,
            };
            let described = describe(&trigger);
            function.triggers.push(trigger);
            Ok(json!({"TriggerInfo": described}))
        })
    }

    /// UpdateTrigger and UpdateTriggerStatus.
    pub(super) fn update_trigger(&self, of: &Parameters) -> Result<Value, ApiError> {
        let enabled = enabled(of)?;
        let (region, app_id) = (self.base.region.clone(), self.base.app_id.clone());
        self.change(|world, now| {
            let function = world.function_mut(namespace(of), of.required("FunctionName"))?;
            let at = find(&function.triggers, of)?;
            let trigger = &mut function.triggers[at];
            if trigger.kind != "cos"
                && let Some(given) = of.text("TriggerDesc").filter(|given| !given.is_empty())
            {
                let host = host(&app_id, &trigger.url_id, &region, false);
                trigger.description = description(&trigger.kind, given, &host)?;
            }
            trigger.enabled = enabled.unwrap_or(trigger.enabled);
            for (name, place) in
                [("CustomArgument", &mut trigger.argument), ("Description", &mut trigger.comment)]
            {
                if let Some(text) = of.text(name) {
                    *place = text.to_owned();
                }
            }
            trigger.modified_ms = now;
            Ok(json!({}))
        })
    }

    /// DeleteTrigger.
    pub(super) fn delete_trigger(&self, of: &Parameters) -> Result<Value, ApiError> {
        self.change(|world, _| {
            let function = world.function_mut(namespace(of), of.required("FunctionName"))?;
            let at = find(&function.triggers, of)?;
            function.triggers.remove(at);
            Ok(json!({}))
        })
    }

    /// ListTriggers.
    pub(super) fn list_triggers(&self, of: &Parameters) -> Result<Value, ApiError> {
        let (offset, limit) = of.page(100)?;
        let ascending = of.text("Order").is_some_and(|order| order.eq_ignore_ascii_case("ASC"));
        self.read(|world, _| {
            let function = world.function(namespace(of), of.required("FunctionName"))?;
            let filters = of.value("Filters").and_then(Value::as_array);
            let is_wanted = |trigger: &&Trigger| {
                filters.into_iter().flatten().all(|filter| {
                    let value = match filter["Name"].as_str() {
                        Some("Qualifier") => &trigger.qualifier,
                        Some("TriggerName") => &trigger.name,
                        _ => &trigger.comment,
                    };
                    let values = filter["Values"].as_array();
                    values.is_some_and(|values| values.iter().any(|wanted| wanted == value))
                })
            };
            let mut found: Vec<&Trigger> = function.triggers.iter().filter(is_wanted).collect();
            found.sort_by_key(|trigger| match of.text("OrderBy") {
                Some("add_time") => trigger.added_ms,
                _ => trigger.modified_ms,
            });
            if !ascending {
                found.reverse();
            }
            let total = found.len();
            let page: Vec<Value> =
                found.into_iter().skip(offset).take(limit).map(describe).collect();
            Ok(json!({"Triggers": page, "TotalCount": total}))
        })
    }
}

/// Position of the trigger that a request names by type, name and, if given, version.
fn find(triggers: &[Trigger], of: &Parameters) -> Result<usize, ApiError> {
    let (kind, name) = (of.required("Type"), of.required("TriggerName"));
    let event = |text: &str| -> Option<String> {
        Some(serde_json::from_str::<Value>(text).ok()?["event"].as_str()?.to_owned())
    };
    let wanted = of.text("TriggerDesc").unwrap_or_default();
    let is_it = |trigger: &Trigger| {
        trigger.kind == kind
            && (trigger.name == name || (kind == "http" && trigger.url_id == name))
            && trigger.qualifier == qualifier(of)
            // "TriggerDesc must be given for a COS trigger."
            && (kind != "cos" || event(&trigger.description) == event(wanted))
    };
    triggers.iter().position(is_it).ok_or_else(|| {
        let qualifier = qualifier(of);
        ApiError::new(
            "ResourceNotFound.Trigger",
            format_args!("the trigger `{name}` of type {kind} for `{qualifier}` does not exist"),
        )
    })
}

fn check_name(kind: &str, name: &str) -> Result<(), ApiError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let is_right = match kind {
        "timer" | "http" => !name.is_empty() && name.len() <= 100 && name.chars().all(is_plain),
        // A bucket's domain: hello-1250000000.cos.ap-guangzhou.myqcloud.com.
        "cos" => name.ends_with(".myqcloud.com") && name.contains(".cos."),
        "ckafka" => name.starts_with("ckafka-") && name.len() <= 200,
        other => {
            return Err(wrong(
                "Type",
                format_args!(
                    "Type is `{other}`; the emulator supports timer, http, cos and ckafka"
                ),
            ));
        }
    };
    match is_right {
        true => Ok(()),
        false => {
            Err(wrong("TriggerName", format_args!("invalid name `{name}` for a {kind} trigger")))
        }
    }
}

/// TriggerDesc as it is stored: JSON with the documented members.
fn description(kind: &str, given: &str, host: &str) -> Result<String, ApiError> {
    let wrong = |what: String| wrong("TriggerDesc", what);
    if kind == "timer" {
        // The cron alone, or {"cron": …}.
        let parsed = serde_json::from_str::<Value>(given).ok();
        let cron = parsed.as_ref().and_then(|value| value["cron"].as_str()).unwrap_or(given);
        Cron::parse(cron).map_err(wrong)?;
        return Ok(json!({"cron": cron}).to_string());
    }
    let Ok(Value::Object(mut members)) = serde_json::from_str(given) else {
        return Err(wrong(format!("TriggerDesc of a {kind} trigger is not JSON: `{given}`")));
    };
    match kind {
        "http" => {
            let auth = members.get("AuthType").and_then(Value::as_str).unwrap_or_default();
            if !["NONE", "CAM"].contains(&auth) {
                return Err(wrong(format!("AuthType is `{auth}`; it has to be NONE or CAM")));
            }
            let net = members.get("NetConfig").cloned().unwrap_or_default();
            let is_on = |name: &str| net[name].as_bool();
            let (Some(inner), Some(outer)) = (is_on("EnableIntranet"), is_on("EnableExtranet"))
            else {
                let what = "NetConfig needs EnableIntranet and EnableExtranet, each true or false";
                return Err(wrong(what.into()));
            };
            let url = |on: bool, scheme: &str, host: &str| match on {
                true => format!("{scheme}://{host}"),
                false => String::new(),
            };
            let inside = host.replacen('.', ".in.", 1);
            members.insert(
                "NetConfig".into(),
                json!({
                    "EnableIntranet": inner,
                    "IntranetUrl": url(inner, "https", &inside),
                    "IntranetHTTPUrl": url(inner, "http", &inside),
                    "EnableExtranet": outer,
                    "ExtranetUrl": url(outer, "https", host),
                    "ExtranetHTTPUrl": url(outer, "http", host),
                    "WssIntranetUrl": "", "WsIntranetUrl": "",
                    "WssExtranetUrl": "", "WsExtranetUrl": "",
                }),
            );
        }
        "cos" => {
            let event = members.get("event").and_then(Value::as_str).unwrap_or_default();
            let kinds = ["cos:ObjectCreated:", "cos:ObjectRemove:", "cos:ObjectRestore:"];
            if !kinds.iter().any(|kind| event.starts_with(kind)) {
                return Err(wrong(format!(
                    "event is `{event}`; write it as cos:ObjectCreated:*, …"
                )));
            }
        }
        _ => {
            let range = |name: &str, most: i64| {
                members.get(name).and_then(Value::as_i64).is_none_or(|n| (0..=most).contains(&n))
            };
            if !range("maxMsgNum", 10_000) || !range("timeOut", 60) || !range("retry", 10_000) {
                let what = "maxMsgNum has to be 1 to 10000, timeOut to 60 seconds, retry to 10000";
                return Err(wrong(what.into()));
            }
        }
    }
    Ok(Value::Object(members).to_string())
}

/// The URL of a function: `APPID-ID.REGION.tencentscf.com`, or the one in the cloud's network.
pub(super) fn host(app_id: &str, url_id: &str, region: &str, inside: bool) -> String {
    let inside = if inside { ".in" } else { "" };
    format!("{app_id}-{url_id}{inside}.{region}.tencentscf.com")
}

/// A trigger in the API's JSON.
pub(super) fn describe(trigger: &Trigger) -> Value {
    json!({
        "TriggerName": trigger.name,
        "Type": trigger.kind,
        "TriggerDesc": trigger.description,
        "Qualifier": trigger.qualifier,
        "Enable": i32::from(trigger.enabled),
        "AvailableStatus": "Available",
        "CustomArgument": trigger.argument,
        "Description": trigger.comment,
        "AddTime": text(trigger.added_ms),
        "ModTime": text(trigger.modified_ms),
        "ResourceId": if trigger.url_id.is_empty() { &trigger.name } else { &trigger.url_id },
        "BindStatus": "on",
        "TriggerAttribute": "single",
    })
}
