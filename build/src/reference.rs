//! What images are called: the short name a person types, the full name that engines keep, the tag
//! alone. It talks to no registry. Docker's reference grammar (distribution/reference); OCI
//! image-spec, annotations.md, on `ref.name`.

use oci_spec::distribution::Reference;

/// The annotation that names a manifest within a layout: by its tag, as umoci and skopeo expect it.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation in which Docker Engine and containerd keep the full name.
pub const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// `echo:1` as `docker.io/library/echo:1`; `None` when `name` is not a reference.
pub fn full(name: &str) -> Option<String> {
    name.parse::<Reference>().ok().map(|reference| reference.whole())
}

/// `docker.io/library/echo:1` as `echo:1`.
pub fn familiar(name: &str) -> &str {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    name.strip_prefix("library/").filter(|rest| !rest.contains('/')).unwrap_or(name)
}

/// `echo` as `echo:latest`, the form that `docker load` and every listing want; `None` when `name`
/// is not a name with at most a tag.
pub fn tagged(name: &str) -> Option<String> {
    let reference =
        name.parse::<Reference>().ok().filter(|reference| reference.digest().is_none())?;
    Some(format!(
        "{}:{}",
        familiar(name).strip_suffix(&format!(":{}", reference.tag()?)).unwrap_or(familiar(name)),
        reference.tag()?
    ))
}

/// The tag of a name: `1` of `echo:1`.
pub fn tag(name: &str) -> Option<String> {
    name.parse::<Reference>().ok().and_then(|reference| reference.tag().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_to_their_full_form_and_back() {
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
