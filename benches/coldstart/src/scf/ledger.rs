//! Ledger: a list of what a run has created, or was about to create, in the user's account. The run
//! writes it to disk, complete and synchronised, before it creates each resource, so that there is
//! always a list for cleaning up. It contains no key.

use super::names::{self, RunId};
use microimage::stage;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Version of the file's schema.
const SCHEMA: u32 = 1;
/// The largest ledger that the tool reads, in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// The kind of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A namespace; the tool deletes it only if a run created it and it is empty.
    Namespace,
    /// A function with all its versions.
    Function,
    /// Provisioned instances: the only resource that costs money while idle.
    Provisioned,
    /// An image with a nonce, under its own tag.
    Tag,
}

/// One resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its kind.
    pub kind: Kind,
    /// Its name; for provisioned instances the name of their function, for a tag the complete
    /// reference.
    pub name: String,
    /// The version, for provisioned instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether the platform confirmed the creation; if not, the resource may or may not exist.
    pub made: bool,
}

/// The file's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Always 1.
    pub schema: u32,
    /// The run's identity.
    pub run: String,
    /// The process that wrote it.
    pub process: u32,
    /// Start of the run, UTC, RFC 3339.
    pub began: String,
    /// The region of all resources.
    pub region: String,
    /// The namespace of the functions.
    pub namespace: String,
    /// An endpoint other than the public one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The resources, in order of creation.
    pub entries: Vec<Entry>,
}

/// Why a ledger is not usable.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file cannot be read.
    #[error("the ledger `{path}` cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The underlying error.
        source: io::Error,
    },
    /// The file cannot be written; the run then creates nothing.
    #[error(
        "the ledger `{path}` cannot be written: {source}; a run makes nothing that the ledger \
         does not list first"
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// The underlying error.
        source: io::Error,
    },
    /// The file is not a ledger.
    #[error("`{path}` is not a ledger of coldstart: {why}; nothing was deleted")]
    Shape {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The ledger names a resource that no run creates.
    #[error(
        "`{path}` names {what} `{name}`, which no run of coldstart makes: nothing was deleted. \
         Remove the line, and find out who wrote it"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The kind of the resource.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Another run has begun the same file.
    #[error(
        "another run has begun `{path}` in the meantime, and its list is not replaced: wait for \
         it, or name another file, `--ledger FILE`; nothing was made"
    )]
    Taken {
        /// The file.
        path: PathBuf,
    },
    /// The run's process still exists.
    #[error(
        "the run {run} that writes `{path}` is not over (process {process}); wait for it, or end \
         it, and it cleans up"
    )]
    Alive {
        /// The file.
        path: PathBuf,
        /// The run.
        run: String,
        /// Its process.
        process: u32,
    },
}

impl Ledger {
    /// Reads a ledger and checks every name in it.
    ///
    /// # Errors
    /// [`LedgerError`]; the caller then must not delete anything that the file lists.
    pub fn load(path: &Path) -> Result<Self, LedgerError> {
        let read = |source| LedgerError::Read { path: path.to_owned(), source };
        let shape = |why: String| LedgerError::Shape { path: path.to_owned(), why };
        if fs::metadata(path).map_err(read)?.len() > MAX_BYTES {
            return Err(shape(format!("it has more than {MAX_BYTES} bytes")));
        }
        let text = fs::read_to_string(path).map_err(read)?;
        let ledger: Self = serde_json::from_str(&text).map_err(|e| shape(e.to_string()))?;
        if ledger.schema != SCHEMA {
            return Err(shape(format!("its schema is {}", ledger.schema)));
        }
        ledger.check(path)?;
        Ok(ledger)
    }

    /// The run's identity; every ledger that the tool loads has one.
    pub fn run_id(&self) -> Option<RunId> {
        RunId::parse(&self.run)
    }

    /// Checks that this run can have created every name.
    fn check(&self, path: &Path) -> Result<(), LedgerError> {
        let shape = |why: &str| LedgerError::Shape { path: path.to_owned(), why: why.to_owned() };
        let run = self.run_id().ok_or_else(|| shape("its run has no identity"))?;
        let plain = |text: &str| {
            !text.is_empty()
                && text.len() <= 64
                && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_$".contains(c))
        };
        if !plain(&self.namespace) || !plain(&self.region) {
            return Err(shape("its namespace or region is invalid"));
        }
        for entry in &self.entries {
            let (what, ours) = match entry.kind {
                Kind::Namespace => ("a namespace", names::is_our_namespace(&entry.name)),
                Kind::Function => ("a function", run.owns_function(&entry.name)),
                Kind::Provisioned => (
                    "instances of",
                    run.owns_function(&entry.name)
                        && entry.version.as_deref().is_some_and(|v| plain(v) && v != "$LATEST"),
                ),
                Kind::Tag => ("an image", run.owns_reference(&entry.name)),
            };
            if !ours {
                let name = entry.name.chars().take(200).collect();
                return Err(LedgerError::Foreign { path: path.to_owned(), what, name });
            }
        }
        Ok(())
    }
}

/// A ledger on disk. The run updates it before and after it creates each resource.
#[derive(Debug)]
pub struct LedgerFile {
    path: PathBuf,
    ledger: Ledger,
}

impl LedgerFile {
    /// Creates a new ledger.
    ///
    /// # Errors
    /// [`LedgerError::Write`]; [`LedgerError::Taken`] if there is a file.
    pub fn begin(path: &Path, ledger: Ledger) -> Result<Self, LedgerError> {
        let file = Self { path: path.to_owned(), ledger: Ledger { schema: SCHEMA, ..ledger } };
        match file.write_as(stage::Staging::keep_new) {
            Err(LedgerError::Write { path, source })
                if source.kind() == io::ErrorKind::AlreadyExists =>
            {
                Err(LedgerError::Taken { path })
            }
            written => written.map(|()| file),
        }
    }

    /// Opens an existing ledger.
    ///
    /// # Errors
    /// As [`Ledger::load`]; [`LedgerError::Alive`] while its run continues.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let ledger = Ledger::load(path)?;
        if ledger.process != std::process::id() && is_alive(ledger.process) {
            let (run, process) = (ledger.run, ledger.process);
            return Err(LedgerError::Alive { path: path.to_owned(), run, process });
        }
        Ok(Self { path: path.to_owned(), ledger })
    }

    /// The ledger's content.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The ledger's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Records a resource before its creation. The caller may create it only after this returns.
    ///
    /// # Errors
    /// [`LedgerError`]; the caller then must not create it.
    pub fn intend(
        &mut self,
        kind: Kind,
        name: &str,
        version: Option<&str>,
    ) -> Result<(), LedgerError> {
        self.ledger.entries.push(Entry {
            kind,
            name: name.to_owned(),
            version: version.map(str::to_owned),
            made: false,
        });
        let checked = self.ledger.check(&self.path).and_then(|()| self.write());
        if checked.is_err() {
            self.ledger.entries.pop();
        }
        checked
    }

    /// Records that the resource was created.
    ///
    /// # Errors
    /// [`LedgerError::Write`]
    pub fn made(&mut self, kind: Kind, name: &str) -> Result<(), LedgerError> {
        let found = self.ledger.entries.iter_mut().rev();
        found.filter(|e| e.kind == kind && e.name == name).take(1).for_each(|e| e.made = true);
        self.write()
    }

    /// Records that the resource does not exist any more, or never did.
    ///
    /// # Errors
    /// [`LedgerError::Write`]
    pub fn gone(
        &mut self,
        kind: Kind,
        name: &str,
        version: Option<&str>,
    ) -> Result<(), LedgerError> {
        self.ledger
            .entries
            .retain(|e| !(e.kind == kind && e.name == name && e.version.as_deref() == version));
        self.write()
    }

    /// Removes the file if no resource is left.
    ///
    /// # Errors
    /// [`LedgerError::Write`]
    pub fn close(self) -> Result<(), LedgerError> {
        if !self.ledger.entries.is_empty() {
            return Ok(());
        }
        fs::remove_file(&self.path)
            .map_err(|source| LedgerError::Write { path: self.path.clone(), source })
    }

    fn write(&self) -> Result<(), LedgerError> {
        self.write_as(stage::Staging::keep)
    }

    /// Writes the file completely or not at all, and synchronises the file and its folder before it
    /// returns.
    fn write_as(
        &self,
        keep: impl FnOnce(stage::Staging, &Path) -> io::Result<()>,
    ) -> Result<(), LedgerError> {
        let write = || -> io::Result<()> {
            let staging = stage::Staging::file(&self.path)?;
            let mut text = serde_json::to_vec_pretty(&self.ledger)?;
            text.push(b'\n');
            let mut file = OpenOptions::new().write(true).open(staging.path())?;
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
            file.write_all(&text)?;
            file.sync_all()?;
            keep(staging, &self.path)?;
            let folder = match self.path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder,
                _ => Path::new("."),
            };
            File::open(folder)?.sync_all()
        };
        write().map_err(|source| LedgerError::Write { path: self.path.clone(), source })
    }
}

/// Whether a process with this number is a coldstart, because the system reuses numbers.
fn is_alive(process: u32) -> bool {
    fs::read_to_string(format!("/proc/{process}/comm"))
        .is_ok_and(|name| name.trim_end().starts_with("coldstart"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        Ledger {
            schema: SCHEMA,
            run: "0a1b2c3d".into(),
            process: 0,
            began: "2026-11-28T10:00:00Z".into(),
            region: "ap-guangzhou".into(),
            namespace: "firstbyte-bench".into(),
            endpoint: None,
            entries: Vec::new(),
        }
    }

    #[test]
    fn a_resource_is_on_disk_before_its_creation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/ledger.json");
        let mut file = LedgerFile::begin(&path, ledger()).unwrap();
        let name = "firstbyte-bench-0a1b2c3d-echo";
        file.intend(Kind::Function, name, None).unwrap();
        assert!(!Ledger::load(&path).unwrap().entries[0].made);
        file.made(Kind::Function, name).unwrap();
        file.intend(Kind::Provisioned, name, Some("3")).unwrap();
        let read = Ledger::load(&path).unwrap();
        assert!(read.entries[0].made && !read.entries[1].made);
        file.gone(Kind::Provisioned, name, Some("3")).unwrap();
        file.gone(Kind::Function, name, None).unwrap();
        assert!(Ledger::load(&path).unwrap().entries.is_empty());
        file.close().unwrap();
        assert!(!path.exists() && fs::read_dir(path.parent().unwrap()).unwrap().next().is_none());
    }

    #[test]
    fn a_ledger_with_a_name_that_is_not_ours_deletes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.json");
        let entry = |kind, name: &str, version: Option<&str>| Entry {
            kind,
            name: name.to_owned(),
            version: version.map(str::to_owned),
            made: true,
        };
        let ours = "firstbyte-bench-0a1b2c3d-echo";
        for foreign in [
            entry(Kind::Function, "production", None),
            entry(Kind::Function, "firstbyte-bench-ffffffff-echo", None),
            entry(Kind::Namespace, "default", None),
            entry(Kind::Tag, "ccr.ccs.tencentyun.com/ns/echo:v1", None),
            entry(Kind::Provisioned, "production", Some("1")),
            entry(Kind::Provisioned, ours, None),
            entry(Kind::Provisioned, ours, Some("$LATEST")),
        ] {
            let entries = vec![entry(Kind::Function, ours, None), foreign];
            let text = serde_json::to_string(&Ledger { entries, ..ledger() }).unwrap();
            fs::write(&path, &text).unwrap();
            let error = LedgerFile::open(&path).unwrap_err();
            assert!(matches!(error, LedgerError::Foreign { .. }), "{error}");
            let taken = LedgerFile::begin(&path, ledger()).unwrap_err();
            assert!(matches!(taken, LedgerError::Taken { .. }), "{taken}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text, "nobody's list is replaced");
            fs::remove_file(&path).unwrap();
            let mut file = LedgerFile::begin(&path, ledger()).unwrap();
            assert!(file.intend(Kind::Function, "production", None).is_err());
            assert!(Ledger::load(&path).unwrap().entries.is_empty());
        }
        for text in ["", "{}", "[1]", "{\"schema\":2}"] {
            fs::write(&path, text).unwrap();
            assert!(matches!(Ledger::load(&path), Err(LedgerError::Shape { .. })), "{text}");
        }
    }
}
