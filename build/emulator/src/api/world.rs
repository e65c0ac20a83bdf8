//! State of the emulated cloud: namespaces, functions, their versions, aliases, triggers. It holds
//! values only; it starts and stores nothing. The time is an argument and advances states
//! ([`Version::settle`]): 583/115197, "while updating or failed, calls reach the content before the
//! update".

use crate::api::content::Content;
use crate::api::error::ApiError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The version that an update changes.
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
    /// The name in the API.
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

/// A version of a function; `$LATEST` is one too.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Version {
    /// The content that callers reach.
    pub content: Content,
    /// The content that they reach once the version is Active.
    pub pending: Option<Content>,
    /// Its present status.
    pub status: Status,
    /// Time and status of the next transition.
    pub next: Option<(i64, Status)>,
    /// Number of changes of the content that callers reach; each change has its own instances.
    pub revision: u64,
    /// When it was made.
    pub added_ms: i64,
    /// When it was changed.
    pub modified_ms: i64,
    /// Provisioned concurrency; `None` if it was never set.
    pub provisioned: Option<Provisioned>,
}

/// Provisioned concurrency of a version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Provisioned {
    /// Number of instances.
    pub instances: u64,
    /// An injected fault: the status stays InProgress, or is Failed with this reason.
    pub stuck: Option<String>,
    /// TriggerActions, which is only stored.
    pub actions: Value,
}

impl Version {
    /// A version that is being created.
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

    /// Applies a transition that is due; returns whether that changed the version.
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

    /// Whether calls are answered: not until it was created.
    pub fn answers(&self) -> bool {
        !matches!(
            self.status,
            Status::Creating | Status::CreateFailed | Status::Publishing | Status::PublishFailed
        )
    }

    /// Begins a change that takes effect at `next`.
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
    /// TriggerDesc, as the API returns it.
    pub description: String,
    /// The version or alias that it calls.
    pub qualifier: String,
    /// Whether it fires.
    pub enabled: bool,
    /// CustomArgument: a timer's Message.
    pub argument: String,
    /// Text of people.
    pub comment: String,
    /// Part of the host that identifies a function URL; empty for other triggers.
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
    /// `lam-…`; a function that is deleted and made again gets a new id.
    pub id: String,
    /// Whether its type is HTTP, not Event.
    pub is_web: bool,
    /// The number of the next version.
    pub next_version: u64,
    /// Versions by `$LATEST` or number.
    #[serde(skip)]
    pub versions: BTreeMap<String, Version>,
    /// Aliases; every function has `$DEFAULT`.
    pub aliases: BTreeMap<String, Alias>,
    /// Triggers, in the order of their creation.
    pub triggers: Vec<Trigger>,
}

impl Function {
    /// The version to which a version number or an alias refers now; `lot` in 0..1 chooses among
    /// the versions of an alias with weights. The alias, if there is one, comes first.
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

/// The whole state.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// Namespaces by name; `default` always exists.
    pub namespaces: BTreeMap<String, Namespace>,
    /// Functions by namespace and name.
    pub functions: BTreeMap<(String, String), Function>,
    /// Keys that have changed since they were stored.
    pub touched: Vec<Key>,
}

/// Key of a stored entry.
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
                format_args!("the function `{name}` does not exist in the namespace `{namespace}`"),
            )
        })
    }

    /// A function to be changed; it is stored afterwards.
    ///
    /// # Errors
    /// As [`function`](Self::function).
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
                format_args!("the namespace `{name}` does not exist"),
            )
        })
    }

    /// Applies all transitions that are due; returns whether there was one. The result is not
    /// stored, because the stored state makes the same transitions.
    pub fn settle(&mut self, now: i64) -> bool {
        let mut has_settled = false;
        for version in self.functions.values_mut().flat_map(|f| f.versions.values_mut()) {
            has_settled |= version.settle(now);
        }
        has_settled
    }

    /// The changed keys, each once.
    pub fn take_touched(&mut self) -> Vec<Key> {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort();
        touched.dedup();
        touched
    }
}
