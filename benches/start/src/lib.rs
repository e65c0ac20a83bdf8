//! The start bench: from execve to the first byte of an event's reply, our function beside the floor and the programs
//! that people would pick instead. It measures plain processes on this machine; images, registries and runtimes are
//! benches/coldstart's business. Reading order: program, launch, client, sample, stats, report, table.

pub mod client;
pub mod clock;
pub mod event;
pub mod launch;
pub mod process;
pub mod program;
pub mod report;
pub mod sample;
pub mod stats;
pub mod table;
