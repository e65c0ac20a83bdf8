//! The command line's shape and help. It decides nothing.

use clap::{Args, Parser, Subcommand};
use scaffold::kind::{KINDS, Kind};
use std::path::PathBuf;

/// From a new function to an invoked one.
#[derive(Parser)]
#[command(name = "firstbyte", version, disable_help_subcommand = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Make a new function: a project of its own at PATH
    New(NewArguments),
}

#[derive(Args)]
pub struct NewArguments {
    /// The folder to make; its last part is the function's name
    pub path: PathBuf,
    /// Another name than the folder's
    #[arg(long)]
    pub name: Option<String>,
    /// Where firstbyte is: the folder of its repository, or a git URL
    #[arg(long, value_name = "PATH|URL")]
    pub firstbyte: String,
    #[command(flatten)]
    pub kind: KindArguments,
}

/// One flag a kind: `--event`, `--timer`, …
pub struct KindArguments(pub &'static Kind);

impl clap::FromArgMatches for KindArguments {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        Ok(KindArguments(KINDS.iter().find(|kind| matches.get_flag(kind.name)).unwrap_or(&KINDS[0])))
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for KindArguments {
    fn augment_args(command: clap::Command) -> clap::Command {
        let flags = KINDS.iter().map(|kind| {
            let default = if kind.name == KINDS[0].name { " (when no kind is given)" } else { "" };
            clap::Arg::new(kind.name)
                .long(kind.name)
                .action(clap::ArgAction::SetTrue)
                .help(format!("It gets {}{default}", kind.about))
                .group("kind")
        });
        command.args(flags).group(clap::ArgGroup::new("kind").multiple(false))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}
