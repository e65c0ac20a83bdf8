//! A function that calls `serve` on a stack of its own, as the crate `stacker` makes them: 192 KiB
//! within memory that is the program's, on the main thread, or with ON_A_THREAD on another one.
//! Built as functions are, for tests/contract/own_stack.rs.

use firstbyte::{App, Request, sleep};
use std::arch::asm;
use std::cell::UnsafeCell;
use std::time::Duration;

/// The stack, and what belongs to the program on both sides of it.
#[repr(C, align(4096))]
struct Memory {
    below: [u64; 96 * 1024],
    stack: [u64; 24 * 1024],
    above: [u64; 96 * 1024],
}

struct Shared(UnsafeCell<Memory>);

// JUSTIFICATION: a stack is memory that is written while others point into it.
// SAFETY: `below` and `above` are written by `main` alone, before anything else runs, and read
// later; `stack` has one user.
unsafe impl Sync for Shared {}

static MEMORY: Shared = Shared(UnsafeCell::new(Memory {
    below: [0; 96 * 1024],
    stack: [0; 24 * 1024],
    above: [0; 96 * 1024],
}));

const MARK: u64 = 0x5a5a_5a5a_5a5a_5a5a;

fn main() {
    // JUSTIFICATION: as for `Shared`.
    // SAFETY: nothing else runs yet.
    unsafe {
        let memory = &mut *MEMORY.0.get();
        memory.below.fill(MARK);
        memory.above.fill(MARK);
    }
    if std::env::var_os("ON_A_THREAD").is_some() {
        std::thread::spawn(on_own_stack).join().expect("it does not panic");
    } else {
        on_own_stack();
    }
}

fn on_own_stack() {
    // JUSTIFICATION: Rust does not change the stack pointer.
    // SAFETY: the stack is this call's alone, its end is aligned as the ABI asks, the old pointer
    // is kept in a register that `serve` preserves, and `serve` does not unwind.
    unsafe {
        let stack = &raw mut (*MEMORY.0.get()).stack;
        asm!(
            "mov r12, rsp",
            "mov rsp, {end}",
            "call {serve}",
            "mov rsp, r12",
            end = in(reg) stack.add(1),
            serve = sym serve,
            out("r12") _,
            clobber_abi("C"),
        );
    }
}

extern "C" fn serve() {
    let served = App::new()
        .route("GET", "/marks", |_: Request<'_>| marks())
        .route("GET", "/wait", |_: Request<'_>| {
            sleep(Duration::from_millis(100));
            marks()
        })
        .try_serve();
    println!("served: {}, {}", served.is_ok(), marks());
}

/// Whether what lies beside the stack is as it was.
fn marks() -> &'static str {
    // JUSTIFICATION: as for `Shared`.
    // SAFETY: nobody writes to these two.
    let (below, above) = unsafe { (&(*MEMORY.0.get()).below, &(*MEMORY.0.get()).above) };
    match below.iter().chain(above).all(|word| *word == MARK) {
        true => "whole",
        false => "broken",
    }
}
