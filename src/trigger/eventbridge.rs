//! EventBridge: an envelope around any event, single or in batches of up to 10,000; asynchronous.
//! It resembles CloudEvents and is not: `specversion` is "0", "1.0" or "1.0.2", `time` is not RFC
//! 3339, `subject` is mostly spelt `subjuect`. Samples: eventbridge.tdmq.json, .ckafka, .apigw,
//! .cos, .cloudmonitor, .cloudaudit, .platform_template and .batch. Source: platform documentation
//! of EventBridge, one page per connector.

use super::record::record;
use super::shapes::TextOrNumber;
use super::value::{Map, Value};

record! {
    /// One event; `T` is the type of its `data`, any type that implements `Deserialize`.
    ///
    /// # Example
    /// ```
    /// use firstbyte::{Event, Result, test, trigger::{EventBridge, ckafka}};
    ///
    /// fn on_message(event: Event<'_>) -> Result<String> {
    ///     let event: EventBridge<'_, ckafka::Message<'_>> = event.json()?;
    ///     Ok(event.data.map(|message| message.body).unwrap_or_default().to_owned())
    /// }
    ///
    /// let sample = r#"{"specversion":"0","id":"1","type":"connector:kafka",
    ///     "source":"ckafka.cloud.tencent","time":"1615430559146",
    ///     "data":{"topic":"t","Partition":1,"offset":7,"msgBody":"hello"}}"#;
    /// assert_eq!(test::event(sample).call_event(on_message)?.text(), "hello");
    /// # Ok::<(), firstbyte::Error>(())
    /// ```
    pub struct EventBridge<'a, T = Value<'a>> {
        /// Version of the envelope: "0", "1.0" or "1.0.2".
        required "specversion" => spec_version: &'a str,
        /// The event's id.
        required "id" => id: &'a str,
        /// Type of the event, for example `connector:kafka` or `cvm:ErrorEvent:ping_unreachable`.
        required "type" => kind: &'a str,
        /// Origin, for example `ckafka.cloud.tencent`.
        required "source" => source: &'a str,
        /// The resource. Also spelt `subjuect`.
        "subject" | "subjuect" => subject: &'a str,
        /// The time as it was sent: see [`EventBridge::time_unix_ms`].
        required "time" => time: TextOrNumber<'a>,
        /// Region, for example `ap-guangzhou`.
        "region" => region: &'a str,
        /// Media type of `data`: `application/json;charset=utf-8`.
        "datacontenttype" => data_content_type: &'a str,
        /// Resources, where the source names any.
        "resource" => resources: Option<Vec<&'a str>>,
        /// The resource's tags, where the source sends them.
        "tags" => tags: Option<Map<'a, &'a str>>,
        /// The alarm's state, from cloud monitoring only.
        "status" => status: Option<&'a str>,
        /// The event's own content.
        required "data" => data: Option<T>,
    }
}

record! {
    /// A batch of events.
    pub struct EventBridgeBatch<'a, T = Value<'a>> {
        /// The events.
        required "EventList" => events: Option<Vec<EventBridge<'a, T>>>,
    }
}

impl<T> EventBridge<'_, T> {
    /// When it happened, in milliseconds since 1970-01-01 UTC; `None` if it is not a number. The
    /// platform sends text of milliseconds, milliseconds or seconds. A number below 10^11 counts as
    /// seconds, which is right from 1973 to the year 5138.
    pub fn time_unix_ms(&self) -> Option<i64> {
        let time = self.time.as_i64()?;
        if time < 100_000_000_000 { time.checked_mul(1000) } else { Some(time) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::round_trip;
    use super::super::{ApiGateway, ckafka};
    use super::*;

    const SPELT: [(&str, &str); 1] = [("\"subjuect\"", "\"subject\"")];

    #[test]
    fn reads_and_writes_the_samples() {
        for (sample, spelt, time_unix_ms) in [
            (
                include_str!("../../tests/data/events/eventbridge.tdmq.json"),
                &SPELT[..],
                1_615_430_559_146,
            ),
            (
                include_str!("../../tests/data/events/eventbridge.ckafka.json"),
                &SPELT,
                1_615_430_559_146,
            ),
            (
                include_str!("../../tests/data/events/eventbridge.apigw.json"),
                &SPELT,
                1_615_430_559_146,
            ),
            (
                include_str!("../../tests/data/events/eventbridge.cos.json"),
                &SPELT,
                1_615_430_559_146,
            ),
            (
                include_str!("../../tests/data/events/eventbridge.cloudmonitor.json"),
                &[],
                1_615_430_559_146,
            ),
            (
                include_str!("../../tests/data/events/eventbridge.cloudaudit.json"),
                &[],
                1_615_430_559_146,
            ),
            (
                include_str!("../../tests/data/events/eventbridge.platform_template.json"),
                &[],
                1_693_986_756_000,
            ),
        ] {
            let event: EventBridge<'_> = round_trip(sample, spelt);
            assert_eq!(event.time_unix_ms(), Some(time_unix_ms), "{sample}");
            assert!(!event.subject.is_empty() && event.data.is_some());
        }
        let batch = include_str!("../../tests/data/events/eventbridge.batch.json");
        let batch: EventBridgeBatch<'_> = round_trip(batch, &SPELT);
        assert_eq!(batch.events.unwrap().len(), 2);
    }

    #[test]
    fn reads_data_as_the_type_that_it_is() {
        let sample = include_str!("../../tests/data/events/eventbridge.ckafka.json");
        let spelt = [SPELT[0], ("\"Partition\"", "\"partition\"")];
        let event: EventBridge<'_, ckafka::Message<'_>> = round_trip(sample, &spelt);
        assert_eq!(event.data.unwrap().body, "Hello from Ckafka again!");
        let sample = include_str!("../../tests/data/events/eventbridge.batch.json");
        let batch: EventBridgeBatch<'_, ApiGateway<'_>> = round_trip(sample, &SPELT);
        assert_eq!(batch.events.unwrap()[0].data.as_ref().unwrap().path, "/test/value");
    }
}
