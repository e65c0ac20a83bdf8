//! Program of an instance: a package to build, an ELF file or an image, made into a read-only root
//! filesystem that all instances of one version share. The only process that it starts is cargo.

use microimage::cargo::{Cargo, CargoError, Function, Profile};
use microimage::elf::Architecture;
use microimage::entry::LayerLimits;
use microimage::sandbox::{UserError, user_of};
use microimage::source::{self, SourceError};
use microimage::unpack::{self, UnpackError, unpack_image};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Architecture for which functions are built: this machine's.
const ARCHITECTURE: Architecture =
    if cfg!(target_arch = "aarch64") { Architecture::Arm64 } else { Architecture::Amd64 };

/// Files on which a program depends besides its sources, relative to the folder of a package or
/// workspace; they are watched even before they exist.
pub const SETTINGS: [&str; 5] =
    ["Cargo.toml", "Cargo.lock", "function.toml", "rust-toolchain.toml", ".cargo/config.toml"];

/// Source from which a program is made.
pub enum Source {
    /// A package or example that cargo builds.
    Package {
        /// The function.
        function: Box<Function>,
        /// How cargo is called.
        cargo: Cargo,
        /// The build profile.
        profile: Profile,
    },
    /// A static program.
    Elf(PathBuf),
    /// An image: layout folder or archive file.
    Image(String),
}

/// One version of the program, which can be started any number of times. Dropping it removes its
/// files.
pub struct Program {
    /// Folder that contains `rootfs`.
    home: Mutex<Option<TempDir>>,
    /// The root filesystem.
    pub rootfs: PathBuf,
    /// Entrypoint and arguments.
    pub argv: Vec<String>,
    /// Number of these that belong to the entrypoint.
    entrypoint: usize,
    /// The image's environment, as `NAME=value`.
    pub env: Vec<String>,
    /// Working directory inside the rootfs; `/` when empty.
    pub cwd: String,
    /// User id inside the instance.
    pub uid: u32,
    /// Group id inside the instance.
    pub gid: u32,
    /// The known source files: `--watch` watches them.
    pub inputs: Vec<PathBuf>,
    /// Entries of an image that are not in `rootfs`, one line each.
    pub left_out: Vec<String>,
    /// Time for providing its files; see [`Program::take_pull`].
    pull: Mutex<Duration>,
    /// The part of that time that has not been waited for: the pull of local files is simulated.
    owed: Mutex<Duration>,
}

/// Why a program could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// Cargo failed.
    #[error(transparent)]
    Cargo(#[from] CargoError),
    /// The image cannot be read.
    #[error(transparent)]
    Image(#[from] SourceError),
    /// The image cannot be unpacked.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// Its user is unknown.
    #[error(transparent)]
    User(#[from] UserError),
    /// The path does not exist.
    #[error(
        "file `{0}` not found; name a static program, or a package or example of this workspace"
    )]
    NoFile(String),
    /// A file or folder on this machine failed.
    #[error("`{path}` cannot be {what}: {source}")]
    File {
        /// Its path.
        path: PathBuf,
        /// The operation.
        what: &'static str,
        /// The underlying I/O error.
        source: io::Error,
    },
}

impl Source {
    /// Finds `name` from `folder`: the path of a file, a package or example of the workspace around
    /// it, or, without a name, that workspace's function.
    ///
    /// # Errors
    /// [`ProgramError`], which lists the known names.
    pub fn find(
        name: Option<&str>,
        folder: &Path,
        cargo: &Cargo,
        profile: Profile,
    ) -> Result<Source, ProgramError> {
        if let Some(path) = name.map(|name| folder.join(name)).filter(|path| path.is_file()) {
            return Ok(Source::Elf(path));
        }
        let function = match name {
            Some(name) if name.contains('/') => return Err(ProgramError::NoFile(name.to_owned())),
            Some(name) => Function::find(cargo, folder, Some(name), ARCHITECTURE)?,
            None => Function::find(cargo, folder, package_of(folder).as_deref(), ARCHITECTURE)?,
        };
        Ok(Source::Package { function: Box::new(function), cargo: cargo.clone(), profile })
    }

    /// Builds the program if it has sources, and lays out its files.
    ///
    /// # Errors
    /// [`ProgramError`].
    pub fn prepare(&self) -> Result<Program, ProgramError> {
        match self {
            Source::Package { function, cargo, profile } => {
                let built = cargo.build(function, ARCHITECTURE, *profile)?;
                Program::of_elf(
                    &built.executable,
                    inputs_of(&built.executable, function.workspace_root()),
                )
            }
            Source::Elf(path) => Program::of_elf(path, vec![path.clone()]),
            Source::Image(place) => Program::of_image(place),
        }
    }

    /// The folder of the package, which contains its function.toml; `None` if only a program is
    /// given.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Source::Package { function, .. } => {
                function.package.manifest_path.parent().map(|path| path.as_std_path())
            }
            Source::Elf(_) | Source::Image(_) => None,
        }
    }

    /// Its name for messages.
    pub fn name(&self) -> String {
        match self {
            Source::Package { function, .. } => function.name().to_owned(),
            Source::Elf(path) => {
                path.file_name().unwrap_or_default().to_string_lossy().into_owned()
            }
            Source::Image(place) => place.clone(),
        }
    }
}

impl Program {
    fn of_elf(path: &Path, inputs: Vec<PathBuf>) -> Result<Program, ProgramError> {
        let started = Instant::now();
        let (home, rootfs) = home()?;
        fs::create_dir(&rootfs).map_err(at(&rootfs, "made"))?;
        fs::set_permissions(&rootfs, fs::Permissions::from_mode(0o755))
            .map_err(at(&rootfs, "opened to its user"))?;
        let app = rootfs.join("app");
        fs::copy(path, &app).map_err(at(path, "copied"))?;
        fs::set_permissions(&app, fs::Permissions::from_mode(0o755))
            .map_err(at(&app, "made executable"))?;
        let pull = Mutex::new(started.elapsed());
        let (argv, env, cwd) = (vec!["/app".to_owned()], Vec::new(), String::new());
        let entrypoint = argv.len();
        Ok(Program {
            home: Mutex::new(Some(home)),
            rootfs,
            argv,
            entrypoint,
            env,
            cwd,
            uid: 0,
            gid: 0,
            inputs,
            left_out: Vec::new(),
            pull,
            owed: Mutex::default(),
        })
    }

    fn of_image(place: &str) -> Result<Program, ProgramError> {
        let started = Instant::now();
        let image = source::load(place)?;
        let (home, rootfs) = home()?;
        let unpacked = unpack_image(&image, &rootfs, &LayerLimits::default())?;
        let pull = Mutex::new(started.elapsed());
        let (uid, gid) = user_of(&rootfs, image.user())?;
        let (argv, env, cwd) = (image.argv(), image.env().to_vec(), image.working_dir().to_owned());
        let entrypoint = image.entrypoint().len();
        Ok(Program {
            home: Mutex::new(Some(home)),
            rootfs,
            argv,
            entrypoint,
            env,
            cwd,
            uid,
            gid,
            inputs: Vec::new(),
            left_out: unpack::left_out(&unpacked),
            pull,
            owed: Mutex::default(),
        })
    }

    /// Arguments with `command` in place of the entrypoint and `args` in place of the arguments.
    pub fn argv_with(&self, command: Option<&str>, args: Option<&[String]>) -> Vec<String> {
        let (entrypoint, arguments) = self.argv.split_at(self.entrypoint);
        let first = command.map_or_else(|| entrypoint.to_vec(), |command| vec![command.to_owned()]);
        [&first, args.unwrap_or(arguments)].concat()
    }

    /// The same files, started in another way: `command` in place of the image's entrypoint, `args`
    /// in place of its arguments (API CreateFunction, Code.ImageConfig). This program owns the
    /// files and must outlive the variant's instances. The variant's first instance waits for the
    /// time `pull`: nothing is unpacked again.
    pub fn variant(
        &self,
        command: Option<&str>,
        args: Option<&[String]>,
        pull: Duration,
    ) -> Program {
        let entrypoint = if command.is_some() { 1 } else { self.entrypoint };
        let argv = self.argv_with(command, args);
        Program {
            home: Mutex::new(None),
            rootfs: self.rootfs.clone(),
            argv,
            entrypoint,
            env: self.env.clone(),
            cwd: self.cwd.clone(),
            uid: self.uid,
            gid: self.gid,
            inputs: Vec::new(),
            left_out: Vec::new(),
            pull: Mutex::new(pull),
            owed: Mutex::new(pull),
        }
    }

    /// The time for providing its files, without the build and without a network: the platform's
    /// PullCode. The first instance gets it; for later ones it is zero.
    pub fn take_pull(&self) -> Duration {
        std::mem::take(&mut *self.pull.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The time that the first instance still has to wait; for later ones it is zero.
    pub(crate) fn take_owed(&self) -> Duration {
        std::mem::take(&mut *self.owed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Removes its files; no instance can be started afterwards.
    pub fn remove(&self) {
        drop(self.home.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Whether both run the same bytes in the same way. Images are not compared.
    pub fn is_same_elf(&self, other: &Program) -> bool {
        let bytes = |program: &Program| fs::read(program.rootfs.join("app")).ok();
        self.argv == other.argv && bytes(self).is_some_and(|mine| Some(mine) == bytes(other))
    }
}

fn home() -> Result<(TempDir, PathBuf), ProgramError> {
    let home = tempfile::Builder::new()
        .prefix("firstbyte-")
        .tempdir()
        .map_err(at(Path::new("a temporary folder"), "made"))?;
    let rootfs = home.path().join("rootfs");
    Ok((home, rootfs))
}

/// The files from which cargo compiled a program (its dep-info file, a make rule), with the
/// manifests and settings around them; without dependencies from a registry.
fn inputs_of(executable: &Path, workspace: &Path) -> Vec<PathBuf> {
    let rule = fs::read_to_string(executable.with_extension("d")).unwrap_or_default();
    let rule =
        rule.lines().next().and_then(|line| line.split_once(": ")).map_or("", |(_, files)| files);
    let mut inputs: Vec<PathBuf> = rule
        .replace("\\ ", "\0")
        .split(' ')
        .filter(|file| !file.is_empty())
        .map(|file| file.replace('\0', " ").into())
        .collect();
    let is_package = |folder: &&Path| folder.join("Cargo.toml").is_file();
    let package = |file: &PathBuf| file.ancestors().skip(1).find(is_package).map(Path::to_owned);
    let mut folders: BTreeSet<PathBuf> = inputs.iter().filter_map(package).collect();
    folders.insert(workspace.to_owned());
    let settings = folders.iter().flat_map(|folder| SETTINGS.map(|name| folder.join(name)));
    inputs.extend(settings.filter(|path| path.parent().is_some_and(Path::is_dir)));
    inputs
}

/// The name of the package in `folder`, so that a command in a package's folder means that package.
fn package_of(folder: &Path) -> Option<String> {
    let manifest: toml::Table = fs::read_to_string(folder.join("Cargo.toml")).ok()?.parse().ok()?;
    if manifest.contains_key("workspace") {
        return None;
    }
    Some(manifest.get("package")?.get("name")?.as_str()?.to_owned())
}

fn at(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> ProgramError {
    let path = path.to_owned();
    move |source| ProgramError::File { path, what, source }
}
