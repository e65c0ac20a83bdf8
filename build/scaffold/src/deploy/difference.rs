//! Difference between a function's triggers in function.toml and those that the platform lists. It
//! calls nothing.
//!
//! The Description [`MARK`] identifies a trigger that a deployment created. The platform stores it
//! with the trigger, so that another machine and a fresh checkout see it too, unlike a local file.
//! If a platform loses it, the deployment keeps the trigger and does not remove it by mistake.

use crate::deploy::trigger::Trigger;
use serde_json::Value;

/// The Description of a trigger that a deployment created.
pub const MARK: &str = "made by firstbyte from function.toml";

/// An existing trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct There {
    /// Type.
    pub kind: String,
    /// TriggerName.
    pub name: String,
    /// TriggerDesc, as text.
    pub description: String,
    /// The version or alias that it invokes.
    pub qualifier: String,
    /// Whether a deployment created it.
    pub is_ours: bool,
    enabled: bool,
    message: String,
}

/// Changes to make to the triggers; the numbers are indices of function.toml's list.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Triggers that a deployment created and that function.toml no longer has. They come first, so
    /// that a bucket never has two that overlap.
    pub remove: Vec<There>,
    /// Triggers that do not exist yet.
    pub create: Vec<usize>,
    /// Our existing triggers with other settings.
    pub update: Vec<usize>,
    /// Existing triggers that need no change.
    pub same: Vec<usize>,
    /// Triggers of another origin, with other settings.
    pub foreign: Vec<There>,
}

impl There {
    /// Parses a member of ListTriggers' Triggers.
    pub fn read(of: &Value) -> There {
        let text = |name: &str| of[name].as_str().unwrap_or_default().to_owned();
        There {
            kind: text("Type"),
            name: text("TriggerName"),
            description: text("TriggerDesc"),
            qualifier: text("Qualifier"),
            is_ours: of["Description"] == MARK,
            enabled: of["Enable"] != 0,
            message: text("CustomArgument"),
        }
    }

    /// Whether both are the same trigger, regardless of settings: the API identifies a trigger by
    /// type, name, version or alias, and a bucket's also by its description.
    fn is(&self, wanted: &Trigger, qualifier: &str) -> bool {
        let is_named = self.kind == wanted.kind && self.qualifier == qualifier;
        match wanted.kind {
            "http" => is_named, // one for each version or alias, whatever its name
            "cos" => is_named && self.name == wanted.name && self.says(wanted),
            _ => is_named && self.name == wanted.name,
        }
    }

    /// Whether it has the wanted settings. The platform adds members and may write numbers as text.
    fn says(&self, wanted: &Trigger) -> bool {
        let there: Value = serde_json::from_str(&self.description).unwrap_or_default();
        match &wanted.description {
            Value::String(cron) => {
                // The cron alone, or {"cron": …}.
                let said = there["cron"].as_str().unwrap_or(&self.description);
                said.split_whitespace().eq(cron.split_whitespace())
            }
            members => holds(&there, members),
        }
    }

    /// Whether nothing has to change.
    fn does(&self, wanted: &Trigger) -> bool {
        self.says(wanted) && self.enabled == wanted.enabled && self.message == wanted.message
    }
}

/// Whether `there` has what `wanted` has.
fn holds(there: &Value, wanted: &Value) -> bool {
    let text = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match wanted {
        Value::Object(members) => members.iter().all(|(name, value)| holds(&there[name], value)),
        value => text(there) == text(value),
    }
}

/// Compares the triggers that function.toml wants for `qualifier` with the existing ones.
pub fn difference(wanted: &[Trigger], there: &[There], qualifier: &str) -> Difference {
    let mut all = Difference::default();
    for (at, trigger) in wanted.iter().enumerate() {
        match there.iter().find(|there| there.is(trigger, qualifier)) {
            None => all.create.push(at),
            Some(there) if there.does(trigger) => all.same.push(at),
            Some(there) if !there.is_ours => all.foreign.push(there.clone()),
            // UpdateTrigger accepts timer, ckafka and http; a URL cannot change its name.
            Some(there) if trigger.kind == "cos" || there.name != trigger.name => {
                all.remove.push(there.clone());
                all.create.push(at);
            }
            Some(_) => all.update.push(at),
        }
    }
    let is_wanted = |there: &There| wanted.iter().any(|trigger| there.is(trigger, qualifier));
    all.remove.extend(there.iter().filter(|there| there.is_ours && !is_wanted(there)).cloned());
    all
}
