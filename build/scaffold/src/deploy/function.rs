//! Parser of function.toml, the platform's settings of a function. It reports all mistakes at once,
//! each with its line. Limits are SCF's: its quota page, and the texts of API 2018-04-16.

use crate::deploy::image::ImageName;
use crate::deploy::reader::{Mistake, Mistakes, Reader};
use crate::deploy::registry::Registry;
use crate::deploy::trigger::{Trigger, triggers};
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Largest total size of a function's environment variables, names and values, in bytes.
const ENVIRONMENT_BYTES: usize = 4096;
/// Prefixes of names that the platform reserves. The pages state the last one; the platform's own
/// variables have the one before it.
pub const KEPT_PREFIXES: [&str; 4] = ["SCF_", "QCLOUD_", "TENCENTCLOUD_", "TECENTCLOUD_"];
/// The alias of every function that callers reach by default.
const DEFAULT_ALIAS: &str = "$DEFAULT";
/// The keys outside of `[environment]`, with a description of each.
const KEYS: [(&str, &str); 24] = [
    ("name", "text"),
    ("description", "text"),
    ("type", "text"),
    ("region", "text"),
    ("namespace", "text"),
    ("role", "text"),
    ("memory_mb", "a number"),
    ("timeout_s", "a number"),
    ("init_timeout_s", "a number"),
    ("concurrency", "a number"),
    ("websocket_idle_s", "a number"),
    ("image", "text"),
    ("command", "text"),
    ("args", "a list of texts"),
    ("registry_id", "text"),
    ("acceleration", "true or false"),
    ("provisioned", "a number"),
    ("alias", "text"),
    ("public_net", "text"),
    ("vpc", "a table"),
    ("log", "a table"),
    ("trigger", "a list of tables, [[trigger]]"),
    ("environment", "a table"),
    ("local", "a table"),
];
/// The keys of `[vpc]`.
const VPC_KEYS: [(&str, &str); 2] = [("vpc_id", "text"), ("subnet_id", "text")];
/// The keys of `[log]`.
const LOG_KEYS: [(&str, &str); 2] = [("logset_id", "text"), ("topic_id", "text")];
/// Limits on the silence of a WebSocket.
const WEBSOCKET: &str = "websocket_idle_s";
/// Default of `timeout_s`.
const DEFAULT_TIMEOUT_S: u32 = 3;
/// The key of `[local]`.
const REACH: &str = "reach";

/// A function as function.toml describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// A name other than the package's.
    pub name: Option<String>,
    /// The description in the console.
    pub description: Option<String>,
    /// Whether it receives requests unchanged and not as events at /event-invoke.
    pub web: bool,
    /// For example `ap-guangzhou`.
    pub region: String,
    /// The default is `default`.
    pub namespace: Option<String>,
    /// The role whose credentials the function receives.
    pub role: Option<String>,
    /// Memory, in MiB.
    pub memory_mb: u32,
    /// Time limit of a request, in seconds.
    pub timeout_s: u32,
    /// Time limit of pull and start, in seconds; the default is the platform's 90.
    pub init_timeout_s: Option<u32>,
    /// Concurrent requests of an instance; Web functions only.
    pub concurrency: Option<u32>,
    /// Longest time without data on a WebSocket, in seconds; `None` if the function accepts no
    /// WebSockets. Web functions only.
    pub websocket_idle_s: Option<u32>,
    /// The image, by tag.
    pub image: ImageName,
    /// The enterprise registry of the image; `None` for a personal one.
    pub registry_id: Option<String>,
    /// The executable that replaces the image's entrypoint.
    pub command: Option<String>,
    /// Arguments that replace the image's; none of them contains a blank.
    pub args: Option<Vec<String>>,
    /// Whether image acceleration is on.
    pub acceleration: bool,
    /// Number of provisioned instances.
    pub provisioned: u32,
    /// The alias that the deployment moves to the version with the provisioned instances.
    pub alias: String,
    /// How it reaches the internet; the default is the platform's own.
    pub public_net: Option<PublicNet>,
    /// Its private network.
    pub vpc: Option<Vpc>,
    /// The destination of its log; the default is the platform's own topic.
    pub log: Option<Log>,
    /// Its triggers.
    pub triggers: Vec<Trigger>,
    /// Environment variables.
    pub environment: BTreeMap<String, String>,
    /// Ports of the machine that the function may call in a local run, `HOST:PORT` each. The
    /// platform does not receive this setting.
    pub reach: Vec<String>,
}

/// How a function reaches the internet (API CreateFunction, PublicNetConfig).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicNet {
    /// No access.
    Off,
    /// From any address.
    On,
    /// From one fixed address (EipConfig).
    FixedIp,
}

/// A private network (API CreateFunction, VpcConfig).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vpc {
    /// `vpc-…`.
    pub vpc_id: String,
    /// `subnet-…`.
    pub subnet_id: String,
}

/// A place of the log service (API CreateFunction, ClsLogsetId and ClsTopicId).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The log set.
    pub logset_id: String,
    /// The topic in it.
    pub topic_id: String,
}

impl Function {
    /// Parses the text of a function.toml.
    ///
    /// # Errors
    /// All [`Mistakes`] in it.
    pub fn parse(text: &str) -> Result<Function, Mistakes> {
        let line = |at: usize| {
            text.as_bytes()[..at.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1
        };
        let table = DeTable::parse(text).map_err(|error| {
            let line = error.span().map(|span| line(span.start));
            Mistakes(vec![Mistake { line, what: error.message().to_owned() }])
        })?;
        let mut reader = Reader {
            table: table.get_ref(),
            keys: &KEYS,
            inside: "",
            at: 0,
            line: &line,
            mistakes: Vec::new(),
        };
        reader.names();
        let function = Keys(&mut reader).function();
        reader.mistakes.sort_by_key(|mistake| mistake.line.unwrap_or(usize::MAX));
        match function {
            Some(function) if reader.mistakes.is_empty() => Ok(function),
            _ => Err(Mistakes(reader.mistakes)),
        }
    }
}

/// Reads the fields of [`Function`].
struct Keys<'a, 'r>(&'r mut Reader<'a>);

impl Keys<'_, '_> {
    fn function(&mut self) -> Option<Function> {
        self.0.missing("region", "region = \"ap-guangzhou\"");
        self.0.missing("image", "image = \"ccr.ccs.tencentyun.com/namespace/function:v1\"");
        let owned = |(_, text): (usize, &str)| text.to_owned();
        let web = self.kind();
        let name =
            self.0.text("name").and_then(|(at, text)| {
                match crate::name::Name::check_function(text) {
                    Ok(()) => Some(text.to_owned()),
                    Err(rule) => {
                        self.0.wrong(at, format!("`name` is `{text}`; {rule}"));
                        None
                    }
                }
            });
        let image = self.0.text("image").and_then(|(at, text)| {
            let parsed = ImageName::parse(text);
            parsed.map_err(|error| self.0.wrong(at, format!("`image` is `{text}`; {error}"))).ok()
        });
        let registry_id = self.0.text("registry_id").map(owned);
        if let Some(image) = &image
            && registry_id.is_none()
            && Registry::of(image.host()) == Some(Registry::Enterprise)
        {
            let at = self.0.table.get("image").map_or(0, |value| value.span().start);
            let what = format!(
                "`{}` is an enterprise registry: add its `registry_id`, for example \"tcr-…\"",
                image.host()
            );
            self.0.wrong(at, what);
        }
        if let (Some(image), Some(value)) = (&image, self.0.table.get("registry_id"))
            && Registry::of(image.host()) == Some(Registry::Personal)
        {
            let what = format!(
                "`registry_id` is for enterprise registries, and `{}` is a personal one: leave it \
                 out",
                image.host()
            );
            self.0.wrong(value.span().start, what);
        }
        let memory = |n| n == 64 || (n % 128 == 0 && (128..=3072).contains(&n));
        let memory_mb = self.0.number("memory_mb", memory, "64, or 128 to 3072 in steps of 128");
        let timeout_s = self.0.number("timeout_s", |n| (1..=900).contains(&n), "1 to 900");
        let init_timeout_s =
            self.0.number("init_timeout_s", |n| (3..=300).contains(&n), "3 to 300");
        let concurrency = self.0.number("concurrency", |n| (1..=100).contains(&n), "1 to 100");
        if let (Some(false), Some(_), Some(value)) =
            (web, concurrency, self.0.table.get("concurrency"))
        {
            let what = "`concurrency` is for Web functions only; leave it out, or set `type = \
                        \"web\"`"
                .to_owned();
            self.0.wrong(value.span().start, what);
        }
        let websocket_idle_s = self.websocket_idle(web, timeout_s);
        let alias = self.0.text("alias").map(|(at, text)| {
            if !is_alias(text) {
                let rule = "an alias has up to 64 letters, digits, `_` and `-`, and a letter \
                            first; or it is $DEFAULT";
                self.0.wrong(at, format!("`alias` is `{text}`; {rule}"));
            }
            text.to_owned()
        });
        let region = self.0.text("region").map(owned).unwrap_or_default();
        Some(Function {
            name,
            description: self.0.text("description").map(owned),
            command: self.command(),
            args: self.args(),
            public_net: self.public_net(),
            vpc: self.vpc(),
            log: self.log(),
            triggers: triggers(self.0, &region, web.unwrap_or(false)),
            region,
            namespace: self.0.text("namespace").map(owned),
            role: self.0.text("role").map(owned),
            acceleration: self.0.value("acceleration", DeValue::as_bool).is_some_and(|(_, on)| on),
            provisioned: self
                .0
                .number("provisioned", |_| true, "a number of instances, 0 for none")
                .unwrap_or(0),
            alias: alias.unwrap_or_else(|| DEFAULT_ALIAS.to_owned()),
            environment: self.environment(),
            reach: self.reach(),
            web: web.unwrap_or(false),
            memory_mb: memory_mb.unwrap_or(128),
            timeout_s: timeout_s.unwrap_or(DEFAULT_TIMEOUT_S),
            init_timeout_s,
            concurrency,
            websocket_idle_s,
            image: image?,
            registry_id,
        })
    }

    /// The platform ends a WebSocket at the latest with the request that opened it.
    fn websocket_idle(&mut self, web: Option<bool>, timeout_s: Option<u32>) -> Option<u32> {
        let idle_s = self.0.number(WEBSOCKET, |n| (10..=7200).contains(&n), "10 to 7200")?;
        let at = self.0.table.get(WEBSOCKET)?.span().start;
        let timeout_s = timeout_s.unwrap_or(DEFAULT_TIMEOUT_S);
        if web == Some(false) {
            let what = "`websocket_idle_s` is for Web functions only; leave it out, or set `type = \
                        \"web\"`";
            self.0.wrong(at, what.to_owned());
        } else if timeout_s < idle_s {
            let what = format!(
                "`timeout_s` is {timeout_s}, shorter than `websocket_idle_s` ({idle_s}); make it \
                 at least as long, because a WebSocket is one request"
            );
            self.0.wrong(at, what);
        }
        Some(idle_s)
    }

    /// "An executable, for example `python`": one word.
    fn command(&mut self) -> Option<String> {
        let (at, text) = self.0.text("command")?;
        if text.contains(char::is_whitespace) {
            let what = format!(
                "`command` is `{text}`; the platform accepts one executable there, without spaces. \
                 Put the arguments into `args`"
            );
            self.0.wrong(at, what);
        }
        Some(text.to_owned())
    }

    /// "Separated by spaces": an argument cannot contain a space.
    fn args(&mut self) -> Option<Vec<String>> {
        let (at, texts) = self.0.texts("args")?;
        if texts.is_empty() {
            let what = "`args` is empty, which means \"the image's own\" to the platform; leave \
                        it out, or build an image without arguments";
            self.0.wrong(at, what.to_owned());
        }
        for (at, text) in &texts {
            if text.contains(char::is_whitespace) {
                let what = format!(
                    "`args` has `{text}`; the platform separates arguments at spaces, so they \
                     cannot contain one. Put it into a variable of [environment]"
                );
                self.0.wrong(*at, what);
            }
        }
        Some(texts.into_iter().map(|(_, text)| text.to_owned()).collect())
    }

    fn public_net(&mut self) -> Option<PublicNet> {
        match self.0.text("public_net")? {
            (_, "off") => Some(PublicNet::Off),
            (_, "on") => Some(PublicNet::On),
            (_, "fixed-ip") => Some(PublicNet::FixedIp),
            (at, other) => {
                let what = format!(
                    "`public_net` is `{other}`; it has to be \"on\", \"off\" or \"fixed-ip\" (one \
                     address that stays)"
                );
                self.0.wrong(at, what);
                None
            }
        }
    }

    fn vpc(&mut self) -> Option<Vpc> {
        let (at, table) = self.0.value("vpc", DeValue::as_table)?;
        let mut inner = self.0.inner(table, at, &VPC_KEYS, " in [vpc]");
        inner.names();
        let mut id = |name: &str, prefix: &str| {
            inner.missing(name, &format!("{name} = \"{prefix}12345678\""));
            let (at, text) = inner.text(name)?;
            if !text.starts_with(prefix) {
                inner.wrong(at, format!("`{name}` is `{text}`; it begins with `{prefix}`"));
            }
            Some(text.to_owned())
        };
        let (vpc_id, subnet_id) = (id("vpc_id", "vpc-"), id("subnet_id", "subnet-"));
        self.0.absorb(inner);
        Some(Vpc { vpc_id: vpc_id?, subnet_id: subnet_id? })
    }

    fn log(&mut self) -> Option<Log> {
        let (at, table) = self.0.value("log", DeValue::as_table)?;
        let mut inner = self.0.inner(table, at, &LOG_KEYS, " in [log]");
        inner.names();
        let mut id = |name: &str| {
            inner.missing(name, &format!("{name} = \"5cf00000-0000-4000-8000-000000000001\""));
            inner.text(name).map(|(_, text)| text.to_owned())
        };
        let (logset_id, topic_id) = (id("logset_id"), id("topic_id"));
        self.0.absorb(inner);
        Some(Log { logset_id: logset_id?, topic_id: topic_id? })
    }

    /// Whether it is a Web function; `None` if its type is invalid.
    fn kind(&mut self) -> Option<bool> {
        if !self.0.table.contains_key("type") {
            return Some(false);
        }
        match self.0.text("type")? {
            (_, "event") => Some(false),
            (_, "web") => Some(true),
            (at, other) => {
                self.0.wrong(at, format!("`type` is `{other}`; it has to be \"event\" or \"web\""));
                None
            }
        }
    }

    fn environment(&mut self) -> BTreeMap<String, String> {
        let Some((at, table)) = self.0.value("environment", DeValue::as_table) else {
            return BTreeMap::new();
        };
        let mut variables = BTreeMap::new();
        for (name, value) in table {
            match variable(name.get_ref(), value) {
                Ok(value) => drop(variables.insert(name.get_ref().to_string(), value.to_owned())),
                Err(what) => self.0.wrong(name.span().start, what),
            }
        }
        let bytes: usize = variables.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > ENVIRONMENT_BYTES {
            self.0.wrong(
                at,
                format!("the environment has {bytes} bytes; the limit is {ENVIRONMENT_BYTES}"),
            );
        }
        variables
    }

    /// `[local]`: settings for local runs only.
    fn reach(&mut self) -> Vec<String> {
        let Some((_, table)) = self.0.value("local", DeValue::as_table) else {
            return Vec::new();
        };
        let mut reach = Vec::new();
        for (name, value) in table {
            let at = value.span().start;
            match value.get_ref() {
                _ if name.get_ref() != REACH => {
                    let what = format!(
                        "unknown key `{}` in [local]; the only key is {REACH}",
                        name.get_ref()
                    );
                    self.0.wrong(name.span().start, what);
                }
                DeValue::Array(items) => {
                    for item in items {
                        match item.get_ref().as_str() {
                            Some(text) => reach.push(text.to_owned()),
                            None => self.0.wrong(
                                item.span().start,
                                format!(
                                    "`{REACH}` is a list of texts, for example \"127.0.0.1:6379\""
                                ),
                            ),
                        }
                    }
                }
                other => self.0.wrong(
                    at,
                    format!(
                        "`{REACH}` is {}; it has to be a list, for example [\"127.0.0.1:6379\"]",
                        other.type_str()
                    ),
                ),
            }
        }
        reach
    }
}

/// Whether the platform accepts it as the name of an alias.
fn is_alias(text: &str) -> bool {
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let own = text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(letters);
    text == DEFAULT_ALIAS || (own && text.len() <= 64)
}

/// A variable's value, if the platform accepts name and value.
fn variable<'a>(name: &str, value: &'a Spanned<DeValue<'_>>) -> Result<&'a str, String> {
    if !name.starts_with(|c: char| c.is_ascii_alphabetic())
        || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    {
        return Err(format!(
            "invalid variable name `{name}`; use letters, digits and `_`, with a letter first"
        ));
    }
    if let Some(prefix) = KEPT_PREFIXES.iter().find(|prefix| name.starts_with(**prefix)) {
        return Err(format!(
            "`{name}`: names with `{prefix}` are the platform's own; choose another name"
        ));
    }
    value.get_ref().as_str().ok_or_else(|| {
        format!("`{name}` is {}; write it as text, in quotes", value.get_ref().type_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str =
        "region = \"ap-guangzhou\"\nimage = \"ccr.ccs.tencentyun.com/team/hello:v1\"\n";

    fn with(lines: &str) -> Result<Function, String> {
        Function::parse(&format!("{SMALL}{lines}")).map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn accepts_the_file_of_a_new_project() {
        let function = Function::parse(include_str!("../../../../template/function.toml")).unwrap();
        assert_eq!((function.web, function.acceleration, function.provisioned), (false, false, 0));
        assert_eq!((function.memory_mb, function.timeout_s), (64, 3));
        assert_eq!(function.image.to_string(), "ccr.ccs.tencentyun.com/namespace/function:v1");
    }

    #[test]
    fn fills_in_the_platforms_own_values() {
        let function = with("").unwrap();
        assert_eq!(
            (function.memory_mb, function.timeout_s, function.init_timeout_s),
            (128, 3, None)
        );
        assert_eq!((function.web, function.environment.len()), (false, 0));
        assert_eq!(function.alias, "$DEFAULT");
    }

    #[test]
    fn names_the_line_and_suggests_a_correction() {
        for (lines, expected) in [
            ("memory = 128", "function.toml:3: unknown key `memory`; did you mean `memory_mb`?"),
            (
                "\nacelleration = true",
                "function.toml:4: unknown key `acelleration`; did you mean `acceleration`?",
            ),
            ("zzz = 1", "function.toml:3: unknown key `zzz`; the keys are name, description,"),
            (
                "memory_mb = 100",
                "function.toml:3: `memory_mb` is 100; it has to be 64, or 128 to 3072 in steps of \
                 128",
            ),
            (
                "memory_mb = \"128\"",
                "function.toml:3: `memory_mb` is string; it has to be a number",
            ),
            ("timeout_s = 901", "function.toml:3: `timeout_s` is 901; it has to be 1 to 900"),
            ("timeout_s = -1", "function.toml:3: `timeout_s` is -1; it has to be 1 to 900"),
            ("init_timeout_s = 2", "3 to 300"),
            (
                "provisioned = true",
                "function.toml:3: `provisioned` is boolean; it has to be a number",
            ),
            (
                "alias = \"$LATEST\"",
                "function.toml:3: `alias` is `$LATEST`; an alias has up to 64 letters",
            ),
            (
                "type = \"http\"",
                "function.toml:3: `type` is `http`; it has to be \"event\" or \"web\"",
            ),
            ("concurrency = 2", "function.toml:3: `concurrency` is for Web functions only"),
            (
                "type = \"event\"\nwebsocket_idle_s = 10\ntimeout_s = 10",
                "function.toml:4: `websocket_idle_s` is for Web functions only",
            ),
            (
                "type = \"web\"\nwebsocket_idle_s = 60",
                "function.toml:4: `timeout_s` is 3, shorter than `websocket_idle_s` (60); make it",
            ),
            ("websocket_idle_s = 9", "has to be 10 to 7200"),
            ("role = \"\"", "function.toml:3: `role` is empty"),
            ("name = \"x\"", "function.toml:3: `name` is `x`; a function's name has 2 to 60"),
            (
                "[environment]\nSCF_X = \"1\"",
                "function.toml:4: `SCF_X`: names with `SCF_` are the platform's own",
            ),
            (
                "[environment]\nA = \"1\"\nB = 2",
                "function.toml:5: `B` is integer; write it as text",
            ),
            ("[environment]\n1A = \"1\"", "function.toml:4: invalid variable name `1A`"),
            ("command = \"python app.py\"", "function.toml:3: `command` is `python app.py`; the"),
            (
                "args = [\"-u\", \"a b\"]",
                "function.toml:3: `args` has `a b`; the platform separates",
            ),
            ("args = []", "function.toml:3: `args` is empty, which means \"the image's own\""),
            ("args = \"-u\"", "function.toml:3: `args` is string; it has to be a list of texts"),
            ("public_net = \"yes\"", "function.toml:3: `public_net` is `yes`; it has to be \"on\""),
            ("registry_id = \"tcr-1\"", "function.toml:3: `registry_id` is for enterprise"),
            ("[vpc]\nvpc_id = \"x\"", "function.toml:4: `vpc_id` is `x`; it begins with `vpc-`"),
            ("[vpc]\nvpc_id = \"vpc-1\"", "function.toml:3: `subnet_id` is missing in [vpc], for"),
            (
                "[vpc]\nvpcid = \"vpc-1\"",
                "function.toml:4: unknown key `vpcid` in [vpc]; did you mean `vpc_id`?",
            ),
            ("[log]\ntopic_id = \"t\"", "function.toml:3: `logset_id` is missing in [log], for"),
            ("= 1", "function.toml:3: "),
            ("region = \"x\"", "function.toml:3: duplicate key"),
        ] {
            let error = with(lines).unwrap_err();
            assert!(error.contains(expected), "{lines}: {error}");
        }
        let long = format!("[environment]\nA = \"{}\"", "x".repeat(4096));
        assert!(with(&long).unwrap_err().contains("4097 bytes; the limit is 4096"));
    }

    #[test]
    fn reports_all_mistakes_at_once_in_the_order_of_their_lines() {
        let error = Function::parse("timeout_s = 0\nregoin = \"x\"\nmemory_mb = 1\n").unwrap_err();
        let lines: Vec<_> = error.0.iter().map(|mistake| mistake.line).collect();
        assert_eq!(lines, [Some(1), Some(2), Some(3), None, None], "{error}");
        assert!(error.to_string().contains("`region` is missing"), "{error}");
    }

    #[test]
    fn requires_the_identifier_of_an_enterprise_registry() {
        let text = "region = \"ap-guangzhou\"\nimage = \"team.tencentcloudcr.com/a/b:v1\"\n";
        let error = Function::parse(text).unwrap_err().to_string();
        assert!(
            error.starts_with(
                "function.toml:2: `team.tencentcloudcr.com` is an enterprise registry"
            ),
            "{error}"
        );
        assert!(Function::parse(&format!("{text}registry_id = \"tcr-1\"\n")).is_ok());
    }
}
