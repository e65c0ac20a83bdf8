//! Names of projects: valid for cargo as a package with a program, for an image and for the
//! platform. The Cargo book, "The name field"; a function's name on SCF has 2 to 60 characters and
//! ends in a letter or a digit.

use std::path::Path;

/// A name that cargo, an image and the platform accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

/// Why a name is invalid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The path has no last part, or it is not text.
    #[error("`{0}` does not end in a name; name the folder to make, for example `../hello`")]
    None(String),
    /// A character that a crate's name may not have.
    #[error(
        "`{name}` has the character `{character}`; a name has lower-case letters, digits, `-` and \
         `_`: try `{better}`"
    )]
    Character {
        /// The name.
        name: String,
        /// The first wrong character.
        character: char,
        /// A valid suggestion.
        better: String,
    },
    /// The first character is not a letter.
    #[error("`{name}` does not begin with a letter; try `{better}`")]
    First {
        /// The name.
        name: String,
        /// A valid suggestion.
        better: String,
    },
    /// The platform accepts no dash and no underscore at the end.
    #[error("`{name}` ends in `-` or `_`; a function's name cannot; try `{better}`")]
    Last {
        /// The name.
        name: String,
        /// A valid suggestion.
        better: String,
    },
    /// A keyword of Rust, or a name that cargo reserves.
    #[error("`{0}` is a keyword of Rust or reserved by cargo; try `{0}-function`")]
    Reserved(String),
    /// Too short or too long for the platform.
    #[error("`{name}` has {length} characters; a function's name has 2 to 60")]
    Length {
        /// The name.
        name: String,
        /// Its length.
        length: usize,
    },
}

/// Rust's keywords, and names that cargo refuses or warns about for a package with a program.
const RESERVED: [&str; 64] = [
    "abstract",
    "alloc",
    "artifact",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "build",
    "const",
    "continue",
    "core",
    "crate",
    "deps",
    "do",
    "dyn",
    "else",
    "enum",
    "examples",
    "extern",
    "false",
    "final",
    "firstbyte",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "incremental",
    "let",
    "loop",
    "macro",
    "main",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "self",
    "serde",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
];

impl Name {
    /// The name of a project in that folder: the path's last part.
    ///
    /// [`NameError`] with what is wrong and a suggestion.
    /// [`NameError`] says what is wrong and what would do.
    pub fn of(path: &Path) -> Result<Name, NameError> {
        let none = || NameError::None(path.display().to_string());
        Name::parse(path.file_name().ok_or_else(none)?.to_str().ok_or_else(none)?)
    }

    /// Checks a project's name.
    ///
    /// # Errors
    /// [`NameError`] with what is wrong and a suggestion.
    pub fn parse(text: &str) -> Result<Name, NameError> {
        let allowed =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        let name = text.to_owned();
        if let Some(character) = text.chars().find(|c| !allowed(*c)) {
            let lower = text.to_lowercase();
            let better: String = lower.chars().map(|c| if allowed(c) { c } else { '-' }).collect();
            return Err(NameError::Character { name, character, better: presentable(&better) });
        }
        if !text.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Err(NameError::First { better: presentable(text), name });
        }
        if !(2..=60).contains(&text.len()) {
            return Err(NameError::Length { length: text.len(), name });
        }
        if text.ends_with(['-', '_']) {
            return Err(NameError::Last { better: presentable(text), name });
        }
        if RESERVED.contains(&text) {
            return Err(NameError::Reserved(name));
        }
        Ok(Name(name))
    }

    /// Checks a function's name by the platform's rule, which permits capitals: 2 to 60 letters,
    /// digits, `-` and `_`, a letter first, neither `-` nor `_` last.
    ///
    /// # Errors
    /// The rule, as text.
    pub fn check_function(text: &str) -> Result<(), &'static str> {
        let does = (2..=60).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
            && !text.ends_with(['-', '_']);
        does.then_some(()).ok_or(
            "a function's name has 2 to 60 letters, digits, `-` and `_`, a letter first, a letter \
             or a digit last",
        )
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A suggestion that [`Name::parse`] accepts.
fn presentable(text: &str) -> String {
    let trimmed = text.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    match trimmed.chars().next() {
        Some('a'..='z') if trimmed.len() > 1 && !RESERVED.contains(&trimmed) => trimmed.to_owned(),
        Some(_) => format!("function-{trimmed}"),
        None => "hello".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_names_that_cargo_accepts() {
        for name in ["hello", "hello-2", "a_b", "fn-two"] {
            assert_eq!(
                Name::of(Path::new("/somewhere").join(name).as_path()).unwrap().as_str(),
                name
            );
        }
    }

    #[test]
    fn refuses_and_suggests() {
        for (name, expected) in [
            ("Hello", "`hello`"),
            ("my function", "`my-function`"),
            ("größe", "`gr--e`"),
            ("2fast", "`function-2fast`"),
            ("-x-", "`function-x`"),
            ("fn", "`fn-function`"),
            ("test", "`test-function`"),
            ("firstbyte", "`firstbyte-function`"),
            ("x", "2 to 60"),
            ("hello-", "`hello`"),
            ("a.b", "`a-b`"),
            ("ä", "`hello`"),
        ] {
            let error = Name::parse(name).unwrap_err().to_string();
            assert!(error.contains(expected), "{name}: {error}");
        }
        assert!(Name::parse(&"a".repeat(61)).is_err());
        for path in ["/", "..", ""] {
            assert!(matches!(Name::of(Path::new(path)), Err(NameError::None(_))), "{path}");
        }
    }

    #[test]
    fn its_suggestions_are_valid() {
        for name in [
            "Hello",
            "my function",
            "größe",
            "2fast",
            "-x-",
            "a.b",
            "ä",
            "ABC DEF",
            "_",
            "a--",
            "fn_",
        ] {
            let error = Name::parse(name).unwrap_err().to_string();
            let better = error.rsplit('`').nth(1).unwrap();
            assert!(Name::parse(better).is_ok(), "{name}: {error}");
        }
    }
}
