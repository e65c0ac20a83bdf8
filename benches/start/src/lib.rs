//! Start bench: from execve to the first byte of an event's reply, our function beside the floor
//! and the usual alternatives. It measures plain processes on this machine; benches/coldstart
//! measures images, registries and runtimes. In reading order: the programs (`program`), their
//! start (`launch`, `client`, `sample`), further observations (`trace`, `step`, `idle`,
//! `requests`), the whole run (`run`, `report`), and its results (`table`, `plot`, `record`,
//! `gate`). Functions that call out have a run of their own (`upstream`, `calls`).

#![deny(unsafe_code)] // allowed in: cache, client, launch, precedence, trace

pub mod program;

#[allow(unsafe_code)]
pub mod launch;

#[allow(unsafe_code)]
pub mod client;
pub mod event;
#[allow(unsafe_code)]
pub mod precedence;
pub mod sample;

#[allow(unsafe_code)]
pub mod cache;
pub mod idle;
pub mod process;
pub mod requests;
pub mod step;
#[allow(unsafe_code)]
pub mod trace;

pub mod host;
pub mod report;
pub mod run;
pub mod upstream;

pub mod calls;
pub mod gate;
pub mod plot;
pub mod record;
pub mod table;
