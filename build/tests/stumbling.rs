//! Push and pull survive temporary faults at each step, and leave nothing incomplete after
//! permanent ones. The registry is in memory and has faults (common/stumbling.rs).

mod common;

use common::stumbling::{Fault, Plan, Setup, Step, Stumbling};
use common::{Tar, image};
use microimage::image::Image;
use microimage::registry::{Credentials, Registry, RegistryError, parse_reference};
use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

/// Bytes that gzip cannot compress: Marsaglia's xorshift, 64 bits.
fn noise(bytes: usize, mut state: u64) -> Vec<u8> {
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .take(bytes / 8)
    .flatten()
    .collect()
}

/// An image with a small layer and a layer that is sent in pieces.
fn sample() -> Image {
    image(&[
        Tar::default().file("app", b"elf").bytes(),
        Tar::default().file("noise", &noise(6 << 20, 0x9e37_79b9_7f4a_7c15)).bytes(),
    ])
}

fn open(stumbling: &Stumbling, credentials: &Credentials) -> Registry {
    let place = format!("{}/team/x:1", stumbling.address);
    Registry::new(parse_reference(&place).expect("a reference"), credentials).expect("prepared")
}

fn basic(password: &str) -> Credentials {
    Credentials::Basic { username: "user".into(), password: password.into() }
}

/// The bytes of an image's layers.
fn layers(image: &Image) -> Vec<Vec<u8>> {
    let read = |layer: &microimage::image::Layer| {
        let mut bytes = Vec::new();
        layer.open().and_then(|mut r| r.read_to_end(&mut bytes)).expect("verified");
        bytes
    };
    image.layers().iter().map(read).collect()
}

/// Checks that a pushed image is complete in the registry and is pulled unchanged.
fn is_whole(stumbling: &Stumbling, image: &Image, credentials: &Credentials, what: &str) {
    assert_eq!(stumbling.half_pushed(), [""; 0], "{what}");
    assert_eq!(stumbling.manifest("/1").as_deref(), Some(image.manifest_bytes()), "{what}");
    stumbling.plan(Vec::new());
    let pulled = open(stumbling, credentials).pull("amd64").expect(what);
    assert!(layers(&pulled) == layers(image), "{what}");
}

/// Runs every case on its own thread: most of their time is back-off.
fn each<T: Send + 'static>(cases: Vec<T>, run: fn(T)) {
    let threads: Vec<_> = cases.into_iter().map(|case| thread::spawn(move || run(case))).collect();
    for thread in threads {
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

fn passing() -> Vec<Fault> {
    vec![
        Fault::Status(503, None),
        Fault::Status(500, None),
        Fault::Status(429, Some("1")),
        Fault::Status(429, Some("Thu, 01 Jan 1970 00:00:00 GMT")),
        Fault::Reset,
        Fault::LostReply,
        Fault::Slow(Duration::from_millis(300)),
    ]
}

#[test]
fn a_push_survives_each_fault_at_each_step() {
    let steps = [Step::Knock, Step::Look, Step::Begin, Step::Piece, Step::End, Step::Tag];
    let mut cases = Vec::new();
    for step in steps {
        cases.extend(passing().into_iter().map(|fault| (step, fault)));
    }
    each(cases, |(step, fault)| {
        let what = format!("{fault:?} at {step:?}");
        let plan = Plan { step, fault, times: 2 };
        let stumbling = Stumbling::start(Setup::default(), vec![plan]);
        let image = sample();
        open(&stumbling, &Credentials::Anonymous).push(&image).expect(&what);
        is_whole(&stumbling, &image, &Credentials::Anonymous, &what);
    });
}

#[test]
fn a_pull_survives_each_fault_at_each_step() {
    let mut cases = Vec::new();
    for step in [Step::Knock, Step::Manifest, Step::Blob] {
        cases.extend(passing().into_iter().map(|fault| (step, fault)));
        cases.push((step, Fault::Truncated));
    }
    cases.push((Step::Blob, Fault::OtherBytes)); // damaged once in transit
    for no_ranges in [false, true] {
        let cases = cases.iter().cloned().map(|(step, fault)| (step, fault, no_ranges)).collect();
        each(cases, |(step, fault, no_ranges)| {
            let what = format!("{fault:?} at {step:?}, no ranges: {no_ranges}");
            let stumbling = Stumbling::start(Setup { no_ranges, ..Setup::default() }, Vec::new());
            let image = sample();
            open(&stumbling, &Credentials::Anonymous).push(&image).expect("a push");
            let times = if fault == Fault::OtherBytes { 1 } else { 2 };
            stumbling.plan(vec![Plan { step, fault, times }]);
            let pulled = open(&stumbling, &Credentials::Anonymous).pull("amd64").expect(&what);
            assert!(layers(&pulled) == layers(&image), "{what}");
        });
    }
}

#[test]
fn a_blob_is_resumed_and_not_sent_again() {
    // down: the second request asks for the missing part
    let stumbling = Stumbling::start(Setup::default(), Vec::new());
    let image = image(&[Tar::default().file("noise", &noise(6 << 20, 7)).bytes()]);
    open(&stumbling, &Credentials::Anonymous).push(&image).expect("a push");
    let config = image.config_descriptor().digest.to_string();
    let big = |asked: &common::stumbling::Asked| {
        asked.step == Step::Blob && !asked.path.ends_with(&config)
    };
    // The configuration is the first or the second blob: both may fail.
    stumbling.plan(vec![Plan { step: Step::Blob, fault: Fault::Truncated, times: 2 }]);
    let pulled = open(&stumbling, &Credentials::Anonymous).pull("amd64").expect("a pull");
    assert!(layers(&pulled) == layers(&image));
    let asked: Vec<_> = stumbling.asked().into_iter().filter(big).collect();
    let resumed = asked.iter().any(|asked| {
        let first = asked.range.trim_start_matches("bytes=").trim_end_matches('-').parse::<u64>();
        first.is_ok_and(|first| first > 1 << 20)
    });
    assert!(resumed, "{asked:?}");

    // up: the client asks for the offset and sends the rest
    let stumbling = Stumbling::start(
        Setup::default(),
        vec![Plan { step: Step::Piece, fault: Fault::Reset, times: 1 }],
    );
    open(&stumbling, &Credentials::Anonymous).push(&image).expect("a push");
    assert_eq!((stumbling.asked_for(Step::Offset), stumbling.asked_for(Step::Piece)), (1, 2));
    assert_eq!(stumbling.asked_for(Step::Begin), 2, "one for each of the two blobs");
}

#[test]
fn a_permanent_fault_is_an_error_and_no_tag_is_set() {
    let mut cases = Vec::new();
    for step in [Step::Knock, Step::Look, Step::Begin, Step::Piece, Step::End, Step::Tag] {
        for fault in [
            Fault::Status(503, None),
            Fault::Status(429, Some("86400")),
            Fault::Status(400, None),
            Fault::Status(403, None),
            Fault::Reset,
            Fault::Redirect("http://192.0.2.1/elsewhere".into()),
        ] {
            // a server with TLS answers a plain request with a plain 400; the other faults are
            // errors
            let is_answer =
                step == Step::Knock && !matches!(fault, Fault::Reset | Fault::Status(503 | 429, _));
            if !is_answer {
                cases.push((step, fault));
            }
        }
    }
    each(cases, |(step, fault)| {
        let what = format!("{fault:?} at {step:?}");
        let stumbling = Stumbling::start(Setup::default(), Vec::new());
        let before = image(&[Tar::default().file("app", b"before").bytes()]);
        open(&stumbling, &Credentials::Anonymous).push(&before).expect("a push");
        stumbling.plan(vec![Plan { step, fault: fault.clone(), times: u32::MAX }]);
        let error = open(&stumbling, &Credentials::Anonymous).push(&sample()).expect_err(&what);
        let text = error.to_string();
        match fault {
            Fault::Status(503, _) => assert!(text.contains("(tried 5 times)"), "{what}: {text}"),
            Fault::Status(429, _) => assert!(text.contains("to wait 86400 s"), "{what}: {text}"),
            Fault::Status(403, _) => {
                assert!(matches!(error, RegistryError::Denied { .. }), "{what}: {text}");
            }
            _ => {}
        }
        assert_eq!(stumbling.half_pushed(), [""; 0], "{what}");
        assert_eq!(stumbling.manifest("/1").as_deref(), Some(before.manifest_bytes()), "{what}");
    });
}

#[test]
fn a_registry_with_wrong_bytes_is_refused() {
    each(vec![Fault::OtherBytes, Fault::Truncated], |fault| {
        let stumbling = Stumbling::start(Setup::default(), Vec::new());
        open(&stumbling, &Credentials::Anonymous).push(&sample()).expect("a push");
        stumbling.plan(vec![Plan { step: Step::Blob, fault, times: u32::MAX }]);
        let error = open(&stumbling, &Credentials::Anonymous).pull("amd64").expect_err("lies");
        assert!(error.to_string().contains("while pulling"), "{error}");
    });
}

#[test]
fn endless_replies_are_read_up_to_the_limit() {
    let cases = vec![Step::Token, Step::Manifest, Step::Blob, Step::Knock, Step::Tag, Step::End];
    each(cases, |step| {
        let setup = Setup { login: Some("user:s3cret"), ..Setup::default() };
        let stumbling = Stumbling::start(setup, Vec::new());
        open(&stumbling, &basic("s3cret")).push(&sample()).expect("a push");
        stumbling.plan(vec![Plan { step, fault: Fault::Endless, times: u32::MAX }]);
        let started = Instant::now();
        let other = image(&[Tar::default().file("app", b"other").bytes()]);
        let results = [
            open(&stumbling, &basic("s3cret")).pull("amd64").map(drop),
            open(&stumbling, &basic("s3cret")).push(&other).map(drop),
        ];
        if matches!(step, Step::Token) {
            assert!(results.iter().all(Result::is_err), "{step:?}");
        }
        if matches!(step, Step::Manifest | Step::Blob) {
            assert!(results[0].is_err(), "{step:?}");
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{step:?}: {results:?}");
    });
}

#[test]
fn a_token_that_expires_is_fetched_again() {
    let steps = [Step::Look, Step::Begin, Step::Piece, Step::End, Step::Tag];
    each(steps.into(), |step| {
        let what = format!("at {step:?}");
        let setup = Setup { login: Some("user:s3cret"), ..Setup::default() };
        let plan = Plan { step, fault: Fault::ExpiredToken, times: 2 };
        let stumbling = Stumbling::start(setup, vec![plan]);
        let image = sample();
        open(&stumbling, &basic("s3cret")).push(&image).expect(&what);
        is_whole(&stumbling, &image, &basic("s3cret"), &what);
        assert!(stumbling.asked_for(Step::Token) >= 2, "{what}");
    });
}

#[test]
fn an_identity_token_goes_to_the_token_server_only() {
    let setup = Setup { login: Some("user:s3cret"), ..Setup::default() };
    let stumbling = Stumbling::start(setup, Vec::new());
    let token = Credentials::IdentityToken("r3fresh".into());
    open(&stumbling, &token).push(&sample()).expect("a push");
    is_whole(&stumbling, &sample(), &token, "with an identity token");
    let asked = stumbling.asked();
    assert!(asked.iter().all(|asked| !asked.authorization.contains("r3fresh")), "{asked:?}");
}

#[test]
fn a_missing_a_wrong_and_an_unauthorised_password_are_distinguished() {
    let place = |setup: Setup| Stumbling::start(setup, Vec::new());
    let locked = || Setup { login: Some("user:s3cret"), ..Setup::default() };
    let push = |stumbling: &Stumbling, credentials: &Credentials| {
        open(stumbling, credentials).push(&sample()).expect_err("refused").to_string()
    };
    let none = push(&place(locked()), &Credentials::Anonymous);
    let other = push(&place(locked()), &basic("0ther"));
    assert!(none.contains("no password was found for it"), "{none}");
    assert!(other.contains("does not accept the password of `user`"), "{other}");
    let stumbling = place(locked());
    stumbling.plan(vec![Plan { step: Step::Begin, fault: Fault::Status(403, None), times: 9 }]);
    let right = push(&stumbling, &basic("s3cret"));
    assert!(right.contains("`user` is logged in and lacks the permission"), "{right}");
    for text in [none, other, right] {
        assert!(!text.contains("s3cret") && !text.contains("0ther"), "{text}");
    }
}

#[test]
fn a_login_does_not_follow_a_redirect_to_another_host() {
    // another registry on this machine, which stores its requests
    let other = Stumbling::start(Setup::default(), Vec::new());
    let image = sample();
    let blob = image.layers()[0].descriptor().digest;
    for step in [Step::Blob, Step::Manifest, Step::Token] {
        let setup = Setup { login: Some("user:s3cret"), ..Setup::default() };
        let stumbling = Stumbling::start(setup, Vec::new());
        open(&stumbling, &basic("s3cret")).push(&image).expect("a push");
        let to = format!("http://{}/v2/team/x/blobs/{blob}", other.address);
        stumbling.plan(vec![Plan { step, fault: Fault::Redirect(to), times: 1 }]);
        let _ = open(&stumbling, &basic("s3cret")).pull("amd64");
    }
    let asked = other.asked();
    assert!(!asked.is_empty(), "the redirects of a blob and a manifest are followed");
    assert!(asked.iter().all(|asked| asked.authorization.is_empty()), "{asked:?}");
}

#[test]
fn a_password_does_not_go_to_a_realm_in_plain_http() {
    for realm in ["http://192.0.2.1/token", "http://127.0.0.1@192.0.2.1/token", "token", "ftp://a/"]
    {
        let realm = Some(realm.to_owned());
        let setup = Setup { login: Some("user:s3cret"), realm, ..Setup::default() };
        let stumbling = Stumbling::start(setup, Vec::new());
        let error = open(&stumbling, &basic("s3cret")).push(&sample()).expect_err("an open realm");
        assert!(matches!(error, RegistryError::Realm { .. }), "{error}");
        assert!(stumbling.asked().iter().all(|asked| asked.authorization.is_empty()));
    }
}

#[test]
fn a_registry_that_limits_pieces_gets_small_ones() {
    let stumbling = Stumbling::start(Setup { max_piece: 9 << 20, ..Setup::default() }, Vec::new());
    let large = image(&[Tar::default().file("noise", &noise(20 << 20, 3)).bytes()]);
    open(&stumbling, &Credentials::Anonymous).push(&large).expect("a push in pieces");
    is_whole(&stumbling, &large, &Credentials::Anonymous, "in pieces");
    assert_eq!(stumbling.asked_for(Step::Piece), 4, "one that is too large, then three");
}

#[test]
fn a_blob_of_another_repository_is_mounted() {
    let stumbling = Stumbling::start(Setup::default(), Vec::new());
    open(&stumbling, &Credentials::Anonymous).push(&sample()).expect("a push");
    let (pieces, ends) = (stumbling.asked_for(Step::Piece), stumbling.asked_for(Step::End));
    // This registry has one store for all repositories and would answer HEAD from it; a fault per
    // blob makes it answer 404 instead.
    stumbling.plan(vec![Plan { step: Step::Look, fault: Fault::Status(404, None), times: 3 }]);
    let place = format!("{}/other/y:1", stumbling.address);
    let reference = parse_reference(&place).expect("a reference");
    Registry::new(reference, &Credentials::Anonymous)
        .expect("prepared")
        .mounting_from("team/x")
        .push(&sample())
        .expect("a push");
    assert_eq!((stumbling.asked_for(Step::Piece), stumbling.asked_for(Step::End)), (pieces, ends));
    assert_eq!(stumbling.half_pushed(), [""; 0]);
}

#[test]
fn the_upload_of_a_damaged_layer_is_never_completed() {
    let whole = sample();
    let damaged = Image::from_parts(
        whole.manifest_bytes().to_vec(),
        whole.config_bytes().to_vec(),
        |layer| {
            let at = whole.layers().iter().position(|l| l.descriptor() == layer).expect("ours");
            let mut bytes = layers(&whole).swap_remove(at);
            *bytes.last_mut().expect("not empty") ^= 1;
            microimage::image::Blob::from_bytes(bytes)
        },
    )
    .expect("consistent as far as it can be seen");
    let stumbling = Stumbling::start(Setup::default(), Vec::new());
    let error = open(&stumbling, &Credentials::Anonymous).push(&damaged).expect_err("damaged");
    assert!(matches!(error, RegistryError::Blob { .. }), "{error}");
    assert!(stumbling.blobs() <= 1, "the configuration is whole");
    assert_eq!(stumbling.manifest("/1"), None);
}
