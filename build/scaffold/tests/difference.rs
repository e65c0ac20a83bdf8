//! Tests of a second deployment's triggers: nothing changes, unless function.toml or the platform
//! has other settings.

use scaffold::deploy::difference::{Difference, MARK, There, difference};
use scaffold::deploy::function::Function;
use scaffold::deploy::trigger::Trigger;
use serde_json::json;

fn wanted(lines: &str) -> Vec<Trigger> {
    let text = format!(
        "region = \"ap-guangzhou\"\nimage = \"ccr.ccs.tencentyun.com/team/hello:v1\"\n{lines}"
    );
    Function::parse(&text).unwrap().triggers
}

fn there(kind: &str, name: &str, description: &str, mark: &str) -> There {
    There::read(&json!({"Type": kind, "TriggerName": name, "TriggerDesc": description,
        "Qualifier": "$DEFAULT", "Enable": 1, "CustomArgument": null, "Description": mark}))
}

const TIMER: &str = "[[trigger]]\ntype = \"timer\"\nname = \"t\"\ncron = \"0 * * * * * *\"\n";

#[test]
fn a_second_run_changes_nothing_and_removed_triggers_are_deleted() {
    let wanted = wanted(TIMER);
    let same = Difference { same: vec![0], ..Difference::default() };
    for description in ["0 * * * * * *", "{\"cron\":\"0 * * * * * *\"}"] {
        for mark in [MARK, ""] {
            let there = [there("timer", "t", description, mark)];
            assert_eq!(difference(&wanted, &there, "$DEFAULT"), same);
        }
    }
    let other = |mark| there("timer", "t", "{\"cron\":\"1 * * * * * *\"}", mark);
    let found = difference(&wanted, &[other(MARK)], "$DEFAULT");
    assert_eq!(found, Difference { update: vec![0], ..Difference::default() });
    let found = difference(&wanted, &[other("")], "$DEFAULT");
    assert_eq!(found, Difference { foreign: vec![other("")], ..Difference::default() });
    // Only triggers that a deployment made are deleted, even if the alias has changed.
    let found = difference(&[], &[other(""), other(MARK)], "$DEFAULT");
    assert_eq!(found, Difference { remove: vec![other(MARK)], ..Difference::default() });
    let found = difference(&wanted, &[other(MARK)], "live");
    assert_eq!((found.remove.len(), found.create), (1, vec![0]));
}

#[test]
fn additional_members_and_numbers_as_text_are_not_a_change() {
    let wanted = wanted(
        "[[trigger]]\ntype = \"ckafka\"\ninstance = \"ckafka-1\"\ntopic = \"t\"\n[[trigger]]\n\
         type = \"http\"\nauth = \"none\"\n[[trigger]]\ntype = \"cos\"\nbucket = \"p-1\"\n\
         events = [\"cos:ObjectCreated:*\"]\n",
    );
    let bucket = "p-1.cos.ap-guangzhou.myqcloud.com";
    let found = [
        there(
            "ckafka",
            "ckafka-1-t",
            r#"{"maxMsgNum":"1","offset":"latest","retry":10000,"timeOut":60,"x":1}"#,
            MARK,
        ),
        there(
            "http",
            "url",
            r#"{"AuthType":"NONE","NetConfig":{"EnableIntranet":false,"EnableExtranet":true,
            "ExtranetUrl":"https://x"}}"#,
            MARK,
        ),
        there("cos", bucket, r#"{"event":"cos:ObjectCreated:*","filter":null}"#, MARK),
    ];
    let same = Difference { same: vec![0, 1, 2], ..Difference::default() };
    assert_eq!(difference(&wanted, &found, "$DEFAULT"), same);
    // Another prefix is another trigger of the bucket.
    let found =
        [there("cos", bucket, r#"{"event":"cos:ObjectCreated:*","filter":{"Prefix":"a"}}"#, MARK)];
    let found = difference(&wanted[2..], &found, "$DEFAULT");
    assert_eq!((found.remove.len(), found.create), (1, vec![0]));
}
