//! Names of the resources that a run creates in an account. Every deletion checks them and refuses
//! a name without our prefix.

/// Prefix of every name that a run creates.
pub const PREFIX: &str = "firstbyte-bench";
/// Longest name of a function that the platform allows.
const MAX_NAME_BYTES: usize = 60;
/// Longest name of a tag that the platform allows (distribution-spec).
const MAX_TAG_BYTES: usize = 128;

/// The identity of a run: eight hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunId(String);

impl RunId {
    /// Generates an identity.
    pub fn random() -> Self {
        Self(format!("{:08x}", fastrand::u32(..)))
    }

    /// Parses an identity.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        (text.len() == 8 && text.chars().all(hex)).then(|| Self(text.to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Prefix of this run's functions.
    pub fn prefix(&self) -> String {
        format!("{PREFIX}-{}-", self.0)
    }

    /// The name of a function of this run: `firstbyte-bench-RUN-WHAT`, with only the characters
    /// that the platform accepts.
    pub fn function(&self, what: &str) -> String {
        let plain = what.chars().map(|c| match c.is_ascii_alphanumeric() || c == '-' {
            true => c.to_ascii_lowercase(),
            false => '-',
        });
        let mut name = self.prefix() + &plain.collect::<String>();
        name.truncate(MAX_NAME_BYTES);
        name.trim_end_matches('-').to_owned()
    }

    /// Whether a run with this identity can have created a function with this name.
    pub fn owns_function(&self, name: &str) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        name.strip_prefix(&self.prefix())
            .is_some_and(|rest| !rest.is_empty() && rest.chars().all(plain))
            && name.len() <= MAX_NAME_BYTES
    }

    /// The tag of an image with a nonce.
    pub fn tag(&self, number: u64) -> String {
        format!("{PREFIX}-{}-{number}", self.0)
    }

    /// Whether a run with this identity can have created a reference `HOST/NAME:TAG`.
    pub fn owns_reference(&self, reference: &str) -> bool {
        let Some((repository, tag)) = reference.rsplit_once(':') else { return false };
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        repository.contains('/')
            && tag.len() <= MAX_TAG_BYTES
            && tag.strip_prefix(&self.prefix()).is_some_and(digits)
    }
}

/// Whether runs create a namespace of this name, and may delete it when it is empty.
pub fn is_our_namespace(name: &str) -> bool {
    name == PREFIX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognises_names_that_a_run_can_have_made() {
        let run = RunId::parse("0a1b2c3d").unwrap();
        let name = run.function("Echo_web/128");
        assert_eq!(name, "firstbyte-bench-0a1b2c3d-echo-web-128");
        assert!(run.owns_function(&name) && run.owns_function(&run.function(&"x".repeat(99))));
        for foreign in [
            "production",
            "firstbyte-bench",
            "firstbyte-bench-",
            "firstbyte-bench-0a1b2c3d-",
            "firstbyte-bench-0a1b2c3e-echo",
            "firstbyte-bench-0a1b2c3d-a b",
            "x-firstbyte-bench-0a1b2c3d-echo",
            "",
        ] {
            assert!(!run.owns_function(foreign), "{foreign}");
        }
        let tag = format!("ccr.ccs.tencentyun.com/ns/echo:{}", run.tag(7));
        assert!(run.owns_reference(&tag));
        for foreign in ["ccr.ccs.tencentyun.com/ns/echo:v1", "echo", &tag[..tag.len() - 1], "a:b"] {
            assert!(!run.owns_reference(foreign), "{foreign}");
        }
        assert!(is_our_namespace("firstbyte-bench") && !is_our_namespace("default"));
        for wrong in ["", "0a1b2c3", "0A1B2C3D", "0a1b2c3d4", "../../..", "0a1b2c3g"] {
            assert_eq!(RunId::parse(wrong), None, "{wrong}");
        }
        assert!(RunId::parse(RunId::random().as_str()).is_some());
    }
}
