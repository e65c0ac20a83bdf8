//! CMQ topic trigger: asynchronous. Samples: cmq.json, cmq.captured.json, scfcli.cmq_notify.json.
//! Source: platform page "Trigger event message structures", 2024-11-07; tags as an array are in
//! serverless.com's documentation.

use super::record::record;
use super::shapes::{OneOrMany, TextOrNumber};

record! {
    /// A batch of messages of a CMQ topic.
    pub struct Cmq<'a> {
        /// One record per message.
        required "Records" => records: Vec<Record<'a>>,
    }
}

record! {
    /// One message in its envelope.
    pub struct Record<'a> {
        /// The message.
        required "CMQ" => message: Message<'a>,
    }
}

record! {
    /// One message of a topic.
    pub struct Message<'a> {
        /// `topic`.
        required "type" => kind: &'a str,
        /// The topic's account: text in the documentation, an integer in captured events.
        required "topicOwner" => topic_owner: TextOrNumber<'a>,
        /// The topic.
        required "topicName" => topic_name: &'a str,
        /// This function's subscription.
        required "subscriptionName" => subscription_name: &'a str,
        /// UTC, RFC 3339, with or without milliseconds.
        required "publishTime" => publish_time: &'a str,
        /// The message's id.
        required "msgId" => id: &'a str,
        /// The request's id.
        required "requestId" => request_id: &'a str,
        /// The content.
        required "msgBody" => body: &'a str,
        /// The tags as they were sent: see [`Message::tags`].
        "msgTag" => tag: OneOrMany<'a>,
    }
}

impl<'a> Message<'a> {
    /// The tags, sent as an array or as one text with commas; without spaces around them.
    pub fn tags(&self) -> impl Iterator<Item = &'a str> {
        self.tag
            .iter()
            .flat_map(|text| text.split(','))
            .map(str::trim)
            .filter(|tag| !tag.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{read, round_trip};
    use super::*;

    #[test]
    fn reads_and_writes_the_samples() {
        let cmq: Cmq<'_> = round_trip(include_str!("../../tests/data/events/cmq.json"), &[]);
        let message = &cmq.records[0].message;
        assert_eq!(
            (message.body, message.topic_owner),
            ("Hello from CMQ!", TextOrNumber::Text("120xxxxx"))
        );
        assert_eq!(message.tags().collect::<Vec<_>>(), ["tag1", "tag2"]);
        let cmq: Cmq<'_> =
            round_trip(include_str!("../../tests/data/events/cmq.captured.json"), &[]);
        let message = &cmq.records[0].message;
        assert_eq!(message.topic_owner.as_i64(), Some(123_456));
        assert_eq!(message.tags().collect::<Vec<_>>(), ["aaaa", "bbbbb", "cccc"]);
        round_trip::<Cmq<'_>>(include_str!("../../tests/data/events/scfcli.cmq_notify.json"), &[]);
    }

    #[test]
    fn takes_tags_as_an_array_and_none() {
        let sample = include_str!("../../tests/data/events/cmq.json");
        let with = |tags: &str| sample.replace("\"tag1,tag2\"", tags);
        let cmq: Cmq<'_> = read(&with(r#"["tag1","tag2"]"#));
        assert_eq!(cmq.records[0].message.tags().collect::<Vec<_>>(), ["tag1", "tag2"]);
        assert_eq!(read::<Cmq<'_>>(&with("\"\"")).records[0].message.tags().count(), 0);
    }
}
