//! Failure is a result: what went wrong in a sample, in which phase, what the program printed last,
//! and the status that a user of the platform would see (Tencent Cloud SCF, function status codes).

use std::error::Error;
use std::fmt;

use microimage::sandbox::{self, Exit};

use crate::probe::ProbeError;
use crate::results::Failure;

/// The four phases of a cold start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Pull,
    Unpack,
    Create,
    Start,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pull => "pull",
            Self::Unpack => "unpack",
            Self::Create => "create",
            Self::Start => "start",
        })
    }
}

/// A failure of pulling or unpacking.
pub fn of(phase: Phase, error: &(impl Error + ?Sized)) -> Failure {
    in_phase(phase, &error.to_string())
}

/// A failure that an engine has put into words; adds what a user of the platform would see.
pub fn in_phase(phase: Phase, message: &str) -> Failure {
    let status = match phase {
        Phase::Pull | Phase::Unpack => "444 PullImageFailed",
        Phase::Create | Phase::Start => "445 ContainerInitError",
    };
    Failure { phase: phase.to_string(), message: format!("{message} (platform: {status})") }
}

/// The sandbox could not create the instance from this image.
pub fn launch(error: &sandbox::Error) -> Failure {
    let hint = match error {
        sandbox::Error::Step { source, .. } if source.raw_os_error() == Some(nix::libc::ENOEXEC) => {
            "; the program is for another architecture or no program at all"
        }
        _ => "",
    };
    Failure { phase: Phase::Create.to_string(), message: format!("{error}{hint} (platform: 445 ContainerInitError)") }
}

/// It answered, but not with what was expected.
pub fn wrong_answer(message: String) -> Failure {
    Failure { phase: Phase::Start.to_string(), message }
}

/// There was no answer: why, what listens instead, what the program printed last, how it ended.
pub fn of_start(error: &ProbeError, printed: &str, listeners: &[String], ended: Option<String>) -> Failure {
    let status = match error {
        ProbeError::NeverListened { .. } => " (platform: 446 PortBindingFailed)",
        ProbeError::NeverAnswered { .. } => " (platform: 433 TimeLimitReached)",
        ProbeError::Ended(why) if why != "interrupted" => " (platform: 445 ContainerInitError)",
        ProbeError::Closed | ProbeError::Reply(_) => " (platform: 443 UserCodeError)",
        ProbeError::Ended(_) | ProbeError::Socket(_) => "",
    };
    let mut message = format!("{error}{status}");
    if let ProbeError::NeverListened { port, .. } = error {
        for found in listeners {
            message.push_str(&format!("; it listens on `{found}`, the platform asks 0.0.0.0:{port}"));
        }
    }
    match printed.trim_end() {
        "" => message.push_str("; it printed nothing"),
        text => message.push_str(&format!("; it printed last: `{}`", last_lines(text))),
    }
    if let Some(ended) = ended {
        message.push_str(&format!("; it {ended}"));
    }
    Failure { phase: Phase::Start.to_string(), message }
}

/// Adds how the program ended.
pub fn add_exit(failure: &mut Failure, exit: &Exit) {
    failure.message.push_str(&format!("; it {exit}"));
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}

/// What listens inside the instance's network namespace, from /proc/PID/net/tcp and tcp6 (proc(5)).
pub fn listeners(pid: i32) -> Vec<String> {
    ["tcp", "tcp6"]
        .iter()
        .filter_map(|table| std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).ok())
        .flat_map(|text| text.lines().skip(1).filter_map(listener).collect::<Vec<_>>())
        .collect()
}

/// One line of such a table, if it is a listener: the address is hexadecimal, in the machine's byte order.
fn listener(line: &str) -> Option<String> {
    let mut fields = line.split_whitespace().skip(1);
    let (local, _, state) = (fields.next()?, fields.next()?, fields.next()?);
    let (address, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    if state != "0A" {
        return None;
    }
    match address.len() {
        8 => {
            let ip = std::net::Ipv4Addr::from(u32::from_str_radix(address, 16).ok()?.to_le_bytes());
            Some(format!("{ip}:{port}"))
        }
        _ if address.bytes().all(|b| b == b'0') => Some(format!("[::]:{port}")),
        _ => Some(format!("[IPv6]:{port}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_listener_from_the_kernels_table() {
        let line = "   0: 0100007F:2328 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1";
        assert_eq!(listener(line).as_deref(), Some("127.0.0.1:9000"));
        assert_eq!(listener(&line.replace(" 0A ", " 01 ")), None);
        assert_eq!(listener("garbage"), None);
    }

    #[test]
    fn keeps_the_last_lines_only() {
        assert_eq!(last_lines("a\nb\nc\nd\ne\nf\n"), "b | c | d | e | f");
    }
}
