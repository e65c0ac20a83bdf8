//! Logger behind the `log` crate's macros: it adds the id of the request that is being served.
//! `log` formats and writes the line.
//!
//! The level comes from `FIRSTBYTE_LOG` (off, error, warn, info, debug, trace; info by default).

use super::current::{set_request_id, with_request_id};
use crate::error::{Error, Result};
use crate::log;
use ::log::{Level, LevelFilter, Log, Metadata, Record};

/// Reads the environment and becomes the logger, unless the program has one already.
///
/// # Errors
/// If a variable has an invalid value.
pub(crate) fn init(variable: impl Fn(&str) -> Option<String>) -> Result<()> {
    let level = match variable("FIRSTBYTE_LOG") {
        None => LevelFilter::Info,
        Some(text) => text.parse().map_err(|_| {
            Error::io(format!(
                "FIRSTBYTE_LOG is `{text}`; write off, error, warn, info, debug or trace"
            ))
        })?,
    };
    log::read_format(variable)?;
    log::set_failure_level(level);
    if ::log::set_logger(&RequestRecords).is_ok() {
        ::log::set_max_level(level);
    }
    Ok(())
}

/// Runs a handler, with its request id for its log records.
pub(crate) fn serving<T>(request_id: &str, handler: impl FnOnce() -> T) -> T {
    if ::log::max_level() != LevelFilter::Off {
        // also an empty one: the connection's last request had another
        set_request_id(request_id);
    }
    handler()
}

struct RequestRecords;

impl Log for RequestRecords {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // The coroutine library logs every socket that it watches at level info, which is of no use
        // here.
        metadata.level() <= ::log::max_level()
            && (metadata.level() <= Level::Warn || !metadata.target().starts_with("may"))
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            with_request_id(|id| log::write(record.level(), record.target(), id, *record.args()));
        }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_level_is_an_error_that_lists_the_levels() {
        let with = |name: &'static str, value: &'static str| {
            init(move |asked| (asked == name).then(|| value.to_owned()))
                .map_err(|error| error.to_string())
        };
        assert!(with("FIRSTBYTE_LOG", "loud").unwrap_err().contains("write off, error"));
        assert!(with("FIRSTBYTE_LOG_FORMAT", "xml").unwrap_err().contains("text or json"));
    }
}
