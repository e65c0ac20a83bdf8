//! Alibaba Cloud Function Compute: instance events, as its console and its log service give them: a
//! list of `{"time","level","type":"fc:Instance:…","message","children"}`, also within a field of
//! another object (Function Compute, "Instance-level events").

use super::{Found, NothingFound, sample};
use crate::scf::line::milliseconds;
use serde_json::Value;
use std::collections::BTreeMap;

/// Values that no such event has.
pub(super) const LEFT_OUT: &[&str] = &[
    "FC prepares code (or image) and layers at the same time and does not report unpacking: \
     pull is the longer of the two with its unpacking, unpack and create are null",
    "FC's events are an instance's, not a request's: they do not show whether a request waited",
    "FC's start ends with a health check that passed, not with an answer",
];
/// Objects within objects that are followed.
const MAX_DEPTH: u32 = 16;

/// What was prepared for one instance, in nanoseconds.
#[derive(Default)]
struct Events {
    prepared_ns: Option<u64>,
    started_ns: Option<u64>,
    initialized_ns: Option<u64>,
    created_ns: Option<u64>,
    failed: bool,
    order: usize,
}

/// One start for each instance that was created.
pub(super) fn read(text: &str) -> Result<Found, NothingFound> {
    let mut instances = BTreeMap::new();
    match serde_json::from_str::<Value>(text) {
        Ok(value) => walk(&value, &mut instances, MAX_DEPTH),
        Err(_) => {
            for line in text.lines() {
                let Some(at) = line.find(['[', '{']) else { continue };
                if let Ok(value) = serde_json::from_str::<Value>(line[at..].trim()) {
                    walk(&value, &mut instances, MAX_DEPTH);
                }
            }
        }
    }
    let mut found = Found::default();
    let mut list: Vec<_> = instances.into_iter().collect();
    list.sort_by_key(|(_, events)| events.order);
    let (mut failed, mut unfinished) = (0, 0);
    for (id, events) in list {
        let Some(created_ns) = events.created_ns else {
            *(if events.failed { &mut failed } else { &mut unfinished }) += 1;
            continue;
        };
        let mut one = sample(&id);
        one.pull_ns = events.prepared_ns;
        one.start_ns = match (events.started_ns, events.initialized_ns) {
            (Some(started), Some(hook)) => started.checked_add(hook),
            (started, hook) => started.or(hook),
        };
        if let Some(of) = &mut one.on_platform {
            of.platform_ns = Some(created_ns);
        }
        found.samples.push(one);
    }
    if found.samples.is_empty() {
        return Err(NothingFound {
            what: "`fc:Instance:CreateSuccess` event",
            hint: String::new(),
            next: "switch instance-level metrics on and export the topic FCInstanceEvents of the \
                   function",
        });
    }
    for (n, what) in [(failed, "instances failed to start"), (unfinished, "instances have no end")]
    {
        if n > 0 {
            found.notes.push(format!("{n} {what}, and are left out"));
        }
    }
    Ok(found)
}

/// Every event in a value, however deep within lists, fields and texts that hold JSON.
fn walk(value: &Value, instances: &mut BTreeMap<String, Events>, depth: u32) {
    let Some(depth) = depth.checked_sub(1) else { return };
    match value {
        Value::Array(list) => list.iter().for_each(|value| walk(value, instances, depth)),
        Value::Object(fields) => {
            let text = |name: &str| fields.get(name).and_then(Value::as_str);
            if let (Some(kind), Some(message)) = (text("type"), text("message")) {
                note(kind, message, instances);
            }
            fields.values().for_each(|value| walk(value, instances, depth));
        }
        Value::String(text) if text.contains("fc:Instance:") && text.starts_with(['[', '{']) => {
            if let Ok(value) = serde_json::from_str(text) {
                walk(&value, instances, depth);
            }
        }
        _ => {}
    }
}

fn note(kind: &str, message: &str, instances: &mut BTreeMap<String, Events>) {
    let Some(event) = kind.strip_prefix("fc:Instance:") else { return };
    let mut words = message.split_whitespace();
    let Some(id) = words.find(|w| *w == "instance").and_then(|_| words.next()) else { return };
    let order = instances.len();
    let of =
        instances.entry(id.to_owned()).or_insert_with(|| Events { order, ..Events::default() });
    let took_ns = took_ns(message);
    match event {
        "PrepareCodeSuccess" | "PrepareLayerSuccess" | "PullImageSuccess" => {
            of.prepared_ns = of.prepared_ns.max(took_ns);
        }
        "RuntimeInitializationSuccess" => of.started_ns = took_ns,
        "InitializationSuccess" => of.initialized_ns = took_ns,
        "CreateSuccess" => of.created_ns = took_ns,
        _ if event.ends_with("Failed") => of.failed = true,
        _ => {}
    }
}

/// The number in `… in 1166.28 ms …`.
fn took_ns(message: &str) -> Option<u64> {
    let words: Vec<&str> = message.split_whitespace().collect();
    let at = words.iter().rposition(|word| word.trim_end_matches(['.', ',']) == "ms")?;
    milliseconds(words.get(at.checked_sub(1)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One start as a user published it in 2024, with identities made shorter.
    const EVENTS: &str = r#"[
    {"time":1710134506927,"level":"Normal","type":"fc:Instance:Creating",
     "message":"Start to create instance c-65 of function f",
     "children":[
        {"time":1710134508094,"level":"Normal",
         "type":"fc:Instance:PrepareCodeSuccess",
         "message":
         "Successfully prepared code for instance c-65 in 1166.28 ms after optimizations"},
        {"time":1710134508094,"level":"Normal",
         "type":"fc:Instance:PrepareLayerSuccess",
         "message":
         "Successfully prepared layers (68MB) for instance c-65 in 42.31 ms after optimizations"},
        {"time":1710134509591,"level":"Normal",
         "type":"fc:Instance:RuntimeInitializationSuccess",
         "message":
         "Successfully started the instance c-65 and performed health check in 1496.78 ms"}
     ]},
    {"time":1710134509591,"level":"Normal",
     "type":"fc:Instance:CreateSuccess",
     "message":"Successfully created instance c-65 of function f totally in 2663.63 ms"}]"#;

    #[test]
    fn an_instances_events_become_one_start() {
        let unfinished = serde_json::json!({
            "type": "fc:Instance:Creating",
            "message": "Start to create instance c-66 of function f",
        });
        let record = serde_json::json!({ "instanceEvents": EVENTS, "isColdStart": "true" });
        for text in [EVENTS.to_owned(), format!("{record}\n{unfinished}\nhello {{\n")] {
            let found = read(&text).unwrap();
            assert_eq!(found.samples.len(), 1, "{text}");
            let one = &found.samples[0];
            let of = one.on_platform.as_ref().unwrap();
            assert_eq!((one.pull_ns, one.unpack_ns), (Some(1_166_280_000), None));
            assert_eq!((one.create_ns, one.start_ns), (None, Some(1_496_780_000)));
            assert_eq!((of.platform_ns, of.handler_ns), (Some(2_663_630_000), None));
            assert_eq!((one.total_ns, of.request_id.as_str()), (None, "c-65"));
        }
    }

    #[test]
    fn no_event_is_an_error_that_names_what_to_export() {
        let error = read("[]").unwrap_err().to_string();
        assert!(error.contains("FCInstanceEvents"), "{error}");
    }
}
