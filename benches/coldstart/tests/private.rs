//! Test of an image from a registry with a password, Debian's docker-registry: it is measured after
//! `docker login`. Regression: it was refused, because coldstart read no credentials.

mod common;
#[allow(dead_code)] // each test file uses its part
#[path = "../../../build/tests/common/debian.rs"]
mod debian;

use std::fs;
use std::process::{Command, Output};

use common::{COLDSTART, compile, image, skip_without_sandbox};
use debian::{DebianRegistry, HTPASSWD};
use microimage::registry::{Credentials, Registry, parse_reference};
use tempfile::TempDir;

/// Prints what a test lacks.
pub fn skipped(why: impl std::fmt::Display) {
    eprintln!("skipped: {why}");
}

fn run(home: &TempDir, arguments: &[&str], docker_config: &str) -> Output {
    let mut command = Command::new(COLDSTART);
    command.args(arguments).current_dir(home.path()).env("HOME", home.path());
    for name in ["REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "MICROIMAGE_PASSWORD"]
    {
        command.env_remove(name);
    }
    command.env("DOCKER_CONFIG", home.path().join(docker_config)).output().expect("our program")
}

#[test]
fn a_private_image_is_measured_after_a_login() {
    if skip_without_sandbox() {
        return;
    }
    let Some(program) = compile("GOOD") else {
        skipped("no C compiler that links statically (musl-gcc: Debian's musl-tools)");
        return;
    };
    let home = tempfile::tempdir().expect("a folder");
    let Some(registry) = DebianRegistry::start(home.path(), Some(HTPASSWD)) else { return };
    let place = format!("{}/private/function:1", registry.1);
    let basic = Credentials::Basic { username: "user".into(), password: "s3cret".into() };
    Registry::new(parse_reference(&place).expect("a reference"), &basic)
        .and_then(|open| open.push(&image(&program, "amd64")))
        .expect("a push");
    // The file that `docker login` writes: "user:s3cret" in base64.
    fs::create_dir(home.path().join("login")).expect("a folder");
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"dXNlcjpzM2NyZXQ="}}}}}}"#, registry.1);
    fs::write(home.path().join("login/config.json"), config).expect("a file");

    let arguments = ["--image", &place, "--samples", "2", "--link", "loopback", "--out", "out"];
    let without = run(&home, &arguments, "nothing");
    let error = String::from_utf8_lossy(&without.stderr);
    assert_eq!(without.status.code(), Some(4), "{error}");
    assert!(error.contains("no password was found for it"), "{error}");

    let with = run(&home, &arguments, "login");
    assert!(with.status.success(), "{}", String::from_utf8_lossy(&with.stderr));
    assert!(home.path().join("out/results.json").exists());
    // coldstart has microimage's flags for registries
    let error = run(&home, &[&arguments[..], &["--ca", "no.pem"]].concat(), "login");
    assert!(error.status.success(), "a registry without TLS needs no certificate");
}
