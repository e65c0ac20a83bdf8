//! Error of the cloud's API: a code for programs and a message for people. Codes come from the
//! platform's own list (SDK, scf/v20180416/errorcodes.py) or from the API's common codes.

use std::fmt::Display;

/// Code and message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// `ResourceNotFound.Function`.
    pub code: String,
    /// What is wrong, then what to do.
    pub message: String,
}

impl ApiError {
    /// An error.
    pub fn new(code: impl Into<String>, message: impl Display) -> ApiError {
        ApiError { code: code.into(), message: message.to_string() }
    }
}
