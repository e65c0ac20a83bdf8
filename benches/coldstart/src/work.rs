//! Work folder of a run, which is always removed: on drop, and after a killed run at the beginning
//! of the next one. Also eviction of files from the page cache.

#[cfg_attr(not(target_os = "linux"), path = "work/elsewhere.rs")]
mod disk;

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

const PREFIX: &str = "work-";
/// Inodes of 16 block groups of 8192, which ext4 fills one after the other (mkfs.ext4's defaults,
/// flex_bg).
const APART_INODES: u64 = 16 * 8192;
/// Number of earlier folders from which a new one stays apart; a disk of 252 GB has twice as many
/// places.
const PLACES: usize = 64;
/// Number of names to try for one folder; a small disk may have too few places.
const DRAWS: usize = 16;

/// A folder of this process, removed with everything in it when dropped.
pub struct Work {
    path: PathBuf,
    made: AtomicUsize,
    /// Inode numbers of the last folders, if the file system keeps them apart.
    places: Option<Mutex<VecDeque<u64>>>,
}

impl Work {
    /// Makes a folder below `parent` and removes those of processes that have ended.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn create(parent: &Path) -> io::Result<Self> {
        fs::create_dir_all(parent)?;
        let parent = parent.canonicalize()?;
        for entry in fs::read_dir(&parent)?.flatten() {
            let name = entry.file_name();
            let pid = name
                .to_str()
                .and_then(|n| n.strip_prefix(PREFIX))
                .and_then(|n| n.parse::<u32>().ok());
            if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
                remove_tree(&entry.path())?;
            }
        }
        let path = parent.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir_all(&path)?;
        let places = disk::spread(&path).ok().map(|()| Mutex::default());
        Ok(Self { path, made: AtomicUsize::new(0), places })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A fresh, empty folder in it.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn fresh(&self, name: &str) -> io::Result<PathBuf> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let path = self.path.join(format!("{name}-{number}"));
        fs::create_dir(&path)?;
        Ok(path)
    }

    /// Whether files here can be dropped from the page cache at all. On a tmpfs they cannot: there
    /// is no disk below it.
    ///
    /// # Errors
    /// If no file can be written here.
    pub fn evicts(&self) -> io::Result<bool> {
        let path = self.path.join("evictable");
        fs::write(&path, [1; 4096])?;
        evict(&path)?;
        let file = File::open(&path)?;
        fs::remove_file(&path)?;
        disk::has_left_memory(&file)
    }

    /// A new folder, placed apart from the last ones made in this way, if the file system can.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn fresh_apart(&self, name: &str) -> io::Result<PathBuf> {
        let Some(places) = &self.places else { return self.fresh(name) };
        let mut places = places.lock().unwrap_or_else(PoisonError::into_inner);
        let mut path = self.fresh(name)?;
        // The file system derives the place from the name, so another name has another place.
        for _ in 0..DRAWS {
            let inode = fs::symlink_metadata(&path)?.ino();
            if places.iter().all(|place| place.abs_diff(inode) >= APART_INODES) {
                break;
            }
            fs::remove_dir(&path)?;
            path = self.fresh(name)?;
        }
        if places.len() == PLACES {
            places.pop_front();
        }
        places.push_back(fs::symlink_metadata(&path)?.ino());
        Ok(path)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ = remove_tree(&self.path);
    }
}

/// Removes a folder, whatever modes its folders have.
///
/// # Errors
/// If something remains.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_folders(path)?;
            fs::remove_dir_all(path)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn open_folders(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_folders(&entry.path())?;
        }
    }
    Ok(())
}

/// Writes files back and drops them from the page cache, so that the next read comes from the disk
/// (posix_fadvise(2)). On a tmpfs this does nothing: there is no disk below it.
///
/// # Errors
/// If a file cannot be opened or synced.
pub fn evict(path: &Path) -> io::Result<()> {
    let kind = fs::symlink_metadata(path)?.file_type();
    if kind.is_dir() {
        for entry in fs::read_dir(path)? {
            evict(&entry?.path())?;
        }
    } else if kind.is_file() {
        let file = File::open(path)?;
        file.sync_data()?;
        disk::drop_pages(&file)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_folders_that_cannot_be_entered() {
        let parent = tempfile::tempdir().unwrap();
        let work = Work::create(parent.path()).unwrap();
        let locked = work.fresh("rootfs").unwrap().join("locked");
        fs::create_dir(&locked).unwrap();
        fs::write(locked.join("file"), "x").unwrap();
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
        evict(&parent.path().join("nothing")).unwrap_err();
        drop(work);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    /// Regression: on an ext4 without a journal a rootfs of 8,830 entries was unpacked in 10.1 s
    /// near the place of the previous sample, and in 1.6 s apart from it.
    #[test]
    fn keeps_samples_apart_where_the_file_system_can() {
        let parent = tempfile::tempdir().unwrap();
        let work = Work::create(parent.path()).unwrap();
        let inodes = rustix::fs::statvfs(parent.path()).unwrap().f_files;
        if work.places.is_none() || inodes < 64 * APART_INODES {
            return eprintln!("skipped: this file system has no places to choose from");
        }
        let mut places = Vec::new();
        for _ in 0..4 {
            let folder = work.fresh_apart("sample").unwrap();
            let inode = fs::metadata(&folder).unwrap().ino();
            assert!(
                places.iter().all(|place: &u64| place.abs_diff(inode) >= APART_INODES),
                "{places:?} {inode}"
            );
            places.push(inode);
            fs::remove_dir(&folder).unwrap();
        }
        assert_eq!(
            fs::read_dir(work.path()).unwrap().count(),
            0,
            "no folder of another try remains"
        );
    }

    #[test]
    fn finds_that_a_folder_in_memory_has_no_page_cache_to_drop() {
        let Ok(parent) = tempfile::tempdir_in("/dev/shm") else {
            return eprintln!("skipped: no /dev/shm");
        };
        if rustix::fs::statfs(parent.path()).unwrap().f_type as u64 != disk::IN_MEMORY[0] {
            return eprintln!("skipped: /dev/shm is not a tmpfs");
        }
        assert!(!Work::create(parent.path()).unwrap().evicts().unwrap());
        let elsewhere = tempfile::tempdir_in(".").unwrap();
        if rustix::fs::statfs(elsewhere.path()).unwrap().f_type == 0xef53 {
            assert!(
                Work::create(elsewhere.path()).unwrap().evicts().unwrap(),
                "an ext4 has a disk"
            );
        }
    }

    #[test]
    fn removes_the_leftovers_of_a_killed_run() {
        let parent = tempfile::tempdir().unwrap();
        let stale = parent.path().join("work-4294967294"); // beyond any pid
        fs::create_dir(&stale).unwrap();
        let work = Work::create(parent.path()).unwrap();
        assert!(!stale.exists() && work.path().exists());
    }
}
