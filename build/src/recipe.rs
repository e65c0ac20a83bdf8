//! Parser of scratch.Dockerfile: which files are copied to which paths, and how the program is
//! started. It takes text and a [`BuildContext`]; it opens no file itself. It supports the
//! instructions that an image from scratch needs, with Docker's meaning. Every other instruction is
//! an error that names its line. Docker's Dockerfile reference.

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

/// The search path that Docker Engine sets in every image whose recipe sets none.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A recipe: steps that fill the root file system, and the run configuration.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Recipe {
    /// Steps in the order of the file.
    pub steps: Vec<Step>,
    /// How a container of the image is started.
    pub run: RunConfig,
}

/// One change that an instruction makes to the root file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// COPY: copies files of the context.
    Copy {
        /// Line of the instruction.
        line: usize,
        /// Paths in the context, normalised.
        sources: Vec<String>,
        /// Path in the image, normalised, without leading slash.
        destination: String,
        /// Whether the destination was written as a folder (`/bin/`, `.`).
        into_folder: bool,
        /// Owner of the copied files (`--chown`); `None` means root.
        owner: Option<Owner>,
        /// Change of the copied files' modes (`--chmod`).
        mode: Option<ModeChange>,
    },
    /// WORKDIR: creates its folder.
    Folder {
        /// Line of the instruction.
        line: usize,
        /// Path in the image, normalised, without leading slash.
        path: String,
    },
}

/// The part of the image configuration that a recipe sets, by Docker's names.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RunConfig {
    /// ENTRYPOINT.
    pub entrypoint: Vec<String>,
    /// CMD.
    pub cmd: Vec<String>,
    /// ENV, in order; `PATH` first, as Docker Engine does.
    pub env: Vec<(String, String)>,
    /// USER; empty if the recipe has none.
    pub user: String,
    /// WORKDIR, an absolute path; empty if the recipe has none.
    pub working_dir: String,
    /// EXPOSE as `9000/tcp`, sorted.
    pub exposed_ports: Vec<String>,
    /// LABEL, sorted by name.
    pub labels: Vec<(String, String)>,
}

/// Kind of an entry of a build context.
#[derive(Clone, Debug)]
pub enum ContextEntry {
    /// A folder; the names in it come from [`BuildContext::names`].
    Folder,
    /// A regular file.
    File {
        /// Whether any of the three execute bits is set.
        executable: bool,
    },
    /// A symbolic link with its target.
    Symlink {
        /// The target as written.
        target: String,
    },
}

/// Source of COPY. Paths are relative, normalised and separated by `/`. Entries that .dockerignore
/// excludes do not exist.
pub trait BuildContext {
    /// The entry at `path`, without following links; `None` if there is none.
    ///
    /// # Errors
    /// The underlying I/O error, or an entry that is neither file, folder nor link.
    fn entry(&self, path: &str) -> io::Result<Option<ContextEntry>>;

    /// Names of the entries in the folder `path`, in any order.
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

/// An error in a recipe, with its line.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct RecipeError {
    /// Line number, counted from 1; for a problem without a line, the last line.
    pub line: usize,
    /// What is wrong and what to do.
    pub problem: Problem,
}

/// Kinds of errors in a recipe.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Unknown instruction.
    #[error("unknown instruction `{keyword}`{suggestion}")]
    Unknown {
        /// The instruction as written, in upper case.
        keyword: String,
        /// The closest known instruction, as text.
        suggestion: String,
    },
    /// An instruction that Docker knows and an image from scratch cannot have.
    #[error("`{keyword}` is not supported: {why}")]
    Unsupported {
        /// The instruction.
        keyword: String,
        /// Why, and what to do.
        why: &'static str,
    },
    /// A known instruction with wrong arguments.
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
    /// The destination conflicts with the file tree.
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

    /// Runs the steps. `extra` are further files of the image. If they include an /etc/passwd,
    /// names of `--chown` are looked up in it.
    ///
    /// # Errors
    /// [`RecipeError`]: a source is not in the context, a destination conflicts with the tree, or
    /// no file of the image defines a name.
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
