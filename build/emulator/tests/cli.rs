//! Tests of `firstbyte run` and `firstbyte invoke` from the command line.

mod common;

use common::{Lines, MOODY, PATIENCE, moody, post};
use microimage::assemble::{Options, assemble};
use microimage::context::FolderContext;
use microimage::layout;
use microimage::recipe::Recipe;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;
use tempfile::TempDir;

fn firstbyte(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firstbyte"));
    // A temporary folder of its own, so that files that it leaves behind are noticed.
    command.current_dir(folder).env("TMPDIR", folder.join("tmp")).stdin(Stdio::null());
    command
}

fn home() -> TempDir {
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::create_dir(home.path().join("tmp")).unwrap();
    home
}

/// An address without a listener.
fn nowhere() -> String {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().to_string()
}

#[track_caller]
fn assert_nothing_left(home: &TempDir) {
    let left: Vec<_> = fs::read_dir(home.path().join("tmp")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

struct Said {
    code: Option<i32>,
    out: String,
    beside: String,
}

fn said(output: Output) -> Said {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), out: text(output.stdout), beside: text(output.stderr) }
}

/// Invokes when no function runs.
fn alone(home: &TempDir, arguments: &[&str], stdin: &str) -> Said {
    let mut command = firstbyte(home.path());
    command.arg("invoke").args(arguments).args(["--address", &nowhere()]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    said(child.wait_with_output().unwrap())
}

/// A running `firstbyte run`.
struct Running {
    child: Child,
    log: Lines,
    notes: Lines,
    address: String,
}

impl Running {
    fn start(home: &TempDir, arguments: &[&str]) -> Running {
        let mut command = firstbyte(home.path());
        command.arg("run").args(arguments).args(["--address", "127.0.0.1:0"]);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let log = follow(child.stdout.take().unwrap());
        let notes = follow(child.stderr.take().unwrap());
        let line = notes.wait("http://", 1).remove(0);
        let address = line.split("http://").nth(1).unwrap().split(": ").next().unwrap().to_owned();
        Running { child, log, notes, address }
    }

    fn invoke(&self, home: &TempDir, arguments: &[&str]) -> Said {
        let mut command = firstbyte(home.path());
        said(
            command
                .arg("invoke")
                .args(arguments)
                .args(["--address", &self.address])
                .output()
                .unwrap(),
        )
    }

    fn terminate(mut self) -> Option<i32> {
        let pid = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill(); // the test may have ended it already
        let _ = self.child.wait();
    }
}

fn follow(output: impl Read + Send + 'static) -> Lines {
    let lines = Lines::default();
    let mut to = lines.clone();
    thread::spawn(move || {
        BufReader::new(output)
            .lines()
            .map_while(Result::ok)
            .for_each(|line| drop(to.write_all(line.as_bytes())));
    });
    lines
}

#[test]
fn invoke_with_a_sample_works_at_once() {
    let home = home();
    let function = moody().display().to_string();
    let said = alone(&home, &["timer", "--function", &function], "");
    assert_eq!(said.code, Some(0), "{}", said.beside);
    let expected = r#"{
  "Type": "Timer",
  "TriggerName": "EveryDay",
  "Time": "2019-02-21T11:49:00Z",
  "Message": "user define msg body"
}
"#;
    assert_eq!(said.out, expected);
    assert!(
        said.beside.contains("START RequestId:") && said.beside.contains("\n200, "),
        "{}",
        said.beside
    );
    assert!(said.beside.contains("cold start"), "{}", said.beside);
    assert_nothing_left(&home);
}

#[test]
fn a_failure_is_shown_and_sets_the_exit_code() {
    let home = home();
    let function = moody().display().to_string();
    let failed = alone(&home, &["-", "--function", &function], r#"{"do":"fail"}"#);
    assert_eq!(
        (failed.code, failed.out.as_str()),
        (Some(1), "{\n  \"errorMessage\": \"moody\"\n}\n")
    );
    assert!(
        failed
            .beside
            .contains("\n430 User code exception caught: the function answered HTTP 500, "),
        "{}",
        failed.beside
    );
    let inline = alone(&home, &[r#"{"do":"fail"}"#, "--function", &function], "");
    assert_eq!((inline.code, inline.out), (Some(1), failed.out));
    let broken = alone(&home, &["{do:fail}", "--function", &function], "");
    assert_eq!(broken.code, Some(1));
    assert!(broken.beside.contains("`{do:fail}` is not JSON"), "{}", broken.beside);
    let data = alone(&home, &["--data", "no JSON", "--function", &function], "");
    assert!(data.beside.contains("\n400 "), "{}", data.beside);
    let silent = alone(
        &home,
        &["--function", &function, "--init-timeout", "0.3", "--env", "MOODY=silent"],
        "",
    );
    assert_eq!(silent.code, Some(1));
    assert!(
        silent.beside.contains("446 The request timed out in 300ms.Please confirm"),
        "{}",
        silent.beside
    );
    assert_nothing_left(&home);
}

#[test]
fn an_invalid_command_line_is_explained() {
    let home = home();
    let unknown = alone(&home, &["cloudaudit"], "");
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.beside.contains("did you mean eventbridge.cloudaudit?"), "{}", unknown.beside);
    assert_eq!(alone(&home, &["--web", "GET"], "").code, Some(2));
    let memory =
        alone(&home, &["--function", &moody().display().to_string(), "--memory", "100"], "");
    assert!(memory.beside.contains("the memory in MB is 100"), "{}", memory.beside);
    let list = alone(&home, &["--list"], "");
    assert!(list.out.lines().any(|line| line.starts_with("timer ")), "{}", list.out);
}

#[test]
fn a_running_function_is_invoked_warm_and_leaves_nothing_behind() {
    let home = home();
    fs::create_dir(home.path().join("events")).unwrap();
    fs::write(home.path().join("events/mine.json"), r#"{"do":"pid"}"#).unwrap();
    let running = Running::start(
        &home,
        &[&moody().display().to_string(), "--no-sandbox", "--retry-interval", "0.02"],
    );
    let said = running.invoke(&home, &[]);
    assert!(said.beside.contains(", warm, "), "{}", said.beside);
    let process = format!("/proc/{}", said.out.trim());
    assert!(Path::new(&process).exists());
    let shown = running.invoke(&home, &["mine", "--headers"]);
    assert!(
        shown.beside.contains("  X-Scf-Request-Id: ") && shown.beside.contains("  :status: 200"),
        "{}",
        shown.beside
    );
    let web = running.invoke(&home, &["--web", "GET", "/"]);
    assert!(web.code == Some(1) && web.beside.contains("of type `event`"), "{}", web.beside);
    fs::write(home.path().join("fails.json"), r#"{"do":"fail"}"#).unwrap();
    let later = running.invoke(&home, &["fails.json", "--async"]);
    assert!(
        later.code == Some(0) && later.beside.starts_with("202, taken, request "),
        "{}",
        later.beside
    );
    running.notes.wait("given up after 2 retries", 1);
    assert_eq!(running.log.wait("START", 5).len(), 5);
    assert_eq!(running.terminate(), Some(0));
    assert!(!Path::new(&process).exists(), "the instance has ended");
    assert_nothing_left(&home);
}

#[test]
fn function_toml_has_the_defaults_of_flags() {
    let home = home();
    fs::write(
        home.path().join("function.toml"),
        "type = \"web\"\nregion = \"ap-beijing\"\nimage = \
         \"ccr.ccs.tencentyun.com/a/b:c\"\nmemory_mb = 256\ntimeout_s = 9\n\n[environment]\nA = \
         \"file\"\nB = \"file\"\n",
    )
    .unwrap();
    let running = Running::start(
        &home,
        &[&moody().display().to_string(), "--timeout", "8", "--env", "A=flag"],
    );
    running.notes.wait("type web, 256 MB, 8 s", 1);
    let env = running.invoke(&home, &["--web", "GET", "/env"]).out;
    for line in ["A=flag", "B=file", "TENCENTCLOUD_REGION=ap-beijing"] {
        assert!(env.lines().any(|have| have == line), "no `{line}` in {env}");
    }
    assert_eq!(running.terminate(), Some(0));
}

/// Regression: `FIRSTBYTE_LOG=debug firstbyte invoke` logged no more than before, without a word.
#[test]
fn variables_for_the_log_reach_the_function_from_the_shell() {
    let home = home();
    fs::write(
        home.path().join("function.toml"),
        "type = \"event\"\nregion = \"ap-beijing\"\nimage = \
         \"ccr.ccs.tencentyun.com/a/b:c\"\n\n[environment]\nFIRSTBYTE_LOG = \"warn\"\n",
    )
    .unwrap();
    let function = moody().display().to_string();
    let ask = |address: &str, flags: &[&str]| {
        let mut command = firstbyte(home.path());
        command.args(["invoke", r#"{"do":"env"}"#, "--function", &function]).args(flags);
        command.args(["--address", address]);
        command.env("FIRSTBYTE_LOG", "debug").env("FIRSTBYTE_LOG_FORMAT", "json");
        said(command.env("FIRSTBYTE_ADDR", "0.0.0.0:1").env("MINE", "1").output().unwrap())
    };
    let has = |said: &Said, line: &str| said.out.lines().any(|have| have == line);
    let said = ask(&nowhere(), &[]);
    assert!(has(&said, "FIRSTBYTE_LOG=debug"), "it wins over function.toml: {}", said.out);
    assert!(has(&said, "FIRSTBYTE_LOG_FORMAT=json"), "{}", said.out);
    assert!(!said.out.contains("MINE=") && !said.out.contains("0.0.0.0:1"), "{}", said.out);
    let said = ask(&nowhere(), &["--env", "FIRSTBYTE_LOG=info"]);
    assert!(has(&said, "FIRSTBYTE_LOG=info"), "a flag wins: {}", said.out);

    let running = Running::start(&home, &[&function]);
    let said = ask(&running.address, &[]);
    assert!(has(&said, "FIRSTBYTE_LOG=warn"), "{}", said.out);
    let note = " does not get FIRSTBYTE_LOG, FIRSTBYTE_LOG_FORMAT: set it where ";
    assert!(said.beside.contains(note), "{}", said.beside);
    assert_eq!(running.terminate(), Some(0));
    assert_nothing_left(&home);
}

/// Regression: if no function ran, `{}` went to a Web function's /event-invoke and counted as a
/// success.
#[test]
fn a_call_of_the_wrong_type_is_refused_whether_or_not_the_function_runs() {
    let home = home();
    let function = moody().display().to_string();
    let settings = |kind: &str| {
        let text = format!(
            "type = \"{kind}\"\nregion = \"ap-beijing\"\nimage = \
             \"ccr.ccs.tencentyun.com/a/b:c\"\n"
        );
        fs::write(home.path().join("function.toml"), text).unwrap();
    };
    let web = ["--web", "GET", "/version", "--function", &function];
    let event = ["--function", function.as_str()];
    for (kind, wrong, right, hint) in [
        ("web", &event[..], &web[..], "call it with `--web GET /path`"),
        ("event", &web[..], &event[..], "leave `--web` out"),
    ] {
        settings(kind);
        let refused = alone(&home, wrong, "");
        assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""), "{}", refused.beside);
        assert!(refused.beside.contains(&format!("is of type `{kind}`")), "{}", refused.beside);
        assert!(refused.beside.contains(hint), "{}", refused.beside);
        let running = Running::start(&home, &[&function]);
        assert_eq!(
            running.invoke(&home, &wrong[..wrong.len() - 2]).beside,
            refused.beside,
            "the same message"
        );
        assert_eq!(running.terminate(), Some(0));
        let done = alone(&home, right, "");
        assert_eq!(done.code, Some(0), "{}", done.beside);
    }
    let said = alone(&home, &[&web[..], &["--type", "web"]].concat(), "");
    assert_eq!((said.code, said.out.as_str()), (Some(0), "one\n"), "{}", said.beside);
    assert_nothing_left(&home);
}

#[test]
fn an_event_above_the_limit_is_refused_with_the_platforms_message() {
    let home = home();
    let function = moody().display().to_string();
    fs::write(home.path().join("big.json"), format!("\"{}\"", "x".repeat(12 << 20))).unwrap();
    let refused = alone(&home, &["big.json", "--function", &function], "");
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.beside.contains("\n406 ") && !refused.beside.contains("pipe"),
        "{}",
        refused.beside
    );
}

/// Regression: it ended when the first build failed, and sources are often incomplete when a person
/// begins to watch them.
#[test]
fn a_watching_run_waits_for_the_first_version_that_builds() {
    let home = home();
    common::package(home.path());
    let main = home.path().join("src/main.rs");
    fs::write(&main, "no Rust").unwrap();
    let mut command = firstbyte(home.path());
    command.args(["run", "--watch", "--address", "127.0.0.1:0"]);
    let mut child =
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let notes = follow(child.stderr.take().unwrap());
    notes.wait("waiting for a change", 1);
    fs::write(&main, MOODY).unwrap();
    let line = notes.wait("http://", 1).remove(0);
    let address: SocketAddr =
        line.split("http://").nth(1).unwrap().split(": ").next().unwrap().parse().unwrap();
    assert_eq!(post(address, "version").body, b"one");
    fs::write(
        home.path().join("function.toml"),
        "region = \"ap-beijing\"\nimage = \"ccr.ccs.tencentyun.com/a/b:c\"\nmemory_mb = 256\n",
    )
    .unwrap();
    notes.wait("type event, 256 MB", 1);
    assert_eq!(post(address, "version").body, b"one");
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_nothing_left(&home);
}

/// The platform does this with Code.ImageConfig.
#[test]
fn command_and_args_of_function_toml_replace_the_images_own() {
    let home = home();
    let root = home.path().join("context");
    fs::create_dir(&root).unwrap();
    fs::copy(moody(), root.join("app")).unwrap();
    let recipe =
        "FROM scratch\nCOPY app /bin/app\nENTRYPOINT [\"/bin/app\", \"first\"]\nCMD [\"own\"]\n";
    let context = FolderContext::open(&root).unwrap();
    let built = assemble(&Recipe::parse(recipe).unwrap(), &context, &Options::default()).unwrap();
    layout::write(&built.image, &home.path().join("target/image/oci")).unwrap();
    let function = moody().display().to_string();
    let elf = ["-", "--function", function.as_str()];
    for (lines, flags, expected) in [
        ("command = \"/bin/app\"\n", &["-", "--image"][..], "own\n"),
        ("command = \"/bin/app\"\nargs = [\"-u\", \"x\"]\n", &["-", "--image"], "-u x\n"),
        ("command = \"/bin/app\"\nargs = [\"-u\"]\n", &["-", "--image", "--no-sandbox"], "-u\n"),
        // A program without an image ignores `command`.
        ("command = \"/bin/app\"\nargs = [\"-u\", \"x\"]\n", &elf, "-u x\n"),
    ] {
        let text =
            format!("region = \"ap-beijing\"\nimage = \"ccr.ccs.tencentyun.com/a/b:c\"\n{lines}");
        fs::write(home.path().join("function.toml"), text).unwrap();
        let said = alone(&home, flags, r#"{"do":"args"}"#);
        assert_eq!(said.out, expected, "{lines}{flags:?}: {}", said.beside);
    }
    assert_nothing_left(&home);
}

#[test]
fn an_image_runs_with_its_own_settings() {
    let home = home();
    let root = home.path().join("context");
    fs::create_dir(&root).unwrap();
    fs::copy(moody(), root.join("app")).unwrap();
    let recipe = "FROM scratch\nCOPY app /bin/app\nENV FROM_IMAGE=yes\nUSER \
                  65532:65532\nENTRYPOINT [\"/bin/app\"]\n";
    let context = FolderContext::open(&root).unwrap();
    let built = assemble(&Recipe::parse(recipe).unwrap(), &context, &Options::default()).unwrap();
    layout::write(&built.image, &home.path().join("target/image/oci")).unwrap();
    for flags in [&["--image"][..], &["--image", "--no-sandbox"]] {
        let said = alone(&home, &[&["-"], flags].concat(), r#"{"do":"env"}"#);
        assert!(said.out.contains("FROM_IMAGE=yes\n"), "{}{}", said.out, said.beside);
    }
    assert_nothing_left(&home);
}

/// Ends the caller when it is dropped, even if the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_watching_run_answers_with_saved_changes_and_drops_no_request() {
    let home = home();
    common::package(home.path());
    let main = home.path().join("src/main.rs");
    let running = Running::start(&home, &["--watch", "--instances", "4"]);
    let address: SocketAddr = running.address.parse().unwrap();
    let stopped = &AtomicBool::new(false);
    thread::scope(|scope| {
        let stop = Stop(stopped);
        let (first, ready) = mpsc::channel();
        let caller = scope.spawn(move || {
            let (begun, mut replies) = (Instant::now(), Vec::new());
            while !stopped.load(Ordering::Relaxed) && begun.elapsed() < 2 * PATIENCE {
                let reply = post(address, "version");
                replies.push((reply.status, String::from_utf8_lossy(&reply.body).into_owned()));
                let _ = first.send(()); // only the first is waited for
            }
            replies
        });
        ready.recv().unwrap();
        fs::write(&main, MOODY.replacen("\"one\"", "\"two\"", 1)).unwrap();
        running.notes.wait("src/main.rs has changed", 1);
        running.notes.wait("swapped; listens", 1);
        assert_eq!(post(address, "version").body, b"two");
        fs::write(&main, "no Rust").unwrap();
        running.notes.wait("the old version stays", 1);
        assert_eq!(post(address, "version").body, b"two");
        drop(stop);
        let replies = caller.join().unwrap();
        assert!(replies.iter().all(|(status, _)| *status == 200), "{replies:?}");
        let twos = replies.iter().skip_while(|(_, version)| version == "one");
        assert!(replies[0].1 == "one" && replies.last().unwrap().1 == "two", "{replies:?}");
        assert!(
            twos.into_iter().all(|(_, version)| version == "two"),
            "no reply of the old version after one of the new: {replies:?}"
        );
    });
    assert_eq!(running.terminate(), Some(0));
    assert_nothing_left(&home);
}

/// The first steps in a new project: its folder, its function, one of its events. Cargo builds the
/// function with all dependencies.
#[test]
fn the_templates_function_answers_its_sample() {
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../template");
    let mut command = firstbyte(&template);
    command.env("TMPDIR", env!("CARGO_TARGET_TMPDIR")).args([
        "invoke",
        "timer",
        "--address",
        &nowhere(),
    ]);
    let said = said(command.output().unwrap());
    assert_eq!(
        said.out, "{\n  \"message\": \"EveryDay fired at 2019-02-21T11:49:00Z\"\n}\n",
        "{}",
        said.beside
    );
    assert_eq!(said.code, Some(0));
}

/// Regression: `firstbyte invoke | head -1` panicked.
#[test]
fn a_closed_pipe_is_ignored_and_a_full_disk_is_an_error() {
    let home = home();
    let run = |arguments: &[&str], out: Stdio, beside: Stdio| {
        let mut command = firstbyte(home.path());
        let done = command.args(arguments).stdout(out).stderr(beside).output().unwrap();
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    let full = || Stdio::from(fs::File::options().write(true).open("/dev/full").unwrap());
    let moody = moody().to_str().unwrap().to_owned();
    let address = nowhere();
    let invoke = ["invoke", "timer", "--function", &moody, "--address", &address];
    let pages = home.path().join("pages").display().to_string();
    for arguments in
        [&["invoke", "--list"][..], &invoke, &["completions", "bash"], &["man", &pages]]
    {
        let (code, beside) = run(arguments, closed(), Stdio::piped());
        assert!(code == Some(0) && !beside.contains("panicked"), "{arguments:?}: {beside}");
        assert_eq!(run(arguments, closed(), closed()).0, Some(0), "{arguments:?}");
        let (code, beside) = run(arguments, full(), Stdio::piped());
        assert!(
            code == Some(1) && beside.contains("error: standard output cannot be written"),
            "{arguments:?}: {beside}"
        );
    }
    assert_nothing_left(&home);
}
