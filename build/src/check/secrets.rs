//! The rule about secrets: none in what everyone who may pull the image can read. It names where
//! one may be and never shows it.

use super::finding::{Judgement, Subject, fail, pass};
use regex::Regex;
use std::sync::LazyLock;

/// Names that promise a secret.
static SECRET_NAMES: LazyLock<Regex> = LazyLock::new(|| {
    let words = "secret|passw(or)?d|passphrase|api_?key|access_?key|private_?key|credential";
    Regex::new(&format!("(?i:{words}|(^|_)token$)")).expect("our own expression")
});
/// Values that look like one: cloud key ids, private keys, tokens of code forges, a password in an
/// URL.
static SECRET_VALUES: LazyLock<Regex> = LazyLock::new(|| {
    let values = [
        "AKID[0-9A-Za-z]{13,40}",
        "LTAI[0-9A-Za-z]{12,30}",
        "AKIA[0-9A-Z]{16}",
        "-----BEGIN [A-Z ]*PRIVATE KEY",
        "gh[pousr]_[0-9A-Za-z]{36}",
        "glpat-[0-9A-Za-z_-]{20}",
        r"://[^/:@\s]+:[^/@\s]+@",
    ];
    Regex::new(&values.join("|")).expect("our own expression")
});

pub(super) fn secrets(subject: &Subject<'_>) -> Judgement {
    let env =
        subject.image.env().iter().map(|line| ("env", line.split_once('=').unwrap_or((line, ""))));
    let labels = subject.image.labels().into_iter().map(|pair| ("label", pair));
    let annotations = subject.image.annotations().into_iter().map(|pair| ("annotation", pair));
    let suspicious = |(_, (name, value)): &(&str, (&str, &str))| {
        !value.is_empty() && (SECRET_NAMES.is_match(name) || SECRET_VALUES.is_match(value))
    };
    let found: Vec<_> = env
        .chain(labels)
        .chain(annotations)
        .filter(suspicious)
        .map(|(kind, (name, _))| format!("{kind} `{}`", name.escape_debug()))
        .collect();
    if found.is_empty() {
        return pass("none in environment, labels or annotations");
    }
    fail(
        format!("{} may hold a secret (values are not shown)", found.join(", ")),
        "pass it at run time: bind a role, or set the function's environment",
    )
}
