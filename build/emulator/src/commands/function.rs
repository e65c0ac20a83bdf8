//! The function that the command line means: where its program is from, and what it is configured
//! with.

use crate::args::{FunctionType, PlatformArguments};
use emulator::config::{Config, Mode};
use emulator::program::Source;
use emulator::settings;
use microimage::cargo::Cargo;
use std::error::Error;
use std::path::PathBuf;

/// What a command knows of the machine.
pub struct CommandContext {
    /// The current folder.
    pub here: PathBuf,
    /// This executable.
    pub helper: PathBuf,
    /// Cargo.
    pub cargo: Cargo,
}

/// The program: an image, or what `function` names.
pub fn source(
    function: Option<&str>,
    arguments: &PlatformArguments,
    around: &CommandContext,
) -> Result<Source, Box<dyn Error>> {
    match &arguments.image {
        Some(place) => Ok(Source::Image(around.here.join(place).display().to_string())),
        None => Ok(Source::find(function, &around.here, &around.cargo, arguments.profile.into())?),
    }
}

/// The configuration: the defaults, then function.toml, then the flags. `otherwise` is the type of
/// a function of which neither says one.
pub fn config(
    source: &Source,
    arguments: &PlatformArguments,
    around: &CommandContext,
    otherwise: Mode,
) -> Result<Config, Box<dyn Error>> {
    let mut config = Config { name: name(source), mode: otherwise, ..Config::default() };
    if let Some(function) = settings::read(source.folder().unwrap_or(&around.here))? {
        settings::apply(function, &mut config);
    }
    config.mode = match arguments.kind {
        Some(FunctionType::Event) => Mode::Event,
        Some(FunctionType::Web) => Mode::Web,
        None => config.mode,
    };
    config.memory_mib = arguments.memory.unwrap_or(config.memory_mib);
    config.timeout = arguments.timeout.unwrap_or(config.timeout);
    config.init_timeout = arguments.init_timeout.unwrap_or(config.init_timeout);
    config.environment.retain(|(name, _)| !arguments.env.iter().any(|(other, _)| other == name));
    config.environment.extend(arguments.env.iter().cloned());
    config.role |= arguments.role;
    Ok(config)
}

/// A function's name as the platform takes it: letters, digits, `-` and `_`.
fn name(source: &Source) -> String {
    let name = source.name();
    let last = name.rsplit('/').next().unwrap_or_default();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    last.chars().map(|c| if is_plain(c) { c } else { '-' }).take(60).collect()
}
