//! Which names stand before a value that must not be printed: of header fields, and of the members
//! of events that hold such fields. A list of words and not of the platforms' headers, so that a
//! secret that is new or the user's own is not the one that leaks; a test in `platform` checks that
//! it covers each platform's own.

/// A name that has one of these in it is a secret's.
const WORDS: [&str; 11] = [
    "secret",
    "token",
    "password",
    "passwd",
    "authorization",
    "cookie",
    "credential",
    "access-key",
    "api-key",
    "session",
    "signature",
];

/// Lambda's two contexts: no credentials, but `identity` and `authorizer` in them name the caller.
const NAMES: [&str; 2] = ["x-amzn-request-context", "x-amzn-lambda-context"];

/// Whether the value of `name` must not be printed.
pub(crate) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    WORDS.iter().any(|word| name.contains(word)) || NAMES.contains(&name.as_str())
}

/// The text without what looks like a secret in it: the user and password of a URL
/// (`postgres://…@host`), and values after a secret's name (`password=…`, `"token": "…"`).
#[cold]
pub(crate) fn redacted(text: &str) -> String {
    let ends = |byte: char| byte.is_whitespace() || "\"'`,;&()<>[]{}".contains(byte);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['=', ':']) {
        let (before, after) = rest.split_at(at + 1);
        out.push_str(before);
        rest = after;
        if let Some(authority) = after.strip_prefix("//") {
            let end = authority.find(|c: char| ends(c) || "/?#".contains(c));
            let authority = &authority[..end.unwrap_or(authority.len())];
            if let Some(user) = authority.rfind('@') {
                out.push_str("//redacted");
                rest = &after[2 + user..];
            }
            continue;
        }
        let name = before[..at].trim_end_matches(['"', '\'', ' ']);
        let name = name.rsplit(|c: char| !(c.is_alphanumeric() || "-_.".contains(c))).next();
        if !name.is_some_and(|name| !name.is_empty() && is_secret(name)) {
            continue;
        }
        let name = name.unwrap_or_default();
        // In prose a colon stands behind the word as well: `the token: it has expired`. A field's
        // name has a dash in it, but for one, whose value has a space in it.
        let open = after.len() - after.trim_start_matches(['"', '\'', ' ']).len();
        let value = &after[open..];
        let is_field = name.contains('-') || name.eq_ignore_ascii_case("authorization");
        let is_prose = before.ends_with(':') && !after[..open].contains(['"', '\'']) && !is_field;
        if value.is_empty() || is_prose {
            continue;
        }
        out.push_str(&after[..open]);
        out.push_str("redacted");
        let scheme = ["Bearer ", "Basic "].iter().find(|scheme| value.starts_with(**scheme));
        let value = &value[scheme.map_or(0, |scheme| scheme.len())..];
        rest = &value[value.find(ends).unwrap_or(value.len())..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_not_told() {
        for (text, told) in [
            ("plain: words", "plain: words"),
            ("postgres://u:p@h:5432/db failed", "postgres://redacted@h:5432/db failed"),
            ("https://h/path?a=1", "https://h/path?a=1"),
            ("https://h/a@b", "https://h/a@b"),
            ("(redis://:p@ss@h)", "(redis://redacted@h)"),
            ("host=h password=p user=u", "host=h password=redacted user=u"),
            ("GET /?access_token=abc&x=1", "GET /?access_token=redacted&x=1"),
            (r#"{"secret": "s", "a": "b"}"#, r#"{"secret": "redacted", "a": "b"}"#),
            ("the token: it has expired", "the token: it has expired"),
            ("password authentication failed", "password authentication failed"),
            ("x-api-key: abc, x: y", "x-api-key: redacted, x: y"),
            ("Authorization: Bearer abc.def end", "Authorization: redacted end"),
            ("password=", "password="),
            ("a\u{fc}=\u{fc}: t\u{fc}r", "a\u{fc}=\u{fc}: t\u{fc}r"),
        ] {
            assert_eq!(redacted(text), told);
        }
    }
}
