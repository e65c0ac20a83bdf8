//! Phases of a cold start with their attributes: name, glyph on a terminal, colours in a plot. A
//! new phase is one variant: the compiler then reports every place that must handle it, and code
//! that goes through all phases uses [`Phase::all`].

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A phase of a cold start, in the order of time (docs/CONTRACTS.md, section 5). How long a sample
/// took for it is [`Sample::phase_ns`](crate::results::Sample::phase_ns).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// From connecting to the registry to the last verified blob.
    Pull,
    /// From the verified blobs to the complete root file system.
    Unpack,
    /// From the complete root file system to the call of exec.
    Create,
    /// From the call of exec to the last byte of the first correct reply.
    Start,
}

impl Phase {
    /// Every phase, in the order of time. The list is derived, so no variant can be missing.
    pub fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// Its name for people, in results.json, and as a class in a plot.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Unpack => "unpack",
            Self::Create => "create",
            Self::Start => "start",
        }
    }

    /// The character of its part of a bar on the terminal.
    pub fn glyph(self) -> char {
        match self {
            Self::Pull => '█',
            Self::Unpack => '▓',
            Self::Create => '▒',
            Self::Start => '░',
        }
    }

    /// Its colour in the light theme, as CSS writes it.
    pub fn light_colour(self) -> &'static str {
        match self {
            Self::Pull => "#2f6fd0",
            Self::Unpack => "#12916d",
            Self::Create => "#d18400",
            Self::Start => "#8a4fc0",
        }
    }

    /// Its colour in the dark theme, as CSS writes it.
    pub fn dark_colour(self) -> &'static str {
        match self {
            Self::Pull => "#5b98f0",
            Self::Unpack => "#2fbd94",
            Self::Create => "#e5a631",
            Self::Start => "#b286e6",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_phases_look_alike() {
        let facts: [fn(Phase) -> String; 4] = [
            |phase| phase.name().to_owned(),
            |phase| phase.glyph().to_string(),
            |phase| phase.light_colour().to_owned(),
            |phase| phase.dark_colour().to_owned(),
        ];
        for fact in facts {
            let mut seen: Vec<String> = Phase::all().iter().map(|&phase| fact(phase)).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), Phase::all().len(), "{seen:?}");
        }
    }

    #[test]
    fn results_json_has_the_displayed_name() {
        for phase in Phase::all() {
            let json = serde_json::to_value(phase).expect("a name");
            assert_eq!(json, phase.name());
            assert_eq!(serde_json::from_value::<Phase>(json).expect("a phase"), *phase);
        }
    }
}
