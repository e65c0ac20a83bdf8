//! Calls of cargo: finds a function in the workspace, builds it as a static program whose bytes do
//! not contain the folder they were built in, and stages it for COPY. It packs nothing. The Cargo
//! book: "External tools", "Configuration"; rustc book: `--remap-path-prefix`.

pub mod compiler;
pub mod link;
pub mod omit;
mod pick;
mod profile;
mod rustc;

pub use profile::Profile;

use self::pick::{binary, by_binary, named, only};
use self::profile::{cross, cross_hint};
use self::rustc::Rustc;
use crate::digest::Digest;
use crate::elf::Architecture;
use crate::stage::Staging;
use cargo_metadata::{Message, Metadata, MetadataCommand, Package, PackageId, Target};
use std::fs;
use std::io::{self, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The package that is built if the command line names none.
const DEFAULT_PACKAGE: &str = "function-template";

/// Where cargo and its home are; `main` reads them from the environment.
#[derive(Clone, Debug)]
pub struct Cargo {
    /// The program, `cargo` by default.
    pub program: PathBuf,
    /// CARGO_HOME.
    pub home: PathBuf,
    /// The program that calls [`link::link`] when rustc calls it as its linker. Without it,
    /// programs are not linked in [`order`](crate::order).
    pub linker: Option<PathBuf>,
    /// What compiles C code of x86-64 functions.
    pub c_compiler: compiler::CCompiler,
}

/// A workspace and one of its programs.
#[derive(Clone, Debug)]
pub struct Function {
    /// The package that holds it.
    pub package: Package,
    /// The binary or example.
    pub target: Target,
    /// The workspace's metadata, with dependencies resolved for the image's target.
    pub metadata: Metadata,
}

/// Result of a build.
#[derive(Clone, Debug)]
pub struct Built {
    /// The ELF file.
    pub executable: PathBuf,
    /// Every package from which something was compiled, now or in an earlier build.
    pub packages: Vec<PackageId>,
    /// Version of rustc.
    pub rustc: String,
    /// Messages of the linking step, one line each.
    pub notices: Vec<String>,
}

/// Why a program was not found or built.
#[derive(Debug, thiserror::Error)]
pub enum CargoError {
    /// Cargo could not be started.
    #[error("`{program}` cannot be run: {source}; install Rust with rustup, or run `build/setup`")]
    Start {
        /// The program.
        program: PathBuf,
        /// The underlying I/O error.
        source: io::Error,
    },
    /// `cargo metadata` failed.
    #[error("the workspace cannot be read: {0}; run this inside a cargo workspace")]
    Metadata(String),
    /// No package or example has the requested name.
    #[error("no package or example `{name}` in this workspace; there are: {known}")]
    Unknown {
        /// The requested name.
        name: String,
        /// The known names.
        known: String,
    },
    /// No binary has the requested name, or several have it.
    #[error("no single binary `{bin}` in {place}; there are: {known}")]
    Binary {
        /// The requested name.
        bin: String,
        /// The package, or the workspace.
        place: String,
        /// The known names.
        known: String,
    },
    /// A package with several binaries and no default.
    #[error(
        "package `{package}` has {count} binaries; an image holds one: name it with `--bin NAME`, \
         or set `default-run` in its Cargo.toml"
    )]
    Binaries {
        /// The package.
        package: String,
        /// Number of binaries.
        count: usize,
    },
    /// The build failed; cargo has printed the reason.
    #[error("`cargo build` failed; its messages are above{hint}")]
    Build {
        /// The component that is probably missing.
        hint: String,
    },
    /// A component or target that the build needs is not installed.
    #[error("{what} is not installed; type `{remedy}`")]
    NotInstalled {
        /// Its name.
        what: String,
        /// The command that installs it.
        remedy: String,
    },
    /// The order file of a package cannot be read.
    #[error("`{path}`, named in package.metadata.microimage, cannot be read: {source}")]
    Order {
        /// The file.
        path: PathBuf,
        /// The underlying I/O error.
        source: io::Error,
    },
    /// A file could not be staged.
    #[error("`{path}` cannot be staged: {source}")]
    Stage {
        /// The file.
        path: PathBuf,
        /// The underlying I/O error.
        source: io::Error,
    },
}

impl Function {
    /// Finds `name`, a workspace package or an example, in the workspace around `folder`. Without a
    /// name it finds the template, or the only program of a workspace that has no template.
    ///
    /// # Errors
    /// [`CargoError`], which lists the known names.
    pub fn find(
        cargo: &Cargo,
        folder: &Path,
        name: Option<&str>,
        architecture: Architecture,
    ) -> Result<Function, CargoError> {
        Function::find_binary(cargo, folder, name, None, architecture)
    }

    /// [`find`](Function::find) for the binary `bin` of the package `name`, or of the only package
    /// that has a binary of that name.
    ///
    /// # Errors
    /// [`CargoError`], which lists the known names.
    pub fn find_binary(
        cargo: &Cargo,
        folder: &Path,
        name: Option<&str>,
        bin: Option<&str>,
        architecture: Architecture,
    ) -> Result<Function, CargoError> {
        let platform = format!("--filter-platform={}", architecture.rust_target());
        let metadata = MetadataCommand::new()
            .cargo_path(&cargo.program)
            .current_dir(folder)
            .other_options(vec![platform])
            .exec()
            .map_err(|e| CargoError::Metadata(e.to_string().trim().to_owned()))?;
        let packages = metadata.workspace_packages();
        let (package, target) = match (bin, name) {
            (Some(bin), name) => by_binary(&packages, name, bin)?,
            (None, Some(name)) => named(&packages, name)?,
            (None, None) => match packages.iter().find(|p| p.name.as_str() == DEFAULT_PACKAGE) {
                Some(template) => (*template, binary(template)?),
                None => only(&packages)?,
            },
        };
        Ok(Function {
            package: package.clone(),
            target: target.clone(),
            metadata: metadata.clone(),
        })
    }

    /// The function's name: the package's for its only binary, otherwise that of the binary or
    /// example.
    pub fn name(&self) -> &str {
        let is_own = binary(&self.package).is_ok_and(|own| own.name == self.target.name);
        if self.target.is_example() || !is_own { &self.target.name } else { &self.package.name }
    }

    /// Root folder of the workspace.
    pub fn workspace_root(&self) -> &Path {
        self.metadata.workspace_root.as_std_path()
    }
}

impl Cargo {
    /// Builds `function`. Cargo's messages go to standard error.
    ///
    /// # Errors
    /// [`CargoError`], which states the command to type if something is missing.
    pub fn build(
        &self,
        function: &Function,
        architecture: Architecture,
        profile: Profile,
    ) -> Result<Built, CargoError> {
        let target = architecture.rust_target();
        let rustc = Rustc::ask(function.workspace_root())?;
        rustc.require(
            &format!("lib/rustlib/{target}/lib"),
            &format!("the Rust target `{target}`"),
            &format!("rustup target add {target}"),
        )?;
        let mut command = Command::new(&self.program);
        command.current_dir(function.workspace_root()).args([
            "build",
            "--message-format=json-render-diagnostics",
            "--target",
            target,
        ]);
        command.args(["--package", function.package.name.as_str()]);
        command.args([
            if function.target.is_example() { "--example" } else { "--bin" },
            &function.target.name,
        ]);
        // RUSTFLAGS would replace the workspace's flags for the target, and so the static link and
        // the remapping.
        command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
        let mut flags = self.remapping(function, &rustc);
        cross(architecture, &mut command, &mut flags);
        let mut notices = Vec::new();
        if architecture == Architecture::Amd64 {
            let target_folder = function.metadata.target_directory.as_std_path();
            if let Some(given) = self.c_compiler.give(function.workspace_root(), target_folder)? {
                command.envs(given.variables);
                notices.push(given.notice);
            }
        }
        profile.arguments(architecture, &mut command, &mut flags, &rustc)?;
        if profile != Profile::Dev {
            self.order(function, target, &mut command, &mut flags)?;
        }
        // Joined with the flags of .cargo/config.toml, after them. A JSON array of strings is valid
        // TOML too.
        let flags = serde_json::to_string(&flags).expect("strings serialise");
        command.arg("--config").arg(format!("target.{target}.rustflags={flags}"));
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let start = |source| CargoError::Start { program: self.program.clone(), source };
        let mut child = command.spawn().map_err(start)?;
        let stdout = child.stdout.take().expect("it was asked for");
        let mut executable = None;
        let mut packages = Vec::new();
        for message in Message::parse_stream(BufReader::new(stdout)) {
            let Message::CompilerArtifact(artifact) = message.map_err(start)? else { continue };
            let ours = artifact.package_id == function.package.id;
            if ours
                && artifact.target.name == function.target.name
                && artifact.target.kind == function.target.kind
            {
                executable = artifact.executable.or(executable);
            }
            packages.push(artifact.package_id);
        }
        let status = child.wait().map_err(start)?;
        match executable {
            Some(path) if status.success() => {
                let executable = path.into_std_path_buf();
                notices.extend(link::notice(&executable));
                Ok(Built { executable, packages, rustc: rustc.version, notices })
            }
            _ => Err(CargoError::Build { hint: cross_hint(architecture) }),
        }
    }

    /// Prepares the function order of the workspace's packages
    /// (`package.metadata.microimage.order`, a file beside their Cargo.toml), the program's own
    /// packages first. One order serves all programs of a workspace: with another one the flags
    /// would differ, and cargo would compile everything again.
    fn order(
        &self,
        function: &Function,
        target: &str,
        command: &mut Command,
        flags: &mut Vec<String>,
    ) -> Result<(), CargoError> {
        let Some(linker) = &self.linker else { return Ok(()) };
        let metadata = &function.metadata;
        let mut packages: Vec<_> = metadata.packages.iter().collect();
        packages.sort_by_key(|package| {
            (!metadata.workspace_members.contains(&package.id), &package.id)
        });
        let lists = packages.iter().filter_map(|package| {
            let list = package.metadata.get("microimage")?.get("order")?.as_str()?;
            Some(package.manifest_path.parent()?.join(list).into_std_path_buf())
        });
        let mut text = String::new();
        for path in lists {
            text +=
                &fs::read_to_string(&path).map_err(|source| CargoError::Order { path, source })?;
            text.push('\n');
        }
        if text.is_empty() {
            return Ok(());
        }
        // Named by its content: cargo links again if, and only if, the order has changed.
        let name = format!("order-{}.txt", &Digest::of(text.as_bytes()).hex()[..16]);
        let path =
            function.metadata.target_directory.join("microimage").join(name).into_std_path_buf();
        let at = |source| CargoError::Stage { path: path.clone(), source };
        let staging = Staging::file(&path).map_err(at)?;
        fs::write(staging.path(), text).map_err(at)?;
        staging.keep(&path).map_err(at)?;
        command
            .arg("--config")
            .arg(format!("target.{target}.linker={}", serde_json::json!(linker)));
        flags.push("-Clinker-flavor=ld.lld".to_owned());
        flags.push(format!("-Clink-arg={}{}", link::ORDER_ARGUMENT, path.display()));
        Ok(())
    }

    /// Flags that replace machine-dependent paths in the program (panic locations).
    fn remapping(&self, function: &Function, rustc: &Rustc) -> Vec<String> {
        // If two prefixes match, rustc uses the last: a package's folder may contain the workspace.
        let mut pairs = outside(function);
        pairs.extend([
            (self.home.join("git/checkouts"), "/cargo/git".to_owned()),
            (function.metadata.target_directory.clone().into_std_path_buf(), "/target".to_owned()),
            (function.workspace_root().to_owned(), "/function".to_owned()),
            // If rust-src is installed, rustc shows the standard library's files there instead of
            // at their virtual path.
            (rustc.sysroot.join("lib/rustlib/src/rust"), format!("/rustc/{}", rustc.commit)),
        ]);
        // A registry's folder is named after its host; the program must not contain a mirror's
        // name.
        let registries =
            fs::read_dir(self.home.join("registry/src")).into_iter().flatten().flatten();
        let mut registries: Vec<_> = registries.map(|entry| entry.path()).collect();
        registries.sort();
        pairs.extend(registries.into_iter().map(|path| (path, "/cargo/registry".to_owned())));
        pairs
            .iter()
            .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()))
            .collect()
    }
}

/// The folders of packages that are on this disk but not in the workspace, each with its
/// replacement in the program.
fn outside(function: &Function) -> Vec<(PathBuf, String)> {
    let packages = function.metadata.packages.iter().filter(|package| package.source.is_none());
    let mut pairs: Vec<_> = packages
        .filter_map(|package| {
            let folder = package.manifest_path.parent()?.as_std_path();
            let name = format!("/package/{}-{}", package.name, package.version);
            (!folder.starts_with(function.workspace_root())).then(|| (folder.to_owned(), name))
        })
        .collect();
    pairs.sort(); // of two nested folders the inner one comes later and takes precedence
    pairs
}

/// Copies the program to `folder`/root/app with mode 0755, where scratch.Dockerfile expects it, and
/// removes everything else in `root`.
///
/// # Errors
/// [`CargoError::Stage`].
pub fn stage(program: &Path, folder: &Path) -> Result<PathBuf, CargoError> {
    let root = folder.join("root");
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| CargoError::Stage { path, source }
    };
    let staging = Staging::folder(&root).map_err(at(&root))?;
    let app = staging.path().join("app");
    fs::copy(program, &app).map_err(at(program))?;
    fs::set_permissions(&app, fs::Permissions::from_mode(0o755)).map_err(at(&app))?;
    fs::set_permissions(staging.path(), fs::Permissions::from_mode(0o755)).map_err(at(&root))?;
    staging.keep(&root).map_err(at(&root))?;
    Ok(root.join("app"))
}
