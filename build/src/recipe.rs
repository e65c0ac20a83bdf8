//! scratch.Dockerfile, read: which files go where, and how the program is started. It takes text and a [`BuildContext`] of
//! readers; it opens nothing itself. The instructions are those that an image from scratch needs, with Docker's meaning; any
//! other is an error that names its line. Docker's Dockerfile reference.

use crate::instruction::{self, Instruction};
use crate::rootfs::{Node, Rootfs, RootfsError, normalize};
use crate::words;
use std::io;
use std::sync::Arc;

/// The search path that Docker Engine gives every image that states none.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The instructions that are understood.
const KNOWN: [&str; 9] = ["FROM", "COPY", "ENV", "USER", "WORKDIR", "EXPOSE", "LABEL", "ENTRYPOINT", "CMD"];

/// A recipe: steps that fill the root, and how the result is started.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Recipe {
    /// In the order of the file.
    pub steps: Vec<Step>,
    /// How a container of the image is started.
    pub run: RunConfig,
}

/// One thing that an instruction does to the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// COPY.
    Copy {
        /// Line of the instruction.
        line: usize,
        /// Paths in the context, clean.
        sources: Vec<String>,
        /// Path in the image, clean, without leading slash.
        destination: String,
        /// Whether the destination was written as a folder (`/bin/`, `.`).
        into_folder: bool,
    },
    /// WORKDIR makes its folder.
    Folder {
        /// Line of the instruction.
        line: usize,
        /// Path in the image, clean, without leading slash.
        path: String,
    },
}

/// The part of the image configuration that a recipe states, in Docker's words.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RunConfig {
    /// ENTRYPOINT.
    pub entrypoint: Vec<String>,
    /// CMD.
    pub cmd: Vec<String>,
    /// ENV, in order; `PATH` first, as Docker Engine does.
    pub env: Vec<(String, String)>,
    /// USER, empty when not stated.
    pub user: String,
    /// WORKDIR, absolute, empty when not stated.
    pub working_dir: String,
    /// EXPOSE as `9000/tcp`, sorted.
    pub exposed_ports: Vec<String>,
    /// LABEL, sorted by name.
    pub labels: Vec<(String, String)>,
}

/// What a context knows of one of its entries.
#[derive(Clone, Debug)]
pub enum ContextEntry {
    /// A folder; the names in it come from [`BuildContext::names`].
    Folder,
    /// A regular file, and whether anyone may execute it.
    File {
        /// Any of the three execute bits.
        executable: bool,
    },
    /// A symbolic link with its target.
    Symlink {
        /// As written.
        target: String,
    },
}

/// Where COPY copies from. Paths are relative, clean and `/`-separated; entries that .dockerignore leaves out do not exist.
pub trait BuildContext {
    /// What is at `path`, links not followed; `None` when nothing is.
    ///
    /// # Errors
    /// The system's word, or that it is neither file, folder nor link.
    fn entry(&self, path: &str) -> io::Result<Option<ContextEntry>>;

    /// The names in the folder `path`, in any order.
    ///
    /// # Errors
    /// The system's word, or a name that is not UTF-8.
    fn names(&self, path: &str) -> io::Result<Vec<String>>;

    /// The content of the file `path`.
    ///
    /// # Errors
    /// The system's word.
    fn read(&self, path: &str) -> io::Result<Arc<[u8]>>;
}

/// What is wrong with a recipe, and in which line.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct RecipeError {
    /// Counted from 1; where a problem is no line's, the last one.
    pub line: usize,
    /// What is wrong and what to do.
    pub problem: Problem,
}

/// What can be wrong with a recipe.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// No such instruction.
    #[error("unknown instruction `{keyword}`{suggestion}")]
    Unknown {
        /// As written, in upper case.
        keyword: String,
        /// What may have been meant.
        suggestion: String,
    },
    /// An instruction of Docker's that an image from scratch does without.
    #[error("`{keyword}` is not supported: {why}")]
    Unsupported {
        /// The instruction.
        keyword: String,
        /// Why, and what to do.
        why: &'static str,
    },
    /// The instruction is known, what follows it is wrong.
    #[error("`{keyword}`: {why}")]
    Argument {
        /// The instruction.
        keyword: &'static str,
        /// What is wrong and what to do.
        why: String,
    },
    /// FROM is missing.
    #[error("the recipe must begin with `FROM scratch`")]
    NoFrom,
    /// A file of the context cannot be read.
    #[error("`COPY`: `{path}` cannot be read: {source}")]
    Read {
        /// Path in the context.
        path: String,
        /// The system's word.
        source: io::Error,
    },
    /// The destination does not fit.
    #[error("`COPY`: {0}")]
    Rootfs(#[from] RootfsError),
}

impl Recipe {
    /// Reads a recipe. `$NAME` stands for what an ENV above it says.
    ///
    /// # Errors
    /// [`RecipeError`] with the line, the instruction and what to do.
    ///
    /// # Example
    /// ```
    /// use microimage::recipe::Recipe;
    /// let recipe = Recipe::parse("FROM scratch\nCOPY app /app\nEXPOSE 9000\nENTRYPOINT [\"/app\"]\n").unwrap();
    /// assert_eq!(recipe.run.exposed_ports, ["9000/tcp"]);
    /// let error = Recipe::parse("FROM scratch\nCOPPY app /app\n").unwrap_err();
    /// assert_eq!(error.to_string(), "line 2: unknown instruction `COPPY`; did you mean `COPY`?");
    /// ```
    pub fn parse(text: &str) -> Result<Recipe, RecipeError> {
        let split = instruction::split(text)
            .map_err(|(line, why)| RecipeError { line, problem: Problem::Argument { keyword: "# escape", why } })?;
        let mut parser = Parser { recipe: Recipe::default(), escape: split.escape, seen_from: false };
        // Docker Engine's default comes first, and a recipe's own PATH takes its place in the list.
        parser.set_env("PATH".into(), DEFAULT_PATH.into());
        let mut last = 1;
        for instruction in &split.instructions {
            last = instruction.line;
            parser.take(instruction).map_err(|problem| RecipeError { line: instruction.line, problem })?;
        }
        if !parser.seen_from {
            return Err(RecipeError { line: last, problem: Problem::NoFrom });
        }
        let mut recipe = parser.recipe;
        recipe.run.exposed_ports.sort();
        recipe.run.exposed_ports.dedup();
        recipe.run.labels.sort();
        Ok(recipe)
    }

    /// Carries the steps out.
    ///
    /// # Errors
    /// [`RecipeError`]: a source is not in the context, or a destination does not fit.
    pub fn rootfs(&self, context: &dyn BuildContext) -> Result<Rootfs, RecipeError> {
        let mut rootfs = Rootfs::default();
        for step in &self.steps {
            let (line, result) = match step {
                Step::Folder { line, path } => {
                    (*line, rootfs.insert(path, Node::Folder { mode: 0o755 }).map_err(Problem::from))
                }
                Step::Copy { line, sources, destination, into_folder } => {
                    let result =
                        sources.iter().try_for_each(|s| copy(&mut rootfs, context, s, destination, *into_folder));
                    (*line, result)
                }
            };
            result.map_err(|problem| RecipeError { line, problem })?;
        }
        Ok(rootfs)
    }
}

impl RunConfig {
    /// The value of an environment variable.
    pub fn env(&self, name: &str) -> Option<&str> {
        self.env.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The entrypoint, then the default arguments.
    pub fn argv(&self) -> Vec<String> {
        [self.entrypoint.as_slice(), self.cmd.as_slice()].concat()
    }
}

struct Parser {
    recipe: Recipe,
    escape: char,
    seen_from: bool,
}

impl Parser {
    fn take(&mut self, instruction: &Instruction) -> Result<(), Problem> {
        let keyword = instruction.keyword.as_str();
        let Some(keyword) = KNOWN.into_iter().find(|known| *known == keyword) else { return Err(unknown(keyword)) };
        let rest = instruction.rest.as_str();
        let argument = |why: String| Problem::Argument { keyword, why };
        if !self.seen_from && keyword != "FROM" {
            return Err(Problem::NoFrom);
        }
        if rest.is_empty() {
            return Err(argument("something must follow it".into()));
        }
        if rest.contains("<<") && keyword == "COPY" {
            return Err(argument("here-documents are not supported; copy a file".into()));
        }
        match keyword {
            "FROM" if self.seen_from => {
                Err(argument("a second stage is not supported; build the program first, then copy it".into()))
            }
            "FROM" if rest != "scratch" => Err(argument(format!(
                "only `scratch` is packed, not `{rest}`; a base image would be pulled at every cold start"
            ))),
            "FROM" => {
                self.seen_from = true;
                Ok(())
            }
            "COPY" => self.copy(instruction.line, rest).map_err(argument),
            "WORKDIR" => {
                let path = self.expand(rest).map_err(argument)?;
                let path = normalize(&self.recipe.run.working_dir, &path);
                self.recipe.run.working_dir = format!("/{path}");
                self.recipe.steps.push(Step::Folder { line: instruction.line, path });
                Ok(())
            }
            "USER" => {
                self.recipe.run.user = self.expand(rest).map_err(argument)?;
                Ok(())
            }
            "ENV" => {
                // Values see what held before this line, as in Docker.
                for (name, value) in self.pairs(rest).map_err(argument)? {
                    self.set_env(name, value);
                }
                Ok(())
            }
            "LABEL" => {
                for (name, value) in self.pairs(rest).map_err(argument)? {
                    self.recipe.run.labels.retain(|(known, _)| *known != name);
                    self.recipe.run.labels.push((name, value));
                }
                Ok(())
            }
            "EXPOSE" => {
                for word in words::split(rest, self.escape) {
                    let word = self.expand(&word).map_err(argument)?;
                    for port in word.split_whitespace() {
                        self.recipe.run.exposed_ports.extend(ports(port).map_err(argument)?);
                    }
                }
                Ok(())
            }
            "ENTRYPOINT" => exec_form(rest).map(|words| self.recipe.run.entrypoint = words).map_err(argument),
            _ => exec_form(rest).map(|words| self.recipe.run.cmd = words).map_err(argument), // CMD, the last of KNOWN
        }
    }

    fn copy(&mut self, line: usize, rest: &str) -> Result<(), String> {
        if let Some(flag) = rest.split_whitespace().next().filter(|w| w.starts_with("--")) {
            return Err(format!("the flag `{flag}` is not supported; owner is root, modes are 0755 and 0644"));
        }
        let words = match json_strings(rest) {
            Some(words) => words,
            None => rest.split_whitespace().map(str::to_owned).collect(),
        };
        let words = words.iter().map(|w| self.expand(w)).collect::<Result<Vec<_>, _>>()?;
        let Some((destination, sources)) = words.split_last().filter(|(_, sources)| !sources.is_empty()) else {
            return Err("a source and a destination must follow it".into());
        };
        let into_folder = destination.ends_with('/') || destination == "." || destination.ends_with("/.");
        if sources.len() > 1 && !into_folder {
            return Err(format!("with several sources the destination must end with a slash: `{destination}/`"));
        }
        let mut clean = Vec::new();
        for source in sources {
            if source.contains(['*', '?', '[']) {
                return Err(format!("`{source}` is a pattern; name the file or its folder"));
            }
            if climbs(source) {
                return Err(format!("`{source}` lies outside of the build context; copy it into the context first"));
            }
            clean.push(normalize("", source));
        }
        let destination = normalize(&self.recipe.run.working_dir, destination);
        self.recipe.steps.push(Step::Copy { line, sources: clean, destination, into_folder });
        Ok(())
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
            let (name, value) = word
                .split_once('=')
                .ok_or_else(|| format!("`{word}` is not `NAME=value`; quote a value that holds a blank"))?;
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

/// Copies one source: a folder's content, or a file.
fn copy(
    rootfs: &mut Rootfs,
    context: &dyn BuildContext,
    source: &str,
    destination: &str,
    into_folder: bool,
) -> Result<(), Problem> {
    let read = |source| move |error| Problem::Read { path: source, source: error };
    let entry = match source {
        "" => Some(ContextEntry::Folder),
        _ => context.entry(source).map_err(read(source.to_owned()))?,
    };
    let Some(entry) = entry else {
        let missing =
            io::Error::new(io::ErrorKind::NotFound, "it is not in the build context (or .dockerignore leaves it out)");
        return Err(Problem::Read { path: source.to_owned(), source: missing });
    };
    let name = source.rsplit('/').next().unwrap_or(source);
    match entry {
        ContextEntry::Folder => {
            rootfs.insert(destination, Node::Folder { mode: 0o755 })?;
            let mut names = context.names(source).map_err(read(source.to_owned()))?;
            names.sort_unstable();
            for name in names {
                let inner = if source.is_empty() { name.clone() } else { format!("{source}/{name}") };
                copy_below(rootfs, context, &inner, &format!("{destination}/{name}"))?;
            }
            Ok(())
        }
        ContextEntry::File { .. } if into_folder || rootfs.is_folder(destination) => {
            copy_below(rootfs, context, source, &format!("{destination}/{name}"))
        }
        ContextEntry::File { .. } => copy_below(rootfs, context, source, destination),
        ContextEntry::Symlink { target } => Err(Problem::Argument {
            keyword: "COPY",
            why: format!("`{source}` is a symbolic link to `{target}`; name the file itself"),
        }),
    }
}

/// Copies what is at `source` to exactly `destination`; links are copied as links.
fn copy_below(rootfs: &mut Rootfs, context: &dyn BuildContext, source: &str, destination: &str) -> Result<(), Problem> {
    let read = |error| Problem::Read { path: source.to_owned(), source: error };
    match context.entry(source).map_err(read)? {
        None => Ok(()), // left out by .dockerignore
        Some(ContextEntry::File { executable }) => {
            let content = context.read(source).map_err(read)?;
            Ok(rootfs.insert(destination, Node::File { executable, content })?)
        }
        Some(ContextEntry::Symlink { target }) => Ok(rootfs.insert(destination, Node::Symlink { target })?),
        Some(ContextEntry::Folder) => {
            rootfs.insert(destination, Node::Folder { mode: 0o755 })?;
            let mut names = context.names(source).map_err(read)?;
            names.sort_unstable();
            names.iter().try_for_each(|name| {
                copy_below(rootfs, context, &format!("{source}/{name}"), &format!("{destination}/{name}"))
            })
        }
    }
}

/// Whether a path has more `..` than folders to leave, at any point.
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
        let words =
            rest.split_whitespace().map(|w| format!("\"{}\"", w.trim_matches('"'))).collect::<Vec<_>>().join(", ");
        format!("an image from scratch has no shell for `{rest}`; write `[{words}]`")
    })
}

fn json_strings(text: &str) -> Option<Vec<String>> {
    if !text.starts_with('[') {
        return None;
    }
    serde_json::from_str(text).ok()
}

fn unknown(keyword: &str) -> Problem {
    let why = match keyword {
        "RUN" => "an image from scratch has nothing to run; do it before the image is built, then COPY the result",
        "ADD" => "use COPY",
        "ARG" => "a recipe with arguments is not one image; use ENV, or write the value",
        "VOLUME" => "the platform gives the function /tmp and nothing else",
        "HEALTHCHECK" => "OCI images have no health check; the platform checks the port",
        "STOPSIGNAL" => "the function server stops on SIGTERM, which is the default",
        "ONBUILD" | "SHELL" | "MAINTAINER" => {
            "it has no meaning in an image from scratch; remove the line (a LABEL can name who maintains it)"
        }
        _ => {
            let near = KNOWN.into_iter().map(|known| (strsim::damerau_levenshtein(keyword, known), known)).min();
            let suggestion = match near {
                Some((distance, known)) if distance <= 2 => format!("; did you mean `{known}`?"),
                _ => format!("; known are {}", KNOWN.join(", ")),
            };
            return Problem::Unknown { keyword: keyword.chars().take(40).collect(), suggestion };
        }
    };
    Problem::Unsupported { keyword: keyword.to_owned(), why }
}
