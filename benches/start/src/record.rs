//! Files of a run: results and plot, each written completely or not at all.

use microimage::stage;
use serde::Serialize;
use std::io;
use std::path::{Path, PathBuf};

/// Folder of dated runs.
const RECORDS: &str = "benches/record";

/// Why a run was not written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{path}`: {source}", path = path.display())]
pub struct Error {
    path: PathBuf,
    source: io::Error,
}

/// Writes the results to `results` and the plot beside it; with `record` (the bench's name and the
/// run's date), both into benches/record too. Returns the written paths.
///
/// # Errors
/// If a file cannot be written.
pub fn keep(
    report: &impl Serialize,
    drawing: Option<&str>,
    results: &Path,
    record: Option<(&str, &str)>,
) -> Result<Vec<PathBuf>, Error> {
    let json = serde_json::to_string(report)
        .map_err(|error| Error { path: results.into(), source: error.into() })?;
    let kept = record.map(|(bench, date)| {
        let day = date.split('T').next().unwrap_or_default();
        Path::new(RECORDS).join(format!("{bench}-{day}.json"))
    });
    let mut written = Vec::new();
    for path in [Some(results.to_owned()), kept].into_iter().flatten() {
        let drawing = drawing.map(|drawing| (path.with_extension("svg"), drawing));
        for (path, text) in [Some((path, json.as_str())), drawing].into_iter().flatten() {
            stage::write_file(&path, text.as_bytes())
                .map_err(|source| Error { path: path.clone(), source })?;
            written.push(path);
        }
    }
    Ok(written)
}
