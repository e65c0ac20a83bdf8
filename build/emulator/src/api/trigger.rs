//! Triggers: CreateTrigger, UpdateTrigger, UpdateTriggerStatus, DeleteTrigger, ListTriggers.

use crate::api::clock::text;
use crate::api::world::Trigger;
use serde_json::{Value, json};

/// A trigger, as the API tells it.
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
        "ResourceId": trigger.name,
        "BindStatus": "on",
        "TriggerAttribute": "single",
    })
}
