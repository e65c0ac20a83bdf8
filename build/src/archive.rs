//! docker-archive: the tar that `docker save` writes and `docker load` reads. An archive written
//! here is also an OCI image layout, so one file works with Docker Engine, containerd and skopeo.
//! Layers are never unpacked. The format has no specification; this follows moby's image/tarexport
//! and the description in the Docker image specification v1.2.

use crate::digest::{Digest, HashingReader};
use crate::entry::{EntryError, Extensions, LayerLimits, MAX_NAME_BYTES};
use crate::image::{Blob, Compression, Image, ImageError, MAX_JSON_BYTES, MAX_LAYERS, media_type};
use crate::json;
use crate::layer::decompress;
use crate::layout::{self, LayoutError, Store};
use crate::reference;
use crate::rootfs::normalize;
use crate::stage::Staging;
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Largest number of files in an archive.
const MAX_FILES: usize = 10_000;

/// Why an archive was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file cannot be read or written, or is not a tar.
    #[error("`{path}` cannot be {what}: {source}")]
    File {
        /// Path of the file.
        path: PathBuf,
        /// The step that failed.
        what: &'static str,
        /// The underlying I/O error.
        source: io::Error,
    },
    /// The tar is not an image archive.
    #[error("`{path}` is not an image archive: {why}")]
    Malformed {
        /// Path of the file.
        path: PathBuf,
        /// What is missing or wrong.
        why: String,
    },
    /// The image in the archive is refused.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The OCI layout in the archive is refused.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

/// One image in `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Saved {
    fn tags(&self) -> Vec<String> {
        let tags = self.repo_tags.iter().flatten();
        tags.map(|tag| reference::familiar(tag).to_owned()).collect()
    }

    /// The hexadecimal digest of its configuration, which is the image's id: `ID.json` before
    /// Docker 25, `blobs/sha256/ID` since.
    fn id(&self) -> &str {
        let file = self.config.rsplit('/').next().unwrap_or(&self.config);
        file.trim_end_matches(".json")
    }

    fn fits(&self, name: &str) -> bool {
        let id = name.strip_prefix("sha256:").unwrap_or(name);
        let is_id = id.len() >= 6 && id.bytes().all(|b| b.is_ascii_hexdigit());
        self.tags().iter().any(|tag| is_called(tag, name)) || is_id && self.id().starts_with(id)
    }
}

/// Whether `name`, as a user writes it, means `tag`: a name without a tag means `latest`.
fn is_called(tag: &str, name: &str) -> bool {
    let name = reference::familiar(name);
    tag == name || tag.strip_suffix(":latest") == Some(name)
}

/// The image of an archive that `select` names; without `select`, the only one.
fn choose<'a>(saved: &'a [Saved], select: Option<&str>) -> Result<&'a Saved, String> {
    let fitting: Vec<_> = saved.iter().filter(|s| select.is_none_or(|name| s.fits(name))).collect();
    let names: Vec<_> = saved
        .iter()
        .flat_map(|s| match s.tags() {
            tags if tags.is_empty() => vec![s.id().chars().take(12).collect()],
            tags => tags,
        })
        .take(10)
        .map(|name| format!("`{}`", shorten(&name)))
        .collect();
    let how = format!("name one as `FILE#NAME`: {}", names.join(", "));
    match (fitting.as_slice(), select) {
        ([one], _) => Ok(one),
        ([], None) => Err("it contains no image".into()),
        ([], Some(name)) => Err(format!("it contains no image `{}`; {how}", shorten(name))),
        (several, _) => Err(format!("it contains {} matching images; {how}", several.len())),
    }
}

/// Writes `image` as the tar `dest`, and replaces an existing file in one step. Every blob is
/// verified while it is copied.
///
/// # Errors
/// [`ArchiveError`]; `dest` is then unchanged.
pub fn write(image: &Image, dest: &Path) -> Result<(), ArchiveError> {
    let at = |what| move |source| ArchiveError::File { path: dest.to_owned(), what, source };
    let staging = Staging::file(dest).map_err(at("made"))?;
    let file = File::options().write(true).open(staging.path()).map_err(at("made"))?;
    let mut tar = tar::Builder::new(BufWriter::with_capacity(1 << 16, file));
    let paths = image.layers().iter().map(|layer| layout::blob_path(layer.descriptor().digest));
    let manifest = json::canonical(&json!([{
        "Config": layout::blob_path(image.config_descriptor().digest),
        "RepoTags": image.reference().map(|_| image.references().collect::<Vec<_>>()),
        "Layers": paths.collect::<Vec<_>>(),
    }]));
    append(&mut tar, "manifest.json", manifest.len() as u64, &mut manifest.as_slice())
        .map_err(at("written"))?;
    for (path, size_bytes, open) in layout::files(image) {
        append(&mut tar, &path, size_bytes, &mut open().map_err(at("written"))?)
            .map_err(at("written"))?;
    }
    let file = tar
        .into_inner()
        .and_then(|w| w.into_inner().map_err(io::IntoInnerError::into_error))
        .map_err(at("written"))?;
    drop(file);
    staging.keep(dest).map_err(at("put into place"))
}

/// Reads an archive: as an OCI layout if it is one (which keeps the manifest's digest), otherwise
/// in the form of `docker save`.
///
/// # Errors
/// [`ArchiveError`] if the tar is malformed, contains no image, or contains several and `select`
/// names none of them.
pub fn read(path: &Path, select: Option<&str>, architecture: &str) -> Result<Image, ArchiveError> {
    let store = TarStore::open(path).map_err(|source| ArchiveError::File {
        path: path.to_owned(),
        what: "read as a tar",
        source,
    })?;
    if store.files.contains_key("oci-layout") && store.files.contains_key("index.json") {
        return Ok(layout::read(&store, select, architecture)?);
    }
    read_saved(&store, select)
}

fn append(
    tar: &mut tar::Builder<impl io::Write>,
    path: &str,
    size_bytes: u64,
    bytes: &mut dyn Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(size_bytes);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    let mut counted = HashingReader::new(bytes);
    tar.append_data(&mut header, path, &mut counted)?;
    if counted.size_bytes() != size_bytes {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("`{path}` ended early")));
    }
    Ok(())
}

/// Reads an image in the form that `docker save` writes before version 25: configuration and layers
/// by file name, without an OCI manifest. The manifest made here is a Docker manifest, whose digest
/// no registry knows.
fn read_saved(store: &TarStore, select: Option<&str>) -> Result<Image, ArchiveError> {
    let malformed = |why: String| ArchiveError::Malformed { path: store.path.clone(), why };
    let read = |source| ArchiveError::File { path: store.path.clone(), what: "read", source };
    let whole = |name: &str| -> Result<Vec<u8>, ArchiveError> {
        let (size_bytes, blob) = store
            .file(name)
            .map_err(read)?
            .ok_or_else(|| malformed(format!("it has no `{}`", shorten(name))))?;
        if size_bytes > MAX_JSON_BYTES {
            return Err(malformed(format!(
                "`{}` has {size_bytes} bytes, more than the limit of {MAX_JSON_BYTES}",
                shorten(name)
            )));
        }
        let mut bytes = Vec::new();
        blob.open_unverified().and_then(|mut r| r.read_to_end(&mut bytes)).map_err(read)?;
        Ok(bytes)
    };
    let saved: Vec<Saved> = serde_json::from_slice(&whole("manifest.json")?)
        .map_err(|e| malformed(format!("`manifest.json`: {e}")))?;
    let saved = choose(&saved, select).map_err(malformed)?;
    if saved.layers.len() > MAX_LAYERS {
        return Err(ImageError::Limit(format!(
            "{} layers, more than the limit of {MAX_LAYERS}",
            saved.layers.len()
        ))
        .into());
    }
    let config = whole(&saved.config)?;
    let mut blobs = HashMap::new();
    let mut layers = Vec::new();
    for name in &saved.layers {
        let (_, blob) = store
            .file(name)
            .map_err(read)?
            .ok_or_else(|| malformed(format!("it has no `{}`", shorten(name))))?;
        let (media_type, digest, size_bytes) = identify(&blob).map_err(read)?;
        layers.push(json!({"mediaType": media_type, "digest": digest, "size": size_bytes}));
        blobs.insert(digest, blob);
    }
    let manifest = json::canonical(&json!({
        "schemaVersion": 2,
        "mediaType": media_type::DOCKER_MANIFEST,
        "config": {
            "mediaType": media_type::DOCKER_CONFIG,
            "digest": Digest::of(&config),
            "size": config.len(),
        },
        "layers": layers,
    }));
    let image = Image::from_parts(manifest, config, |layer| blobs[&layer.digest].clone())?;
    let named = saved.tags();
    let chosen = named.iter().find(|tag| select.is_some_and(|name| is_called(tag, name)));
    Ok(match chosen.or(named.first()) {
        Some(tag) => image.with_reference(tag),
        None => image,
    })
}

/// Media type (by its first bytes), digest and size in bytes of a layer's file.
fn identify(blob: &Blob) -> io::Result<(&'static str, Digest, u64)> {
    let mut reader = HashingReader::new(blob.open_unverified()?);
    let mut magic = [0; 4];
    let mut filled = 0;
    while filled < magic.len() {
        match reader.read(&mut magic[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    io::copy(&mut reader, &mut io::sink())?;
    let media_type = match magic {
        [0x1f, 0x8b, ..] => media_type::DOCKER_LAYER_GZIP,
        [0x28, 0xb5, 0x2f, 0xfd] => media_type::OCI_LAYER_ZSTD,
        _ => media_type::DOCKER_LAYER,
    };
    let (digest, size_bytes) = reader.finish();
    Ok((media_type, digest, size_bytes))
}

/// The files of a tar, by name, read without unpacking it.
pub struct TarStore {
    path: PathBuf,
    file: Arc<File>,
    files: HashMap<String, Member>,
}

enum Member {
    /// Offset and size of the content, in bytes.
    File(u64, u64),
    /// A link to another member (`docker save` links equal layers).
    Link(String),
}

impl TarStore {
    /// Reads the tar's headers.
    ///
    /// # Errors
    /// The underlying I/O error, or an error for a file that is not a tar.
    pub fn open(path: &Path) -> io::Result<TarStore> {
        let mut file = decompressed(File::open(path)?)?;
        let length = file.seek(SeekFrom::End(0))?;
        file.rewind()?;
        let broken = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
        let mut files = HashMap::new();
        let mut archive = tar::Archive::new(&file);
        let mut extensions = Extensions::default();
        // Raw entries: extension data before a file, such as its long name, is checked against a
        // limit before it is read into memory.
        for entry in archive.entries_with_seek()?.raw(true) {
            let is_first = files.is_empty();
            let mut entry = entry.map_err(|error| match error.kind() {
                // The tar library's message about bytes that are not a header does not help a user.
                io::ErrorKind::Other | io::ErrorKind::InvalidData if is_first => {
                    broken("it is not a tar")
                }
                _ => error,
            })?;
            let kind = entry.header().entry_type();
            let stated = entry.header().entry_size()?;
            if extensions.absorb(kind, stated, &mut entry).map_err(|e| match e {
                EntryError::Read(error) => error,
                other => broken(&other.to_string()),
            })? {
                continue;
            }
            let said = std::mem::take(&mut extensions);
            if files.len() >= MAX_FILES {
                return Err(broken("it contains more than 10,000 files; no image archive does"));
            }
            let name = said.path.unwrap_or_else(|| entry.path_bytes().into_owned());
            let target = said
                .link
                .unwrap_or_else(|| entry.link_name_bytes().unwrap_or_default().into_owned());
            if name.len() > MAX_NAME_BYTES || target.len() > MAX_NAME_BYTES {
                return Err(broken("it contains a name longer than 4096 bytes"));
            }
            let Ok(name) = String::from_utf8(name) else { continue };
            // The name is a key, and never a path on disk.
            let name = normalize("", &name);
            if kind.is_file() {
                let size_bytes = stated;
                if said.size_bytes.is_some_and(|said| said != size_bytes) {
                    return Err(broken("it contains a file with two different sizes"));
                }
                let end = entry.raw_file_position().checked_add(size_bytes);
                if end.is_none_or(|end| end > length) {
                    return Err(broken("it ends within a file; copy or build it again"));
                }
                files.insert(name, Member::File(entry.raw_file_position(), size_bytes));
            } else if kind.is_symlink() || kind.is_hard_link() {
                let target = String::from_utf8_lossy(&target).into_owned();
                let base = if kind.is_symlink() {
                    name.rsplit_once('/').map_or("", |(folder, _)| folder)
                } else {
                    ""
                };
                files
                    .insert(name.clone(), Member::Link(normalize("", &format!("{base}/{target}"))));
            }
        }
        Ok(TarStore { path: path.to_owned(), file: Arc::new(file), files })
    }
}

impl Store for TarStore {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn file(&self, path: &str) -> io::Result<Option<(u64, Blob)>> {
        let mut name = normalize("", path);
        for _ in 0..8 {
            match self.files.get(&name) {
                None => return Ok(None),
                Some(Member::Link(target)) => name = target.clone(),
                Some(Member::File(offset, size)) => {
                    let (file, offset, size) = (Arc::clone(&self.file), *offset, *size);
                    let open = move || -> io::Result<Box<dyn Read + Send>> {
                        let section = Section::new(Arc::clone(&file), offset, size);
                        Ok(Box::new(io::BufReader::with_capacity(1 << 16, section)))
                    };
                    return Ok(Some((size, Blob::new(open))));
                }
            }
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "links in the archive form a circle"))
    }
}

/// The archive as an uncompressed tar. The output of `docker save | gzip` is decompressed into an
/// unnamed temporary file, because a tar is read more than once.
fn decompressed(mut file: File) -> io::Result<File> {
    let mut magic = [0; 6];
    let filled = file.read_at(&mut magic, 0)?;
    let unread = |program: &str| {
        let why = format!("it is compressed by `{program}`; `{program} -d` it first");
        Err(io::Error::new(io::ErrorKind::InvalidData, why))
    };
    let compression = match &magic[..filled] {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
        [0xfd, b'7', b'z', b'X', b'Z', 0] => return unread("xz"),
        [b'B', b'Z', b'h', ..] => return unread("bzip2"),
        _ => return Ok(file),
    };
    file.rewind()?;
    let mut tar = tempfile::tempfile()?;
    let limit = LayerLimits::default().max_uncompressed_bytes;
    let copied =
        io::copy(&mut decompress(&file, compression)?.take(limit), &mut tar).map_err(|error| {
            io::Error::new(error.kind(), format!("it cannot be decompressed: {error}"))
        })?;
    if copied == limit {
        let why = format!("it is larger than {limit} bytes after decompression");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(tar)
}

/// Part of a file, read without moving a shared file position.
pub(crate) struct Section {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Section {
    /// The `size` bytes of `file` from `offset` on.
    pub(crate) fn new(file: Arc<File>, offset: u64, size: u64) -> Section {
        Section { file, at: offset, end: offset.saturating_add(size) }
    }
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = buffer.len().min(usize::try_from(self.end - self.at).unwrap_or(usize::MAX));
        let n = self.file.read_at(&mut buffer[..want], self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(160).flat_map(char::escape_debug).collect()
}
