//! Function whose handlers wait in every way of the standard library, and start threads in every
//! order. It is built as functions are (static, musl, fat LTO), for tests/contract/waiting.rs and
//! tests/contract/allocator.rs.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), no_main)]

use firstbyte::{
    App, Error, Init, Limits, Reply, Request, Result, background, blocking, sleep, stopping,
};
use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;
use std::sync::mpsc;
use std::sync::{Condvar, LazyLock, Mutex, OnceLock, RwLock};
use std::thread;
use std::time::{Duration, Instant};

firstbyte::main!(app());

fn app() -> App {
    let set = |name: &str| std::env::var_os(name).is_some();
    let workers = std::env::var("WORKERS").ok().and_then(|text| text.parse().ok());
    let mut app = App::new()
        .workers(workers.unwrap_or(1))
        .route("GET", "/threads", two_threads_after_each_other)
        .route("GET", "/wait/{how}", wait_alone)
        .route("GET", "/once/{how}", once)
        .route("GET", "/mutex/{how}", mutex)
        .route("GET", "/rwlock/{how}", rwlock)
        .route("GET", "/parking-lot/{how}", parking_lot_mutex)
        .route("GET", "/stream/{how}", stream)
        .route("GET", "/turns", turns)
        .route("GET", "/channel", channel)
        .route("GET", "/scope", scope)
        .route("GET", "/timed", timed)
        .route("GET", "/print", print)
        .route("GET", "/unwind/{how}", unwind)
        .route("GET", "/rc/{how}", rc)
        .route("GET", "/lazy/{how}", lazy)
        .route("GET", "/deadlock/{how}", deadlock)
        .route("GET", "/background/{how}", in_background)
        .route("GET", "/until-stopping", until_stopping)
        .route("GET", "/ticks", ticks)
        .web(|_| "here");
    if set("THREADS_BEFORE_LISTENING") {
        app = app.init(Init::BeforeListening, two_threads_after_each_other_alone);
    }
    if set("THREADS_BEFORE_FIRST_REQUEST") {
        app = app.init(Init::FirstRequest, two_threads_after_each_other_alone);
    }
    if let Some(ms) = std::env::var("DRAIN_MS").ok().and_then(|text| text.parse().ok()) {
        let drain_timeout = Duration::from_millis(ms);
        app = app.limits(Limits { drain_timeout, background: 3, ..Limits::default() });
    }
    if let Ok(how) = std::env::var("STOP_HOOK") {
        app = app.on_stop(move || stop_hook(&how));
    }
    if set("SERVE_ON_A_THREAD") {
        let served = thread::spawn(move || app.try_serve()).join();
        std::process::exit(if matches!(served, Ok(Ok(()))) { 0 } else { 1 });
    }
    app
}

/// A size larger than the boot arena.
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

static M: Mutex<u64> = Mutex::new(0);
static R: RwLock<u64> = RwLock::new(0);
static P: parking_lot::Mutex<u64> = parking_lot::Mutex::new(0);

/// Waits for `ms` (5 by default) in the way that the path names.
fn wait(request: &Request<'_>) {
    let time = Duration::from_millis(number(request, "ms", 5));
    match request.param("how").unwrap_or_default() {
        "sleep" => sleep(time),
        "blocking" => blocking(|| thread::sleep(time)),
        "std-sleep" => thread::sleep(time),
        "computing" => {
            let end = Instant::now() + time;
            while Instant::now() < end {
                std::hint::spin_loop();
            }
        }
        "join" => drop(thread::spawn(move || thread::sleep(time)).join()),
        "" => sleep(time),
        "not" => {}
        other => panic!("unknown way to wait: {other}"),
    }
}

fn number(request: &Request<'_>, name: &str, otherwise: u64) -> u64 {
    request.query_param(name).and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn wait_alone(request: Request<'_>) -> &'static str {
    wait(&request);
    "waited"
}

/// The first use of a value whose initialiser waits; `n` names an unused one.
fn once(request: Request<'_>) -> String {
    static CELLS: [OnceLock<u64>; 64] = [const { OnceLock::new() }; 64];
    let n = number(&request, "n", 0);
    CELLS[n as usize % 64]
        .get_or_init(|| {
            wait(&request);
            n
        })
        .to_string()
}

fn mutex(request: Request<'_>) -> String {
    let mut turn = M.lock().unwrap();
    wait(&request);
    *turn += 1;
    turn.to_string()
}

fn rwlock(request: Request<'_>) -> String {
    let before = *R.read().unwrap();
    let mut turn = R.write().unwrap();
    wait(&request);
    *turn += 1;
    (*turn > before).to_string()
}

fn parking_lot_mutex(request: Request<'_>) -> String {
    let mut turn = P.lock();
    wait(&request);
    *turn += 1;
    turn.to_string()
}

/// A lock held over the writes of a stream, and over waits between them.
fn stream(request: Request<'_>) -> Result<Reply> {
    let (bytes, time) = (number(&request, "bytes", 1 << 20), number(&request, "ms", 1));
    let how = request.param("how").unwrap_or_default().to_owned();
    Reply::stream("text/plain", move |body| {
        let mut turn = M.lock().unwrap();
        *turn += 1;
        let piece = vec![b'x'; 64 << 10];
        for _ in 0..bytes / piece.len() as u64 {
            body.write_all(&piece)?;
            match how.as_str() {
                "sleep" => sleep(Duration::from_millis(time)),
                "blocking" => blocking(|| thread::sleep(Duration::from_millis(time))),
                _ => {}
            }
        }
        Ok(())
    })
}

/// Waits for itself, or for another handler that waits for it.
fn deadlock(request: Request<'_>) -> &'static str {
    static LAZY: LazyLock<u64> = LazyLock::new(|| *LAZY + 1);
    static FIRST: Mutex<()> = Mutex::new(());
    static SECOND: Mutex<()> = Mutex::new(());
    match request.param("how").unwrap_or_default() {
        "mutex" => {
            let _held = M.lock();
            drop(M.lock());
        }
        "rwlock-write" => {
            let _held = R.read();
            drop(R.write());
        }
        "rwlock-read" => {
            let _held = R.write();
            drop(R.read());
        }
        "lazy" => drop(LAZY.to_string()),
        "each-other" => {
            let turned = number(&request, "n", 0) % 2 == 1;
            let (one, other) = if turned { (&SECOND, &FIRST) } else { (&FIRST, &SECOND) };
            let _held = one.lock();
            sleep(Duration::from_millis(200));
            drop(other.lock());
        }
        "in-blocking" => blocking(|| {
            let _held = M.lock();
            drop(M.lock());
        }),
        other => panic!("no deadlock: {other}"),
    }
    "never"
}

fn stop_hook(how: &str) -> Result<()> {
    println!("the stop hook runs");
    match how {
        "fails" => return Err(Error::new("nothing to flush")),
        "panics" => panic!("nothing to flush"),
        "hangs" => thread::sleep(Duration::from_secs(60)),
        _ => {}
    }
    println!("the stop hook has run");
    Ok(())
}

/// Starts work after the reply, of the kind that the path names.
fn in_background(request: Request<'_>) -> Result<&'static str> {
    let time = Duration::from_millis(number(&request, "ms", 5));
    match request.param("how").unwrap_or_default() {
        "ends" => background(move || {
            thread::sleep(time);
            log::info!("background work has ended");
        })?,
        "panics" => background(|| -> () { panic!("in the background") })?,
        "fails" => background(|| -> Result<()> { Ok("x".parse::<u8>().map(drop)?) })?,
        "stops" => background(|| {
            while !stopping() {
                sleep(Duration::from_millis(5));
            }
            log::info!("background work has stopped");
        })?,
        other => panic!("no work: {other}"),
    }
    Ok("begun")
}

fn until_stopping(request: Request<'_>) -> &'static str {
    while !request.context().stopping() {
        wait(&request);
    }
    "told"
}

fn ticks(_: Request<'_>) -> Result<Reply> {
    Reply::stream("text/event-stream", |out| {
        while !out.stopping() {
            out.write_all(b"data: tick\n\n")?;
            sleep(Duration::from_millis(20));
        }
        out.write_all(b"data: end\n\n")
    })
}

/// Each request waits until `of` have arrived.
fn turns(request: Request<'_>) -> &'static str {
    static COME: Mutex<u64> = Mutex::new(0);
    static CHANGED: Condvar = Condvar::new();
    let of = number(&request, "of", 2);
    let mut come = COME.lock().unwrap();
    *come += 1;
    CHANGED.notify_all();
    while *come < of {
        come = CHANGED.wait(come).unwrap();
    }
    "all"
}

fn channel(request: Request<'_>) -> String {
    let time = Duration::from_millis(number(&request, "ms", 5));
    let (sender, receiver) = mpsc::sync_channel(0);
    thread::spawn(move || {
        thread::sleep(time);
        for n in 0..10 {
            if sender.send(n).is_err() {
                return;
            }
        }
    });
    receiver.iter().sum::<i32>().to_string()
}

fn scope(request: Request<'_>) -> String {
    let time = Duration::from_millis(number(&request, "ms", 5));
    let mut sums = [0; 3];
    thread::scope(|scope| {
        for (n, sum) in sums.iter_mut().enumerate() {
            scope.spawn(move || {
                thread::sleep(time);
                *sum = n;
            });
        }
    });
    sums.iter().sum::<usize>().to_string()
}

fn timed(request: Request<'_>) -> String {
    let time = Duration::from_millis(number(&request, "ms", 5));
    let began = Instant::now();
    let (lock, never) = (Mutex::new(()), Condvar::new());
    drop(never.wait_timeout(lock.lock().unwrap(), time).unwrap());
    let (_sender, receiver) = mpsc::channel::<()>();
    assert!(receiver.recv_timeout(time).is_err());
    thread::park_timeout(time);
    (began.elapsed() >= 2 * time).to_string()
}

/// Holds the standard output's lock over a wait.
fn print(request: Request<'_>) -> Result<&'static str> {
    let mut out = std::io::stdout().lock();
    write!(out, "<{}", number(&request, "n", 0))?;
    sleep(Duration::from_millis(number(&request, "ms", 1)));
    writeln!(out, ">")?;
    Ok("printed")
}

/// Panics while it holds its own lock, and waits while it unwinds.
fn unwind(request: Request<'_>) -> &'static str {
    struct Waits<'r>(Request<'r>);
    impl Drop for Waits<'_> {
        fn drop(&mut self) {
            wait(&self.0);
        }
    }
    let _waits = Waits(request);
    panic!("asked to");
}

thread_local! {
    static COUNTED: Rc<RefCell<Vec<u64>>> = Rc::default();
}

/// Makes and drops clones of a thread-local `Rc` across waits; the count must be the same
/// afterwards.
fn rc(request: Request<'_>) -> String {
    let clones: Vec<_> =
        (0..number(&request, "clones", 100)).map(|_| COUNTED.with(Rc::clone)).collect();
    for clone in &clones {
        clone.borrow_mut().push(1);
    }
    wait(&request);
    let again = COUNTED.with(Rc::clone);
    let same = clones.iter().all(|clone| Rc::ptr_eq(clone, &again));
    let left = again.borrow().len();
    again.borrow_mut().clear();
    drop(clones);
    format!("{same} {left} {}", Rc::strong_count(&again))
}

/// Uses a thread-local variable, whose initialiser waits, across a wait.
fn lazy(request: Request<'_>) -> String {
    thread_local! {
        static TEXT: Vec<u8> = {
            sleep(Duration::from_millis(2));
            vec![b'a'; 64]
        };
    }
    TEXT.with(|text| {
        wait(&request);
        let other: Vec<Vec<u8>> = (0..8).map(|_| vec![b'Z'; 64]).collect();
        std::hint::black_box(&other);
        text.iter().all(|byte| *byte == b'a').to_string()
    })
}
