//! Launch of one program on one core, with the time just before execve(2). Until then the child
//! shares the harness's memory (clone(2) with CLONE_VM): otherwise the removal of a forked copy of
//! the harness would be part of the measured time. It is not a sandbox, and the program's output is
//! used only in the message of a failed start.

use crate::precedence;
use nix::errno::Errno;
use nix::sched::CpuSet;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use std::ffi::{CString, c_char, c_int, c_void};
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::thread::yield_now;
use std::time::{Duration, Instant};
use std::{io, ptr};

/// Bytes of the child's stack: it makes eight system calls and no more.
const STACK_BYTES: usize = 64 * 1024;
/// Time limit from clone(2) to execve(2).
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a program did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The process cannot be prepared.
    #[error(
        "cannot prepare the start of `{program}`: {source}; check that the path names a program"
    )]
    Prepare {
        /// The program.
        program: String,
        /// The underlying error.
        source: io::Error,
    },
    /// The program cannot be executed.
    #[error("cannot execute `{program}`: {source}; check that it is a static x86-64 program")]
    Exec {
        /// The program.
        program: String,
        /// The underlying error.
        source: io::Error,
    },
}

/// Where and how a program runs.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The only core it may use; any, if `None`.
    pub core: Option<usize>,
    /// Whether it runs with real-time priority.
    pub realtime: bool,
}

/// A running program. Dropping it kills the process, by its id, and reaps it.
pub struct Instance {
    pid: Pid,
    exec_ns: u64,
    complaints: File,
    plan: Box<Plan>, // the child reads it until execve
    _stack: Vec<u8>, // the child runs on it until execve
}

/// Arguments of the child, prepared before it exists, because it must not allocate.
struct Plan {
    program: CString,
    arguments: [*const c_char; 2],
    environment: Vec<*const c_char>,
    _texts: Vec<CString>,
    cores: Option<CpuSet>,
    null: RawFd,
    complaints: RawFd,
    realtime: bool,
    traced: bool,
    exec_ns: AtomicU64,
    errno: AtomicI32,
}

impl Instance {
    /// Starts `program` with `environment` (`NAME=value`) and no other variables. A traced program
    /// stops itself before execve and waits for its tracer.
    ///
    /// # Errors
    /// If the program cannot be executed.
    pub fn start(
        program: &Path,
        environment: &[String],
        place: Place,
        traced: bool,
    ) -> Result<Self, Error> {
        let name = program.display().to_string();
        let prepare = |source: io::Error| Error::Prepare { program: name.clone(), source };
        let null = File::options().read(true).write(true).open("/dev/null").map_err(prepare)?;
        let complaints = File::from(
            memfd_create(c"complaints", MFdFlags::MFD_CLOEXEC).map_err(|e| prepare(e.into()))?,
        );
        let mut plan = Plan::new(program, environment, place, traced).map_err(prepare)?;
        (plan.null, plan.complaints) = (null.as_raw_fd(), complaints.as_raw_fd());
        let mut plan = Box::new(plan);
        // written to now, so that the child does not count our faults
        let mut stack = vec![1u8; STACK_BYTES];
        let top = stack.as_mut_ptr_range().end;
        let argument: *mut Plan = &mut *plan;
        // JUSTIFICATION: no safe call makes a child that shares memory while its parent continues.
        // SAFETY: the stack and the plan live in the instance, which outlives the child's use of
        // both (it is reaped in `drop`); `child` makes system calls only, takes no lock and does
        // not allocate; the stack is aligned to 16 bytes.
        let pid = unsafe {
            let top = top.sub(top as usize % 16);
            libc::clone(
                child,
                top.cast::<c_void>(),
                libc::CLONE_VM | libc::SIGCHLD,
                argument.cast::<c_void>(),
            )
        };
        if pid < 0 {
            return Err(prepare(io::Error::last_os_error()));
        }
        let mut instance =
            Self { pid: Pid::from_raw(pid), exec_ns: 0, complaints, plan, _stack: stack };
        if !traced {
            instance.exec_ns =
                instance.wait_for_exec().map_err(|source| Error::Exec { program: name, source })?;
        }
        Ok(instance)
    }

    /// The process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// CLOCK_MONOTONIC before execve, in nanoseconds; 0 for a traced one.
    pub fn exec_ns(&self) -> u64 {
        self.exec_ns
    }

    /// Whether the process has ended by itself.
    pub fn has_ended(&self) -> bool {
        let flags = WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT | WaitPidFlag::WEXITED;
        let status = waitid(Id::Pid(self.pid), flags);
        !matches!(status, Ok(WaitStatus::StillAlive))
    }

    /// What the program has written to its standard error, at most 4 KiB.
    pub fn complaints(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = self
            .complaints
            .rewind()
            .and_then(|()| (&self.complaints).take(4096).read_to_end(&mut bytes));
        read.map_or_else(
            |error| error.to_string(),
            |_| String::from_utf8_lossy(&bytes).trim().to_owned(),
        )
    }

    /// Waits for the time that the child stores, on another core, just before execve.
    fn wait_for_exec(&self) -> io::Result<u64> {
        let begun = Instant::now();
        loop {
            let errno = self.plan.errno.load(Ordering::Acquire);
            if errno != 0 {
                return Err(io::Error::from_raw_os_error(errno));
            }
            match self.plan.exec_ns.load(Ordering::Acquire) {
                0 if begun.elapsed() > PATIENCE => return Err(io::ErrorKind::TimedOut.into()),
                0 => yield_now(), // the child is created on this core, and leaves it at once
                exec_ns => return Ok(exec_ns),
            }
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = kill(self.pid, Signal::SIGKILL);
        // The tracer reaps the threads of a traced process, and the process ends after the last of
        // them.
        let whom = (!self.plan.traced).then_some(self.pid);
        loop {
            match waitpid(whom, Some(WaitPidFlag::__WALL)) {
                Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..))
                    if pid == self.pid =>
                {
                    return;
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return, // reaped already
            }
        }
    }
}

impl Plan {
    fn new(program: &Path, environment: &[String], place: Place, traced: bool) -> io::Result<Self> {
        let program = CString::new(program.as_os_str().as_bytes())?;
        let texts = environment
            .iter()
            .map(|text| CString::new(text.as_str()))
            .collect::<Result<Vec<_>, _>>()?;
        let cores = place.core.map(|core| {
            let mut cores = CpuSet::new();
            cores.set(core).map(|()| cores)
        });
        Ok(Self {
            arguments: [program.as_ptr(), ptr::null()],
            environment: texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect(),
            program,
            _texts: texts,
            cores: cores.transpose()?,
            null: -1,
            complaints: -1,
            realtime: place.realtime,
            traced,
            exec_ns: AtomicU64::new(0),
            errno: AtomicI32::new(0),
        })
    }
}

/// Runs in the child, in the parent's memory: system calls only. The child shares the C library's
/// errno with the parent, which makes no call until it has the time or the error below.
extern "C" fn child(plan: *mut c_void) -> c_int {
    // JUSTIFICATION: between clone and execve only plain system calls are allowed, and nix offers
    // no execve that takes pointers made beforehand.
    // SAFETY: `plan` is the boxed plan of `Instance::start`, alive until the child is reaped; all
    // pointers in it end in a null pointer and point into it.
    unsafe {
        let plan = &*plan.cast::<Plan>();
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::dup2(plan.null, 0);
        libc::dup2(plan.null, 1);
        libc::dup2(plan.complaints, 2);
        if let Some(cores) = &plan.cores {
            libc::sched_setaffinity(0, size_of::<CpuSet>(), ptr::from_ref(cores).cast());
        }
        if plan.realtime {
            libc::sched_setscheduler(
                0,
                libc::SCHED_FIFO,
                &libc::sched_param { sched_priority: precedence::REALTIME },
            );
        }
        if plan.traced {
            libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
            libc::kill(libc::getpid(), libc::SIGSTOP);
        }
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now);
        plan.exec_ns
            .store(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64, Ordering::Release);
        libc::execve(plan.program.as_ptr(), plan.arguments.as_ptr(), plan.environment.as_ptr());
        plan.errno.store(Errno::last_raw(), Ordering::Release);
        libc::_exit(127)
    }
}
