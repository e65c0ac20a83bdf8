//! Reader of a TOML table, key by key: it collects every mistake with its line, and suggests the
//! most similar key for an unknown one. The caller passes the keys.

use std::fmt;
use toml::de::{DeTable, DeValue};

/// All mistakes in function.toml.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

/// One mistake.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Line, from 1; none if something is missing.
    pub line: Option<usize>,
    /// The problem, and a valid form.
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

/// Reads keys one by one and collects the mistakes.
pub struct Reader<'a> {
    /// The table.
    pub table: &'a DeTable<'a>,
    /// The valid keys, with a description of each.
    pub keys: &'static [(&'static str, &'static str)],
    /// The table's path for messages; empty for the top level.
    pub inside: &'static str,
    /// Offset of the table, in bytes.
    pub at: usize,
    /// The line of a byte.
    pub line: &'a dyn Fn(usize) -> usize,
    /// The mistakes so far.
    pub mistakes: Vec<Mistake>,
}

impl<'a> Reader<'a> {
    /// Adds a mistake at an offset.
    pub fn wrong(&mut self, at: usize, what: String) {
        self.mistakes.push(Mistake { line: Some((self.line)(at)), what });
    }

    /// Reports unknown keys, with the key that the user probably meant.
    pub fn names(&mut self) {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if self.keys.iter().any(|(known, _)| *known == name) {
                continue;
            }
            let close = |known: &&str| strsim::jaro_winkler(known, name);
            let nearest = self
                .keys
                .iter()
                .map(|(known, _)| *known)
                .max_by(|a, b| close(a).total_cmp(&close(b)));
            let what = match nearest.filter(|known| close(known) > 0.8) {
                Some(known) => {
                    format!("unknown key `{name}`{}; did you mean `{known}`?", self.inside)
                }
                None => {
                    let known: Vec<_> = self.keys.iter().map(|(known, _)| *known).collect();
                    format!(
                        "unknown key `{name}`{}; the keys are {}",
                        self.inside,
                        known.join(", ")
                    )
                }
            };
            self.wrong(key.span().start, what);
        }
    }

    /// A key's value, if `take` accepts it; otherwise adds a mistake.
    pub fn value<T>(
        &mut self,
        name: &str,
        take: impl Fn(&'a DeValue<'a>) -> Option<T>,
    ) -> Option<(usize, T)> {
        let value = self.table.get(name)?;
        let at = value.span().start;
        let taken = take(value.get_ref());
        if taken.is_none() {
            let expected = self
                .keys
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

    /// A key's text, if it has one.
    pub fn text(&mut self, name: &str) -> Option<(usize, &'a str)> {
        let (at, text) = self.value(name, DeValue::as_str)?;
        if text.is_empty() {
            self.wrong(at, format!("`{name}` is empty; leave it out or give it a value"));
            return None;
        }
        Some((at, text))
    }

    /// A number for which `holds` is true; otherwise the mistake states `rule`.
    pub fn number(&mut self, name: &str, holds: impl Fn(u32) -> bool, rule: &str) -> Option<u32> {
        let (at, integer) = self.value(name, DeValue::as_integer)?;
        let number =
            u32::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|n| holds(*n));
        if number.is_none() {
            self.wrong(at, format!("`{name}` is {}; it has to be {rule}", integer.as_str()));
        }
        number
    }

    /// Reports a key that is missing.
    pub fn missing(&mut self, name: &str, example: &str) {
        if !self.table.contains_key(name) {
            let line = (!self.inside.is_empty()).then(|| (self.line)(self.at));
            let what = format!("`{name}` is missing{}, for example {example}", self.inside);
            self.mistakes.push(Mistake { line, what });
        }
    }

    /// A reader of a nested table; [`Reader::absorb`] takes over its mistakes.
    pub fn inner(
        &self,
        table: &'a DeTable<'a>,
        at: usize,
        keys: &'static [(&'static str, &'static str)],
        inside: &'static str,
    ) -> Reader<'a> {
        Reader { table, keys, inside, at, line: self.line, mistakes: Vec::new() }
    }

    /// Takes over the mistakes of a nested reader.
    pub fn absorb(&mut self, inner: Reader<'a>) {
        self.mistakes.extend(inner.mistakes);
    }

    /// The list of texts of a key.
    pub fn texts(&mut self, name: &str) -> Option<(usize, Vec<(usize, &'a str)>)> {
        let (at, items) = self.value(name, DeValue::as_array)?;
        let mut texts = Vec::new();
        for item in items {
            let place = item.span().start;
            match item.get_ref().as_str().filter(|text| !text.is_empty()) {
                Some(text) => texts.push((place, text)),
                None => {
                    self.wrong(place, format!("`{name}` is a list of texts, none of them empty"))
                }
            }
        }
        Some((at, texts))
    }
}
