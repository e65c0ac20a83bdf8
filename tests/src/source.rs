//! Reader of Rust source for the rules of rooms.rs: the paths that a file mentions, the macros that
//! it calls, and its unsafe code. It works on tokens: it ignores comments and strings, sees paths
//! inside macro calls, and leaves out code that only tests compile. It resolves `crate`, `self`,
//! `super` and the names that lib.rs re-exports; it does not follow glob imports or aliases, so
//! [`Mention::hides`] reports where one of those could hide something.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::BTreeMap;

/// One path in a file, resolved as far as possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// Number of its line in the file, from 1.
    pub line: usize,
    /// Segments joined by `::`, for example `std::net::TcpStream` or
    /// `firstbyte::transport::Limits`.
    pub path: String,
    /// Imported under another name, as a whole module or with `*`: uses of its contents are not
    /// visible.
    pub hides: bool,
    /// The name that a `use` brings into the file's module, `None` for `*` and in expressions.
    pub imported: Option<String>,
}

/// Facts about a source file.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// Every path that the file names.
    pub mentions: Vec<Mention>,
    /// Macro calls by name, with their lines.
    pub macros: Vec<(usize, String)>,
    /// Lines with an `unsafe` block or an `unsafe impl`.
    pub unsafe_lines: Vec<usize>,
    /// Whether the file denies or forbids unsafe code.
    pub denies_unsafe: bool,
}

/// Names at a crate's root that stand for something in a module, as lib.rs re-exports them.
pub type Exports = BTreeMap<String, String>;

/// Reads `text`, the module `module` (`firstbyte::wire::head`) of a crate that exports `exports`.
///
/// # Panics
/// If `text` is not Rust.
pub fn read(text: &str, module: &str, exports: &Exports) -> Source {
    let tokens: TokenStream =
        text.parse().unwrap_or_else(|error| panic!("{module} is not Rust: {error}"));
    let mut reader = Reader { exports, source: Source::default() };
    reader.read(&tokens.into_iter().collect::<Vec<_>>(), module);
    reader.source
}

/// The re-exports (`pub use app::App;`) of a crate root: `App` → `firstbyte::app::App`.
pub fn exports(lib: &str, crate_name: &str) -> Exports {
    let source = read(lib, crate_name, &Exports::new());
    let outer = ["std", "core", "alloc"];
    source
        .mentions
        .into_iter()
        .filter_map(|mention| {
            let (module, name) = mention.path.rsplit_once("::")?;
            let module = module.trim_start_matches(crate_name).trim_start_matches("::");
            let inner = !mention.hides
                && !module.is_empty()
                && !outer.contains(&module.split("::").next()?);
            inner.then(|| (name.to_owned(), format!("{crate_name}::{module}::{name}")))
        })
        .collect()
}

struct Reader<'e> {
    exports: &'e Exports,
    source: Source,
}

impl Reader<'_> {
    fn read(&mut self, tokens: &[TokenTree], module: &str) {
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            if let Some(end) = test_item_end(tokens, at) {
                at = end;
                continue;
            }
            match token {
                TokenTree::Group(group) => {
                    self.read(&group.stream().into_iter().collect::<Vec<_>>(), module);
                    at += 1;
                }
                TokenTree::Ident(word) if word == "use" => {
                    at = self.read_use(tokens, at + 1, module)
                }
                TokenTree::Ident(word) if word == "mod" => {
                    // An inline module: its contents are one level deeper.
                    match (tokens.get(at + 1), tokens.get(at + 2)) {
                        (Some(TokenTree::Ident(name)), Some(TokenTree::Group(body))) => {
                            let inner = format!("{module}::{name}");
                            self.read(&body.stream().into_iter().collect::<Vec<_>>(), &inner);
                            at += 3;
                        }
                        _ => at += 2, // `mod name;` mentions nothing
                    }
                }
                TokenTree::Ident(word) if word == "unsafe" => {
                    let acts = matches!(tokens.get(at + 1), Some(TokenTree::Group(_)))
                        || is_word(tokens.get(at + 1), "impl");
                    if acts {
                        self.source.unsafe_lines.push(word.span().start().line);
                    }
                    at += 1;
                }
                TokenTree::Ident(word) if word == "unsafe_code" => {
                    // only ever within #![forbid(…)] or #![deny(…)]
                    self.source.denies_unsafe = true;
                    at += 1;
                }
                TokenTree::Ident(_) => at = self.read_path(tokens, at, module),
                _ => at += 1,
            }
        }
    }

    /// A path in an expression or a type, from its first segment on; a macro call if `!` follows.
    fn read_path(&mut self, tokens: &[TokenTree], start: usize, module: &str) -> usize {
        let mut segments = Vec::new();
        let mut at = start;
        while let Some(TokenTree::Ident(segment)) = tokens.get(at) {
            segments.push(segment.to_string());
            at += 1;
            if !is_path_separator(tokens, at) {
                break;
            }
            at += 2;
        }
        let line = tokens[start].span().start().line;
        if matches!(tokens.get(at), Some(TokenTree::Punct(mark)) if mark.as_char() == '!')
            && matches!(tokens.get(at + 1), Some(TokenTree::Group(_)))
        {
            self.source.macros.push((line, segments.last().cloned().unwrap_or_default()));
        }
        // A field or a method is not a path; a single name is local, or was imported.
        let is_member = start > 0
            && matches!(&tokens[start - 1], TokenTree::Punct(dot) if dot.as_char() == '.');
        if segments.len() > 1 && !is_member {
            self.mention(line, &segments, module, false, None);
        }
        at
    }

    /// A use declaration, up to its semicolon.
    fn read_use(&mut self, tokens: &[TokenTree], start: usize, module: &str) -> usize {
        let end = tokens[start..]
            .iter()
            .position(|token| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ';'))
            .map_or(tokens.len(), |at| start + at);
        self.read_use_tree(&tokens[start..end], &[], module);
        end + 1
    }

    fn read_use_tree(&mut self, tokens: &[TokenTree], prefix: &[String], module: &str) {
        for branch in
            tokens.split(|token| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ','))
        {
            let Some(first) = branch.first() else { continue };
            let line = first.span().start().line;
            let mut path = prefix.to_vec();
            let mut hides = false;
            let mut alias = None;
            let mut is_glob = false;
            let mut nested = false;
            let mut rest = branch.iter();
            while let Some(token) = rest.next() {
                match token {
                    TokenTree::Ident(word) if word == "as" => {
                        hides = true;
                        alias = rest.next().map(TokenTree::to_string);
                    }
                    TokenTree::Ident(word) if word == "self" && !path.is_empty() => hides = true,
                    TokenTree::Ident(word) => path.push(word.to_string()),
                    TokenTree::Punct(mark) if mark.as_char() == '*' => {
                        hides = true;
                        is_glob = true;
                    }
                    TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                        self.read_use_tree(
                            &group.stream().into_iter().collect::<Vec<_>>(),
                            &path,
                            module,
                        );
                        nested = true;
                    }
                    _ => {}
                }
            }
            if !nested && !path.is_empty() {
                // `use std::net;` imports a module: its uses are visible as `net::…`.
                let imported = alias.or_else(|| path.last().cloned()).filter(|_| !is_glob);
                self.mention(line, &path, module, hides, imported);
            }
        }
    }

    fn mention(
        &mut self,
        line: usize,
        segments: &[String],
        module: &str,
        hides: bool,
        imported: Option<String>,
    ) {
        let crate_name = module.split("::").next().unwrap_or_default();
        let mut base: Vec<&str> = module.split("::").collect();
        let mut rest = segments;
        let mut anchored = false;
        while let Some(first) = rest.first() {
            match first.as_str() {
                "crate" => base.truncate(1),
                "super" => {
                    base.pop();
                }
                "self" => {}
                _ => break,
            }
            anchored = true;
            rest = &rest[1..];
        }
        let mut path = rest.join("::");
        if anchored {
            let name = rest.first().map(String::as_str).unwrap_or_default();
            path = match (base.as_slice(), self.exports.get(name)) {
                ([root], Some(exported)) if *root == crate_name => {
                    [std::slice::from_ref(exported), &rest[1..]].concat().join("::")
                }
                _ => [base.join("::"), path].join("::"),
            };
        }
        self.source.mentions.push(Mention { line, path, hides, imported });
    }
}

fn is_word(token: Option<&TokenTree>, word: &str) -> bool {
    matches!(token, Some(TokenTree::Ident(ident)) if ident == word)
}

fn is_path_separator(tokens: &[TokenTree], at: usize) -> bool {
    let colon = |token: Option<&TokenTree>| match token {
        Some(TokenTree::Punct(mark)) => mark.as_char() == ':',
        _ => false,
    };
    colon(tokens.get(at)) && colon(tokens.get(at + 1))
}

/// If `#[cfg(test)]` or `#[test]` is at `at`: the end of the item after it.
fn test_item_end(tokens: &[TokenTree], at: usize) -> Option<usize> {
    let (TokenTree::Punct(hash), Some(TokenTree::Group(attribute))) =
        (tokens.get(at)?, tokens.get(at + 1))
    else {
        return None;
    };
    let text: String = attribute.stream().to_string().split_ascii_whitespace().collect();
    if hash.as_char() != '#' || !matches!(text.as_str(), "cfg(test)" | "test") {
        return None;
    }
    let mut end = at + 2;
    while let Some(token) = tokens.get(end) {
        end += 1;
        match token {
            TokenTree::Punct(mark) if mark.as_char() == ';' => break,
            TokenTree::Group(body) if body.delimiter() == Delimiter::Brace => break,
            _ => {}
        }
    }
    Some(end)
}
