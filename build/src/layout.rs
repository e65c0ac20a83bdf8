//! OCI image layout: a folder (or a tar of one) with oci-layout, index.json and blobs. It reads one
//! image of a layout, and writes one image as a new layout. It calls no registry. OCI image-spec
//! 1.1, image-layout.md and image-index.md.

use crate::digest::Digest;
use crate::image::{self, Blob, Descriptor, Image, ImageError, MAX_JSON_BYTES, media_type};
use crate::json;
use crate::reference::{self, CONTAINERD_NAME, REF_NAME};
use crate::stage::Staging;
use oci_spec::image::ImageIndex;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Largest depth of nested indexes.
const MAX_INDEX_DEPTH: usize = 4;

/// Why a layout was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A file of the layout is missing, unreadable or too long.
    #[error("`{path}` cannot be {what}: {source}")]
    File {
        /// Path of the file.
        path: String,
        /// The step that failed.
        what: &'static str,
        /// The underlying I/O error.
        source: io::Error,
    },
    /// `oci-layout` or `index.json` is not JSON of the expected form.
    #[error("`{0}` is not an OCI image layout: {1}")]
    Malformed(String, String),
    /// No manifest matches, or several do.
    #[error("`{at}` {why}")]
    Choice {
        /// Path of the layout.
        at: String,
        /// What was found instead of one manifest, and what to do.
        why: String,
    },
    /// A blob's bytes do not have the digest in its name.
    #[error("blob `{digest}` in `{at}` is damaged: {why}; fetch or build the image again")]
    Damaged {
        /// The blob.
        digest: Digest,
        /// Path of the layout.
        at: String,
        /// What is wrong with the bytes.
        why: String,
    },
    /// The manifest or configuration is refused.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// Source of a layout's files: a folder or a tar.
pub trait Store {
    /// Its name, for error messages.
    fn name(&self) -> String;

    /// The file at `path` (separated by `/`): its size in bytes and its content; `None` if there is
    /// none.
    ///
    /// # Errors
    /// The underlying I/O error.
    fn file(&self, path: &str) -> io::Result<Option<(u64, Blob)>>;
}

/// A layout that is a folder on disk.
pub struct FolderStore(pub PathBuf);

impl Store for FolderStore {
    fn name(&self) -> String {
        self.0.display().to_string()
    }

    fn file(&self, path: &str) -> io::Result<Option<(u64, Blob)>> {
        let path = self.0.join(path);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => Ok(Some((
                metadata.len(),
                Blob::new(move || {
                    Ok(Box::new(io::BufReader::with_capacity(1 << 16, File::open(&path)?)))
                }),
            ))),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Reads the only image of a layout, or the one that `select` names by tag or digest. From an index
/// of several platforms it takes linux/`architecture`, unless `select` is a digest.
///
/// # Errors
/// [`LayoutError`]: a file is missing, a digest is wrong, or more than one image matches.
pub fn read(
    store: &dyn Store,
    select: Option<&str>,
    architecture: &str,
) -> Result<Image, LayoutError> {
    let at = store.name();
    let header = read_json_file(store, "oci-layout")?;
    let header: Value = serde_json::from_slice(&header)
        .map_err(|e| LayoutError::Malformed(at.clone(), e.to_string()))?;
    match header["imageLayoutVersion"].as_str() {
        Some(version) if version.starts_with("1.") => {}
        other => {
            return Err(LayoutError::Malformed(
                at,
                format!("imageLayoutVersion is {other:?}, only `1.0.0` is supported"),
            ));
        }
    }
    let mut index = parse_index(&read_json_file(store, "index.json")?, &at)?;
    for depth in 0..MAX_INDEX_DEPTH {
        let chosen = choose(&index, select, architecture, &at)?;
        let descriptor = image::descriptor(&chosen)?;
        let bytes = read_json_blob(store, &descriptor)?;
        if [media_type::OCI_INDEX, media_type::DOCKER_INDEX]
            .contains(&descriptor.media_type.as_str())
        {
            index = parse_index(&bytes, &at)?;
            continue;
        }
        let config =
            read_json_blob(store, &image::descriptor(image::parse_manifest(&bytes)?.config())?)?;
        let mut broken = None;
        let image =
            Image::from_parts(bytes, config, |layer| match store.file(&blob_path(layer.digest)) {
                Ok(Some((_, blob))) => blob,
                Ok(None) => {
                    broken.get_or_insert(missing(&blob_path(layer.digest)));
                    Blob::from_bytes([])
                }
                Err(source) => {
                    broken.get_or_insert(LayoutError::File {
                        path: blob_path(layer.digest),
                        what: "read",
                        source,
                    });
                    Blob::from_bytes([])
                }
            })?;
        if let Some(error) = broken {
            return Err(error);
        }
        let image = if depth > 0 { image.with_index() } else { image };
        return Ok(match name_of(&chosen) {
            Some(name) => image.with_reference(name),
            None => image,
        });
    }
    Err(LayoutError::Malformed(at, format!("indexes are nested more than {MAX_INDEX_DEPTH} deep")))
}

/// Writes `image` as the layout `dest`, and replaces an existing one in one step. Every blob is
/// verified while it is copied.
///
/// # Errors
/// [`LayoutError`]; `dest` is then unchanged.
pub fn write(image: &Image, dest: &Path) -> Result<(), LayoutError> {
    let at =
        |what| move |source| LayoutError::File { path: dest.display().to_string(), what, source };
    if let Ok(metadata) = fs::symlink_metadata(dest) {
        let is_layout = metadata.is_dir()
            && (dest.join("oci-layout").is_file()
                || fs::read_dir(dest).is_ok_and(|mut d| d.next().is_none()));
        if !is_layout {
            return Err(LayoutError::Malformed(
                dest.display().to_string(),
                "it exists and is not an image layout; name another folder".into(),
            ));
        }
    }
    let staging = Staging::folder(dest).map_err(at("made"))?;
    fs::create_dir_all(staging.path().join("blobs/sha256")).map_err(at("made"))?;
    for (path, _, blob) in files(image) {
        let mut file = File::create_new(staging.path().join(&path)).map_err(at("written"))?;
        let mut bytes = blob().map_err(at("written"))?;
        io::copy(&mut bytes, &mut file).map_err(|source| LayoutError::File {
            path,
            what: "copied",
            source,
        })?;
    }
    staging.keep(dest).map_err(at("put into place"))
}

/// Opens the content of one file of a layout; the reader verifies a blob while it is read.
pub(crate) type OpenFile<'a> = Box<dyn Fn() -> io::Result<Box<dyn Read + 'a>> + 'a>;

/// Every file of the layout for only `image`: path, size in bytes, content.
pub(crate) fn files(image: &Image) -> Vec<(String, u64, OpenFile<'_>)> {
    fn bytes<'a>(bytes: Vec<u8>) -> (u64, OpenFile<'a>) {
        (bytes.len() as u64, Box::new(move || Ok(Box::new(io::Cursor::new(bytes.clone())))))
    }
    let mut files = Vec::new();
    let mut push = |path: String, (size_bytes, open)| {
        // Two equal layers are one blob.
        if files.iter().all(|(known, _, _): &(String, u64, OpenFile<'_>)| *known != path) {
            files.push((path, size_bytes, open));
        }
    };
    push("oci-layout".into(), bytes(br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()));
    push("index.json".into(), bytes(index_json(image)));
    push(blob_path(image.manifest_digest()), bytes(image.manifest_bytes().to_vec()));
    push(blob_path(image.config_descriptor().digest), bytes(image.config_bytes().to_vec()));
    for layer in image.layers() {
        let open: OpenFile<'_> = Box::new(move || Ok(Box::new(layer.open()?)));
        push(blob_path(layer.descriptor().digest), (layer.descriptor().size_bytes, open));
    }
    files
}

/// Path of a blob inside a layout.
pub(crate) fn blob_path(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// The index, with one entry per name, all for the same manifest.
fn index_json(image: &Image) -> Vec<u8> {
    let manifest = json!({
        "mediaType": image.media_type(),
        "digest": image.manifest_digest(),
        "size": image.manifest_bytes().len(),
        "platform": {"architecture": image.architecture(), "os": image.os()},
    });
    let named = |name: &str| {
        let mut manifest = manifest.clone();
        manifest["annotations"] = match (reference::full(name), reference::tag(name)) {
            (Some(full), Some(tag)) => json!({ CONTAINERD_NAME: full, REF_NAME: tag }),
            _ => json!({ REF_NAME: name }),
        };
        manifest
    };
    let mut manifests: Vec<_> = image.references().map(named).collect();
    if manifests.is_empty() {
        manifests.push(manifest.clone());
    }
    json::canonical(
        &json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests}),
    )
}

fn parse_index(bytes: &[u8], at: &str) -> Result<ImageIndex, LayoutError> {
    serde_json::from_slice(bytes).map_err(|e| LayoutError::Malformed(at.to_owned(), e.to_string()))
}

/// The only matching manifest of an index.
fn choose(
    index: &ImageIndex,
    select: Option<&str>,
    architecture: &str,
    at: &str,
) -> Result<oci_spec::image::Descriptor, LayoutError> {
    let name = name_of;
    let all = index.manifests();
    let mut fitting: Vec<_> = all.iter().collect();
    if let Some(select) = select {
        fitting.retain(|d| {
            let called = reference::familiar(select);
            d.digest().to_string() == select
                || name(d).is_some_and(|n| {
                    n == called
                        || n.ends_with(&format!(":{select}"))
                        || n.strip_suffix(":latest") == Some(called)
                })
        });
        // A tag that selected the outer index does not select a platform inside it.
        if fitting.is_empty()
            && all.iter().all(|d| name(d).is_none())
            && !select.starts_with("sha256:")
        {
            fitting = all.iter().collect();
        }
    }
    if fitting.len() > 1 {
        let ours = |d: &&oci_spec::image::Descriptor| {
            d.platform().as_ref().is_some_and(|p| {
                p.architecture().to_string() == architecture && p.os().to_string() == "linux"
            })
        };
        let for_us: Vec<_> = fitting.iter().copied().filter(ours).collect();
        if for_us.len() == 1 {
            fitting = for_us;
        }
    }
    // Several names of one manifest are one image.
    if fitting.iter().all(|d| d.digest() == fitting[0].digest()) {
        fitting.truncate(1);
    }
    match fitting.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(LayoutError::Choice {
            at: at.to_owned(),
            why: match select {
                Some(select) => format!(
                    "contains no image `{select}`; it contains {}; name one as `{at}#NAME`",
                    list(all, name)
                ),
                None => "contains no image".to_owned(),
            },
        }),
        several => Err(LayoutError::Choice {
            at: at.to_owned(),
            why: format!(
                "contains {} matching images; name one as `{at}#NAME`: {}",
                several.len(),
                list(all, name)
            ),
        }),
    }
}

/// The name of a manifest in a layout: the full name, if there is one and its tag agrees. A tool
/// that knows only tags may have copied the manifest to another tag, with the full name unchanged.
fn name_of(manifest: &oci_spec::image::Descriptor) -> Option<String> {
    let annotations = manifest.annotations().as_ref()?;
    let tag = annotations.get(REF_NAME);
    let full = annotations
        .get(CONTAINERD_NAME)
        .filter(|full| tag.is_none() || reference::tag(full).as_ref() == tag);
    full.map(|full| reference::familiar(full).to_owned()).or_else(|| tag.cloned())
}

fn list(
    manifests: &[oci_spec::image::Descriptor],
    name: impl Fn(&oci_spec::image::Descriptor) -> Option<String>,
) -> String {
    let shown = manifests
        .iter()
        .take(10)
        .map(|d| format!("`{}`", name(d).unwrap_or_else(|| d.digest().to_string())));
    shown.collect::<Vec<_>>().join(", ")
}

fn read_json_file(store: &dyn Store, path: &str) -> Result<Vec<u8>, LayoutError> {
    let at = |source| LayoutError::File {
        path: format!("{}/{path}", store.name()),
        what: "read",
        source,
    };
    let (_, blob) = store
        .file(path)
        .map_err(at)?
        .ok_or_else(|| at(io::Error::from(io::ErrorKind::NotFound)))?;
    let mut bytes = Vec::new();
    blob.open_unverified()
        .map_err(at)?
        .take(MAX_JSON_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(at)?;
    if bytes.len() as u64 > MAX_JSON_BYTES {
        return Err(
            ImageError::Limit(format!("`{path}` has more than {MAX_JSON_BYTES} bytes")).into()
        );
    }
    Ok(bytes)
}

fn read_json_blob(store: &dyn Store, descriptor: &Descriptor) -> Result<Vec<u8>, LayoutError> {
    let bytes = read_json_file(store, &blob_path(descriptor.digest))?;
    let damaged = |why| LayoutError::Damaged { digest: descriptor.digest, at: store.name(), why };
    if bytes.len() as u64 != descriptor.size_bytes {
        return Err(damaged(format!(
            "it has {} bytes instead of {}",
            bytes.len(),
            descriptor.size_bytes
        )));
    }
    let found = Digest::of(&bytes);
    if found != descriptor.digest {
        return Err(damaged(format!("its bytes have the digest `{found}`")));
    }
    Ok(bytes)
}

fn missing(path: &str) -> LayoutError {
    LayoutError::File {
        path: path.to_owned(),
        what: "found",
        source: io::Error::from(io::ErrorKind::NotFound),
    }
}
