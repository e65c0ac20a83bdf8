//! Failures as results: what went wrong in a sample, in which phase, the program's last output, and
//! the status that a user of the platform would see (Tencent Cloud SCF, function status codes).

use crate::phase::Phase;
use crate::probe::ProbeError;
use crate::pull::PullError;
use crate::results::Failure;
use microimage::sandbox::{self, Exit};
use std::error::Error;

/// How a program ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// `exited with code 3`.
    pub how: String,
    /// Whether its memory limit ended it.
    pub out_of_memory: bool,
}

impl From<Exit> for Ended {
    fn from(exit: Exit) -> Self {
        Self { how: exit.to_string(), out_of_memory: exit.out_of_memory }
    }
}

/// A failure of pulling.
pub fn of_pull(error: &PullError) -> Failure {
    if is_full(error) {
        return Failure { phase: Phase::Pull, ..no_room(error) };
    }
    let status = match error {
        PullError::Thread(_) => "", // caused by this machine, not by the image
        error if error.is_timeout() => " (platform: 447 PullImageTimeOut)",
        _ => " (platform: 444 PullImageFailed)",
    };
    Failure { phase: Phase::Pull, message: format!("{error}{status}") }
}

/// Begin of the message of a failure for lack of room.
const NO_ROOM: &str = "this machine has no room for more instances";

/// The failure of an instance for which there was no room: the burst was larger than the machine.
/// It is not the image's fault, and the platform has no status for it.
pub fn no_room(error: &(impl Error + ?Sized)) -> Failure {
    Failure { phase: Phase::Create, message: format!("{NO_ROOM}: {error}") }
}

/// Whether a failure is one for lack of room.
pub fn is_no_room(failure: &Failure) -> bool {
    failure.message.starts_with(NO_ROOM)
}

/// Whether an error means that the machine is full: its disk, descriptors, memory or processes.
pub fn is_full(error: &(dyn Error + 'static)) -> bool {
    use nix::libc::{EAGAIN, EDQUOT, EMFILE, ENFILE, ENOMEM, ENOSPC};
    let mut cause = Some(error);
    while let Some(error) = cause {
        let errno = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
        if errno
            .is_some_and(|errno| [EAGAIN, EDQUOT, EMFILE, ENFILE, ENOMEM, ENOSPC].contains(&errno))
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A failure of a phase before the start; if the machine is full, it is not the image's fault.
pub fn of(phase: Phase, error: &(dyn Error + 'static)) -> Failure {
    if is_full(error) {
        return Failure { phase, ..no_room(error) };
    }
    in_phase(phase, &error.to_string())
}

/// The image is for another architecture than this machine's, by its own configuration (image-spec,
/// config.md; names as in Go).
pub fn of_architecture(architecture: &str) -> Option<Failure> {
    let own = match () {
        () if cfg!(target_arch = "x86_64") => "amd64",
        () if cfg!(target_arch = "aarch64") => "arm64",
        () => return None, // the user has chosen to run it here
    };
    let other = !architecture.is_empty() && architecture != own;
    other.then(|| {
        in_phase(
            Phase::Create,
            &format!("the image is for `{architecture}`, this machine is `{own}`"),
        )
    })
}

/// A failure with an engine's message; adds the status that a user of the platform would see.
pub fn in_phase(phase: Phase, message: &str) -> Failure {
    let status = match phase {
        Phase::Pull | Phase::Unpack => "444 PullImageFailed",
        Phase::Create | Phase::Start => "445 ContainerInitError",
    };
    Failure { phase, message: format!("{message} (platform: {status})") }
}

/// The sandbox could not create the instance from this image.
pub fn launch(error: &sandbox::Error) -> Failure {
    let hint = match error {
        sandbox::Error::Step { source, .. }
            if source.raw_os_error() == Some(nix::libc::ENOEXEC) =>
        {
            "; the program is for another architecture, or is not a program"
        }
        _ => "",
    };
    Failure {
        phase: Phase::Create,
        message: format!("{error}{hint} (platform: 445 ContainerInitError)"),
    }
}

/// The instance answered, but not as expected.
pub fn wrong_answer(status: u16, message: &str) -> Failure {
    // An event function whose status is not 2xx has failed; any other answer the platform passes
    // on.
    let said = if (200..300).contains(&status) {
        ""
    } else {
        " (platform: 430 User code exception caught)"
    };
    let hint = match status {
        404 | 405 => "; `--request GET:/` asks as a browser does, METHOD:/path for anything else",
        400..=499 | 501 => "; `--request METHOD:/path` asks for something else",
        _ => "",
    };
    Failure { phase: Phase::Start, message: format!("{message}{said}{hint}") }
}

/// The status that a user of the platform would see, as in the project's emulator.
fn status(error: &ProbeError, ended: Option<&Ended>) -> &'static str {
    match (error, ended) {
        (ProbeError::Interrupted | ProbeError::Socket(_), _) => "",
        (_, Some(ended)) if ended.out_of_memory => " (platform: 434 MemoryLimitReached)",
        (ProbeError::NeverListened { .. }, _) => " (platform: 446 PortBindingFailed)",
        (ProbeError::NeverAnswered { .. }, _) => " (platform: 433 TimeLimitReached)",
        (ProbeError::Engine(_), _) => " (platform: 445 ContainerInitError)",
        (ProbeError::Ended { listened: false }, _) => " (platform: 405 ContainerStateExited)",
        (ProbeError::Ended { listened: true }, _)
        | (ProbeError::Closed | ProbeError::Reply(_), Some(_)) => {
            " (platform: 439 User process exit when running)"
        }
        (ProbeError::Closed | ProbeError::Reply(_), None) => " (platform: 443 UserCodeError)",
    }
}

/// No correct answer came. `printed` is the program's output, `listeners` where it listens, `ended`
/// how it ended if it did so by itself.
pub fn of_start(
    error: &ProbeError,
    printed: &str,
    listeners: &[String],
    ended: Option<&Ended>,
) -> Failure {
    let mut message = format!("{error}{}", status(error, ended));
    if let ProbeError::NeverListened { port, .. } = error {
        for found in listeners {
            message
                .push_str(&format!("; it listens on `{found}`, the platform asks 0.0.0.0:{port}"));
        }
    }
    match printed.trim_end() {
        "" => message.push_str("; it printed nothing"),
        text => message.push_str(&format!("; it printed last: `{}`", last_lines(text))),
    }
    match ended {
        Some(Ended { how, out_of_memory: true }) => {
            message.push_str(&format!("; it {how}, over its memory limit"))
        }
        Some(Ended { how, .. }) => message.push_str(&format!("; it {how}")),
        None => {}
    }
    if let Some(hint) = hint(error, listeners, ended) {
        message.push_str(&format!("; {hint}"));
    }
    Failure { phase: Phase::Start, message }
}

/// A flag that may help.
fn hint(error: &ProbeError, listeners: &[String], ended: Option<&Ended>) -> Option<String> {
    if ended.is_some_and(|ended| ended.out_of_memory) {
        return Some("`--memory MIB` gives it more".into());
    }
    match error {
        ProbeError::NeverListened { port, .. } => {
            // No flag helps if only the instance itself can reach it.
            let reached = listeners.iter().filter(|found| !found.starts_with("127."));
            let ports: Vec<u16> =
                reached.filter_map(|found| found.rsplit(':').next()?.parse().ok()).collect();
            match (ports.first(), ended) {
                (Some(other), _) if other != port => Some(format!("`--port {other}` asks there")),
                (None, None) if listeners.is_empty() => {
                    Some("`--port PORT` asks elsewhere, `--deadline SECONDS` waits longer".into())
                }
                _ => None,
            }
        }
        ProbeError::NeverAnswered { .. } => Some(
            "`--deadline SECONDS` waits longer, `--request METHOD:/path` asks for something else"
                .into(),
        ),
        ProbeError::Reply(_) if ended.is_none() => {
            Some("`--port PORT` asks elsewhere, if HTTP is spoken on another port".into())
        }
        ProbeError::Closed if ended.is_none() => {
            Some("`--request METHOD:/path` asks for something else".into())
        }
        _ => None,
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::ReplyError;

    /// docs/CONTRACTS.md, section 8, has the same numbers for `firstbyte run`.
    #[test]
    fn each_failure_has_the_status_that_the_platform_would_give() {
        let exited = Ended { how: "exited with code 1".into(), out_of_memory: false };
        let killed = Ended { how: "was ended by signal 9".into(), out_of_memory: true };
        let never_listened = || ProbeError::NeverListened { port: 9000, waited_ms: 30_000 };
        let never_answered = || ProbeError::NeverAnswered { waited_ms: 30_000 };
        let cut = || ProbeError::Reply(ReplyError::Cut(3));
        let table = [
            (ProbeError::Ended { listened: false }, Some(&exited), "405"),
            (never_answered(), None, "433"),
            (ProbeError::Ended { listened: false }, Some(&killed), "434"),
            (ProbeError::Ended { listened: true }, Some(&killed), "434"),
            (ProbeError::Closed, Some(&killed), "434"),
            (never_listened(), Some(&killed), "434"), // a child of the program was killed
            (ProbeError::Ended { listened: true }, Some(&exited), "439"),
            (ProbeError::Closed, Some(&exited), "439"),
            (cut(), Some(&exited), "439"),
            (ProbeError::Closed, None, "443"),
            (cut(), None, "443"),
            (ProbeError::Engine("no such runtime".into()), None, "445"),
            (never_listened(), None, "446"),
        ];
        for (error, ended, expected) in table {
            let failure = of_start(&error, "", &[], ended);
            assert!(
                failure.message.contains(&format!("(platform: {expected} ")),
                "{error:?}: {}",
                failure.message
            );
            assert_eq!(failure.phase, Phase::Start);
        }
        for error in [ProbeError::Interrupted, ProbeError::Socket(std::io::ErrorKind::Other.into())]
        {
            assert!(!of_start(&error, "", &[], None).message.contains("platform"), "{error:?}");
        }
        assert!(wrong_answer(500, "oops").message.contains("430"));
        assert!(!wrong_answer(200, "another body").message.contains("platform"));
        let blob =
            |kind: std::io::ErrorKind| PullError::Blob { url: "u".into(), source: kind.into() };
        assert!(of_pull(&blob(std::io::ErrorKind::TimedOut)).message.contains("447"));
        assert!(of_pull(&blob(std::io::ErrorKind::InvalidData)).message.contains("444"));
        assert!(of(Phase::Unpack, &std::io::Error::other("broken")).message.contains("444"));
    }

    #[test]
    fn a_full_machine_is_not_a_failure_of_the_image() {
        let full = std::io::Error::from_raw_os_error(nix::libc::ENOSPC);
        let pulled = of_pull(&PullError::Keep { path: "x".into(), source: full });
        assert!(
            is_no_room(&pulled)
                && pulled.phase == Phase::Pull
                && !pulled.message.contains("platform"),
            "{pulled:?}"
        );
        assert!(is_no_room(&of(
            Phase::Unpack,
            &std::io::Error::from_raw_os_error(nix::libc::EMFILE)
        )));
        assert!(!is_no_room(&of(
            Phase::Unpack,
            &std::io::Error::from_raw_os_error(nix::libc::EACCES)
        )));
    }

    #[test]
    fn another_architecture_is_reported_before_anything_is_started() {
        let here =
            if cfg!(target_arch = "x86_64") { ["amd64", "arm64"] } else { ["arm64", "amd64"] };
        assert_eq!((of_architecture(here[0]), of_architecture("")), (None, None));
        assert!(of_architecture(here[1]).unwrap().message.contains(&format!("for `{}`", here[1])));
    }

    #[test]
    fn keeps_the_last_lines_only() {
        assert_eq!(last_lines("a\nb\nc\nd\ne\nf\n"), "b | c | d | e | f");
    }
}
