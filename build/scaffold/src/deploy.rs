//! What a deployment needs.
