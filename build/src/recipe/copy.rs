//! COPY carried out: files and folders of a context into a root. It reads through [`BuildContext`]
//! only. Docker's Dockerfile reference, "COPY".

use super::{BuildContext, ContextEntry, Problem};
use crate::rootfs::{Node, Rootfs};
use std::io;

/// Copies one source: a folder's content, or a file.
pub(super) fn copy(
    rootfs: &mut Rootfs,
    context: &dyn BuildContext,
    source: &str,
    destination: &str,
    into_folder: bool,
) -> Result<(), Problem> {
    let read = |source| move |error| Problem::Read { path: source, source: error };
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
            rootfs.insert(destination, Node::Folder { mode: 0o755 })?;
            let mut names = context.names(source).map_err(read(source.to_owned()))?;
            names.sort_unstable();
            for name in names {
                let inner =
                    if source.is_empty() { name.clone() } else { format!("{source}/{name}") };
                copy_below(rootfs, context, &inner, &format!("{destination}/{name}"))?;
            }
            Ok(())
        }
        ContextEntry::File { .. } if into_folder || rootfs.is_folder(destination) => {
            copy_below(rootfs, context, source, &format!("{destination}/{name}"))
        }
        ContextEntry::File { .. } => copy_below(rootfs, context, source, destination),
        ContextEntry::Symlink { target } => Err(Problem::Argument {
            keyword: "COPY",
            why: format!("`{source}` is a symbolic link to `{target}`; name the file itself"),
        }),
    }
}

/// Copies what is at `source` to exactly `destination`; links are copied as links.
fn copy_below(
    rootfs: &mut Rootfs,
    context: &dyn BuildContext,
    source: &str,
    destination: &str,
) -> Result<(), Problem> {
    let read = |error| Problem::Read { path: source.to_owned(), source: error };
    match context.entry(source).map_err(read)? {
        None => Ok(()), // left out by .dockerignore
        Some(ContextEntry::File { executable }) => {
            let content = context.read(source).map_err(read)?;
            Ok(rootfs.insert(destination, Node::File { executable, content })?)
        }
        Some(ContextEntry::Symlink { target }) => {
            Ok(rootfs.insert(destination, Node::Symlink { target })?)
        }
        Some(ContextEntry::Folder) => {
            rootfs.insert(destination, Node::Folder { mode: 0o755 })?;
            let mut names = context.names(source).map_err(read)?;
            names.sort_unstable();
            names.iter().try_for_each(|name| {
                copy_below(
                    rootfs,
                    context,
                    &format!("{source}/{name}"),
                    &format!("{destination}/{name}"),
                )
            })
        }
    }
}
