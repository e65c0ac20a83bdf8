//! View of an image for people, and the difference of two images. It makes text or JSON of values;
//! it loads nothing and prints nothing.

use crate::contents::{Contents, Found, What};
use crate::digest::{DiffId, Digest};
use crate::image::Image;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

/// The output of `inspect`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct View {
    /// Name and tag, if it has one.
    pub reference: Option<String>,
    /// Platform, for example `linux/amd64`.
    pub platform: String,
    /// Digest of the manifest, the image's identity.
    pub manifest_digest: Digest,
    /// Media type of the manifest.
    pub media_type: String,
    /// Digest of the configuration.
    pub config_digest: Digest,
    /// Entrypoint, then default arguments.
    pub argv: Vec<String>,
    /// Environment, as `NAME=value`.
    pub env: Vec<String>,
    /// Working directory.
    pub working_dir: String,
    /// User; empty for root.
    pub user: String,
    /// Ports, for example `9000/tcp`.
    pub exposed_ports: Vec<String>,
    /// Labels by name.
    pub labels: Vec<(String, String)>,
    /// The manifest's annotations by name.
    pub annotations: Vec<(String, String)>,
    /// Layers, lowest first.
    pub layers: Vec<LayerView>,
    /// Every file, folder and link.
    pub files: Vec<FileView>,
    /// Devices: absolute path and kind. They are not unpacked.
    pub left_out: Vec<(String, &'static str)>,
    /// Size of all layers as sent, in bytes.
    pub total_compressed_bytes: u64,
    /// Size of all unpacked files, in bytes.
    pub total_file_bytes: u64,
    /// Number of requests of a pull without any cache: manifest by tag (HEAD, then GET), the
    /// platform's manifest if the tag names an index, configuration, each different layer. A
    /// registry that requires a token adds two.
    pub pull_requests: usize,
}

/// One layer of a [`View`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerView {
    /// Digest of the compressed blob.
    pub digest: Digest,
    /// Digest of the tar, computed from its bytes.
    pub diff_id: DiffId,
    /// Media type.
    pub media_type: String,
    /// Size as sent, in bytes.
    pub compressed_bytes: u64,
    /// Size of the tar, in bytes.
    pub uncompressed_bytes: u64,
    /// Number of entries of the tar.
    pub entries: u64,
}

/// One file of a [`View`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileView {
    /// Absolute path.
    pub path: String,
    /// `folder`, `file`, or `link`.
    pub kind: &'static str,
    /// Permission bits in octal.
    pub mode: String,
    /// `uid:gid`.
    pub owner: String,
    /// Size of a file, in bytes.
    pub size_bytes: u64,
    /// Target of a link.
    pub target: Option<String>,
    /// Capabilities that executing it grants, as `getcap` prints them.
    pub capabilities: Option<String>,
}

impl View {
    /// The view of `image`, which has the files `contents`.
    pub fn of(image: &Image, contents: &Contents) -> View {
        let own = |pairs: Vec<(&str, &str)>| {
            pairs.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
        };
        let layers = image.layers().iter().zip(&contents.layers).map(|(layer, found)| LayerView {
            digest: layer.descriptor().digest,
            diff_id: found.diff_id,
            media_type: layer.descriptor().media_type.clone(),
            compressed_bytes: layer.descriptor().size_bytes,
            uncompressed_bytes: found.uncompressed_bytes,
            entries: found.entries,
        });
        let different: BTreeSet<_> = image.layers().iter().map(|l| l.descriptor().digest).collect();
        let files: Vec<_> =
            contents.files.iter().map(|(path, found)| FileView::of(path, found)).collect();
        View {
            reference: image.reference().map(str::to_owned),
            platform: format!("{}/{}", image.os(), image.architecture()),
            manifest_digest: image.manifest_digest(),
            media_type: image.media_type().to_owned(),
            config_digest: image.config_descriptor().digest,
            argv: image.argv(),
            env: image.env().to_vec(),
            working_dir: image.working_dir().to_owned(),
            user: image.user().to_owned(),
            exposed_ports: image.exposed_ports(),
            labels: own(image.labels()),
            annotations: own(image.annotations()),
            layers: layers.collect(),
            total_compressed_bytes: image.total_compressed_bytes(),
            total_file_bytes: files.iter().map(|f| f.size_bytes).sum(),
            files,
            left_out: contents
                .left_out
                .iter()
                .map(|(path, what)| (format!("/{}", path.display()), *what))
                .collect(),
            pull_requests: 3 + usize::from(image.chosen_from_index()) + different.len(),
        }
    }

    /// The view as text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let mut line = |name: &str, value: &str| {
            writeln!(out, "{name:<12}{}", one_line(value)).expect("a string takes all")
        };
        line("image", self.reference.as_deref().unwrap_or("(no name)"));
        line("platform", &self.platform);
        line("manifest", &format!("{}  {}", self.manifest_digest, self.media_type));
        line("config", &self.config_digest.to_string());
        line("starts", &format!("{:?}", self.argv));
        line("in", &self.working_dir);
        line("as", if self.user.is_empty() { "root (no USER)" } else { &self.user });
        line("ports", &self.exposed_ports.join(", "));
        for pair in &self.env {
            line("env", &pair.escape_debug().to_string());
        }
        for (kind, pairs) in [("label", &self.labels), ("annotation", &self.annotations)] {
            for (name, value) in pairs {
                line(kind, &format!("{}={}", name.escape_debug(), value.escape_debug()));
            }
        }
        line(
            "pull",
            &format!(
                "{} requests, {} compressed",
                self.pull_requests,
                size(self.total_compressed_bytes)
            ),
        );
        for layer in &self.layers {
            let sizes = format!(
                "{} compressed, {} unpacked, {} entries",
                size(layer.compressed_bytes),
                size(layer.uncompressed_bytes),
                layer.entries
            );
            line("layer", &format!("{}  {sizes}  {}", layer.digest, layer.media_type));
        }
        for file in &self.files {
            let target = file
                .target
                .as_ref()
                .map(|t| format!(" -> {}", t.escape_debug()))
                .unwrap_or_default();
            let granted = file.capabilities.as_ref().map(|c| format!("  {c}")).unwrap_or_default();
            let shown = format!(
                "{:>5} {:>9} {:>12}  {}{target}{granted}",
                file.mode,
                file.owner,
                file.size_bytes,
                file.path.escape_debug()
            );
            line(file.kind, &shown);
        }
        for (path, what) in &self.left_out {
            line("left out", &format!("{}: {what}, which is not unpacked", path.escape_debug()));
        }
        out
    }
}

impl FileView {
    fn of(path: &Path, found: &Found) -> FileView {
        let (kind, size_bytes, target) = match &found.what {
            What::Folder => ("folder", 0, None),
            What::File { size_bytes, .. } => ("file", *size_bytes, None),
            What::Symlink { target } => ("link", 0, Some(target.display().to_string())),
            What::Fifo => ("fifo", 0, None),
        };
        FileView {
            path: format!("/{}", path.display()),
            kind,
            mode: format!("{:o}", found.mode),
            owner: format!("{}:{}", found.uid, found.gid),
            size_bytes,
            target,
            capabilities: found.capability.as_ref().map(ToString::to_string),
        }
    }
}

/// One difference between two images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `changed`, `removed` (only in the left image) or `added` (only in the right one).
    pub change: &'static str,
    /// `platform`, `starts`, `working directory`, `user`, `ports`, `env`, `label` or `file`.
    pub kind: &'static str,
    /// Path of a file.
    pub name: Option<String>,
    /// The left image's value.
    pub left: Option<String>,
    /// The right image's value.
    pub right: Option<String>,
}

impl Difference {
    fn new(
        kind: &'static str,
        name: Option<String>,
        left: Option<String>,
        right: Option<String>,
    ) -> Difference {
        let change = match (&left, &right) {
            (_, None) => "removed",
            (None, _) => "added",
            _ => "changed",
        };
        Difference { change, kind, name, left, right }
    }

    /// The difference as one line: `~ user: 0 | 1`, `- env A=1`, `+ /app: file, …`.
    pub fn line(&self) -> String {
        let sign = match self.change {
            "removed" => '-',
            "added" => '+',
            _ => '~',
        };
        let sides: Vec<_> = [&self.left, &self.right].into_iter().flatten().cloned().collect();
        let sides = sides.join(" | ");
        one_line(&match (&self.name, self.kind) {
            (Some(name), _) => format!("{sign} {}: {sides}", name.escape_debug()),
            (None, "env" | "label") => format!("{sign} {} {}", self.kind, sides.escape_debug()),
            (None, kind) => format!("{sign} {kind}: {sides}"),
        })
    }
}

/// The differences of two images, one line each; empty if they start the same program with the same
/// files.
pub fn diff(left: (&Image, &Contents), right: (&Image, &Contents)) -> Vec<String> {
    differences(left, right).iter().map(Difference::line).collect()
}

/// The differences of two images; empty if they start the same program with the same files. Names,
/// manifest digests and compression do not count: they are not visible inside an instance.
pub fn differences(left: (&Image, &Contents), right: (&Image, &Contents)) -> Vec<Difference> {
    let mut found = Vec::new();
    let (one, other) = (View::of(left.0, left.1), View::of(right.0, right.1));
    let mut compare = |kind: &'static str, a: String, b: String| {
        if a != b {
            found.push(Difference::new(kind, None, Some(a), Some(b)));
        }
    };
    compare("platform", one.platform, other.platform);
    compare("starts", format!("{:?}", one.argv), format!("{:?}", other.argv));
    compare("working directory", one.working_dir, other.working_dir);
    compare("user", one.user, other.user);
    compare("ports", one.exposed_ports.join(", "), other.exposed_ports.join(", "));
    found.extend(set_diff("env", &one.env, &other.env));
    let pairs = |labels: &[(String, String)]| {
        labels.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>()
    };
    found.extend(set_diff("label", &pairs(&one.labels), &pairs(&other.labels)));
    let paths: BTreeSet<_> = left.1.files.keys().chain(right.1.files.keys()).collect();
    for path in paths {
        let (a, b) = (left.1.files.get(path), right.1.files.get(path));
        if a != b {
            let name = Some(format!("/{}", path.display()));
            found.push(Difference::new("file", name, a.map(brief), b.map(brief)));
        }
    }
    found
}

fn set_diff(kind: &'static str, left: &[String], right: &[String]) -> Vec<Difference> {
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|value| !those.contains(value)).cloned().collect()
    };
    let gone = only(left, right).into_iter();
    let come = only(right, left).into_iter();
    gone.map(|value| Difference::new(kind, None, Some(value), None))
        .chain(come.map(|value| Difference::new(kind, None, None, Some(value))))
        .collect()
}

fn brief(found: &Found) -> String {
    let what = match &found.what {
        What::Folder => "folder".to_owned(),
        What::File { size_bytes, digest, .. } => {
            format!("file, {size_bytes} bytes, {}", &digest.to_string()[..19])
        }
        What::Symlink { target } => format!("link to {}", target.display()),
        What::Fifo => "fifo".to_owned(),
    };
    let granted = found.capability.as_ref().map(|c| format!(", {c}")).unwrap_or_default();
    format!("{what}, {:o} {}:{}{granted}", found.mode, found.uid, found.gid)
}

/// `text` as one line without control characters: the builder of an image could otherwise move the
/// cursor, overwrite earlier output, or turn a line around. The escapes (`\\u001b`) are valid in
/// JSON too.
pub fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        let turns = matches!(
            letter,
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        );
        if letter.is_control() || turns {
            write!(out, "\\u{:04x}", u32::from(letter)).expect("a string takes all");
        } else {
            out.push(letter);
        }
    }
    out
}

/// [`one_line`] for text of several lines.
pub fn lines(text: &str) -> String {
    text.split('\n').map(one_line).collect::<Vec<_>>().join("\n")
}

/// A number of bytes in units for people.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}
