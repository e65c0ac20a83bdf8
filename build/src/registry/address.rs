//! Addresses in a registry's replies: whether one is on this machine, whether two have the same
//! origin, and how a relative one is resolved. It opens no connection. RFC 3986, section 5; RFC
//! 6454 (origin).

use std::net::IpAddr;
use ureq::http::Uri;

/// Scheme, host and port. Credentials for one address may go to another address of the same origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) is_https: bool,
    /// In lower case; an IPv6 address without brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

impl Origin {
    /// The origin of an absolute `http` or `https` address; `None` for any other text, and for an
    /// address with a user name, which no registry uses and which hides the real host from a
    /// reader.
    pub(super) fn of(uri: &Uri) -> Option<Origin> {
        let is_https = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        if uri.authority()?.as_str().contains('@') {
            return None;
        }
        let host = bare(uri.host()?).to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        (!host.is_empty()).then_some(Origin { is_https, host, port })
    }

    pub(super) fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }
}

/// Whether a host, with or without a port, is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let host = bare(split_port(host).0);
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Splits `HOST:PORT` into its two parts.
pub(super) fn split_port(host: &str) -> (&str, Option<u16>) {
    match host.rsplit_once(':') {
        // `::1` has colons and no port
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => {
            port.parse().map_or((host, None), |port| (name, Some(port)))
        }
        _ => (host, None),
    }
}

/// Resolves an address from a `Location` or `realm`, relative to the request that it answers.
pub(super) fn join(base: &Uri, location: &str) -> Option<Uri> {
    if location.contains('\\') || location.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return None;
    }
    let location = location.split('#').next()?;
    let absolute = if has_scheme(location) {
        location.to_owned()
    } else {
        let (scheme, authority) = (base.scheme_str()?, base.authority()?);
        if let Some(rest) = location.strip_prefix("//") {
            format!("{scheme}://{rest}")
        } else if location.starts_with('/') {
            format!("{scheme}://{authority}{location}")
        } else if location.starts_with('?') || location.is_empty() {
            format!("{scheme}://{authority}{}{location}", base.path())
        } else {
            let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{scheme}://{authority}{folder}/{location}")
        }
    };
    let uri: Uri = absolute.parse().ok()?;
    Origin::of(&uri).map(|_| uri)
}

fn has_scheme(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric())
    })
}

fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_this_machine() {
        for (registry, expected) in [
            ("localhost", true),
            ("LocalHost:5000", true),
            ("127.0.0.1:5000", true),
            ("127.9.9.9", true),
            ("[::1]:5000", true),
            ("::1", true),
            ("localhost.example.com", false),
            ("127.0.0.1.example.com:80", false),
            ("10.0.0.1:5000", false),
            ("registry.example.com", false),
        ] {
            assert_eq!(is_loopback(registry), expected, "{registry}");
        }
    }

    #[test]
    fn resolves_only_unambiguous_addresses() {
        let base: Uri = "https://r.example.com:5000/v2/a/blobs/uploads/".parse().expect("a URI");
        for (location, expected) in [
            (
                "/v2/a/blobs/uploads/1?x=y",
                Some("https://r.example.com:5000/v2/a/blobs/uploads/1?x=y"),
            ),
            ("https://cdn.example.com/b", Some("https://cdn.example.com/b")),
            ("//cdn.example.com/b", Some("https://cdn.example.com/b")),
            ("1", Some("https://r.example.com:5000/v2/a/blobs/uploads/1")),
            ("?page=2", Some("https://r.example.com:5000/v2/a/blobs/uploads/?page=2")),
            ("/a#b", Some("https://r.example.com:5000/a")),
            ("http://127.0.0.1@evil.example.com/", None),
            ("ftp://a.example.com/", None),
            ("file:///etc/passwd", None),
            (r"http:\\evil.example.com", None),
            ("/with a blank", None),
        ] {
            let joined = join(&base, location).map(|uri| uri.to_string());
            assert_eq!(joined.as_deref(), expected, "{location}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let origin = |text: &str| Origin::of(&text.parse().expect("a URI")).expect("an origin");
        assert_eq!(origin("https://A.example.com/x"), origin("https://a.example.com:443/y"));
        for other in ["http://a.example.com/", "https://a.example.com:444/", "https://b.a/"] {
            assert_ne!(origin("https://a.example.com/"), origin(other), "{other}");
        }
        assert!(origin("http://[::1]:5000/").is_loopback());
    }
}
