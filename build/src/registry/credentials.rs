//! Who asks a registry: nobody, or a name and a secret from docker's configuration and its helpers.
//! It sends nothing, and no secret is ever printed. Docker's reference, "docker login", credential
//! helpers.

use super::RegistryError;
use std::fmt;
use std::io::Read;

/// Who asks. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Nobody in particular.
    Anonymous,
    /// A name and a password or token.
    Basic {
        /// Who.
        username: String,
        /// The secret.
        password: String,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credentials::Anonymous => "Anonymous",
            Credentials::Basic { .. } => "Basic(redacted)",
        })
    }
}

/// The credentials that a docker configuration (`config.json`) or its credential helpers hold for
/// `registry`; `Anonymous` when they hold none.
///
/// # Errors
/// [`RegistryError::Credentials`] when there are some that cannot be read.
pub fn docker_credentials(registry: &str, config: impl Read) -> Result<Credentials, RegistryError> {
    use docker_credential::{CredentialRetrievalError as Missing, DockerCredential};
    let server = if registry == "docker.io" { "https://index.docker.io/v1/" } else { registry };
    match docker_credential::get_credential_from_reader(config, server) {
        Ok(DockerCredential::UsernamePassword(username, password)) => {
            Ok(Credentials::Basic { username, password })
        }
        // An identity token is what an OAuth2 login leaves; as a password of this name it is
        // accepted by the same registries.
        Ok(DockerCredential::IdentityToken(password)) => {
            Ok(Credentials::Basic { username: "<token>".into(), password })
        }
        Err(Missing::NoCredentialConfigured | Missing::ConfigNotFound) => {
            Ok(Credentials::Anonymous)
        }
        // A helper that has no entry says so by failing, with this phrase.
        Err(Missing::HelperFailure { stdout, .. }) if stdout.contains("credentials not found") => {
            Ok(Credentials::Anonymous)
        }
        // The helper's output may hold the secret: only the kind of the failure is told.
        Err(Missing::HelperFailure { helper, .. }) => Err(RegistryError::Credentials {
            registry: registry.to_owned(),
            why: format!("the helper `{helper}` failed"),
        }),
        Err(other) => Err(RegistryError::Credentials {
            registry: registry.to_owned(),
            why: other.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_credentials_in_a_docker_configuration_and_never_prints_them() {
        // "user:s3cret" in base64.
        let config = r#"{"auths":{"localhost:5000":{"auth":"dXNlcjpzM2NyZXQ="},
            "https://index.docker.io/v1/":{"auth":"dXNlcjpzM2NyZXQ="}}}"#;
        let basic = Credentials::Basic { username: "user".into(), password: "s3cret".into() };
        for registry in ["localhost:5000", "docker.io"] {
            assert_eq!(
                docker_credentials(registry, config.as_bytes()).expect("credentials"),
                basic
            );
        }
        assert_eq!(
            docker_credentials("other.example.com", config.as_bytes()).expect("none"),
            Credentials::Anonymous
        );
        assert!(matches!(
            docker_credentials("x", &b"{"[..]),
            Err(RegistryError::Credentials { .. })
        ));
        assert!(!format!("{basic:?}").contains("s3cret"));
    }
}
