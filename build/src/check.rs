//! Check of an image against a platform's documented rules: a table of rule, verdict, evidence,
//! remedy and source. It reads the image's bytes; [`run`] also starts the image. It calls no
//! platform.

mod files;
mod finding;
mod program;
mod provider;
mod rules;
pub mod run;
mod secrets;

pub use self::finding::{Finding, RuleVerdict};
pub use self::provider::{PortSource, Provider};

use self::finding::Subject;
use crate::contents::{Contents, ContentsError};
use crate::image::Image;
use crate::inspect::one_line;
use serde::Serialize;
use std::fmt::Write;

/// Result of a check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    /// The platform whose rules were checked.
    pub platform: &'static str,
    /// The image's name, or its manifest's digest.
    pub image: String,
    /// Whether no rule failed.
    pub passed: bool,
    /// In the order of the rules.
    pub findings: Vec<Finding>,
}

/// Checks `image` against the rules of `provider`. `memory_mib` is the function's memory; `place`
/// is the name under which the image was given.
///
/// # Errors
/// [`ContentsError`] if the image's program cannot be read.
pub fn check(
    image: &Image,
    contents: &Contents,
    provider: &'static Provider,
    memory_mib: Option<u64>,
    place: &str,
) -> Result<Report, ContentsError> {
    let findings = rules::all(&Subject { image, contents, provider, memory_mib, place })?;
    let name = image.reference().map_or_else(|| image.manifest_digest().to_string(), str::to_owned);
    Ok(Report { platform: provider.name, image: name, passed: true, findings: Vec::new() }
        .with(findings))
}

impl Report {
    /// The report with further findings.
    pub fn with(mut self, findings: Vec<Finding>) -> Report {
        self.findings.extend(findings);
        self.passed = self.findings.iter().all(|finding| finding.verdict != RuleVerdict::Fail);
        self
    }

    /// The report as text.
    pub fn text(&self) -> String {
        let mut out = format!("{}  for {}\n", one_line(&self.image), self.platform);
        for finding in &self.findings {
            let verdict = match finding.verdict {
                RuleVerdict::Pass => "pass",
                RuleVerdict::Warn => "WARN",
                RuleVerdict::Fail => "FAIL",
                RuleVerdict::Skip => "skip",
            };
            writeln!(out, "{verdict}  {:<16}{}", finding.rule, one_line(&finding.evidence))
                .expect("a string takes all");
            if matches!(finding.verdict, RuleVerdict::Warn | RuleVerdict::Fail) {
                writeln!(
                    out,
                    "      {:<16}do: {}\n      {:<16}see: {}",
                    "",
                    one_line(&finding.remedy),
                    "",
                    finding.source
                )
                .expect("a string takes all");
            }
        }
        let count = |verdict| self.findings.iter().filter(|f| f.verdict == verdict).count();
        let (failed, warned) = (count(RuleVerdict::Fail), count(RuleVerdict::Warn));
        writeln!(
            out,
            "{}: {failed} failed, {warned} warnings, {} rules",
            if self.passed { "pass" } else { "FAIL" },
            self.findings.len()
        )
        .expect("a string takes all");
        out
    }
}
