//! Log of a request on the platform, read with SearchLog of CLS (614/60066, API 2020-10-16). Only
//! the platform's own lines count, because a function can print anything.

use super::client::{CallError, Client, Service};
use super::line::Story;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Largest expected difference between the platform's clock and this machine's.
const CLOCKS_APART: Duration = Duration::from_secs(15 * 60);
/// Most lines that a query returns; a request has only a handful.
const LIMIT: u32 = 1000;

/// A topic of CLS.
pub struct Logs {
    /// The client that sends the requests.
    pub client: Client,
    /// The service.
    pub cls: Service,
    /// TopicId.
    pub topic: String,
    /// When the run began, by this machine's clock.
    pub began: SystemTime,
}

impl Logs {
    /// The reports on a request so far. An empty result may mean that the log has not arrived yet
    /// (583/43329).
    ///
    /// # Errors
    /// [`CallError`]
    pub fn story(&self, request_id: &str) -> Result<Story, CallError> {
        let query = format!("SCF_RequestId:\"{request_id}\"");
        let lines = self.search(&query, &[("SCF_RequestId", request_id)])?;
        Ok(Story::read(request_id, lines.iter().map(String::as_str)))
    }

    /// The platform's lines for a version of a function, including starts of provisioned instances.
    ///
    /// # Errors
    /// [`CallError`]
    pub fn of_version(
        &self,
        namespace: &str,
        function: &str,
        version: &str,
    ) -> Result<Vec<String>, CallError> {
        let query = format!(
            "SCF_Namespace:\"{namespace}\" AND SCF_FunctionName:\"{function}\" AND \
             SCF_Qualifier:\"{version}\" AND SCF_Type:Platform"
        );
        self.search(&query, &[("SCF_FunctionName", function), ("SCF_Qualifier", version)])
    }

    /// The lines that a query finds. The code also compares the query's fields itself, because an
    /// index may match a value that only contains the text.
    fn search(&self, query: &str, fields: &[(&str, &str)]) -> Result<Vec<String>, CallError> {
        let ms = |time: SystemTime| {
            let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        };
        let body = json!({
            "TopicId": self.topic,
            "From": ms(self.began - CLOCKS_APART),
            "To": ms(SystemTime::now() + CLOCKS_APART),
            "QueryString": query,
            "QuerySyntax": 1,
            "Limit": LIMIT,
            "Sort": "asc",
        });
        let answer = self.client.call(&self.cls, "SearchLog", &body)?.response;
        let results = answer.get("Results").and_then(Value::as_array);
        Ok(results.into_iter().flatten().flat_map(|of| message(of, fields)).collect())
    }
}

/// Splits the platform's message in one result into lines.
fn message(result: &Value, fields: &[(&str, &str)]) -> Vec<String> {
    let Some(log) = result.get("LogJson").and_then(Value::as_str) else { return Vec::new() };
    let Ok(found) = serde_json::from_str::<Value>(log) else { return Vec::new() };
    let text = |name: &str| found.get(name).and_then(Value::as_str);
    let is_other = |(name, value): &(&str, &str)| text(name).is_some_and(|text| text != *value);
    if text("SCF_Type").is_some_and(|kind| kind != "Platform") || fields.iter().any(is_other) {
        return Vec::new();
    }
    text("SCF_Message").map(|m| m.lines().map(str::to_owned).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_another_version_is_left_out() {
        let log = json!({ "SCF_Qualifier": "10", "SCF_Message": "Provisioned Report" });
        let result = json!({ "LogJson": log.to_string() });
        assert_eq!(message(&result, &[("SCF_Qualifier", "10")]), ["Provisioned Report"]);
        assert!(message(&result, &[("SCF_Qualifier", "1")]).is_empty());
    }

    #[test]
    fn a_line_of_the_platforms_form_that_a_function_prints_is_ignored() {
        let result = |kind: &str| {
            let log = json!({ "SCF_Type": kind, "SCF_Message": "Init Report\nRequestId: a" });
            json!({ "TopicId": "t", "LogJson": log.to_string() })
        };
        assert_eq!(message(&result("Platform"), &[]), ["Init Report", "RequestId: a"]);
        assert!(message(&result("Custom"), &[]).is_empty());
        for wrong in [json!({}), json!({ "LogJson": "{" }), json!({ "LogJson": "[]" })] {
            assert!(message(&wrong, &[]).is_empty(), "{wrong}");
        }
    }
}
