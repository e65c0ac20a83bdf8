//! Timer trigger: asynchronous; the invocation has the header `X-Scf-Trigger-Src: Timer`. Samples:
//! timer.json, timer.captured.json, scfcli.timer.json. Source: platform page "Trigger event message
//! structures", 2024-11-07.

use super::record::record;

record! {
    /// Event of a timer.
    pub struct Timer<'a> {
        /// The kind of trigger: `Timer`.
        required "Type" => kind: &'a str,
        /// The trigger's name.
        required "TriggerName" => trigger_name: &'a str,
        /// When it was due: UTC, RFC 3339 with whole seconds.
        required "Time" => time: &'a str,
        /// The text configured for the trigger, up to 4 KB; may be empty.
        "Message" => message: &'a str,
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{read, round_trip};
    use super::*;

    #[test]
    fn reads_and_writes_the_samples() {
        let timer: Timer<'_> = round_trip(include_str!("../../tests/data/events/timer.json"), &[]);
        assert_eq!(
            (timer.kind, timer.trigger_name, timer.time),
            ("Timer", "EveryDay", "2019-02-21T11:49:00Z")
        );
        assert_eq!(timer.message, "user define msg body");
        let timer: Timer<'_> =
            round_trip(include_str!("../../tests/data/events/timer.captured.json"), &[]);
        assert_eq!(timer.message, "");
        let timer: Timer<'_> =
            round_trip(include_str!("../../tests/data/events/scfcli.timer.json"), &[]);
        assert_eq!(timer.message, "hello timer");
    }

    #[test]
    fn takes_missing_null_and_unknown_members() {
        let timer: Timer<'_> = read(
            r#"{"Message":null,"New":{"a":[1]},"Type":"Timer","TriggerName":"n","Time":"t\u0031"}"#,
        );
        assert_eq!((timer.message, timer.time), ("", "t1"));
    }
}
