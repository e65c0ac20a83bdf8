//! A static ELF in, a minimal and reproducible OCI image out, no daemon.
//!
//! The core is pure: it takes text, bytes and readers, and the same input gives the same digest.
//! The outer modules use disks, networks and processes. This crate contains no HTTP server, no
//! functions and no benches.
//!
//! Reading order: [`digest`] and [`image`] (what an image is); [`recipe`], [`rootfs`], [`elf`],
//! [`layer`], [`assemble`] (how one is made); [`entry`] and [`contents`] (what is in one); then the
//! outer modules: [`context`], [`cargo`], [`outputs`] before, [`source`], [`unpack`], [`check`]
//! after.
//!
//! # Example
//! Load an image and print what it starts:
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use microimage::{assemble, context::FolderContext, layout, recipe::Recipe};
//! # let home = tempfile::tempdir()?;
//! # std::fs::copy("tests/fixtures/hello.elf", home.path().join("app"))?;
//! # use std::os::unix::fs::PermissionsExt;
//! # std::fs::set_permissions(home.path().join("app"), std::fs::Permissions::from_mode(0o755))?;
//! let recipe = Recipe::parse("FROM scratch\nCOPY app /app\nENTRYPOINT [\"/app\"]\n")?;
//! let context = FolderContext::open(home.path())?;
//! let built = assemble::assemble(&recipe, &context, &assemble::Options::default())?;
//! layout::write(&built.image, &home.path().join("oci"))?;
//!
//! let image = microimage::source::load(&home.path().join("oci").display().to_string())?;
//! assert_eq!(image.entrypoint(), ["/app"]);
//! assert_eq!(image.manifest_digest(), built.image.manifest_digest());
//! # Ok(()) }
//! ```

#![deny(unsafe_code)] // allowed in: sandbox

// Pure core: no disk, no network, no process, no clock (tests/rooms.rs checks it).
pub mod assemble;
pub mod contents;
pub mod digest;
pub mod elf;
pub mod entry;
pub mod extras;
pub mod ignore;
pub mod image;
pub mod inspect;
mod instruction;
pub mod json;
pub mod layer;
pub mod loadable;
pub mod order;
pub mod provenance;
pub mod recipe;
pub mod reference;
pub mod rootfs;
pub mod sbom;
pub mod scf;
mod words;

// Outer modules: disks.
pub mod archive;
pub mod context;
pub mod layout;
pub mod outputs;
pub mod source;
pub mod stage;
pub mod unpack;

// Outer modules: networks.
#[cfg(feature = "registry")]
pub mod registry;

// Outer modules: manual pages of the command line.
pub mod manual;

// Outer modules: processes. The sandbox runs an unpacked image (`check --run`, coldstart).
pub mod cargo;
pub mod check;
pub mod listeners;
pub mod load;
#[allow(unsafe_code)]
#[cfg_attr(not(target_os = "linux"), path = "sandbox/elsewhere.rs")]
pub mod sandbox;
