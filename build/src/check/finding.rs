//! Finding of a check: a rule, its verdict, the evidence and the remedy. It contains no rules.

use super::provider::Provider;
use crate::contents::Contents;
use crate::image::Image;
use serde::Serialize;

/// Result of a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleVerdict {
    /// The image follows the rule.
    Pass,
    /// The platform's documents do not decide it, or it only makes starts slower.
    Warn,
    /// The image breaks the rule: the platform refuses it, or the function fails.
    Fail,
    /// It could not be checked on this machine.
    Skip,
}

/// One rule with its result.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// Name of the rule, one or two words.
    pub rule: &'static str,
    /// The result.
    pub verdict: RuleVerdict,
    /// What was found.
    pub evidence: String,
    /// What to do; empty if nothing is to be done.
    pub remedy: String,
    /// The document that states the rule.
    pub source: &'static str,
}

/// The image that is checked.
pub(super) struct Subject<'a> {
    pub image: &'a Image,
    pub contents: &'a Contents,
    pub provider: &'static Provider,
    pub memory_mib: Option<u64>,
    /// Name under which the image was given.
    pub place: &'a str,
}

/// Result of a rule: verdict, evidence, remedy.
pub(super) type Judgement = (RuleVerdict, String, String);

pub(super) fn pass(evidence: impl Into<String>) -> Judgement {
    (RuleVerdict::Pass, evidence.into(), String::new())
}

pub(super) fn warn(evidence: impl Into<String>, remedy: impl Into<String>) -> Judgement {
    (RuleVerdict::Warn, evidence.into(), remedy.into())
}

pub(super) fn fail(evidence: impl Into<String>, remedy: impl Into<String>) -> Judgement {
    (RuleVerdict::Fail, evidence.into(), remedy.into())
}
