//! Which core measures and which core runs the programs. With two cores or more they are never the
//! same: a client on the server's core waits for the server to be scheduled away. Where other work
//! shares the machine, both can be put ahead of it.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The harness's core and the programs' core: the first and the last that this process may use;
/// none of them where there is only one.
pub fn choose() -> (Option<usize>, Option<usize>) {
    let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
    let allowed: Vec<usize> =
        (0..CpuSet::count()).filter(|&core| allowed.is_set(core).unwrap_or(false)).collect();
    match allowed[..] {
        [first, .., last] => (Some(first), Some(last)),
        _ => (None, None),
    }
}

/// The lowest priority of SCHED_FIFO (sched(7)): ahead of all ordinary work, behind the kernel's
/// own.
pub const REALTIME: i32 = 1;

/// Puts the calling thread ahead of all ordinary work on its core; the kernel still leaves that a
/// twentieth of the time.
///
/// # Errors
/// When the kernel refuses: it asks for CAP_SYS_NICE.
pub fn take_precedence() -> nix::Result<()> {
    // JUSTIFICATION: nix has no door to the scheduling classes.
    // SAFETY: the structure is the kernel's, and outlives the call.
    let result = unsafe {
        libc::sched_setscheduler(
            0,
            libc::SCHED_FIFO,
            &libc::sched_param { sched_priority: REALTIME },
        )
    };
    nix::errno::Errno::result(result).map(drop)
}

/// Keeps the calling thread, and those that it will start, on one core.
///
/// # Errors
/// When the kernel refuses.
pub fn pin(core: usize) -> nix::Result<()> {
    let mut one = CpuSet::new();
    one.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &one)
}
