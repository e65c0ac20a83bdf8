//! /etc/resolv.conf and /etc/hosts of an instance with a network: read-only copies of this
//! machine's own, made at the instance's start and mounted over the image's, as container engines
//! do. Private to the sandbox.

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Largest part of a file that is copied; block lists of advertisers can have megabytes.
const FILE_LIMIT_BYTES: u64 = 8 << 20;
const STAGE_OPTIONS: &str = "mode=755,size=32m";
const NAMES: [&str; 2] = ["resolv.conf", "hosts"];
/// The line for the sandbox's host name.
const OWN_NAME: &str = "127.0.0.1\tinstance\n";

/// Contents of the two files.
pub struct Etc {
    contents: [Vec<u8>; 2],
}

impl Etc {
    /// Reads this machine's files; call it before the root changes.
    pub fn read() -> Etc {
        let [resolv_conf, mut hosts] = NAMES.map(|name| {
            let mut bytes = Vec::new();
            // A missing file counts as empty.
            let _ = File::open(Path::new("/etc").join(name))
                .and_then(|file| file.take(FILE_LIMIT_BYTES).read_to_end(&mut bytes));
            bytes
        });
        if hosts.is_empty() {
            hosts = b"127.0.0.1\tlocalhost\n::1\tlocalhost\n".to_vec();
        }
        if !hosts.ends_with(b"\n") {
            hosts.push(b'\n');
        }
        hosts.extend(OWN_NAME.as_bytes());
        Etc { contents: [resolv_conf, hosts] }
    }

    /// Creates files to bind to, in the rootfs on the disk. No link leads out of it. Instances that
    /// start together share the rootfs, so one instance at a time checks and creates. Without the
    /// lock, an instance could remove a file that another has just created and perhaps bound.
    pub fn places(rootfs: &Path) -> io::Result<()> {
        let root = File::open(rootfs)?;
        root.lock()?;
        let inside = |at: &File, path: &str, flags: OFlag| {
            let how = OpenHow::new()
                .flags(flags | OFlag::O_CLOEXEC)
                .mode(if flags.contains(OFlag::O_CREAT) { FILE_MODE } else { Mode::empty() })
                .resolve(ResolveFlag::RESOLVE_IN_ROOT);
            openat2(at, path, how)
        };
        const FILE_MODE: Mode = Mode::from_bits_truncate(0o644);
        let folder = || inside(&root, "etc", OFlag::O_DIRECTORY | OFlag::O_RDONLY);
        let etc: OwnedFd = match folder() {
            Err(Errno::ENOENT) => {
                mkdirat(&root, "etc", Mode::from_bits_truncate(0o755))?;
                folder()?
            }
            other => other?,
        };
        for name in NAMES {
            // The mount follows a link within the new root. The code replaces a link with a missing
            // target.
            match inside(&root, &format!("etc/{name}"), OFlag::O_PATH) {
                Ok(_) => {}
                Err(Errno::ENOENT | Errno::ELOOP) => {
                    match unlinkat(&etc, name, UnlinkatFlags::NoRemoveDir) {
                        Ok(()) | Err(Errno::ENOENT) => {}
                        Err(error) => return Err(error.into()),
                    }
                    let flags =
                        OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_NOFOLLOW;
                    drop(openat(&etc, name, flags | OFlag::O_CLOEXEC, FILE_MODE)?);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Binds the contents, inside the new root and before /tmp is mounted, where they are staged.
    pub fn bind(&self) -> io::Result<()> {
        const NONE: Option<&str> = None;
        let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some("tmpfs"), "/tmp", Some("tmpfs"), quiet, Some(STAGE_OPTIONS))?;
        for (name, bytes) in NAMES.iter().zip(&self.contents) {
            let (staged, place) = (format!("/tmp/{name}"), format!("/etc/{name}"));
            fs::write(&staged, bytes)?;
            mount(Some(staged.as_str()), place.as_str(), NONE, MsFlags::MS_BIND, NONE)?;
            let read_only = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | quiet;
            mount(NONE, place.as_str(), NONE, read_only, NONE)?;
        }
        // The two binds keep the contents alive.
        umount2("/tmp", MntFlags::MNT_DETACH)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt as _, symlink};
    use std::sync::atomic::{AtomicUsize, Ordering};

    const TOGETHER: usize = 2;

    /// Regression: without the lock, about one round in a hundred fails with "File exists", or
    /// replaces a file.
    #[test]
    fn instances_that_start_together_find_the_same_places() {
        for round in 0..500 {
            let home = tempfile::tempdir().unwrap();
            let rootfs = home.path();
            if round % 2 == 1 {
                fs::create_dir(rootfs.join("etc")).unwrap();
                symlink("../run/missing", rootfs.join("etc/resolv.conf")).unwrap();
            }
            let ready = AtomicUsize::new(0);
            let inodes = || -> io::Result<Vec<u64>> {
                ready.fetch_add(1, Ordering::SeqCst);
                // A barrier of the standard library wakes threads one after the other, too far
                // apart for this test.
                while ready.load(Ordering::SeqCst) < TOGETHER {
                    std::hint::spin_loop();
                }
                Etc::places(rootfs)?;
                let inode = |name| Ok(fs::symlink_metadata(rootfs.join("etc").join(name))?.ino());
                NAMES.into_iter().map(inode).collect()
            };
            let found: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..TOGETHER).map(|_| scope.spawn(inodes)).collect();
                threads.into_iter().map(|t| t.join().unwrap().unwrap()).collect()
            });
            assert!(found.iter().all(|one| *one == found[0]), "round {round}: {found:?}");
        }
    }
}
