//! .dockerignore: patterns of paths that are excluded from a build context. It matches paths and
//! reads no disk. Docker's reference, ".dockerignore files"; the last pattern that matches a path
//! or one of its folders decides.

use regex::Regex;

/// The patterns of a .dockerignore file, in order.
#[derive(Debug, Default)]
pub struct Ignore(Vec<(bool, Regex)>);

/// An invalid pattern.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of .dockerignore: pattern `{pattern}` {why}")]
pub struct IgnoreError {
    /// Line, counted from 1.
    pub line: usize,
    /// The pattern as written.
    pub pattern: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Ignore {
    /// Reads the text of a .dockerignore file.
    ///
    /// # Errors
    /// [`IgnoreError`] for a pattern that Docker refuses too.
    pub fn parse(text: &str) -> Result<Ignore, IgnoreError> {
        let mut patterns = Vec::new();
        for (number, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let (keeps, pattern) = match line.trim().strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, line.trim()),
            };
            let error =
                |why| IgnoreError { line: number + 1, pattern: line.trim().to_owned(), why };
            let clean = crate::rootfs::normalize("", pattern);
            if clean.is_empty() {
                if pattern.is_empty() {
                    return Err(error("has no path after `!`"));
                }
                continue; // the context itself is never excluded
            }
            let expression =
                expression(&clean).ok_or_else(|| error("has a bracket that is not closed"))?;
            patterns.push((
                keeps,
                Regex::new(&expression).map_err(|_| error("is not a valid pattern"))?,
            ));
        }
        Ok(Ignore(patterns))
    }

    /// Whether `path` (relative to the context, separated by `/`) is excluded.
    pub fn excludes(&self, path: &str) -> bool {
        let folders = path.match_indices('/').map(|(end, _)| &path[..end]);
        let names: Vec<&str> = folders.chain([path]).collect();
        self.0.iter().fold(false, |excluded, (keeps, pattern)| {
            match names.iter().any(|n| pattern.is_match(n)) {
                true => !keeps,
                false => excluded,
            }
        })
    }

    /// Whether a pattern may include entries below an excluded folder again.
    pub fn has_exceptions(&self) -> bool {
        self.0.iter().any(|(keeps, _)| *keeps)
    }
}

/// The regular expression for a pattern: `*`, `?` and `[a-z]` match within one name, `**` across
/// names. Next to letters, `**` follows moby's own rule (patternmatcher): `a**b` matches `ab` and a
/// path from `a` to `/b`; only `**b`, with nothing but letters after it, matches any path that ends
/// so.
fn expression(pattern: &str) -> Option<String> {
    if let Some(end) = pattern
        .strip_prefix("**")
        .filter(|end| !end.is_empty() && !end.contains(['*', '?', '[', ']', '\\', '/']))
    {
        return Some(format!("^.*{}$", regex::escape(end)));
    }
    let mut out = String::from("^");
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '*' if rest.next_if_eq(&'*').is_some() => {
                rest.next_if_eq(&'/');
                out.push_str(if rest.peek().is_some() { "(?:.*/)?" } else { ".*" });
            }
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '\\' => out.push_str(&regex::escape(&rest.next()?.to_string())),
            '[' => {
                let mut class = String::new();
                let negated = rest.next_if(|c| *c == '^').is_some();
                loop {
                    match rest.next()? {
                        ']' if !class.is_empty() => break,
                        '\\' => class.push_str(&regex::escape(&rest.next()?.to_string())),
                        '-' => class.push('-'),
                        other => class.push_str(&regex::escape(&other.to_string())),
                    }
                }
                out.push_str(&format!("[{}{class}]", if negated { "^" } else { "" }));
            }
            other => out.push_str(&regex::escape(&other.to_string())),
        }
    }
    out.push('$');
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decides_as_dockers_reference_does() {
        for (patterns, excluded, kept) in [
            ("*/temp*", &["a/temporary.txt", "b/temp/x"][..], &["temp", "a/b/temp"][..]),
            ("*/*/temp*", &["a/b/temporary.txt"], &["a/temp"]),
            ("temp?", &["tempa", "tempb"], &["temp", "tempab"]),
            ("**/*.go", &["a.go", "x/y/b.go"], &["a.god"]),
            ("*.md\n!README.md", &["a.md"], &["README.md"]),
            ("*.md\n!README*.md\nREADME-secret.md", &["README-secret.md", "x.md"], &["README.md"]),
            ("*.md\nREADME-secret.md\n!README*.md", &["x.md"], &["README-secret.md"]),
            (
                "*\n!target/image/root",
                &["target/other", "Cargo.toml", "target"],
                &["target/image/root", "target/image/root/app"],
            ),
            ("/target/\n# words\n\n", &["target", "target/x"], &["src/target", "# words"]),
            ("a/**/b", &["a/b", "a/x/b", "a/x/y/b/c"], &["a/x"]),
            ("a/**", &["a/x", "a/x/y"], &["a", "b"]),
            ("a**b", &["ab", "a/b", "ax/b", "a/x/y/b"], &["axb", "a/xb"]),
            ("**foo*", &["foo", "foobar", "x/foo1"], &["xfoo", "x/afoo"]),
            ("**foo", &["foo", "xfoo", "x/yfoo"], &["foox"]),
            ("a**", &["a", "ab", "a/b"], &["b"]),
            ("**/foo/bar", &["foo/bar", "x/foo/bar"], &["xfoo/bar"]),
            ("[a-c].x", &["a.x", "c.x"], &["d.x"]),
            ("[^a].x", &["b.x"], &["a.x"]),
            (r"\*.x", &["*.x"], &["a.x"]),
            (".", &[], &["a"]),
            ("a+b", &["a+b"], &["aab"]),
        ] {
            let ignore = Ignore::parse(patterns).expect(patterns);
            assert!(
                excluded.iter().all(|p| ignore.excludes(p)),
                "{patterns:?} leaves out {excluded:?}"
            );
            assert!(!kept.iter().any(|p| ignore.excludes(p)), "{patterns:?} keeps {kept:?}");
        }
    }

    #[test]
    fn names_the_line_of_a_bad_pattern() {
        let error = Ignore::parse("ok\n[a").expect_err("not closed");
        assert_eq!(
            error.to_string(),
            "line 2 of .dockerignore: pattern `[a` has a bracket that is not closed"
        );
        assert_eq!(Ignore::parse("!").expect_err("nothing").line, 1);
    }
}
