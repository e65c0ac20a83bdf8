//! The command line of microimage. Everything that prints, reads the environment or chooses an exit code is here: 0 is
//! done, 1 is that something went wrong, 2 is a command that was not understood.

mod args;

use args::{Arguments, Command, ImageArguments, PackArguments};
use clap::Parser as _;
use microimage::assemble::{self, Options};
use microimage::cargo::{self, Cargo, Function};
use microimage::context::FolderContext;
use microimage::outputs::{self, Summary};
use microimage::recipe::Recipe;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Image(arguments) => image(&arguments),
        Command::Build(arguments) => build(&arguments),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(1)
        }
    }
}

/// `microimage image`: cargo, then pack.
fn image(arguments: &ImageArguments) -> Result<ExitCode, Box<dyn Error>> {
    let cargo = cargo()?;
    let here = std::env::current_dir()?;
    let pack = &arguments.pack;
    let function = Function::find(&cargo, &here, arguments.function.as_deref(), pack.arch)?;
    let elf = cargo.build(&function, pack.arch, arguments.profile.into())?;
    let root = function.workspace_root();
    let folder = root.join("target/image");
    cargo::stage(&elf, &folder)?;
    let reference = pack.tag.clone().unwrap_or_else(|| format!("{}:latest", function.name().to_lowercase()));
    let summary = assembled(&root.join("scratch.Dockerfile"), root, &folder, reference, &options(pack)?)?;
    print_summary(&summary, &folder);
    Ok(ExitCode::SUCCESS)
}

/// `microimage build`: a recipe and a folder that somebody else has filled.
fn build(arguments: &args::BuildArguments) -> Result<ExitCode, Box<dyn Error>> {
    let reference = arguments.pack.tag.clone().unwrap_or_else(|| "image:latest".to_owned());
    let summary =
        assembled(&arguments.file, &arguments.context, &arguments.output, reference, &options(&arguments.pack)?)?;
    print_summary(&summary, &arguments.output);
    Ok(ExitCode::SUCCESS)
}

fn assembled(
    recipe: &Path,
    context: &Path,
    output: &Path,
    reference: String,
    options: &Options,
) -> Result<Summary, Box<dyn Error>> {
    let text =
        fs::read_to_string(recipe).map_err(|e| format!("the recipe `{}` cannot be read: {e}", recipe.display()))?;
    let in_recipe = |e| format!("{}: {e}", recipe.display());
    let recipe = Recipe::parse(&text).map_err(in_recipe)?;
    let context = FolderContext::open(context)?;
    let mut assembled = assemble::assemble(&recipe, &context, options)?;
    assembled.image = assembled.image.with_reference(reference);
    Ok(outputs::write(&assembled, output)?)
}

fn options(pack: &PackArguments) -> Result<Options, Box<dyn Error>> {
    let source_date_epoch = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text
            .parse()
            .map_err(|_| format!("SOURCE_DATE_EPOCH is `{text}`; it must be a number of seconds since 1970"))?,
        Err(_) => 0,
    };
    Ok(Options {
        architecture: pack.arch,
        format: pack.format.into(),
        compression: pack.compression.into(),
        source_date_epoch,
        ..Options::default()
    })
}

fn cargo() -> Result<Cargo, Box<dyn Error>> {
    let home = match (std::env::var_os("CARGO_HOME"), std::env::home_dir()) {
        (Some(home), _) => PathBuf::from(home),
        (None, Some(home)) => home.join(".cargo"),
        (None, None) => return Err("cargo's home is not known; set CARGO_HOME or HOME".into()),
    };
    Ok(Cargo { program: std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from), home })
}

fn print_summary(summary: &Summary, folder: &Path) {
    println!("{}  {}", summary.reference, summary.platform);
    println!("manifest  {}", summary.manifest_digest);
    for layer in &summary.layers {
        println!(
            "layer     {}  {} compressed, {} unpacked",
            layer.digest,
            kib(layer.compressed_bytes),
            kib(layer.uncompressed_bytes)
        );
    }
    println!("program   {}", kib(summary.elf_bytes));
    println!("written   {}/{{oci,docker.tar,image.json}}", folder.display());
}

fn kib(bytes: u64) -> String {
    format!("{:.1} KiB", bytes as f64 / 1024.0)
}
