//! Transport for systems other than Linux: one thread per connection and blocking reads, for a
//! function's tests and local runs. It replaces `transport`, with the same HTTP rules from `wire`
//! and the same limits on sizes, times and connections. It has no boot lane, no minimum rates, no
//! memory budget and no WebSockets; nobody deploys it. On Linux, compile it with `--cfg
//! firstbyte_portable`, so that the tests can exercise it.

#[path = "transport/background.rs"]
mod background;
#[path = "portable/connection.rs"]
mod connection;
#[path = "portable/current.rs"]
mod current;
#[path = "transport/early.rs"]
pub(crate) mod early;
#[path = "transport/limits.rs"]
mod limits;
#[path = "transport/once.rs"]
mod once;
#[path = "portable/outgoing.rs"]
mod outgoing;
#[allow(dead_code)] // only `transport` uses it
#[path = "transport/panics.rs"]
mod panics;
#[path = "transport/records.rs"]
pub(crate) mod records;
#[path = "portable/serve.rs"]
mod serve;
#[path = "portable/server.rs"]
mod server;
#[path = "transport/service.rs"]
mod service;
#[path = "portable/stop.rs"]
mod stop;
#[path = "portable/stopper.rs"]
mod stopper;
#[path = "portable/threads.rs"]
mod threads;
#[allow(dead_code)] // only `transport` uses it
#[path = "transport/timeline.rs"]
pub(crate) mod timeline;
#[path = "portable/waiting.rs"]
mod waiting;

pub use background::background;
pub(crate) use background::finish as finish_background;
pub use limits::{Limits, MinRate};
pub(crate) use once::Once;
pub(crate) use panics::catch;
pub(crate) use serve::{listen, serve};
pub(crate) use service::{Admission, RequestHead, Service};
pub(crate) use stop::replace_std_start_up;
pub(crate) use waiting::wait_for;
pub use waiting::{blocking, sleep};

/// There are no WebSockets here: `connection` refuses them.
#[cfg(feature = "websocket")]
pub(crate) fn converse_from_now_on() {}
