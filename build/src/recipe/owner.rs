//! The owner of `COPY --chown`: numbers, or names from the image's own /etc/passwd and /etc/group.
//! It queries no user database of this machine. passwd(5), group(5); names have the same meaning as
//! in BuildKit.

use crate::rootfs::{Node, Rootfs};
use std::sync::Arc;

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// `USER[:GROUP]`, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    user: Id,
    /// If absent: the user's primary group in /etc/passwd, or the same number if the user is a
    /// number.
    group: Option<Id>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Id {
    Number(u32),
    Name(String),
}

impl Owner {
    /// Reads `UID`, `UID:GID`, `NAME` or `NAME:NAME`.
    ///
    /// # Errors
    /// States what is wrong and what to write.
    pub(super) fn parse(text: &str) -> Result<Owner, String> {
        let id = |part: &str| match part.parse::<u32>() {
            // The kernel takes 4294967295 as "do not change".
            Ok(u32::MAX) => None,
            Ok(number) => Some(Id::Number(number)),
            Err(_) if is_name(part) => Some(Id::Name(part.to_owned())),
            Err(_) => None,
        };
        let (user, group) = match text.split_once(':') {
            Some((user, group)) if !group.is_empty() => (user, Some(group)),
            Some((user, _)) => (user, None),
            None => (text, None),
        };
        let (user, group) = (id(user), group.map(id));
        match (user, group) {
            (Some(user), None) => Ok(Owner { user, group: None }),
            (Some(user), Some(Some(group))) => Ok(Owner { user, group: Some(group) }),
            _ => Err(format!(
                "`--chown={text}` is not an owner, such as `--chown=65532:65532` or \
                 `--chown=app:app`"
            )),
        }
    }

    /// User id and group id in an image with the files of `rootfs`; those of `extra` take
    /// precedence.
    ///
    /// # Errors
    /// A name that the image's files do not define, with what to do.
    pub(super) fn resolve(
        &self,
        rootfs: &Rootfs,
        extra: &[(String, Node)],
    ) -> Result<(u32, u32), String> {
        let file = |path: &str| match extra.iter().rev().find(|(name, _)| name == path) {
            Some((_, Node::File { content, .. })) => Some(Arc::clone(content)),
            Some(_) => None,
            None => rootfs.file(path),
        };
        let find = |path: &'static str, name: &str| {
            let Some(content) = file(path) else {
                return Err(format!(
                    "`--chown` names `{name}`, and the image has no `{path}` yet; COPY one before \
                     this line, or write a number"
                ));
            };
            let text = String::from_utf8_lossy(&content).into_owned();
            line_of(&text, name).ok_or_else(|| {
                format!(
                    "`--chown` names `{name}`, which the image's `{path}` does not have; add it \
                     there, or write a number"
                )
            })
        };
        let (uid, own_group) = match &self.user {
            Id::Number(number) => (*number, *number),
            // known without a file
            Id::Name(name) if name == "root" && file(PASSWD).is_none() => (0, 0),
            Id::Name(name) => {
                let (uid, gid) = find(PASSWD, name)?;
                (uid, gid.unwrap_or(uid))
            }
        };
        let gid = match &self.group {
            None => own_group,
            Some(Id::Number(number)) => *number,
            Some(Id::Name(name)) if name == "root" && file(GROUP).is_none() => 0,
            Some(Id::Name(name)) => find(GROUP, name)?.0,
        };
        Ok((uid, gid))
    }
}

/// The third field of the line of `name`, and the fourth if it is a number: uid and gid of
/// `name:password:uid:gid:…`, or the gid of `name:password:gid:members`.
fn line_of(text: &str, name: &str) -> Option<(u32, Option<u32>)> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let id = fields.nth(1)?.parse().ok().filter(|id| *id != u32::MAX)?;
        let next = fields.next().and_then(|field| field.parse().ok());
        Some((id, next.filter(|id| *id != u32::MAX)))
    })
}

/// Whether useradd(8) would accept the name, or a slightly wider set. Numbers, and characters that
/// /etc/passwd cannot hold, are refused.
fn is_name(part: &str) -> bool {
    let begins = part.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let is_in_name = |c: char| c.is_ascii_alphanumeric() || "_.-$".contains(c);
    begins && part.len() <= 256 && part.chars().all(is_in_name)
}
