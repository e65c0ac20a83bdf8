//! Header fields between a caller and this emulator. The function does not receive them.

use crate::wire::{Fields, field};

/// Prefix of their names, in lower case.
pub const PREFIX: &str = "firstbyte-";
/// Request field: `Event` for an asynchronous invocation, as the API's InvocationType.
pub const INVOCATION_TYPE: &str = "Firstbyte-Invocation-Type";
/// Request field: `event` or `web`, if the caller requires that type of function.
pub const MODE: &str = "Firstbyte-Mode";
/// Request field: asks for the header fields that the function got and sent.
pub const SHOW: &str = "Firstbyte-Show-Headers";
/// Reply field: [`InvocationReport`](crate::front::InvocationReport) as JSON.
pub const OUTCOME: &str = "Firstbyte-Outcome";

/// Whether a client marked its request as asynchronous.
pub(crate) fn is_async(headers: &Fields) -> bool {
    field(headers, INVOCATION_TYPE).is_some_and(|kind| kind.eq_ignore_ascii_case("event"))
}
