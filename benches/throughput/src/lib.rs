//! The throughput bench: what a function does once it runs, our server beside the peers of the
//! start bench, so that no microsecond of the start is bought by losing requests later. A closed
//! loop: each connection sends its next event when the reply to the last one is complete. In
//! reading order: `load` (the peer that asks), `run` (rounds in random order), `report` (what is
//! kept), `table` (what a person sees).

#![forbid(unsafe_code)]

pub mod load;
pub mod report;
pub mod run;
pub mod table;
