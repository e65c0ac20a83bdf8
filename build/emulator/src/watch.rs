//! Watch: when a file of a program changes, the program is built again and replaces the running
//! version, without dropping a request. Images are not watched.

use crate::config::Config;
use crate::pool::Pool;
use crate::program::{Program, ProgramError, SETTINGS, Source};
use crate::start_up::StartUp;
use crate::verdict::InvocationVerdict;
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Length of the pause that ends a series of changes: files are written one after another.
const QUIET: Duration = Duration::from_millis(80);
/// Longest wait for such a pause.
const MOST: Duration = Duration::from_secs(2);

/// Watches a program's files.
pub struct Watch {
    watcher: RecommendedWatcher,
    changes: Receiver<notify::Result<Event>>,
    folders: BTreeSet<PathBuf>,
    inputs: BTreeSet<PathBuf>,
}

/// Why a program cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// There are no files to watch.
    #[error("nothing to watch: `--watch` is for packages and programs, not for images")]
    Nothing,
    /// The system refuses to watch.
    #[error("changes cannot be watched: {0}")]
    Notify(#[from] notify::Error),
}

/// Result of a change.
#[derive(Debug)]
pub enum Swap {
    /// The new build is the same program, with the same configuration.
    Same,
    /// Another version runs.
    Done(StartUp),
    /// The build failed.
    NotBuilt(ProgramError),
    /// The new version does not start.
    NotStarted(InvocationVerdict),
}

impl Watch {
    /// Watches the files of `program`.
    ///
    /// # Errors
    /// [`WatchError`].
    pub fn start(program: &Program) -> Result<Watch, WatchError> {
        let (sender, changes) = mpsc::channel();
        let watcher = notify::recommended_watcher(sender)?;
        let mut watch =
            Watch { watcher, changes, folders: BTreeSet::new(), inputs: BTreeSet::new() };
        watch.look_at(program)?;
        if watch.folders.is_empty() { Err(WatchError::Nothing) } else { Ok(watch) }
    }

    /// Watches the sources in the folder of a package that has not been built yet.
    ///
    /// # Errors
    /// [`WatchError`].
    pub fn around(folder: &Path) -> Result<Watch, WatchError> {
        let (sender, changes) = mpsc::channel();
        let mut watcher = notify::recommended_watcher(sender)?;
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        for (below, mode) in
            [("src", RecursiveMode::Recursive), (".cargo", RecursiveMode::NonRecursive)]
        {
            let below = folder.join(below);
            if below.is_dir() {
                watcher.watch(&below, mode)?;
            }
        }
        let inputs = SETTINGS.iter().map(|name| folder.join(name)).collect();
        Ok(Watch { watcher, changes, folders: BTreeSet::new(), inputs })
    }

    /// Waits for a change and the pause after it. Returns the file that changed first, or `None`
    /// when the time is over.
    pub fn wait(&self, limit: Duration) -> Option<PathBuf> {
        let until = Instant::now() + limit;
        let mut first = None;
        while first.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            first = self.changed(self.changes.recv_timeout(left).ok()?);
        }
        let started = Instant::now();
        while started.elapsed() < MOST {
            match self.changes.recv_timeout(QUIET) {
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
                Ok(_) => {}
            }
        }
        first
    }

    /// Builds `source` again and replaces the running version, with this configuration.
    pub fn swap(&mut self, source: &Source, pool: &Pool, config: Arc<Config>) -> Swap {
        let program = match source.prepare() {
            Ok(program) => program,
            Err(error) => return Swap::NotBuilt(error),
        };
        // The program may consist of more files now. If a file cannot be watched, a change of
        // another one is still noticed.
        let _ = self.look_at(&program);
        if program.is_same_elf(&pool.program()) && config == pool.config() {
            return Swap::Same;
        }
        match pool.swap(program, config) {
            Ok(start) => Swap::Done(start),
            Err(verdict) => Swap::NotStarted(verdict),
        }
    }

    /// Watches folders rather than files: editors replace a file by another of the same name.
    fn look_at(&mut self, program: &Program) -> Result<(), WatchError> {
        self.inputs = program.inputs.iter().cloned().collect();
        let folders: BTreeSet<PathBuf> =
            self.inputs.iter().filter_map(|file| Some(file.parent()?.to_owned())).collect();
        for folder in folders {
            if !self.folders.contains(&folder) {
                self.watcher.watch(&folder, RecursiveMode::NonRecursive)?;
                self.folders.insert(folder);
            }
        }
        Ok(())
    }

    fn changed(&self, event: notify::Result<Event>) -> Option<PathBuf> {
        let event = event.ok()?;
        let matters =
            |path: &Path| self.inputs.contains(path) || path.extension().is_some_and(|e| e == "rs");
        let is_change = event.kind.is_modify() || event.kind.is_create() || event.kind.is_remove();
        event.paths.into_iter().find(|path| is_change && matters(path))
    }
}
