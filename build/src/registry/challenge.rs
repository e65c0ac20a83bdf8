//! Challenges of a registry: the field `WWW-Authenticate`. It sends nothing itself. RFC 9110,
//! section 11.6.1; Docker's "Token Authentication".

/// A supported challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A token from `realm`.
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
    /// A user name and a password.
    Basic,
}

/// The challenges of all `WWW-Authenticate` headers, in their order, without schemes other than
/// Bearer and Basic.
pub(super) fn parse<'a>(headers: impl Iterator<Item = &'a str>) -> Vec<Challenge> {
    headers.flat_map(parse_header).collect()
}

fn parse_header(header: &str) -> Vec<Challenge> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (word, after) = token(rest);
        if word.is_empty() {
            break; // the end, or not a challenge: the challenges before it count
        }
        let after_word = after.trim_start_matches([' ', '\t']);
        match (after_word.strip_prefix('='), found.last_mut()) {
            (Some(value), Some((_, parameters))) => {
                let (value, after) = self::value(value.trim_start_matches([' ', '\t']));
                parameters.push((word.to_ascii_lowercase(), value));
                rest = after;
            }
            _ => {
                found.push((word.to_ascii_lowercase(), Vec::new()));
                rest = after;
            }
        }
    }
    let challenges = found.into_iter().filter_map(|(scheme, parameters)| {
        let get = |name: &str| {
            parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        };
        match scheme.as_str() {
            "basic" => Some(Challenge::Basic),
            "bearer" => Some(Challenge::Bearer {
                realm: get("realm")?,
                service: get("service"),
                scope: get("scope"),
            }),
            _ => None,
        }
    });
    challenges.collect()
}

/// A token (RFC 9110, section 5.6.2) and the text after it.
fn token(text: &str) -> (&str, &str) {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    text.split_at(text.find(|c| !is_token(c)).unwrap_or(text.len()))
}

/// A quoted string or a token, and the text after it. The parser accepts a token up to a comma or a
/// space, because some registries send realms without quotes.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Challenge::Bearer { realm: realm.into(), service: owned(service), scope: owned(scope) }
    }

    #[test]
    fn reads_what_registries_send() {
        let hub = "https://auth.docker.io/token";
        for (header, expected) in [
            (
                concat!(
                    r#"Bearer realm="https://auth.docker.io/token","#,
                    r#"service="hub",scope="a:b:pull,push""#
                ),
                vec![bearer(hub, Some("hub"), Some("a:b:pull,push"))],
            ),
            (
                r#"bearer service="x" , REALM = "https://auth.docker.io/token" "#,
                vec![bearer(hub, Some("x"), None)],
            ),
            (
                "Bearer realm=https://auth.docker.io/token,service=x",
                vec![bearer(hub, Some("x"), None)],
            ),
            (r#"Basic realm="a registry""#, vec![Challenge::Basic]),
            ("Basic", vec![Challenge::Basic]),
            (
                "Negotiate, Basic realm=\"a, Bearer realm=\\\"x\\\"\", Bearer \
                 realm=\"https://auth.docker.io/token\"",
                vec![Challenge::Basic, bearer(hub, None, None)],
            ),
            (r#"Bearer service="no realm""#, vec![]),
            ("Digest x=y", vec![]),
            ("", vec![]),
            ("=", vec![]),
            (r#"Basic realm="unterminated"#, vec![Challenge::Basic]),
        ] {
            assert_eq!(parse([header].into_iter()), expected, "{header}");
        }
    }

    #[test]
    fn every_prefix_of_a_header_is_read_without_a_panic() {
        let header = r#"Bearer realm="https://a/\"é",service=x, Basic realm="ü\"#;
        for (end, _) in header.char_indices() {
            let _ = parse([&header[..end]].into_iter());
        }
    }
}
