//! Parser of a function's triggers: the `[[trigger]]` tables of function.toml, in the form of API
//! CreateTrigger (583/39901, "Trigger configuration description"; function URLs 583/100227). It
//! does not look at existing triggers.

use crate::cron::Cron;
use crate::deploy::reader::Reader;
use serde_json::{Value, json};
use toml::de::DeValue;

/// Largest message of a timer, in bytes.
const MESSAGE_BYTES: usize = 4096;
/// Events of a bucket (583/9707).
const BUCKET_EVENTS: [&str; 13] = [
    "cos:ObjectCreated:*",
    "cos:ObjectCreated:Put",
    "cos:ObjectCreated:Post",
    "cos:ObjectCreated:Copy",
    "cos:ObjectCreated:CompleteMultipartUpload",
    "cos:ObjectCreated:Origin",
    "cos:ObjectCreated:Replication",
    "cos:ObjectRemove:*",
    "cos:ObjectRemove:Delete",
    "cos:ObjectRemove:DeleteMarkerCreated",
    "cos:ObjectRestore:*",
    "cos:ObjectRestore:Post",
    "cos:ObjectRestore:Completed",
];
/// The keys of a timer, a bucket, a topic and a function URL.
const TIMER: [(&str, &str); 5] = [
    ("type", "text"),
    ("name", "text"),
    ("cron", "text"),
    ("message", "text"),
    ("enabled", "true or false"),
];
const COS: [(&str, &str); 6] = [
    ("type", "text"),
    ("bucket", "text"),
    ("events", "a list of texts"),
    ("prefix", "text"),
    ("suffix", "text"),
    ("enabled", "true or false"),
];
const CKAFKA: [(&str, &str); 9] = [
    ("type", "text"),
    ("instance", "text"),
    ("topic", "text"),
    ("batch", "a number"),
    ("wait_s", "a number"),
    ("retries", "a number"),
    ("offset", "text"),
    ("consumer_group", "text"),
    ("enabled", "true or false"),
];
const HTTP: [(&str, &str); 6] = [
    ("type", "text"),
    ("name", "text"),
    ("auth", "text"),
    ("public", "true or false"),
    ("private", "true or false"),
    ("enabled", "true or false"),
];

/// One trigger, in the API's terms. A table with several events of a bucket yields several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// `timer`, `cos`, `ckafka` or `http`.
    pub kind: &'static str,
    /// TriggerName: a timer's or URL's own; a bucket's domain; `INSTANCE-TOPIC`.
    pub name: String,
    /// TriggerDesc: a timer's cron as text, members of the others.
    pub description: Value,
    /// Whether it is enabled.
    pub enabled: bool,
    /// CustomArgument: a timer's message, empty for others.
    pub message: String,
}

impl Trigger {
    /// TriggerDesc in the form of a request.
    pub fn text(&self) -> String {
        match &self.description {
            Value::String(cron) => cron.clone(),
            other => other.to_string(),
        }
    }
}

/// Reads all `[[trigger]]` tables of a function in `region`.
pub fn triggers(reader: &mut Reader<'_>, region: &str, is_web: bool) -> Vec<Trigger> {
    let Some((_, items)) = reader.value("trigger", DeValue::as_array) else { return Vec::new() };
    let mut all: Vec<Trigger> = Vec::new();
    for item in items {
        let at = item.span().start;
        let Some(table) = item.get_ref().as_table() else {
            let what = "`trigger` is a list of tables; write [[trigger]]";
            reader.wrong(at, what.to_owned());
            continue;
        };
        let kind = table.get("type").and_then(|kind| kind.get_ref().as_str());
        let keys: &'static [(&str, &str)] = match kind {
            Some("timer") => &TIMER,
            Some("cos") => &COS,
            Some("ckafka") => &CKAFKA,
            Some("http") => &HTTP,
            other => {
                let said = match other {
                    Some(other) => format!("`type` is `{other}`"),
                    None => "`type` is missing".to_owned(),
                };
                let what = format!(
                    "{said} in [[trigger]]; the types are timer, cos, ckafka, http (a function URL)"
                );
                reader.wrong(at, what);
                continue;
            }
        };
        let mut inner = reader.inner(table, at, keys, " in [[trigger]]");
        inner.names();
        if is_web && kind != Some("http") {
            let what = format!(
                "a {} trigger sends events, and `type = \"web\"` functions get only requests: make \
                 it an event function, or give it an http trigger",
                kind.unwrap_or_default()
            );
            inner.wrong(at, what);
        }
        let found = match kind {
            Some("timer") => timer(&mut inner).into_iter().collect(),
            Some("cos") => bucket(&mut inner, region),
            Some("ckafka") => topic(&mut inner).into_iter().collect(),
            _ => url(&mut inner).into_iter().collect(),
        };
        for trigger in found {
            let is_same = |other: &&Trigger| {
                other.kind == trigger.kind
                    && match trigger.kind {
                        "http" => true,
                        "cos" => {
                            other.name == trigger.name && other.description == trigger.description
                        }
                        _ => other.name == trigger.name,
                    }
            };
            if let Some(other) = all.iter().find(is_same) {
                let what = match other.kind {
                    "http" => "this is a second function URL; a function has only one".to_owned(),
                    _ => format!("`{}` occurs twice", other.name),
                };
                inner.wrong(at, what);
            }
            all.push(trigger);
        }
        reader.absorb(inner);
    }
    all
}

fn enabled(of: &mut Reader<'_>) -> bool {
    of.value("enabled", DeValue::as_bool).is_none_or(|(_, on)| on)
}

/// A name that the user chooses: "letters, digits, `-` and `_`, up to 100".
fn name(of: &mut Reader<'_>) -> Option<String> {
    let (at, text) = of.text("name")?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if text.len() > 100 || !text.chars().all(is_plain) {
        let what = format!(
            "`name` is `{text}`; a trigger's name has up to 100 letters, digits, `-` and `_`"
        );
        of.wrong(at, what);
    }
    Some(text.to_owned())
}

fn timer(of: &mut Reader<'_>) -> Option<Trigger> {
    of.missing("name", "name = \"every-minute\"");
    of.missing("cron", "cron = \"0 * * * * * *\" (each minute; Beijing time)");
    let cron = of.text("cron").map(|(at, text)| {
        if let Err(what) = Cron::parse(text) {
            of.wrong(at, format!("`cron`: {what}"));
        }
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    });
    let message = of.text("message").map(|(at, text)| {
        if text.len() > MESSAGE_BYTES {
            let what = format!("`message` has {} bytes; the limit is {MESSAGE_BYTES}", text.len());
            of.wrong(at, what);
        }
        text.to_owned()
    });
    let (name, enabled) = (name(of), enabled(of));
    Some(Trigger {
        kind: "timer",
        name: name?,
        description: Value::String(cron?),
        enabled,
        message: message.unwrap_or_default(),
    })
}

fn bucket(of: &mut Reader<'_>, region: &str) -> Vec<Trigger> {
    of.missing("bucket", "bucket = \"photos-1250000000\"");
    of.missing("events", "events = [\"cos:ObjectCreated:*\"]");
    let bucket = of.text("bucket").map(|(at, text)| {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_account = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let is_bucket = text.chars().all(is_plain)
            && text
                .rsplit_once('-')
                .is_some_and(|(name, account)| !name.is_empty() && is_account(account));
        if !is_bucket {
            let what = format!(
                "`bucket` is `{text}`; write NAME-APPID, for example photos-1250000000: the \
                 platform accepts buckets of the function's region only, so the rest of its domain \
                 is known"
            );
            of.wrong(at, what);
        }
        text
    });
    let events = of.texts("events");
    if let Some((at, events)) = &events {
        if events.is_empty() {
            of.wrong(*at, "`events` is empty; for example [\"cos:ObjectCreated:*\"]".to_owned());
        }
        for (at, event) in events {
            if BUCKET_EVENTS.contains(event) {
                continue;
            }
            let close = |known: &&&str| strsim::jaro_winkler(known, event);
            let nearest = BUCKET_EVENTS.iter().max_by(|a, b| close(a).total_cmp(&close(b)));
            let what = match nearest.filter(|known| close(known) > 0.8) {
                Some(known) => format!("unknown event `{event}`; did you mean `{known}`?"),
                None => {
                    format!("unknown event `{event}`; the events are {}", {
                        BUCKET_EVENTS.join(", ")
                    })
                }
            };
            of.wrong(*at, what);
        }
    }
    let part = |of: &mut Reader<'_>, name: &str| {
        of.text(name).map(|(_, text)| text.to_owned()).unwrap_or_default()
    };
    let (prefix, suffix) = (part(of, "prefix"), part(of, "suffix"));
    let enabled = enabled(of);
    let (Some(bucket), Some((_, events))) = (bucket, events) else { return Vec::new() };
    let one = |event: &str| Trigger {
        kind: "cos",
        name: format!("{bucket}.cos.{region}.myqcloud.com"),
        description: json!({"event": event, "filter": {"Prefix": prefix, "Suffix": suffix}}),
        enabled,
        message: String::new(),
    };
    events.into_iter().map(|(_, event)| one(event)).collect()
}

fn topic(of: &mut Reader<'_>) -> Option<Trigger> {
    of.missing("instance", "instance = \"ckafka-12345678\"");
    of.missing("topic", "topic = \"orders\"");
    let instance = of.text("instance").map(|(at, text)| {
        if !text.starts_with("ckafka-") {
            of.wrong(at, format!("`instance` is `{text}`; it begins with `ckafka-`"));
        }
        text
    });
    let topic = of.text("topic").map(|(_, text)| text);
    let mut number = |name: &str, least: u32, most: u32, otherwise: u32| {
        let rule = format!("{least} to {most}");
        of.number(name, |n| (least..=most).contains(&n), &rule).unwrap_or(otherwise)
    };
    let batch = number("batch", 1, 10_000, 1);
    let wait = number("wait_s", 1, 60, 60);
    let retries = number("retries", 0, 10_000, 10_000);
    let offset = of.text("offset").map(|(at, text)| {
        let is_time = text.bytes().all(|b| b.is_ascii_digit());
        if !is_time && !["latest", "earliest"].contains(&text) {
            let what = format!(
                "`offset` is `{text}`; it has to be \"latest\", \"earliest\" or milliseconds since \
                 1970, in quotes"
            );
            of.wrong(at, what);
        }
        text
    });
    let mut description = json!({
        "maxMsgNum": batch,
        "offset": offset.unwrap_or("latest"),
        "retry": retries,
        "timeOut": wait,
    });
    if let Some((_, group)) = of.text("consumer_group") {
        description["consumerGroupName"] = group.into();
    }
    let enabled = enabled(of);
    Some(Trigger {
        kind: "ckafka",
        name: format!("{}-{}", instance?, topic?),
        description,
        enabled,
        message: String::new(),
    })
}

/// A function URL. `auth` is required, because the URL is reachable from the internet.
fn url(of: &mut Reader<'_>) -> Option<Trigger> {
    of.missing("auth", "auth = \"none\" (anyone can call it) or \"cam\" (signed requests only)");
    let auth = match of.text("auth") {
        Some((_, "none")) => Some("NONE"),
        Some((_, "cam")) => Some("CAM"),
        Some((at, other)) => {
            let what = format!(
                "`auth` is `{other}`; it has to be \"none\" (anyone can call it) or \"cam\" \
                 (signed requests only)"
            );
            of.wrong(at, what);
            None
        }
        None => None,
    };
    let mut is_on = |name: &str, otherwise: bool| {
        of.value(name, DeValue::as_bool).map_or(otherwise, |(_, on)| on)
    };
    let (public, private) = (is_on("public", true), is_on("private", false));
    if !public && !private {
        of.wrong(
            of.at,
            "`public` and `private` are both false; set one, or no caller can reach the URL"
                .to_owned(),
        );
    }
    let (name, enabled) = (name(of), enabled(of));
    Some(Trigger {
        kind: "http",
        name: name.unwrap_or_else(|| "url".to_owned()),
        description: json!({
            "AuthType": auth?,
            "NetConfig": {"EnableIntranet": private, "EnableExtranet": public},
        }),
        enabled,
        message: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use crate::deploy::function::Function;

    const SMALL: &str =
        "region = \"ap-guangzhou\"\nimage = \"ccr.ccs.tencentyun.com/team/hello:v1\"\n";

    fn with(lines: &str) -> Result<Function, String> {
        Function::parse(&format!("{SMALL}{lines}")).map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn reads_a_trigger_of_each_type() {
        let function = with(
            "[[trigger]]\ntype = \"timer\"\nname = \"t\"\ncron = \"0  */5 * * * * *\"\nmessage = \
             \"m\"\nenabled = false\n[[trigger]]\ntype = \"cos\"\nbucket = \
             \"photos-1250000000\"\nevents = [\"cos:ObjectCreated:*\", \
             \"cos:ObjectRemove:Delete\"]\nprefix = \"in/\"\n[[trigger]]\ntype = \
             \"ckafka\"\ninstance = \"ckafka-1\"\ntopic = \"orders\"\nbatch = 100\n[[trigger]]\n\
             type = \"http\"\nauth = \"none\"\nprivate = true\n",
        )
        .unwrap();
        let all: Vec<(&str, &str, String)> =
            function.triggers.iter().map(|t| (t.kind, t.name.as_str(), t.text())).collect();
        let bucket = "photos-1250000000.cos.ap-guangzhou.myqcloud.com";
        let filter = r#""filter":{"Prefix":"in/","Suffix":""}"#;
        assert_eq!(
            all,
            [
                ("timer", "t", "0 */5 * * * * *".to_owned()),
                ("cos", bucket, format!(r#"{{"event":"cos:ObjectCreated:*",{filter}}}"#)),
                ("cos", bucket, format!(r#"{{"event":"cos:ObjectRemove:Delete",{filter}}}"#)),
                (
                    "ckafka",
                    "ckafka-1-orders",
                    r#"{"maxMsgNum":100,"offset":"latest","retry":10000,"timeOut":60}"#.to_owned()
                ),
                (
                    "http",
                    "url",
                    concat!(
                        r#"{"AuthType":"NONE","#,
                        r#""NetConfig":{"EnableExtranet":true,"EnableIntranet":true}}"#
                    )
                    .to_owned()
                ),
            ]
        );
        assert_eq!(
            (function.triggers[0].message.as_str(), function.triggers[0].enabled),
            ("m", false)
        );
    }

    #[test]
    fn names_the_line_of_settings_that_the_platform_would_refuse() {
        for (lines, expected) in [
            ("trigger = 1", "3: `trigger` is integer; it has to be a list of tables, [[trigger]]"),
            ("[trigger]\ntype = \"timer\"", "`trigger` is table; it has to be a list of tables"),
            (
                "[[trigger]]\nname = \"x\"",
                "3: `type` is missing in [[trigger]]; the types are timer",
            ),
            ("[[trigger]]\ntype = \"cron\"", "3: `type` is `cron` in [[trigger]]"),
            (
                "[[trigger]]\ntype = \"timer\"\nname = \"x\"\ncorn = \"0 * * * * * *\"",
                "6: unknown key `corn` in [[trigger]]; did you mean `cron`?",
            ),
            ("[[trigger]]\ntype = \"timer\"\nname = \"x\"", "3: `cron` is missing in [[trigger]]"),
            (
                "[[trigger]]\ntype = \"timer\"\nname = \"x\"\ncron = \"*/5 * * * *\"",
                "6: `cron`: `*/5 * * * *` has 5 fields; the platform's cron has seven",
            ),
            (
                "[[trigger]]\ntype = \"timer\"\nname = \"a b\"\ncron = \"0 * * * * * *\"",
                "5: `name` is `a b`; a trigger's name has up to 100",
            ),
            (
                "[[trigger]]\ntype = \"cos\"\nbucket = \"photos\"\nevents = [\"x\"]",
                "5: `bucket` is `photos`; write NAME-APPID",
            ),
            (
                "[[trigger]]\ntype = \"cos\"\nbucket = \"p-1\"\nevents = [\"cos:ObjectCreate:*\"]",
                "6: unknown event `cos:ObjectCreate:*`; did you mean `cos:ObjectCreated:*`?",
            ),
            (
                "[[trigger]]\ntype = \"cos\"\nbucket = \"p-1\"\nevents = [\"cos:ObjectCreated:*\", \
                 \"cos:ObjectCreated:*\"]",
                "`p-1.cos.ap-guangzhou.myqcloud.com` occurs twice",
            ),
            (
                "[[trigger]]\ntype = \"ckafka\"\ninstance = \"x\"\ntopic = \"t\"\nbatch = 10001",
                "7: `batch` is 10001; it has to be 1 to 10000",
            ),
            ("[[trigger]]\ntype = \"http\"", "3: `auth` is missing in [[trigger]]"),
            (
                "[[trigger]]\ntype = \"http\"\nauth = \"none\"\npublic = false",
                "both false; set one, or no caller can reach",
            ),
            (
                "type = \"web\"\n[[trigger]]\ntype = \"timer\"\nname = \"x\"\ncron = \"0 * * * * * \
                 *\"",
                "a timer trigger sends events",
            ),
        ] {
            let error = with(lines).unwrap_err();
            assert!(error.contains(expected), "{lines}: {error}");
        }
    }
}
