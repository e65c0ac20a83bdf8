//! Injected faults of the platform, by name: `NAME[=ARGUMENT][*N]`; with `*N` it happens N times.
//! docs/CONTRACTS.md, section 10, describes each.

use crate::sync::lock;
use std::fmt;
use std::sync::Mutex;

/// Type of a fault's argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Argument {
    None,
    Optional,
    /// A number, which may have a fraction or a sign.
    Number,
    Text,
}

/// Names, arguments, and the help text of each.
const KNOWN: &[(&str, Argument, &str)] = &[
    ("update-delay", Argument::Number, "seconds until a change is Active; 0.2 without it"),
    ("create-failed", Argument::None, "a new function ends as CreateFailed"),
    ("update-failed", Argument::None, "a change ends as UpdateFailed; the old content answers"),
    ("publish-failed", Argument::None, "a version ends as PublishFailed"),
    ("logs-late", Argument::Number, "seconds until SearchLog finds a request's lines"),
    ("logs-missing", Argument::None, "a request's lines are never found"),
    ("logs-twice", Argument::None, "a request's lines are found twice"),
    ("line-form", Argument::Text, "form of the Init Report: 2021, docs, 2022 or cloudbase"),
    ("tail-cut", Argument::Number, "number of bytes in Tail, which may begin within a line"),
    ("tail-empty", Argument::None, "Tail is empty"),
    ("tail-base64", Argument::None, "Tail is base64, as in Lambda; SCF documents no coding"),
    ("burst", Argument::Number, "limit of instance starts per minute (429 beyond); 500 without it"),
    ("request-limit", Argument::Optional, "RequestLimitExceeded, for the action in the argument"),
    ("provisioned-in-progress", Argument::None, "provisioned concurrency stays InProgress"),
    ("provisioned-failed", Argument::None, "provisioned concurrency ends as Failed"),
    ("started-ahead", Argument::None, "an instance is started before the call: no Init Report"),
    ("warm-instead", Argument::None, "an older version's instance answers"),
    ("clock-skew", Argument::Number, "seconds by which the API's clock is ahead"),
    ("fail", Argument::Number, "a call fails with this status: 430, 439, 444, …"),
    ("reset", Argument::None, "the connection is reset after the function was called"),
    ("wrong-credentials", Argument::None, "AuthFailure.SecretIdNotFound"),
    ("no-quota", Argument::None, "LimitExceeded.Function, .FunctionVersions, …"),
    (
        "no-permission",
        Argument::Optional,
        "UnauthorizedOperation.CAM, for the action in the argument",
    ),
    ("foreign-image", Argument::None, "the image belongs to another account"),
    ("no-balance", Argument::None, "the account is in arrears"),
    ("error", Argument::Text, "the API's error CODE, or CODE@ACTION for one action"),
];

/// An injected fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    name: &'static str,
    argument: Option<String>,
    /// Number of remaining occurrences; `None` means no limit.
    left: Option<u32>,
}

impl Fault {
    /// Parses `NAME[=ARGUMENT][*N]`.
    ///
    /// # Errors
    /// States what is wrong with it, and lists the faults.
    ///
    /// # Example
    /// ```
    /// use emulator::api::fault::Fault;
    /// assert_eq!(Fault::parse("fail=430*1").unwrap().to_string(), "fail=430*1");
    /// assert!(Fault::parse("fial=430").unwrap_err().contains("line-form"));
    /// ```
    pub fn parse(text: &str) -> Result<Fault, String> {
        let (rest, left) = match text.rsplit_once('*') {
            Some((rest, times)) => (
                rest,
                Some(times.parse().ok().filter(|&times| times > 0).ok_or_else(|| {
                    format!("`{text}`: invalid count after `*`; write a number from 1")
                })?),
            ),
            None => (text, None),
        };
        let (name, argument) = match rest.split_once('=') {
            Some((name, argument)) => (name, Some(argument.to_owned())),
            None => (rest, None),
        };
        let Some((name, kind, about)) = KNOWN.iter().find(|(known, ..)| *known == name) else {
            let names: Vec<_> = KNOWN.iter().map(|(name, ..)| *name).collect();
            return Err(format!("unknown fault `{name}`; the faults are {}", names.join(", ")));
        };
        let is_right = match (kind, &argument) {
            (Argument::None, argument) => argument.is_none(),
            (Argument::Optional, _) => true,
            (Argument::Text, argument) => argument.as_ref().is_some_and(|text| !text.is_empty()),
            (Argument::Number, argument) => argument.as_ref().is_some_and(|text| {
                text.parse::<f64>().is_ok_and(|number| number.is_finite() && number.abs() < 1e9)
            }),
        };
        if !is_right {
            let needed = match kind {
                Argument::None => "takes no argument",
                Argument::Number => "needs a number: NAME=NUMBER",
                _ => "needs an argument: NAME=ARGUMENT",
            };
            return Err(format!("`{name}` {needed} ({about})"));
        }
        Ok(Fault { name, argument, left })
    }

    /// The list of faults, one line each.
    pub fn help() -> String {
        KNOWN.iter().map(|(name, _, about)| format!("  {name:24} {about}\n")).collect()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        self.argument.iter().try_for_each(|argument| write!(f, "={argument}"))?;
        self.left.iter().try_for_each(|left| write!(f, "*{left}"))
    }
}

/// The faults in force.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    /// Creates the list with these faults.
    pub fn new(faults: Vec<Fault>) -> Faults {
        Faults(Mutex::new(faults))
    }

    /// Activates a fault; it replaces one with the same name and argument.
    pub fn add(&self, fault: Fault) {
        let mut faults = lock(&self.0);
        let is_kind = |other: &Fault| {
            other.name == fault.name && (fault.name != "error" || other.argument == fault.argument)
        };
        faults.retain(|other| !is_kind(other));
        faults.push(fault);
    }

    /// Ends all faults of a name, or all faults.
    pub fn clear(&self, name: Option<&str>) {
        lock(&self.0).retain(|fault| name.is_some_and(|name| fault.name != name));
    }

    /// The faults in the form of the command line.
    pub fn list(&self) -> Vec<String> {
        lock(&self.0).iter().map(Fault::to_string).collect()
    }

    /// Uses up one occurrence of a fault, if it is in force.
    pub fn happens(&self, name: &str) -> bool {
        self.take(name, |_| true).is_some()
    }

    /// Like [`happens`](Self::happens), for one action; a fault without an action applies to all
    /// actions.
    pub fn happens_to(&self, name: &str, action: &str) -> bool {
        self.take(name, |fault| fault.argument.as_deref().is_none_or(|of| of == action)).is_some()
    }

    /// Uses up one occurrence of a fault with a text; returns the text.
    pub fn text(&self, name: &str, which: impl Fn(&str) -> bool) -> Option<String> {
        self.take(name, |fault| fault.argument.as_deref().is_some_and(&which))?.argument
    }

    /// Uses up one occurrence of a fault with a number; returns the number.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.text(name, |_| true)?.parse().ok()
    }

    /// The number of a fault in force; its count does not change.
    pub fn setting(&self, name: &str) -> Option<f64> {
        let faults = lock(&self.0);
        faults.iter().find(|fault| fault.name == name)?.argument.as_deref()?.parse().ok()
    }

    fn take(&self, name: &str, which: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let mut faults = lock(&self.0);
        let at = faults.iter().position(|fault| fault.name == name && which(fault))?;
        let found = faults[at].clone();
        match &mut faults[at].left {
            Some(1) => drop(faults.remove(at)),
            Some(left) => *left -= 1,
            None => {}
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_its_own_output_and_refuses_invalid_faults() {
        for text in ["logs-missing", "fail=430*2", "clock-skew=-400", "request-limit=Invoke*3"] {
            assert_eq!(Fault::parse(text).unwrap().to_string(), text);
        }
        for (text, expected) in [
            ("sing", "unknown fault `sing`"),
            ("fail", "`fail` needs a number"),
            ("fail=x", "`fail` needs a number"),
            ("fail=1e400", "`fail` needs a number"),
            ("logs-missing=1", "`logs-missing` takes no argument"),
            ("line-form", "`line-form` needs an argument"),
            ("reset*0", "invalid count after `*`"),
            ("reset*x", "invalid count after `*`"),
        ] {
            let error = Fault::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn happens_as_often_as_its_count() {
        let faults = Faults::default();
        faults.add(Fault::parse("reset*2").unwrap());
        faults.add(Fault::parse("request-limit=Invoke*1").unwrap());
        faults.add(Fault::parse("update-delay=3").unwrap());
        assert_eq!([(); 3].map(|()| faults.happens("reset")), [true, true, false]);
        let limits = ["Create", "Invoke", "Invoke"].map(|a| faults.happens_to("request-limit", a));
        assert_eq!(limits, [false, true, false]);
        assert_eq!([(); 2].map(|()| faults.setting("update-delay")), [Some(3.0), Some(3.0)]);
        assert_eq!(faults.list(), ["update-delay=3"]);
        faults.clear(None);
        assert_eq!(faults.list(), [""; 0]);
    }
}
