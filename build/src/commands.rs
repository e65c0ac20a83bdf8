//! What each command does. A command returns what is to be printed; it prints nothing and reads no
//! environment, which [`ProcessEnvironment`] brings.

use crate::args::{
    BuildArguments, CheckArguments, DiffArguments, ImageArguments, InspectArguments, PackArguments,
    PullArguments, PushArguments, RegistryArguments, UnpackArguments,
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
use microimage::registry::{self, Access, Registry, RegistryPurpose};
use microimage::rootfs::Node;
use microimage::sbom::{self, Program};
use microimage::{check, extras, layout, reference, sandbox, source, stage, unpack};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
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
    /// Credentials, trusted certificates, and who is told of progress.
    pub access: Access,
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
    let (image, contents) = read(&arguments.image, arguments.arch, &arguments.registry, around)?;
    let view = View::of(&image, &contents);
    said(if arguments.json { serde_json::to_string_pretty(&view)? + "\n" } else { view.text() })
}

/// `microimage diff`.
pub fn diff(arguments: &DiffArguments, around: &ProcessEnvironment) -> Done {
    let (left, right) = (
        read(&arguments.left, arguments.arch, &arguments.registry, around)?,
        read(&arguments.right, arguments.arch, &arguments.registry, around)?,
    );
    let lines = inspect::diff((&left.0, &left.1), (&right.0, &right.1));
    Ok(CommandOutput {
        text: lines.iter().map(|line| format!("{line}\n")).collect(),
        holds: lines.is_empty(),
    })
}

/// `microimage check`.
pub fn check(arguments: &CheckArguments, around: &ProcessEnvironment) -> Done {
    let (image, contents) = read(&arguments.image, arguments.arch, &arguments.registry, around)?;
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
    let references = arguments
        .reference
        .iter()
        .map(|text| registry::parse_reference(text))
        .collect::<Result<Vec<_>, _>>()?;
    let access = around.access(&arguments.registry, arguments.quiet);
    let images = arguments
        .image
        .iter()
        .map(|place| source::load_through(place, "amd64", &access))
        .collect::<Result<Vec<_>, _>>()?;
    let mut text = String::new();
    for (n, reference) in references.iter().enumerate() {
        // What another name of the same registry has just got is there to be taken from it.
        let earlier = references[..n].iter().rev();
        let mut registry = Registry::open(reference.clone(), &access, RegistryPurpose::ByTarget);
        for other in earlier.filter(|other| other.registry() == reference.registry()).take(1) {
            registry = registry.mounting_from(other.repository());
        }
        let pinned = match images.as_slice() {
            [image] => registry.push(image)?,
            images => registry.push_index(images)?,
        };
        text += &format!("{pinned}\n");
    }
    said(text)
}

/// `microimage pull`.
pub fn pull(arguments: &PullArguments, around: &ProcessEnvironment) -> Done {
    let reference = registry::parse_reference(&arguments.reference)?;
    let access = around.access(&arguments.registry, arguments.quiet);
    let image = Registry::open(reference, &access, RegistryPurpose::ByTarget)
        .pull(&arguments.arch.to_string())?;
    layout::write(&image, &arguments.output)?;
    said(format!("{}\n", image.manifest_digest()))
}

/// `microimage unpack`.
pub fn unpack(arguments: &UnpackArguments, around: &ProcessEnvironment) -> Done {
    let image = around.load(&arguments.image, arguments.arch, &arguments.registry)?;
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
    fn load(
        &self,
        place: &str,
        architecture: Architecture,
        arguments: &RegistryArguments,
    ) -> Result<Image, source::SourceError> {
        source::load_through(place, &architecture.to_string(), &self.access(arguments, false))
    }

    /// How registries are reached, with what the command line adds.
    fn access(&self, arguments: &RegistryArguments, quiet: bool) -> Access {
        let mut access = self.access.clone();
        access.trust.ca.extend(arguments.ca.iter().cloned());
        access.trust.insecure.extend(arguments.insecure_registry.iter().cloned());
        if quiet {
            access.report = None;
        }
        access
    }
}

fn read(
    place: &str,
    arch: Architecture,
    registry: &RegistryArguments,
    around: &ProcessEnvironment,
) -> Result<(Image, Contents), Box<dyn Error>> {
    let image = around.load(place, arch, registry)?;
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
