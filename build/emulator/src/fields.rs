//! The header fields that a caller and this emulator exchange; the function never sees them. This
//! file reads no socket.

use crate::wire::{Fields, field};

/// How their names begin, in lower case.
pub const PREFIX: &str = "firstbyte-";
/// A request's field: `Event` for an invocation that nobody waits for, as the API's InvocationType.
pub const INVOCATION_TYPE: &str = "Firstbyte-Invocation-Type";
/// A request's field: `event` or `web`, when the caller relies on it.
pub const MODE: &str = "Firstbyte-Mode";
/// A request's field: asks to be sent the header fields that the function got and sent, too.
pub const SHOW: &str = "Firstbyte-Show-Headers";
/// A reply's field: [`InvocationReport`](crate::front::InvocationReport) as JSON.
pub const OUTCOME: &str = "Firstbyte-Outcome";

/// Whether a client marked its request as one that nobody waits for.
pub(crate) fn is_async(headers: &Fields) -> bool {
    field(headers, INVOCATION_TYPE).is_some_and(|kind| kind.eq_ignore_ascii_case("event"))
}
