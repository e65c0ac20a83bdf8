//! State of the emulated cloud: namespaces, functions, their versions, aliases, triggers. Values
//! only: it starts nothing and stores nothing. The time is an argument and advances states
//! ([`Version::settle`]): 583/115197, "while updating or failed, calls reach the content before the
//! update".

use crate::api::content::Content;
use crate::api::error::ApiError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The version that is edited.
pub const LATEST: &str = "$LATEST";
/// The alias that each function has.
pub const DEFAULT: &str = "$DEFAULT";

/// States of functions and versions, as the API writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // the API's words
pub enum Status {
    Creating,
    CreateFailed,
    Active,
    Updating,
    UpdateFailed,
    Publishing,
    PublishFailed,
}

impl Status {
    /// As the API writes it.
    pub fn name(self) -> &'static str {
        match self {
            Status::Creating => "Creating",
            Status::CreateFailed => "CreateFailed",
            Status::Active => "Active",
            Status::Updating => "Updating",
            Status::UpdateFailed => "UpdateFailed",
            Status::Publishing => "Publishing",
            Status::PublishFailed => "PublishFailed",
        }
    }
}

/// A version of a function, `$LATEST` among them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Version {
    /// What callers reach.
    pub content: Content,
    /// What they reach once it is Active.
    pub pending: Option<Content>,
    /// Where it stands.
    pub status: Status,
    /// When it moves on, and to what.
    pub next: Option<(i64, Status)>,
    /// Counts changes of what callers reach: each has instances of its own.
    pub revision: u64,
    /// When it was made.
    pub added_ms: i64,
    /// When it was changed.
    pub modified_ms: i64,
    /// Instances that are started ahead; none: never asked for.
    pub provisioned: Option<Provisioned>,
}

/// Provisioned concurrency of a version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Provisioned {
    /// How many.
    pub instances: u64,
    /// A fault: it stays InProgress, or is Failed with this reason.
    pub stuck: Option<String>,
    /// TriggerActions, given back.
    pub actions: Value,
}

impl Version {
    /// One that is on its way.
    pub fn new(content: Content, status: Status, next: (i64, Status), now: i64) -> Version {
        Version {
            content,
            pending: None,
            status,
            next: Some(next),
            revision: 0,
            added_ms: now,
            modified_ms: now,
            provisioned: None,
        }
    }

    /// Moves on what is due; whether that changed anything.
    pub fn settle(&mut self, now: i64) -> bool {
        let Some((_, status)) = self.next.filter(|(due, _)| *due <= now) else { return false };
        self.next = None;
        self.status = status;
        if let (Status::Active, Some(content)) = (status, self.pending.take()) {
            self.content = content;
            self.revision += 1;
        }
        true
    }

    /// Whether calls are answered: not before it was made.
    pub fn answers(&self) -> bool {
        !matches!(
            self.status,
            Status::Creating | Status::CreateFailed | Status::Publishing | Status::PublishFailed
        )
    }

    /// Begins a change, which is there `next`.
    pub fn change(&mut self, content: Content, next: (i64, Status), now: i64) {
        self.pending = Some(content);
        self.status = Status::Updating;
        self.next = Some(next);
        self.modified_ms = now;
    }
}

/// An alias.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Alias {
    /// The version that it points to.
    pub version: String,
    /// RoutingConfig.
    pub routing: Value,
    /// Text of people.
    pub description: String,
    /// When it was made.
    pub added_ms: i64,
    /// When it was changed.
    pub modified_ms: i64,
}

/// A trigger.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trigger {
    /// timer, http, cos, ckafka.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// TriggerDesc, as it is given back.
    pub description: String,
    /// The version or alias that it calls.
    pub qualifier: String,
    /// Whether it fires.
    pub enabled: bool,
    /// CustomArgument: a timer's Message.
    pub argument: String,
    /// Text of people.
    pub comment: String,
    /// A function URL's own part of its host; empty for other triggers.
    #[serde(default)]
    pub url_id: String,
    /// When it was made.
    pub added_ms: i64,
    /// When it was changed.
    pub modified_ms: i64,
}

/// A function.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// `lam-…`; another after it was deleted and made again.
    pub id: String,
    /// Type HTTP, not Event.
    pub is_web: bool,
    /// The number of the next version.
    pub next_version: u64,
    /// `$LATEST` and numbers.
    #[serde(skip)]
    pub versions: BTreeMap<String, Version>,
    /// Without `$DEFAULT` there is no function.
    pub aliases: BTreeMap<String, Alias>,
    /// In the order of their making.
    pub triggers: Vec<Trigger>,
}

impl Function {
    /// The version that a version's number or an alias means now; `lot` in 0..1 chooses where an
    /// alias shares its callers out. The alias, if it was one, comes first.
    ///
    /// # Errors
    /// ResourceNotFound.Qualifier.
    pub fn resolve(&self, qualifier: &str, lot: f64) -> Result<(String, String), ApiError> {
        if self.versions.contains_key(qualifier) {
            return Ok((String::new(), qualifier.to_owned()));
        }
        let Some(alias) = self.aliases.get(qualifier) else {
            return Err(ApiError::new(
                "ResourceNotFound.Qualifier",
                format_args!("`{}` has no version or alias `{qualifier}`", self.name),
            ));
        };
        let shares = alias.routing["AdditionalVersionWeights"].as_array();
        let mut from = 0.0;
        for share in shares.into_iter().flatten() {
            from += share["Weight"].as_f64().unwrap_or_default();
            if lot < from {
                let version = share["Version"].as_str().unwrap_or(&alias.version);
                return Ok((qualifier.to_owned(), version.to_owned()));
            }
        }
        Ok((qualifier.to_owned(), alias.version.clone()))
    }

    /// A version.
    ///
    /// # Errors
    /// ResourceNotFound.FunctionVersion.
    pub fn version(&self, number: &str) -> Result<&Version, ApiError> {
        self.versions.get(number).ok_or_else(|| {
            ApiError::new(
                "ResourceNotFound.FunctionVersion",
                format_args!("`{}` has no version `{number}`", self.name),
            )
        })
    }
}

/// A namespace.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Namespace {
    /// Text of people.
    pub description: String,
    /// When it was made.
    pub added_ms: i64,
    /// When it was changed.
    pub modified_ms: i64,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// By name; `default` is always there.
    pub namespaces: BTreeMap<String, Namespace>,
    /// By namespace and name.
    pub functions: BTreeMap<(String, String), Function>,
    /// What has changed since it was stored.
    pub touched: Vec<Key>,
}

/// What is stored under a key of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A namespace.
    Namespace(String),
    /// A function without its versions.
    Function(String, String),
    /// A version.
    Version(String, String, String),
}

impl World {
    /// A function.
    ///
    /// # Errors
    /// ResourceNotFound.Namespace or .Function.
    pub fn function(&self, namespace: &str, name: &str) -> Result<&Function, ApiError> {
        self.namespace(namespace)?;
        self.functions.get(&(namespace.to_owned(), name.to_owned())).ok_or_else(|| {
            ApiError::new(
                "ResourceNotFound.Function",
                format_args!("there is no function `{name}` in the namespace `{namespace}`"),
            )
        })
    }

    /// The same to be changed; it is stored afterwards.
    ///
    /// # Errors
    /// The same.
    pub fn function_mut(&mut self, namespace: &str, name: &str) -> Result<&mut Function, ApiError> {
        self.function(namespace, name)?;
        let key = (namespace.to_owned(), name.to_owned());
        self.touched.push(Key::Function(key.0.clone(), key.1.clone()));
        Ok(self.functions.get_mut(&key).expect("it was found a moment ago"))
    }

    /// A version to be changed; it is stored afterwards.
    ///
    /// # Errors
    /// ResourceNotFound.
    pub fn version_mut(
        &mut self,
        namespace: &str,
        name: &str,
        number: &str,
    ) -> Result<&mut Version, ApiError> {
        self.function(namespace, name)?.version(number)?;
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        self.touched.push(Key::Version(namespace.clone(), name.clone(), number.to_owned()));
        let function = self.functions.get_mut(&(namespace, name)).expect("it was found");
        Ok(function.versions.get_mut(number).expect("it was found"))
    }

    /// A namespace.
    ///
    /// # Errors
    /// ResourceNotFound.Namespace.
    pub fn namespace(&self, name: &str) -> Result<&Namespace, ApiError> {
        self.namespaces.get(name).ok_or_else(|| {
            ApiError::new(
                "ResourceNotFound.Namespace",
                format_args!("there is no namespace `{name}`"),
            )
        })
    }

    /// Moves on whatever is due; whether that was anything. It is not stored: what is stored moves
    /// on in the same way.
    pub fn settle(&mut self, now: i64) -> bool {
        let mut has_settled = false;
        for version in self.functions.values_mut().flat_map(|f| f.versions.values_mut()) {
            has_settled |= version.settle(now);
        }
        has_settled
    }

    /// What was changed, each once.
    pub fn take_touched(&mut self) -> Vec<Key> {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort();
        touched.dedup();
        touched
    }
}
