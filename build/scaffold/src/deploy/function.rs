//! function.toml: what the platform is told about a function. Every mistake is found at once, each
//! with its line. Limits are SCF's: its quota page, and the texts of API 2018-04-16.

use crate::deploy::image::ImageName;
use std::collections::BTreeMap;
use std::fmt;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What all environment variables of a function may come to, names and values, in bytes.
const ENVIRONMENT_BYTES: usize = 4096;
/// How names begin that the platform keeps for itself. The pages write the last one; the platform's
/// own variables have the one before it.
pub const KEPT_PREFIXES: [&str; 4] = ["SCF_", "QCLOUD_", "TENCENTCLOUD_", "TECENTCLOUD_"];
/// The alias that every function has and that callers reach who name no other.
const DEFAULT_ALIAS: &str = "$DEFAULT";
/// The keys outside of `[environment]`, and what each is.
const KEYS: [(&str, &str); 17] = [
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
    ("image", "text"),
    ("registry_id", "text"),
    ("acceleration", "true or false"),
    ("provisioned", "a number"),
    ("alias", "text"),
    ("environment", "a table"),
    ("local", "a table"),
];
/// The key of `[local]`.
const REACH: &str = "reach";

/// A function as function.toml describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Another name than the package's.
    pub name: Option<String>,
    /// What people read in the console.
    pub description: Option<String>,
    /// Whether it gets requests as they are, rather than events at /event-invoke.
    pub web: bool,
    /// For example `ap-guangzhou`.
    pub region: String,
    /// `default` when nobody says.
    pub namespace: Option<String>,
    /// The role whose credentials the function is given.
    pub role: Option<String>,
    /// Memory, in MiB.
    pub memory_mb: u32,
    /// How long a request may take, in seconds.
    pub timeout_s: u32,
    /// How long pull and start may take, in seconds; the platform's 90 when nobody says.
    pub init_timeout_s: Option<u32>,
    /// Requests that an instance is given at a time; Web functions only.
    pub concurrency: Option<u32>,
    /// Where the image is, by tag.
    pub image: ImageName,
    /// The enterprise registry that the image is in; none for a personal one.
    pub registry_id: Option<String>,
    /// Image acceleration.
    pub acceleration: bool,
    /// Instances that are started ahead.
    pub provisioned: u32,
    /// The alias that is moved to the version whose instances were started ahead.
    pub alias: String,
    /// Environment variables.
    pub environment: BTreeMap<String, String>,
    /// Ports of the machine that the function may call where it runs locally, `HOST:PORT` each. The
    /// platform is not told.
    pub reach: Vec<String>,
}

/// What is wrong in function.toml.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

/// One thing that is wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Line, from 1; none for what is missing.
    pub line: Option<usize>,
    /// What it is, and what would do.
    pub what: String,
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Mistake { line, what }) in self.0.iter().enumerate() {
            let separator = if i > 0 { "\n" } else { "" };
            match line {
                Some(line) => write!(f, "{separator}function.toml:{line}: {what}")?,
                None => write!(f, "{separator}function.toml: {what}")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

impl Function {
    /// Reads the text of a function.toml.
    ///
    /// # Errors
    /// All [`Mistakes`] that are in it.
    pub fn parse(text: &str) -> Result<Function, Mistakes> {
        let line = |at: usize| {
            text.as_bytes()[..at.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1
        };
        let table = DeTable::parse(text).map_err(|error| {
            let line = error.span().map(|span| line(span.start));
            Mistakes(vec![Mistake { line, what: error.message().to_owned() }])
        })?;
        let mut reader = Reader { table: table.get_ref(), line: &line, mistakes: Vec::new() };
        reader.names();
        let function = reader.function();
        reader.mistakes.sort_by_key(|mistake| mistake.line.unwrap_or(usize::MAX));
        match function {
            Some(function) if reader.mistakes.is_empty() => Ok(function),
            _ => Err(Mistakes(reader.mistakes)),
        }
    }
}

/// Reads keys one by one and keeps what is wrong with them.
struct Reader<'a> {
    table: &'a DeTable<'a>,
    line: &'a dyn Fn(usize) -> usize,
    mistakes: Vec<Mistake>,
}

impl<'a> Reader<'a> {
    fn wrong(&mut self, at: usize, what: String) {
        self.mistakes.push(Mistake { line: Some((self.line)(at)), what });
    }

    /// Names that no key has, with the one that was probably meant.
    fn names(&mut self) {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if KEYS.iter().any(|(known, _)| *known == name) {
                continue;
            }
            let close = |known: &&str| strsim::jaro_winkler(known, name);
            let nearest =
                KEYS.iter().map(|(known, _)| *known).max_by(|a, b| close(a).total_cmp(&close(b)));
            let what = match nearest.filter(|known| close(known) > 0.8) {
                Some(known) => format!("unknown key `{name}`; did you mean `{known}`?"),
                None => {
                    let known: Vec<_> = KEYS.iter().map(|(known, _)| *known).collect();
                    format!("unknown key `{name}`; there are: {}", known.join(", "))
                }
            };
            self.wrong(key.span().start, what);
        }
    }

    /// A key's value, if `take` takes it; it is wrong otherwise.
    fn value<T>(
        &mut self,
        name: &str,
        take: impl Fn(&'a DeValue<'a>) -> Option<T>,
    ) -> Option<(usize, T)> {
        let value = self.table.get(name)?;
        let at = value.span().start;
        let taken = take(value.get_ref());
        if taken.is_none() {
            let expected = KEYS
                .iter()
                .find(|(known, _)| *known == name)
                .map_or("something else", |(_, kind)| kind);
            self.wrong(
                at,
                format!("`{name}` is {}; it has to be {expected}", value.get_ref().type_str()),
            );
        }
        taken.map(|taken| (at, taken))
    }

    fn text(&mut self, name: &str) -> Option<(usize, &'a str)> {
        let (at, text) = self.value(name, DeValue::as_str)?;
        if text.is_empty() {
            self.wrong(at, format!("`{name}` is empty; leave it out or say something"));
            return None;
        }
        Some((at, text))
    }

    /// A number for which `holds`; otherwise `rule` says what would do.
    fn number(&mut self, name: &str, holds: impl Fn(u32) -> bool, rule: &str) -> Option<u32> {
        let (at, integer) = self.value(name, DeValue::as_integer)?;
        let number =
            u32::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|n| holds(*n));
        if number.is_none() {
            self.wrong(at, format!("`{name}` is {}; it has to be {rule}", integer.as_str()));
        }
        number
    }

    fn missing(&mut self, name: &str, example: &str) {
        if !self.table.contains_key(name) {
            self.mistakes.push(Mistake {
                line: None,
                what: format!("`{name}` is missing, for example {example}"),
            });
        }
    }

    fn function(&mut self) -> Option<Function> {
        self.missing("region", "region = \"ap-guangzhou\"");
        self.missing("image", "image = \"ccr.ccs.tencentyun.com/namespace/function:v1\"");
        let owned = |(_, text): (usize, &str)| text.to_owned();
        let web = self.kind();
        let name =
            self.text("name").and_then(|(at, text)| {
                match crate::name::Name::check_function(text) {
                    Ok(()) => Some(text.to_owned()),
                    Err(rule) => {
                        self.wrong(at, format!("`name` is `{text}`; {rule}"));
                        None
                    }
                }
            });
        let image = self.text("image").and_then(|(at, text)| {
            let parsed = ImageName::parse(text);
            parsed.map_err(|error| self.wrong(at, format!("`image` is `{text}`; {error}"))).ok()
        });
        let registry_id = self.text("registry_id").map(owned);
        if let Some(image) = &image
            && registry_id.is_none()
            && image.is_enterprise()
        {
            let at = self.table.get("image").map_or(0, |value| value.span().start);
            let what = format!(
                "`{}` is an enterprise registry: add its `registry_id`, for example \"tcr-…\"",
                image.host()
            );
            self.wrong(at, what);
        }
        let memory = |n| n == 64 || (n % 128 == 0 && (128..=3072).contains(&n));
        let memory_mb = self.number("memory_mb", memory, "64, or 128 to 3072 in steps of 128");
        let timeout_s = self.number("timeout_s", |n| (1..=900).contains(&n), "1 to 900");
        let init_timeout_s = self.number("init_timeout_s", |n| (3..=300).contains(&n), "3 to 300");
        let concurrency = self.number("concurrency", |n| (1..=100).contains(&n), "1 to 100");
        if let (Some(false), Some(_), Some(value)) =
            (web, concurrency, self.table.get("concurrency"))
        {
            let what = "`concurrency` is for Web functions only; leave it out, or say `type = \
                        \"web\"`"
                .to_owned();
            self.wrong(value.span().start, what);
        }
        let alias = self.text("alias").map(|(at, text)| {
            if !is_alias(text) {
                let rule = "an alias has up to 64 letters, digits, `_` and `-`, and a letter \
                            first; or it is $DEFAULT";
                self.wrong(at, format!("`alias` is `{text}`; {rule}"));
            }
            text.to_owned()
        });
        Some(Function {
            name,
            description: self.text("description").map(owned),
            region: self.text("region").map(owned).unwrap_or_default(),
            namespace: self.text("namespace").map(owned),
            role: self.text("role").map(owned),
            acceleration: self.value("acceleration", DeValue::as_bool).is_some_and(|(_, on)| on),
            provisioned: self
                .number("provisioned", |_| true, "a number of instances, 0 for none")
                .unwrap_or(0),
            alias: alias.unwrap_or_else(|| DEFAULT_ALIAS.to_owned()),
            environment: self.environment(),
            reach: self.reach(),
            web: web.unwrap_or(false),
            memory_mb: memory_mb.unwrap_or(128),
            timeout_s: timeout_s.unwrap_or(3),
            init_timeout_s,
            concurrency,
            image: image?,
            registry_id,
        })
    }

    /// Whether it is a Web function; none if that cannot be told.
    fn kind(&mut self) -> Option<bool> {
        if !self.table.contains_key("type") {
            return Some(false);
        }
        match self.text("type")? {
            (_, "event") => Some(false),
            (_, "web") => Some(true),
            (at, other) => {
                self.wrong(at, format!("`type` is `{other}`; it has to be \"event\" or \"web\""));
                None
            }
        }
    }

    fn environment(&mut self) -> BTreeMap<String, String> {
        let Some((at, table)) = self.value("environment", DeValue::as_table) else {
            return BTreeMap::new();
        };
        let mut variables = BTreeMap::new();
        for (name, value) in table {
            match variable(name.get_ref(), value) {
                Ok(value) => drop(variables.insert(name.get_ref().to_string(), value.to_owned())),
                Err(what) => self.wrong(name.span().start, what),
            }
        }
        let bytes: usize = variables.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > ENVIRONMENT_BYTES {
            self.wrong(
                at,
                format!(
                    "the environment has {bytes} bytes; the platform takes {ENVIRONMENT_BYTES}"
                ),
            );
        }
        variables
    }

    /// `[local]`: what holds for local runs alone.
    fn reach(&mut self) -> Vec<String> {
        let Some((_, table)) = self.value("local", DeValue::as_table) else {
            return Vec::new();
        };
        let mut reach = Vec::new();
        for (name, value) in table {
            let at = value.span().start;
            match value.get_ref() {
                _ if name.get_ref() != REACH => {
                    let what =
                        format!("unknown key `{}` in [local]; there is: {REACH}", name.get_ref());
                    self.wrong(name.span().start, what);
                }
                DeValue::Array(items) => {
                    for item in items {
                        match item.get_ref().as_str() {
                            Some(text) => reach.push(text.to_owned()),
                            None => self.wrong(
                                item.span().start,
                                format!("`{REACH}` has texts, for example \"127.0.0.1:6379\""),
                            ),
                        }
                    }
                }
                other => self.wrong(
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

/// Whether the platform takes it as the name of an alias.
fn is_alias(text: &str) -> bool {
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let own = text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(letters);
    text == DEFAULT_ALIAS || (own && text.len() <= 64)
}

/// A variable's value, if the platform takes both.
fn variable<'a>(name: &str, value: &'a Spanned<DeValue<'_>>) -> Result<&'a str, String> {
    if !name.starts_with(|c: char| c.is_ascii_alphabetic())
        || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    {
        return Err(format!(
            "`{name}` is no name of a variable; it has letters, digits and `_`, and a letter first"
        ));
    }
    if let Some(prefix) = KEPT_PREFIXES.iter().find(|prefix| name.starts_with(**prefix)) {
        return Err(format!(
            "`{name}`: names with `{prefix}` are the platform's own; choose another"
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
    fn takes_what_every_project_starts_with() {
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
    fn names_the_line_and_what_was_meant() {
        for (lines, expected) in [
            ("memory = 128", "function.toml:3: unknown key `memory`; did you mean `memory_mb`?"),
            (
                "\nacelleration = true",
                "function.toml:4: unknown key `acelleration`; did you mean `acceleration`?",
            ),
            ("zzz = 1", "function.toml:3: unknown key `zzz`; there are: name, description,"),
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
            ("[environment]\n1A = \"1\"", "function.toml:4: `1A` is no name of a variable"),
            ("= 1", "function.toml:3: "),
            ("region = \"x\"", "function.toml:3: duplicate key"),
        ] {
            let error = with(lines).unwrap_err();
            assert!(error.contains(expected), "{lines}: {error}");
        }
        let long = format!("[environment]\nA = \"{}\"", "x".repeat(4096));
        assert!(with(&long).unwrap_err().contains("4097 bytes; the platform takes 4096"));
    }

    #[test]
    fn tells_all_mistakes_at_once_in_the_order_of_their_lines() {
        let error = Function::parse("timeout_s = 0\nregoin = \"x\"\nmemory_mb = 1\n").unwrap_err();
        let lines: Vec<_> = error.0.iter().map(|mistake| mistake.line).collect();
        assert_eq!(lines, [Some(1), Some(2), Some(3), None, None], "{error}");
        assert!(error.to_string().contains("`region` is missing"), "{error}");
    }

    #[test]
    fn wants_the_identifier_of_an_enterprise_registry() {
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
