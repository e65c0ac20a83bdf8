//! Rule about secrets: no part of the image that everyone who may pull it can read may contain one.
//! It names the place of a suspected secret and never shows its value.

use super::files::{Suspect, suspects};
use super::finding::{Judgement, Subject, fail, pass, warn};
use regex::Regex;
use std::sync::LazyLock;

/// Words in names of variables that usually hold a secret.
static SECRET_NAMES: LazyLock<Regex> = LazyLock::new(|| {
    let words = "secret|passw(or)?d|passphrase|api_?key|access_?key|private_?key|credential";
    Regex::new(&format!("(?i:{words}|(^|_)token$)")).expect("our own expression")
});
/// Values that look like a secret: cloud key ids, private keys, tokens of code hosts, a password in
/// a URL.
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

/// Largest number of files listed.
const MOST_NAMED: usize = 20;

pub(super) fn secrets(subject: &Subject<'_>) -> Judgement {
    let env =
        subject.image.env().iter().map(|line| ("env", line.split_once('=').unwrap_or((line, ""))));
    let labels = subject.image.labels().into_iter().map(|pair| ("label", pair));
    let annotations = subject.image.annotations().into_iter().map(|pair| ("annotation", pair));
    let suspicious = |(_, (name, value)): &(&str, (&str, &str))| {
        !value.is_empty() && (SECRET_NAMES.is_match(name) || SECRET_VALUES.is_match(value))
    };
    let mut found: Vec<_> = env
        .chain(labels)
        .chain(annotations)
        .filter(suspicious)
        .map(|(kind, (name, _))| format!("{kind} `{}`", name.escape_debug()))
        .collect();
    if subject.image.argv().iter().any(|word| SECRET_VALUES.is_match(word)) {
        found.push("an argument".into());
    }
    // How each layer was built: a shell command, including its values.
    let history = subject.image.config().history().iter().flatten();
    for (number, line) in history.enumerate() {
        if line.created_by().as_deref().is_some_and(|text| SECRET_VALUES.is_match(text)) {
            found.push(format!("line {} of the history", number + 1));
        }
    }
    let (files, unread) = match suspects(subject.image, subject.contents) {
        Ok(files) => (files, None),
        Err(error) => (Vec::new(), Some(format!("the files could not be searched: {error}"))),
    };
    found.extend(files.iter().take(MOST_NAMED).map(named));
    if files.len() > MOST_NAMED {
        found.push(format!("{} more files", files.len() - MOST_NAMED));
    }
    if found.is_empty() {
        return match unread {
            None => pass("none in environment, labels, annotations, arguments, history or files"),
            Some(why) => warn(why, "fetch or build the image again"),
        };
    }
    let mut remedy =
        "pass it at run time: bind a role, or set the function's environment".to_owned();
    if !files.is_empty() {
        remedy += "; keep the file out of the image (.dockerignore)";
    }
    if files.iter().any(|file| file.hidden_in.is_some()) {
        remedy += ", and build again without the layer that contains it: removing it in a later \
                   one does not take it away";
    }
    fail(format!("{} may contain a secret (values are not shown)", found.join(", ")), remedy)
}

fn named(file: &Suspect) -> String {
    match file.hidden_in {
        None => format!("file `{}` ({})", file.path, file.why),
        Some(layer) => {
            format!("file `{}` ({}) of layer {layer}, hidden by a later one", file.path, file.why)
        }
    }
}
