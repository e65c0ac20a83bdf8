//! Parser of scratch.Dockerfile: which files are copied where, and how the program is started. It
//! takes text and a [`BuildContext`] of readers; it opens nothing itself. It supports the
//! instructions that an image from scratch needs, with Docker's meaning; any other is an error with
//! its line. Docker's Dockerfile reference.

mod copy;
mod keyword;
mod mode;
mod owner;
mod parser;

pub use self::mode::ModeChange;
pub use self::owner::Owner;

use self::copy::Target;
use self::parser::Parser;
use crate::instruction;
use crate::rootfs::{Node, Rootfs, RootfsError};
use std::io;
use std::sync::Arc;

/// The search path that Docker Engine gives every image that states none.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

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
        /// Who owns what is copied (`--chown`); root without it.
        owner: Option<Owner>,
        /// What becomes of the modes (`--chmod`).
        mode: Option<ModeChange>,
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

/// Where COPY copies from. Paths are relative, clean and `/`-separated; entries that .dockerignore
/// leaves out do not exist.
pub trait BuildContext {
    /// What is at `path`, links not followed; `None` when nothing is.
    ///
    /// # Errors
    /// The underlying I/O error, or that it is neither file, folder nor link.
    fn entry(&self, path: &str) -> io::Result<Option<ContextEntry>>;

    /// The names in the folder `path`, in any order.
    ///
    /// # Errors
    /// The underlying I/O error, or a name that is not UTF-8.
    fn names(&self, path: &str) -> io::Result<Vec<String>>;

    /// The content of the file `path`.
    ///
    /// # Errors
    /// The underlying I/O error.
    fn read(&self, path: &str) -> io::Result<Arc<[u8]>>;
}

/// What is wrong with a recipe, and in which line.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct RecipeError {
    /// Counted from 1; for a problem without a line, the last one.
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
        /// The underlying I/O error.
        source: io::Error,
    },
    /// The destination does not fit.
    #[error("`COPY`: {0}")]
    Rootfs(#[from] RootfsError),
}

impl Recipe {
    /// Parses a recipe. `$NAME` is replaced by the value of an ENV above it.
    ///
    /// # Errors
    /// [`RecipeError`] with the line, the instruction and what to do.
    ///
    /// # Example
    /// ```
    /// use microimage::recipe::Recipe;
    /// let text = "FROM scratch\nCOPY app /app\nEXPOSE 9000\nENTRYPOINT [\"/app\"]\n";
    /// let recipe = Recipe::parse(text).unwrap();
    /// assert_eq!(recipe.run.exposed_ports, ["9000/tcp"]);
    /// let error = Recipe::parse("FROM scratch\nCOPPY app /app\n").unwrap_err();
    /// assert_eq!(error.to_string(), "line 2: unknown instruction `COPPY`; did you mean `COPY`?");
    /// ```
    pub fn parse(text: &str) -> Result<Recipe, RecipeError> {
        let split = instruction::split(text).map_err(|(line, why)| RecipeError {
            line,
            problem: Problem::Argument { keyword: "# escape", why },
        })?;
        let mut parser = Parser::new(split.escape);
        let mut last = 1;
        for instruction in &split.instructions {
            last = instruction.line;
            parser
                .take(instruction)
                .map_err(|problem| RecipeError { line: instruction.line, problem })?;
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

    /// Carries the steps out. `extra` are the files that the image gets beside these: an
    /// /etc/passwd among them is the one that names of `--chown` are looked up in.
    ///
    /// # Errors
    /// [`RecipeError`]: a source is not in the context, a destination does not fit, or nothing in
    /// the image knows a name.
    pub fn rootfs(
        &self,
        context: &dyn BuildContext,
        extra: &[(String, Node)],
    ) -> Result<Rootfs, RecipeError> {
        let mut rootfs = Rootfs::default();
        for step in &self.steps {
            let (line, result) = match step {
                Step::Folder { line, path } => (
                    *line,
                    rootfs.insert(path, Node::Folder { mode: 0o755 }).map_err(Problem::from),
                ),
                Step::Copy { line, sources, destination, into_folder, owner, mode } => {
                    let owner = owner.as_ref().map(|owner| owner.resolve(&rootfs, extra));
                    let owner = owner.transpose().map_err(|why| RecipeError {
                        line: *line,
                        problem: Problem::Argument { keyword: "COPY", why },
                    })?;
                    let mut target = Target {
                        rootfs: &mut rootfs,
                        destination,
                        owner: owner.unwrap_or_default(),
                        mode: mode.as_ref(),
                    };
                    let result =
                        sources.iter().try_for_each(|s| target.copy(context, s, *into_folder));
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
