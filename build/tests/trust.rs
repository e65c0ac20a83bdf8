//! Trust in registries, from the command line: certificates, passwords and their places. It uses
//! Debian's docker-registry on loopback, with TLS and with a password.

mod common;

use common::debian::{DebianRegistry, HTPASSWD};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder with an image to push, and an environment without credentials.
struct Client(tempfile::TempDir);

impl Client {
    fn new() -> Client {
        let home = tempfile::tempdir().expect("a folder");
        let client = Client(home);
        let image = common::image(&[common::Tar::default().file("app", b"elf").bytes()]);
        microimage::layout::write(&image, &client.path("oci")).expect("a layout");
        client
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_microimage"));
        command.args(arguments).current_dir(self.0.path());
        for name in ["DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"] {
            command.env_remove(name);
        }
        for name in ["MICROIMAGE_USERNAME", "MICROIMAGE_PASSWORD", "MICROIMAGE_REGISTRY"] {
            command.env_remove(name);
        }
        command.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR").env("HOME", self.0.path());
        command.envs(environment.iter().copied()).output().expect("our own program")
    }

    /// Pushes the image; returns the error if it fails.
    fn push(
        &self,
        place: &str,
        flags: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<String, String> {
        let arguments = [&["push", place, "--image", "oci"], flags].concat();
        let output = self.run(&arguments, environment);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&output.stderr)),
        }
    }
}

/// Runs openssl; `false`, with a message, if it is not installed.
fn openssl(folder: &Path, arguments: &[&str]) -> bool {
    match Command::new("openssl").args(arguments).current_dir(folder).output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            true
        }
        Err(error) => {
            common::skipped(format_args!("`openssl` is not installed ({error})"));
            false
        }
    }
}

/// An authority (ca.crt) and a registry's certificate signed by it (leaf.crt, leaf.key).
fn authority(folder: &Path) -> bool {
    let made = openssl(
        folder,
        &["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
            .into_iter()
            .chain(["-subj", "/CN=our authority", "-keyout", "ca.key", "-out", "ca.crt"])
            .collect::<Vec<_>>(),
    );
    made && signed(folder, "leaf", "subjectAltName=DNS:localhost,IP:127.0.0.1")
}

/// A certificate NAME.crt with its key, signed by the folder's authority.
fn signed(folder: &Path, name: &str, extensions: &str) -> bool {
    fs::write(folder.join("extensions"), extensions).expect("a file");
    let [key, request, certificate] = ["key", "csr", "crt"].map(|end| format!("{name}.{end}"));
    let asked = ["req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=somebody"];
    openssl(folder, &[&asked[..], &["-keyout", &key, "-out", &request]].concat())
        && openssl(
            folder,
            &[
                &["x509", "-req", "-in", &request, "-CA", "ca.crt", "-CAkey", "ca.key"][..],
                &["-CAcreateserial", "-days", "2", "-extfile", "extensions"],
                &["-out", &certificate],
            ]
            .concat(),
        )
}

/// A self-signed certificate, as the usual openssl command makes it, marked as an authority's.
fn self_signed(folder: &Path, names: &str) -> bool {
    let names = format!("subjectAltName={names}");
    let mut arguments = vec!["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"];
    arguments.extend(["-subj", "/CN=localhost", "-keyout", "leaf.key", "-out", "leaf.crt"]);
    if names.len() > "subjectAltName=".len() {
        arguments.extend(["-addext", names.as_str()]);
    }
    openssl(folder, &arguments)
}

fn tls(home: &Path) -> Option<DebianRegistry> {
    DebianRegistry::with(home, None, Some((&home.join("leaf.crt"), &home.join("leaf.key"))))
}

#[test]
fn tls_is_used_on_loopback_too_and_its_certificate_must_be_trusted() {
    let home = tempfile::tempdir().expect("a folder");
    if !authority(home.path()) {
        return;
    }
    let Some(debian) = tls(home.path()) else { return };
    let client = Client::new();
    let ca = home.path().join("ca.crt").display().to_string();
    for host in [debian.1.clone(), debian.1.replace("127.0.0.1", "localhost")] {
        let place = format!("{host}/echo:v1");
        let error = client.push(&place, &[], &[]).expect_err("an unknown authority");
        assert!(
            error.contains(&format!("the certificate of `{host}` is not trusted"))
                && error.contains("--ca FILE"),
            "{error}"
        );
        client.push(&place, &["--ca", &ca], &[]).expect("the authority is named");
        client.push(&place, &[], &[("SSL_CERT_FILE", &ca)]).expect("it is the system's");
        client.push(&place, &["--insecure-registry", &host], &[]).expect("anything goes");
        let other = ["--insecure-registry", "registry.example.com"];
        client.push(&place, &other, &[]).expect_err("that is another registry");
        // every command that reads an image has the same flags
        for command in [&["inspect", &place][..], &["diff", &place, "oci"], &["check", &place]] {
            let output = client.run(&[command, &["--ca", &ca]].concat(), &[]);
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(!error.contains("error"), "{command:?}: {error}");
        }
        // a folder per host, as in Docker and podman
        let folder = client.path("config/containers/certs.d").join(&host);
        fs::create_dir_all(&folder).expect("a folder");
        fs::copy(&ca, folder.join("our.crt")).expect("a file");
        let config = client.path("config").display().to_string();
        client.push(&place, &[], &[("XDG_CONFIG_HOME", &config)]).expect("the host's own");
    }
    let error = client.push(&format!("{}/x:1", debian.1), &["--ca", "nothing"], &[]).expect_err("");
    assert!(error.contains("`nothing` cannot be used"), "{error}");
    let error = client.push(&format!("{}/x:1", debian.1), &["--ca", "oci/index.json"], &[]);
    assert!(error.expect_err("no PEM").contains("no `BEGIN CERTIFICATE`"));
}

/// As in Docker: `client.cert` and `client.key` beside the authority (Docker's documentation,
/// "Verify repository client with certificates"). Debian's registry refuses with an alert; nginx
/// answers 400 after the handshake.
#[test]
fn a_registry_that_requests_a_certificate_gets_it() {
    let home = tempfile::tempdir().expect("a folder");
    let other = tempfile::tempdir().expect("a folder");
    if !authority(home.path())
        || !signed(home.path(), "client", "extendedKeyUsage=clientAuth")
        || !authority(other.path())
        || !signed(other.path(), "client", "extendedKeyUsage=clientAuth")
    {
        return;
    }
    let at = |name: &str| home.path().join(name);
    let tls = (at("leaf.crt"), at("leaf.key"));
    let tls = (tls.0.as_path(), tls.1.as_path());
    let client = Client::new();
    let Some(plain) = DebianRegistry::start(client.0.path(), None) else { return };
    let asking = DebianRegistry::asking(home.path(), None, Some(tls), Some(&at("ca.crt")));
    let nginx = DebianRegistry::behind_nginx(home.path(), &plain, tls, &at("ca.crt"));
    for server in [asking, nginx].into_iter().flatten() {
        let host = &server.1;
        let place = format!("{host}/echo:v1");
        let config = client.path("config").display().to_string();
        let folder = client.path("config/containers/certs.d").join(host);
        fs::create_dir_all(&folder).expect("a folder");
        fs::copy(at("ca.crt"), folder.join("our.crt")).expect("a file");
        let push = || client.push(&place, &[], &[("XDG_CONFIG_HOME", &config)]);
        let put = |from: &Path, name: &str| {
            fs::copy(from, folder.join(name)).expect("a file");
        };
        let asks = format!("`{host}` asks for a client certificate: ");
        let advice = format!("/etc/docker/certs.d/{host}, as client.cert and client.key");
        let error = push().expect_err("no certificate is sent");
        assert!(error.contains(&format!("{asks}there is none; put it")), "{error}");
        assert!(error.contains(&advice), "{error}");
        put(&at("client.crt"), "client.cert");
        let error = push().expect_err("without its key");
        assert!(
            error.contains(&asks) && error.contains("client.key` cannot be used: No such file"),
            "{error}"
        );
        put(&at("leaf.key"), "client.key");
        let error = push().expect_err("another key");
        assert!(error.contains(&asks) && error.contains("client.key` cannot be used"), "{error}");
        put(&at("client.key"), "client.key");
        let pushed = push().expect("the certificate is sent");
        assert!(pushed.starts_with(&format!("{place}@sha256:")), "{pushed}");
        let output = client.run(&["diff", &place, "oci"], &[("XDG_CONFIG_HOME", &config)]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        put(&other.path().join("client.crt"), "client.cert");
        put(&other.path().join("client.key"), "client.key");
        let error = push().expect_err("nobody's client");
        assert!(!error.contains("BEGIN"), "{error}");
        assert!(error.contains(&format!("{asks}it does not accept the one in")), "{error}");
    }
}

/// An unreadable key causes no error with a registry that does not request it.
#[test]
fn a_certificate_that_is_not_requested_need_not_be_readable() {
    let home = tempfile::tempdir().expect("a folder");
    if !authority(home.path()) {
        return;
    }
    let Some(debian) = tls(home.path()) else { return };
    let client = Client::new();
    let folder = client.path("config/containers/certs.d").join(&debian.1);
    fs::create_dir_all(&folder).expect("a folder");
    fs::copy(home.path().join("ca.crt"), folder.join("our.crt")).expect("a file");
    fs::write(folder.join("client.cert"), "torn").expect("a file");
    let config = client.path("config").display().to_string();
    let place = format!("{}/echo:v1", debian.1);
    client.push(&place, &[], &[("XDG_CONFIG_HOME", &config)]).expect("it is not requested");
}

/// rustls refuses an authority's certificate as a server's (`CaUsedAsEndEntity`).
#[test]
fn a_self_signed_certificate_is_trusted_if_it_is_named() {
    let home = tempfile::tempdir().expect("a folder");
    if !self_signed(home.path(), "DNS:localhost,IP:127.0.0.1") {
        return;
    }
    let Some(debian) = tls(home.path()) else { return };
    let client = Client::new();
    let leaf = home.path().join("leaf.crt").display().to_string();
    let place = format!("{}/echo:v1", debian.1);
    let error = client.push(&place, &[], &[]).expect_err("not given");
    assert!(error.contains("is not trusted: it is self-signed"), "{error}");
    client.push(&place, &["--ca", &leaf], &[]).expect("it is named");
    client.push(&place, &[], &[("SSL_CERT_FILE", &leaf)]).expect("it is the system's");
    // another certificate with the same name is not trusted
    let other = tempfile::tempdir().expect("a folder");
    self_signed(other.path(), "DNS:localhost,IP:127.0.0.1");
    let other = other.path().join("leaf.crt").display().to_string();
    client.push(&place, &["--ca", &other], &[]).expect_err("it is another");
}

#[test]
fn a_trusted_certificate_for_another_host_is_refused() {
    for (names, says) in [
        ("DNS:registry.example.com", "it is for other hosts"),
        ("", "it names no host in `subjectAltName`"),
    ] {
        let home = tempfile::tempdir().expect("a folder");
        if !self_signed(home.path(), names) {
            return;
        }
        let Some(debian) = tls(home.path()) else { return };
        let leaf = home.path().join("leaf.crt").display().to_string();
        let place = format!("{}/echo:v1", debian.1.replace("127.0.0.1", "localhost"));
        let error = Client::new().push(&place, &["--ca", &leaf], &[]).expect_err("another name");
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn passwords_of_docker_and_podman_are_found() {
    let home = tempfile::tempdir().expect("a folder");
    let Some(debian) = DebianRegistry::start(home.path(), Some(HTPASSWD)) else { return };
    let client = Client::new();
    let place = format!("{}/private/echo:v1", debian.1);
    let (user, password) = (("MICROIMAGE_USERNAME", "user"), ("MICROIMAGE_PASSWORD", "s3cret"));
    // "user:s3cret", "user:0ther" and "user:" in base64
    let file = |auth: &str| format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, debian.1);
    for (name, auth) in
        [("right", "dXNlcjpzM2NyZXQ="), ("other", "dXNlcjowdGhlcg=="), ("half", "dXNlcjo=")]
    {
        for place in ["config.json", "containers/auth.json"] {
            let path = client.path(name).join(place);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, file(auth)).expect("a file");
        }
    }
    // a helper, and one without an entry
    let helpers = client.path("bin");
    fs::create_dir_all(&helpers).expect("a folder");
    for (name, script) in [
        ("docker-credential-known", r#"grep -q : && echo '{"Username":"user","Secret":"s3cret"}'"#),
        ("docker-credential-empty", "echo credentials not found in native keychain; exit 1"),
        ("docker-credential-broken", "echo s3cret; exit 3"),
    ] {
        let path = helpers.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
    }
    let paths = format!("{}:/usr/bin:/bin", helpers.display());
    for (folder, helper) in
        [("known", "known"), ("empty", "empty"), ("broken", "broken"), ("escape", "../../bin/sh")]
    {
        fs::create_dir_all(client.path(folder)).expect("a folder");
        let text = format!(r#"{{"credHelpers":{{"{}":"{helper}"}}}}"#, debian.1);
        fs::write(client.path(folder).join("config.json"), text).expect("a file");
    }
    fs::create_dir_all(client.path("torn")).expect("a folder");
    fs::write(client.path("torn/config.json"), "{\"auths\":").expect("a file");
    // a store that this machine does not have, and a password beside it
    fs::create_dir_all(client.path("beside")).expect("a folder");
    let text = file("dXNlcjpzM2NyZXQ=").replacen('{', r#"{"credsStore":"desktop.exe","#, 1);
    fs::write(client.path("beside/config.json"), text).expect("a file");

    let at = |folder: &str| client.path(folder).display().to_string();
    let (right, other, half) = (at("right"), at("other"), at("half"));
    let auth_file = format!("{right}/containers/auth.json");
    for environment in [
        vec![user, password],
        vec![("DOCKER_CONFIG", right.as_str())],
        vec![("REGISTRY_AUTH_FILE", &auth_file)],
        vec![("XDG_RUNTIME_DIR", &right)],
        vec![("XDG_CONFIG_HOME", &right)],
        vec![("DOCKER_CONFIG", &at("known")), ("PATH", &paths)],
        vec![("DOCKER_CONFIG", &at("beside"))],
        vec![("DOCKER_CONFIG", &at("torn")), ("XDG_CONFIG_HOME", &right)],
        // credentials for this registry in the environment take precedence over a file
        vec![user, password, ("DOCKER_CONFIG", &other)],
    ] {
        let pushed = client.push(&place, &[], &environment);
        assert!(pushed.is_ok(), "{environment:?}: {pushed:?}");
    }
    for (environment, says) in [
        (vec![], "no password was found for it"),
        (vec![("DOCKER_CONFIG", other.as_str())], "does not accept the password of `user`"),
        (vec![user, ("MICROIMAGE_PASSWORD", "0ther")], "does not accept the password of `user`"),
        (vec![user], "MICROIMAGE_USERNAME is set, MICROIMAGE_PASSWORD is missing"),
        (vec![password], "MICROIMAGE_PASSWORD is set, MICROIMAGE_USERNAME is missing"),
        (vec![("DOCKER_CONFIG", &half)], "config.json` is set, a password is missing"),
        (vec![("DOCKER_CONFIG", &at("torn"))], "torn/config.json`: it holds text other than JSON"),
        (vec![("DOCKER_CONFIG", &at("empty")), ("PATH", &paths)], "no password was found for it"),
        (
            vec![("DOCKER_CONFIG", &at("broken")), ("PATH", &paths)],
            "`docker-credential-broken` failed",
        ),
        (vec![("DOCKER_CONFIG", &at("known")), ("PATH", "/nowhere")], "cannot be started"),
        (vec![("DOCKER_CONFIG", &at("escape"))], "is not the name of a credential helper"),
    ] {
        let error = client.push(&place, &[], &environment).expect_err(says);
        assert!(error.contains(says), "{environment:?}: {error}");
        assert!(!error.contains("s3cret") && !error.contains("0ther"), "{error}");
    }
    // inspecting an image may require a password, and uses the configured one
    let environment = [("DOCKER_CONFIG", right.as_str())];
    for command in
        [&["inspect", &place][..], &["unpack", &place, "files"], &["diff", &place, "oci"]]
    {
        let output = client.run(command, &environment);
        assert!(
            output.status.success(),
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// Regression: an unreadable docker configuration stopped an anonymous push.
#[test]
fn credentials_that_are_not_required_need_not_be_readable() {
    let home = tempfile::tempdir().expect("a folder");
    let Some(debian) = DebianRegistry::start(home.path(), None) else { return };
    let client = Client::new();
    fs::create_dir_all(client.path("torn")).expect("a folder");
    fs::write(client.path("torn/config.json"), "{\"auths\":").expect("a file");
    let torn = client.path("torn").display().to_string();
    let place = format!("{}/echo:v1", debian.1);
    client.push(&place, &[], &[("DOCKER_CONFIG", &torn)]).expect("not needed");
    client.push(&place, &[], &[("MICROIMAGE_USERNAME", "user")]).expect("not needed");
}

#[test]
fn several_names_get_one_image() {
    let home = tempfile::tempdir().expect("a folder");
    let Some(debian) = DebianRegistry::start(home.path(), None) else { return };
    let client = Client::new();
    let places = ["team/echo:v1", "team/echo:latest", "other/echo:v1"];
    let places: Vec<_> = places.iter().map(|name| format!("{}/{name}", debian.1)).collect();
    let mut arguments = vec!["push", "--image", "oci"];
    arguments.extend(places.iter().map(String::as_str));
    let output = client.run(&arguments, &[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let pinned: Vec<_> = text.lines().collect();
    assert_eq!(pinned.len(), 3, "{text}");
    for (place, pinned) in places.iter().zip(pinned) {
        assert!(pinned.starts_with(&format!("{place}@sha256:")), "{pinned}");
        let output = client.run(&["diff", place, "oci"], &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    // from one registry to another, without a layout in between
    let copy = format!("{}/copy/echo:v1", debian.1);
    let output = client.run(&["push", &copy, "--image", &places[0]], &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
