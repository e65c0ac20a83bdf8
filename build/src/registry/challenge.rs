//! Where a registry sends those who ask for a token. It sends nothing itself. RFC 9110, section
//! 11.6.1; Docker's "Token Authentication".

use super::is_loopback;

/// The first realm of a `WWW-Authenticate` header that is a place to send a secret to and is not
/// safe for one: neither TLS nor this machine. A realm that is only a name (`Basic realm="x"`) is
/// no place.
pub(super) fn open_realm(challenge: &str) -> Option<String> {
    let is_bearer = challenge.to_ascii_lowercase().contains("bearer");
    realms(challenge)
        .find(|realm| is_bearer && !is_safe(realm))
        .map(|realm| realm.chars().take(200).collect())
}

/// Every value called `realm`: which one counts, should there be two, is for none to guess.
fn realms(challenge: &str) -> impl Iterator<Item = String> {
    let lower = challenge.to_ascii_lowercase();
    let starts: Vec<_> = lower.match_indices("realm").map(|(at, name)| at + name.len()).collect();
    starts.into_iter().filter_map(move |at| {
        let value = challenge[at..].trim_start().strip_prefix('=')?.trim_start();
        Some(match value.strip_prefix('"') {
            Some(quoted) => quoted.split('"').next().unwrap_or_default().to_owned(),
            None => value.split([',', ' ']).next().unwrap_or_default().to_owned(),
        })
    })
}

fn is_safe(realm: &str) -> bool {
    // The parser is the sender's own: two that read a host differently would be a hole.
    let Ok(url) = reqwest::Url::parse(realm) else { return false };
    let Some(host) = url.host_str() else { return false };
    !realm.contains('\\')
        && (url.scheme() == "https" || url.scheme() == "http" && is_loopback(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_goes_over_tls_or_stays_here() {
        for (challenge, refused) in [
            (r#"Bearer realm="https://auth.example.com/token",service="x""#, None),
            (r#"Bearer realm="http://127.0.0.1:5000/token""#, None),
            (r#"Bearer realm="http://[::1]:5000/token""#, None),
            (r#"Basic realm="a registry""#, None),
            ("Basic", None),
            (
                r#"Bearer realm="http://auth.example.com/token""#,
                Some("http://auth.example.com/token"),
            ),
            (
                r#"bearer service="x", REALM = "HTTP://auth.example.com""#,
                Some("HTTP://auth.example.com"),
            ),
            ("Bearer realm=http://auth.example.com,service=x", Some("http://auth.example.com")),
            (
                r#"Bearer realm="http://127.0.0.1@auth.example.com/""#,
                Some("http://127.0.0.1@auth.example.com/"),
            ),
            (
                r#"Bearer realm="http://localhost.example.com/""#,
                Some("http://localhost.example.com/"),
            ),
            (r#"Bearer realm="https://a/",realm="http://b/""#, Some("http://b/")),
            (r#"Bearer realm="ht\tp://b/""#, Some(r"ht\tp://b/")),
            (r#"Bearer realm="token""#, Some("token")),
        ] {
            assert_eq!(open_realm(challenge).as_deref(), refused, "{challenge}");
        }
    }
}
