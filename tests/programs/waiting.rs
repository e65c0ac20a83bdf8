//! A function whose handlers wait in every way that the standard library knows, and whose threads
//! come first in every way: built as functions are built (static, musl, fat LTO), by the tests of
//! tests/contract/waiting.rs and tests/contract/allocator.rs.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), no_main)]

use firstbyte::{App, Init, Request};
use std::thread;

firstbyte::main!(app());

fn app() -> App {
    let set = |name: &str| std::env::var_os(name).is_some();
    let mut app = App::new().route("GET", "/threads", two_threads_after_each_other).web(|_| "here");
    if set("THREADS_BEFORE_LISTENING") {
        app = app.init(Init::BeforeListening, || two_threads_after_each_other_alone());
    }
    if set("THREADS_BEFORE_FIRST_REQUEST") {
        app = app.init(Init::FirstRequest, || two_threads_after_each_other_alone());
    }
    if set("SERVE_ON_A_THREAD") {
        let served = thread::spawn(move || app.try_serve()).join();
        std::process::exit(if matches!(served, Ok(Ok(()))) { 0 } else { 1 });
    }
    app
}

/// More than the boot arena has.
fn allocate() -> usize {
    let block = vec![1u8; 4 << 20];
    let small: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    std::hint::black_box(&block).len() + small.iter().map(String::len).sum::<usize>()
}

fn two_threads_after_each_other_alone() {
    for _ in 0..2 {
        assert_eq!(thread::spawn(allocate).join().ok(), Some((4 << 20) + 2890));
    }
}

fn two_threads_after_each_other(_: Request<'_>) -> &'static str {
    two_threads_after_each_other_alone();
    "both"
}
