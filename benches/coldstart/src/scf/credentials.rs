//! The user's API key, from the environment or from a profile of tccli. The tool signs requests
//! with it, and never prints, logs or writes it.

use serde_json::Value;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use tc3::Credential;

/// Environment variables, in the order of the signature's fields.
const ID: &str = "TENCENTCLOUD_SECRET_ID";
const KEY: &str = "TENCENTCLOUD_SECRET_KEY";
const TOKEN: &str = "TENCENTCLOUD_TOKEN";
const REGION: &str = "TENCENTCLOUD_REGION";
/// tccli's own variable for the profile.
const PROFILE: &str = "TCCLI_PROFILE";
/// The largest profile file that the tool reads, in bytes.
const MAX_PROFILE_BYTES: u64 = 1 << 20;

/// A key and its source.
#[derive(Clone)]
pub struct Credentials {
    credential: Credential,
    token: Option<String>,
    /// The source for messages: `the environment`, or the file.
    pub origin: String,
}

/// Shows neither the key nor its token.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// Why there is no usable key.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// No variable is set and no profile exists.
    #[error(
        "no credentials: set {ID} and {KEY} (and {TOKEN} for temporary ones), or type `tccli \
         configure`, which writes `{looked}`"
    )]
    None {
        /// The profile's file.
        looked: PathBuf,
    },
    /// Only one half of the key is set.
    #[error("{set} is set and {missing} is not: set both, or none to use tccli's profile")]
    Half {
        /// The variable that is set.
        set: &'static str,
        /// The variable that is missing.
        missing: &'static str,
    },
    /// The profile's file has no key.
    #[error("`{path}` has no {member}: type `tccli configure` again")]
    Profile {
        /// The file.
        path: PathBuf,
        /// What is missing.
        member: &'static str,
    },
    /// The key contains characters that a header field cannot have.
    #[error("{0} has a character that no key has: copy it again")]
    Character(&'static str),
}

impl Credentials {
    /// Reads the environment, then tccli's profile (`profile`, TCCLI_PROFILE or `default`). Also
    /// returns the region, if either states it.
    ///
    /// # Errors
    /// [`CredentialsError`] says what to set.
    pub fn find(
        variable: impl Fn(&str) -> Option<OsString>,
        home: Option<&Path>,
        profile: Option<&str>,
    ) -> Result<(Self, Option<String>), CredentialsError> {
        let set = |name: &str| {
            variable(name).and_then(|v| v.into_string().ok()).filter(|v| !v.trim().is_empty())
        };
        let folder = home.unwrap_or(Path::new("")).join(".tccli");
        let chosen = profile.map(str::to_owned).or_else(|| set(PROFILE));
        let name = chosen.unwrap_or_else(|| "default".into());
        let looked = folder.join(format!("{name}.credential"));
        let of_profile = region_of(&folder.join(format!("{name}.configure")));
        let region = set(REGION).or(of_profile);
        // A profile that the user names takes precedence.
        let environment = profile.is_none();
        let found = match (set(ID), set(KEY)) {
            (Some(id), Some(key)) if environment => {
                Self::new(&id, &key, set(TOKEN), "the environment".into())?
            }
            (Some(_), None) if environment => {
                return Err(CredentialsError::Half { set: ID, missing: KEY });
            }
            (None, Some(_)) if environment => {
                return Err(CredentialsError::Half { set: KEY, missing: ID });
            }
            _ => Self::of_file(&looked)?,
        };
        Ok((found, region))
    }

    /// Makes a key from its parts.
    ///
    /// # Errors
    /// [`CredentialsError::Character`].
    pub fn new(
        id: &str,
        key: &str,
        token: Option<String>,
        origin: String,
    ) -> Result<Self, CredentialsError> {
        let plain = |text: &str| text.chars().all(|c| c.is_ascii_graphic());
        let (id, key) = (id.trim(), key.trim());
        let token = token.map(|token| token.trim().to_owned());
        if !plain(id) {
            return Err(CredentialsError::Character("the key's identity"));
        }
        if !plain(key) {
            return Err(CredentialsError::Character("the secret key"));
        }
        if !token.as_deref().is_none_or(plain) {
            return Err(CredentialsError::Character("the token"));
        }
        Ok(Self { credential: Credential::new(id, key), token, origin })
    }

    fn of_file(path: &Path) -> Result<Self, CredentialsError> {
        let none = || CredentialsError::None { looked: path.to_owned() };
        let missing = |member| CredentialsError::Profile { path: path.to_owned(), member };
        let size = fs::metadata(path).map_err(|_| none())?.len();
        let text = if size > MAX_PROFILE_BYTES { None } else { fs::read_to_string(path).ok() };
        let value: Value =
            text.and_then(|t| serde_json::from_str(&t).ok()).ok_or_else(|| missing("JSON"))?;
        let member =
            |name: &str| value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let id = member("secretId").ok_or_else(|| missing("secretId"))?;
        let key = member("secretKey").ok_or_else(|| missing("secretKey"))?;
        let token = member("token").map(str::to_owned);
        Self::new(id, key, token, format!("`{}`", path.display()))
    }

    pub(super) fn credential(&self) -> &Credential {
        &self.credential
    }

    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }
}

/// Reads `_sys_param.region` of a profile's settings.
fn region_of(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let value: Value = serde_json::from_str(&text).ok()?;
    let region = value.get("_sys_param")?.get("region")?.as_str()?;
    (!region.is_empty()).then(|| region.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(set: &[(&str, &str)], home: &Path) -> Result<(Credentials, Option<String>), String> {
        let of = |name: &str| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        };
        Credentials::find(of, Some(home), None).map_err(|e| e.to_string())
    }

    #[test]
    fn the_environment_precedes_the_profile_and_an_incomplete_key_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let nobody = with(&[], home.path()).unwrap_err();
        assert!(nobody.contains(ID) && nobody.contains("default.credential"), "{nobody}");
        std::fs::create_dir(home.path().join(".tccli")).unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(home.path().join(".tccli").join(name), text).unwrap();
        };
        write("default.credential", r#"{"secretId": "profile-id", "secretKey": "profile-key"}"#);
        write("default.configure", r#"{"_sys_param": {"region": "ap-shanghai"}}"#);
        let (found, region) = with(&[], home.path()).unwrap();
        assert_eq!(found.credential().id(), "profile-id");
        assert_eq!(region.as_deref(), Some("ap-shanghai"));
        let set = [(ID, "env-id"), (KEY, "env-key"), (TOKEN, "t"), (REGION, "ap-guangzhou")];
        let (found, region) = with(&set, home.path()).unwrap();
        assert_eq!((found.credential().id(), found.token()), ("env-id", Some("t")));
        assert_eq!(region.as_deref(), Some("ap-guangzhou"));
        assert!(with(&set[..1], home.path()).unwrap_err().contains(KEY));
        assert!(with(&set[1..2], home.path()).unwrap_err().contains(ID));
        assert!(with(&[(ID, "a\nb"), (KEY, "k")], home.path()).unwrap_err().contains("character"));
    }

    #[test]
    fn a_key_is_never_shown() {
        let key = Credentials::new("id-1", "key-2", Some("token-3".into()), "a test".into());
        let shown = format!("{:?}", key.unwrap());
        assert!(!shown.contains("key-2") && !shown.contains("token-3"), "{shown}");
    }
}
