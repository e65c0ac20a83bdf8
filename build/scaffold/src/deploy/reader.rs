//! Reader of a TOML table, key by key: every mistake is kept with its line, and for an unknown key
//! the most similar one is suggested. The keys are arguments.

use std::fmt;
use toml::de::{DeTable, DeValue};

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

/// Reads keys one by one and keeps what is wrong with them.
pub struct Reader<'a> {
    /// The table.
    pub table: &'a DeTable<'a>,
    /// What keys there are, and what each is.
    pub keys: &'static [(&'static str, &'static str)],
    /// Where the table is, for messages: empty for the file's own.
    pub inside: &'static str,
    /// Where the table begins, in bytes.
    pub at: usize,
    /// The line of a byte.
    pub line: &'a dyn Fn(usize) -> usize,
    /// What was wrong until now.
    pub mistakes: Vec<Mistake>,
}

impl<'a> Reader<'a> {
    /// Keeps a mistake that is at a byte.
    pub fn wrong(&mut self, at: usize, what: String) {
        self.mistakes.push(Mistake { line: Some((self.line)(at)), what });
    }

    /// Names that no key has, with the one that was probably meant.
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
                    format!("unknown key `{name}`{}; there are: {}", self.inside, known.join(", "))
                }
            };
            self.wrong(key.span().start, what);
        }
    }

    /// A key's value, if `take` takes it; it is wrong otherwise.
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

    /// A key's text, if there is some.
    pub fn text(&mut self, name: &str) -> Option<(usize, &'a str)> {
        let (at, text) = self.value(name, DeValue::as_str)?;
        if text.is_empty() {
            self.wrong(at, format!("`{name}` is empty; leave it out or give it a value"));
            return None;
        }
        Some((at, text))
    }

    /// A number for which `holds`; otherwise `rule` says what would do.
    pub fn number(&mut self, name: &str, holds: impl Fn(u32) -> bool, rule: &str) -> Option<u32> {
        let (at, integer) = self.value(name, DeValue::as_integer)?;
        let number =
            u32::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|n| holds(*n));
        if number.is_none() {
            self.wrong(at, format!("`{name}` is {}; it has to be {rule}", integer.as_str()));
        }
        number
    }

    /// Wants a key to be there.
    pub fn missing(&mut self, name: &str, example: &str) {
        if !self.table.contains_key(name) {
            let line = (!self.inside.is_empty()).then(|| (self.line)(self.at));
            let what = format!("`{name}` is missing{}, for example {example}", self.inside);
            self.mistakes.push(Mistake { line, what });
        }
    }

    /// A reader of a table inside of this one; [`Reader::absorb`] takes its mistakes over.
    pub fn inner(
        &self,
        table: &'a DeTable<'a>,
        at: usize,
        keys: &'static [(&'static str, &'static str)],
        inside: &'static str,
    ) -> Reader<'a> {
        Reader { table, keys, inside, at, line: self.line, mistakes: Vec::new() }
    }

    /// Takes over what an inner reader found wrong.
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
