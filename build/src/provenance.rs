//! Provenance of an image: an in-toto statement with SLSA provenance about what was built, by which
//! tools and from which files. It is not signed and contains no time, so the same build gives the
//! same bytes. In-toto attestation framework 1.0; SLSA provenance 1.0.

use crate::digest::Digest;
use crate::image::Image;
use crate::json;
use serde_json::{Value, json};

/// The media type of the statement.
pub const MEDIA_TYPE: &str = "application/vnd.in-toto+json";
/// Type of the build: `microimage image`.
const BUILD_TYPE: &str = "urn:firstbyte:microimage:image:1";
/// Builder's identity.
const BUILDER: &str = "urn:firstbyte:microimage";

/// Inputs of a build.
#[derive(Debug)]
pub struct Build<'a> {
    /// The workspace's package or example.
    pub function: &'a str,
    /// The package's repository, as in its Cargo.toml.
    pub repository: Option<&'a str>,
    /// Name of the build profile, as in `--profile`.
    pub profile: &'a str,
    /// Version of rustc.
    pub rustc: &'a str,
    /// Files that the build depends on, by name: Cargo.lock and the recipe.
    pub files: Vec<(&'a str, Digest)>,
    /// Digest of the program.
    pub program: Digest,
}

/// The statement about `image`.
pub fn statement(image: &Image, build: &Build<'_>) -> Vec<u8> {
    let digest = |digest: Digest| json!({"sha256": digest.hex()});
    let mut materials: Vec<Value> =
        build.files.iter().map(|(name, of)| json!({"name": name, "digest": digest(*of)})).collect();
    materials.extend(build.repository.map(|uri| json!({"uri": uri})));
    let subjects: Vec<_> = image
        .references()
        .map(|name| json!({"name": name, "digest": digest(image.manifest_digest())}))
        .collect();
    let mut text = json::canonical(&json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "function": build.function,
                    "profile": build.profile,
                    "platform": format!("{}/{}", image.os(), image.architecture()),
                },
                "resolvedDependencies": materials,
            },
            "runDetails": {
                "builder": {
                    "id": BUILDER,
                    "version": {"microimage": env!("CARGO_PKG_VERSION"), "rustc": build.rustc},
                },
                "byproducts": [{"name": "program", "digest": digest(build.program)}],
            },
        },
    }));
    text.push(b'\n');
    text
}
