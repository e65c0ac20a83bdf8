//! MPS trigger: a media processing task has changed; asynchronous. Samples: mps.json,
//! mps.edit_media_task.json (its values are invented from the field table). Source: platform pages
//! "Trigger event message structures", 2024-11-07, and "MPS trigger".

use super::record::record;
use super::value::Value;

record! {
    /// What became of a task. One of the two events is there, as `kind` says.
    pub struct Mps<'a> {
        /// `WorkflowTask` or `EditMediaTask`.
        required "EventType" => kind: &'a str,
        /// For `WorkflowTask`.
        "WorkflowTaskEvent" => workflow: Option<Workflow<'a>>,
        /// For `EditMediaTask`.
        "EditMediaTaskEvent" => edit: Option<Edit<'a>>,
    }
}

record! {
    /// A workflow's task.
    pub struct Workflow<'a> {
        /// The task's identity.
        required "TaskId" => task_id: &'a str,
        /// `PROCESSING` or `FINISH`.
        required "Status" => status: &'a str,
        /// 0 if all went well.
        required "ErrCode" => error_code: i64,
        /// What went wrong.
        required "Message" => message: &'a str,
        /// Where the media came from.
        required "InputInfo" => input: Input<'a>,
        /// Streams, sizes and lengths of the media; as MPS documents them.
        "MetaData" => metadata: Value<'a>,
        /// One result a step, as MPS documents them: `Type`, and a task of that type.
        "MediaProcessResultSet" => results: Vec<Value<'a>>,
    }
}

record! {
    /// Where media come from.
    pub struct Input<'a> {
        /// `COS`.
        required "Type" => kind: &'a str,
        /// The object, for `COS`.
        "CosInputInfo" => cos: Option<CosInput<'a>>,
    }
}

record! {
    /// An object.
    pub struct CosInput<'a> {
        /// The bucket with its account.
        required "Bucket" => bucket: &'a str,
        /// For example `ap-guangzhou`.
        required "Region" => region: &'a str,
        /// The object's path, with a slash in front.
        required "Object" => object: &'a str,
    }
}

record! {
    /// An editing task.
    pub struct Edit<'a> {
        /// The task's identity.
        required "TaskId" => task_id: &'a str,
        /// `PROCESSING` or `FINISH`.
        required "Status" => status: &'a str,
        /// 0 if all went well.
        required "ErrCode" => error_code: i64,
        /// What went wrong.
        required "Message" => message: &'a str,
        /// As MPS documents it.
        "Input" => input: Value<'a>,
        /// As MPS documents it; null until the task is done.
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
