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
