//! Namespaces: CreateNamespace, UpdateNamespace, DeleteNamespace, ListNamespaces.

use crate::api::account::MAX_NAMESPACES;
use crate::api::clock::text;
use crate::api::content::is_name;
use crate::api::error::ApiError;
use crate::api::parameters::Parameters;
use crate::api::session::Session;
use crate::api::world::{Key, Namespace};
use serde_json::{Value, json};

impl Session {
    /// CreateNamespace.
    pub(super) fn create_namespace(&self, of: &Parameters) -> Result<Value, ApiError> {
        let name = of.required("Namespace");
        if !is_name(name, 1..=30) {
            return Err(ApiError::new(
                "InvalidParameterValue.Namespace",
                format_args!(
                    "`{name}`: 1 to 30 letters, digits, `-` and `_`, a letter first, neither last"
                ),
            ));
        }
        self.change(|world, now| {
            if world.namespaces.contains_key(name) {
                return Err(ApiError::new(
                    "ResourceInUse.Namespace",
                    format_args!("the namespace `{name}` exists already"),
                ));
            }
            if world.namespaces.len() >= MAX_NAMESPACES || self.faults.happens("no-quota") {
                return Err(ApiError::new(
                    "LimitExceeded.Namespace",
                    format_args!("the account has {MAX_NAMESPACES} namespaces, which is the limit"),
                ));
            }
            let description = of.text("Description").unwrap_or_default().to_owned();
            let namespace = Namespace { description, added_ms: now, modified_ms: now };
            world.namespaces.insert(name.to_owned(), namespace);
            world.touched.push(Key::Namespace(name.to_owned()));
            Ok(json!({}))
        })
    }

    /// UpdateNamespace.
    pub(super) fn update_namespace(&self, of: &Parameters) -> Result<Value, ApiError> {
        let name = of.required("Namespace");
        self.change(|world, now| {
            world.namespace(name)?;
            world.touched.push(Key::Namespace(name.to_owned()));
            if let Some(namespace) = world.namespaces.get_mut(name) {
                namespace.modified_ms = now;
                if let Some(description) = of.text("Description") {
                    namespace.description = description.to_owned();
                }
            }
            Ok(json!({}))
        })
    }

    /// DeleteNamespace.
    pub(super) fn delete_namespace(&self, of: &Parameters) -> Result<Value, ApiError> {
        let name = of.required("Namespace");
        if name == "default" {
            let what = "the namespace `default` cannot be deleted";
            return Err(ApiError::new("InvalidParameterValue.DefaultNamespace", what));
        }
        self.change(|world, _| {
            world.namespace(name)?;
            if world.functions.keys().any(|(its, _)| its == name) {
                return Err(ApiError::new(
                    "ResourceInUse.Namespace",
                    format_args!("`{name}` has functions; delete them first"),
                ));
            }
            world.namespaces.remove(name);
            world.touched.push(Key::Namespace(name.to_owned()));
            Ok(json!({}))
        })
    }

    /// ListNamespaces.
    pub(super) fn list_namespaces(&self, of: &Parameters) -> Result<Value, ApiError> {
        let (offset, limit) = of.page(100)?;
        self.read(|world, _| {
            let wanted = |name: &str, namespace: &Namespace| {
                let keys = of.value("SearchKey").and_then(Value::as_array);
                keys.into_iter().flatten().all(|key| {
                    let value = key["Value"].as_str().unwrap_or_default();
                    match key["Key"].as_str() {
                        Some("Description") => namespace.description.contains(value),
                        _ => name.contains(value),
                    }
                })
            };
            let found: Vec<Value> = world
                .namespaces
                .iter()
                .filter(|(name, namespace)| wanted(name, namespace))
                .map(|(name, namespace)| {
                    json!({
                        "Name": name,
                        "Description": namespace.description,
                        "AddTime": text(namespace.added_ms),
                        "ModTime": text(namespace.modified_ms),
                        "Type": "default",
                    })
                })
                .collect();
            let total = found.len();
            let page: Vec<Value> = found.into_iter().skip(offset).take(limit).collect();
            Ok(json!({"Namespaces": page, "TotalCount": total}))
        })
    }
}
