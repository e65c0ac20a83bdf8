//! Shell completions and manual pages, generated from the definition of a command line.

use clap::{Args, Command, ValueEnum};
use std::io;
use std::path::{Path, PathBuf};

/// Widest line of prose on a page, in characters (tests/pages.rs).
const PAGE_COLUMNS: usize = 120;

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
    #[arg(required_unless_present = "markdown")]
    pub folder: Option<PathBuf>,
    /// Print every command and flag as Markdown instead
    #[arg(long, conflicts_with = "folder")]
    pub markdown: bool,
}

/// Shells with completions.
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

/// Runs `man`: writes the pages, or makes the Markdown. Returns the text to print.
///
/// # Errors
/// A message with the folder that cannot be written, and the reason.
pub fn man(command: Command, arguments: &ManArguments) -> Result<String, String> {
    let Some(folder) = arguments.folder.as_deref().filter(|_| !arguments.markdown) else {
        return Ok(markdown(&command) + "\n");
    };
    man_pages(command, folder)
        .map_err(|error| format!("`{}` cannot be written: {error}", folder.display()))?;
    Ok(format!("written   {}\n", folder.display()))
}

/// The page with `block` between the lines `<!-- flags -->` and `<!-- /flags -->`; `None` if one of
/// them is missing.
pub fn with_flags(page: &str, block: &str) -> Option<String> {
    let (begin, end) = ("<!-- flags -->\n", "<!-- /flags -->");
    let (before, rest) = page.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}\n{}\n\n{end}{after}", block.trim()))
}

/// Writes a page for the program and one for each of its commands into `folder`, which is created
/// if needed.
///
/// # Errors
/// The underlying I/O error.
pub fn man_pages(command: Command, folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(command, folder)
}

/// Every command with its flags as Markdown, each with a heading and a table.
pub fn markdown(command: &Command) -> String {
    let mut command = command.clone();
    command.build();
    let name = command.get_name().to_owned();
    let mut page = String::new();
    describe(&command, &name, &mut page);
    page.trim_end().to_owned()
}

fn describe(command: &Command, name: &str, page: &mut String) {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    page.push_str(&format!("### `{name}`\n\n{}\n\n", wrapped(&format!("{}.", cell(&about)))));
    let shown = |argument: &&clap::Arg| {
        let id = argument.get_id().as_str();
        !argument.is_hide_set() && id != "help" && id != "version"
    };
    let mut rows = command.get_arguments().filter(shown).peekable();
    if rows.peek().is_some() {
        page.push_str("| flag | what it does | default |\n|---|---|---|\n");
    }
    let mut any = false;
    for argument in rows {
        any = true;
        page.push_str(&row(argument));
    }
    if any {
        page.push('\n');
    }
    let inner = command.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help");
    for command in inner {
        describe(command, &format!("{name} {}", command.get_name()), page);
    }
}

fn row(argument: &clap::Arg) -> String {
    let values: Vec<String> = argument
        .get_value_names()
        .unwrap_or_default()
        .iter()
        .filter(|_| argument.get_action().takes_values())
        .map(|name| name.trim_matches(['<', '>']).to_owned())
        .collect();
    let values = values.join(" ");
    let flag = match (argument.get_short(), argument.get_long()) {
        (Some(short), Some(long)) => format!("-{short}, --{long}"),
        (Some(short), None) => format!("-{short}"),
        (None, Some(long)) => format!("--{long}"),
        (None, None) => String::new(),
    };
    let flag = match (flag.is_empty(), values.is_empty()) {
        (true, _) => values,
        (false, true) => flag,
        (false, false) => format!("{flag} {values}"),
    };
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let possible = argument.get_possible_values();
    let choices: Vec<String> = possible
        .iter()
        .filter(|value| !value.is_hide_set() && argument.get_action().takes_values())
        .map(|value| match value.get_help() {
            Some(help) => format!("`{}` ({})", value.get_name(), help),
            None => format!("`{}`", value.get_name()),
        })
        .collect();
    let choices =
        if choices.is_empty() { String::new() } else { format!(": {}", choices.join(", ")) };
    let defaults: Vec<String> = argument
        .get_default_values()
        .iter()
        .filter(|_| argument.get_action().takes_values())
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    format!("| `{}` | {}{} | {} |\n", cell(&flag), cell(&help), cell(&choices), defaults.join(", "))
}

/// Words in lines of at most [`PAGE_COLUMNS`] characters.
fn wrapped(text: &str) -> String {
    let (mut page, mut column) = (String::new(), 0);
    for word in text.split_whitespace() {
        let width = word.chars().count();
        let separator = match column {
            0 => "",
            _ if column + 1 + width <= PAGE_COLUMNS => " ",
            _ => "\n",
        };
        page.push_str(separator);
        page.push_str(word);
        column = if separator == " " { column + 1 + width } else { width };
    }
    page
}

/// Text escaped for a table's cell.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_names_each_flag_once_with_what_it_takes() {
        let command = Command::new("tool").about("Does it").subcommand(
            Command::new("run")
                .about("Runs")
                .arg(clap::arg!(-o --out <FOLDER> "Where a|b go").default_value("here"))
                .arg(clap::arg!(--quiet "No words"))
                .arg(clap::Arg::new("secret").long("secret").hide(true))
                .arg(clap::arg!(<IMAGE> "Which")),
        );
        let page = markdown(&command);
        assert_eq!(
            page,
            "### `tool`\n\nDoes it.\n\n### `tool run`\n\nRuns.\n\n\
             | flag | what it does | default |\n|---|---|---|\n\
             | `-o, --out FOLDER` | Where a\\|b go | `here` |\n\
             | `--quiet` | No words |  |\n\
             | `IMAGE` | Which |  |"
        );
    }

    #[test]
    fn prose_is_wrapped_and_a_long_word_stays_whole() {
        let (fits, long) = (vec!["é"; 60].join(" "), "x".repeat(130));
        assert_eq!(
            wrapped(&format!(" {fits}  {fits} {long} a ")),
            format!("{fits}\n{fits}\n{long}\na")
        );
        assert_eq!(wrapped(""), "");
    }
}
