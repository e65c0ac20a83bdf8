//! Syntax of each instruction, and its effect on the recipe. It opens no file. Docker's Dockerfile
//! reference, the section of each instruction.

use super::keyword::{Keyword, unsupported};
use super::mode::ModeChange;
use super::owner::Owner;
use super::{DEFAULT_PATH, Problem, Recipe, Step};
use crate::instruction::Instruction;
use crate::rootfs::normalize;
use crate::words;

/// The flags of COPY, and its arguments.
type CopyFlags<'a> = (Option<Owner>, Option<ModeChange>, &'a str);

/// A recipe under construction.
pub(super) struct Parser {
    pub recipe: Recipe,
    escape: char,
    pub seen_from: bool,
}

impl Parser {
    /// An empty recipe; `escape` is the escape character.
    pub fn new(escape: char) -> Parser {
        let mut parser = Parser { recipe: Recipe::default(), escape, seen_from: false };
        // Docker Engine's default comes first; a recipe's own PATH replaces it in the list.
        parser.set_env("PATH".into(), DEFAULT_PATH.into());
        parser
    }

    /// Parses the next instruction.
    pub fn take(&mut self, instruction: &Instruction) -> Result<(), Problem> {
        let keyword =
            Keyword::parse(&instruction.keyword).ok_or_else(|| refused(&instruction.keyword))?;
        let rest = instruction.rest.as_str();
        let argument = |why: String| Problem::Argument { keyword: keyword.name(), why };
        if !self.seen_from && keyword != Keyword::From {
            return Err(Problem::NoFrom);
        }
        if rest.is_empty() {
            return Err(argument("an argument is missing".into()));
        }
        if rest.contains("<<") && keyword == Keyword::Copy {
            return Err(argument("here-documents are not supported; copy a file".into()));
        }
        match keyword {
            Keyword::From if self.seen_from => Err(argument(
                "a second stage is not supported; build the program first, then copy it".into(),
            )),
            Keyword::From if rest != "scratch" => Err(argument(format!(
                "only `scratch` is packed, not `{rest}`; a base image would be pulled at every \
                 cold start"
            ))),
            Keyword::From => {
                self.seen_from = true;
                Ok(())
            }
            Keyword::Copy => self.copy(instruction.line, rest).map_err(argument),
            Keyword::WorkDir => {
                let path = self.expand(rest).map_err(argument)?;
                let path = normalize(&self.recipe.run.working_dir, &path);
                self.recipe.run.working_dir = format!("/{path}");
                self.recipe.steps.push(Step::Folder { line: instruction.line, path });
                Ok(())
            }
            Keyword::User => {
                self.recipe.run.user = self.expand(rest).map_err(argument)?;
                Ok(())
            }
            Keyword::Env => {
                // A value sees the variables from before this line, as in Docker.
                for (name, value) in self.pairs(rest).map_err(argument)? {
                    self.set_env(name, value);
                }
                Ok(())
            }
            Keyword::Label => {
                for (name, value) in self.pairs(rest).map_err(argument)? {
                    self.recipe.run.labels.retain(|(known, _)| *known != name);
                    self.recipe.run.labels.push((name, value));
                }
                Ok(())
            }
            Keyword::Expose => {
                for word in words::split(rest, self.escape) {
                    let word = self.expand(&word).map_err(argument)?;
                    for port in word.split_whitespace() {
                        self.recipe.run.exposed_ports.extend(ports(port).map_err(argument)?);
                    }
                }
                Ok(())
            }
            Keyword::EntryPoint => {
                exec_form(rest).map(|words| self.recipe.run.entrypoint = words).map_err(argument)
            }
            Keyword::Cmd => {
                exec_form(rest).map(|words| self.recipe.run.cmd = words).map_err(argument)
            }
        }
    }

    fn copy(&mut self, line: usize, rest: &str) -> Result<(), String> {
        let (owner, mode, rest) = self.copy_flags(rest)?;
        let words = match json_strings(rest) {
            Some(words) => words,
            None => rest.split_whitespace().map(str::to_owned).collect(),
        };
        let words = words.iter().map(|w| self.expand(w)).collect::<Result<Vec<_>, _>>()?;
        let Some((destination, sources)) =
            words.split_last().filter(|(_, sources)| !sources.is_empty())
        else {
            return Err("a source or a destination is missing".into());
        };
        let into_folder =
            destination.ends_with('/') || destination == "." || destination.ends_with("/.");
        if sources.len() > 1 && !into_folder {
            return Err(format!(
                "with several sources the destination must end with a slash: `{destination}/`"
            ));
        }
        let mut clean = Vec::new();
        for source in sources {
            if source.contains(['*', '?', '[']) {
                return Err(format!("`{source}` is a pattern; name the file or its folder"));
            }
            if climbs(source) {
                return Err(format!(
                    "`{source}` lies outside of the build context; copy it into the context first"
                ));
            }
            clean.push(normalize("", source));
        }
        let destination = normalize(&self.recipe.run.working_dir, destination);
        self.recipe.steps.push(Step::Copy {
            line,
            sources: clean,
            destination,
            into_folder,
            owner,
            mode,
        });
        Ok(())
    }

    /// Parses the flags of COPY, and its arguments.
    fn copy_flags<'a>(&self, mut rest: &'a str) -> Result<CopyFlags<'a>, String> {
        let (mut owner, mut mode) = (None, None);
        while rest.starts_with("--") {
            let (flag, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            rest = after.trim_start();
            let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
            match name {
                "--chown" => owner = Some(Owner::parse(&self.expand(value)?)?),
                "--chmod" => mode = Some(ModeChange::parse(&self.expand(value)?)?),
                // The image has one layer, so `--link` has no effect.
                "--link" if matches!(value, "" | "true" | "false") => {}
                _ => {
                    return Err(format!(
                        "the flag `{flag}` is not supported; known are `--chown=USER:GROUP`, \
                         `--chmod=MODE` and `--link`"
                    ));
                }
            }
        }
        Ok((owner, mode, rest))
    }

    /// `NAME=value …`, or the old form `NAME value`.
    fn pairs(&self, rest: &str) -> Result<Vec<(String, String)>, String> {
        let words = words::split(rest, self.escape);
        if words.first().is_some_and(|first| !first.contains('=')) {
            let (name, value) = rest
                .split_once(char::is_whitespace)
                .ok_or_else(|| format!("`{rest}` has no value; write `{rest}=value`"))?;
            return Ok(vec![(self.expand(name)?, self.expand(value.trim())?)]);
        }
        let mut pairs = Vec::new();
        for word in words {
            let (name, value) = word.split_once('=').ok_or_else(|| {
                format!("`{word}` is not `NAME=value`; quote a value that contains a space")
            })?;
            let name = self.expand(name)?;
            if name.is_empty() {
                return Err(format!("`{word}` has no name"));
            }
            pairs.push((name, self.expand(value)?));
        }
        Ok(pairs)
    }

    fn set_env(&mut self, name: String, value: String) {
        match self.recipe.run.env.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.recipe.run.env.push((name, value)),
        }
    }

    fn expand(&self, word: &str) -> Result<String, String> {
        words::expand(word, self.escape, &|name| self.recipe.run.env(name).map(str::to_owned))
    }
}

/// Whether a path leaves its starting folder at any point (`..`).
fn climbs(path: &str) -> bool {
    let mut depth = 0_i64;
    path.split('/').any(|part| {
        depth += match part {
            "" | "." => 0,
            ".." => -1,
            _ => 1,
        };
        depth < 0
    })
}

/// `9000`, `9000/udp`, `80-82/tcp`, as Docker writes them into a configuration.
fn ports(word: &str) -> Result<Vec<String>, String> {
    let bad = || format!("`{word}` is not a port; write `9000` or `9000/udp`");
    let (range, protocol) = word.split_once('/').unwrap_or((word, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(bad());
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let number = |text: &str| text.parse::<u16>().ok().filter(|n| *n > 0).ok_or_else(bad);
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(bad());
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

/// `["program", "argument"]`.
fn exec_form(rest: &str) -> Result<Vec<String>, String> {
    json_strings(rest).ok_or_else(|| {
        let words = rest
            .split_whitespace()
            .map(|w| format!("\"{}\"", w.trim_matches('"')))
            .collect::<Vec<_>>()
            .join(", ");
        format!("an image from scratch has no shell for `{rest}`; write `[{words}]`")
    })
}

fn json_strings(text: &str) -> Option<Vec<String>> {
    if !text.starts_with('[') {
        return None;
    }
    serde_json::from_str(text).ok()
}

/// The error for an unknown keyword.
fn refused(keyword: &str) -> Problem {
    if let Some(why) = unsupported(keyword) {
        return Problem::Unsupported { keyword: keyword.to_owned(), why };
    }
    let suggestion = match Keyword::near(keyword) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => format!("; known are {}", Keyword::list()),
    };
    Problem::Unknown { keyword: keyword.chars().take(40).collect(), suggestion }
}
