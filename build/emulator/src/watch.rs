//! Changes of the files that a program is made of, and what follows: it is built again and put in
//! place of the version that runs, without a request being dropped. Of images nothing is watched:
//! nobody edits them.

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

/// Files are written one after another: this long nothing more must come.
const QUIET: Duration = Duration::from_millis(80);
/// And no longer than this is waited for quiet.
const MOST: Duration = Duration::from_secs(2);

/// Looks at a program's files.
pub struct Watch {
    watcher: RecommendedWatcher,
    changes: Receiver<notify::Result<Event>>,
    folders: BTreeSet<PathBuf>,
    inputs: BTreeSet<PathBuf>,
}

/// Why nothing can be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// There are no files.
    #[error("nothing to watch: `--watch` is for packages and programs, not for images")]
    Nothing,
    /// The system refuses.
    #[error("changes cannot be watched: {0}")]
    Notify(#[from] notify::Error),
}

/// What came of a change.
#[derive(Debug)]
pub enum Swap {
    /// The same program came out, with the same configuration.
    Same,
    /// Another runs.
    Done(StartUp),
    /// It does not build.
    NotBuilt(ProgramError),
    /// It does not start.
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

    /// Watches the sources of a package of which no program has come yet, in its folder.
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

    /// Waits for a change and the quiet after it; the file that changed first, or `None` when the
    /// time is over.
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

    /// Builds `source` again and puts what comes of it in place, with this configuration.
    pub fn swap(&mut self, source: &Source, pool: &Pool, config: Arc<Config>) -> Swap {
        let program = match source.prepare() {
            Ok(program) => program,
            Err(error) => return Swap::NotBuilt(error),
        };
        // A file more may belong to it now. One that cannot be watched is noticed by nobody until
        // the next change.
        let _ = self.look_at(&program);
        if program.is_same_elf(&pool.program()) && config == pool.config() {
            return Swap::Same;
        }
        match pool.swap(program, config) {
            Ok(start) => Swap::Done(start),
            Err(verdict) => Swap::NotStarted(verdict),
        }
    }

    /// Folders are watched rather than files: editors replace a file by another of the same name.
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
