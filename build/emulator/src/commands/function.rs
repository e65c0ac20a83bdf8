//! Function that a command line names: the source of its program, and its configuration.

use crate::args::{FunctionType, PlatformArguments};
use emulator::config::{Config, Mode};
use emulator::program::Source;
use emulator::settings;
use microimage::cargo::Cargo;
use microimage::sandbox::{MAX_REACH, Network, Reach};
use microimage::scf::PORT;
use std::error::Error;
use std::path::PathBuf;

/// Facts about this machine that commands need.
pub struct CommandContext {
    /// The current folder.
    pub here: PathBuf,
    /// This executable.
    pub helper: PathBuf,
    /// Cargo.
    pub cargo: Cargo,
    /// Variables of this shell that instances get: how much the function logs, and in which form.
    pub log: Vec<(String, String)>,
}

/// The source of the program: an image, or the package or file that `function` names.
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

/// The configuration: the defaults, then function.toml, then this shell's variables for the log,
/// then the flags. `otherwise` is the type of a function if neither sets it.
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
    if !matches!(source, Source::Image(_)) {
        // `command` is a path in the image, and without an image the program itself is started.
        config.command = None;
    }
    config.mode = match arguments.kind {
        Some(FunctionType::Event) => Mode::Event,
        Some(FunctionType::Web) => Mode::Web,
        None => config.mode,
    };
    config.memory_mib = arguments.memory.unwrap_or(config.memory_mib);
    config.websocket_idle = arguments.websocket_idle.or(config.websocket_idle);
    config.timeout = arguments.timeout.unwrap_or(config.timeout);
    config.init_timeout = arguments.init_timeout.unwrap_or(config.init_timeout);
    for variables in [&around.log, &arguments.env] {
        config.environment.retain(|(name, _)| !variables.iter().any(|(other, _)| other == name));
        config.environment.extend(variables.iter().cloned());
    }
    config.role |= arguments.role;
    Ok(config)
}

/// What instances may call: everything that this machine reaches, and those of its own ports that
/// function.toml and `--reach` name.
pub fn network(
    config: &Config,
    arguments: &PlatformArguments,
    around: &CommandContext,
) -> Result<Option<Network>, Box<dyn Error>> {
    if arguments.no_network {
        return Ok(Some(Network::none()));
    }
    let mut reach = Vec::new();
    for text in &config.reach {
        reach.push(Reach::parse(text).map_err(|error| format!("function.toml: {error}"))?);
    }
    reach.extend(arguments.reach.iter().cloned());
    if let Some(taken) = reach.iter().find(|reach| reach.port() == PORT) {
        return Err(format!(
            "`{taken}` cannot be reached: port {PORT} is the function's own inside its instance; \
             make the server listen on another port"
        )
        .into());
    }
    if reach.len() > MAX_REACH {
        return Err(format!("{} ports to reach; the limit is {MAX_REACH}", reach.len()).into());
    }
    let network = Network::new(&reach, &around.helper)
        .map_err(|error| format!("this machine's addresses cannot be listed: {error}"))?;
    Ok(Some(network))
}

/// A function's name with the characters that the platform accepts: letters, digits, `-` and `_`.
fn name(source: &Source) -> String {
    let name = source.name();
    let last = name.rsplit('/').next().unwrap_or_default();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    last.chars().map(|c| if is_plain(c) { c } else { '-' }).take(60).collect()
}
