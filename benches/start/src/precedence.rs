//! Real-time priority: on a shared machine, harness and programs can run ahead of all ordinary
//! processes of their core. It needs CAP_SYS_NICE.

/// The lowest priority of SCHED_FIFO (sched(7)): before all ordinary processes, after the kernel's
/// threads.
pub const REALTIME: i32 = 1;

/// Gives the calling thread priority over all ordinary processes on its core; the kernel reserves a
/// twentieth of the time for them.
///
/// # Errors
/// If the kernel refuses: it requires CAP_SYS_NICE.
pub fn take_precedence() -> nix::Result<()> {
    // JUSTIFICATION: nix has no interface to the scheduling classes.
    // SAFETY: the structure has the kernel's layout, and outlives the call.
    let result = unsafe {
        libc::sched_setscheduler(
            0,
            libc::SCHED_FIFO,
            &libc::sched_param { sched_priority: REALTIME },
        )
    };
    nix::errno::Errno::result(result).map(drop)
}
