//! Plan of a deployment: function.toml, the project's name, the image's digest and the bench's
//! verdicts. It reads files; [`artefacts`](super::artefacts) writes the files made of them.

use crate::deploy::function::Function;
use crate::deploy::image::{Digest, ImageName, Made, MadeError};
use crate::deploy::reader::Mistakes;
use crate::deploy::registry::{self, Registry, RegistryError};
use crate::deploy::request::Requests;
use crate::deploy::verdict::Verdicts;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Placeholder for the version number that publishing returns.
pub const VERSION: &str = "<the version that PublishVersion returns>";

/// Placeholder for the alias's previous version.
pub const OLDER: &str = "<the version that GetAlias returned before>";

/// All inputs of a deployment, known before the first call.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The function's name on the platform.
    pub name: String,
    /// The settings of function.toml.
    pub function: Function,
    /// `HOST/NAME:TAG@sha256:…`.
    pub image_uri: String,
    /// The image's digest.
    pub digest: Digest,
    /// The bench's verdicts.
    pub verdicts: Verdicts,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A file cannot be read.
    #[error(
        "`{path}` cannot be read: {source}; run this in a function's folder (`just new` makes \
         one), or name it"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// The underlying I/O error.
        source: io::Error,
    },
    /// function.toml contains mistakes.
    #[error(transparent)]
    Function(#[from] Mistakes),
    /// The platform does not accept images from that registry.
    #[error("`image` in function.toml is `{image}`; {source}")]
    Registry {
        /// The image's name.
        image: ImageName,
        /// Why not, and what to do.
        source: Box<RegistryError>,
    },
    /// Cargo.toml has no name that the platform accepts.
    #[error(
        "Cargo.toml has no package name that the platform accepts; add `name = \"…\"` to \
         function.toml"
    )]
    NoName,
    /// The image does not exist.
    #[error(transparent)]
    Image(#[from] MadeError),
    /// The image that was built last belongs to another function.
    #[error(
        "the image in `{target}` is `{reference}`, but this function is `{name}`; build it \
         with `just image` (before a real deployment, push it with `just push`, too)"
    )]
    OtherImage {
        /// The path of the image.
        target: PathBuf,
        /// Its name.
        reference: String,
        /// The wanted name.
        name: String,
    },
    /// function.toml still has the placeholder for the image.
    #[error(
        "`image` in function.toml is still the placeholder `{0}`; write the name to which \
         `just push` pushes the image"
    )]
    Placeholder(ImageName),
    /// A file cannot be written.
    #[error("`{path}` cannot be written: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The underlying I/O error.
        source: io::Error,
    },
}

impl Deployment {
    /// Reads the project in `folder` and its build results in `target`: the image and the bench's
    /// results.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn read(folder: &Path, target: &Path) -> Result<Deployment, PlanError> {
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).map_err(|source| PlanError::Read { path, source })
        };
        let function = Function::parse(&read("function.toml")?)?;
        Registry::check(function.image.host(), &function.region).map_err(|source| {
            PlanError::Registry { image: function.image.clone(), source: Box::new(source) }
        })?;
        let package = package(&read("Cargo.toml")?);
        let name = function.name.clone().or_else(|| package.clone());
        let name = name
            .filter(|name| crate::name::Name::check_function(name).is_ok())
            .ok_or(PlanError::NoName)?;
        let Made { digest, .. } =
            image_of(&target.join("image/image.json"), package.as_deref(), &function)?;
        let verdicts = Verdicts::read(
            &target.join("coldstart/results.json"),
            package.as_deref().unwrap_or(&name),
        );
        let image_uri = format!("{}@{digest}", function.image);
        Ok(Deployment { name, function, image_uri, digest, verdicts })
    }

    /// Checks what is required only for a real deployment.
    ///
    /// # Errors
    /// [`PlanError::Placeholder`].
    pub fn check(&self) -> Result<(), PlanError> {
        yours(&self.function.image).map(|_| ())
    }

    /// The requests.
    pub fn requests(&self) -> Requests<'_> {
        Requests { function: &self.function, name: &self.name, image_uri: &self.image_uri }
    }

    /// Describes the deployment, with the bench's verdict beside each switch.
    pub fn summary(&self) -> String {
        let Function { web, region, memory_mb, timeout_s, acceleration, provisioned, .. } =
            &self.function;
        let kind = if *web { "Web" } else { "event" };
        let doubt = registry::unknown_region(region).map(|known| {
            format!(
                "`region` in function.toml is `{region}`, which is not known here; did you mean \
                 `{known}`?"
            )
        });
        let placeholder = self.check().err().map(|error| error.to_string());
        let note: String = [doubt, placeholder]
            .into_iter()
            .flatten()
            .map(|note| format!("note          {note}\n"))
            .collect();
        let on = if *acceleration { "on " } else { "off" };
        format!(
            "function      {}, {kind}, {region}, {memory_mb} MB, {timeout_s} s\nimage         \
             {}\nacceleration  {on}   bench: {}\nprovisioned   {provisioned:<3}   bench: \
             {}\n{note}",
            self.name, self.image_uri, self.verdicts.acceleration, self.verdicts.provisioned
        )
    }

    /// The command with which a user sends the alias's callers to `version`.
    pub fn point(&self, version: &str) -> String {
        let call = self.command("UpdateAlias");
        format!("{call} --Name '{}' --FunctionVersion '{version}'", self.function.alias)
    }

    /// The command with which a user ends the provisioned instances of `version`.
    pub fn end(&self, version: &str) -> String {
        format!("{} --Qualifier '{version}'", self.command("DeleteProvisionedConcurrencyConfig"))
    }

    /// A command about this function for the user.
    pub(crate) fn command(&self, action: &str) -> String {
        let Function { region, namespace, .. } = &self.function;
        let namespace = namespace
            .as_ref()
            .map(|namespace| format!(" --Namespace {namespace}"))
            .unwrap_or_default();
        format!("tccli scf {action} --region {region}{namespace} --FunctionName {}", self.name)
    }
}

/// The image's name by tag in the function.toml of `folder`: the argument of `just push`.
///
/// # Errors
/// [`PlanError`].
pub fn image_name(folder: &Path) -> Result<ImageName, PlanError> {
    let path = folder.join("function.toml");
    let text = fs::read_to_string(&path).map_err(|source| PlanError::Read { path, source })?;
    let function = Function::parse(&text)?;
    yours(&function.image).cloned()
}

fn yours(image: &ImageName) -> Result<&ImageName, PlanError> {
    if image.is_placeholder() { Err(PlanError::Placeholder(image.clone())) } else { Ok(image) }
}

/// The image that was built, if it belongs to this function: it has the name of the package, of the
/// function, or the name under which the user pushes it. All functions of a workspace share this
/// folder.
fn image_of(path: &Path, package: Option<&str>, function: &Function) -> Result<Made, PlanError> {
    let made = Made::read(path)?;
    let mut names =
        [package, function.name.as_deref(), Some(function.image.last())].into_iter().flatten();
    if names.any(|name| name.eq_ignore_ascii_case(made.name())) {
        return Ok(made);
    }
    let target = path.parent().unwrap_or(path).to_owned();
    let name = package.or(function.name.as_deref()).unwrap_or_default().to_owned();
    Err(PlanError::OtherImage { target, reference: made.reference, name })
}

/// The package's name in a Cargo.toml.
fn package(manifest: &str) -> Option<String> {
    let manifest: toml::Table = manifest.parse().ok()?;
    Some(manifest.get("package")?.get("name")?.as_str()?.to_owned())
}
