//! Tests of WebSockets with foreign clients: Python's websockets and wsproto, and a browser.
//! `build/setup --websocket` installs them; a test without its client is skipped with a message.

use outside::PATIENCE;
use outside::server::Server;
use rustix::process::Signal;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A Python that has the clients: the one of `build/setup --websocket`, or one made here once.
fn python() -> Option<PathBuf> {
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let data = data.or_else(|| Some(std::env::home_dir()?.join(".local/share")))?;
    let made = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("websocket");
    let has = |home: &PathBuf| {
        let mut command = Command::new(home.join("bin/python3"));
        command.args(["-c", "import websockets, wsproto"]).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let homes = [data.join("firstbyte/websocket"), made.clone()];
    if let Some(home) = homes.into_iter().find(has) {
        return Some(home.join("bin/python3"));
    }
    let quiet = ["install", "--quiet", "--disable-pip-version-check", "websockets", "wsproto"];
    let venv = Command::new("python3").args(["-m", "venv"]).arg(&made).status();
    let pip = Command::new(made.join("bin/pip")).args(quiet).status();
    if venv.is_ok_and(|s| s.success()) && pip.is_ok_and(|s| s.success()) && has(&made) {
        return Some(made.join("bin/python3"));
    }
    eprintln!("skipped: no websockets and wsproto here; `build/setup --websocket` installs them");
    None
}

fn chromium() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let mut all = std::env::split_paths(&folders)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .filter(|path| path.is_file());
    let found = all.next();
    if found.is_none() {
        eprintln!("skipped: no chromium on PATH; `build/setup --websocket` installs it");
    }
    found
}

fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("programs").join(name)
}

#[test]
fn pythons_clients_agree_with_the_server() {
    let Some(python) = python() else { return };
    let mut server = Server::start(Command::new(env!("CARGO_BIN_EXE_websocket")));
    let mut client = Command::new(python)
        .arg(program("websocket_clients.py"))
        .arg(format!("ws://{}", server.address))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut lines = BufReader::new(client.stdout.take().expect("piped")).lines();
    let first = lines.next().map(|line| line.expect("text"));
    if first.as_deref() == Some("ready") {
        server.signal(Signal::TERM);
    }
    let last = lines.next().map(|line| line.expect("text"));
    let status = client.wait().expect("it ends");
    assert_eq!((first.as_deref(), last.as_deref()), (Some("ready"), Some("done")), "{status}");
    assert!(server.wait().success());
}

/// Two pages of examples/chat.rs, served by the function itself.
#[test]
fn two_pages_of_a_browser_talk_to_each_other() {
    let (Some(chromium), Some(python)) = (chromium(), python()) else { return };
    let server = Server::start(Command::new(outside::program::chat()));
    let mut talk = Command::new("timeout");
    talk.arg((6 * PATIENCE.as_secs()).to_string()).arg(python).arg(program("browser.py"));
    talk.arg(chromium).arg(format!("http://{}", server.address)).stdin(Stdio::null());
    let output = talk.output().expect("Python starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let all = format!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.ends_with("done\n"), "{all}\n{:?}", server.output());
    let expected = [
        r#"Ann ["connected",["Ann comes in"]]"#,
        r#"Ann ["connected",["Ann comes in","Bob comes in","Bob: hello"]]"#,
        r#"Bob ["connected",["Bob comes in","Bob: hello"]]"#,
        r#"Bob ["connected",["Bob comes in","Bob: hello","Ann: <b>wörter</b>"]]"#,
        "elsewhere refused 1006",
        r#"Bob ["closed with 1009",["Bob comes in","Bob: hello","Ann: <b>wörter</b>"]]"#,
    ];
    for line in expected {
        assert!(said.lines().any(|said| said == line), "{line} was not seen:\n{all}");
    }
    assert!(said.contains("Bob leaves"), "{all}");
}
