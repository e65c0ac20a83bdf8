//! Content of a version: image and settings, read from requests and checked against the platform's
//! documented limits (583/11637, API CreateFunction). Names are the API's.

use crate::api::error::ApiError;
use crate::api::parameters::Parameters;
use crate::config::{Config, Mode};
use microimage::scf;
use scaffold::deploy::function::KEPT_PREFIXES;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// A name that the platform accepts for any kind of resource.
pub fn is_name(text: &str, lengths: std::ops::RangeInclusive<usize>) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    lengths.contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(is_plain)
        && !text.ends_with(['-', '_'])
}

/// Image and settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// Code.ImageConfig, ImageUri with a digest.
    pub image: Value,
    /// Memory of an instance, in MB.
    pub memory_mb: u64,
    /// Time limit of an invocation, in seconds.
    pub timeout_s: u64,
    /// Time limit of pull and start, in seconds.
    pub init_timeout_s: u64,
    /// The function's own environment variables.
    pub environment: Vec<(String, String)>,
    /// The role's name; empty if the function has no role.
    pub role: String,
    /// The description.
    pub description: String,
    /// Concurrent requests of an instance.
    pub concurrency: u64,
    /// Log set to which its log belongs.
    pub cls_logset: String,
    /// Topic of its log.
    pub cls_topic: String,
    /// Whether the log omits the platform's own lines.
    pub ignore_system_log: bool,
    /// VpcConfig, PublicNetConfig and other values that the API only stores and returns.
    pub kept: serde_json::Map<String, Value>,
}

impl Default for Content {
    fn default() -> Content {
        Content {
            image: Value::Null,
            memory_mb: 128,
            timeout_s: 3,
            init_timeout_s: 90,
            environment: Vec::new(),
            role: String::new(),
            description: String::new(),
            concurrency: 1,
            cls_logset: LOGSET.to_owned(),
            cls_topic: TOPIC.to_owned(),
            ignore_system_log: false,
            kept: serde_json::Map::new(),
        }
    }
}

/// The default log set: functions without a log set of their own write to it.
pub const LOGSET: &str = "5cf00000-0000-4000-8000-000000000001";
/// The topic in the default log set.
pub const TOPIC: &str = "5cf00000-0000-4000-8000-000000000002";
/// Parameters that the emulator stores and returns without any effect.
const KEPT: [&str; 5] =
    ["VpcConfig", "PublicNetConfig", "IntranetConfig", "CfsConfig", "DeadLetterConfig"];

impl Content {
    /// Applies the settings of a request.
    ///
    /// # Errors
    /// The platform's code for the first invalid setting.
    pub fn configure(&mut self, of: &Parameters, is_web: bool) -> Result<(), ApiError> {
        let wrong = |name: &str, what: String| {
            Err(ApiError::new(format!("InvalidParameterValue.{name}"), what))
        };
        if let Some(memory) = of.number("MemorySize") {
            let sold = memory == 64 || ((128..=3072).contains(&memory) && memory % 128 == 0);
            if !sold {
                let what = format!(
                    "MemorySize is {memory}; it has to be 64, or 128 to 3072 in steps of 128"
                );
                return wrong("MemorySize", what);
            }
            self.memory_mb = memory.unsigned_abs();
        }
        for (name, range) in [("Timeout", 1..=900), ("InitTimeout", 3..=300)] {
            let Some(seconds) = of.number(name) else { continue };
            if !range.contains(&seconds) {
                let what = format!("{name} is {seconds}; it has to be {range:?} seconds");
                return Err(ApiError::new(format!("LimitExceeded.{name}"), what));
            }
            let place =
                if name == "Timeout" { &mut self.timeout_s } else { &mut self.init_timeout_s };
            *place = seconds.unsigned_abs();
        }
        if let Some(description) = of.text("Description") {
            if description.chars().count() > 1000 {
                return wrong("Description", "Description has more than 1000 characters".into());
            }
            self.description = description.to_owned();
        }
        if let Some(environment) = of.value("Environment") {
            self.environment = variables(environment)?;
        }
        if let Some(role) = of.text("Role") {
            self.role = role.to_owned();
        }
        if let Some(concurrency) = of.value("InstanceConcurrencyConfig") {
            if !is_web {
                let what = "InstanceConcurrencyConfig is for Web functions only";
                return wrong("InstanceConcurrencyConfig", what.into());
            }
            let most = concurrency.get("MaxConcurrency").and_then(Value::as_u64).unwrap_or(1);
            if !(1..=100).contains(&most) {
                let what = format!("MaxConcurrency is {most}; it has to be 1 to 100");
                return wrong("MaxConcurrency", what);
            }
            self.concurrency = most;
            self.kept.insert("InstanceConcurrencyConfig".into(), concurrency.clone());
        }
        for (name, place) in
            [("ClsLogsetId", &mut self.cls_logset), ("ClsTopicId", &mut self.cls_topic)]
        {
            if let Some(text) = of.text(name).filter(|text| !text.is_empty()) {
                *place = text.to_owned();
            }
        }
        if let Some(ignores) = of.value("IgnoreSysLog").and_then(Value::as_bool) {
            self.ignore_system_log = ignores;
        }
        for name in KEPT {
            self.kept.extend(of.value(name).map(|value| (name.to_owned(), value.clone())));
        }
        Ok(())
    }

    /// Applies an image; `digest` is the digest of the image that the emulator runs, independent of
    /// the image that the request names.
    ///
    /// # Errors
    /// The platform's code for an invalid image.
    pub fn set_image(&mut self, code: &Value, digest: &str) -> Result<(), ApiError> {
        let Some(image) = code.get("ImageConfig").filter(|image| image.is_object()) else {
            let what = "Code.ImageConfig is missing; the emulator supports images only";
            return Err(ApiError::new("MissingParameter.Code", what));
        };
        let text = |name: &str| image.get(name).and_then(Value::as_str).unwrap_or_default();
        let wrong = |name: &str, what: String| {
            Err(ApiError::new(format!("InvalidParameterValue.{name}"), what))
        };
        match (text("ImageType"), text("RegistryId")) {
            ("personal", _) => {}
            ("enterprise", "") => {
                return wrong(
                    "RegistryId",
                    "RegistryId is missing; an enterprise image needs it".into(),
                );
            }
            ("enterprise", _) => {}
            (other, _) => {
                let what = format!("ImageType is `{other}`; it has to be personal or enterprise");
                return wrong("ImageType", what);
            }
        }
        let uri = text("ImageUri");
        if !is_image(uri) {
            let what = format!("ImageUri is `{uri}`; it has to be HOST/NAMESPACE/NAME:TAG@DIGEST");
            return wrong("ImageUri", what);
        }
        if text("Command").contains(char::is_whitespace) {
            return wrong("Command", "Command has spaces; it has to be one executable".into());
        }
        let port = image.get("ImagePort").and_then(Value::as_i64);
        if !matches!(port, None | Some(9000)) {
            let what = "ImagePort has to be 9000; the emulator does not support job images (-1)";
            return wrong("Port", what.into());
        }
        self.image = json!({
            "ImageType": text("ImageType"),
            "ImageUri": if uri.contains('@') { uri.to_owned() } else { format!("{uri}@{digest}") },
            "RegistryId": text("RegistryId"),
            "EntryPoint": null,
            "Command": text("Command"),
            "Args": text("Args"),
            "ContainerImageAccelerate":
                image.get("ContainerImageAccelerate").and_then(Value::as_bool).unwrap_or(false),
            "ImagePort": 9000,
        });
        Ok(())
    }

    /// The digest in ImageUri.
    pub fn digest(&self) -> &str {
        let uri = self.image["ImageUri"].as_str().unwrap_or_default();
        uri.rsplit_once('@').map_or(uri, |(_, digest)| digest)
    }

    /// Whether image acceleration is on.
    pub fn is_accelerated(&self) -> bool {
        self.image["ContainerImageAccelerate"] == true
    }

    /// The executable that replaces the image's entrypoint.
    pub fn command(&self) -> Option<&str> {
        self.image["Command"].as_str().filter(|command| !command.is_empty())
    }

    /// Arguments that replace the image's: "separated by spaces".
    pub fn arguments(&self) -> Option<Vec<String>> {
        let arguments = self.image["Args"].as_str().filter(|arguments| !arguments.is_empty())?;
        Some(arguments.split_whitespace().map(str::to_owned).collect())
    }

    /// The configuration for the emulator; `base` has the values of the account.
    pub fn config(&self, base: &Config, is_web: bool) -> Config {
        Config {
            mode: if is_web { Mode::Web } else { Mode::Event },
            role: !self.role.is_empty(),
            environment: self.environment.clone(),
            timeout: Duration::from_secs(self.timeout_s),
            init_timeout: Duration::from_secs(self.init_timeout_s).min(scf::START_LIMIT),
            memory_mib: self.memory_mb,
            concurrency: if is_web { usize::try_from(self.concurrency).unwrap_or(1) } else { 1 },
            provisioned: 0,
            // The program is a variant that has command and arguments (`Fleet::platform`).
            command: None,
            args: None,
            ..base.clone()
        }
    }
}

fn variables(environment: &Value) -> Result<Vec<(String, String)>, ApiError> {
    let wrong = |name: &str, what: String| {
        Err(ApiError::new(format!("InvalidParameterValue.{name}"), what))
    };
    let none = Vec::new();
    let list = environment.get("Variables").and_then(Value::as_array).unwrap_or(&none);
    let mut variables: Vec<(String, String)> = Vec::new();
    for variable in list {
        let text = |name: &str| variable.get(name).and_then(Value::as_str).unwrap_or_default();
        let (key, value) = (text("Key"), text("Value"));
        if KEPT_PREFIXES.iter().any(|prefix| key.starts_with(prefix)) {
            let what = format!("`{key}` has a prefix of the platform's own variables; rename it");
            return wrong("EnvironmentSystemProtect", what);
        }
        let is_name = key.starts_with(|c: char| c.is_ascii_alphabetic())
            && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name || value.contains('\0') || variables.iter().any(|(other, _)| other == key) {
            return wrong(
                "Environment",
                format!("`{key}` is not a variable name, or is set twice"),
            );
        }
        variables.push((key.to_owned(), value.to_owned()));
    }
    let bytes: usize = variables.iter().map(|(key, value)| key.len() + value.len()).sum();
    match bytes > 4096 {
        true => wrong(
            "EnvironmentExceededLimit",
            format!("the variables have {bytes} bytes together; the limit is 4096"),
        ),
        false => Ok(variables),
    }
}

/// `HOST/NAMESPACE/NAME:TAG`, with or without a digest.
fn is_image(uri: &str) -> bool {
    let (name, digest) = match uri.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (uri, None),
    };
    let is_digest = |digest: &str| {
        let hex = digest.strip_prefix("sha256:").unwrap_or_default();
        hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
    };
    let parts: Vec<&str> = name.split('/').collect();
    let is_part = |part: &&str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-:".contains(c))
    };
    let last_has_tag = parts.last().is_some_and(|last| {
        last.split_once(':').is_some_and(|(name, tag)| !name.is_empty() && !tag.is_empty())
    });
    parts.len() >= 3
        && parts[0].contains('.')
        && parts.iter().all(is_part)
        && (last_has_tag || digest.is_some())
        && digest.is_none_or(is_digest)
}
