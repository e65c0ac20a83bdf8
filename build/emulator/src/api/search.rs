//! SearchLog of CLS, API 2020-10-16 (614/60066).

use crate::api::content::TOPIC;
use crate::api::error::ApiError;
use crate::api::parameters::Parameters;
use crate::api::query::Query;
use crate::api::session::Session;
use crate::sync::lock;
use serde_json::{Value, json};

/// Largest number of lines in an answer.
const MAX_LIMIT: i64 = 1000;

impl Session {
    /// SearchLog.
    pub(super) fn search_log(&self, of: &Parameters) -> Result<Value, ApiError> {
        let wrong = |what: &str| Err(ApiError::new("InvalidParameterValue", what));
        let (from, to) = (of.number("From").unwrap_or(0), of.number("To").unwrap_or(0));
        if from >= to {
            return wrong("From has to be before To, both in milliseconds since 1970");
        }
        let limit = of.number("Limit").unwrap_or(100);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return wrong("Limit has to be 1 to 1000");
        }
        let ascending = match of.text("Sort").unwrap_or("desc") {
            "asc" => true,
            "desc" => false,
            _ => return wrong("Sort has to be asc or desc"),
        };
        let query = of.text("QueryString").or(of.text("Query")).unwrap_or_default();
        let query =
            Query::parse(query).map_err(|why| ApiError::new("FailedOperation.SyntaxError", why))?;
        let topic = of.text("TopicId").or_else(|| {
            let topics = of.value("Topics").and_then(Value::as_array);
            topics.and_then(|topics| topics.first())?["TopicId"].as_str()
        });
        let Some(topic) = topic else {
            return Err(ApiError::new("MissingParameter", "the parameter `TopicId` is missing"));
        };
        let now = self.now_ms();
        let is_used = self.read(|world, _| {
            let mut contents = world.functions.values().flat_map(|f| f.versions.values());
            Ok(contents.any(|version| version.content.cls_topic == topic))
        })?;
        let logs = lock(&self.logs);
        if topic != TOPIC && !is_used && !logs.has_topic(topic) {
            return Err(ApiError::new(
                "ResourceNotFound.TopicNotExist",
                format_args!("the topic `{topic}` does not exist"),
            ));
        }
        // Context is an index into the list. New lines do not shift it, because a search that
        // is paged through covers a range of time that is over.
        let context = of.text("Context").filter(|context| !context.is_empty());
        let skip: usize = match context.map(str::parse) {
            None => usize::try_from(of.number("Offset").unwrap_or(0)).unwrap_or(0),
            Some(Ok(skip)) => skip,
            Some(Err(_)) => return wrong("invalid Context; send the one of the page before"),
        };
        let mut found = logs.find(topic, from, to, &query, now);
        if !ascending {
            found.reverse();
        }
        let total = found.len();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let page: Vec<Value> = found
            .into_iter()
            .skip(skip)
            .take(limit)
            .map(|line| {
                json!({
                    "Time": line.time_ms,
                    "TimeNanos": 0,
                    "TopicId": line.topic,
                    "TopicName": "SCF_logtopic",
                    "Source": "127.0.0.1",
                    "FileName": "",
                    "HostName": "",
                    "PkgId": "",
                    "PkgLogId": line.number.to_string(),
                    "LogJson": line.json(),
                    "RawLog": "",
                    "IndexStatus": "",
                    "HighLights": [],
                })
            })
            .collect();
        let end = skip.saturating_add(page.len());
        Ok(json!({
            "Context": if end < total { end.to_string() } else { String::new() },
            "ListOver": end >= total,
            "Analysis": false,
            "Results": page,
            "SamplingRate": 1.0,
            "AnalysisRecords": [], "AnalysisResults": [], "ColNames": [], "Columns": [],
        }))
    }
}
