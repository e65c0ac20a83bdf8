//! Versions: PublishVersion, ListVersionByFunction, DeleteFunctionVersion.

use crate::api::account::MAX_VERSIONS;
use crate::api::clock::text;
use crate::api::content::Content;
use crate::api::error::ApiError;
use crate::api::function::{namespace, ready};
use crate::api::parameters::Parameters;
use crate::api::session::Session;
use crate::api::world::{Key, LATEST, Status, Version, World};
use serde_json::{Value, json};

impl Session {
    /// PublishVersion.
    pub(super) fn publish_version(&self, of: &Parameters) -> Result<Value, ApiError> {
        let (name, namespace) = (of.required("FunctionName"), namespace(of));
        self.change(|world, now| {
            let latest = world.function(namespace, name)?.version(LATEST)?;
            ready(latest)?;
            let mut content = latest.content.clone();
            if let Some(description) = of.text("Description") {
                content.description = description.to_owned();
            }
            let (memory, timeout) = (content.memory_mb, content.timeout_s);
            let description = content.description.clone();
            let number = self.publish(world, namespace, name, content, now, now)?;
            Ok(json!({
                "FunctionVersion": number,
                "CodeSize": 0,
                "MemorySize": memory,
                "Description": description,
                "Handler": "",
                "Timeout": timeout,
                "Runtime": "CustomImage",
                "Namespace": namespace,
            }))
        })
    }

    /// Makes a version with the present content, which begins at `from`.
    pub(super) fn publish(
        &self,
        world: &mut World,
        namespace: &str,
        name: &str,
        content: Content,
        from: i64,
        now: i64,
    ) -> Result<String, ApiError> {
        let function = world.function_mut(namespace, name)?;
        if function.versions.len() > MAX_VERSIONS || self.faults.happens("no-quota") {
            return Err(ApiError::new(
                "LimitExceeded.FunctionVersions",
                format_args!("the function has {MAX_VERSIONS} versions, which is the limit"),
            ));
        }
        let next = self.next(from, "publish-failed", Status::Active, Status::PublishFailed);
        let number = function.next_version.to_string();
        function.next_version += 1;
        let version = Version::new(content, Status::Publishing, next, now);
        function.versions.insert(number.clone(), version);
        world.version_mut(namespace, name, &number)?;
        Ok(number)
    }

    /// ListVersionByFunction.
    pub(super) fn list_versions(&self, of: &Parameters) -> Result<Value, ApiError> {
        let (offset, limit) = of.page(1000)?;
        let ascending = of.text("Order").is_some_and(|order| order.eq_ignore_ascii_case("ASC"));
        self.read(|world, _| {
            let function = world.function(namespace(of), of.required("FunctionName"))?;
            let mut versions: Vec<(&String, &Version)> = function.versions.iter().collect();
            versions.sort_by_key(|(number, _)| number.parse::<u64>().unwrap_or(u64::MAX));
            if !ascending {
                versions.reverse();
            }
            let total = versions.len();
            let page: Vec<_> = versions.into_iter().skip(offset).take(limit).collect();
            let numbers: Vec<_> = page.iter().map(|(number, _)| number).collect();
            let versions: Vec<Value> = page
                .iter()
                .map(|(number, version)| {
                    json!({
                        "Version": number,
                        "Description": version.content.description,
                        "AddTime": text(version.added_ms),
                        "ModTime": text(version.modified_ms),
                        "Status": version.status.name(),
                    })
                })
                .collect();
            Ok(json!({"FunctionVersion": numbers, "Versions": versions, "TotalCount": total}))
        })
    }

    /// DeleteFunctionVersion.
    pub(super) fn delete_version(&self, of: &Parameters) -> Result<Value, ApiError> {
        let (name, namespace) = (of.required("FunctionName"), namespace(of));
        let number = of.required("Qualifier");
        self.change(|world, _| {
            let function = world.function(namespace, name)?;
            if number == LATEST {
                return Err(ApiError::new(
                    "InvalidParameterValue.Qualifier",
                    "`$LATEST` cannot be deleted; it is deleted with its function",
                ));
            }
            function.version(number)?;
            let alias = function.aliases.iter().find(|(_, alias)| {
                let shares = alias.routing["AdditionalVersionWeights"].as_array();
                alias.version == number
                    || shares.into_iter().flatten().any(|share| share["Version"] == number)
            });
            if let Some((alias, _)) = alias {
                return Err(ApiError::new(
                    "UnsupportedOperation.AliasBind",
                    format_args!("the alias `{alias}` points to version {number}; move it first"),
                ));
            }
            world.touched.push(Key::Version(namespace.into(), name.into(), number.into()));
            world.function_mut(namespace, name)?.versions.remove(number);
            Ok(json!({}))
        })
    }
}
