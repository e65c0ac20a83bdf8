//! User of an image's program: resolves the configuration's `User` field (OCI image-spec,
//! config.md) to numbers by the rootfs' own /etc/passwd and /etc/group. Symbolic links are followed
//! only inside the rootfs. Private to the sandbox, except [`user_of`].

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Largest part of an account file that is read, in bytes.
const ACCOUNTS_LIMIT_BYTES: u64 = 1 << 20;

/// A user that cannot be found.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the image's user is `{wanted}`, and its {file} has no entry for `{name}`; use numbers, \
     for example `65532:65532`"
)]
pub struct UserError {
    wanted: String,
    file: &'static str,
    name: String,
}

/// User id and group id for `user`, which is empty (root), `uid`, `uid:gid`, `name` or
/// `name:group`.
///
/// # Errors
/// [`UserError`] if a name is not in the rootfs' account files.
pub fn user_of(rootfs: &Path, user: &str) -> Result<(u32, u32), UserError> {
    // Numbers need no files; an image from scratch has none.
    let read = |path| read_inside(rootfs, path).unwrap_or_default();
    resolve(user, || read("etc/passwd"), || read("etc/group"))
}

fn resolve(
    user: &str,
    passwd: impl Fn() -> String,
    group: impl Fn() -> String,
) -> Result<(u32, u32), UserError> {
    let unknown =
        |file, name: &str| UserError { wanted: user.to_owned(), file, name: name.to_owned() };
    let (name, group_name) = match user.split_once(':') {
        Some((name, group)) => (name, Some(group)),
        None => (user, None),
    };
    let (uid, primary) = match name.parse() {
        _ if name.is_empty() => (0, 0),
        // A bare number has the group that passwd gives it, otherwise root's, as in container
        // engines.
        Ok(uid) if group_name.is_some() => (uid, 0),
        Ok(uid) => (uid, account(&passwd(), 2, name).map_or(0, |(_, gid)| gid)),
        Err(_) => account(&passwd(), 0, name).ok_or_else(|| unknown("/etc/passwd", name))?,
    };
    let gid = match group_name {
        None | Some("") => primary,
        Some(text) => match text.parse() {
            Ok(gid) => gid,
            Err(_) => group_id(&group(), text).ok_or_else(|| unknown("/etc/group", text))?,
        },
    };
    Ok((uid, gid))
}

/// User and group id of the line of passwd(5) whose field `key` is `value`.
fn account(passwd: &str, key: usize, value: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.get(key) == Some(&value)).then_some(())?;
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    })
}

fn group_id(group: &str, name: &str) -> Option<u32> {
    group.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.first() == Some(&name)).then_some(())?;
        fields.get(2)?.parse().ok()
    })
}

fn read_inside(rootfs: &Path, path: &str) -> io::Result<String> {
    let root = File::open(rootfs)?;
    // Without O_NONBLOCK, opening a FIFO of that name would wait for a writer.
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT);
    let file = File::from(openat2(&root, path, how)?);
    let mut text = String::new();
    file.take(ACCOUNTS_LIMIT_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(user: &str) -> Result<(u32, u32), UserError> {
        let passwd = || "root:x:0:0::/:/bin/sh\nweb:x:33:34::/:/bin/sh\nbroken\n".to_owned();
        resolve(user, passwd, || "root:x:0:\nstaff:x:50:\n".to_owned())
    }

    #[test]
    fn resolves_numbers_and_names() {
        let table = [
            ("", (0, 0)),
            ("65532", (65532, 0)),
            ("65532:65533", (65532, 65533)),
            ("33", (33, 34)),
            ("web", (33, 34)),
            ("web:staff", (33, 50)),
            ("web:7", (33, 7)),
            ("1000:staff", (1000, 50)),
        ];
        for (user, expected) in table {
            assert_eq!(of(user), Ok(expected), "{user:?}");
        }
    }

    #[test]
    fn an_unknown_name_is_an_error_that_names_the_file() {
        assert!(of("nobody").unwrap_err().to_string().contains("/etc/passwd"));
        assert!(of("web:wheel").unwrap_err().to_string().contains("/etc/group"));
    }

    #[test]
    fn a_link_out_of_the_rootfs_stays_inside() {
        let rootfs = std::env::temp_dir().join(format!("user-of-{}", std::process::id()));
        std::fs::create_dir_all(rootfs.join("etc")).expect("a folder");
        std::os::unix::fs::symlink("/etc/hostname", rootfs.join("etc/passwd")).expect("a link");
        assert!(read_inside(&rootfs, "etc/passwd").is_err(), "followed to the host's file");
        let fifo = rootfs.join("etc/group");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).expect("a FIFO");
        assert_eq!(read_inside(&rootfs, "etc/group").expect("nobody writes"), "");
        std::fs::remove_dir_all(&rootfs).expect("removed");
    }
}
