//! Secrets among an image's files, in every layer: a file that a later layer removes is still in
//! the image that everyone pulls. It reports path and kind and never shows a value. It decides no
//! verdict.

use crate::contents::{Contents, ContentsError};
use crate::entry::{Budget, EntryError, Kind, LayerLimits, read_entries, shown};
use crate::image::{Compression, Image};
use crate::layer::decompress;
use regex::bytes::Regex;
use std::collections::{BTreeMap, HashSet};
use std::io::{self, Read};
use std::path::Path;
use std::sync::LazyLock;

/// Size of the pieces in which a file is searched.
const PIECE_BYTES: usize = 256 * 1024;
/// Overlap of two pieces, because the head of a key may lie across their border.
const OVERLAP_BYTES: usize = 1024;
/// Largest number of bytes read of a configuration file.
const CONFIGURATION_BYTES: u64 = 1 << 20;

/// A file that everyone who pulls the image can read.
pub(super) struct Suspect {
    /// Its absolute path, shortened for display.
    pub path: String,
    /// The kind of secret that it seems to contain.
    pub why: String,
    /// The layer that contains it, counted from 1, if a later layer hides it.
    pub hidden_in: Option<usize>,
}

/// All suspects, by path. A visible file is reported rather than a hidden one.
///
/// # Errors
/// [`ContentsError`] when a layer cannot be read.
pub(super) fn suspects(image: &Image, contents: &Contents) -> Result<Vec<Suspect>, ContentsError> {
    let limits = LayerLimits::default();
    let budget = Budget::new(&limits);
    let visible: HashSet<(usize, u64)> = contents.origins().collect();
    let mut found: BTreeMap<(String, String), Option<usize>> = BTreeMap::new();
    for (number, layer) in image.layers().iter().enumerate() {
        let descriptor = layer.descriptor();
        let at = |source| ContentsError::Layer { layer: descriptor.digest, source };
        let Some(compression) = Compression::of_media_type(&descriptor.media_type) else {
            continue; // `contents` has refused it already
        };
        let blob = layer.open().map_err(|e| at(e.into()))?;
        let tar = decompress(blob, compression).map_err(|e| at(e.into()))?;
        let mut entries = 0;
        read_entries(tar, &budget, |entry, bytes| {
            let origin = (number, entries);
            entries += 1;
            let Kind::File { size_bytes } = entry.kind else { return Ok::<_, EntryError>(()) };
            if let Some(why) = look(&entry.path, size_bytes, bytes)? {
                budget.path(&entry.path)?;
                let hidden_in = (!visible.contains(&origin)).then_some(number + 1);
                let known = found.entry((format!("/{}", shown(&entry.path)), why));
                let known = known.or_insert(hidden_in);
                *known = known.and(hidden_in);
            }
            Ok(())
        })
        .map_err(at)?;
    }
    Ok(found.into_iter().map(|((path, why), hidden_in)| Suspect { path, why, hidden_in }).collect())
}

/// The kind of secret that a file seems to contain, by its name and its bytes.
fn look(path: &Path, size_bytes: u64, bytes: &mut dyn Read) -> io::Result<Option<String>> {
    let path = path.to_string_lossy().to_lowercase();
    if let Some(file) = FILES.iter().find(|file| file.is_named(&path)) {
        let mut content = Vec::new();
        bytes.take(CONFIGURATION_BYTES).read_to_end(&mut content)?;
        if file.secret.is_match(&content) {
            return Ok(Some(file.why.to_owned()));
        }
        return Ok(key_in(&content));
    }
    let mut piece = vec![0; usize::try_from(size_bytes).unwrap_or(PIECE_BYTES).min(PIECE_BYTES)];
    let mut kept = 0;
    loop {
        let read = fill(bytes, &mut piece[kept..])?;
        let filled = kept + read;
        if kept == 0 {
            if let Some(why) = binary_key(&piece[..filled]) {
                return Ok(Some(why.to_owned()));
            }
            if piece[..filled].contains(&0) {
                return Ok(None); // programs contain the first words of keys too
            }
        }
        if let Some(why) = key_in(&piece[..filled]) {
            return Ok(Some(why));
        }
        if read == 0 || filled < piece.len() {
            return Ok(None);
        }
        kept = OVERLAP_BYTES.min(filled / 2);
        piece.copy_within(filled - kept..filled, 0);
    }
}

fn fill(bytes: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match bytes.read(&mut buffer[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}

/// The head of a key and the first letters of its content: a manual or a program's source has only
/// the head. In JSON a line feed is `\n` (RFC 7468; RFC 4716; OpenSSH's PROTOCOL.key).
static KEY: LazyLock<Regex> = LazyLock::new(|| {
    let feed = r"(?:\s|\\r|\\n)+";
    let headers = format!(r"(?:[A-Za-z-]{{3,20}}: [^\n\\]{{0,200}}{feed}){{0,8}}");
    let head = r"-{4,5} ?BEGIN ([A-Z0-9 ]{0,30}?)PRIVATE KEY(?: BLOCK)? ?-{4,5}";
    expression(&format!("{head}{feed}({headers})[A-Za-z0-9+/]{{20}}"))
});
/// Text in every key's head. Nearly all files lack it, and cost one plain search.
const EACH_KEY: &[u8] = b"PRIVATE KEY";

/// The private key in a text, if there is one.
fn key_in(text: &[u8]) -> Option<String> {
    if text.starts_with(b"PuTTY-User-Key-File-") {
        return Some("a private key, PuTTY's".into());
    }
    if !text.windows(EACH_KEY.len()).any(|part| part == EACH_KEY) {
        return None;
    }
    if let Some(found) = KEY.captures(text) {
        let kind = found.get(1).map_or(&b""[..], |kind| kind.as_bytes());
        let kind = String::from_utf8_lossy(kind).trim().to_owned();
        let headers = found.get(2).map_or(&b""[..], |headers| headers.as_bytes());
        let encrypted = headers.windows(9).any(|part| part == b"ENCRYPTED");
        return Some(match kind.as_str() {
            _ if encrypted => format!("an encrypted private key, `{kind}`"),
            "" => "a private key".into(),
            kind => format!("a private key, `{kind}`"),
        });
    }
    None
}

/// The kind of a key in DER, by its first bytes: a sequence that begins with a version and, for
/// PKCS #8, an algorithm (RFC 5958; RFC 8017, A.1.2; RFC 5915; RFC 7292).
fn binary_key(bytes: &[u8]) -> Option<&'static str> {
    let [0x30, length, rest @ ..] = bytes else { return None };
    let body = match length {
        0..=0x7f => rest,
        0x81 => rest.get(1..)?,
        0x82 => rest.get(2..)?,
        _ => return None,
    };
    match body {
        [2, 1, 0 | 1, 0x30, _, 6, ..] => Some("a private key, PKCS #8 in DER"),
        [2, 1, 0, 2, 0x81 | 0x82, ..] => Some("a private key, RSA in DER"),
        [2, 1, 1, 4, 0x20..=0x42, ..] => Some("a private key, EC in DER"),
        [2, 1, 3, 0x30, ..] => Some("a PKCS #12 store, which holds private keys"),
        _ => None,
    }
}

/// A configuration file in which programs keep secrets.
struct ConfigurationFile {
    /// Ends of its path, in lower case; a name without a slash is the whole file name.
    names: &'static [&'static str],
    /// Expression that matches if it contains a secret.
    secret: Regex,
    why: &'static str,
}

impl ConfigurationFile {
    fn is_named(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        self.names.iter().any(|known| match *known {
            ".env*" => is_dotenv(name),
            "*.env" => name.ends_with(".env") && !is_example(name),
            "*.credential" => name.ends_with(".credential"),
            known if known.contains('/') => format!("/{path}").ends_with(&format!("/{known}")),
            known => name == known,
        })
    }
}

/// `.env`, `.env.production` and similar names, except samples.
fn is_dotenv(name: &str) -> bool {
    (name == ".env" || name == ".envrc" || name.starts_with(".env.")) && !is_example(name)
}

fn is_example(name: &str) -> bool {
    const EXAMPLES: [&str; 7] =
        ["example", "sample", "template", "dist", "defaults", "default", "schema"];
    name.split(['.', '-', '_']).any(|part| EXAMPLES.contains(&part))
}

/// A literal value, not one from a variable.
const VALUE: &str = r#"["']?[^\s"'$<{]"#;

static FILES: LazyLock<Vec<ConfigurationFile>> = LazyLock::new(|| {
    let url = r"://[^/\s:@]+:[^/@\s]+@";
    let line = |key: &str| format!(r"(?m)^\s*[^#;\n]*{key}\s*[=:]\s*{VALUE}");
    let json = |key: &str| format!(r#""(?:{key})"\s*:\s*"[^"]"#);
    let word = "(?:secret|passw|passphrase|token|api_?key|access_?key|private_?key|credential)";
    let rows: Vec<(&'static [&'static str], String, &'static str)> = vec![
        (
            &[".env*"],
            format!(r"(?m)^\s*(?:export\s+)?[A-Za-z_][\w.-]*\s*[=:]\s*{VALUE}"),
            "a dotenv file with values",
        ),
        (
            &["*.env"],
            format!(r"(?mi)^\s*(?:export\s+)?\w*{word}\w*\s*=\s*{VALUE}|{url}"),
            "a dotenv file with a secret",
        ),
        (
            &[".npmrc", "npmrc"],
            line("(?:_authToken|_auth|_password)"),
            "a package registry's token",
        ),
        (&[".yarnrc.yml"], line("npmAuth(?:Token|Ident)"), "a package registry's token"),
        (&[".netrc", "_netrc"], r"\bpassword\s+\S".into(), "a password"),
        (
            &[
                ".docker/config.json",
                ".dockercfg",
                ".dockerconfigjson",
                "containers/auth.json",
                "docker/config.json",
            ],
            json("auth|identitytoken|registrytoken|password"),
            "an image registry's credentials",
        ),
        (&[".git-credentials", ".git/config"], url.into(), "a password in a URL"),
        (
            &[".aws/credentials", ".aws/config", ".boto", ".s3cfg"],
            line("(?:aws_secret_access_key|secret_key)"),
            "a cloud's secret key",
        ),
        (&["*.credential"], json("secretKey"), "a cloud's secret key"),
        (
            &["application_default_credentials.json"],
            json("refresh_token|private_key|client_secret"),
            "a cloud's credentials",
        ),
        (
            &[".pypirc", "pip.conf", ".my.cnf", "pip/pip.conf"],
            format!("{}|{url}", line("password")),
            "a password",
        ),
        (&[".pgpass"], r"(?m)^[^#:\n]+:[^:\n]*:[^:\n]*:[^:\n]*:\S".into(), "a password"),
        (
            &[".cargo/credentials", ".cargo/credentials.toml", "credentials.tfrc.json"],
            r#"token"?\s*[=:]\s*"[^"]"#.into(),
            "a token",
        ),
        (
            &[".kube/config", "kubeconfig"],
            line("(?:client-key-data|token|password)"),
            "a cluster's credentials",
        ),
        (&[".htpasswd"], r"(?m)^[^:#\s]+:\S".into(), "hashes of passwords"),
        (&["etc/shadow"], r"(?m)^[^:\s]+:\$[0-9a-zA-Z]+\$".into(), "hashes of passwords"),
        (&[".m2/settings.xml"], r"<(?:password|passphrase)>\s*[^<$\s{]".into(), "a password"),
        (&["gh/hosts.yml"], line("oauth_token"), "a token"),
        (&[".vault-token"], r"\S".into(), "a token"),
    ];
    rows.into_iter()
        .map(|(names, secret, why)| ConfigurationFile { names, secret: expression(&secret), why })
        .collect()
});

fn expression(text: &str) -> Regex {
    Regex::new(text).expect("our own expression")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line of base64, as every key has.
    const BODY: &str = "MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQC";

    fn found(path: &str, content: &[u8]) -> Option<String> {
        look(Path::new(path), content.len() as u64, &mut &*content).expect("in memory")
    }

    #[test]
    fn keys_are_found_by_their_content() {
        for (head, why) in [
            ("-----BEGIN PRIVATE KEY-----\n", "a private key"),
            ("-----BEGIN RSA PRIVATE KEY-----\r\n", "a private key, `RSA`"),
            ("-----BEGIN EC PRIVATE KEY-----\n", "a private key, `EC`"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----\n", "a private key, `OPENSSH`"),
            ("-----BEGIN ENCRYPTED PRIVATE KEY-----\n", "a private key, `ENCRYPTED`"),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES,00\n\n",
                "an encrypted private key, `RSA`",
            ),
            ("-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: 1\n\n", "a private key, `PGP`"),
            ("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\n", "a private key, `SSH2 ENCRYPTED`"),
            (r#"{"private_key": "-----BEGIN PRIVATE KEY-----\n"#, "a private key"),
            ("key: |\n    -----BEGIN PRIVATE KEY-----\n    ", "a private key"),
        ] {
            let text = format!("{head}{BODY}\n");
            assert_eq!(found("any/name", text.as_bytes()).as_deref(), Some(why), "{head}");
            // After much other text, and across the borders of pieces.
            for front in [PIECE_BYTES - 40, PIECE_BYTES + 7, 3 * PIECE_BYTES] {
                let text = format!("{}\n{text}", "x".repeat(front));
                assert_eq!(found("any/name", text.as_bytes()).as_deref(), Some(why), "{front}");
            }
        }
        let putty = b"PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n";
        assert!(found("k.ppk", putty).is_some());
        for der in [
            &[0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70][..],
            &[0x30, 0x82, 4, 0xbe, 2, 1, 0, 0x30, 0x0d, 6, 9],
            &[0x30, 0x82, 4, 0xa4, 2, 1, 0, 2, 0x82, 1, 1],
            &[0x30, 0x82, 9, 0, 2, 1, 3, 0x30, 0x82],
        ] {
            assert!(found("key.der", der).is_some(), "{der:02x?}");
        }
    }

    #[test]
    fn text_about_keys_is_not_a_key() {
        for text in [
            "-----BEGIN RSA PRIVATE KEY-----",
            "-----BEGIN RSA PRIVATE KEY-----\n...\n",
            "const HEAD: &str = \"-----BEGIN RSA PRIVATE KEY-----\\n\";\n",
            "-----BEGIN PUBLIC KEY-----\nMIIEvgIBADANBgkqhkiG9w0BAQEFAASC\n",
            "-----BEGIN CERTIFICATE-----\nMIIEvgIBADANBgkqhkiG9w0BAQEFAASC\n",
        ] {
            assert_eq!(found("doc.txt", text.as_bytes()), None, "{text}");
        }
        // A program that contains a key's head, as each TLS library does.
        let program = format!("\x7fELF\0\0-----BEGIN RSA PRIVATE KEY-----\n{BODY}");
        assert_eq!(found("app", program.as_bytes()), None);
        assert_eq!(found("cert.der", &[0x30, 0x82, 5, 0, 0x30, 0x82, 4, 0]), None);
    }

    #[test]
    fn configuration_files_with_secrets_are_found_by_name() {
        for (path, with, without) in [
            ("srv/.env", "A=1\n", "# nothing\nA=\n"),
            ("srv/.env.production", "export TOKEN='x'\n", "A=$B\n"),
            ("srv/.envrc", "export A=1", ""),
            ("srv/prod.env", "DB_PASSWORD=x\n", "PORT=9000\n"),
            ("root/.npmrc", "//r.example/:_authToken=npm_x\n", "registry=https://r.example/\n"),
            ("root/.npmrc", "//r.example/:_authToken=npm_x\n", "//r/:_authToken=${NPM_TOKEN}\n"),
            ("root/.netrc", "machine a login b password c\n", "machine a login b\n"),
            (
                "root/.docker/config.json",
                r#"{"auths":{"r":{"auth":"eDp5"}}}"#,
                r#"{"auths":{"r":{}},"credsStore":"x"}"#,
            ),
            ("root/.git-credentials", "https://me:pw@example.com\n", "https://example.com\n"),
            ("root/.aws/credentials", "[default]\naws_secret_access_key = x\n", "[default]\n"),
            ("root/.tccli/default.credential", r#"{"secretKey":"x"}"#, r#"{"secretKey":""}"#),
            ("root/.pypirc", "[pypi]\npassword: x\n", "[pypi]\nusername: x\n"),
            ("root/.pgpass", "host:5432:db:me:pw\n", "# host:5432:db:me:pw\n"),
            ("root/.cargo/credentials.toml", "[registry]\ntoken = \"x\"\n", "[registry]\n"),
            ("root/.kube/config", "users:\n- user:\n    token: x\n", "clusters: []\n"),
            ("etc/shadow", "root:$6$a$b:1:::::\n", "root:*:1:::::\n"),
            ("root/.m2/settings.xml", "<password>x</password>", "<password>${env.P}</password>"),
        ] {
            assert!(found(path, with.as_bytes()).is_some(), "{path}");
            assert_eq!(found(path, without.as_bytes()), None, "{path}");
        }
        for path in ["srv/.env.example", "srv/example.env", "srv/env", "srv/.environment"] {
            assert_eq!(found(path, b"TOKEN=x\n"), None, "{path}");
        }
    }
}
