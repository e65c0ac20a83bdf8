//! Provisioned concurrency: Put-, Get- and DeleteProvisionedConcurrencyConfig. The emulator starts
//! real instances.

use crate::api::error::ApiError;
use crate::api::function::namespace;
use crate::api::parameters::Parameters;
use crate::api::session::Session;
use crate::api::world::{Function, LATEST, Provisioned, Version};
use serde_json::{Value, json};
use std::sync::Arc;

impl Session {
    /// PutProvisionedConcurrencyConfig.
    pub(super) fn put_provisioned(self: &Arc<Self>, of: &Parameters) -> Result<Value, ApiError> {
        let (name, namespace) = (of.required("FunctionName"), namespace(of));
        let number = of.required("Qualifier");
        let instances = of.number("VersionProvisionedConcurrencyNum").unwrap_or(-1);
        let most = self.base.max_instances;
        let Some(instances) = u64::try_from(instances).ok().filter(|&n| n <= most as u64) else {
            return Err(ApiError::new(
                "LimitExceeded.FunctionTotalProvisionedConcurrencyNum",
                format_args!(
                    "{instances} instances exceed the limit of {most}; raise it with --instances"
                ),
            ));
        };
        if self.faults.happens("no-quota") {
            return Err(ApiError::new(
                "LimitExceeded.FunctionTotalProvisionedConcurrencyMemory",
                "the account's memory for instances is used up",
            ));
        }
        let stuck = match () {
            () if self.faults.happens("provisioned-in-progress") => Some(String::new()),
            () if self.faults.happens("provisioned-failed") => {
                Some("InsufficientResources: a fault was injected".to_owned())
            }
            () => None,
        };
        if number == LATEST {
            let what = "`$LATEST` cannot have provisioned concurrency; publish a version";
            return Err(ApiError::new("InvalidParameterValue.Qualifier", what));
        }
        let target = self.target(namespace, name, number, None)?;
        self.change(|world, _| {
            let function = world.function(namespace, name)?;
            let version = function.version(number)?;
            if self.standing(function, number, version).is_some_and(|it| it.1 == "InProgress") {
                return Err(ApiError::new(
                    "FailedOperation.ProvisionedInProgress",
                    "instances of an earlier request are still starting; wait until they are Done",
                ));
            }
            let actions = of.value("TriggerActions").cloned().unwrap_or_else(|| json!([]));
            world.version_mut(namespace, name, number)?.provisioned =
                Some(Provisioned { instances, stuck: stuck.clone(), actions });
            Ok(())
        })?;
        if stuck.is_none() {
            let instances = usize::try_from(instances).unwrap_or(most);
            self.platform(&target)?.pool().provision(instances);
        }
        Ok(json!({}))
    }

    /// GetProvisionedConcurrencyConfig.
    pub(super) fn get_provisioned(&self, of: &Parameters) -> Result<Value, ApiError> {
        let wanted = of.text("Qualifier").filter(|text| !text.is_empty());
        self.read(|world, _| {
            let function = world.function(namespace(of), of.required("FunctionName"))?;
            if let Some(number) = wanted {
                function.version(number)?;
            }
            let mut taken = 0;
            let mut allocated = Vec::new();
            for (number, version) in &function.versions {
                let Some(provisioned) = &version.provisioned else { continue };
                taken += provisioned.instances;
                if wanted.is_some_and(|wanted| wanted != number) {
                    continue;
                }
                let Some((available, status)) = self.standing(function, number, version) else {
                    continue;
                };
                allocated.push(json!({
                    "Qualifier": number,
                    "AllocatedProvisionedConcurrencyNum": provisioned.instances,
                    "AvailableProvisionedConcurrencyNum": available,
                    "Status": status,
                    "StatusReason": provisioned.stuck.clone().unwrap_or_default(),
                    "TriggerActions": provisioned.actions,
                }));
            }
            let left = (self.base.max_instances as u64).saturating_sub(taken);
            Ok(json!({"UnallocatedConcurrencyNum": left, "Allocated": allocated}))
        })
    }

    /// DeleteProvisionedConcurrencyConfig.
    pub(super) fn delete_provisioned(&self, of: &Parameters) -> Result<Value, ApiError> {
        let (name, namespace) = (of.required("FunctionName"), namespace(of));
        let number = of.required("Qualifier");
        let which = self.change(|world, _| {
            world.version_mut(namespace, name, number)?.provisioned = None;
            Ok(Session::which(world.function(namespace, name)?, number))
        })?;
        if let Some(platform) = self.fleet.running(&which) {
            platform.pool().provision(0);
        }
        Ok(json!({}))
    }

    /// Number of a version's provisioned instances that exist, and its status in the API.
    fn standing(
        &self,
        function: &Function,
        number: &str,
        version: &Version,
    ) -> Option<(u64, &'static str)> {
        let provisioned = version.provisioned.as_ref()?;
        match &provisioned.stuck {
            Some(reason) if reason.is_empty() => return Some((0, "InProgress")),
            Some(_) => return Some((0, "Failed")),
            None => {}
        }
        let running = self.fleet.running(&Session::which(function, number));
        let there = running.map_or(0, |platform| platform.pool().instances() as u64);
        let available = there.min(provisioned.instances);
        let is_done = available == provisioned.instances;
        Some((available, if is_done { "Done" } else { "InProgress" }))
    }

    /// Starts, after a restart, the provisioned instances that the stored state has.
    pub fn provision_again(self: &Arc<Self>) -> Result<(), ApiError> {
        let all = self.read(|world, _| {
            let mut all = Vec::new();
            for function in world.functions.values() {
                for (number, version) in &function.versions {
                    let wanted = version.provisioned.as_ref().filter(|it| it.stuck.is_none());
                    all.extend(wanted.map(|provisioned| {
                        let (namespace, name) = (&function.namespace, &function.name);
                        (namespace.clone(), name.clone(), number.clone(), provisioned.instances)
                    }));
                }
            }
            Ok(all)
        })?;
        for (namespace, name, number, instances) in all {
            let target = self.target(&namespace, &name, &number, None)?;
            let instances = usize::try_from(instances).unwrap_or(0);
            self.platform(&target)?.pool().provision(instances);
        }
        Ok(())
    }
}
