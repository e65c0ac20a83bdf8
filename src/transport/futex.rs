//! std's waits: a handler that waits for a lock lends its event loop.
//!
//! std's Mutex, RwLock, Once, Condvar and thread parking, and parking_lot's, wait by futex(2),
//! which they call through the C library's `syscall`. A program may define that function itself:
//! this one does what the C library's does, and before a futex wait within a handler it reports
//! that the thread blocks. The wait itself is the kernel's, unchanged. If another `syscall` is
//! linked, or a library waits in another way, the loop is lent too, some 10 ms later (shift.rs).

use super::current::with_request_id;
use super::deadlock;
use super::handling::{Blocks, worker};

/// What the C library's function of this name does: syscall(2).
///
/// # Safety
/// As for the C library's function.
// JUSTIFICATION: the linker prefers the program's definition to the C library's, which is the
// purpose here.
// SAFETY: the name is the C library's and so is what it does: the arguments go to the kernel as
// they are, an error is -1 with `errno`. It is declared without the dots of C: both of the
// supported ABIs (x86-64, AArch64) pass integers of a variable argument list as any others.
#[unsafe(no_mangle)]
unsafe extern "C" fn syscall(
    number: libc::c_long,
    a: libc::c_long,
    b: libc::c_long,
    c: libc::c_long,
    d: libc::c_long,
    e: libc::c_long,
    f: libc::c_long,
) -> libc::c_long {
    let call = [number, a, b, c, d, e, f];
    let result = if number == libc::SYS_futex && waits(b) {
        // JUSTIFICATION: as for the function.
        // SAFETY: the caller's promise is passed on.
        unsafe { wait(call) }
    } else {
        // JUSTIFICATION: as for the function.
        // SAFETY: the caller's promise is passed on.
        unsafe { raw(call) }
    };
    if (-4095..0).contains(&result) {
        // JUSTIFICATION: std cannot set it.
        // SAFETY: the C library gives the address of this thread's own variable.
        unsafe { *libc::__errno_location() = (-result) as libc::c_int };
        return -1;
    }
    result
}

/// A futex wait.
///
/// # Safety
/// As for syscall(2).
#[cold]
unsafe fn wait(call: [libc::c_long; 7]) -> libc::c_long {
    let Some(worker) = worker() else {
        deadlock::learn();
        // JUSTIFICATION: as for the function.
        // SAFETY: the caller's promise is passed on.
        return unsafe { raw(call) };
    };
    let _blocks = Blocks::begin();
    let [number, address, operation, expected, limit, second, mask] = call;
    let command = operation & !libc::c_long::from(libc::FUTEX_PRIVATE_FLAG);
    if limit != 0 || command == libc::c_long::from(libc::FUTEX_LOCK_PI) {
        // JUSTIFICATION: as for the function.
        // SAFETY: the caller's promise is passed on.
        return unsafe { raw(call) };
    }
    // A wait without a mask has all its bits set; its time is relative otherwise.
    let mask = if command == libc::c_long::from(libc::FUTEX_WAIT) { !0 } else { mask };
    let operation = operation & libc::c_long::from(libc::FUTEX_PRIVATE_FLAG)
        | libc::c_long::from(libc::FUTEX_WAIT_BITSET);
    deadlock::wait(worker, &|| with_request_id(str::to_owned), &|until| {
        let limit = until.as_ref().map_or(0, |until| (&raw const *until).addr());
        let limit = limit as libc::c_long;
        // JUSTIFICATION: as for the function.
        // SAFETY: the caller's promise is passed on; the time outlives the call.
        unsafe { raw([number, address, operation, expected, limit, second, mask]) }
    })
}

/// Whether the operation of futex(2) may block its thread.
fn waits(operation: libc::c_long) -> bool {
    let command =
        operation as libc::c_int & !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME);
    matches!(command, libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET | libc::FUTEX_LOCK_PI)
}

/// Forces the definition above to be linked: without a use it might stay in its archive, and the C
/// library's be used.
pub(super) fn link() {
    deadlock::syscall_is(syscall as *const () as usize);
}

/// # Safety
/// As for syscall(2).
#[cfg(target_arch = "x86_64")]
unsafe fn raw([number, a, b, c, d, e, f]: [libc::c_long; 7]) -> libc::c_long {
    let result;
    // JUSTIFICATION: there is no other way into the kernel.
    // SAFETY: the caller's promise; the registers are those of the kernel's ABI (syscall(2)), and
    // those that it overwrites are named.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            out("rcx") _, out("r11") _,
            options(nostack)
        );
    }
    result
}

/// # Safety
/// As for syscall(2).
#[cfg(target_arch = "aarch64")]
unsafe fn raw([number, a, b, c, d, e, f]: [libc::c_long; 7]) -> libc::c_long {
    let result;
    // JUSTIFICATION: there is no other way into the kernel.
    // SAFETY: as above.
    unsafe {
        std::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack)
        );
    }
    result
}
