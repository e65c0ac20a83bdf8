//! A static ELF in, a minimal and reproducible OCI image out, no daemon.
//!
//! The middle is pure: the same input gives the same digest. The rim touches disks and networks.
//! Read in this order: [`digest`], [`image`], [`entry`], [`unpack`], [`layout`], [`archive`], [`source`].

#![deny(unsafe_code)] // one named door: sandbox
#![warn(missing_docs)]

// The pure middle, in reading order.
pub mod assemble;
pub mod digest;
pub mod elf;
pub mod extras;
pub mod ignore;
pub mod image;
mod instruction;
pub mod json;
pub mod layer;
pub mod recipe;
pub mod reference;
pub mod rootfs;
mod words;

// Pure as well: a layer's tar, read.
pub mod entry;

// The rim: disks.
pub mod archive;
pub mod cargo;
pub mod check;
pub mod contents;
pub mod context;
pub mod inspect;
pub mod layout;
pub mod outputs;
#[cfg(feature = "registry")]
pub mod registry;
pub mod sbom;
pub mod source;
pub mod stage;
pub mod unpack;

// The rim: processes. Runs an unpacked image (`check --run`, the cold-start bench).
#[allow(unsafe_code)]
pub mod sandbox;
