//! Aliases: CreateAlias, GetAlias, UpdateAlias, ListAliases, DeleteAlias.

use crate::api::clock::text;
use crate::api::error::ApiError;
use crate::api::function::{namespace, routing};
use crate::api::parameters::Parameters;
use crate::api::session::Session;
use crate::api::world::{Alias, DEFAULT, Function};
use serde_json::{Value, json};

impl Session {
    /// CreateAlias.
    pub(super) fn create_alias(&self, of: &Parameters) -> Result<Value, ApiError> {
        let name = of.required("Name");
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let starts = name.starts_with(|c: char| c.is_ascii_alphabetic());
        if !starts || name.len() > 64 || !name.chars().all(is_plain) {
            return Err(ApiError::new(
                "InvalidParameterValue.Name",
                format_args!("`{name}`: up to 64 letters, digits, `_` and `-`, a letter first"),
            ));
        }
        self.change(|world, now| {
            let function = world.function_mut(namespace(of), of.required("FunctionName"))?;
            if function.aliases.contains_key(name) {
                return Err(ApiError::new(
                    "ResourceInUse.Alias",
                    format_args!("the alias `{name}` exists already"),
                ));
            }
            let (version, routing) = target(of, function)?;
            let description = of.text("Description").unwrap_or_default().to_owned();
            let routing = routing.unwrap_or_else(self::routing);
            let alias = Alias { version, routing, description, added_ms: now, modified_ms: now };
            function.aliases.insert(name.to_owned(), alias);
            Ok(json!({}))
        })
    }

    /// UpdateAlias.
    pub(super) fn update_alias(&self, of: &Parameters) -> Result<Value, ApiError> {
        self.change(|world, now| {
            let function = world.function_mut(namespace(of), of.required("FunctionName"))?;
            let (version, routing) = target(of, function)?;
            let name = of.required("Name");
            let alias = function.aliases.get_mut(name).ok_or_else(|| unknown(name))?;
            alias.version = version;
            // "Must be given where an additional version is wanted": without it, the alias has one
            // version.
            alias.routing = routing.unwrap_or_else(self::routing);
            if let Some(description) = of.text("Description") {
                alias.description = description.to_owned();
            }
            alias.modified_ms = now;
            Ok(json!({}))
        })
    }

    /// GetAlias.
    pub(super) fn get_alias(&self, of: &Parameters) -> Result<Value, ApiError> {
        self.read(|world, _| {
            let function = world.function(namespace(of), of.required("FunctionName"))?;
            let name = of.required("Name");
            let alias = function.aliases.get(name).ok_or_else(|| unknown(name))?;
            Ok(describe(name, alias))
        })
    }

    /// ListAliases.
    pub(super) fn list_aliases(&self, of: &Parameters) -> Result<Value, ApiError> {
        let (offset, limit) = of.page(100)?;
        self.read(|world, _| {
            let function = world.function(namespace(of), of.required("FunctionName"))?;
            let wanted = of.text("FunctionVersion").filter(|version| !version.is_empty());
            let found: Vec<Value> = function
                .aliases
                .iter()
                .filter(|(_, alias)| wanted.is_none_or(|version| alias.version == version))
                .map(|(name, alias)| describe(name, alias))
                .collect();
            let total = found.len();
            let page: Vec<Value> = found.into_iter().skip(offset).take(limit).collect();
            Ok(json!({"Aliases": page, "TotalCount": total}))
        })
    }

    /// DeleteAlias.
    pub(super) fn delete_alias(&self, of: &Parameters) -> Result<Value, ApiError> {
        let name = of.required("Name");
        if name == DEFAULT {
            let what = "`$DEFAULT` cannot be deleted; it is deleted with its function";
            return Err(ApiError::new("InvalidParameterValue.Alias", what));
        }
        self.change(|world, _| {
            let function = world.function_mut(namespace(of), of.required("FunctionName"))?;
            function.aliases.remove(name).ok_or_else(|| unknown(name))?;
            Ok(json!({}))
        })
    }
}

fn unknown(name: &str) -> ApiError {
    ApiError::new("ResourceNotFound.Alias", format_args!("the alias `{name}` does not exist"))
}

/// The version that a request points to, and its RoutingConfig. All versions in them exist.
fn target(of: &Parameters, function: &Function) -> Result<(String, Option<Value>), ApiError> {
    let version = of.required("FunctionVersion");
    function.version(version)?;
    let Some(config) = of.value("RoutingConfig") else { return Ok((version.to_owned(), None)) };
    let mut routing = routing();
    let mut sum = 0.0;
    for share in config["AdditionalVersionWeights"].as_array().into_iter().flatten() {
        function.version(share["Version"].as_str().unwrap_or_default())?;
        let weight = share["Weight"].as_f64().unwrap_or(-1.0);
        sum += weight;
        if !(0.0..=1.0).contains(&weight) || sum > 1.0 {
            return Err(ApiError::new(
                "InvalidParameterValue.AdditionalVersionWeights",
                "each weight, and the sum of all weights, has to be 0 to 1",
            ));
        }
    }
    for name in ["AdditionalVersionWeights", "AddtionVersionMatchs"] {
        if let Some(list) = config.get(name).filter(|list| list.is_array()) {
            routing[name] = list.clone();
        }
    }
    Ok((version.to_owned(), Some(routing)))
}

fn describe(name: &str, alias: &Alias) -> Value {
    json!({
        "Name": name,
        "FunctionVersion": alias.version,
        "RoutingConfig": alias.routing,
        "Description": alias.description,
        "AddTime": text(alias.added_ms),
        "ModTime": text(alias.modified_ms),
    })
}
