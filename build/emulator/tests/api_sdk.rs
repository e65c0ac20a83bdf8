//! Test of the emulated API with Tencent's Python SDK from PyPI, whose models parse every answer.

mod common;
mod stand_in;

use stand_in::StandIn;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A Python that has the SDK: the one that `build/setup --deploy` made, or one made here once.
fn python() -> Option<PathBuf> {
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let data = data.or_else(|| Some(std::env::home_dir()?.join(".local/share")))?;
    let made = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("sdk");
    let has = |home: &PathBuf| {
        let mut command = Command::new(home.join("bin/python3"));
        command.args(["-c", "import tencentcloud.scf, tencentcloud.cls"]).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let homes = [data.join("firstbyte/sdk"), made.clone()];
    if let Some(home) = homes.into_iter().find(has) {
        return Some(home.join("bin/python3"));
    }
    let packages = ["tencentcloud-sdk-python-scf", "tencentcloud-sdk-python-cls"];
    let quiet = ["install", "--quiet", "--disable-pip-version-check"];
    let venv = Command::new("python3").args(["-m", "venv"]).arg(&made).status();
    let pip = Command::new(made.join("bin/pip")).args(quiet).args(packages).status();
    if venv.is_ok_and(|s| s.success()) && pip.is_ok_and(|s| s.success()) && has(&made) {
        return Some(made.join("bin/python3"));
    }
    eprintln!("skipped: no SDK, and PyPI cannot be reached; run `build/setup --deploy`");
    None
}

#[test]
fn the_python_sdk_makes_calls_searches_and_cleans_up() {
    let Some(python) = python() else { return };
    let stand_in = StandIn::start(&[]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs/sdk.py");
    let output = Command::new(python)
        .arg(script)
        .arg(format!("http://{}", stand_in.address))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(text(&output.stdout), "done\n");
}
