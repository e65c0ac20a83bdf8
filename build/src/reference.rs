//! Image names: the short form that users write, the full form that engines store, and the tag. It
//! calls no registry. Docker's reference grammar (distribution/reference), parsed by hand, because
//! the regular expression of oci-spec takes 25 ms to compile in each process; OCI image-spec,
//! annotations.md, on `ref.name`.

use oci_spec::distribution::Reference;

/// Host of a name without a host.
const HUB: &str = "docker.io";
/// Longest repository name, in bytes.
const MAX_REPOSITORY_BYTES: usize = 255;
/// Longest tag, in bytes.
const MAX_TAG_BYTES: usize = 128;

/// Parses `[HOST/]NAME[:TAG][@DIGEST]`; a name without tag and digest has the tag `latest`.
///
/// # Errors
/// What is wrong, as text.
pub fn parse(text: &str) -> Result<Reference, &'static str> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    if let Some(digest) = digest {
        check_digest(digest)?;
    }
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') && !tag.contains(']') => (name, Some(tag)),
        _ => (rest, None),
    };
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err("a tag has at most 128 letters, digits, `_`, `.` and `-`");
    }
    let (host, path) = match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
        _ => (HUB, name),
    };
    if !is_host(host) {
        return Err("its host is not a host name");
    }
    let host = if host == "index.docker.io" { HUB } else { host };
    if path.is_empty() {
        return Err("it has no name");
    }
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("a name must be lower case");
    }
    if !path.split('/').all(is_component) {
        return Err("a name has lower-case letters and digits, with `.`, `_`, `__` or `-` between");
    }
    let path = match host {
        HUB if !path.contains('/') => format!("library/{path}"),
        _ => path.to_owned(),
    };
    if path.len() > MAX_REPOSITORY_BYTES {
        return Err("a name has at most 255 characters");
    }
    let host = host.to_owned();
    Ok(match (tag, digest) {
        (Some(tag), Some(digest)) => {
            Reference::with_tag_and_digest(host, path, tag.to_owned(), digest.to_owned())
        }
        (None, Some(digest)) => Reference::with_digest(host, path, digest.to_owned()),
        (tag, None) => Reference::with_tag(host, path, tag.unwrap_or("latest").to_owned()),
    })
}

fn check_digest(digest: &str) -> Result<(), &'static str> {
    let (algorithm, encoded) =
        digest.split_once(':').ok_or("a digest is `sha256:` and 64 digits")?;
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return Err("the algorithm of its digest is unknown; use sha256"),
    };
    match encoded.len() == length && encoded.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(()),
        false => Err("its digest has the wrong length, or is not hexadecimal"),
    }
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut bytes = tag.bytes();
    tag.len() <= MAX_TAG_BYTES
        && bytes.next().is_some_and(is_word)
        && bytes.all(|byte| is_word(byte) || byte == b'.' || byte == b'-')
}

/// Whether the text is a host name, or an IPv6 address in brackets, with or without a port.
fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    if port.is_some_and(|port| port.is_empty() || port.bytes().any(|b| !b.is_ascii_digit())) {
        return false;
    }
    if let Some(address) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        let is_part = |byte: u8| byte.is_ascii_hexdigit() || byte == b':' || byte == b'.';
        return address.contains(':') && address.bytes().all(is_part);
    }
    name.split('.').all(|label| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

/// Whether the text is one part of a repository's name: runs of letters and digits, with one
/// separator between two.
fn is_component(component: &str) -> bool {
    let is_run = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut rest = component;
    loop {
        let run = rest.find(|c| !is_run(c)).unwrap_or(rest.len());
        if run == 0 {
            return false;
        }
        rest = &rest[run..];
        if rest.is_empty() {
            return true;
        }
        let separator = rest.find(is_run).unwrap_or(rest.len());
        let is_dashes = rest[..separator].bytes().all(|byte| byte == b'-');
        if !is_dashes && !matches!(&rest[..separator], "." | "_" | "__") {
            return false;
        }
        rest = &rest[separator..];
    }
}

/// Annotation with a manifest's tag within a layout, as umoci and skopeo expect it.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Annotation in which Docker Engine and containerd store the full name.
pub const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// `echo:1` as `docker.io/library/echo:1`; `None` if `name` is not a reference.
pub fn full(name: &str) -> Option<String> {
    parse(name).ok().map(|reference| reference.whole())
}

/// `docker.io/library/echo:1` as `echo:1`.
pub fn familiar(name: &str) -> &str {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    name.strip_prefix("library/").filter(|rest| !rest.contains('/')).unwrap_or(name)
}

/// `echo` as `echo:latest`, the form that `docker load` and listings need; `None` if `name` is not
/// a name with at most a tag.
pub fn tagged(name: &str) -> Option<String> {
    let reference = parse(name).ok().filter(|reference| reference.digest().is_none())?;
    Some(format!(
        "{}:{}",
        familiar(name).strip_suffix(&format!(":{}", reference.tag()?)).unwrap_or(familiar(name)),
        reference.tag()?
    ))
}

/// The tag of a name: `1` of `echo:1`.
pub fn tag(name: &str) -> Option<String> {
    parse(name).ok().and_then(|reference| reference.tag().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// oci-spec's regular expression is the oracle. It accepts three things that are refused here:
    /// upper case before the first slash if that part is not a host, a host with a `_`, and letters
    /// of other scripts in a tag.
    #[test]
    fn parses_names_by_the_grammar() {
        let digest = format!("sha256:{}", "a1".repeat(32));
        let parts = [
            "",
            "a",
            "A",
            "0",
            "a.b",
            "a_b",
            "a__b",
            "a___b",
            "a--b",
            "a-",
            "-a",
            ".",
            "..",
            "localhost",
            "a.b:5000",
            "a:5000",
            "a:",
            ":",
            "/",
            "@",
            "index.docker.io",
            "docker.io",
            "library",
            "a b",
            "[",
            "é",
            "1.0-rc_2",
            &digest,
            "sha256:ab",
            "md5:ab",
        ];
        let mut texts = Vec::new();
        for one in parts {
            for other in parts {
                for separator in ["/", ":", "@", ""] {
                    let two = format!("{one}{separator}{other}");
                    texts.extend(["/x", ":t", "/y:t", "@", ""].map(|end| format!("{two}{end}")));
                    texts.push(format!("{two}@{digest}"));
                }
            }
        }
        texts.push(format!("a/{}", "b".repeat(255)));
        texts.push(format!("a.b/{}", "b".repeat(256)));
        texts.push(format!("a:{}", "b".repeat(128)));
        texts.push(format!("a:{}", "b".repeat(129)));
        let mut good = 0;
        for text in &texts {
            let theirs = text.parse::<Reference>();
            match (parse(text), theirs) {
                (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs, "{text}"),
                (Err(_), Err(_)) => continue,
                (Ok(ours), Err(error)) => panic!("{text}: {ours}, they say {error}"),
                (Err(error), Ok(theirs)) => assert!(
                    theirs.repository().bytes().any(|b| b.is_ascii_uppercase())
                        || !is_host(theirs.registry())
                        || !text.is_ascii(),
                    "{text}: {error}, they say {theirs}"
                ),
            }
            good += 1;
        }
        assert!(good > 500, "{good} of {}", texts.len());
        // what the expression lacks
        let address = parse("[::1]:5000/a/b:1").expect("an address");
        assert_eq!((address.registry(), address.repository()), ("[::1]:5000", "a/b"));
    }

    #[test]
    fn converts_names_to_their_full_form_and_back() {
        for (short, long, tagged) in [
            ("echo:1", "docker.io/library/echo:1", "1"),
            ("me/echo:1", "docker.io/me/echo:1", "1"),
            ("localhost:5000/a/echo:v2", "localhost:5000/a/echo:v2", "v2"),
        ] {
            assert_eq!(
                (full(short).as_deref(), familiar(long), tag(short).as_deref()),
                (Some(long), short, Some(tagged))
            );
        }
        for (given, expected) in [
            ("echo", Some("echo:latest")),
            ("echo:1", Some("echo:1")),
            ("localhost:5000/a/echo", Some("localhost:5000/a/echo:latest")),
            ("docker.io/library/echo", Some("echo:latest")),
            ("Not A Name", None),
            ("echo:", None),
            ("", None),
            ("echo@sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", None),
        ] {
            assert_eq!(tagged(given).as_deref(), expected, "{given}");
        }
        assert_eq!((full("Not A Name"), tag("Not A Name")), (None, None));
    }
}
