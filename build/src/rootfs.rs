//! File tree of an image, as a value with sorted names. Owners are root, and modes allow every
//! platform user to read, unless a recipe sets others. It reads no disk and writes no tar. Modes
//! become 0755 and 0644, so that the umask of a checkout does not change the digest.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A file system tree. Paths have no leading slash, no `.` and no `..`; every parent of an entry is
/// an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rootfs {
    nodes: BTreeMap<String, Node>,
    /// Attributes of the entries that differ from the defaults.
    attributes: BTreeMap<String, Attributes>,
}

/// Owner and mode of an entry, if a recipe sets them (`COPY --chown`, `--chmod`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Permission bits, including the special ones; `None` means the node's own.
    pub mode: Option<u32>,
}

/// One entry of a [`Rootfs`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A folder and its permission bits: 0o755, or 0o1777 for `/tmp`.
    Folder {
        /// Permission bits.
        mode: u32,
    },
    /// A regular file: 0o755 if executable, 0o644 otherwise.
    File {
        /// Whether every user may execute it.
        executable: bool,
        /// The content.
        content: Arc<[u8]>,
    },
    /// A symbolic link with its target as written.
    Symlink {
        /// The link's target.
        target: String,
    },
}

/// Why an entry conflicts with the tree.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RootfsError {
    /// There is a file in place of a folder, or a folder in place of a file.
    #[error("`/{path}` would be both a file and a folder; choose another destination")]
    Conflict {
        /// Path of the entry.
        path: String,
    },
    /// The entrypoint's program is not in the tree.
    #[error(
        "the entrypoint `{program}` is not in the image; COPY it there; the image contains: {holds}"
    )]
    NoProgram {
        /// First word of the entrypoint.
        program: String,
        /// Some of the image's entries.
        holds: String,
    },
    /// The entrypoint's program is not an executable file.
    #[error(
        "the entrypoint `{program}` is not an executable file; `chmod +x` it before it is copied"
    )]
    NotExecutable {
        /// First word of the entrypoint.
        program: String,
    },
}

impl Node {
    /// Permission bits in the image.
    pub fn mode(&self) -> u32 {
        match self {
            Node::Folder { mode } => *mode,
            Node::File { executable: true, .. } => 0o755,
            Node::File { executable: false, .. } => 0o644,
            Node::Symlink { .. } => 0o777,
        }
    }
}

impl Rootfs {
    /// Puts `node` at `path`, and creates parents with mode 0755. An existing folder stays, with
    /// the more permissive of the two modes; files and links are replaced.
    ///
    /// # Errors
    /// [`RootfsError::Conflict`] if there is a file in place of a folder, or a folder in place of a
    /// file.
    pub fn insert(&mut self, path: &str, node: Node) -> Result<(), RootfsError> {
        self.place(path, node, None)
    }

    /// Puts `node` at `path` as [`insert`](Rootfs::insert) does, with owner and mode. An existing
    /// folder gets them too; new parents get the owner, and mode 0755.
    ///
    /// # Errors
    /// [`RootfsError::Conflict`] if there is a file in place of a folder, or a folder in place of a
    /// file.
    pub fn insert_as(
        &mut self,
        path: &str,
        node: Node,
        attributes: Attributes,
    ) -> Result<(), RootfsError> {
        self.place(path, node, Some(attributes))
    }

    fn place(
        &mut self,
        path: &str,
        node: Node,
        stated: Option<Attributes>,
    ) -> Result<(), RootfsError> {
        let attributes = stated.unwrap_or_default();
        let path = normalize("/", path);
        if path.is_empty() {
            return match node {
                Node::Folder { .. } => Ok(()),
                _ => Err(RootfsError::Conflict { path }),
            };
        }
        for (end, _) in path.match_indices('/') {
            let parent = &path[..end];
            match self.nodes.get(parent) {
                Some(Node::Folder { .. }) => {}
                Some(_) => return Err(RootfsError::Conflict { path: parent.to_owned() }),
                None => {
                    self.nodes.insert(parent.to_owned(), Node::Folder { mode: 0o755 });
                    self.state(parent, Attributes { mode: None, ..attributes });
                }
            }
        }
        let is_folder = matches!(node, Node::Folder { .. });
        match self.nodes.get_mut(&path) {
            Some(Node::Folder { .. }) if !is_folder => return Err(RootfsError::Conflict { path }),
            Some(Node::Folder { mode }) => {
                // a folder that COPY made becomes the requested /tmp
                *mode |= node.mode();
                if stated.is_some() {
                    self.state(&path, attributes);
                }
                return Ok(());
            }
            Some(_) if is_folder => return Err(RootfsError::Conflict { path }),
            _ => {}
        }
        self.state(&path, attributes);
        self.nodes.insert(path, node);
        Ok(())
    }

    fn state(&mut self, path: &str, attributes: Attributes) {
        if attributes == Attributes::default() {
            self.attributes.remove(path);
        } else {
            self.attributes.insert(path.to_owned(), attributes);
        }
    }

    /// Owner and mode of the entry at `path`, as [`entries`](Rootfs::entries) names it.
    pub fn attributes(&self, path: &str) -> Attributes {
        self.attributes.get(path).copied().unwrap_or_default()
    }

    /// The entry at `path` (absolute or not), without following links. The root itself is not an
    /// entry.
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(&normalize("/", path))
    }

    /// Whether `path` is a folder; the root is one.
    pub fn is_folder(&self, path: &str) -> bool {
        normalize("/", path).is_empty() || matches!(self.get(path), Some(Node::Folder { .. }))
    }

    /// Every entry, sorted by the bytes of its path; a folder precedes its content.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// The bytes of the program that executing `program` would start: a path, or a name looked up
    /// in `search_path` (separated by `:`), from `working_dir`.
    ///
    /// # Errors
    /// [`RootfsError`] if there is none, or it is not executable.
    pub fn program(
        &self,
        program: &str,
        working_dir: &str,
        search_path: &str,
    ) -> Result<Arc<[u8]>, RootfsError> {
        let candidates = match program.contains('/') {
            true => vec![normalize(working_dir, program)],
            false => search_path
                .split(':')
                .map(|folder| normalize(working_dir, &format!("{folder}/{program}")))
                .collect(),
        };
        let found = candidates.iter().find_map(|path| self.follow(path));
        match found {
            Some(Node::File { executable: true, content }) => Ok(Arc::clone(content)),
            Some(_) => Err(RootfsError::NotExecutable { program: program.to_owned() }),
            None => {
                let files = self.entries().filter(|(_, node)| !matches!(node, Node::Folder { .. }));
                let holds = files
                    .take(8)
                    .map(|(path, _)| format!("`/{path}`"))
                    .collect::<Vec<_>>()
                    .join(", ");
                let holds = if holds.is_empty() { "nothing".to_owned() } else { holds };
                Err(RootfsError::NoProgram { program: program.to_owned(), holds })
            }
        }
    }

    /// The content of the file at `path`; links at its end are followed.
    pub fn file(&self, path: &str) -> Option<Arc<[u8]>> {
        match self.follow(&normalize("/", path))? {
            Node::File { content, .. } => Some(Arc::clone(content)),
            _ => None,
        }
    }

    /// The entry at `path`, after following symbolic links at its end.
    fn follow(&self, path: &str) -> Option<&Node> {
        let mut path = path.to_owned();
        for _ in 0..40 {
            match self.nodes.get(&path)? {
                Node::Symlink { target } => {
                    path = normalize(path.rsplit_once('/').map_or("", |(folder, _)| folder), target)
                }
                node => return Some(node),
            }
        }
        None
    }
}

/// `path` from the folder `base`, without leading slash, `.`, `..` and empty parts; `..` at the
/// root is the root.
pub fn normalize(base: &str, path: &str) -> String {
    let base = if path.starts_with('/') { "" } else { base };
    let mut parts = Vec::new();
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Node {
        Node::File { executable: true, content: Arc::from(*b"elf") }
    }

    #[test]
    fn makes_parents_and_sorts() {
        let mut rootfs = Rootfs::default();
        rootfs.insert("/b/c/d", file()).expect("room");
        rootfs.insert("b-", file()).expect("room");
        rootfs.insert("/tmp/../a", file()).expect("room");
        let paths: Vec<_> = rootfs.entries().map(|(p, n)| (p, n.mode())).collect();
        assert_eq!(
            paths,
            [("a", 0o755), ("b", 0o755), ("b-", 0o755), ("b/c", 0o755), ("b/c/d", 0o755)]
        );
    }

    #[test]
    fn the_last_insert_decides_owner_and_mode() {
        let mut rootfs = Rootfs::default();
        let stated = Attributes { uid: 1, gid: 2, mode: Some(0o700) };
        rootfs.insert_as("srv/data/file", file(), stated).expect("room");
        assert_eq!(rootfs.attributes("srv/data/file"), stated);
        let parent = Attributes { mode: None, ..stated };
        assert_eq!((rootfs.attributes("srv"), rootfs.attributes("srv/data")), (parent, parent));
        rootfs.insert("srv/data/file", file()).expect("room");
        assert_eq!(rootfs.attributes("srv/data/file"), Attributes::default());
        rootfs.insert("srv", Node::Folder { mode: 0o755 }).expect("room");
        assert_eq!(rootfs.attributes("srv"), parent, "an existing folder keeps them");
        rootfs.insert_as("srv", Node::Folder { mode: 0o755 }, Attributes::default()).expect("room");
        assert_eq!(rootfs.attributes("srv"), Attributes::default(), "a second COPY sets them");
    }

    #[test]
    fn refuses_to_be_both_a_file_and_a_folder() {
        let mut rootfs = Rootfs::default();
        rootfs.insert("a", file()).expect("room");
        let conflict = |path: &str| Err(RootfsError::Conflict { path: path.into() });
        assert_eq!(rootfs.insert("a/b", file()), conflict("a"));
        assert_eq!(rootfs.insert("a", Node::Folder { mode: 0o755 }), conflict("a"));
        rootfs.insert("d/e", file()).expect("room");
        assert_eq!(rootfs.insert("d", file()), conflict("d"));
        assert_eq!(rootfs.insert("/", file()), conflict(""));
    }

    #[test]
    fn finds_the_program_as_exec_would() {
        let mut rootfs = Rootfs::default();
        rootfs.insert("srv/app", file()).expect("room");
        rootfs.insert("bin/link", Node::Symlink { target: "../srv/app".into() }).expect("room");
        rootfs.insert("bin/loop", Node::Symlink { target: "loop".into() }).expect("room");
        rootfs
            .insert("text", Node::File { executable: false, content: Arc::from(*b"") })
            .expect("room");
        for (program, folder) in
            [("/srv/app", "/"), ("./app", "/srv"), ("link", "/"), ("/bin/link", "/")]
        {
            assert!(rootfs.program(program, folder, "/usr/bin:/bin").is_ok(), "{program}");
        }
        assert!(matches!(rootfs.program("/text", "/", ""), Err(RootfsError::NotExecutable { .. })));
        for absent in ["app", "/bin/loop", "./app"] {
            assert!(
                matches!(rootfs.program(absent, "/", "/bin"), Err(RootfsError::NoProgram { .. })),
                "{absent}"
            );
        }
    }
}
