//! Messages between the tool, the helper and a child: one JSON value per message over a
//! SOCK_SEQPACKET pair, with descriptors (unix(7), SCM_RIGHTS). Private to the sandbox.

use super::{Exit, Plan};
use nix::fcntl::OFlag;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
    sendmsg, socketpair,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Largest message: an image's environment needs no more.
const MESSAGE_LIMIT_BYTES: usize = 128 * 1024;
/// Descriptors a message may carry: the kernel's own limit (SCM_MAX_FD).
const DESCRIPTOR_LIMIT: usize = 253;

/// From the tool to the helper.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// Two descriptors follow: the child's event socket and its output pipe.
    Launch(Box<Plan>),
    End {
        pid: i32,
    },
}

/// From the helper to the tool.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    Launched { pid: i32 },
    Failed(Failure),
    Ended(Exit),
}

/// From a child to the tool.
#[derive(Debug, Serialize, Deserialize)]
pub enum Event {
    /// The network namespace exists, and its owner may connect it; the event carries the listeners
    /// of the relays. The child waits for [`Go`].
    Network,
    /// The sockets of the instance's network namespace follow.
    Ready,
    /// The last event before `execve`; the child reads `at_ns` just before it sends it.
    Exec {
        at_ns: u64,
    },
    Failed(Failure),
}

/// From the tool to a child that waits for its network.
#[derive(Debug, Serialize, Deserialize)]
pub struct Go;

#[derive(Debug, Serialize, Deserialize)]
pub struct Failure {
    pub what: What,
    pub errno: i32,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum What {
    Namespace { which: String },
    Step { step: String },
    Cgroup { message: String },
}

/// A connected pair, closed on exec.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?)
}

/// A pipe for an instance's output; the reading end never blocks. It holds 1 MiB if the kernel
/// allows it, so that a program with much output does not block while it is measured.
pub fn output_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    nix::fcntl::fcntl(&read, nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let _ = nix::fcntl::fcntl(&read, nix::fcntl::FcntlArg::F_SETPIPE_SZ(1 << 20));
    Ok((read, write))
}

/// Sends one value and its descriptors.
pub fn send(to: &impl AsFd, value: &impl Serialize, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let bytes = serde_json::to_vec(value)?;
    if bytes.len() > MESSAGE_LIMIT_BYTES {
        return Err(io::Error::other(format!(
            "a message of {} bytes is larger than the limit",
            bytes.len()
        )));
    }
    let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let control: &[ControlMessage] =
        if raw.is_empty() { &[] } else { &[ControlMessage::ScmRights(&raw)] };
    sendmsg::<()>(
        to.as_fd().as_raw_fd(),
        &[IoSlice::new(&bytes)],
        control,
        MsgFlags::MSG_NOSIGNAL,
        None,
    )?;
    Ok(())
}

/// Receives one value and its descriptors; `UnexpectedEof` when the other side has closed.
pub fn receive<T: DeserializeOwned>(from: &impl AsFd) -> io::Result<(T, Vec<OwnedFd>)> {
    let mut buffer = vec![0u8; MESSAGE_LIMIT_BYTES];
    let mut space = nix::cmsg_space!([RawFd; DESCRIPTOR_LIMIT]);
    let (length, fds) = loop {
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        match recvmsg::<()>(from.as_fd().as_raw_fd(), &mut slices, Some(&mut space), flags) {
            Ok(message) => {
                let mut fds = Vec::new();
                for control in message.cmsgs()? {
                    if let ControlMessageOwned::ScmRights(raw) = control {
                        fds.extend(raw.into_iter().map(own));
                    }
                }
                break (message.bytes, fds);
            }
            Err(nix::Error::EINTR) => continue,
            Err(error) => return Err(error.into()),
        }
    };
    if length == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((serde_json::from_slice(&buffer[..length])?, fds))
}

/// A descriptor that becomes readable when the process ends (pidfd_open(2)).
pub fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    // JUSTIFICATION: neither std nor nix wraps pidfd_open.
    // SAFETY: the call takes two integers and touches no memory of ours.
    let fd = unsafe { nix::libc::syscall(nix::libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(own(fd as RawFd))
}

/// The other side sent an unexpected message.
pub fn unexpected(reply: &impl std::fmt::Debug) -> io::Error {
    io::Error::other(format!("unexpected answer `{reply:?}`"))
}

fn own(fd: RawFd) -> OwnedFd {
    // JUSTIFICATION: the kernel hands descriptors out as integers.
    // SAFETY: called only on descriptors that the kernel has just made for us (SCM_RIGHTS,
    // pidfd_open) and that nothing else in this process knows of.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
