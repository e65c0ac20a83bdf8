//! Shell completions and manual pages of a command line, made from its own definition, so that they
//! cannot say anything else than it does.

use clap::{Args, Command, ValueEnum};
use std::io;
use std::path::{Path, PathBuf};

/// `completions SHELL`.
#[derive(Args, Clone, Debug)]
pub struct CompletionsArguments {
    /// The shell; for example `source <(microimage completions bash)`
    #[arg(value_enum)]
    pub shell: Shell,
}

/// `man FOLDER`.
#[derive(Args, Clone, Debug)]
pub struct ManArguments {
    /// The folder to write the pages into, for example ~/.local/share/man/man1
    pub folder: PathBuf,
}

/// The shells whose completions are known.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Shell {
    /// GNU Bash
    Bash,
    /// Elvish
    Elvish,
    /// fish
    Fish,
    /// PowerShell
    Powershell,
    /// Z shell
    Zsh,
}

/// The completions for one shell.
pub fn completions(mut command: Command, shell: Shell) -> String {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Elvish => clap_complete::Shell::Elvish,
        Shell::Fish => clap_complete::Shell::Fish,
        Shell::Powershell => clap_complete::Shell::PowerShell,
        Shell::Zsh => clap_complete::Shell::Zsh,
    };
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Writes a page for the program and one for each of its commands into `folder`, which is made if
/// need be.
///
/// # Errors
/// The underlying I/O error.
pub fn man_pages(command: Command, folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(command, folder)
}
