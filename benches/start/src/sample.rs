//! Sample: one start of one program, from execve to the whole reply.

use crate::client::{self, Caller};
use crate::launch::{self, Instance, Place};
use crate::process;
use crate::program::Program;

/// Ports outside the kernel's range for connecting sockets (32768 to 60999): inside it, a caller
/// could connect to itself by accident.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// Why a start gave no sample.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The process could not be started.
    #[error(transparent)]
    Launch(#[from] launch::Error),
    /// It did not answer.
    #[error("`{program}`: {source}; it printed `{printed}`")]
    Call {
        /// The program.
        program: String,
        /// The underlying error.
        source: client::Error,
        /// What the program printed.
        printed: String,
    },
    /// /proc cannot be read.
    #[error("`{program}`: cannot read /proc: {source}")]
    Process {
        /// The program.
        program: String,
        /// The underlying error.
        source: std::io::Error,
    },
}

/// One start. Times are nanoseconds from the call of execve(2).
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// The connection was accepted.
    pub listen_ns: u64,
    /// The reply's first byte arrived.
    pub first_byte_ns: u64,
    /// The reply's last byte arrived.
    pub reply_ns: u64,
    /// Faults without reading from a disk, shortly after the reply.
    pub minor_faults: u64,
    /// Faults that read from a disk.
    pub major_faults: u64,
    /// Threads at that moment.
    pub threads: u64,
    /// Resident memory.
    pub rss_bytes: u64,
    /// The ELF's own pages in the process.
    pub mapped_bytes: u64,
}

/// One start with several requests on one connection.
#[derive(Debug, Clone)]
pub struct Requests {
    /// Time of each request, from just before its send until the last byte of its reply arrived.
    pub times_ns: Vec<u64>,
    /// Threads right after the last reply.
    pub threads: u64,
    /// Resident memory at the same time.
    pub rss_bytes: u64,
}

/// Starts programs: chooses ports, and counts the starts.
pub struct Starter {
    place: Place,
    order: u32,
}

impl Starter {
    /// A starter of programs at this place.
    pub fn new(place: Place) -> Self {
        Self { place, order: 0 }
    }

    /// The place at which programs run.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Number of starts so far.
    pub fn order(&self) -> u32 {
        self.order
    }

    /// A port that none of the last 10,000 starts had, and the environment with it.
    pub fn port(&mut self) -> (u16, Vec<String>) {
        let port = PORTS.start + (self.order % u32::from(PORTS.end - PORTS.start)) as u16;
        self.order += 1;
        (port, vec![format!("PORT={port}")])
    }

    /// Starts a program and calls it at once; it runs until the instance is dropped.
    ///
    /// # Errors
    /// If it does not start, or does not give the expected reply.
    pub fn answering(
        &mut self,
        program: &Program,
    ) -> Result<(Instance, Caller, client::Moments), Error> {
        let (port, environment) = self.port();
        let fail = |source, printed| Error::Call { program: program.name.clone(), source, printed };
        let caller = Caller::new(port).map_err(|error| fail(error.into(), String::new()))?;
        let mut instance = Instance::start(&program.path, &environment, self.place, false)?;
        match client::call(&instance, &caller) {
            Ok(moments) => Ok((instance, caller, moments)),
            Err(error) => Err(fail(error, instance.complaints())),
        }
    }

    /// Starts a program that is called `count` times on one connection, each request as soon as the
    /// reply to the one before is complete. Nothing is read from /proc until the last reply.
    ///
    /// # Errors
    /// As [`Starter::answering`].
    pub fn requests(&mut self, program: &Program, count: u32) -> Result<Requests, Error> {
        let (mut instance, caller, moments) = self.answering(program)?;
        let mut times_ns = vec![moments.reply_ns - moments.listening_ns];
        for _ in 1..count {
            match client::call_again(&instance, &caller) {
                Ok(ns) => times_ns.push(ns),
                Err(source) => {
                    let (program, printed) = (program.name.clone(), instance.complaints());
                    return Err(Error::Call { program, source, printed });
                }
            }
        }
        let observe = || {
            let stat = process::stat(instance.pid())?;
            Ok((stat.threads, process::memory(instance.pid())?.rss_bytes))
        };
        let (threads, rss_bytes) =
            observe().map_err(|source| Error::Process { program: program.name.clone(), source })?;
        Ok(Requests { times_ns, threads, rss_bytes })
    }

    /// Takes one sample.
    ///
    /// # Errors
    /// As [`Starter::answering`].
    pub fn sample(&mut self, program: &Program) -> Result<Sample, Error> {
        let (instance, _caller, moments) = self.answering(program)?;
        let observe = || {
            let stat = process::stat(instance.pid())?;
            let memory = process::memory(instance.pid())?;
            Ok((
                stat,
                memory,
                process::mapped_bytes(instance.pid(), &program.path.display().to_string())?,
            ))
        };
        let (stat, memory, mapped_bytes) =
            observe().map_err(|source| Error::Process { program: program.name.clone(), source })?;
        Ok(Sample {
            listen_ns: moments.listening_ns - instance.exec_ns(),
            first_byte_ns: moments.first_byte_ns - instance.exec_ns(),
            reply_ns: moments.reply_ns - instance.exec_ns(),
            minor_faults: stat.minor_faults,
            major_faults: stat.major_faults,
            threads: stat.threads,
            rss_bytes: memory.rss_bytes,
            mapped_bytes,
        })
    }
}
