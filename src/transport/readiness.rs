//! Readiness: waiting in a handler for an outgoing connection's descriptor. In the boot lane the
//! main thread watches for other connections meanwhile, elsewhere a handler lends its event loop,
//! and any other thread just blocks.

use super::early::Wait;
use super::handling::Blocks;
use super::lookout;
use super::waiting::is_lane;
use crate::sys::monotonic_ns;
use std::time::Duration;

/// Blocks the thread until what is waited for is ready, or its time has passed. May return early.
pub(crate) fn wait_for(wait: Wait) {
    let limit = (wait.until_ns != u64::MAX)
        .then(|| Duration::from_nanos(wait.until_ns.saturating_sub(monotonic_ns())));
    let _blocks = (!is_lane()).then(Blocks::begin);
    lookout::wait_for(wait.fd, wait.events, limit);
}
