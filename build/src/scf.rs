//! Documented facts about Tencent Cloud SCF's image functions, as constants: the port, the event
//! path, the limits and the header names. It judges nothing and sends nothing. Platform pages
//! "WebServer image function" (2023-07-10), "Quotas" and "Function status codes".
//! src/platform/scf.rs states the same facts for the function's side, which must not depend on this
//! crate; a test in tests/ compares the two.

use std::time::Duration;

/// The port that the server must listen on, on all addresses.
pub const PORT: u16 = 9000;
/// Path to which events are posted.
pub const EVENT_PATH: &str = "/event-invoke";
/// Time from its start within which the server must listen.
pub const START_LIMIT: Duration = Duration::from_secs(30);
/// Time limit of an invocation, unless the function's configuration has another.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3);
/// The largest request body, synchronous event and reply body, in bytes.
pub const MAX_BODY_BYTES: usize = 6 << 20;
/// The largest asynchronous event, in bytes.
pub const MAX_ASYNC_BYTES: usize = 128 << 10;

/// Prefix of the platform's own header fields, in lower case.
pub const HEADER_PREFIX: &str = "x-scf-";

/// Names of the header fields that the platform adds to a request, as its documents write them.
pub mod header {
    /// The invocation's id.
    pub const REQUEST_ID: &str = "X-Scf-Request-Id";
    /// The function's memory. The unit is not documented; MB here.
    pub const MEMORY: &str = "X-Scf-Memory";
    /// The function's timeout. The unit is not documented; seconds here.
    pub const TIMEOUT: &str = "X-Scf-Timeout";
    /// The function's version: `$LATEST` or a number.
    pub const VERSION: &str = "X-Scf-Version";
    /// The function's name.
    pub const NAME: &str = "X-Scf-Name";
    /// The function's namespace.
    pub const NAMESPACE: &str = "X-Scf-Namespace";
    /// The region.
    pub const REGION: &str = "X-Scf-Region";
    /// The account's id, as resource names contain it.
    pub const APP_ID: &str = "X-Scf-Appid";
    /// The account's number, as the console shows it.
    pub const UIN: &str = "X-Scf-Uin";
    /// Part of a role's credentials: the token. Secret.
    pub const SESSION_TOKEN: &str = "X-Scf-Session-Token";
    /// Part of a role's credentials: the key's id. Secret.
    pub const SECRET_ID: &str = "X-Scf-Secret-Id";
    /// Part of a role's credentials: the key. Secret.
    pub const SECRET_KEY: &str = "X-Scf-Secret-Key";
    /// The trigger that sent an event.
    pub const TRIGGER_SOURCE: &str = "X-Scf-Trigger-Src";
    /// The address of a Web function's caller.
    pub const REMOTE_ADDRESS: &str = "X-Scf-Remote-Addr";
}
