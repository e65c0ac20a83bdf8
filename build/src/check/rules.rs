//! Rules of the check, one function each, in the order in which a deployment meets them. A rule
//! returns its evidence and what to do; it never shows a value that may be a secret.

use super::finding::{Finding, Judgement, RuleVerdict, Subject, fail, pass, warn};
use super::program::{follow, program};
use super::provider::{PortSource, Size, Support};
use super::secrets::secrets;
use crate::contents::{ContentsError, What};
use crate::entry::shown;
use crate::image::{Compression, media_type};
use crate::inspect::size;
use crate::rootfs::normalize;
use std::path::Path;

/// Every rule, in order.
pub(super) fn all(subject: &Subject<'_>) -> Result<Vec<Finding>, ContentsError> {
    let mut findings = Vec::new();
    let mut add = |rule, (verdict, evidence, remedy): Judgement, source| {
        findings.push(Finding { rule, verdict, evidence, remedy, source })
    };
    let provider = |rule| subject.provider.source_of(rule);
    let oci = "OCI image-spec 1.1";
    add("format", format(subject), provider("format"));
    add("one manifest", one_manifest(subject), provider("one manifest"));
    add("architecture", architecture(subject), provider("architecture"));
    add("size", image_size(subject), provider("size"));
    add("memory", memory(subject), provider("memory"));
    add(
        "layers",
        layers(subject),
        "benches/coldstart: each layer is a request and an unpacking of its own",
    );
    add("compression", compression(subject), provider("compression"));
    add("contents", diff_ids(subject), "OCI image-spec 1.1, config.md, rootfs.diff_ids");
    add("port", port(subject), provider("port"));
    add("entrypoint", entrypoint(subject), oci);
    add("arguments", arguments(subject), provider("arguments"));
    add("program", program(subject)?, "an image from scratch has no dynamic linker");
    if let Some(folder) = subject.provider.companion {
        add("companion", companion(subject, folder), provider("companion"));
    }
    add("user", user(subject), "OCI image-spec 1.1, config.md, User");
    add("working folder", working_dir(subject), "OCI image-spec 1.1, config.md, WorkingDir");
    add("readable", readable(subject), provider("readable"));
    add("/tmp", tmp(subject), provider("/tmp"));
    add("pinned", pinned(subject), provider("pinned"));
    add("secrets", secrets(subject), "an image is readable by everyone who may pull it");
    Ok(findings)
}

fn format(subject: &Subject<'_>) -> Judgement {
    match subject.image.media_type() {
        kind @ (media_type::OCI_MANIFEST | media_type::DOCKER_MANIFEST) => pass(kind),
        other => {
            fail(format!("the manifest is `{other}`"), "build an OCI or Docker v2 schema 2 image")
        }
    }
}

fn one_manifest(subject: &Subject<'_>) -> Judgement {
    let remedy = "push one platform's manifest under a tag of its own (`microimage push`), \
                  without attestations";
    match (subject.image.chosen_from_index(), subject.provider.index) {
        (false, _) => pass("the name refers to one manifest"),
        (true, Support::Allowed) => {
            warn("the name refers to an index; each pull sends one more request", remedy)
        }
        (true, Support::Undocumented) => {
            warn("the name refers to an index, which the documents do not mention", remedy)
        }
        (true, Support::Refused) => fail("the name refers to an index", remedy),
    }
}

fn architecture(subject: &Subject<'_>) -> Judgement {
    let (os, architecture) = (subject.image.os(), subject.image.architecture());
    if os == "linux" && subject.provider.architectures.contains(&architecture.as_str()) {
        return pass(format!("{os}/{architecture}"));
    }
    fail(
        format!(
            "{os}/{architecture}; the platform runs linux on {}",
            subject.provider.architectures.join(", ")
        ),
        "build with `--arch amd64`",
    )
}

fn image_size(subject: &Subject<'_>) -> Judgement {
    let compressed = subject.image.total_compressed_bytes();
    let uncompressed: u64 =
        subject.contents.layers.iter().map(|layer| layer.uncompressed_bytes).sum();
    let evidence = format!("{} compressed, {} unpacked", size(compressed), size(uncompressed));
    match subject.provider.max_size {
        None => pass(format!("{evidence}; no limit is documented")),
        Some((limit, what)) => {
            let counted = if what == Size::Compressed { compressed } else { uncompressed };
            let evidence = format!("{evidence}, at most {}", size(limit));
            if counted < limit {
                pass(evidence)
            } else {
                fail(
                    evidence,
                    "leave out what the function does not need (`microimage inspect` lists it)",
                )
            }
        }
    }
}

fn memory(subject: &Subject<'_>) -> Judgement {
    if subject.provider.memory_tiers.is_empty() {
        return pass("no advice is documented");
    }
    let compressed = subject.image.total_compressed_bytes();
    let tier = subject.provider.memory_tiers.iter().find(|(below, _)| compressed < *below);
    let needed = tier.map_or(2048, |(_, mib)| *mib);
    match subject.memory_mib {
        Some(given) if given < needed => warn(
            format!(
                "{given} MiB; an image of {} should have at least {needed} MiB",
                size(compressed)
            ),
            format!("give the function {needed} MiB or make the image smaller"),
        ),
        Some(given) => pass(format!("{given} MiB; at least {needed} MiB are advised")),
        // This is the advice for the smallest images.
        None if needed == subject.provider.memory_tiers[0].1 => pass(format!(
            "{needed} MiB or more are advised for an image of {}; `--memory` compares what the \
             function has",
            size(compressed)
        )),
        None => warn(
            format!("an image of {} should have at least {needed} MiB", size(compressed)),
            "state the function's memory with `--memory`",
        ),
    }
}

fn layers(subject: &Subject<'_>) -> Judgement {
    match subject.image.layers().len() {
        1 => pass("one"),
        n => warn(format!("{n}"), "pack the files as one layer (`microimage build`)"),
    }
}

fn compression(subject: &Subject<'_>) -> Judgement {
    let mut kinds = Vec::new();
    for layer in subject.image.layers() {
        let name = match Compression::of_media_type(&layer.descriptor().media_type) {
            Some(Compression::Gzip) => "gzip",
            Some(Compression::None) => "none",
            Some(Compression::Zstd) => "zstd",
            None => "unknown",
        };
        if !kinds.contains(&name) {
            kinds.push(name);
        }
    }
    let evidence = kinds.join(", ");
    let remedy = "build with `--compression gzip`";
    let docker_zstd =
        subject.image.media_type() == media_type::DOCKER_MANIFEST && kinds.contains(&"zstd");
    match subject.provider.zstd {
        _ if docker_zstd => fail("zstd, which Docker's manifest has no media type for", remedy),
        _ if !kinds.contains(&"zstd") || subject.provider.zstd == Support::Allowed => {
            pass(evidence)
        }
        Support::Refused => fail(evidence, remedy),
        _ => warn(format!("{evidence}; the documents do not mention zstd"), remedy),
    }
}

fn diff_ids(subject: &Subject<'_>) -> Judgement {
    let mut pairs = subject.image.layers().iter().zip(&subject.contents.layers);
    match pairs.find(|(layer, found)| layer.diff_id() != found.diff_id) {
        None => {
            pass(format!("every layer matches manifest and configuration{}", specialities(subject)))
        }
        Some((layer, found)) => fail(
            format!(
                "layer `{}` unpacks to `{}`, the configuration has `{}`",
                layer.descriptor().digest,
                found.diff_id,
                layer.diff_id()
            ),
            "build the image again: every runtime refuses it",
        ),
    }
}

/// Parts of the image that an instance may lack: devices, and capabilities of files.
fn specialities(subject: &Subject<'_>) -> String {
    let few = |all: Vec<String>| {
        let more = all.len().saturating_sub(5);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        all.into_iter().take(5).collect::<Vec<_>>().join(", ") + &more
    };
    let mut text = String::new();
    let devices = subject.contents.left_out.iter();
    let devices: Vec<_> =
        devices.map(|(path, what)| format!("`/{}` ({what})", shown(path))).collect();
    if !devices.is_empty() {
        text += &format!("; left out: {}", few(devices));
    }
    let files = subject.contents.files.iter();
    let granted: Vec<_> = files
        .filter_map(|(path, file)| Some((path, file.capability.as_ref()?)))
        .map(|(path, capability)| format!("`/{}` {capability}", shown(path)))
        .collect();
    if !granted.is_empty() {
        text += &format!("; file capabilities: {}", few(granted));
    }
    text
}

fn port(subject: &Subject<'_>) -> Judgement {
    let (provider, env) = (subject.provider, subject.image.env());
    let wanted = match provider.port_for(env) {
        Ok(port) => port,
        Err(line) => {
            return fail(
                format!("the image sets {}, which is not a port", line.escape_debug()),
                "set a port",
            );
        }
    };
    let own_port = env.iter().find_map(|line| line.strip_prefix("PORT="));
    if let Some(value) = own_port.filter(|value| *value != wanted.to_string()) {
        let evidence = format!(
            "the image sets PORT={}, the platform uses port {wanted}",
            value.escape_debug()
        );
        return match provider.port_source {
            PortSource::Fixed | PortSource::ByImage(_) => {
                fail(evidence, "remove ENV PORT from the recipe")
            }
            PortSource::ByPlatform => warn(
                format!("{evidence} and sets PORT itself"),
                "remove ENV PORT from the recipe: it only counts elsewhere",
            ),
        };
    }
    let ports = subject.image.exposed_ports();
    if subject.image.tcp_ports().contains(&wanted) {
        return pass(format!("exposes {wanted}/tcp"));
    }
    let seen = if ports.is_empty() {
        "exposes no port".to_owned()
    } else {
        format!("exposes {}", ports.join(", "))
    };
    match provider.port_source {
        PortSource::ByPlatform => pass(format!(
            "{seen}; the platform sets PORT (usually {wanted}), which the program must honour"
        )),
        PortSource::ByImage(names) => pass(format!(
            "{seen}; requests go to port {wanted}, which {} can change",
            names.join(" or ")
        )),
        PortSource::Fixed => warn(
            format!("{seen}; the platform sends requests to port {wanted} on 0.0.0.0"),
            format!("`EXPOSE {wanted}`, and listen there (`--run` checks it)"),
        ),
    }
}

/// Rule about the component that connects the image to the platform: a program in its folder that
/// every user may execute.
fn companion(subject: &Subject<'_>, folder: &str) -> Judgement {
    let programs: Vec<_> = subject
        .contents
        .files
        .iter()
        .filter(|(path, found)| {
            path.parent() == Some(Path::new(folder))
                && found.mode & 0o001 != 0
                && found.what != What::Folder
        })
        .map(|(path, _)| format!("`/{}`", shown(path)))
        .collect();
    match programs.as_slice() {
        [] => fail(
            format!(
                "no program is in /{folder}: nothing passes the platform's events to the function"
            ),
            "COPY the Lambda Web Adapter to /opt/extensions/lambda-adapter, mode 0755",
        ),
        programs => pass(programs.join(", ")),
    }
}

fn entrypoint(subject: &Subject<'_>) -> Judgement {
    let argv = subject.image.argv();
    let Some(program) = argv.first() else {
        return fail("the image starts nothing", "add `ENTRYPOINT [\"/app\"]` to the recipe");
    };
    let shells = ["sh", "bash", "ash", "dash", "zsh", "busybox", "env"];
    let name = program.rsplit('/').next().unwrap_or(program);
    if shells.contains(&name) {
        return warn(
            format!("{argv:?} starts through `{name}`, which costs time and receives the signals"),
            "name the program itself in exec form",
        );
    }
    pass(format!("{argv:?}"))
}

fn arguments(subject: &Subject<'_>) -> Judgement {
    let argv = subject.image.argv();
    if !subject.provider.splits_arguments {
        return pass("may contain spaces");
    }
    match argv.iter().find(|word| word.contains(char::is_whitespace) || word.is_empty()) {
        None => pass("none contains a space"),
        Some(word) => fail(
            format!(
                "`{}` contains a space or is empty; the platform splits arguments at spaces",
                word.escape_debug()
            ),
            "pass it in the environment",
        ),
    }
}

fn user(subject: &Subject<'_>) -> Judgement {
    let user = subject.image.user();
    let mut names = user.split(':').filter(|part| !part.is_empty() && part.parse::<u32>().is_err());
    match names.next() {
        None if user.is_empty() => pass("root, because the image sets no user"),
        None => pass(format!("`{user}`")),
        Some(_) if subject.contents.files.contains_key(Path::new("etc/passwd")) => {
            pass(format!("`{user}`, with /etc/passwd in the image"))
        }
        Some(name) => fail(
            format!("`{name}` is a name, and the image has no /etc/passwd"),
            "use a number in USER, or build with `--passwd NAME:UID`",
        ),
    }
}

fn working_dir(subject: &Subject<'_>) -> Judgement {
    let folder = subject.image.working_dir();
    if normalize("/", folder).is_empty()
        || follow(subject.contents, normalize("/", folder))
            .is_some_and(|(_, f)| f.what == What::Folder)
    {
        return pass(format!("`{folder}`"));
    }
    fail(
        format!("`{folder}` is not in the image, and a read-only root cannot have one created"),
        "add `WORKDIR` to the recipe, which creates it",
    )
}

/// Paths that Linux distributions make readable only for root: passwords, root's home, the package
/// manager's state. Functions do not read them.
const SYSTEM: [&str; 12] = [
    "etc/.pwd.lock",
    "etc/gshadow",
    "etc/gshadow-",
    "etc/security/opasswd",
    "etc/shadow",
    "etc/shadow-",
    "etc/ssl/private",
    "root",
    "var/cache",
    "var/lib/apt",
    "var/lib/dpkg",
    "var/log",
];

fn readable(subject: &Subject<'_>) -> Judgement {
    let closed = subject.contents.files.iter().filter(|(_, found)| match found.what {
        What::Folder => found.mode & 0o005 != 0o005,
        What::File { .. } => found.mode & 0o004 == 0,
        What::Symlink { .. } | What::Fifo => false,
    });
    let (of_system, closed): (Vec<_>, Vec<_>) =
        closed.partition(|(path, _)| SYSTEM.iter().any(|system| path.starts_with(system)));
    let closed: Vec<_> = closed
        .into_iter()
        .map(|(path, found)| format!("`/{}` ({:o})", shown(path), found.mode))
        .collect();
    match closed.len() {
        0 if of_system.is_empty() => pass("every file and folder, by any user"),
        0 => warn(
            format!(
                "{} files or folders of the base system are readable for root only, `/{}` for \
                 example",
                of_system.len(),
                shown(of_system[0].0)
            ),
            "leave them as they are, unless the function reads them",
        ),
        n => fail(
            format!("{n} are closed to other users: {}", closed[..n.min(5)].join(", ")),
            "`chmod -R a+rX` before they are copied",
        ),
    }
}

fn tmp(subject: &Subject<'_>) -> Judgement {
    let below: Vec<_> = subject
        .contents
        .files
        .keys()
        .filter(|path| path.starts_with("tmp") && **path != Path::new("tmp"))
        .collect();
    match below.first() {
        None => pass("nothing is shipped there"),
        Some(_) if !subject.provider.tmp_is_overlaid => pass("the platform leaves it as it is"),
        Some(first) => fail(
            format!(
                "{} entries, `/{}` first, that the platform's own /tmp will hide",
                below.len(),
                shown(first)
            ),
            "ship them elsewhere",
        ),
    }
}

fn pinned(subject: &Subject<'_>) -> Judgement {
    let on_disk = Path::new(subject.place.split('#').next().unwrap_or_default()).exists();
    if on_disk {
        return (
            RuleVerdict::Skip,
            "the image is on this disk; `microimage push` prints the pinned form".into(),
            String::new(),
        );
    }
    if subject.place.contains("@sha256:") {
        return pass("by digest");
    }
    let pinned = format!(
        "{}@{}",
        subject.image.reference().unwrap_or(subject.place),
        subject.image.manifest_digest()
    );
    warn("by tag, which can be moved under a running function", format!("deploy `{pinned}`"))
}
