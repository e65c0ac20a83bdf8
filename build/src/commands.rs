//! Commands of microimage. A command returns the text to print. It prints nothing, and reads the
//! environment only through [`ProcessEnvironment`].

use crate::args::{
    Arguments, BuildArguments, CheckArguments, DeliverArguments, DiffArguments, Document,
    ImageArguments, InspectArguments, PackArguments, PullArguments, PushArguments,
    RegistryArguments, UnpackArguments,
};
use clap::{CommandFactory as _, ValueEnum as _};
use microimage::assemble::{self, Assembled, Options};
use microimage::cargo::{self, Cargo, Function};
use microimage::contents::{self, Contents};
use microimage::context::FolderContext;
use microimage::digest::Digest;
use microimage::elf::Architecture;
use microimage::entry::LayerLimits;
use microimage::image::Image;
use microimage::inspect::{self, View};
use microimage::manual::{CompletionsArguments, ManArguments};
use microimage::outputs::{self, Summary};
use microimage::recipe::Recipe;
use microimage::registry::{
    self, Access, Attachment, Reference, Registry, RegistryError, RegistryPurpose,
};
use microimage::rootfs::Node;
use microimage::sandbox::Network;
use microimage::sbom::{self, Program};
use microimage::{
    check, extras, layout, load, manual, provenance, reference, source, stage, unpack,
};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// The process's environment, read once by `main`.
pub struct ProcessEnvironment {
    /// The current directory.
    pub here: PathBuf,
    /// Cargo and its home directory.
    pub cargo: Cargo,
    /// SOURCE_DATE_EPOCH, unparsed.
    pub source_date_epoch: Option<String>,
    /// Credentials, trusted certificates, and the progress report.
    pub access: Access,
}

/// Output of a command.
pub struct CommandOutput {
    /// Text for standard output.
    pub text: String,
    /// Whether the result is positive: `false` for images that differ and for a failed check.
    pub holds: bool,
}

type Done = Result<CommandOutput, Box<dyn Error>>;

fn success(text: String) -> Done {
    Ok(CommandOutput { text, holds: true })
}

/// `microimage image`: cargo, then pack.
pub fn image(arguments: &ImageArguments, around: &ProcessEnvironment) -> Done {
    let pack = &arguments.pack;
    let mut options = options(pack, around)?;
    let tags = pack.tag.iter().map(|tag| tagged(tag)).collect::<Result<Vec<_>, _>>()?;
    let targets = push_targets(&arguments.deliver.push)?;
    let function = Function::find_binary(
        &around.cargo,
        &around.here,
        arguments.function.as_deref(),
        arguments.bin.as_deref(),
        pack.arch,
    )?;
    // a mistake in the recipe is reported before the compilation
    let recipe = recipe_of(function.workspace_root())?;
    let built = around.cargo.build(&function, pack.arch, arguments.profile.into())?;
    let root = function.workspace_root();
    let folder = root.join("target/image");
    let staged = cargo::stage(&built.executable, &folder)?;
    if arguments.stage_only {
        return success(format!("staged    {}\n", staged.display()));
    }
    options.annotations = annotations(&function.package, options.annotations);
    let program = Digest::of(&fs::read(&staged)?);
    let bill = sbom::cyclonedx(&Program {
        package: &function.package,
        name: function.name(),
        metadata: &function.metadata,
        built: &built.packages,
        rustc: &built.rustc,
        digest: program,
    })?;
    let tags = match tags.is_empty() {
        true => vec![format!("{}:latest", function.name().to_lowercase())],
        false => tags,
    };
    let assembled = named(assembled(&recipe, root, &options)?, tags);
    let summary = outputs::write(&assembled, &folder)?;
    stage::write_file(&folder.join("sbom.cdx.json"), &bill)?;
    let mut text = summary_text(&summary, &folder);
    text += "          sbom.cdx.json lists the crates inside\n";
    built.notices.iter().for_each(|notice| text += &format!("notice    {notice}\n"));
    let mut attachments = Vec::new();
    for document in &arguments.attach {
        attachments.push(match document {
            Document::Sbom => Attachment {
                artifact_type: sbom::MEDIA_TYPE,
                title: "sbom.cdx.json",
                bytes: bill.clone(),
            },
            Document::Provenance => Attachment {
                artifact_type: provenance::MEDIA_TYPE,
                title: "provenance.json",
                bytes: provenance_of(&function, arguments, &built, program, &assembled.image)?,
            },
        });
    }
    let delivery = Delivery { targets, attachments, folder: &folder };
    deliver(&arguments.deliver, delivery, &assembled.image, text, around)
}

/// The provenance statement of a function's image.
fn provenance_of(
    function: &Function,
    arguments: &ImageArguments,
    built: &cargo::Built,
    program: Digest,
    image: &Image,
) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut files = Vec::new();
    for name in ["Cargo.lock", "scratch.Dockerfile"] {
        match fs::read(function.workspace_root().join(name)) {
            Ok(bytes) => files.push((name, Digest::of(&bytes))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("`{name}` cannot be read: {error}").into()),
        }
    }
    let profile = arguments.profile.to_possible_value();
    Ok(provenance::statement(
        image,
        &provenance::Build {
            function: function.name(),
            repository: function.package.repository.as_deref(),
            profile: profile.as_ref().map_or("", |value| value.get_name()),
            rustc: &built.rustc,
            files,
            program,
        },
    ))
}

/// Destinations of an image.
struct Delivery<'a> {
    targets: Vec<Reference>,
    attachments: Vec<Attachment>,
    /// Folder with the outputs of the build.
    folder: &'a Path,
}

/// Pushes and loads the built image according to the flags. `text` describes the written files.
fn deliver(
    arguments: &DeliverArguments,
    delivery: Delivery<'_>,
    image: &Image,
    mut text: String,
    around: &ProcessEnvironment,
) -> Done {
    let mut short = String::new();
    let access = around.access(&arguments.registry, arguments.quiet);
    for registry in connections(&delivery.targets, &access) {
        let pinned = registry.push(image)?;
        for attachment in &delivery.attachments {
            let digest = registry.attach(&image.descriptor(), attachment)?;
            text += &format!("attached  {}  {digest}\n", attachment.title);
        }
        text += &format!("pushed    {pinned}\n");
        short += &format!("{pinned}\n");
    }
    if arguments.load {
        load::into_docker(&delivery.folder.join("docker.tar"))?;
        image.references().for_each(|name| text += &format!("loaded    {name}\n"));
    }
    if short.is_empty() {
        short = format!("{}\n", image.manifest_digest());
    }
    success(if arguments.quiet { short } else { text })
}

/// The references of `--push`.
fn push_targets(names: &[String]) -> Result<Vec<Reference>, RegistryError> {
    let targets = names.iter().map(|text| registry::parse_reference(text));
    targets
        .map(|target| {
            let target = target?;
            match target.digest() {
                None => Ok(target),
                Some(_) => Err(RegistryError::NoTag(target.whole())),
            }
        })
        .collect()
}

/// One connection per reference, in turn. A later one may mount blobs that an earlier one has
/// pushed to the same registry.
fn connections<'a>(
    references: &'a [Reference],
    access: &'a Access,
) -> impl Iterator<Item = Registry> + 'a {
    references.iter().enumerate().map(move |(n, reference)| {
        let registry = Registry::open(reference.clone(), access, RegistryPurpose::ByTarget);
        let mut earlier = references[..n].iter().rev();
        match earlier.find(|other| other.registry() == reference.registry()) {
            Some(other) => registry.mounting_from(other.repository()),
            None => registry,
        }
    })
}

/// The annotations: from the package's Cargo.toml, under OCI's names; those of the command line
/// take precedence. There is no revision and no time, so the same source gives the same image with
/// and without a checkout.
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

/// `microimage build`: packs a recipe and a folder with its files.
pub fn build(arguments: &BuildArguments, around: &ProcessEnvironment) -> Done {
    let latest = ["image:latest".to_owned()];
    let given = if arguments.pack.tag.is_empty() { &latest[..] } else { &arguments.pack.tag[..] };
    let recipe = read_recipe(&arguments.file)?;
    let options = options(&arguments.pack, around)?;
    let tags = given.iter().map(|tag| tagged(tag)).collect::<Result<Vec<_>, _>>()?;
    let targets = push_targets(&arguments.deliver.push)?;
    let assembled = named(assembled(&recipe, &arguments.context, &options)?, tags);
    let summary = outputs::write(&assembled, &arguments.output)?;
    let text = summary_text(&summary, &arguments.output);
    let delivery = Delivery { targets, attachments: Vec::new(), folder: &arguments.output };
    deliver(&arguments.deliver, delivery, &assembled.image, text, around)
}

/// `microimage inspect`.
pub fn inspect(arguments: &InspectArguments, around: &ProcessEnvironment) -> Done {
    let (image, contents) = read(&arguments.image, arguments.arch, &arguments.registry, around)?;
    let view = View::of(&image, &contents);
    success(if arguments.json { serde_json::to_string_pretty(&view)? + "\n" } else { view.text() })
}

/// `microimage diff`.
pub fn diff(arguments: &DiffArguments, around: &ProcessEnvironment) -> Done {
    let (left, right) = (
        read(&arguments.left, arguments.arch, &arguments.registry, around)?,
        read(&arguments.right, arguments.arch, &arguments.registry, around)?,
    );
    let found = inspect::differences((&left.0, &left.1), (&right.0, &right.1));
    let text = match arguments.json {
        true => serde_json::to_string_pretty(&found)? + "\n",
        false => found.iter().map(|difference| difference.line() + "\n").collect(),
    };
    Ok(CommandOutput { text, holds: found.is_empty() })
}

/// `microimage check`.
pub fn check(arguments: &CheckArguments, around: &ProcessEnvironment) -> Done {
    let (image, contents) = read(&arguments.image, arguments.arch, &arguments.registry, around)?;
    let provider = arguments.platform.provider();
    let mut report = check::check(&image, &contents, provider, arguments.memory, &arguments.image)?;
    if arguments.run {
        let helper = Path::new("/proc/self/exe");
        let network = match arguments.network {
            true => Network::new(&arguments.reach, helper)?,
            false => Network::none(),
        };
        let tried = check::run::run_within(
            &image,
            provider,
            arguments.events.as_deref(),
            helper,
            arguments.memory,
            network,
        );
        // Findings from before the trial are reported in any case.
        report = report
            .with(tried.unwrap_or_else(|error| vec![check::run::not_tried(provider, &error)]));
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
    for registry in connections(&references, &access) {
        let pinned = match images.as_slice() {
            [image] => registry.push(image)?,
            images => registry.push_index(images)?,
        };
        text += &format!("{pinned}\n");
    }
    success(text)
}

/// `microimage pull`.
pub fn pull(arguments: &PullArguments, around: &ProcessEnvironment) -> Done {
    let reference = registry::parse_reference(&arguments.reference)?;
    let access = around.access(&arguments.registry, arguments.quiet);
    let image = Registry::open(reference, &access, RegistryPurpose::ByTarget)
        .pull(&arguments.arch.to_string())?;
    layout::write(&image, &arguments.output)?;
    success(format!("{}\n", image.manifest_digest()))
}

/// `microimage unpack`.
pub fn unpack(arguments: &UnpackArguments, around: &ProcessEnvironment) -> Done {
    let image = around.load(&arguments.image, arguments.arch, &arguments.registry)?;
    let done = unpack::unpack_image(&image, &arguments.folder, &LayerLimits::default())?;
    let sum = |of: fn(&unpack::Unpacked) -> u64| done.iter().map(of).sum::<u64>();
    let mut text = format!(
        "{} layers, {} entries, {} of files in {}\n",
        done.len(),
        sum(|layer| layer.entries),
        inspect::size(sum(|layer| layer.file_bytes)),
        arguments.folder.display()
    );
    for line in unpack::left_out(&done) {
        text += &format!("{line}\n");
    }
    success(text)
}

/// `microimage completions`.
pub fn completions(arguments: &CompletionsArguments) -> Done {
    success(manual::completions(Arguments::command(), arguments.shell))
}

/// `microimage man`.
pub fn man(arguments: &ManArguments) -> Done {
    success(manual::man(Arguments::command(), arguments)?)
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

    /// Access to registries, with the settings of the command line.
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

fn named(mut assembled: Assembled, references: Vec<String>) -> Assembled {
    let mut references = references.into_iter();
    if let Some(first) = references.next() {
        let image = assembled.image.with_reference(first);
        assembled.image = image.with_further_references(references.collect());
    }
    assembled
}

/// The name of `--tag`, with a tag.
fn tagged(name: &str) -> Result<String, String> {
    reference::tagged(name).ok_or_else(|| {
        format!(
            "invalid image name `{name}`; write `NAME:TAG` in lower case without spaces, \
             such as `echo:1`"
        )
    })
}

/// The recipe of a workspace. A workspace without one gets this project's recipe, which ships the
/// program as /app.
fn recipe_of(workspace: &Path) -> Result<Recipe, Box<dyn Error>> {
    let path = workspace.join("scratch.Dockerfile");
    if path.exists() {
        read_recipe(&path)
    } else {
        Ok(Recipe::parse(include_str!("../scratch.Dockerfile"))?)
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

/// The files that flags request.
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
