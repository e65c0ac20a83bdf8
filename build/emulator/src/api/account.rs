//! GetAccount and its limits (583/11637, 2025-10-16): 50 functions per namespace, 5 namespaces,
//! 1000 versions per function.

use crate::api::error::ApiError;
use crate::api::session::Session;
use serde_json::{Value, json};

/// Largest number of namespaces of an account.
pub const MAX_NAMESPACES: usize = 5;
/// Largest number of functions of a namespace.
pub const MAX_FUNCTIONS: usize = 50;
/// Largest number of versions of a function, without `$LATEST`.
pub const MAX_VERSIONS: usize = 1000;
/// Largest number of functions with image acceleration in an account and region.
pub const MAX_ACCELERATED: usize = 5;
/// Limit of the memory of all instances together, in MB.
pub const CONCURRENCY_MB: u64 = 128_000;

impl Session {
    /// GetAccount.
    pub(super) fn get_account(&self) -> Result<Value, ApiError> {
        self.read(|world, _| {
            let mut usage = Vec::new();
            let mut limits = Vec::new();
            for name in world.namespaces.keys() {
                let of = world.functions.values().filter(|function| function.namespace == *name);
                let functions: Vec<_> = of.clone().map(|function| &function.name).collect();
                let provisioned: u64 = of
                    .flat_map(|function| function.versions.values())
                    .filter_map(|version| {
                        Some(version.provisioned.as_ref()?.instances * version.content.memory_mb)
                    })
                    .sum();
                usage.push(json!({
                    "Namespace": name,
                    "Functions": functions,
                    "FunctionsCount": functions.len(),
                    "TotalConcurrencyMem": 0,
                    "TotalAllocatedConcurrencyMem": 0,
                    "TotalAllocatedProvisionedMem": provisioned,
                }));
                limits.push(json!({
                    "Namespace": name,
                    "FunctionsCount": MAX_FUNCTIONS,
                    "TimeoutLimit": 900,
                    "InitTimeoutLimit": 300,
                    "TestModelLimit": 20,
                    "RetryNumLimit": 2,
                    "MinMsgTTL": 60,
                    "MaxMsgTTL": 21600,
                    "ConcurrentExecutions": self.base.max_instances,
                    "Trigger": {"Timer": 10, "Cos": 10, "Ckafka": 10, "Total": 60},
                }));
            }
            Ok(json!({
                "AccountUsage": {
                    "NamespacesCount": world.namespaces.len(),
                    "Namespace": usage,
                    "TotalConcurrencyMem": CONCURRENCY_MB,
                    "TotalAllocatedConcurrencyMem": 0,
                    "UserConcurrencyMemLimit": CONCURRENCY_MB,
                },
                "AccountLimit": {"NamespacesCount": MAX_NAMESPACES, "Namespace": limits},
            }))
        })
    }
}
