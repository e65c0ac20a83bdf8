//! Events for invocations: the project's own in `events/`, then the samples contained in this
//! program, which are those of tests/data/events (its README has their sources).

use include_dir::{Dir, include_dir};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

static SAMPLES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../tests/data/events");
/// A project's own events.
const FOLDER: &str = "events";

/// A named event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its name for `firstbyte invoke NAME`.
    pub name: String,
    /// Its source.
    pub origin: String,
    /// Its JSON.
    pub bytes: Vec<u8>,
}

/// Why there is no event.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// It is neither a name nor a file.
    #[error("`{name}` is neither a file nor a sample{hint}; `--list` lists the samples")]
    Unknown {
        /// The requested name.
        name: String,
        /// A suggestion.
        hint: String,
    },
    /// The project has several events, and the command line names none.
    #[error("{FOLDER}/ has several events; name one of {0}")]
    Several(String),
    /// A file that cannot be read.
    #[error("`{path}` cannot be read: {source}")]
    File {
        /// Its path.
        path: PathBuf,
        /// The underlying I/O error.
        source: io::Error,
    },
}

/// All named events, those of the project around `folder` first.
pub fn all(folder: &Path) -> Vec<Sample> {
    let mut all = own(folder);
    let carried =
        carried().into_iter().filter(|sample| !all.iter().any(|own| own.name == sample.name));
    let carried: Vec<_> = carried.collect();
    all.extend(carried);
    all
}

/// The event for `wanted`: a path, or a sample's name.
///
/// # Errors
/// [`SampleError`].
pub fn find(folder: &Path, wanted: &str) -> Result<Vec<u8>, SampleError> {
    let path = folder.join(wanted);
    if path.is_file() {
        return fs::read(&path).map_err(|source| SampleError::File { path, source });
    }
    let all = all(folder);
    if let Some(sample) = all.iter().find(|sample| sample.name == wanted) {
        return Ok(sample.bytes.clone());
    }
    let mut close: Vec<_> = all
        .iter()
        .map(|sample| sample.name.as_str())
        .filter(|name| name.contains(wanted))
        .collect();
    close.truncate(4);
    let hint = if close.is_empty() {
        String::new()
    } else {
        format!(" (did you mean {}?)", close.join(", "))
    };
    Err(SampleError::Unknown { name: wanted.to_owned(), hint })
}

/// The event of a project that has exactly one; an empty object for a project without events.
///
/// # Errors
/// [`SampleError::Several`] names them.
pub fn default(folder: &Path) -> Result<Vec<u8>, SampleError> {
    match own(folder).as_slice() {
        [] => Ok(b"{}".to_vec()),
        [only] => Ok(only.bytes.clone()),
        several => {
            let names: Vec<_> = several.iter().map(|sample| sample.name.as_str()).collect();
            Err(SampleError::Several(names.join(", ")))
        }
    }
}

fn own(folder: &Path) -> Vec<Sample> {
    let files =
        fs::read_dir(folder.join(FOLDER)).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut own: Vec<_> = files
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?.strip_suffix(".json")?.to_owned();
            Some(Sample {
                name,
                origin: format!("{FOLDER}/, this project"),
                bytes: fs::read(&path).ok()?,
            })
        })
        .collect();
    own.sort_by(|a, b| a.name.cmp(&b.name));
    own
}

/// The contained samples, without recorded replies.
fn carried() -> Vec<Sample> {
    let origins = origins();
    let files = SAMPLES
        .files()
        .filter_map(|file| Some((file.path().to_str()?.strip_suffix(".json")?, file)));
    let mut carried: Vec<_> = files
        .filter(|(name, _)| !name.contains(".response"))
        .map(|(name, file)| Sample {
            name: name.to_owned(),
            origin: origins.get(name).cloned().unwrap_or_default(),
            bytes: file.contents().to_vec(),
        })
        .collect();
    carried.sort_by(|a, b| a.name.cmp(&b.name));
    carried
}

/// The second column of the table in the samples' README: the kind of evidence for each.
fn origins() -> BTreeMap<String, String> {
    let readme =
        SAMPLES.get_file("README.md").and_then(|file| file.contents_utf8()).unwrap_or_default();
    let rows = readme.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        Some((cells.next()?.strip_suffix(".json")?.to_owned(), cells.next()?.to_owned()))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_is_json_and_has_its_origin() {
        let samples = carried();
        assert!(samples.len() > 30, "{}", samples.len());
        for sample in samples {
            assert!(
                serde_json::from_slice::<serde_json::Value>(&sample.bytes).is_ok(),
                "{}",
                sample.name
            );
            assert!(!sample.origin.is_empty(), "{}: no row in the README", sample.name);
        }
    }

    #[test]
    fn a_projects_own_event_comes_before_the_sample_of_that_name() {
        let project = tempfile::tempdir().unwrap();
        assert_eq!(default(project.path()).unwrap(), b"{}");
        assert!(find(project.path(), "timer").unwrap().starts_with(b"{"));
        fs::create_dir(project.path().join(FOLDER)).unwrap();
        fs::write(project.path().join("events/timer.json"), "1").unwrap();
        assert_eq!(find(project.path(), "timer").unwrap(), b"1");
        assert_eq!(find(project.path(), "events/timer.json").unwrap(), b"1");
        assert_eq!(default(project.path()).unwrap(), b"1");
        fs::write(project.path().join("events/again.json"), "2").unwrap();
        let several = default(project.path()).unwrap_err().to_string();
        assert!(several.ends_with("name one of again, timer"), "{several}");
        let error = find(project.path(), "cloud").unwrap_err().to_string();
        assert!(error.contains("eventbridge.cloudaudit"), "{error}");
    }
}
