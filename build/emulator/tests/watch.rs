//! Test of a package that is edited while it is called: the next version takes over, and no request
//! is refused.

mod common;

use common::{MOODY, PATIENCE, Stage, config, post};
use emulator::config::Config;
use emulator::front::Front;
use emulator::program::Source;
use emulator::watch::{Swap, Watch};
use microimage::cargo::compiler::CCompiler;
use microimage::cargo::{Cargo, Profile};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

/// The moody function as a package that `cargo` finds.
fn package(folder: &Path) -> Source {
    common::package(folder);
    let home = std::env::var_os("CARGO_HOME")
        .map(Into::into)
        .or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let cargo = Cargo {
        program: env!("CARGO").into(),
        home: home.expect("cargo has a home"),
        linker: None,
        c_compiler: CCompiler::default(),
    };
    Source::find(None, folder, &cargo, Profile::Dev).expect("the package is found")
}

/// Ends the caller when it is dropped.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn an_edited_package_is_swapped_in_without_dropping_a_request() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let source = package(folder.path());
    let main = folder.path().join("src/main.rs");
    // The slow request sleeps longer than the build of the new version takes, and less than its
    // time-out.
    let stage =
        Stage::of(Config { max_instances: 4, timeout: PATIENCE, ..config() }, true, &source);
    let pool = stage.platform.pool().clone();
    let mut watch = Watch::start(&pool.program()).unwrap();
    let front = Front::open("127.0.0.1:0".parse().unwrap(), stage.platform.clone()).unwrap();
    let address = front.address();

    let stop = AtomicBool::new(false);
    let stopped = &stop;
    thread::scope(|scope| {
        // The caller must end even if the test fails.
        let stop = Stop(stopped);
        let (first, ready) = mpsc::channel();
        let caller = scope.spawn(move || {
            let mut replies = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let reply = post(address, "version");
                replies.push((reply.status, String::from_utf8_lossy(&reply.body).into_owned()));
                let _ = first.send(());
            }
            replies
        });
        ready.recv().unwrap();
        fs::write(&main, MOODY.replacen("\"one\"", "\"two\"", 1)).unwrap();
        assert_eq!(watch.wait(PATIENCE).as_ref(), Some(&main));
        let slow = scope.spawn(move || post(address, "sleep 2500"));
        stage.log.wait("Init Report", 2); // the slow request has an instance of the old version
        let old = pool.pids();
        let swap = watch.swap(&source, &pool, pool.config());
        assert!(matches!(swap, Swap::Done(_)), "{swap:?}");
        assert_eq!(post(address, "version").body, b"two");
        assert_eq!(
            slow.join().unwrap().status,
            200,
            "the old version finishes the request in flight"
        );
        drop(stop);
        let replies = caller.join().unwrap();
        assert!(replies.iter().all(|(status, _)| *status == 200), "{replies:?}");
        let twos = replies.iter().filter(|(_, version)| version == "two").count();
        let left = pool.pids();
        assert!(old.iter().all(|pid| !left.contains(pid)), "files of {old:?} are left in {left:?}");
        assert!(
            twos > 0 && replies[..replies.len() - twos].iter().all(|(_, version)| version == "one"),
            "{replies:?}"
        );
    });

    fs::write(&main, "no Rust").unwrap();
    assert!(watch.wait(PATIENCE).is_some());
    assert!(matches!(watch.swap(&source, &pool, pool.config()), Swap::NotBuilt(_)));
    fs::write(&main, "fn main() {}").unwrap();
    assert!(watch.wait(PATIENCE).is_some());
    let swap = watch.swap(&source, &pool, pool.config());
    assert!(matches!(&swap, Swap::NotStarted(verdict) if verdict.status() == 405), "{swap:?}");
    assert_eq!(
        post(address, "version").body,
        b"two",
        "the running version stays until another one starts"
    );
    fs::write(&main, MOODY.replacen("\"one\"", "\"two\"", 1) + "// the same program\n").unwrap();
    assert!(watch.wait(PATIENCE).is_some());
    let swap = watch.swap(&source, &pool, pool.config());
    assert!(matches!(swap, Swap::Same), "{swap:?}");

    // A change of function.toml is a change of the function too.
    let settings = folder.path().join("function.toml");
    fs::write(&settings, "").unwrap();
    assert_eq!(watch.wait(PATIENCE).as_ref(), Some(&settings));
    let other = Arc::new(Config { memory_mib: 256, ..(*pool.config()).clone() });
    let swap = watch.swap(&source, &pool, other);
    assert!(matches!(swap, Swap::Done(_)), "{swap:?}");
    assert_eq!(stage.platform.config().memory_mib, 256);
    for name in ["Cargo.toml", ".cargo/config.toml"] {
        let path = folder.path().join(name);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text + "\n").unwrap();
        assert_eq!(watch.wait(PATIENCE).as_ref(), Some(&path));
    }
}
