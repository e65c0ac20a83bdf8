//! Assembly of an image from recipe and context: file tree, check that the program is static, one
//! layer, configuration, manifest. Pure: the same input gives the same digest. OCI image-spec 1.1,
//! config.md and manifest.md; Docker's image manifest version 2, schema 2.

use crate::digest::Digest;
use crate::elf::{Architecture, ElfError, StaticElf};
use crate::image::{Blob, Compression, Image, ImageError, media_type};
use crate::json;
use crate::layer::{self, Format, LayerError};
use crate::recipe::{BuildContext, DEFAULT_PATH, Recipe, RecipeError, RunConfig};
use crate::rootfs::{Node, RootfsError};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Properties of an image that the recipe does not state.
#[derive(Clone, Debug)]
pub struct Options {
    /// Architecture that the program must be built for.
    pub architecture: Architecture,
    /// OCI or Docker.
    pub format: Format,
    /// Compression of the layer.
    pub compression: Compression,
    /// SOURCE_DATE_EPOCH: the time of every file and of the image, in seconds since 1970.
    pub source_date_epoch: u64,
    /// Annotations of the manifest (annotations.md). Docker's manifest has none, so there they
    /// become labels.
    pub annotations: BTreeMap<String, String>,
    /// Labels in addition to the recipe's; they override labels of the same name.
    pub labels: BTreeMap<String, String>,
    /// Files and folders in addition to the recipe's, as absolute paths.
    pub extra: Vec<(String, Node)>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            architecture: Architecture::Amd64,
            format: Format::Oci,
            compression: Compression::Gzip,
            source_date_epoch: 0,
            annotations: BTreeMap::new(),
            labels: BTreeMap::new(),
            extra: Vec::new(),
        }
    }
}

/// An image, and facts that are known only during its assembly.
#[derive(Clone, Debug)]
pub struct Assembled {
    /// The image; its layer is in memory.
    pub image: Image,
    /// The entrypoint's program, checked to be static.
    pub program: StaticElf,
    /// Size of the layer's tar, in bytes.
    pub layer_uncompressed_bytes: u64,
}

/// Why no image was made.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// The recipe is wrong.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The recipe has no entrypoint.
    #[error("the recipe has no entrypoint; add `ENTRYPOINT [\"/app\"]`")]
    NoEntrypoint,
    /// The program is not in the image, or a requested file conflicts with the tree.
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    /// The program is not static, or not for this architecture.
    #[error("`{program}` cannot run in this image: {source}")]
    Program {
        /// First word of the entrypoint.
        program: String,
        /// What is wrong and what to do.
        source: ElfError,
    },
    /// The layer cannot be packed.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The assembled image cannot be parsed: a bug in this crate.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// Makes the image that `recipe` describes.
///
/// # Errors
/// [`AssembleError`], which states what to do.
pub fn assemble(
    recipe: &Recipe,
    context: &dyn BuildContext,
    options: &Options,
) -> Result<Assembled, AssembleError> {
    layer::layer_media_type(options.format, options.compression)?; // an early check
    let mut rootfs = recipe.rootfs(context, &options.extra)?;
    for (path, node) in &options.extra {
        rootfs.insert(path, node.clone())?;
    }
    let run = &recipe.run;
    let argv = run.argv();
    let program = argv.first().ok_or(AssembleError::NoEntrypoint)?;
    let bytes =
        rootfs.program(program, &run.working_dir, run.env("PATH").unwrap_or(DEFAULT_PATH))?;
    let proof = StaticElf::parse(&bytes, options.architecture)
        .map_err(|source| AssembleError::Program { program: program.clone(), source })?;
    let layer =
        layer::pack(&rootfs, options.source_date_epoch, options.format, options.compression)?;
    let config = config_json(run, options, &layer.diff_id.to_string());
    let manifest = manifest_json(options, &config, &layer.descriptor);
    let blob = Blob::from_bytes(layer.bytes);
    let image = Image::from_parts(manifest, config, |_| blob.clone())?;
    Ok(Assembled { image, program: proof, layer_uncompressed_bytes: layer.uncompressed_bytes })
}

fn config_json(run: &RunConfig, options: &Options, diff_id: &str) -> Vec<u8> {
    let mut config = Map::new();
    let words = |words: &[String]| (!words.is_empty()).then(|| json!(words));
    let text = |text: &str| (!text.is_empty()).then(|| json!(text));
    let env: Vec<_> = run.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let ports: Map<String, Value> =
        run.exposed_ports.iter().map(|port| (port.clone(), json!({}))).collect();
    let mut labels: BTreeMap<_, _> = run.labels.iter().cloned().collect();
    if options.format == Format::Docker {
        labels.extend(options.annotations.clone());
    }
    labels.extend(options.labels.clone());
    for (name, value) in [
        ("Entrypoint", words(&run.entrypoint)),
        ("Cmd", words(&run.cmd)),
        ("Env", words(&env)),
        ("User", text(&run.user)),
        ("WorkingDir", text(&run.working_dir)),
        ("ExposedPorts", (!ports.is_empty()).then(|| json!(ports))),
        ("Labels", (!labels.is_empty()).then(|| json!(labels))),
    ] {
        config.extend(value.map(|value| (name.to_owned(), value)));
    }
    let created = rfc3339(options.source_date_epoch);
    json::canonical(&json!({
        "architecture": options.architecture.to_string(),
        "os": "linux",
        "created": created,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": created, "created_by": "microimage"}],
    }))
}

fn manifest_json(options: &Options, config: &[u8], layer: &crate::image::Descriptor) -> Vec<u8> {
    let (manifest_type, config_type) = match options.format {
        Format::Oci => (media_type::OCI_MANIFEST, media_type::OCI_CONFIG),
        Format::Docker => (media_type::DOCKER_MANIFEST, media_type::DOCKER_CONFIG),
    };
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": manifest_type,
        "config": {"mediaType": config_type, "digest": Digest::of(config), "size": config.len()},
        "layers": [{
            "mediaType": layer.media_type,
            "digest": layer.digest,
            "size": layer.size_bytes,
        }],
    });
    if options.format == Format::Oci && !options.annotations.is_empty() {
        manifest["annotations"] = json!(options.annotations);
    }
    json::canonical(&manifest)
}

/// Seconds since 1970 as `1970-01-01T00:00:00Z` (RFC 3339), in the proleptic Gregorian calendar.
fn rfc3339(seconds: u64) -> String {
    let (mut days, of_day) = (seconds / 86_400, seconds % 86_400);
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970 + days / 146_097 * 400; // cycles of 400 years
    days %= 146_097;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!(
        "{year:04}-{month:02}-{:02}T{:02}:{:02}:{:02}Z",
        days + 1,
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn writes_times_as_date_does() {
        // Expected values: `date -u -d @N +%FT%TZ`.
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(seconds), expected);
        }
    }
}
