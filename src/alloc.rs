//! The global allocator: mimalloc (feature `mimalloc`, on by default).
//!
//! Its C code is compiled with defaults for an instance rather than a workstation: no transparent huge pages and a
//! small arena reserve (.cargo/config.toml; the template carries the same lines, they do not travel with a crate).

#[cfg(feature = "mimalloc")]
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;
