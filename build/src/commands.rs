//! What each command does. A command returns what is to be printed; it prints nothing and reads no
//! environment, which [`ProcessEnvironment`] brings.

use crate::args::{
    BuildArguments, CheckArguments, DiffArguments, ImageArguments, InspectArguments, PackArguments,
    PullArguments, PushArguments, UnpackArguments,
};
use microimage::assemble::{self, Assembled, Options};
use microimage::cargo::{self, Cargo, Function};
use microimage::check::run::RunError;
use microimage::contents::{self, Contents};
use microimage::context::FolderContext;
use microimage::digest::Digest;
use microimage::elf::Architecture;
use microimage::entry::LayerLimits;
use microimage::image::Image;
use microimage::inspect::{self, View};
use microimage::outputs::{self, Summary};
use microimage::recipe::Recipe;
use microimage::registry::{self, Credentials, Registry, RegistryError};
use microimage::rootfs::Node;
use microimage::sbom::{self, Program};
use microimage::{check, extras, layout, reference, sandbox, source, stage, unpack};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::thread;

/// What the environment says, read once by `main`.
pub struct ProcessEnvironment {
    /// The current directory.
    pub here: PathBuf,
    /// Cargo and its home.
    pub cargo: Cargo,
    /// SOURCE_DATE_EPOCH as it stands.
    pub source_date_epoch: Option<String>,
    /// Docker's configuration file, whether or not it exists.
    pub docker_config: Option<PathBuf>,
    /// MICROIMAGE_USERNAME and MICROIMAGE_PASSWORD.
    pub credentials: Option<(String, String)>,
    /// MICROIMAGE_REGISTRY: whose they are.
    pub registry: Option<String>,
}

/// Why a registry is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RegistryPurpose {
    /// It is what `push` or `pull` names, one a command.
    ByTarget,
    /// It stands in the name of some image to look at.
    InPassing,
}

/// What a command has to say.
pub struct CommandOutput {
    /// For standard output.
    pub text: String,
    /// Whether what was asked holds: `false` for images that differ or a check that fails.
    pub holds: bool,
}

type Done = Result<CommandOutput, Box<dyn Error>>;

fn said(text: String) -> Done {
    Ok(CommandOutput { text, holds: true })
}

/// `microimage image`: cargo, then pack.
pub fn image(arguments: &ImageArguments, around: &ProcessEnvironment) -> Done {
    let pack = &arguments.pack;
    let mut options = options(pack, around)?;
    let tag = pack.tag.as_deref().map(tagged).transpose()?;
    let function =
        Function::find(&around.cargo, &around.here, arguments.function.as_deref(), pack.arch)?;
    // a mistake in it is told before anything is compiled
    let recipe = recipe_of(function.workspace_root())?;
    let built = around.cargo.build(&function, pack.arch, arguments.profile.into())?;
    let root = function.workspace_root();
    let folder = root.join("target/image");
    let staged = cargo::stage(&built.executable, &folder)?;
    if arguments.stage_only {
        return said(format!("staged    {}\n", staged.display()));
    }
    options.annotations = annotations(&function.package, options.annotations);
    let bill = sbom::cyclonedx(&Program {
        package: &function.package,
        name: function.name(),
        metadata: &function.metadata,
        built: &built.packages,
        rustc: &built.rustc,
        digest: Digest::of(&fs::read(&staged)?),
    })?;
    let reference = tag.unwrap_or_else(|| format!("{}:latest", function.name().to_lowercase()));
    let summary = outputs::write(&named(assembled(&recipe, root, &options)?, reference), &folder)?;
    stage::write_file(&folder.join("sbom.cdx.json"), &bill)?;
    let mut text = summary_text(&summary, &folder);
    text += "          sbom.cdx.json lists the crates inside\n";
    built.notices.iter().for_each(|notice| text += &format!("notice    {notice}\n"));
    said(text)
}

/// What the package's Cargo.toml says, under OCI's names; what was given on the command line wins.
/// No revision and no time: the same source gives the same image, in a checkout or out of it.
fn annotations(
    package: &cargo_metadata::Package,
    given: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let known = [
        ("title", Some(package.name.to_string())),
        ("version", Some(package.version.to_string())),
        ("licenses", package.license.clone()),
        ("source", package.repository.clone()),
        ("description", package.description.clone()),
    ];
    let mut all = BTreeMap::new();
    all.extend(
        known
            .into_iter()
            .filter_map(|(name, value)| Some((format!("org.opencontainers.image.{name}"), value?))),
    );
    all.extend(given);
    all
}

/// `microimage build`: a recipe and a folder that somebody else has filled.
pub fn build(arguments: &BuildArguments, around: &ProcessEnvironment) -> Done {
    let given = arguments.pack.tag.as_deref().unwrap_or("image:latest");
    let recipe = read_recipe(&arguments.file)?;
    let options = options(&arguments.pack, around)?;
    let assembled = thread::scope(|scope| {
        // The grammar of names takes 25 ms to be compiled, once a process: meanwhile the layer is
        // compressed.
        let reference = scope.spawn(|| tagged(given));
        let assembled = assembled(&recipe, &arguments.context, &options);
        let reference = reference.join().map_err(|_| "the name could not be read")??;
        Ok::<_, Box<dyn Error>>(named(assembled?, reference))
    })?;
    let summary = outputs::write(&assembled, &arguments.output)?;
    said(summary_text(&summary, &arguments.output))
}

/// `microimage inspect`.
pub fn inspect(arguments: &InspectArguments, around: &ProcessEnvironment) -> Done {
    let (image, contents) = read(&arguments.image, arguments.arch, around)?;
    let view = View::of(&image, &contents);
    said(if arguments.json { serde_json::to_string_pretty(&view)? + "\n" } else { view.text() })
}

/// `microimage diff`.
pub fn diff(arguments: &DiffArguments, around: &ProcessEnvironment) -> Done {
    let (left, right) = (
        read(&arguments.left, arguments.arch, around)?,
        read(&arguments.right, arguments.arch, around)?,
    );
    let lines = inspect::diff((&left.0, &left.1), (&right.0, &right.1));
    Ok(CommandOutput {
        text: lines.iter().map(|line| format!("{line}\n")).collect(),
        holds: lines.is_empty(),
    })
}

/// `microimage check`.
pub fn check(arguments: &CheckArguments, around: &ProcessEnvironment) -> Done {
    let (image, contents) = read(&arguments.image, arguments.arch, around)?;
    let provider = arguments.platform.provider();
    let mut report = check::check(&image, &contents, provider, arguments.memory, &arguments.image)?;
    if arguments.run {
        let tried = check::run::run(
            &image,
            provider,
            arguments.events.as_deref(),
            Path::new("/proc/self/exe"),
        );
        report = report.with(match tried {
            Err(RunError::Sandbox(error @ sandbox::Error::Namespace { .. })) => {
                vec![check::run::not_tried(provider, &error)]
            }
            other => other?,
        });
    }
    let text =
        if arguments.json { serde_json::to_string_pretty(&report)? + "\n" } else { report.text() };
    Ok(CommandOutput { text, holds: report.passed })
}

/// `microimage push`.
pub fn push(arguments: &PushArguments, around: &ProcessEnvironment) -> Done {
    let images =
        arguments.image.iter().map(|place| source::load(place)).collect::<Result<Vec<_>, _>>()?;
    let reference = registry::parse_reference(&arguments.reference)?;
    let credentials =
        around.credentials(reference.resolve_registry(), RegistryPurpose::ByTarget)?;
    let registry = Registry::new(reference, &credentials)?;
    let pinned = match images.as_slice() {
        [image] => registry.push(image)?,
        images => registry.push_index(images)?,
    };
    said(pinned + "\n")
}

/// `microimage pull`.
pub fn pull(arguments: &PullArguments, around: &ProcessEnvironment) -> Done {
    let reference = registry::parse_reference(&arguments.reference)?;
    let credentials =
        around.credentials(reference.resolve_registry(), RegistryPurpose::ByTarget)?;
    let image = Registry::new(reference, &credentials)?.pull(&arguments.arch.to_string())?;
    layout::write(&image, &arguments.output)?;
    said(format!("{}\n", image.manifest_digest()))
}

/// `microimage unpack`.
pub fn unpack(arguments: &UnpackArguments, around: &ProcessEnvironment) -> Done {
    let image = around.load(&arguments.image, arguments.arch)?;
    let done = unpack::unpack_image(&image, &arguments.folder, &LayerLimits::default())?;
    let (entries, bytes) =
        done.iter().fold((0, 0), |(e, b), layer| (e + layer.entries, b + layer.file_bytes));
    said(format!(
        "{} layers, {entries} entries, {} of files in {}\n",
        done.len(),
        inspect::size(bytes),
        arguments.folder.display()
    ))
}

impl ProcessEnvironment {
    fn load(&self, place: &str, architecture: Architecture) -> Result<Image, source::SourceError> {
        source::load_with(place, &architecture.to_string(), |registry| {
            self.credentials(registry, RegistryPurpose::InPassing)
        })
    }

    /// The environment's credentials where they belong, else docker's for that registry. Those of
    /// MICROIMAGE_REGISTRY go to it alone; without it they go to what `push` or `pull` names, and
    /// to no registry that only stands in an image's name.
    fn credentials(
        &self,
        registry: &str,
        asked: RegistryPurpose,
    ) -> Result<Credentials, RegistryError> {
        let ours = self
            .registry
            .as_deref()
            .map_or(asked == RegistryPurpose::ByTarget, |ours| ours == registry);
        if let Some((username, password)) = self.credentials.as_ref().filter(|_| ours) {
            return Ok(Credentials::Basic {
                username: username.clone(),
                password: password.clone(),
            });
        }
        match self.docker_config.as_ref().map(File::open) {
            Some(Ok(file)) => registry::docker_credentials(registry, BufReader::new(file)),
            Some(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(RegistryError::Credentials {
                    registry: registry.to_owned(),
                    why: error.to_string(),
                })
            }
            _ => Ok(Credentials::Anonymous),
        }
    }
}

fn read(
    place: &str,
    arch: Architecture,
    around: &ProcessEnvironment,
) -> Result<(Image, Contents), Box<dyn Error>> {
    let image = around.load(place, arch)?;
    let contents = contents::read(&image, &LayerLimits::default())?;
    Ok((image, contents))
}

fn assembled(
    recipe: &Recipe,
    context: &Path,
    options: &Options,
) -> Result<Assembled, Box<dyn Error>> {
    Ok(assemble::assemble(recipe, &FolderContext::open(context)?, options)?)
}

fn named(mut assembled: Assembled, reference: String) -> Assembled {
    assembled.image = assembled.image.with_reference(reference);
    assembled
}

/// The name of `--tag`, with a tag.
fn tagged(name: &str) -> Result<String, String> {
    reference::tagged(name).ok_or_else(|| {
        format!(
            "`{name}` is no name for an image; write `NAME:TAG`, small letters and no blanks, \
             such as `echo:1`"
        )
    })
}

/// The recipe of a workspace; one that has none gets this project's own, which ships the program as
/// /app.
fn recipe_of(workspace: &Path) -> Result<Recipe, Box<dyn Error>> {
    let path = workspace.join("scratch.Dockerfile");
    if path.exists() {
        read_recipe(&path)
    } else {
        Ok(Recipe::parse(include_str!("../../scratch.Dockerfile"))?)
    }
}

fn read_recipe(path: &Path) -> Result<Recipe, Box<dyn Error>> {
    let text = fs::read_to_string(path)
        .map_err(|e| format!("the recipe `{}` cannot be read: {e}", path.display()))?;
    Ok(Recipe::parse(&text).map_err(|e| format!("{}: {e}", path.display()))?)
}

fn options(pack: &PackArguments, around: &ProcessEnvironment) -> Result<Options, Box<dyn Error>> {
    let source_date_epoch = match &around.source_date_epoch {
        Some(text) => text.parse().map_err(|_| {
            format!("SOURCE_DATE_EPOCH is `{text}`; it must be a number of seconds since 1970")
        })?,
        None => 0,
    };
    Ok(Options {
        architecture: pack.arch,
        format: pack.format.into(),
        compression: pack.compression.into(),
        source_date_epoch,
        annotations: pack.annotation.iter().cloned().collect(),
        labels: pack.label.iter().cloned().collect(),
        extra: extra(pack)?,
    })
}

/// The files that flags ask for.
fn extra(pack: &PackArguments) -> Result<Vec<(String, Node)>, Box<dyn Error>> {
    let mut extra = Vec::new();
    if pack.tmp {
        extra.push(extras::tmp());
    }
    if let Some(path) = &pack.ca_bundle {
        extra.push(extras::ca_bundle(read_file(path)?)?);
    }
    for zone in &pack.tzdata {
        extra.push(extras::time_zone(zone, read_file(&pack.zoneinfo.join(zone))?)?);
    }
    if let Some(entry) = &pack.passwd {
        extra.extend(extras::passwd(entry)?);
    }
    Ok(extra)
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|e| format!("`{}` cannot be read: {e}", path.display()))
}

fn summary_text(summary: &Summary, folder: &Path) -> String {
    let mut text = format!(
        "{}  {}\nmanifest  {}\n",
        summary.reference, summary.platform, summary.manifest_digest
    );
    for layer in &summary.layers {
        let (compressed, unpacked) =
            (inspect::size(layer.compressed_bytes), inspect::size(layer.uncompressed_bytes));
        text +=
            &format!("layer     {}  {compressed} compressed, {unpacked} unpacked\n", layer.digest);
    }
    text += &format!(
        "program   {}\nwritten   {}/{{oci,docker.tar,image.json}}\n",
        inspect::size(summary.elf_bytes),
        folder.display()
    );
    text
}
