//! Optional files that an image from scratch lacks and a program may need: certificate authorities,
//! time zones, a user's name, an empty /tmp. Each is added only on request. It takes bytes and
//! reads no disk.

use crate::rootfs::Node;
use std::sync::Arc;

/// Content that is not of the expected kind.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtraError {
    /// It contains no certificate.
    #[error(
        "the certificate bundle contains no `BEGIN CERTIFICATE`; name a PEM file with \
         `--ca-bundle=FILE`"
    )]
    NoCertificate,
    /// The name or the content is not that of a time zone.
    #[error(
        "`{0}` is not a time zone; `ls /usr/share/zoneinfo` shows them (Debian package tzdata)"
    )]
    NoTimeZone(String),
    /// Not `NAME:UID`.
    #[error("`{0}` is not a user; write `NAME:UID`, for example `app:65532`")]
    NoUser(String),
}

/// An empty folder that everyone may write to, and in which only owners may delete.
pub fn tmp() -> (String, Node) {
    ("/tmp".into(), Node::Folder { mode: 0o1777 })
}

/// Certificate authorities, at the path that OpenSSL, Go and rustls-native-certs read.
///
/// # Errors
/// [`ExtraError::NoCertificate`].
pub fn ca_bundle(pem: Vec<u8>) -> Result<(String, Node), ExtraError> {
    let marker = b"-----BEGIN CERTIFICATE-----";
    if !pem.windows(marker.len()).any(|window| window == marker) {
        return Err(ExtraError::NoCertificate);
    }
    Ok(("/etc/ssl/certs/ca-certificates.crt".into(), file(pem)))
}

/// A time zone's rules (RFC 9636), at the path that C libraries read.
///
/// # Errors
/// [`ExtraError::NoTimeZone`].
pub fn time_zone(name: &str, rules: Vec<u8>) -> Result<(String, Node), ExtraError> {
    let is_name =
        !name.is_empty() && name.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
    if !is_name || !rules.starts_with(b"TZif") {
        return Err(ExtraError::NoTimeZone(name.to_owned()));
    }
    Ok((format!("/usr/share/zoneinfo/{name}"), file(rules)))
}

/// /etc/passwd and /etc/group with root and the user of `NAME:UID`. Neither can log in.
///
/// # Errors
/// [`ExtraError::NoUser`].
pub fn passwd(entry: &str) -> Result<[(String, Node); 2], ExtraError> {
    let bad = || ExtraError::NoUser(entry.to_owned());
    let (name, uid) = entry.split_once(':').ok_or_else(bad)?;
    let uid: u32 = uid.parse().map_err(|_| bad())?;
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    if !begins
        || name == "root"
        || name.len() > 32
        || !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c))
    {
        return Err(bad());
    }
    let passwd =
        format!("root:x:0:0:root:/:/sbin/nologin\n{name}:x:{uid}:{uid}:{name}:/:/sbin/nologin\n");
    let group = format!("root:x:0:\n{name}:x:{uid}:\n");
    Ok([
        ("/etc/passwd".into(), file(passwd.into_bytes())),
        ("/etc/group".into(), file(group.into_bytes())),
    ])
}

fn file(content: Vec<u8>) -> Node {
    Node::File { executable: false, content: Arc::from(content) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_content_of_another_kind() {
        assert_eq!(ca_bundle(b"hello".to_vec()), Err(ExtraError::NoCertificate));
        for (name, rules) in
            [("../x", &b"TZif2"[..]), ("", b"TZif2"), ("/abs", b"TZif2"), ("UTC", b"text")]
        {
            assert_eq!(time_zone(name, rules.to_vec()), Err(ExtraError::NoTimeZone(name.into())));
        }
        for entry in
            ["app", "app:", "app:x", ":1", "root:0", "A:1", "a b:1", "a\n:1", "a:1:2", "a:-1"]
        {
            assert_eq!(passwd(entry), Err(ExtraError::NoUser(entry.into())), "{entry}");
        }
    }

    #[test]
    fn puts_each_file_at_the_path_that_programs_read() {
        assert_eq!(
            time_zone("Asia/Shanghai", b"TZif2".to_vec()).expect("a zone").0,
            "/usr/share/zoneinfo/Asia/Shanghai"
        );
        let [(path, Node::File { content, .. }), _] = passwd("app:65532").expect("a user") else {
            panic!("two files")
        };
        assert_eq!(path, "/etc/passwd");
        assert!(content.ends_with(b"\napp:x:65532:65532:app:/:/sbin/nologin\n"));
        assert_eq!(tmp().1.mode(), 0o1777);
    }
}
