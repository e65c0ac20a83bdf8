//! MPS trigger: a media processing task changed its state; asynchronous. Samples: mps.json,
//! mps.edit_media_task.json (its values are invented from the field table). Source: platform pages
//! "Trigger event message structures", 2024-11-07, and "MPS trigger".

use super::record::record;
use super::value::Value;

record! {
    /// A task's new state. It has one of the two events, according to `kind`.
    pub struct Mps<'a> {
        /// `WorkflowTask` or `EditMediaTask`.
        required "EventType" => kind: &'a str,
        /// Present for `WorkflowTask`.
        "WorkflowTaskEvent" => workflow: Option<Workflow<'a>>,
        /// Present for `EditMediaTask`.
        "EditMediaTaskEvent" => edit: Option<Edit<'a>>,
    }
}

record! {
    /// A task of a workflow.
    pub struct Workflow<'a> {
        /// The task's id.
        required "TaskId" => task_id: &'a str,
        /// `PROCESSING` or `FINISH`.
        required "Status" => status: &'a str,
        /// Error code; 0 on success.
        required "ErrCode" => error_code: i64,
        /// Error message.
        required "Message" => message: &'a str,
        /// Where the media file is.
        required "InputInfo" => input: Input<'a>,
        /// Streams, sizes and durations of the media, in the form that MPS documents.
        "MetaData" => metadata: Value<'a>,
        /// One result per step, in the form that MPS documents: `Type`, and a task of that type.
        "MediaProcessResultSet" => results: Vec<Value<'a>>,
    }
}

record! {
    /// Location of a media file.
    pub struct Input<'a> {
        /// `COS`.
        required "Type" => kind: &'a str,
        /// The object, for `COS`.
        "CosInputInfo" => cos: Option<CosInput<'a>>,
    }
}

record! {
    /// A media file in COS.
    pub struct CosInput<'a> {
        /// The bucket with its account id.
        required "Bucket" => bucket: &'a str,
        /// Region, for example `ap-guangzhou`.
        required "Region" => region: &'a str,
        /// The object's path, with a leading slash.
        required "Object" => object: &'a str,
    }
}

record! {
    /// A task of video editing.
    pub struct Edit<'a> {
        /// The task's id.
        required "TaskId" => task_id: &'a str,
        /// `PROCESSING` or `FINISH`.
        required "Status" => status: &'a str,
        /// Error code; 0 on success.
        required "ErrCode" => error_code: i64,
        /// Error message.
        required "Message" => message: &'a str,
        /// Input, in the form that MPS documents.
        "Input" => input: Value<'a>,
        /// Output, in the form that MPS documents; null until the task is done.
        "Output" => output: Value<'a>,
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::round_trip;
    use super::*;

    #[test]
    fn reads_and_writes_the_samples() {
        let mps: Mps<'_> = round_trip(include_str!("../../tests/data/events/mps.json"), &[]);
        let workflow = mps.workflow.unwrap();
        assert_eq!((mps.kind, workflow.status, workflow.error_code), ("WorkflowTask", "FINISH", 0));
        assert_eq!(workflow.input.cos.unwrap().object, "/dianping2.mp4");
        assert_eq!(workflow.metadata.get("Height").as_i64(), Some(720));
        assert_eq!(
            workflow.results[0].get("TranscodeTask").get("Status").as_str(),
            Some("SUCCESS")
        );
        let mps: Mps<'_> =
            round_trip(include_str!("../../tests/data/events/mps.edit_media_task.json"), &[]);
        assert_eq!((mps.edit.unwrap().status, mps.workflow), ("FINISH", None));
    }
}
