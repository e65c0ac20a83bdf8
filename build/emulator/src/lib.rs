//! The platform, played in front of a running function.

#![forbid(unsafe_code)]
#![warn(missing_docs)]
