//! Names whose values must not be printed: of header fields, and of the members of events that hold
//! such fields. It is a list of words, and not of the platforms' headers, so that a new secret or
//! one of the user's own is hidden too; a test in `platform` checks that it covers each platform's
//! own.

/// A name that contains one of these is a secret's name.
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

/// Lambda's two contexts: they hold no credentials, but `identity` and `authorizer` in them name
/// the caller.
const NAMES: [&str; 2] = ["x-amzn-request-context", "x-amzn-lambda-context"];

/// `eq_ignore_ascii_case`, compiled once: inlined, it adds a screenful of code to each caller.
#[inline(never)]
fn is_same(text: &[u8], other: &[u8]) -> bool {
    text.eq_ignore_ascii_case(other)
}

/// Whether the value of `name` must not be printed.
#[inline(never)]
pub(crate) fn is_secret(name: &str) -> bool {
    let name = name.as_bytes();
    let begins = |at: usize, word: &str| {
        name.get(at..at + word.len()).is_some_and(|part| is_same(part, word.as_bytes()))
    };
    (0..name.len()).any(|at| WORDS.iter().any(|word| begins(at, word)))
        || NAMES.iter().any(|known| is_same(name, known.as_bytes()))
}

/// The text with `redacted` in place of what looks like a secret: the user and password of a URL
/// (`postgres://…@host`), and values after a secret's name (`password=…`, `"token": "…"`).
///
/// It goes byte by byte, without std's searches: those are 10 KiB, and every function has this
/// code.
#[cold]
#[inline(never)]
pub(crate) fn redacted(text: &str) -> String {
    let bytes = text.as_bytes();
    let is = |at: usize, any: &[u8]| is_one_of(bytes, at, any);
    let until = |mut at: usize, any: &[u8]| {
        while at < bytes.len() && !is(at, any) {
            at += 1;
        }
        at
    };
    let mut out = String::with_capacity(text.len());
    let (mut copied, mut at) = (0, 0);
    while at < bytes.len() {
        let (here, is_colon) = (at, bytes[at] == b':');
        at += 1;
        if !is(here, b"=:") {
            continue;
        }
        let (start, end) = if is_colon && is(here + 1, b"/") && is(here + 2, b"/") {
            let end = until(here + 3, b"/?# \t\r\n\"'`,;&()<>[]{}");
            match bytes[here + 3..end].iter().rposition(|byte| *byte == b'@') {
                Some(user) => (here + 3, here + 3 + user),
                None => continue,
            }
        } else {
            let mut last = here;
            while last > copied && is(last - 1, b"\"' ") {
                last -= 1;
            }
            let mut first = last;
            while first > copied
                && (bytes[first - 1].is_ascii_alphanumeric() || is(first - 1, b"-_."))
            {
                first -= 1;
            }
            let name = text.get(first..last).unwrap_or_default();
            let mut start = here + 1;
            while is(start, b"\"' ") {
                start += 1;
            }
            // In prose a colon can follow the word as well: `the token: it has expired`. A field's
            // name has a dash in it, except one, whose value has a space in it.
            let is_field = is_colon
                && (is(start.saturating_sub(1), b"\"'")
                    || name.bytes().any(|byte| byte == b'-')
                    || name.eq_ignore_ascii_case("authorization"));
            if name.is_empty() || (is_colon && !is_field) || !is_secret(name) {
                continue;
            }
            let rest = bytes.get(start..).unwrap_or_default();
            let scheme = [&b"Bearer "[..], b"Basic "].into_iter().find(|it| rest.starts_with(it));
            let value = start + scheme.map_or(0, <[u8]>::len);
            (start, until(value, b" \t\r\n\"'`,;&()<>[]{}"))
        };
        if end > start {
            out.push_str(text.get(copied..start).unwrap_or_default());
            out.push_str("redacted");
            (copied, at) = (end, end);
        }
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    out
}

#[inline(never)]
fn is_one_of(bytes: &[u8], at: usize, any: &[u8]) -> bool {
    bytes.get(at).is_some_and(|byte| any.iter().any(|it| it == byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_redacted() {
        for (text, expected) in [
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
            assert_eq!(redacted(text), expected);
        }
    }
}
