//! Bill of materials: the crates compiled into a function's program, as a CycloneDX 1.5 document.
//! It is written beside the image and never attached to its tag, where an index or attestation
//! would cost every pull a request. It uses cargo's resolution and the messages of the same build;
//! it runs nothing. CycloneDX specification 1.5; package URL specification.

use crate::digest::Digest;
use cargo_metadata::{DependencyKind, Metadata, Package, PackageId, TargetKind};
use cyclonedx_bom::external_models::normalized_string::NormalizedString;
use cyclonedx_bom::external_models::spdx::SpdxExpression;
use cyclonedx_bom::external_models::uri::Purl;
use cyclonedx_bom::models::bom::{Bom, SpecVersion};
use cyclonedx_bom::models::component::{Classification, Component, Components};
use cyclonedx_bom::models::dependency::{Dependencies, Dependency};
use cyclonedx_bom::models::hash::{Hash, HashAlgorithm, HashValue, Hashes};
use cyclonedx_bom::models::license::{LicenseChoice, Licenses};
use cyclonedx_bom::models::metadata::Metadata as BomMetadata;
use cyclonedx_bom::models::tool::{Tool, Tools};
use cyclonedx_bom::prelude::Validate as _;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The media type of the bill.
pub const MEDIA_TYPE: &str = "application/vnd.cyclonedx+json";

/// Why there is no bill of materials.
#[derive(Debug, thiserror::Error)]
pub enum SbomError {
    /// Cargo resolved no dependency graph.
    #[error("cargo resolved no dependencies for `{0}`; run `cargo metadata` to see why")]
    NoGraph(String),
    /// The library cannot write the document.
    #[error("the bill of materials cannot be written: {0}")]
    Write(String),
}

/// A program and its build.
#[derive(Debug)]
pub struct Program<'a> {
    /// The package of the binary or example.
    pub package: &'a Package,
    /// The program's name in the bill.
    pub name: &'a str,
    /// Dependencies, resolved for the program's target.
    pub metadata: &'a Metadata,
    /// Every package of which cargo compiled something in this build.
    pub built: &'a [PackageId],
    /// Version of rustc, and therefore of the standard library.
    pub rustc: &'a str,
    /// Digest of the program's file.
    pub digest: Digest,
}

/// The bill for `program`, as JSON; the same build gives the same bytes, so it has neither a time
/// nor a serial number.
///
/// # Errors
/// [`SbomError`].
pub fn cyclonedx(program: &Program<'_>) -> Result<Vec<u8>, SbomError> {
    let linked = linked(program)?;
    let of_id: HashMap<_, _> =
        program.metadata.packages.iter().map(|package| (&package.id, package)).collect();
    let mut components = vec![standard_library(program.rustc)];
    let mut dependencies = Vec::new();
    for (id, uses) in &linked {
        let Some(package) = of_id.get(id) else { continue };
        if **id != program.package.id {
            components.push(component(package));
        }
        let mut names: Vec<_> =
            uses.iter().filter_map(|used| of_id.get(used)).map(|used| reference(used)).collect();
        names.push(STD_REFERENCE.to_owned());
        names.sort();
        dependencies.push(Dependency { dependency_ref: reference(package), dependencies: names });
    }
    components.sort_by(|a, b| a.bom_ref.cmp(&b.bom_ref));
    dependencies.sort_by(|a, b| a.dependency_ref.cmp(&b.dependency_ref));
    let mut main = component(program.package);
    main.component_type = Classification::Application;
    main.name = NormalizedString::new(program.name);
    main.hashes = Some(Hashes(vec![Hash {
        alg: HashAlgorithm::SHA_256,
        content: HashValue(program.digest.hex()),
    }]));
    let bom = Bom {
        serial_number: None,
        metadata: Some(BomMetadata {
            tools: Some(Tools::List(vec![Tool::new(
                "firstbyte",
                "microimage",
                env!("CARGO_PKG_VERSION"),
            )])),
            component: Some(main),
            ..BomMetadata::default()
        }),
        components: Some(Components(components)),
        dependencies: Some(Dependencies(dependencies)),
        spec_version: SpecVersion::V1_5,
        ..Bom::default()
    };
    let verdict = bom.validate_version(SpecVersion::V1_5);
    if !verdict.passed() {
        return Err(SbomError::Write(format!("{verdict:?}").chars().take(400).collect()));
    }
    let mut out = Vec::new();
    bom.output_as_json(&mut out, SpecVersion::V1_5).map_err(|e| SbomError::Write(e.to_string()))?;
    out.push(b'\n');
    Ok(out)
}

const STD_REFERENCE: &str = "rust-std";

/// The packages whose code is in the program, each with its dependencies. They are reached by
/// normal dependencies, compiled in this build, and not only run by the compiler (procedural
/// macros).
fn linked<'a>(
    program: &Program<'a>,
) -> Result<BTreeMap<&'a PackageId, Vec<&'a PackageId>>, SbomError> {
    let resolve = program
        .metadata
        .resolve
        .as_ref()
        .ok_or_else(|| SbomError::NoGraph(program.name.to_owned()))?;
    let nodes: HashMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let built: HashSet<_> = program.built.iter().collect();
    let macros: HashSet<_> = program
        .metadata
        .packages
        .iter()
        .filter(|p| p.targets.iter().any(|t| t.kind.contains(&TargetKind::ProcMacro)))
        .map(|p| &p.id)
        .collect();
    let mut found = BTreeMap::new();
    let mut open = vec![&program.package.id];
    while let Some(id) = open.pop() {
        let Some(node) = nodes.get(id) else { continue };
        let normal = node
            .deps
            .iter()
            .filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal));
        let uses: Vec<_> = normal
            .map(|dep| &dep.pkg)
            .filter(|id| built.contains(id) && !macros.contains(id))
            .collect();
        open.extend(uses.iter().filter(|used| !found.contains_key(*used)));
        found.insert(id, uses);
    }
    Ok(found)
}

fn component(package: &Package) -> Component {
    let (name, version) = (package.name.as_str(), package.version.to_string());
    let mut component =
        Component::new(Classification::Library, name, &version, Some(reference(package)));
    // Only a package from a registry has a package URL that can be resolved.
    if package.source.is_some() {
        component.purl = Purl::new("cargo", name, &version).ok();
    }
    // Cargo's old form `MIT/Apache-2.0` means OR.
    let license = package
        .license
        .as_ref()
        .and_then(|license| SpdxExpression::parse_lax(license.replace('/', " OR ")).ok());
    component.licenses = license.map(|license| Licenses(vec![LicenseChoice::Expression(license)]));
    component.description = package.description.as_deref().map(|text| {
        NormalizedString::new(text.split_whitespace().collect::<Vec<_>>().join(" ").as_str())
    });
    component
}

/// The standard library, including the code of the allocator and of musl in it. It comes with the
/// compiler and not from a registry.
fn standard_library(rustc: &str) -> Component {
    let mut component =
        Component::new(Classification::Library, "rust-std", rustc, Some(STD_REFERENCE.to_owned()));
    component.description = Some(NormalizedString::new(
        "Rust standard library with musl, as shipped with this compiler",
    ));
    component.licenses = SpdxExpression::parse_lax("MIT OR Apache-2.0".into())
        .ok()
        .map(|l| Licenses(vec![LicenseChoice::Expression(l)]));
    component
}

/// A name for cross references within the document, without paths of this machine.
fn reference(package: &Package) -> String {
    format!("{}@{}", package.name, package.version)
}
