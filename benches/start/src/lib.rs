//! The start bench: from execve to the first byte of an event's reply, our function beside the
//! floor and the programs that people would pick instead. It measures plain processes on this
//! machine; images, registries and runtimes are benches/coldstart's business. In reading order:
//! what is started (`program`), how (`launch`, `client`, `sample`), what else is seen of it
//! (`trace`, `step`, `idle`), the whole (`run`, `report`, `requests`), and what is made of it (`table`, `plot`,
//! `record`, `gate`).

pub mod program;

pub mod launch;

pub mod client;
pub mod clock;
pub mod cores;
pub mod event;
pub mod sample;

pub mod cache;
pub mod idle;
pub mod process;
pub mod step;
pub mod trace;

pub mod host;
pub mod report;
pub mod requests;
pub mod run;
pub mod stats;

pub mod gate;
pub mod plot;
pub mod record;
pub mod table;
