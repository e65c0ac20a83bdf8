//! What a check finds: a rule, its verdict, the evidence, what to do. It holds no rule.

use super::provider::Provider;
use crate::contents::Contents;
use crate::image::Image;
use serde::Serialize;

/// How a rule turned out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleVerdict {
    /// It holds.
    Pass,
    /// The platform's documents do not settle it, or it only costs time.
    Warn,
    /// It is broken: the platform refuses the image or the function fails.
    Fail,
    /// It could not be looked at here.
    Skip,
}

/// One rule and how it turned out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// A word or two.
    pub rule: &'static str,
    /// How it turned out.
    pub verdict: RuleVerdict,
    /// What was seen.
    pub evidence: String,
    /// What to do; empty when there is nothing to.
    pub remedy: String,
    /// Where the rule is written.
    pub source: &'static str,
}

/// What is judged.
pub(super) struct Subject<'a> {
    pub image: &'a Image,
    pub contents: &'a Contents,
    pub provider: &'static Provider,
    pub memory_mib: Option<u64>,
    /// How the image was named.
    pub place: &'a str,
}

/// How a rule turned out: verdict, evidence, remedy.
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
