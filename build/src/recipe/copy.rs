//! COPY: copies files and folders of a context into a file tree. It reads only through
//! [`BuildContext`]. Docker's Dockerfile reference, "COPY".

use super::mode::ModeChange;
use super::{BuildContext, ContextEntry, Problem};
use crate::rootfs::{Attributes, Node, Rootfs};
use std::io;
use std::sync::Arc;

/// Destination, owner and mode of one COPY.
pub(super) struct Target<'a> {
    pub(super) rootfs: &'a mut Rootfs,
    pub(super) destination: &'a str,
    /// User id and group id.
    pub(super) owner: (u32, u32),
    pub(super) mode: Option<&'a ModeChange>,
}

impl Target<'_> {
    /// Copies one source: a folder's content, or a file.
    pub(super) fn copy(
        &mut self,
        context: &dyn BuildContext,
        source: &str,
        into_folder: bool,
    ) -> Result<(), Problem> {
        let read = |source| move |error| Problem::Read { path: source, source: error };
        let destination = self.destination;
        let entry = match source {
            "" => Some(ContextEntry::Folder),
            _ => context.entry(source).map_err(read(source.to_owned()))?,
        };
        let Some(entry) = entry else {
            let missing = io::Error::new(
                io::ErrorKind::NotFound,
                "it is not in the build context (or .dockerignore leaves it out)",
            );
            return Err(Problem::Read { path: source.to_owned(), source: missing });
        };
        let name = source.rsplit('/').next().unwrap_or(source);
        match entry {
            ContextEntry::Folder => {
                // An existing folder keeps its owner.
                if !self.rootfs.is_folder(destination) {
                    self.put(destination, Node::Folder { mode: 0o755 })?;
                }
                let mut names = context.names(source).map_err(read(source.to_owned()))?;
                names.sort_unstable();
                for name in names {
                    let inner =
                        if source.is_empty() { name.clone() } else { format!("{source}/{name}") };
                    self.copy_below(context, &inner, &format!("{destination}/{name}"))?;
                }
                Ok(())
            }
            ContextEntry::File { .. } if into_folder || self.rootfs.is_folder(destination) => {
                self.copy_below(context, source, &format!("{destination}/{name}"))
            }
            ContextEntry::File { .. } => self.copy_below(context, source, destination),
            ContextEntry::Symlink { target } => Err(Problem::Argument {
                keyword: "COPY",
                why: format!("`{source}` is a symbolic link to `{target}`; name the file itself"),
            }),
        }
    }

    /// Copies `source` to exactly `destination`; copies a link as a link.
    fn copy_below(
        &mut self,
        context: &dyn BuildContext,
        source: &str,
        destination: &str,
    ) -> Result<(), Problem> {
        let read = |error| Problem::Read { path: source.to_owned(), source: error };
        match context.entry(source).map_err(read)? {
            None => Ok(()), // excluded by .dockerignore
            Some(ContextEntry::File { executable }) => {
                let content = context.read(source).map_err(read)?;
                let as_it_is = Node::File { executable, content: Arc::clone(&content) };
                let mode = self.mode_of(&as_it_is);
                let executable = mode.map_or(executable, |mode| mode & 0o111 != 0);
                self.put_as(destination, Node::File { executable, content }, mode)
            }
            Some(ContextEntry::Symlink { target }) => {
                // A link has an owner, but its mode has no effect.
                self.put_as(destination, Node::Symlink { target }, None)
            }
            Some(ContextEntry::Folder) => {
                self.put(destination, Node::Folder { mode: 0o755 })?;
                let mut names = context.names(source).map_err(read)?;
                names.sort_unstable();
                names.iter().try_for_each(|name| {
                    let (from, to) = (format!("{source}/{name}"), format!("{destination}/{name}"));
                    self.copy_below(context, &from, &to)
                })
            }
        }
    }

    fn put(&mut self, path: &str, node: Node) -> Result<(), Problem> {
        let mode = self.mode_of(&node);
        self.put_as(path, node, mode)
    }

    fn put_as(&mut self, path: &str, node: Node, mode: Option<u32>) -> Result<(), Problem> {
        let attributes = Attributes { uid: self.owner.0, gid: self.owner.1, mode };
        Ok(self.rootfs.insert_as(path, node, attributes)?)
    }

    /// The mode that `--chmod` gives `node`, if the recipe has the flag.
    fn mode_of(&self, node: &Node) -> Option<u32> {
        let is_folder = matches!(node, Node::Folder { .. });
        self.mode.map(|change| change.apply(node.mode(), is_folder))
    }
}
