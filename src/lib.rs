//! The function server.
