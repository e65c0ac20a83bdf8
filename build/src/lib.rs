//! A static ELF in, a minimal and reproducible OCI image out, no daemon.
//!
//! The middle is pure: the same input gives the same digest. The rim touches disks and networks.
//! Read in this order: [`digest`], [`image`], [`entry`], [`unpack`], [`layout`], [`archive`], [`source`].

#![deny(unsafe_code)] // one named door: sandbox
#![warn(missing_docs)]

pub mod digest;
pub mod image;
pub mod json;

pub mod entry;

pub mod archive;
pub mod layout;
pub mod source;
pub mod stage;
pub mod unpack;

// The rim: processes. Runs an unpacked image (`check --run`, the cold-start bench).
#[allow(unsafe_code)]
pub mod sandbox;
