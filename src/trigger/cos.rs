//! COS trigger: an object was created, removed or restored; asynchronous. Samples: cos.json,
//! cos.captured.json, scfcli.cos_put.json, scfcli.cos_post.json, scfcli.cos_delete.json. Source:
//! platform page "Trigger event message structures", 2024-11-07.

use super::record::record;
use super::value::Map;

record! {
    /// Notifications about objects.
    pub struct Cos<'a> {
        /// One record per object.
        required "Records" => records: Vec<Record<'a>>,
    }
}

record! {
    /// A notification about one object.
    pub struct Record<'a> {
        /// The object and its bucket.
        required "cos" => cos: Notification<'a>,
        /// What happened.
        required "event" => event: Occurrence<'a>,
    }
}

record! {
    /// The object and its bucket.
    pub struct Notification<'a> {
        /// `1.0`.
        required "cosSchemaVersion" => schema_version: &'a str,
        /// The object.
        required "cosObject" => object: Object<'a>,
        /// Its bucket.
        required "cosBucket" => bucket: Bucket<'a>,
        /// The notification rule's id; the text `unkown`, with this spelling, has been seen.
        "cosNotificationId" => notification_id: &'a str,
    }
}

record! {
    /// An object in a bucket.
    pub struct Object<'a> {
        /// `/appid/bucket/key`: see [`Object::path`].
        required "key" => key: &'a str,
        /// Size in bytes.
        required "size" => size_bytes: u64,
        /// URL from which it can be fetched, with permission.
        required "url" => url: &'a str,
        /// Its version; empty without versioning.
        "vid" => version_id: &'a str,
        /// Its metadata: `Content-Type`, `x-cos-…`.
        "meta" => meta: Map<'a, &'a str>,
    }
}

record! {
    /// A bucket.
    pub struct Bucket<'a> {
        /// The region's short code (`cd`, `bj`, `gz`), not `ap-…`.
        required "region" => region: &'a str,
        /// Its name without the account id.
        required "name" => name: &'a str,
        /// The account id.
        required "appid" => app_id: &'a str,
    }
}

record! {
    /// What happened to the object, when, and by which request.
    pub struct Occurrence<'a> {
        /// The event's name as it was sent: see [`Occurrence::kind`].
        required "eventName" => name: &'a str,
        /// `1.0`.
        required "eventVersion" => version: &'a str,
        /// Seconds since 1970-01-01 UTC.
        required "eventTime" => time_unix_s: u64,
        /// `qcs::cos`.
        required "eventSource" => source: &'a str,
        /// The request that caused it.
        required "requestParameters" => request: Cause<'a>,
        /// The function: `qcs:0:lambda:…` or `qcs:0:scf:…`.
        required "eventQueue" => queue: &'a str,
        /// Reserved; always empty so far.
        "reservedInfo" => reserved: &'a str,
        /// The request's number.
        "reqid" => request_id: u64,
    }
}

record! {
    /// The request that changed the object.
    pub struct Cause<'a> {
        /// The sender's address.
        "requestSourceIP" => source_ip: &'a str,
        /// Its header fields, `Authorization` among them.
        "requestHeaders" => headers: Map<'a, &'a str>,
    }
}

impl<'a> Object<'a> {
    /// The object's path within its bucket, without a leading slash: `key` without account and
    /// bucket.
    pub fn path(&self) -> &'a str {
        let parts = self.key.strip_prefix('/').and_then(|key| key.splitn(3, '/').nth(2));
        parts.unwrap_or(self.key)
    }
}

impl<'a> Occurrence<'a> {
    /// The event's name in two words: `("ObjectCreated", "Put")`. The second is `*` where the
    /// platform sends the rule's wildcard. Spaces around the words, which have been seen, are
    /// removed.
    pub fn kind(&self) -> (&'a str, &'a str) {
        let name = self.name.strip_prefix("cos:").unwrap_or(self.name);
        let (what, how) = name.split_once(':').unwrap_or((name, ""));
        (what.trim(), how.trim())
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::round_trip;
    use super::*;

    #[test]
    fn reads_and_writes_the_samples() {
        let cos: Cos<'_> = round_trip(include_str!("../../tests/data/events/cos.json"), &[]);
        let record = &cos.records[0];
        assert_eq!((record.cos.object.path(), record.cos.object.size_bytes), ("testfile", 1029));
        assert_eq!((record.cos.bucket.name, record.cos.bucket.region), ("testpic", "cd"));
        assert_eq!(
            (record.event.kind(), record.event.time_unix_s),
            (("ObjectCreated", "*"), 1_545_205_770)
        );
        let printed = format!("{cos:?}");
        assert!(
            printed.contains("\"Authorization\": \"redacted\"") && !printed.contains("q-signature"),
            "{printed}"
        );

        let cos: Cos<'_> =
            round_trip(include_str!("../../tests/data/events/cos.captured.json"), &[]);
        assert_eq!(cos.records[0].cos.object.path(), "foobar.zip");
        for (sample, kind) in [
            (include_str!("../../tests/data/events/scfcli.cos_put.json"), ("ObjectCreated", "Put")),
            (
                include_str!("../../tests/data/events/scfcli.cos_post.json"),
                ("ObjectCreated", "Post"),
            ),
            (
                include_str!("../../tests/data/events/scfcli.cos_delete.json"),
                ("ObjectRemove", "Delete"),
            ),
        ] {
            assert_eq!(round_trip::<Cos<'_>>(sample, &[]).records[0].event.kind(), kind);
        }
    }

    #[test]
    fn finds_the_path_of_any_key() {
        for (key, path) in [
            ("/1/b/dir/a b.txt", "dir/a b.txt"),
            ("/1/b/", ""),
            ("plain", "plain"),
            ("/1/b", "/1/b"),
        ] {
            assert_eq!(Object { key, ..Object::default() }.path(), path);
        }
    }
}
