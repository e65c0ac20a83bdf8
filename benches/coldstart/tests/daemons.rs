//! Tests of the engines that the bench starts itself, podman and containerd, with the real
//! programs: their measurements, their messages about failing images, and that nothing remains
//! after any end of a run. A test that cannot run prints what it lacks.

mod common;

use coldstart::results::{Results, Scenario};
use common::{COLDSTART, compile, layout, parts};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The daemons, and the programs that each needs.
const DAEMONS: [(&str, &[&str]); 2] = [
    ("podman", &["podman", "docker-registry", "setpriv", "unshare"]),
    ("containerd", &["containerd", "ctr", "runc", "docker-registry", "setpriv", "unshare"]),
];

static ALONE: Mutex<()> = Mutex::new(());

/// The daemons that can run here. One test runs at a time, because tests search the machine for
/// leftovers.
fn daemons() -> (Vec<&'static str>, MutexGuard<'static, ()>) {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("skipped: podman and containerd are started by the bench, which needs root");
        return (Vec::new(), alone);
    }
    let found = |program: &&&str| {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&folders).any(|folder| folder.join(program).exists())
    };
    let mut able = Vec::new();
    for (daemon, programs) in DAEMONS {
        match programs.iter().find(|program| !found(program)) {
            Some(missing) => eprintln!(
                "skipped: {daemon} has no `{missing}` here; `build/setup --engines` installs it"
            ),
            None => able.push(daemon),
        }
    }
    (able, alone)
}

/// The layout of an image with the program of this fault.
fn image_of(fault: &str) -> Option<TempDir> {
    let Some(program) = compile(fault) else {
        eprintln!("skipped: no C compiler that links statically (Debian's musl-tools)");
        return None;
    };
    let folder = tempfile::tempdir().expect("a folder");
    layout(folder.path(), &parts(&program, "amd64"));
    Some(folder)
}

fn command(daemon: &str, images: &[&Path], out: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(COLDSTART);
    command.args(images).args(["--engine", daemon, "--deadline", "5", "--out"]).arg(out);
    command.args(flags).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(daemon: &str, images: &[&Path], out: &Path, flags: &[&str]) -> Output {
    command(daemon, images, out, flags).output().expect("it starts")
}

/// Network interfaces, sockets, control groups and folders of daemons on this machine.
fn traces() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut list = |folder: &str, of: &dyn Fn(&str) -> bool| {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if of(&name) {
                found.insert(format!("{folder}/{name}"));
            }
        }
    };
    list("/sys/class/net", &|name| name.starts_with("cni-podman") || name.starts_with("podman"));
    list("/run", &|name| name.contains("coldstart") || name.contains("podman-containers"));
    list("/var/lib", &|name| ["cni", "containers", "containerd"].contains(&name));
    for controller in ["", "/memory", "/cpuset", "/pids", "/systemd"] {
        list(&format!("/sys/fs/cgroup{controller}"), &|name| name.starts_with("coldstart-"));
    }
    found
}

/// Processes that name the folder.
fn processes_of(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().expect("a path");
    let processes = fs::read_dir("/proc").expect("there").flatten();
    let commands = processes.filter_map(|p| fs::read_to_string(p.path().join("cmdline")).ok());
    commands.filter(|command| command.contains(folder)).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn measures_every_scenario_and_leaves_nothing() {
    let (able, _alone) = daemons();
    for daemon in able {
        let Some(image) = image_of("GOOD") else { return };
        let before = traces();
        let out = tempfile::tempdir().expect("a folder");
        let done = run(daemon, &[image.path()], out.path(), &["--samples", "2", "--warmups", "0"]);
        assert_eq!(done.status.code(), Some(0), "{daemon}: {}", text(&done.stderr));
        let results = Results::load(&out.path().join("results.json")).expect("kept");
        assert_eq!(results.engine.to_string(), daemon);
        let variant = &results.variants[0];
        let of = |scenario| variant.runs.iter().find(|r| r.scenario == scenario).expect("there");
        for sample in &of(Scenario::Cold).samples {
            let phases = [sample.pull_ns, sample.unpack_ns, sample.create_ns, sample.start_ns];
            let sum: u64 = phases.iter().map(|ns| ns.expect("every phase is measured")).sum();
            let total = sample.total_ns.expect("it answered");
            assert!(phases.iter().all(|ns| *ns > Some(0)) && total >= sum, "{daemon}: {sample:?}");
            assert!(
                sample.listen_ns <= sample.first_byte_ns && sample.first_byte_ns <= sample.start_ns,
                "{daemon}: {sample:?}"
            );
            assert!(sample.peak_resident_bytes > Some(4096), "{daemon}: {sample:?}");
        }
        let cold = of(Scenario::Cold);
        assert!(cold.requests >= 3, "{daemon}: manifest, configuration, layer: {}", cold.requests);
        let size = variant.compressed_bytes.expect("the size of an image on this machine");
        assert!(cold.bytes >= size, "{daemon}: each pull has the whole image");
        let ahead = of(Scenario::Accelerated);
        assert_eq!(ahead.requests, 0, "{daemon}");
        assert!(ahead.samples.iter().all(|s| s.pull_ns.is_none() && s.unpack_ns > Some(0)));
        let ready = of(Scenario::Provisioned).samples[0].total_ns;
        assert!(ready < cold.samples[0].start_ns, "{daemon}: {ready:?}");
        assert!(results.overhead.start_ns_median > Some(0.0), "{daemon}: the floor was started");
        let step = results.overhead.connect_step_ns_median;
        assert!(step.is_some(), "{daemon}: the probe began before the program listened");
        let left = fs::read_dir(out.path()).expect("a folder").flatten();
        let left: Vec<_> = left.map(|e| e.file_name()).filter(|n| n != "results.json").collect();
        assert_eq!(left, ["report.html"], "{daemon}");
        assert_eq!(traces(), before, "{daemon}");
    }
}

/// The images differ by 200 ms of processor time before they listen, with any engine.
#[test]
fn every_engine_that_runs_here_ranks_a_slow_program_after_a_quick_one() {
    let (mut able, _alone) = daemons();
    if !common::skip_without_sandbox() {
        able.push("embedded");
    }
    let docker = Command::new("docker").arg("version").stdin(Stdio::null()).output();
    match docker.is_ok_and(|done| done.status.success()) {
        true => able.push("docker"),
        false => eprintln!("skipped: docker, no Docker Engine runs here"),
    }
    let (Some(quick), Some(slow)) = (image_of("GOOD"), image_of("BUSY")) else { return };
    for engine in able {
        let out = tempfile::tempdir().expect("a folder");
        let flags =
            ["--scenario", "cold", "--link", "loopback", "--samples", "3", "--warmups", "0"];
        let named = [("slow", &slow), ("quick", &quick)]
            .map(|(name, image)| PathBuf::from(format!("{name}={}", image.path().display())));
        let [slow_image, quick_image] = &named;
        let done = run(engine, &[slow_image, quick_image], out.path(), &flags);
        assert_eq!(done.status.code(), Some(0), "{engine}: {}", text(&done.stderr));
        let results = Results::load(&out.path().join("results.json")).expect("kept");
        let starts = |at: usize| {
            let mut starts: Vec<_> = results.variants[at].runs[0]
                .samples
                .iter()
                .map(|sample| sample.start_ns.expect("it answered"))
                .collect();
            starts.sort_unstable();
            starts[1]
        };
        let (slow_ns, quick_ns) = (starts(0), starts(1));
        assert!(slow_ns > quick_ns + 50_000_000, "{engine}: {slow_ns} behind {quick_ns}");
    }
}

#[test]
fn reports_the_cause_of_a_failed_start_soon() {
    let (able, _alone) = daemons();
    let cases = [
        ("EXITS", &["405 ContainerStateExited", "cannot find the answer", "code 3"][..]),
        ("LOOPBACK", &["446", "127.0.0.1:9000"]),
        ("WRONG", &["answered status `500`"]),
    ];
    for daemon in able {
        for (fault, words) in cases {
            let Some(image) = image_of(fault) else { return };
            let out = tempfile::tempdir().expect("a folder");
            let began = Instant::now();
            let flags = ["--scenario", "accelerated", "--samples", "1", "--warmups", "0"];
            let done = run(daemon, &[image.path()], out.path(), &flags);
            let said = text(&done.stdout);
            assert_eq!(done.status.code(), Some(1), "{daemon}, {fault}: {}", text(&done.stderr));
            for word in words {
                // containerd's instances have loopback, where such a program can be reached.
                if daemon == "containerd" && *word == "127.0.0.1:9000" {
                    continue;
                }
                assert!(said.contains(word), "{daemon}, {fault}: no `{word}` in\n{said}");
            }
            assert!(began.elapsed() < Duration::from_secs(90), "{daemon}: {:?}", began.elapsed());
        }
    }
}

#[test]
fn a_burst_shares_one_pull_and_its_schedule() {
    let (able, _alone) = daemons();
    for daemon in able {
        let Some(image) = image_of("GOOD") else { return };
        let out = tempfile::tempdir().expect("a folder");
        let flags = ["--burst", "3", "--burst-interval", "20", "--samples", "1", "--warmups", "0"];
        let done = run(daemon, &[image.path()], out.path(), &flags);
        assert_eq!(done.status.code(), Some(0), "{daemon}: {}", text(&done.stdout));
        let results = Results::load(&out.path().join("results.json")).expect("kept");
        for run in &results.variants[0].runs {
            let starts: Vec<u64> = run.samples.iter().map(|s| s.intended_start_ns).collect();
            assert!(starts.windows(2).all(|pair| pair[1] - pair[0] == 20_000_000), "{starts:?}");
            assert!(run.samples.iter().all(|s| s.total_ns.is_some()), "{daemon}: {run:?}");
        }
    }
}

#[test]
fn an_interrupted_run_leaves_nothing_and_a_killed_run_leaves_no_process() {
    use nix::sys::signal::{Signal, kill};
    let (able, _alone) = daemons();
    for daemon in able {
        let Some(image) = image_of("GOOD") else { return };
        for (signal, code) in [(Signal::SIGINT, Some(130)), (Signal::SIGKILL, None)] {
            let before = traces();
            let out = tempfile::tempdir().expect("a folder");
            let flags = ["--samples", "10000"];
            let mut child =
                command(daemon, &[image.path()], out.path(), &flags).spawn().expect("it starts");
            wait_for_a_round(&mut child, out.path());
            kill(nix::unistd::Pid::from_raw(child.id() as i32), signal).expect("sent");
            let status = child.wait().expect("ended");
            assert_eq!(status.code(), code, "{daemon}, {signal}");
            let until = Instant::now() + Duration::from_secs(20);
            while signal == Signal::SIGKILL && !processes_of(out.path()).is_empty() {
                assert!(Instant::now() < until, "{daemon}: {:?}", processes_of(out.path()));
                std::thread::yield_now();
            }
            assert_eq!(processes_of(out.path()), Vec::<String>::new(), "{daemon}, {signal}");
            if signal == Signal::SIGINT {
                assert_eq!(traces(), before, "{daemon}");
                let left = fs::read_dir(out.path()).expect("a folder").flatten();
                let mut left = left.map(|e| e.file_name().to_string_lossy().into_owned());
                assert!(left.all(|name| !name.starts_with("work-")), "{daemon}");
            } else {
                let flags = ["--scenario", "cold", "--samples", "1", "--warmups", "0"];
                let done = run(daemon, &[image.path()], out.path(), &flags);
                assert_eq!(done.status.code(), Some(0), "{daemon}: {}", text(&done.stderr));
                assert_eq!(traces(), before, "{daemon}: the next run removes the leftovers");
            }
        }
    }
}

fn wait_for_a_round(child: &mut Child, out: &Path) {
    while !out.join("results.json").exists() {
        assert!(child.try_wait().expect("asked").is_none(), "it ended before its first round");
        std::thread::sleep(Duration::from_millis(5)); // both cores are the bench's
    }
}

#[test]
fn unsupported_flags_are_refused_before_a_daemon_starts() {
    for daemon in ["podman", "containerd"] {
        let Some(image) = image_of("GOOD") else { return };
        let out = tempfile::tempdir().expect("a folder");
        for flags in [["--link", "cross-region"], ["--page-cache", "evicted"]] {
            let done = run(daemon, &[image.path()], out.path(), &flags);
            assert_eq!(done.status.code(), Some(4), "{daemon}");
            let said = text(&done.stderr);
            assert!(said.contains(daemon) && said.contains("embedded"), "{said}");
        }
    }
}
