//! Push and pull against Debian's docker-registry if it is installed, and against a faulty registry
//! of a few lines. Everything listens on loopback.

mod common;

use common::debian::{DebianRegistry, HTPASSWD};
use common::{Tar, image};
use microimage::digest::Digest;
use microimage::entry::LayerLimits;
use microimage::image::Image;
use microimage::registry::{Credentials, Registry, RegistryError, parse_reference};
use microimage::source;
use microimage::unpack::unpack_image;
use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

fn sample() -> Image {
    image(&[Tar::default().file("app", b"elf").bytes(), Tar::default().file("more", b"x").bytes()])
}

fn registry(reference: &str, credentials: &Credentials) -> Registry {
    Registry::new(parse_reference(reference).expect("a reference"), credentials)
        .expect("an event loop")
}

#[test]
fn a_pushed_image_is_pulled_as_the_same_image() {
    let home = tempfile::tempdir().expect("a folder");
    let Some(debian) = DebianRegistry::start(home.path(), None) else { return };
    let place = format!("{}/team/echo:v1", debian.1);
    let pinned = registry(&place, &Credentials::Anonymous).push(&sample()).expect("a push");
    assert_eq!(pinned, format!("{place}@{}", sample().manifest_digest()));
    // At the second push, everything exists already.
    registry(&place, &Credentials::Anonymous).push(&sample()).expect("a second push");
    // Another program finds the same manifest.
    let seen = Command::new("skopeo")
        .args([
            "inspect",
            "--tls-verify=false",
            "--format",
            "{{.Digest}}",
            &format!("docker://{place}"),
        ])
        .output();
    match seen {
        Ok(seen) => assert_eq!(
            String::from_utf8_lossy(&seen.stdout).trim(),
            sample().manifest_digest().to_string()
        ),
        Err(error) => common::skipped(format_args!("`skopeo` is not installed ({error})")),
    }
    for name in [&place, &pinned, &format!("docker://{place}")] {
        let pulled = source::load(name).expect(name);
        assert_eq!(
            (pulled.manifest_bytes(), pulled.config_bytes()),
            (sample().manifest_bytes(), sample().config_bytes())
        );
        let dest = home.path().join(format!("rootfs-{}", name.len()));
        unpack_image(&pulled, &dest, &LayerLimits::default()).expect("verified layers");
        assert_eq!(fs::read(dest.join("app")).expect("a file"), b"elf");
    }
    let error =
        source::load(&format!("{}/team/echo:v2", debian.1)).expect_err("no such tag").to_string();
    assert!(error.contains("does not exist in the registry"), "{error}");
    let by_digest = format!("{}/team/echo@{}", debian.1, Digest::of(b"other"));
    let error = source::load(&by_digest).expect_err("no such digest").to_string();
    assert!(error.contains("does not exist in the registry"), "{error}");
}

#[test]
fn an_index_needs_its_own_tag() {
    let home = tempfile::tempdir().expect("a folder");
    let Some(debian) = DebianRegistry::start(home.path(), None) else { return };
    let amd64 = sample();
    let config = String::from_utf8_lossy(amd64.config_bytes()).replace("amd64", "arm64");
    let blobs: Vec<_> =
        [Tar::default().file("app", b"elf").bytes(), Tar::default().file("more", b"x").bytes()]
            .map(|t| common::gzip(&t))
            .into();
    let arm64 = common::image_of(&blobs, &serde_json::from_str(&config).expect("JSON"));
    let at = |tag: &str| registry(&format!("{}/echo:{tag}", debian.1), &Credentials::Anonymous);
    at("v1").push(&amd64).expect("a push");
    let error =
        at("v1").push_index(&[amd64.clone(), arm64.clone()]).expect_err("the tag is an image's");
    assert!(matches!(error, RegistryError::TagTaken(_)), "{error}");
    let error = at("all")
        .push_index(&[amd64.clone(), amd64.clone()])
        .expect_err("twice the same")
        .to_string();
    assert!(error.contains("two images are for linux/amd64"), "{error}");
    at("all").push_index(&[amd64.clone(), arm64.clone()]).expect("an index");
    at("all").push_index(&[amd64.clone(), arm64.clone()]).expect("the index again");
    for (architecture, image) in [("amd64", &amd64), ("arm64", &arm64)] {
        let pulled = at("all").pull(architecture).expect(architecture);
        assert_eq!(
            (pulled.manifest_digest(), pulled.chosen_from_index()),
            (image.manifest_digest(), true)
        );
    }
    assert!(!at("v1").pull("amd64").expect("still an image").chosen_from_index());
}

#[test]
fn a_registry_with_a_password_requires_it() {
    let home = tempfile::tempdir().expect("a folder");
    let Some(debian) = DebianRegistry::start(home.path(), Some(HTPASSWD)) else { return };
    let place = format!("{}/echo:v1", debian.1);
    let basic =
        |password: &str| Credentials::Basic { username: "user".into(), password: password.into() };
    for credentials in [Credentials::Anonymous, basic("wrong")] {
        let error = registry(&place, &credentials).push(&sample()).expect_err("not allowed");
        assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("docker login") && !text.contains("wrong"), "{text}");
    }
    registry(&place, &basic("s3cret")).push(&sample()).expect("allowed");
    let pulled = registry(&place, &basic("s3cret")).pull("amd64").expect("allowed");
    assert_eq!(pulled.manifest_digest(), sample().manifest_digest());
}

/// A registry that answers from a table, `path → (status, extra header lines, body)`, and stores
/// the requests.
struct Scripted {
    address: String,
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

type Answers = HashMap<String, (u16, String, Vec<u8>)>;

impl Scripted {
    fn start(answers: impl FnOnce(&str) -> Answers) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let answers = Arc::new(answers(&address));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (answers, log) = (Arc::clone(&answers), Arc::clone(&log));
                thread::spawn(move || answer(&stream.expect("a connection"), &answers, &log));
            }
        });
        Scripted { address, asked }
    }
}

fn answer(stream: &TcpStream, answers: &Answers, log: &Mutex<Vec<(String, String)>>) {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    if reader.read_line(&mut request).unwrap_or(0) == 0 {
        return;
    }
    let (mut authorization, mut line) = (String::new(), String::new());
    while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
        if line.to_ascii_lowercase().starts_with("authorization:") {
            authorization = line[14..].trim().to_owned();
        }
        line.clear();
    }
    let path = request
        .split(' ')
        .nth(1)
        .unwrap_or_default()
        .split('?')
        .next()
        .unwrap_or_default()
        .to_owned();
    log.lock().expect("no one panics here").push((path.clone(), authorization.clone()));
    // A path that needs a token is listed twice: with the prefix `token ` for requests with a
    // token.
    let with_token =
        answers.get(&format!("token {path}")).filter(|_| authorization == "Bearer t0ken");
    let (status, headers, body) =
        with_token.or(answers.get(&path)).cloned().unwrap_or((404, String::new(), b"{}".to_vec()));
    let mut stream = stream;
    let _ = write!(
        stream,
        "HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(&body);
}

fn ok(body: &[u8]) -> (u16, String, Vec<u8>) {
    (200, "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n".into(), body.to_vec())
}

/// The answers to all requests of a pull of `image` as `x:1`.
fn honest(image: &Image) -> Answers {
    let mut answers = HashMap::from([
        ("/v2/".to_owned(), ok(b"{}")),
        ("/v2/x/manifests/1".to_owned(), ok(image.manifest_bytes())),
        (format!("/v2/x/blobs/{}", image.config_descriptor().digest), ok(image.config_bytes())),
    ]);
    for layer in image.layers() {
        let mut bytes = Vec::new();
        layer.open().and_then(|mut r| r.read_to_end(&mut bytes)).expect("in memory");
        answers.insert(format!("/v2/x/blobs/{}", layer.descriptor().digest), ok(&bytes));
    }
    answers
}

#[test]
fn fetches_a_token_from_the_realm_and_sends_it() {
    let scripted = Scripted::start(|address| {
        let mut answers = HashMap::from([("/token".to_owned(), ok(br#"{"token":"t0ken"}"#))]);
        let challenge = format!(
            "WWW-Authenticate: Bearer realm=\"http://{address}/token\",service=\"test\"\r\n"
        );
        for (path, reply) in honest(&sample()) {
            answers.insert(path.clone(), (401, challenge.clone(), b"{}".to_vec()));
            answers.insert(format!("token {path}"), reply);
        }
        answers
    });
    let credentials = Credentials::Basic { username: "user".into(), password: "s3cret".into() };
    let pulled =
        registry(&format!("{}/x:1", scripted.address), &credentials).pull("amd64").expect("a pull");
    assert_eq!(pulled.manifest_digest(), sample().manifest_digest());
    let asked = scripted.asked.lock().expect("no one panics there");
    // The name and the password go only to the token server.
    let basic: Vec<_> = asked
        .iter()
        .filter(|(_, auth)| auth.starts_with("Basic"))
        .map(|(path, _)| path.as_str())
        .collect();
    assert_eq!(basic, ["/token"]);
    assert!(
        asked
            .iter()
            .filter(|(path, _)| path.contains("/blobs/"))
            .all(|(_, auth)| auth == "Bearer t0ken"),
        "{asked:?}"
    );
}

#[test]
fn a_password_does_not_go_to_a_realm_without_tls() {
    let credentials = Credentials::Basic { username: "user".into(), password: "s3cret".into() };
    // No server exists at this address, and none is called: the address is reserved for
    // documentation (RFC 5737).
    let realm = "http://192.0.2.1/token";
    let scripted = Scripted::start(|_| {
        let challenge = format!("WWW-Authenticate: Bearer realm=\"{realm}\",service=\"test\"\r\n");
        HashMap::from([("/v2/".to_owned(), (401, challenge, b"{}".to_vec()))])
    });
    let place = format!("{}/x:1", scripted.address);
    for result in [
        registry(&place, &credentials).pull("amd64").map(drop),
        registry(&place, &credentials).push(&sample()).map(drop),
    ] {
        let error = result.expect_err("an open realm");
        assert!(matches!(&error, RegistryError::Realm { realm: r, .. } if r == realm), "{error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
    let asked = scripted.asked.lock().expect("no one panics there");
    assert!(asked.iter().all(|(path, auth)| path == "/v2/" && auth.is_empty()), "{asked:?}");
}

/// Regression: the environment's credentials went to every registry in any argument of any command.
#[test]
fn the_environments_password_goes_to_its_registry_only() {
    let scripted = Scripted::start(|_| {
        let mut answers = HashMap::new();
        for (path, reply) in honest(&sample()) {
            answers.insert(
                path.clone(),
                (200, "WWW-Authenticate: Basic realm=\"test\"\r\n".into(), reply.2),
            );
        }
        answers
    });
    let home = tempfile::tempdir().expect("a folder");
    let place = format!("{}/x:1", scripted.address);
    let run = |arguments: &[&str], registry: Option<&str>| {
        scripted.asked.lock().expect("no one panics there").clear();
        let output = Command::new(env!("CARGO_BIN_EXE_microimage"))
            .args(arguments)
            .current_dir(home.path())
            .env("DOCKER_CONFIG", home.path())
            .env("MICROIMAGE_USERNAME", "user")
            .env("MICROIMAGE_PASSWORD", "s3cret")
            .env("MICROIMAGE_REGISTRY", registry.unwrap_or_default())
            .output()
            .expect("our own program");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("error"), "{output:?}");
        scripted
            .asked
            .lock()
            .expect("no one panics there")
            .iter()
            .any(|(_, auth)| auth.starts_with("Basic"))
    };
    for arguments in [&["inspect", &place][..], &["diff", &place, &place], &["check", &place]] {
        assert!(!run(arguments, None), "{arguments:?}: the registry is only part of a name");
        assert!(run(arguments, Some(&scripted.address)), "{arguments:?}");
        assert!(!run(arguments, Some("registry.example.com")), "{arguments:?}");
    }
    assert!(
        run(&["pull", &place, "-o", "one"], None),
        "the credentials are for the registry of the pull"
    );
    assert!(!run(&["pull", &place, "-o", "two"], Some("registry.example.com")));
    assert!(run(&["pull", &place, "-o", "three"], Some(&scripted.address)));
}

#[test]
fn an_endless_manifest_is_read_up_to_the_limit() {
    let scripted = Scripted::start(|_| {
        HashMap::from([
            ("/v2/".to_owned(), ok(b"{}")),
            ("/v2/x/manifests/1".to_owned(), ok(&vec![b' '; 5 << 20])),
        ])
    });
    let error = registry(&format!("{}/x:1", scripted.address), &Credentials::Anonymous)
        .pull("amd64")
        .expect_err("5 MiB")
        .to_string();
    assert!(error.contains("its manifest has more than 4194304 bytes"), "{error}");
}

/// Regression: a layer was read completely into memory before it was sent.
#[test]
fn a_layer_of_many_pieces_is_pushed_unchanged() {
    let home = tempfile::tempdir().expect("a folder");
    let Some(debian) = DebianRegistry::start(home.path(), None) else { return };
    // Bytes that gzip cannot compress: Marsaglia's xorshift, 64 bits.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .take((20 << 20) / 8)
    .flatten()
    .collect();
    let large = image(&[Tar::default().file("noise", &noise).bytes()]);
    assert!(large.total_compressed_bytes() > 16 << 20);
    let place = format!("{}/large:1", debian.1);
    registry(&place, &Credentials::Anonymous).push(&large).expect("a push");
    let pulled = registry(&place, &Credentials::Anonymous).pull("amd64").expect("a pull");
    unpack_image(&pulled, &home.path().join("rootfs"), &LayerLimits::default())
        .expect("verified layers");
    assert!(fs::read(home.path().join("rootfs/noise")).expect("a file") == noise);
}

#[test]
fn refuses_wrong_replies_of_a_registry() {
    let image = sample();
    let layer = image.layers()[0].descriptor().digest;
    let (blob, config) = (
        format!("/v2/x/blobs/{layer}"),
        format!("/v2/x/blobs/{}", image.config_descriptor().digest),
    );
    let index = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json",
        "manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":2,
        "digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "platform":{"os":"linux","architecture":"s390x"}}]}"#;
    type Lie = (&'static str, String, (u16, String, Vec<u8>), &'static str);
    let flipped = || {
        let mut bytes = honest(&image)[&blob].2.clone();
        bytes[20] ^= 1;
        bytes
    };
    let cut = || honest(&image)[&blob].2[..30].to_vec();
    let longer = || [honest(&image)[&blob].2.clone(), vec![0; 100]].concat();
    let lies: Vec<Lie> = vec![
        ("other bytes in a layer", blob.clone(), ok(&flipped()), "pulling layer"),
        ("a layer that is cut", blob.clone(), ok(&cut()), "pulling layer"),
        (
            "a layer that is longer",
            blob.clone(),
            ok(&longer()),
            "more bytes arrive than the manifest promises",
        ),
        (
            "a layer that is not there",
            blob.clone(),
            (404, String::new(), b"{}".to_vec()),
            "pulling layer",
        ),
        (
            "a server that fails",
            blob.clone(),
            (500, String::new(), b"oops".to_vec()),
            "pulling layer",
        ),
        ("other bytes in the configuration", config, ok(b"{}"), "the configuration"),
        ("a manifest that is none", "/v2/x/manifests/1".into(), ok(b"{]"), "not an image manifest"),
        (
            "an index of other platforms",
            "/v2/x/manifests/1".into(),
            ok(index),
            "index without linux/amd64; it has: linux/s390x",
        ),
        (
            "no access",
            "/v2/x/manifests/1".into(),
            (403, String::new(), b"{}".to_vec()),
            "refuses access while pulling the manifest",
        ),
    ];
    for (what, path, reply, says) in lies {
        let scripted = Scripted::start(|_| {
            let mut answers = honest(&image);
            answers.insert(path, reply);
            answers
        });
        let error = registry(&format!("{}/x:1", scripted.address), &Credentials::Anonymous)
            .pull("amd64")
            .expect_err(what)
            .to_string();
        assert!(error.contains(says), "{what}: {error}");
    }
}

#[test]
fn refuses_a_manifest_that_is_not_the_pinned_one() {
    let other = image(&[Tar::default().file("evil", b"x").bytes()]);
    let pinned = sample().manifest_digest();
    let scripted = Scripted::start(|_| {
        HashMap::from([
            ("/v2/".to_owned(), ok(b"{}")),
            (format!("/v2/x/manifests/{pinned}"), ok(other.manifest_bytes())),
        ])
    });
    let error = registry(&format!("{}/x@{pinned}", scripted.address), &Credentials::Anonymous)
        .pull("amd64")
        .expect_err("a lie")
        .to_string();
    assert!(error.contains("pulling the manifest"), "{error}");
}

#[test]
fn reports_an_unreachable_registry_and_an_invalid_reference() {
    let address = TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("a port that was free")
        .to_string();
    let error = registry(&format!("{address}/x:1"), &Credentials::Anonymous)
        .pull("amd64")
        .expect_err("no server there");
    assert!(matches!(error, RegistryError::Connect { .. }), "{error}");
    let error = parse_reference("localhost:5000/UPPER:1").expect_err("no reference").to_string();
    assert!(error.contains("`localhost:5000/UPPER:1` is not an image reference"), "{error}");
    let by_digest = registry(&format!("{address}/x@{}", Digest::of(b"")), &Credentials::Anonymous)
        .push(&sample())
        .expect_err("no tag");
    assert!(matches!(by_digest, RegistryError::NoTag(_)), "{by_digest}");
}
