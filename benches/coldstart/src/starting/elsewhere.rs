//! The engine that was asked for, where none can be started: on another system than Linux. Results
//! are read, compared, drawn and planned with there.

use crate::cli::RunArgs;
use coldstart::engine::{Engine, Target};
use coldstart::work::Work;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Starts nothing.
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
