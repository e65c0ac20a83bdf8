//! The bill of materials of this package: every entry can be looked up, and matches cargo's
//! metadata.

use cargo_metadata::{MetadataCommand, Package};
use microimage::digest::Digest;
use microimage::sbom::{self, Program};
use serde_json::Value;

#[test]
fn names_source_license_and_digest() {
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .other_options(
            ["--offline", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"]
                .map(str::to_owned),
        )
        .exec()
        .expect("cargo");
    let package = |name: &str| -> &Package {
        metadata
            .packages
            .iter()
            .find(|package| package.name.as_str() == name)
            .expect("one of this workspace's")
    };
    let built: Vec<_> = metadata.packages.iter().map(|package| package.id.clone()).collect();
    let digest = Digest::of(b"the program");
    let bill = |built: &[_]| -> Value {
        let (package, rustc) = (package("microimage"), "1.95.0");
        let program =
            Program { package, name: "microimage", metadata: &metadata, built, rustc, digest };
        serde_json::from_slice(&sbom::cyclonedx(&program).expect("a bill")).expect("JSON")
    };
    let all = bill(&built);
    assert_eq!((&all["bomFormat"], &all["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    let main = &all["metadata"]["component"];
    assert_eq!((&main["type"], &main["name"]), (&"application".into(), &"microimage".into()));
    assert_eq!(main["hashes"], serde_json::json!([{"alg": "SHA-256", "content": digest.hex()}]));
    assert!(main.get("purl").is_none(), "no registry holds this package");
    let find = |bill: &Value, name: &str| {
        bill["components"].as_array().expect("a list").iter().find(|c| c["name"] == name).cloned()
    };
    for name in ["serde_json", "tar", "sha2"] {
        let found = find(&all, name).expect(name);
        // The workspace may have a crate in two versions: the bill contains one of them.
        let is_it = |known: &&cargo_metadata::Package| {
            known.name.as_str() == name && found["version"] == known.version.to_string()
        };
        let known = metadata.packages.iter().find(is_it).expect("a version that cargo knows");
        assert_eq!(found["purl"], format!("pkg:cargo/{name}@{}", known.version));
        let license = known.license.as_ref().expect("each of them states one").replace('/', " OR ");
        assert_eq!(found["licenses"], serde_json::json!([{"expression": license}]));
    }
    let library = find(&all, "rust-std").expect("it is in every program");
    assert_eq!((&library["version"], library.get("purl")), (&"1.95.0".into(), None));
    // A macro runs in the compiler, and a crate that was not compiled in this build is not in the
    // program.
    assert!(find(&all, "serde_derive").is_none());
    let fewer: Vec<_> = built.into_iter().filter(|id| *id != package("tar").id).collect();
    assert!(find(&bill(&fewer), "tar").is_none());
}
