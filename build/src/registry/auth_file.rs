//! Parser of the credentials files that `docker login` and `podman login` write: finds the entry
//! for a registry and decodes it. It opens no file and runs no helper. Docker's reference, "docker
//! login"; containers-auth.json(5).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use std::collections::HashMap;

/// The name under which Docker stores the credentials of Docker Hub.
const HUB_SERVER: &str = "https://index.docker.io/v1/";
/// Host names of Docker Hub.
const HUB_HOSTS: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// Content of a `config.json` or `auth.json`.
#[derive(Default, Deserialize)]
pub(super) struct AuthFile {
    #[serde(default, deserialize_with = "or_null")]
    auths: HashMap<String, Option<Entry>>,
    #[serde(default, rename = "credHelpers", deserialize_with = "or_null")]
    helpers: HashMap<String, Option<String>>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

/// The entry of one registry.
#[derive(Clone, Default, Deserialize)]
struct Entry {
    #[serde(default, deserialize_with = "or_null")]
    auth: String,
    #[serde(default, deserialize_with = "or_null")]
    username: String,
    #[serde(default, deserialize_with = "or_null")]
    password: String,
    #[serde(default, rename = "identitytoken", deserialize_with = "or_null")]
    identity_token: String,
    #[serde(default, rename = "registrytoken", deserialize_with = "or_null")]
    registry_token: String,
}

/// A value, or `null` for none: what writes these files, Go, reads both alike.
fn or_null<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Decoded credentials of an entry; at least one field is not empty.
#[derive(Default, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(super) struct Held {
    pub(super) username: String,
    pub(super) password: String,
    /// An OAuth2 refresh token.
    pub(super) identity_token: String,
    /// A token to send to the registry itself.
    pub(super) registry_token: String,
}

impl AuthFile {
    /// Parses a file. An empty file has no entries.
    pub(super) fn parse(text: &[u8]) -> Result<AuthFile, String> {
        if text.trim_ascii().is_empty() {
            return Ok(AuthFile::default());
        }
        // The parser's own message would quote the file, which may contain a secret.
        serde_json::from_slice(text).map_err(|error| {
            let what =
                if error.is_data() { "other JSON than expected" } else { "text other than JSON" };
            format!("it holds {what}, at line {} column {}", error.line(), error.column())
        })
    }

    /// The credential helper for `host`, from its own setting or from the file's default store.
    pub(super) fn helper(&self, host: &str) -> Option<&str> {
        let of_host = names(host).find_map(|name| self.helpers.get(name)?.as_deref());
        of_host.or(self.store.as_deref()).filter(|name| !name.is_empty())
    }

    /// The entry for a repository of `host`: the longest name that matches, as podman stores them,
    /// otherwise the entry of the host itself.
    pub(super) fn held(&self, host: &str, repository: &str) -> Result<Option<Held>, String> {
        let full = format!("{host}/{repository}");
        let prefixes = std::iter::successors(Some(full.as_str()), |name| {
            name.rsplit_once('/').map(|(shorter, _)| shorter)
        });
        let entry = prefixes
            .filter(|name| name.len() > host.len())
            .chain(names(host))
            .find_map(|name| self.auths.get(name))
            .or_else(|| {
                // old files have an address in place of a name
                let of_host = |key: &&String| {
                    let known = key.strip_prefix("https://").or(key.strip_prefix("http://"));
                    let known = match (known, key.split_once('/')) {
                        (Some(address), _) => address.split('/').next(),
                        (None, Some((host, "" | "v1" | "v1/" | "v2" | "v2/"))) => Some(host),
                        (None, _) => None,
                    };
                    known.is_some_and(|known| {
                        names(host).any(|name| name.eq_ignore_ascii_case(known))
                    })
                };
                let mut fitting: Vec<_> = self.auths.keys().filter(of_host).collect();
                fitting.sort();
                fitting.first().and_then(|key| self.auths.get(*key))
            });
        match entry {
            Some(Some(entry)) => entry.held(),
            _ => Ok(None),
        }
    }
}

impl Entry {
    fn held(&self) -> Result<Option<Held>, String> {
        let (mut username, mut password) = (self.username.clone(), self.password.clone());
        if !self.auth.trim().is_empty() {
            let decoded = STANDARD.decode(self.auth.trim()).ok();
            let text = decoded
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .ok_or("its `auth` is not text in base64")?;
            let (user, secret) = text.split_once(':').unwrap_or((&text, ""));
            username = user.to_owned();
            password = secret.trim_end_matches('\0').to_owned();
        }
        let held = Held {
            username,
            password,
            identity_token: self.identity_token.clone(),
            registry_token: self.registry_token.clone(),
        };
        Ok((held != Held::default()).then_some(held))
    }
}

/// The names under which a registry's credentials may be stored.
pub(super) fn names(host: &str) -> impl Iterator<Item = &str> {
    let is_hub = HUB_HOSTS.contains(&host);
    let hub = [HUB_SERVER].into_iter().chain(HUB_HOSTS).filter(move |_| is_hub);
    hub.chain(Some(host).filter(move |_| !is_hub))
}

/// The address to send to a helper for `host`.
pub(super) fn server(host: &str) -> &str {
    names(host).next().unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> AuthFile {
        AuthFile::parse(text.as_bytes()).expect("a file of credentials")
    }

    fn basic(username: &str, password: &str) -> Option<Held> {
        let (username, password) = (username.to_owned(), password.to_owned());
        Some(Held { username, password, ..Held::default() })
    }

    #[test]
    fn finds_the_longest_name_that_matches() {
        // "user:s3cret", "team:t3am" and "old:0ld" in base64
        let file = parsed(
            r#"{"auths":{
                "localhost:5000":{"auth":"dXNlcjpzM2NyZXQ="},
                "localhost:5000/team":{"auth":"dGVhbTp0M2Ft"},
                "https://old.example.com/v1/":{"auth":"b2xkOjBsZA=="},
                "https://index.docker.io/v1/":{"auth":"dXNlcjpzM2NyZXQ="},
                "plain.example.com":{"username":"a","password":"b:c","auth":null},
                "path.example.com/v1/":{"auth":"b2xkOjBsZA=="},
                "team.example.com/team":{"auth":"dGVhbTp0M2Ft"},
                "in-a-store.example.com":{}, "null.example.com":null
            },"unknown":[1]}"#,
        );
        for (host, repository, expected) in [
            ("localhost:5000", "echo", basic("user", "s3cret")),
            ("localhost:5000", "team/echo", basic("team", "t3am")),
            ("localhost:5000", "teamwork/echo", basic("user", "s3cret")),
            ("localhost:5001", "echo", None),
            ("localhost", "echo", None),
            ("old.example.com", "echo", basic("old", "0ld")),
            ("index.docker.io", "library/echo", basic("user", "s3cret")),
            ("docker.io", "library/echo", basic("user", "s3cret")),
            ("plain.example.com", "echo", basic("a", "b:c")),
            ("path.example.com", "echo", basic("old", "0ld")),
            ("team.example.com", "echo", None),
            ("in-a-store.example.com", "echo", None),
            ("null.example.com", "echo", None),
        ] {
            let held = file.held(host, repository).expect("readable");
            assert!(held == expected, "{host}/{repository}: {held:?}");
        }
    }

    #[test]
    fn a_hosts_own_helper_precedes_the_default_store() {
        let file =
            parsed(r#"{"credsStore":"desktop","credHelpers":{"a.example.com":"ecr-login"}}"#);
        assert_eq!(file.helper("a.example.com"), Some("ecr-login"));
        assert_eq!(file.helper("b.example.com"), Some("desktop"));
        assert_eq!(parsed(r#"{"credsStore":""}"#).helper("b.example.com"), None);
        let nulls = parsed(r#"{"auths":null,"credHelpers":{"a.example.com":null}}"#);
        assert_eq!(nulls.helper("a.example.com"), None);
        assert!(nulls.held("a.example.com", "echo").expect("readable").is_none());
        assert_eq!(parsed(r#"{"credHelpers":null,"credsStore":null}"#).helper("x"), None);
        assert_eq!(server("docker.io"), "https://index.docker.io/v1/");
        assert_eq!(server("localhost:5000"), "localhost:5000");
    }

    #[test]
    fn an_entry_may_be_incomplete_a_token_or_malformed() {
        let held = |entry: &str| parsed(&format!(r#"{{"auths":{{"h":{entry}}}}}"#)).held("h", "x");
        // "user:" and "user" in base64
        for half in [r#"{"auth":"dXNlcjo="}"#, r#"{"auth":"dXNlcg=="}"#, r#"{"username":"user"}"#] {
            assert!(held(half).expect("readable") == basic("user", ""), "{half}");
        }
        let token = held(r#"{"auth":"dXNlcjo=","identitytoken":"t"}"#).expect("readable");
        assert_eq!(token.expect("a token").identity_token, "t");
        for broken in [r#"{"auth":"%%%"}"#, r#"{"auth":"/w=="}"#] {
            assert!(held(broken).is_err(), "{broken}");
        }
        for (text, says) in [("{", "other than JSON"), (r#"{"auths":"s3cret"}"#, "other JSON")] {
            let error = AuthFile::parse(text.as_bytes()).err().expect("broken");
            assert!(error.contains(says) && !error.contains("s3cret"), "{error}");
        }
        assert!(AuthFile::parse(b" \n").is_ok());
    }
}
