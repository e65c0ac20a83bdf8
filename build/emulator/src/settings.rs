//! Settings of function.toml that the emulator uses. `scaffold` parses the file for the emulator
//! and for deployments, so both read it in the same way.

use crate::config::{Config, Mode};
use scaffold::deploy::function::Function;
use scaffold::deploy::reader::Mistakes;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file's name.
const FILE: &str = "function.toml";

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file exists and cannot be read.
    #[error("`{path}` cannot be read: {source}")]
    File {
        /// Its path.
        path: PathBuf,
        /// The underlying I/O error.
        source: io::Error,
    },
    /// It has settings that the platform would refuse.
    #[error(transparent)]
    Mistakes(#[from] Mistakes),
}

/// Reads `folder`'s function.toml, if there is one.
///
/// # Errors
/// [`SettingsError`].
pub fn read(folder: &Path) -> Result<Option<Function>, SettingsError> {
    let path = folder.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(Function::parse(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SettingsError::File { path, source }),
    }
}

/// Applies the file to `config`. The file's initialization timeout covers pull and start, and is
/// usually longer than the platform's limit for listening: it applies only if it is shorter.
pub fn apply(function: Function, config: &mut Config) {
    let seconds = |seconds| Duration::from_secs(u64::from(seconds));
    let count = |count| usize::try_from(count).unwrap_or(usize::MAX);
    config.mode = if function.web { Mode::Web } else { Mode::Event };
    config.region = function.region;
    config.memory_mib = function.memory_mb.into();
    config.timeout = seconds(function.timeout_s);
    config.init_timeout = function
        .init_timeout_s
        .map_or(config.init_timeout, |s| seconds(s).min(config.init_timeout));
    config.websocket_idle = function.websocket_idle_s.map(seconds);
    config.role = function.role.is_some();
    config.concurrency = function.concurrency.map_or(config.concurrency, count);
    config.provisioned = count(function.provisioned);
    config.command = function.command;
    config.args = function.args;
    config.environment.extend(function.environment);
    config.reach.extend(function.reach);
    if let Some(name) = function.name {
        config.name = name;
    }
    if let Some(namespace) = function.namespace {
        config.namespace = namespace;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_templates_own_file() {
        let template = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../template"));
        let mut config = Config { memory_mib: 1, ..Config::default() };
        apply(read(template).unwrap().unwrap(), &mut config);
        assert_eq!(
            (config.mode, config.memory_mib, config.timeout),
            (Mode::Event, 64, Duration::from_secs(3))
        );
        assert_eq!(
            config.init_timeout,
            Duration::from_secs(30),
            "90 s are for pull and start together"
        );
        assert_eq!(config.check(), Ok(()));
    }

    #[test]
    fn a_folder_without_one_changes_nothing_and_a_mistake_has_its_line() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
        fs::write(folder.path().join(FILE), "\ntype = \"job\"\n").unwrap();
        let error = read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("function.toml:2: ") && error.contains("job"), "{error}");
    }
}
