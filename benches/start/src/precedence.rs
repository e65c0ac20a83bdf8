//! Real-time priority: on a shared machine, harness and programs can run ahead of all ordinary
//! processes of their core. It needs CAP_SYS_NICE.

/// The lowest priority of SCHED_FIFO (sched(7)): ahead of all ordinary work, behind the kernel's
/// own.
pub const REALTIME: i32 = 1;

/// Puts the calling thread ahead of all ordinary work on its core; the kernel still leaves that a
/// twentieth of the time.
///
/// # Errors
/// When the kernel refuses: it asks for CAP_SYS_NICE.
pub fn take_precedence() -> nix::Result<()> {
    // JUSTIFICATION: nix has no interface to the scheduling classes.
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
