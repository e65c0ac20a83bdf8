//! Trigger events: types of the events that triggers send to an event handler, borrowing from the
//! event's body. One file per trigger, with its samples under tests/data/events. Missing so far:
//! WebSocket, VOD and DTS events, Apache Kafka and MQTT (no sample is published).
//!
//! ```
//! use firstbyte::{Event, Result, test, trigger::Timer};
//!
//! fn on_timer(event: Event<'_>) -> Result<String> {
//!     let timer: Timer<'_> = event.json()?;
//!     Ok(format!("{} fired at {}", timer.trigger_name, timer.time))
//! }
//!
//! let sample = r#"{"Type":"Timer","TriggerName":"Daily","Time":"2019-02-21T11:49:00Z"}"#;
//! let answer = test::event(sample).call_event(on_timer)?;
//! assert_eq!(answer.text(), "Daily fired at 2019-02-21T11:49:00Z");
//! # Ok::<(), firstbyte::Error>(())
//! ```
//!
//! The types read what the platform has been seen to send, which is more than it documents. An
//! event is refused (400, with the member's name) if it lacks a member that every event of its kind
//! has. Any other member that is missing or null is empty; unknown members are skipped;
//! [`OneOrMany`], [`TextOrNumber`], [`Number`] and [`Flag`] accept the forms in which different
//! versions write a value. The values themselves are not checked: where several triggers fire one
//! function, the handler compares `timer.kind == "Timer"` itself. `Debug` prints events whole,
//! except members whose names are those of secrets.
//!
//! # Cold start
//! The binary contains only the types that the function uses.
//!
//! Reading order: `record` (how the types are read), `value`, `shapes`, then the triggers. With
//! [`apigw`], [`integrated`] and [`App::bridge`](crate::App::bridge) one handler serves requests
//! and events.

mod record;
mod shapes;
mod value;

pub mod apigw;
pub mod base64;
pub mod ckafka;
pub mod clb;
pub mod cls;
pub mod cmq;
pub mod cos;
pub mod eventbridge;
pub mod integrated;
pub mod mps;
pub mod timer;

pub use apigw::ApiGateway;
pub use ckafka::Ckafka;
pub use clb::Clb;
pub use cls::Cls;
pub use cmq::Cmq;
pub use cos::Cos;
pub use eventbridge::{EventBridge, EventBridgeBatch};
pub use integrated::IntegratedResponse;
pub use mps::Mps;
pub use shapes::{Flag, Number, OneOrMany, TextOrNumber};
pub use timer::Timer;
pub use value::{Map, Value};

/// Helpers of the triggers' tests.
#[cfg(test)]
pub(crate) mod samples {
    use super::Value;
    use crate::body::Body;
    use crate::json;
    use serde::{Deserialize, Serialize};

    /// A sample's text, in memory that outlives the test: types borrow from it.
    pub(crate) fn read<T: Deserialize<'static>>(sample: &str) -> T {
        let bytes = Box::leak(Box::new(sample.as_bytes().to_vec()));
        json::parse(Body::from_vec(bytes)).unwrap_or_else(|error| panic!("{error} in {sample}"))
    }

    /// Reads the sample as a `T`, writes it again, and compares with the sample: nothing may be
    /// lost, and nothing added. Null is the same as no member; `spelt` lists what is written
    /// another way than it came.
    pub(crate) fn round_trip<T: Deserialize<'static> + Serialize>(
        sample: &str,
        spelt: &[(&str, &str)],
    ) -> T {
        for cut in (0..sample.trim_end().len()).step_by(7) {
            let part = Box::leak(Box::new(sample.as_bytes()[..cut].to_vec()));
            assert!(
                json::parse::<T>(Body::from_vec(part)).is_err_and(|error| error.is_peers_fault()),
                "cut at {cut}"
            );
        }
        let value: T = read(sample);
        let mut written = Vec::new();
        json::write(&value, &mut written).unwrap();
        let expected = spelt.iter().fold(sample.to_owned(), |sample, (came, written)| {
            assert!(sample.contains(came), "the sample has no {came}");
            sample.replace(came, written)
        });
        assert_eq!(normal(read(std::str::from_utf8(&written).unwrap())), normal(read(&expected)));
        value
    }

    /// Members in the order of their names, without nulls.
    fn normal(value: Value<'_>) -> Value<'_> {
        match value {
            Value::List(list) => Value::List(list.into_iter().map(normal).collect()),
            Value::Object(map) => {
                let mut members: Vec<_> =
                    map.iter().filter(|(_, value)| **value != Value::Null).collect();
                members.sort_by_key(|(name, _)| *name);
                let mut sorted = super::Map::default();
                members
                    .into_iter()
                    .for_each(|(name, value)| sorted.push(name, normal(value.clone())));
                Value::Object(sorted)
            }
            other => other,
        }
    }

    /// The sample without the member at the end of `way`; `0` is an array's first.
    fn without(sample: &str, way: &[&str], null: bool) -> String {
        let mut value: Value<'_> = read(sample);
        let mut inner = &mut value;
        let (last, steps) = way.split_last().expect("a member has a name");
        for step in steps {
            inner = match inner {
                Value::Object(map) => map.get_ignore_case_mut(step).expect("it is there"),
                Value::List(list) => list.first_mut().expect("it has one"),
                other => panic!("{other:?} has no {step}"),
            };
        }
        let Value::Object(map) = inner else { panic!("{way:?} is not a member") };
        let mut left = super::Map::default();
        for (name, value) in map.iter() {
            match (name == *last, null) {
                (true, false) => {}
                (true, true) => left.push(name, Value::Null),
                (false, _) => left.push(name, value.clone()),
            }
        }
        assert!(map.get(last).is_some(), "the sample has no {way:?}");
        *map = left;
        let mut written = Vec::new();
        json::write(&value, &mut written).unwrap();
        String::from_utf8(written).unwrap()
    }

    fn refusal<T: Deserialize<'static>>(sample: &str) -> Option<String> {
        let bytes = Box::leak(Box::new(sample.as_bytes().to_vec()));
        json::parse::<T>(Body::from_vec(bytes)).err().map(|error| error.to_string())
    }

    /// Regression: `{"name":"x"}` was a timer that had fired at no time.
    #[test]
    fn an_event_without_what_its_kind_always_has_is_refused() {
        macro_rules! table {
            ($($type:ty, $sample:literal: $([$($step:literal),*])*;)*) => {$(
                let sample = include_str!(concat!("../tests/data/events/", $sample));
                assert!(refusal::<$type>(r#"{"name":"x"}"#).is_some_and(|text| {
                    text.contains("missing field `")
                }), $sample);
                assert!(refusal::<$type>("null").is_some(), $sample);
                $({
                    let way: &[&str] = &[$($step),*];
                    let name = way.last().unwrap();
                    let text = refusal::<$type>(&without(sample, way, false)).unwrap_or_default();
                    assert!(text.contains(&format!("missing field `{name}`")), "{way:?}: {text}");
                    let text = refusal::<$type>(&without(sample, way, true)).unwrap_or_default();
                    assert!(
                        text.contains(&format!("{name}\": expected "))
                            && text.contains("found null"),
                        "{way:?}: {text}"
                    );
                })*
            )*};
        }
        table! {
            super::Timer<'_>, "timer.json": ["Type"] ["TriggerName"] ["Time"];
            super::Cos<'_>, "cos.json": ["Records"] ["Records", "0", "cos"]
                ["Records", "0", "event"] ["Records", "0", "cos", "cosObject"]
                ["Records", "0", "cos", "cosObject", "key"]
                ["Records", "0", "cos", "cosObject", "size"]
                ["Records", "0", "cos", "cosBucket"] ["Records", "0", "cos", "cosBucket", "name"]
                ["Records", "0", "event", "eventName"] ["Records", "0", "event", "eventTime"];
            super::Ckafka<'_>, "ckafka.json": ["Records"] ["Records", "0", "Ckafka"]
                ["Records", "0", "Ckafka", "topic"] ["Records", "0", "Ckafka", "offset"]
                ["Records", "0", "Ckafka", "msgBody"];
            super::Cmq<'_>, "cmq.json": ["Records"] ["Records", "0", "CMQ"]
                ["Records", "0", "CMQ", "topicName"] ["Records", "0", "CMQ", "msgId"]
                ["Records", "0", "CMQ", "msgBody"];
            super::Cls<'_>, "cls.json": ["clslogs"] ["clslogs", "data"];
            super::cls::Lines<'_>, "cls.decoded.json": ["topic_id"] ["records"]
                ["records", "0", "content"];
            super::Clb<'_>, "clb.json": ["headers"];
            super::Mps<'_>, "mps.json": ["EventType"] ["WorkflowTaskEvent", "TaskId"]
                ["WorkflowTaskEvent", "InputInfo"];
            super::EventBridge<'_>, "eventbridge.tdmq.json": ["id"] ["type"] ["source"]
                ["specversion"];
            super::EventBridgeBatch<'_>, "eventbridge.batch.json": ["EventList", "0", "id"];
            super::ApiGateway<'_>, "apigw.json": ["path"] ["httpMethod"]
                ["requestContext", "stage"];
        }
        // Optional ones stay optional, in every sample.
        for (way, null) in [(&["Message"][..], false), (&["Message"], true)] {
            let text = without(include_str!("../tests/data/events/timer.json"), way, null);
            assert_eq!(refusal::<super::Timer<'_>>(&text), None);
        }
    }

    /// Samples that no type reads, and why.
    const LEFT_OUT: [(&str, &str); 8] = [
        ("apigw.response.bad.json", "a response to a client, which no function reads or writes"),
        ("apigw.ws.closing.json", "WebSocket: not yet"),
        ("apigw.ws.connecting.json", "WebSocket: not yet"),
        ("apigw.ws.connecting.response.json", "WebSocket: not yet"),
        ("apigw.ws.data.json", "WebSocket: not yet"),
        ("eventbridge.dts_ddl.json", "DTS: not yet"),
        ("eventbridge.dts_dml.json", "DTS: not yet"),
        ("vod.file_upload.json", "VOD: not yet; that VOD sends this to functions is an assumption"),
    ];

    #[test]
    fn every_sample_is_read_by_a_test_or_left_out_for_a_reason() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let names = |folder: &str| -> Vec<String> {
            let entries = std::fs::read_dir(root.join(folder)).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        let sources: String = names("src/trigger")
            .iter()
            .map(|name| std::fs::read_to_string(root.join("src/trigger").join(name)).unwrap())
            .collect();
        let samples: Vec<_> =
            names("tests/data/events").into_iter().filter(|name| name.ends_with(".json")).collect();
        assert!(samples.len() > LEFT_OUT.len(), "there are too few samples");
        for sample in samples {
            let read = sources.contains(&format!("/tests/data/events/{sample}\")"));
            let left_out = LEFT_OUT.iter().any(|(name, _)| *name == sample);
            assert!(read != left_out, "{sample}: read by a test: {read}, left out: {left_out}");
        }
    }
}
