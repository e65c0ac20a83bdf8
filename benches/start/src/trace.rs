//! Tracer: counts the system calls of all threads of a program and its page faults up to the first
//! byte, by ptrace(2). The same program gives the same counts on any machine with the same kernel,
//! independent of its load, so continuous integration can limit them, unlike milliseconds.

use crate::client::Caller;
use crate::event::{self, ReplyCheck};
use crate::launch::{Instance, Place};
use crate::process;
use crate::program::Program;
use crate::sample::Starter;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};
use std::{fmt, io};
use syscalls::Sysno;

/// Time limit of a traced start, which takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);
/// Number of consecutive checks in which all threads must be asleep: then they wait for a peer.
const LOOKS: u32 = 5;

/// Time at which the event is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrival {
    /// As soon as the program listens: the event is in the backlog when the program accepts.
    AtListen,
    /// When every thread of the program sleeps.
    WhenAsleep,
}

impl fmt::Display for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtListen => "at listen",
            Self::WhenAsleep => "when asleep",
        })
    }
}

/// Why a start could not be traced.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The process could not be started.
    #[error(transparent)]
    Launch(#[from] crate::launch::Error),
    /// ptrace(2) failed.
    #[error(
        "cannot trace `{program}`: {source}; allow ptrace(2) (in a container: --cap-add \
         SYS_PTRACE)"
    )]
    Ptrace {
        /// The program.
        program: String,
        /// The underlying error.
        source: nix::Error,
    },
    /// /proc or a pipe cannot be read.
    #[error("`{program}`: {source}")]
    Io {
        /// The program.
        program: String,
        /// The underlying error.
        source: io::Error,
    },
    /// The traced program did not answer.
    #[error("`{program}` {what} before it answered; it printed `{printed}`")]
    Unanswered {
        /// The program.
        program: String,
        /// What was tried.
        what: &'static str,
        /// What the program printed.
        printed: String,
    },
    /// A wrong reply, with the reason.
    #[error("`{program}` gave a wrong reply: {what}")]
    Wrong {
        /// The program.
        program: String,
        /// What was tried.
        what: String,
    },
}

/// Counts up to a moment, execve included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Point {
    /// System calls, all threads.
    pub system_calls: u64,
    /// Page faults that read nothing from a disk.
    pub minor_faults: u64,
    /// Threads of the process.
    pub threads: u64,
}

/// One system call on the way to the first byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub name: &'static str,
    /// Number of the thread, in the order of creation; 0 is the first.
    pub thread: usize,
    /// Minor faults of the process from execve to this call.
    pub minor_faults: u64,
}

/// Results of one traced start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Counts just before the first accept(2).
    pub before_accept: Point,
    /// Counts at the return of the call that sent the reply's first byte.
    pub to_first_byte: Point,
    /// All calls up to that return.
    pub calls: Vec<Call>,
}

impl Trace {
    /// The calls' names, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.calls.iter().map(|call| call.name)
    }
}

/// Starts a program under trace, sends the event and counts.
///
/// # Errors
/// If it cannot be traced, or does not give the expected reply.
pub fn trace(starter: &mut Starter, program: &Program, arrival: Arrival) -> Result<Trace, Error> {
    let (port, environment) = starter.port();
    let io_error = |source| Error::Io { program: program.name.clone(), source };
    let caller = Caller::new(port).map_err(io_error)?;
    let instance = Instance::start(
        &program.path,
        &environment,
        Place { realtime: false, ..starter.place() },
        true,
    )?;
    let mut tracer = Tracer::new(instance, caller, arrival);
    tracer.run().map_err(|failure| failure.of(program, &mut tracer.instance))
}

/// Why a traced program did not reply; [`Failure::of`] adds the program's name.
#[derive(Debug)]
pub(crate) enum Failure {
    Ptrace(nix::Error),
    Io(io::Error),
    Wrong(String),
    Unanswered(&'static str),
}

impl Failure {
    /// The error of this program, with what it has printed.
    pub(crate) fn of(self, program: &Program, instance: &mut Instance) -> Error {
        let program = program.name.clone();
        match self {
            Self::Ptrace(source) => Error::Ptrace { program, source },
            Self::Io(source) => Error::Io { program, source },
            Self::Wrong(what) => Error::Wrong { program, what },
            Self::Unanswered(what) => {
                Error::Unanswered { program, what, printed: instance.complaints() }
            }
        }
    }
}

impl From<nix::Error> for Failure {
    fn from(error: nix::Error) -> Self {
        Self::Ptrace(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

struct Tracer {
    instance: Instance,
    caller: Caller,
    arrival: Arrival,
    /// Thread → its number, and the call it is in.
    threads: HashMap<Pid, (usize, Option<Entered>)>,
    listening: bool,
    called: bool,
    /// Descriptors that accept(2) has returned.
    connections: HashSet<i64>,
    faults_before: Option<u64>,
    calls: Vec<Call>,
    before_accept: Option<Point>,
    to_first_byte: Option<Point>,
    reply: Vec<u8>,
}

/// A system call in progress.
#[derive(Clone, Copy)]
struct Entered {
    call: Sysno,
    argument: i64,
}

impl Tracer {
    fn new(instance: Instance, caller: Caller, arrival: Arrival) -> Self {
        Self {
            instance,
            caller,
            arrival,
            threads: HashMap::new(),
            listening: false,
            called: false,
            connections: HashSet::new(),
            faults_before: None,
            calls: Vec::new(),
            before_accept: None,
            to_first_byte: None,
            reply: Vec::new(),
        }
    }

    fn run(&mut self) -> Result<Trace, Failure> {
        let main = self.instance.pid();
        waitpid(main, Some(WaitPidFlag::__WALL))?; // it has stopped itself
        let follow = Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK;
        let options = follow | Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_TRACESYSGOOD;
        ptrace::setoptions(main, options | Options::PTRACE_O_EXITKILL)?;
        ptrace::syscall(main, None)?;
        let deadline = Instant::now() + PATIENCE;
        let mut asleep = 0;
        loop {
            match waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG))? {
                WaitStatus::StillAlive => {
                    if let Some(trace) = self.look_for_reply()? {
                        return Ok(trace);
                    }
                    asleep = if self.is_asleep() { asleep + 1 } else { 0 };
                    if self.listening && !self.called && asleep >= LOOKS {
                        self.call()?;
                    }
                    if Instant::now() > deadline {
                        return Err(Failure::Unanswered("fell silent"));
                    }
                    std::thread::yield_now();
                }
                WaitStatus::PtraceSyscall(thread) => {
                    self.at_call(thread)?;
                    ptrace::syscall(thread, None)?;
                }
                WaitStatus::PtraceEvent(thread, ..) => ptrace::syscall(thread, None)?,
                // A new thread starts with a stop. All other signals are passed to the program.
                WaitStatus::Stopped(thread, Signal::SIGSTOP | Signal::SIGTRAP) => {
                    ptrace::syscall(thread, None)?
                }
                WaitStatus::Stopped(thread, signal) => ptrace::syscall(thread, signal)?,
                WaitStatus::Exited(process, _) | WaitStatus::Signaled(process, ..)
                    if process == main =>
                {
                    return Err(Failure::Unanswered("ended"));
                }
                _ => {}
            }
        }
    }

    /// Records that a thread enters or leaves a system call.
    fn at_call(&mut self, thread: Pid) -> Result<(), Failure> {
        let info = ptrace::syscall_info(thread)?;
        let number = self.threads.len();
        let (thread_number, entered) = *self.threads.entry(thread).or_insert((number, None));
        match info.op {
            libc::PTRACE_SYSCALL_INFO_ENTRY => {
                // SAFETY: `op` tells which part of the union the kernel has filled in.
                // JUSTIFICATION: libc has the kernel's structure only as a union.
                let entry = unsafe { info.u.entry };
                let Some(call) = Sysno::new(entry.nr as usize) else { return Ok(()) };
                self.threads.insert(
                    thread,
                    (thread_number, Some(Entered { call, argument: entry.args[0] as i64 })),
                );
                self.enter(call, thread_number)
            }
            libc::PTRACE_SYSCALL_INFO_EXIT => {
                // SAFETY: as above.
                // JUSTIFICATION: as above.
                let value = unsafe { info.u.exit }.sval;
                self.threads.insert(thread, (thread_number, None));
                entered.map_or(Ok(()), |entered| self.leave(entered, value))
            }
            _ => Ok(()),
        }
    }

    fn enter(&mut self, call: Sysno, thread: usize) -> Result<(), Failure> {
        let faults = process::stat(self.instance.pid())?.minor_faults;
        if call == Sysno::execve && self.faults_before.is_none() {
            self.faults_before = Some(faults);
        }
        if matches!(call, Sysno::accept | Sysno::accept4) && self.before_accept.is_none() {
            self.before_accept = Some(self.point()?);
        }
        if let (Some(before), None) = (self.faults_before, self.to_first_byte) {
            self.calls.push(Call { name: call.name(), thread, minor_faults: faults - before });
        }
        Ok(())
    }

    fn leave(&mut self, entered: Entered, value: i64) -> Result<(), Failure> {
        match entered.call {
            Sysno::listen if value == 0 => {
                self.listening = true;
                if self.arrival == Arrival::AtListen {
                    self.call()?;
                }
            }
            Sysno::accept | Sysno::accept4 if value >= 0 => {
                self.connections.insert(value);
            }
            Sysno::write | Sysno::writev | Sysno::sendto | Sysno::sendmsg
                if value > 0
                    && self.to_first_byte.is_none()
                    && self.connections.contains(&entered.argument) =>
            {
                self.to_first_byte = Some(self.point()?);
            }
            _ => {}
        }
        Ok(())
    }

    fn point(&self) -> Result<Point, Failure> {
        let stat = process::stat(self.instance.pid())?;
        Ok(Point {
            system_calls: self.calls.len() as u64,
            minor_faults: stat.minor_faults - self.faults_before.unwrap_or(0),
            threads: stat.threads,
        })
    }

    /// Connects, which the kernel completes without the program, and sends the event.
    fn call(&mut self) -> Result<(), Failure> {
        if self.caller.connect()? {
            self.called = true;
            self.caller.send()?;
        }
        Ok(())
    }

    /// Whether every thread waits in the kernel.
    fn is_asleep(&self) -> bool {
        process::states(self.instance.pid())
            .is_ok_and(|states| states.iter().all(|state| *state == 'S'))
    }

    fn look_for_reply(&mut self) -> Result<Option<Trace>, Failure> {
        if !self.called {
            return Ok(None);
        }
        self.caller.receive(&mut self.reply)?;
        match (event::check(&self.reply), self.before_accept, self.to_first_byte) {
            (ReplyCheck::Wrong(what), ..) => Err(Failure::Wrong(what)),
            (ReplyCheck::Correct(_), Some(before_accept), Some(to_first_byte)) => Ok(Some(Trace {
                before_accept,
                to_first_byte,
                calls: std::mem::take(&mut self.calls),
            })),
            _ => Ok(None),
        }
    }
}
