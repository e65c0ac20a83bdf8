//! Start of an engine on systems other than Linux, which always fails: there the program only
//! reads, compares, draws and plans with results.

use crate::cli::RunArgs;
use coldstart::engine::{Engine, Target};
use coldstart::work::Work;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Always fails.
pub fn start_engine(
    args: &RunArgs,
    _targets: &[Target],
    _stop: Arc<AtomicBool>,
    _work: Work,
    _notes: &mut Vec<String>,
) -> Result<Box<dyn Engine>, String> {
    Err(format!(
        "the {} engine needs Linux; measure there, and read its results.json here",
        args.engine
    ))
}
