//! Throughput bench: the rate of a running function, our server beside the peers of the start
//! bench, so that a faster start is not bought with slower requests. A closed loop: each connection
//! sends its next event when the reply to the last one is complete. In reading order: `load` (the
//! client), `run` (rounds in random order), `report` (the data), `table` (the terminal).

#![forbid(unsafe_code)]

pub mod load;
pub mod report;
pub mod run;
pub mod table;
