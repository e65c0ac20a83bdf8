//! Credentials for a registry: from the environment, from the files of Docker and podman, and from
//! credential helpers. It sends nothing to a registry, and no secret is ever printed. Docker's
//! reference, "docker login", credential helpers; containers-auth.json(5).

use super::auth_file::{self, AuthFile, Held};
use super::error::RegistryError;
use serde::Deserialize;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Largest credentials file, and longest answer of a helper, in bytes.
const MAX_BYTES: u64 = 1 << 20;
/// Time limit of a helper, which may have to ask the user.
const HELPER_TIMEOUT: Duration = Duration::from_secs(120);

/// Credentials of the client. They are never printed.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// No credentials.
    Anonymous,
    /// A user name and a password or token.
    Basic {
        /// The user name.
        username: String,
        /// The secret.
        password: String,
    },
    /// An OAuth2 refresh token, which a token server exchanges for an access token ("identity
    /// token").
    IdentityToken(String),
    /// A token that the registry itself accepts ("registry token").
    RegistryToken(String),
}

impl Credentials {
    /// The user name, for an error message.
    pub(super) fn user(&self) -> &str {
        match self {
            Credentials::Anonymous => "nobody",
            Credentials::Basic { username, .. } => username,
            Credentials::IdentityToken(_) | Credentials::RegistryToken(_) => "a token",
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credentials::Anonymous => "Anonymous",
            Credentials::Basic { .. } => "Basic(redacted)",
            Credentials::IdentityToken(_) => "IdentityToken(redacted)",
            Credentials::RegistryToken(_) => "RegistryToken(redacted)",
        })
    }
}

/// Credentials and where they were found, for an error message.
#[derive(Clone, Debug)]
pub struct Found {
    /// The credentials.
    pub credentials: Credentials,
    /// Where they were found, for example "`/root/.docker/config.json`".
    pub origin: String,
}

impl Found {
    pub(super) fn nothing() -> Found {
        Found { credentials: Credentials::Anonymous, origin: "nowhere".to_owned() }
    }
}

/// Why the client contacts a registry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RegistryPurpose {
    /// `push` or `pull` names the registry; a command has one such registry.
    ByTarget,
    /// The registry is part of the name of an image to inspect.
    InPassing,
}

/// Places to look for credentials, from the environment. No file is read before a registry requires
/// credentials.
#[derive(Clone, Default)]
pub struct Keychain {
    /// Value of MICROIMAGE_USERNAME.
    username: Option<String>,
    /// Value of MICROIMAGE_PASSWORD.
    password: Option<String>,
    /// Value of MICROIMAGE_REGISTRY: the registry that the two belong to.
    registry: Option<String>,
    /// Credentials files; the first one with an entry wins.
    files: Vec<PathBuf>,
}

impl fmt::Debug for Keychain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keychain").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Keychain {
    /// Reads the places from the environment. `variable` reads one variable; `home` is the user's
    /// home directory. REGISTRY_AUTH_FILE replaces all other files, as in podman and skopeo.
    /// Otherwise the order is: Docker's file (DOCKER_CONFIG), podman's for this session, podman's
    /// for this user.
    pub fn from_environment(
        variable: impl Fn(&str) -> Option<OsString>,
        home: Option<&Path>,
    ) -> Keychain {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| variable(name).map(|value| value.to_string_lossy().into_owned());
        let below = |root: Option<PathBuf>, name: &str| root.map(|root| root.join(name));
        let folder = |name: &str, usual: &str| {
            variable(name).map(PathBuf::from).or_else(|| home.map(|home| home.join(usual)))
        };
        let files = match variable("REGISTRY_AUTH_FILE") {
            Some(file) => vec![PathBuf::from(file)],
            None => [
                below(folder("DOCKER_CONFIG", ".docker"), "config.json"),
                below(variable("XDG_RUNTIME_DIR").map(PathBuf::from), "containers/auth.json"),
                below(folder("XDG_CONFIG_HOME", ".config"), "containers/auth.json"),
            ]
            .into_iter()
            .flatten()
            .collect(),
        };
        Keychain {
            username: text("MICROIMAGE_USERNAME"),
            password: text("MICROIMAGE_PASSWORD"),
            registry: text("MICROIMAGE_REGISTRY"),
            files,
        }
    }

    /// The credentials for a repository of `registry`. If MICROIMAGE_REGISTRY is set, the
    /// variables' credentials go to that registry only. Otherwise they go to the registry that
    /// `push` or `pull` names, and never to a registry that is only part of an image's name.
    ///
    /// # Errors
    /// [`RegistryError::Half`] if only a user name or only a password is set;
    /// [`RegistryError::Credentials`] if a file or helper cannot be read.
    pub fn find(
        &self,
        registry: &str,
        repository: &str,
        asked: RegistryPurpose,
    ) -> Result<Found, RegistryError> {
        let is_same = |ours: &str| auth_file::names(registry).any(|name| name == ours);
        let ours = self.registry.as_deref().map_or(asked == RegistryPurpose::ByTarget, is_same);
        if ours && (self.username.is_some() || self.password.is_some()) {
            let half = |has: &str, lacks: &str| RegistryError::Half {
                registry: registry.to_owned(),
                has: has.to_owned(),
                lacks: lacks.to_owned(),
            };
            let username =
                self.username.clone().ok_or(half("MICROIMAGE_PASSWORD", "MICROIMAGE_USERNAME"))?;
            let password =
                self.password.clone().ok_or(half("MICROIMAGE_USERNAME", "MICROIMAGE_PASSWORD"))?;
            let credentials = Credentials::Basic { username, password };
            return Ok(Found { credentials, origin: "MICROIMAGE_PASSWORD".to_owned() });
        }
        let mut first_error = None;
        for path in &self.files {
            match in_file(path, registry, repository) {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {}
                // The next file may have what this one lacks.
                Err(error) => drop(first_error.get_or_insert(error)),
            }
        }
        first_error.map_or(Ok(Found::nothing()), Err)
    }
}

/// The credentials in one file; `None` if the file or the entry does not exist.
fn in_file(path: &Path, registry: &str, repository: &str) -> Result<Option<Found>, RegistryError> {
    let failed = |why: String| RegistryError::Credentials {
        registry: registry.to_owned(),
        why: format!("`{}`: {why}", path.display()),
    };
    let mut text = Vec::new();
    match File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut text)) {
        Ok(_) if text.len() as u64 > MAX_BYTES => {
            return Err(failed("it is larger than the limit of 1 MiB".to_owned()));
        }
        Ok(_) => {}
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(failed(error.to_string())),
    }
    let file = AuthFile::parse(&text).map_err(failed)?;
    let mut without_helper = Ok(None);
    if let Some(helper) = file.helper(registry) {
        match ask_helper(helper, registry) {
            Ok(Some(credentials)) => {
                let origin = format!("the helper `{helper}`");
                return Ok(Some(Found { credentials, origin }));
            }
            Ok(None) => {}
            // The file may have an entry beside it: one from before, or from another machine.
            Err(error) => without_helper = Err(error),
        }
    }
    let Some(held) = file.held(registry, repository).map_err(failed)? else {
        return without_helper;
    };
    let origin = format!("`{}`", path.display());
    Ok(Some(Found { credentials: credentials(held, registry, &origin)?, origin }))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn credentials(held: Held, registry: &str, origin: &str) -> Result<Credentials, RegistryError> {
    let half = |has: &str, lacks: &str| RegistryError::Half {
        registry: registry.to_owned(),
        has: format!("{has} in {origin}"),
        lacks: lacks.to_owned(),
    };
    if !held.registry_token.is_empty() {
        Ok(Credentials::RegistryToken(held.registry_token))
    } else if !held.identity_token.is_empty() {
        Ok(Credentials::IdentityToken(held.identity_token))
    } else if held.password.is_empty() {
        Err(half("a user name", "a password"))
    } else if held.username.is_empty() {
        Err(half("a password", "a user name"))
    } else {
        Ok(Credentials::Basic { username: held.username, password: held.password })
    }
}

/// A helper's answer to `get`.
#[derive(Deserialize)]
struct Answer {
    #[serde(default, rename = "Username", alias = "username")]
    username: String,
    #[serde(default, rename = "Secret", alias = "secret")]
    secret: String,
}

/// Whether the text is the name of a program, and not a path or an option.
fn is_helper_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Runs `docker-credential-NAME get`; `None` if it has no entry. The helper's output may contain
/// the secret, so an error names only the kind of failure.
fn ask_helper(name: &str, registry: &str) -> Result<Option<Credentials>, RegistryError> {
    let failed = |why: String| RegistryError::Credentials { registry: registry.to_owned(), why };
    if !is_helper_name(name) {
        let shown: String = name.chars().take(80).flat_map(char::escape_debug).collect();
        return Err(failed(format!(
            "`{shown}` is not the name of a credential helper; use letters, digits, `-`, `_`, `.`"
        )));
    }
    let program = format!("docker-credential-{name}");
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(format!("the helper `{program}` cannot be started: {error}")))?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that does not read its input reports that by its exit code.
        let _ = input.write_all(auth_file::server(registry).as_bytes());
    }
    let (sender, receiver) = mpsc::channel();
    if let Some(output) = child.stdout.take() {
        thread::spawn(move || {
            let mut text = Vec::new();
            let read = output.take(MAX_BYTES).read_to_end(&mut text);
            let _ = sender.send(read.map(|_| text));
        });
    }
    let output = receiver.recv_timeout(HELPER_TIMEOUT);
    if output.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| failed(format!("`{program}`: {error}")))?;
    let Ok(Ok(text)) = output else {
        return Err(failed(format!("the helper `{program}` did not answer in time")));
    };
    if !status.success() {
        let said = String::from_utf8_lossy(&text).to_ascii_lowercase();
        // "credentials not found in native keychain" is the protocol's message for no entry.
        if said.contains("credentials not found") {
            return Ok(None);
        }
        return Err(failed(format!("the helper `{program}` failed ({status})")));
    }
    let answer: Answer = serde_json::from_slice(&text)
        .map_err(|_| failed(format!("the helper `{program}` did not answer with JSON")))?;
    let (username, password) = (answer.username, answer.secret);
    let held = if username == "<token>" {
        Held { identity_token: password, ..Held::default() }
    } else {
        Held { username, password, ..Held::default() }
    };
    if held == Held::default() {
        return Ok(None);
    }
    credentials(held, registry, &format!("the helper `{name}`")).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn keychain(home: &Path, variables: &[(&str, &str)]) -> Keychain {
        let known = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        };
        Keychain::from_environment(known, Some(home))
    }

    fn basic(username: &str) -> Credentials {
        Credentials::Basic { username: username.into(), password: "s3cret".into() }
    }

    #[test]
    fn reads_the_files_of_docker_and_podman() {
        let home = tempfile::tempdir().expect("a folder");
        let place = |name: &str| home.path().join(name).display().to_string();
        // "a:s3cret" to "d:s3cret" in base64
        for (file, auth) in [
            (".docker/config.json", "YTpzM2NyZXQ="),
            ("runtime/containers/auth.json", "YjpzM2NyZXQ="),
            (".config/containers/auth.json", "YzpzM2NyZXQ="),
            ("named.json", "ZDpzM2NyZXQ="),
        ] {
            let path = home.path().join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, format!(r#"{{"auths":{{"h.example.com":{{"auth":"{auth}"}}}}}}"#))
                .expect("a file");
        }
        let (runtime, named, none) = (place("runtime"), place("named.json"), place("nothing"));
        let empty = [("DOCKER_CONFIG", none.as_str())];
        for (variables, expected) in [
            (vec![], basic("a")),
            (vec![("DOCKER_CONFIG", none.as_str()), ("XDG_RUNTIME_DIR", &runtime)], basic("b")),
            (empty.to_vec(), basic("c")),
            (vec![("REGISTRY_AUTH_FILE", named.as_str())], basic("d")),
            (vec![("REGISTRY_AUTH_FILE", none.as_str())], Credentials::Anonymous),
        ] {
            let found = keychain(home.path(), &variables)
                .find("h.example.com", "x", RegistryPurpose::InPassing)
                .expect("readable");
            assert!(found.credentials == expected, "{variables:?}: {}", found.origin);
            assert!(!format!("{found:?}").contains("s3cret"));
        }
    }

    #[test]
    fn credentials_of_the_environment_are_complete_and_go_to_their_registry_only() {
        let home = tempfile::tempdir().expect("a folder");
        let (user, password, ours) = (
            ("MICROIMAGE_USERNAME", "a"),
            ("MICROIMAGE_PASSWORD", "s3cret"),
            ("MICROIMAGE_REGISTRY", "h.example.com"),
        );
        let find = |variables: &[(&str, &str)], registry, asked| {
            keychain(home.path(), variables).find(registry, "x", asked).map(|f| f.credentials)
        };
        for (variables, registry, asked, expected) in [
            (vec![user, password], "h.example.com", RegistryPurpose::ByTarget, basic("a")),
            (
                vec![user, password],
                "h.example.com",
                RegistryPurpose::InPassing,
                Credentials::Anonymous,
            ),
            (vec![user, password, ours], "h.example.com", RegistryPurpose::InPassing, basic("a")),
            (
                vec![user, password, ours],
                "o.example.com",
                RegistryPurpose::ByTarget,
                Credentials::Anonymous,
            ),
        ] {
            assert!(find(&variables, registry, asked).expect("whole") == expected, "{variables:?}");
        }
        for (variables, lacks) in [
            (vec![user], "MICROIMAGE_PASSWORD is missing"),
            (vec![password], "MICROIMAGE_USERNAME is missing"),
            (vec![user, ("MICROIMAGE_PASSWORD", "")], "MICROIMAGE_PASSWORD is missing"),
        ] {
            let error =
                find(&variables, "h.example.com", RegistryPurpose::ByTarget).expect_err("half");
            assert!(error.to_string().contains(lacks), "{error}");
        }
        assert!(
            find(&[user], "h.example.com", RegistryPurpose::InPassing).is_ok(),
            "the credentials belong to another registry"
        );
    }

    #[test]
    fn the_name_of_a_helper_is_not_a_path() {
        for good in ["desktop", "ecr-login", "osxkeychain", "gcr", "a.b_c"] {
            assert!(is_helper_name(good), "{good}");
        }
        for bad in ["", "../x", "a/b", "/bin/sh", "-x", ".x", "a b", "a;b", "a\0b", "é", "a\\b"] {
            assert!(!is_helper_name(bad), "{bad}");
            let error = ask_helper(bad, "h.example.com").expect_err("not a name").to_string();
            assert!(error.contains("is not the name of a credential helper"), "{error}");
        }
    }
}
