//! CKafka trigger: messages of one partition, in batches of up to 10,000; synchronous. If the
//! handler fails, it is called again with the same batch (10,000 times by default), and the
//! partition waits. Samples: ckafka.json, ckafka.captured.json, scfcli.ckafka_consume.json. Source:
//! platform page "Trigger event message structures", 2024-11-07.

use super::record::record;
use super::shapes::Number;

record! {
    /// A batch of messages, in the order of their offsets.
    pub struct Ckafka<'a> {
        /// One record per message.
        required "Records" => records: Vec<Record<'a>>,
    }
}

record! {
    /// One message in its envelope.
    pub struct Record<'a> {
        /// The message.
        required "Ckafka" => message: Message<'a>,
    }
}

record! {
    /// One message of a topic.
    pub struct Message<'a> {
        /// The topic.
        required "topic" => topic: &'a str,
        /// The partition; has no number where the platform's own tool sends "". Also spelt
        /// `Partition`.
        required "partition" | "Partition" => partition: Number,
        /// The message's offset in its partition.
        required "offset" => offset: i64,
        /// The key; the text `None` has been seen for a message without one.
        "msgKey" => key: &'a str,
        /// The content.
        required "msgBody" => body: &'a str,
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{read, round_trip};
    use super::*;

    #[test]
    fn reads_and_writes_the_samples() {
        let ckafka: Ckafka<'_> =
            round_trip(include_str!("../../tests/data/events/ckafka.json"), &[]);
        let messages: Vec<_> = ckafka
            .records
            .iter()
            .map(|record| (record.message.offset, record.message.body))
            .collect();
        assert_eq!(messages, [(36, "Hello from Ckafka!"), (37, "Hello from Ckafka again!")]);
        assert_eq!(ckafka.records[0].message.partition, Number(Some(1)));
        round_trip::<Ckafka<'_>>(include_str!("../../tests/data/events/ckafka.captured.json"), &[]);
        let sample = include_str!("../../tests/data/events/scfcli.ckafka_consume.json");
        let ckafka: Ckafka<'_> =
            round_trip(sample, &[(r#""partition": """#, r#""partition": null"#)]);
        assert_eq!(ckafka.records[0].message.partition, Number(None));
    }

    #[test]
    fn takes_both_spellings_of_the_partition() {
        for partition in [r#""Partition":3"#, r#""partition":3"#, r#""partition":"3""#] {
            let text = format!(r#"{{{partition},"topic":"t","offset":1,"msgBody":""}}"#);
            assert_eq!(read::<Message<'_>>(&text).partition, Number(Some(3)), "{text}");
        }
    }
}
