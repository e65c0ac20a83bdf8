//! Bench: the time from a built program to an image, compared with Docker Engine and with umoci and
//! skopeo, interleaved in random order. It measures this crate's program from outside and draws
//! nothing. Lower is better; absolute times depend on the machine, so the promise is about the
//! ratio.
//!
//! `cargo bench -p microimage --bench packing --profile host -- ELF [ROUNDS]`

use nix::sys::resource::{UsageWho, getrusage};
use std::env;
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A way to make the image: its name, and its commands, which run in the context's folder.
struct Variant {
    name: &'static str,
    commands: Vec<Vec<String>>,
    samples: Vec<Duration>,
}

fn main() {
    // Cargo passes `--bench` to the program.
    let arguments: Vec<_> = env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("below the workspace");
    let elf =
        arguments.first().map_or_else(|| workspace.join("target/image/root/app"), PathBuf::from);
    let rounds: usize =
        arguments.get(1).map_or(30, |text| text.parse().expect("ROUNDS is a number"));
    let home = tempfile::tempdir().expect("a folder");
    stage(&elf, workspace, home.path());
    let peak = peak(home.path());
    let mut variants = variants();
    variants.retain(|variant| {
        let works = run(variant, home.path()).is_some(); // also warms the page cache up
        if !works {
            eprintln!("skipped: `{}` does not run here", variant.name);
        }
        works
    });
    for _ in 0..rounds {
        for n in shuffled(variants.len()) {
            let took = run(&variants[n], home.path()).expect("it ran before");
            variants[n].samples.push(took);
        }
    }
    let size = fs::metadata(&elf).expect("it was copied").len();
    println!(
        "program of {size} bytes, {rounds} rounds, interleaved; peak memory of microimage: {peak}"
    );
    println!(
        "{:<28}{:>6}{:>11}{:>11}{:>11}{:>9}",
        "", "n", "median ms", "p90 ms", "min ms", "ratio"
    );
    let base = median(&mut variants[0].samples.clone());
    for variant in &mut variants {
        let median = median(&mut variant.samples);
        let p90 = variant.samples[(variant.samples.len() * 9 / 10).min(variant.samples.len() - 1)];
        let ms = |d: Duration| d.as_secs_f64() * 1e3;
        let ratio = median.as_secs_f64() / base.as_secs_f64();
        println!(
            "{:<28}{:>6}{:>11.1}{:>11.1}{:>11.1}{ratio:>8.1}x",
            variant.name,
            rounds,
            ms(median),
            ms(p90),
            ms(variant.samples[0])
        );
    }
}

/// Makes a context as `just image` does.
fn stage(elf: &Path, workspace: &Path, context: &Path) {
    let root = context.join("target/image/root");
    fs::create_dir_all(&root).expect("a folder");
    fs::copy(elf, root.join("app")).unwrap_or_else(|e| {
        panic!("`{}`: {e}; build one with `just image`, or name an ELF", elf.display())
    });
    fs::set_permissions(root.join("app"), fs::Permissions::from_mode(0o755)).expect("ours");
    for file in ["scratch.Dockerfile", ".dockerignore"] {
        fs::copy(workspace.join(file), context.join(file)).expect("the recipe");
    }
}

fn variants() -> Vec<Variant> {
    let microimage = env!("CARGO_BIN_EXE_microimage");
    let variant = |name, lines: &[&str]| Variant {
        name,
        commands: lines.iter().map(|line| line.split(' ').map(str::to_owned).collect()).collect(),
        samples: Vec::new(),
    };
    vec![
        variant("microimage build", &[&format!("{microimage} build -o out-microimage")]),
        variant(
            "docker build",
            &["docker build --no-cache -q -t microimage-bench:1 -f scratch.Dockerfile ."],
        ),
        variant(
            "docker build, save",
            &[
                "docker build --no-cache -q -t microimage-bench:1 -f scratch.Dockerfile .",
                "docker save -o out-docker.tar microimage-bench:1",
            ],
        ),
        variant(
            "umoci, skopeo copy",
            &[
                "rm -rf out-umoci out-skopeo.tar",
                "umoci init --layout out-umoci",
                "umoci new --image out-umoci:1",
                "umoci insert --rootless --image out-umoci:1 target/image/root/app /app",
                "umoci config --image out-umoci:1 --config.entrypoint /app --config.exposedports \
                 9000",
                "skopeo --insecure-policy copy -q oci:out-umoci:1 \
                 docker-archive:out-skopeo.tar:microimage-bench:1",
            ],
        ),
    ]
}

/// Runs a variant once; `None` if a command is missing or fails.
fn run(variant: &Variant, context: &Path) -> Option<Duration> {
    let started = Instant::now();
    for command in &variant.commands {
        let status = Command::new(&command[0])
            .args(&command[1..])
            .current_dir(context)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !status.is_ok_and(|status| status.success()) {
            return None;
        }
    }
    Some(started.elapsed())
}

/// Peak resident memory of one `microimage build`. The kernel reports the maximum over all children
/// so far, so this must run before any other child.
fn peak(context: &Path) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_microimage"))
        .args(["build", "-o", "out-peak"])
        .current_dir(context)
        .stdout(Stdio::null())
        .status();
    match (run, getrusage(UsageWho::RUSAGE_CHILDREN)) {
        (Ok(status), Ok(usage)) if status.success() => {
            format!("{:.1} MiB", usage.max_rss() as f64 / 1024.0)
        }
        _ => "not measured".to_owned(),
    }
}

/// Indices in random order (Fisher and Yates).
fn shuffled(n: usize) -> Vec<usize> {
    let mut order: Vec<_> = (0..n).collect();
    for i in (1..n).rev() {
        order.swap(i, (RandomState::new().build_hasher().finish() % (i as u64 + 1)) as usize);
    }
    order
}

fn median(samples: &mut [Duration]) -> Duration {
    samples.sort_unstable();
    samples[samples.len() / 2]
}
