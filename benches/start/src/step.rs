//! Stepper: runs a program instruction by instruction through its first requests, by ptrace(2). It
//! counts the instructions to the first byte, counts those that a virtual machine traps, and
//! records the order in which functions and variables are used first. The counts do not depend on
//! the machine or its load; times under the tracer have no meaning.

use crate::client::Caller;
use crate::event::{self, ReplyCheck};
use crate::launch::Instance;
use crate::process::PAGE_BYTES;
use crate::program::Program;
use crate::sample::Starter;
use crate::trace::{self, Failure};
use iced_x86::{Code, Decoder, DecoderOptions, InstructionInfoFactory, OpAccess, Register};
use microimage::order;
use nix::libc::user_regs_struct;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use object::{Object as _, ObjectSegment as _, ObjectSymbol as _, SymbolKind};
use std::collections::HashSet;
use std::fs;
use std::time::{Duration, Instant};

/// Time limit of a stepped start with its further requests, which take a second or two.
const PATIENCE: Duration = Duration::from_secs(60);
/// Number of requests on the first connection: one before the runtime starts, the others after.
const REQUESTS: u32 = 3;
/// Assumed size of code without a size in the symbol table, in bytes.
const UNSIZED: u64 = 256;
/// Largest number of names of one address.
const ALIASES: usize = 8;
/// Longest instruction of x86-64, in bytes.
const LONGEST: usize = 15;

/// Why a program could not be stepped through.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A start could not be traced.
    #[error(transparent)]
    Trace(#[from] trace::Error),
    /// The program file cannot be read: its name, and why.
    #[error("`{0}` is not an ELF file with fixed addresses: {1}")]
    Elf(String, String),
}

/// Results of stepping.
#[derive(Debug, Clone, Default)]
pub struct Steps {
    /// Instructions of the program from its entry to the return of the call that sends the first
    /// byte.
    pub instructions: u64,
    /// The CPUID instructions among them: each traps into the hypervisor of a virtual machine,
    /// which costs microseconds.
    pub cpuid: u64,
    /// Addresses of the program's code and variables in the order of their first use, further
    /// requests included.
    pub(crate) uses: Vec<u64>,
    /// The number of these before the first byte.
    pub(crate) uses_to_first_byte: usize,
}

/// Steps through a start with its first requests.
///
/// # Errors
/// If it cannot be traced, or does not answer.
pub fn step(starter: &mut Starter, program: &Program) -> Result<Steps, Error> {
    let io_error = |source| trace::Error::Io { program: program.name.clone(), source };
    let bytes = fs::read(&program.path).map_err(io_error)?;
    let image = Image::parse(&bytes).map_err(|error| Error::Elf(program.name.clone(), error))?;
    let (port, environment) = starter.port();
    let caller = Caller::new(port).map_err(io_error)?;
    let mut instance = Instance::start(&program.path, &environment, starter.place(), true)
        .map_err(trace::Error::from)?;
    let mut stepper = Stepper::new(&image, caller);
    stepper.run(instance.pid()).map_err(|failure| failure.of(program, &mut instance))?;
    Ok(stepper.steps)
}

impl Steps {
    /// The used names in the order of their first use, in the form that [`microimage::order`]
    /// reads.
    ///
    /// # Errors
    /// If the program's file cannot be read, or has no names because it was stripped.
    pub fn names(&self, program: &Program) -> Result<Vec<String>, Error> {
        let io_error = |source| trace::Error::Io { program: program.name.clone(), source };
        let bytes = fs::read(&program.path).map_err(io_error)?;
        let elf = |what: String| Error::Elf(program.name.clone(), what);
        let file = object::File::parse(&*bytes).map_err(|error| elf(error.to_string()))?;
        let mut symbols: Vec<Symbol> = file
            .symbols()
            .filter(|symbol| symbol.is_definition() && KINDS.contains(&symbol.kind()))
            .filter_map(|symbol| {
                Some((symbol.address(), symbol.size(), symbol.name().ok()?, symbol.kind()))
            })
            .collect();
        if symbols.is_empty() {
            return Err(elf(
                "it has no symbols; build it with CARGO_PROFILE_RELEASE_STRIP=none".to_owned()
            ));
        }
        symbols.sort_unstable_by_key(|(start, size, name, _)| (*start, *size, *name));
        let mut seen = HashSet::new();
        let mut names = Vec::new();
        let (first, later) = self.uses.split_at(self.uses_to_first_byte);
        for uses in [first, later] {
            let mut large = Vec::new();
            for &address in uses {
                let at = symbols.partition_point(|(start, ..)| *start <= address);
                // Code in assembly may have no size: it belongs to the name before it.
                let holds = |(start, size, ..): &&Symbol| {
                    address < start + if *size == 0 { UNSIZED } else { *size }
                };
                let found = symbols[..at].iter().rev().take(ALIASES).find(holds);
                let Some((_, size, symbol, kind)) = found else { continue };
                let name = order::name(symbol);
                if seen.insert(name.clone()) {
                    // A large variable would separate the small ones, which share a page.
                    let last = *kind == SymbolKind::Data && *size > PAGE_BYTES;
                    if last { large.push(name) } else { names.push(name) }
                }
            }
            names.append(&mut large);
        }
        Ok(names)
    }
}

/// Address, size in bytes, name, kind.
type Symbol<'a> = (u64, u64, &'a str, SymbolKind);

/// The kinds of symbols that are ordered; `Unknown` is code in assembly.
const KINDS: [SymbolKind; 3] = [SymbolKind::Text, SymbolKind::Data, SymbolKind::Unknown];

/// The loaded parts of a program.
struct Image<'a> {
    /// Address and content; the content does not have .bss, which is not in the file.
    segments: Vec<(u64, u64, &'a [u8])>,
}

impl<'a> Image<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let file = object::File::parse(bytes).map_err(|error| error.to_string())?;
        if file.kind() != object::ObjectKind::Executable {
            return Err("it is position independent; take a profile other than hardened".to_owned());
        }
        let segments = file.segments().map(|it| Ok((it.address(), it.size(), it.data()?)));
        let segments =
            segments.collect::<object::Result<_>>().map_err(|error| error.to_string())?;
        Ok(Self { segments })
    }

    fn holds(&self, address: u64) -> bool {
        self.segments.iter().any(|(start, size, _)| (*start..start + size).contains(&address))
    }

    /// The bytes from the instruction at `address` on.
    fn code(&self, address: u64) -> &'a [u8] {
        let found = self
            .segments
            .iter()
            .find_map(|(start, _, content)| content.get(address.checked_sub(*start)? as usize..));
        let code = found.unwrap_or_default();
        &code[..code.len().min(LONGEST)]
    }
}

struct Stepper<'a> {
    image: &'a Image<'a>,
    caller: Caller,
    connected: bool,
    replies: u32,
    reply: Vec<u8>,
    seen: HashSet<u64>,
    steps: Steps,
    instructions: u64,
    cpuid: u64,
    information: InstructionInfoFactory,
}

impl<'a> Stepper<'a> {
    fn new(image: &'a Image<'a>, caller: Caller) -> Self {
        Self {
            image,
            caller,
            connected: false,
            replies: 0,
            reply: Vec::new(),
            seen: HashSet::new(),
            steps: Steps::default(),
            instructions: 0,
            cpuid: 0,
            information: InstructionInfoFactory::new(),
        }
    }

    fn run(&mut self, main: Pid) -> Result<(), Failure> {
        waitpid(main, Some(WaitPidFlag::__WALL))?; // it stops itself
        ptrace::setoptions(
            main,
            Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_EXITKILL,
        )?;
        ptrace::cont(main, None)?;
        waitpid(main, Some(WaitPidFlag::__WALL))?; // execve has succeeded
        self.steps_from(main)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG))? {
                WaitStatus::StillAlive => std::thread::yield_now(),
                WaitStatus::Stopped(thread, Signal::SIGTRAP | Signal::SIGSTOP)
                | WaitStatus::PtraceEvent(thread, ..) => {
                    self.steps_from(thread)?;
                }
                WaitStatus::Stopped(thread, signal) => ptrace::step(thread, signal)?,
                WaitStatus::Exited(process, _) | WaitStatus::Signaled(process, ..)
                    if process == main =>
                {
                    return Err(Failure::Unanswered("ended"));
                }
                _ => {}
            }
            if self.talk()? {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Failure::Unanswered("fell silent"));
            }
        }
    }

    /// Records the instruction that a thread is about to run, and lets it run.
    fn steps_from(&mut self, thread: Pid) -> Result<(), Failure> {
        let registers = ptrace::getregs(thread)?;
        self.look_at(&registers);
        ptrace::step(thread, None)?;
        Ok(())
    }

    fn look_at(&mut self, registers: &user_regs_struct) {
        self.instructions += 1;
        self.note(registers.rip);
        let code = self.image.code(registers.rip);
        let instruction = Decoder::with_ip(64, code, registers.rip, DecoderOptions::NONE).decode();
        if instruction.code() == Code::Cpuid {
            self.cpuid += 1;
        }
        let used: Vec<u64> = self
            .information
            .info(&instruction)
            .used_memory()
            .iter()
            .filter(|memory| memory.access() != OpAccess::NoMemAccess)
            .filter_map(|memory| {
                memory.virtual_address(0, |register, _, _| value(registers, register))
            })
            .collect();
        used.into_iter().for_each(|address| self.note(address));
    }

    fn note(&mut self, address: u64) {
        if self.image.holds(address) && self.seen.insert(address) {
            self.steps.uses.push(address);
        }
    }

    /// The client's side; returns whether all replies have arrived.
    fn talk(&mut self) -> Result<bool, Failure> {
        if !self.connected {
            self.connected = self.caller.connect()?;
            if self.connected {
                self.caller.send()?;
            }
            return Ok(false);
        }
        if self.caller.receive(&mut self.reply)? > 0
            && self.replies == 0
            && self.steps.instructions == 0
        {
            (self.steps.instructions, self.steps.cpuid) = (self.instructions, self.cpuid);
            self.steps.uses_to_first_byte = self.steps.uses.len();
        }
        match event::check(&self.reply) {
            ReplyCheck::Correct(_) => {
                self.reply.clear();
                self.replies += 1;
                if self.replies < REQUESTS {
                    self.caller.send()?;
                }
                Ok(self.replies == REQUESTS)
            }
            ReplyCheck::Wrong(what) => Err(Failure::Wrong(what)),
            ReplyCheck::Partial => Ok(false),
        }
    }
}

/// A register's value in the computation of an address; all segments start at 0, except those of
/// thread-local memory.
fn value(registers: &user_regs_struct, register: Register) -> Option<u64> {
    Some(match register {
        Register::RAX => registers.rax,
        Register::RBX => registers.rbx,
        Register::RCX => registers.rcx,
        Register::RDX => registers.rdx,
        Register::RSI => registers.rsi,
        Register::RDI => registers.rdi,
        Register::RBP => registers.rbp,
        Register::RSP => registers.rsp,
        Register::R8 => registers.r8,
        Register::R9 => registers.r9,
        Register::R10 => registers.r10,
        Register::R11 => registers.r11,
        Register::R12 => registers.r12,
        Register::R13 => registers.r13,
        Register::R14 => registers.r14,
        Register::R15 => registers.r15,
        Register::CS | Register::DS | Register::ES | Register::SS => 0,
        Register::FS => registers.fs_base,
        Register::GS => registers.gs_base,
        _ => return None,
    })
}
