//! `getaddrinfo`, `freeaddrinfo` and `gai_strerror` on this resolver, in place of the C library's:
//! for programs that use [`dns!`](crate::dns). POSIX.1-2017, getaddrinfo; RFC 3493, section 6.1.

use super::lookup::{Found, Lookup, Reason, Want, wait_until};
use crate::net::socket::RawAddress;
use crate::net::until::limit;
use std::cell::{Cell, UnsafeCell};
use std::ffi::{CStr, CString, c_char, c_int};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ptr;

/// One entry of the list: C's structure and the values that it points to.
#[repr(C)]
struct Entry {
    info: libc::addrinfo,
    address: RawAddress,
    /// The canonical name, in the first entry only, if the caller asked for it.
    canonical: Option<CString>,
}

/// Longest error text, with its terminating zero.
const WORDS: usize = 320;

thread_local! {
    /// The error of this thread's last failed look-up, for `gai_strerror`: its code, and its text
    /// with a terminating zero.
    static CODE: Cell<c_int> = const { Cell::new(0) };
    static LAST: UnsafeCell<[u8; WORDS]> = const { UnsafeCell::new([0; WORDS]) };
}

/// Implements getaddrinfo(3).
///
/// # Safety
/// The same as for the C library's function.
pub unsafe fn getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: *const libc::addrinfo,
    result: *mut *mut libc::addrinfo,
) -> c_int {
    // JUSTIFICATION: the arguments are C's pointers.
    // SAFETY: the caller promises that each is null or points to what getaddrinfo(3) states.
    let (node, service, hints) = unsafe {
        let text = |at: *const c_char| (!at.is_null()).then(|| CStr::from_ptr(at).to_bytes());
        (text(node), text(service), hints.as_ref())
    };
    // A panic must not unwind into C code.
    match std::panic::catch_unwind(|| find(node, service, hints)) {
        Ok(Ok(list)) => {
            // JUSTIFICATION: the result is C's pointer.
            // SAFETY: the caller promises that there is room for one pointer.
            unsafe { *result = list };
            0
        }
        Ok(Err(code)) => code,
        Err(_) => libc::EAI_FAIL,
    }
}

fn find(
    node: Option<&[u8]>,
    service: Option<&[u8]>,
    hints: Option<&libc::addrinfo>,
) -> Result<*mut libc::addrinfo, c_int> {
    let (flags, family, kind, protocol) = hints.map_or((0, libc::AF_UNSPEC, 0, 0), |hints| {
        (hints.ai_flags, hints.ai_family, hints.ai_socktype, hints.ai_protocol)
    });
    const KNOWN: c_int = libc::AI_PASSIVE
        | libc::AI_CANONNAME
        | libc::AI_NUMERICHOST
        | libc::AI_NUMERICSERV
        | libc::AI_V4MAPPED
        | libc::AI_ALL
        | libc::AI_ADDRCONFIG;
    let wants_canonical = flags & libc::AI_CANONNAME != 0;
    if flags & !KNOWN != 0 || (wants_canonical && node.is_none()) {
        return Err(fails(libc::EAI_BADFLAGS, ""));
    }
    if node.is_none() && service.is_none() {
        return Err(fails(libc::EAI_NONAME, ""));
    }
    let want = match family {
        libc::AF_UNSPEC => Want::Both,
        libc::AF_INET => Want::V4,
        libc::AF_INET6 => Want::V6,
        _ => return Err(fails(libc::EAI_FAMILY, "")),
    };
    let (tcp, udp) =
        ((libc::SOCK_STREAM, libc::IPPROTO_TCP), (libc::SOCK_DGRAM, libc::IPPROTO_UDP));
    let kinds: &[(c_int, c_int)] = match (kind, protocol) {
        (0, 0) => &[tcp, udp],
        (0 | libc::SOCK_STREAM, libc::IPPROTO_TCP) | (libc::SOCK_STREAM, 0) => &[tcp],
        (0 | libc::SOCK_DGRAM, libc::IPPROTO_UDP) | (libc::SOCK_DGRAM, 0) => &[udp],
        (libc::SOCK_RAW, _) if service.is_none() => &[(libc::SOCK_RAW, protocol)],
        (libc::SOCK_STREAM | libc::SOCK_DGRAM | libc::SOCK_RAW | 0, _) => {
            return Err(fails(libc::EAI_SERVICE, ""));
        }
        _ => return Err(fails(libc::EAI_SOCKTYPE, "")),
    };
    let port = match service {
        None => 0,
        Some(service) => port(service, flags).ok_or_else(|| fails(libc::EAI_SERVICE, ""))?,
    };
    let found = addresses(node, flags, want)?;
    let mut list: *mut libc::addrinfo = ptr::null_mut();
    for (at, address) in found.addresses.iter().enumerate().rev() {
        for (of_kind, (kind, protocol)) in kinds.iter().enumerate().rev() {
            let is_first = wants_canonical && at == 0 && of_kind == 0;
            let canonical = is_first.then(|| CString::new(found.canonical.as_str()).ok()).flatten();
            let socket = SocketAddr::new(*address, port);
            list = entry(&socket, (*kind, *protocol), canonical, list);
        }
    }
    Ok(list)
}

/// The addresses for the list.
fn addresses(node: Option<&[u8]>, flags: c_int, want: Want) -> Result<Found, c_int> {
    let Some(node) = node else {
        let (v4, v6) = match flags & libc::AI_PASSIVE != 0 {
            true => (Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED),
            false => (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST),
        };
        let addresses = match want {
            Want::V4 => vec![v4.into()],
            Want::V6 => vec![v6.into()],
            Want::Both => vec![v4.into(), v6.into()],
        };
        return Ok(Found { addresses, canonical: String::new() });
    };
    let name = std::str::from_utf8(node).map_err(|_| fails(libc::EAI_NONAME, ""))?;
    let mapped = want == Want::V6 && flags & libc::AI_V4MAPPED != 0;
    if let Ok(address) = name.parse::<IpAddr>() {
        let address = match address {
            IpAddr::V4(address) if mapped => address.to_ipv6_mapped().into(),
            address if want.takes(&address) => address,
            _ => return Err(fails(libc::EAI_NONAME, "the address is of the other family")),
        };
        return Ok(Found { addresses: vec![address], canonical: name.to_owned() });
    }
    if flags & libc::AI_NUMERICHOST != 0 {
        return Err(fails(libc::EAI_NONAME, "this is not a numeric address"));
    }
    let find = |want| wait_until(Lookup::new(name, want), limit());
    let both = mapped && flags & libc::AI_ALL != 0;
    let found = match find(if both { Want::Both } else { want }) {
        Err(failure) if mapped && failure.reason == Reason::NoAddress => find(Want::V4),
        found => found,
    };
    let mut found = found.map_err(|failure| {
        let code = match failure.reason {
            Reason::NoName => libc::EAI_NONAME,
            Reason::NoAddress => libc::EAI_NODATA,
            Reason::Servers | Reason::Silence => libc::EAI_AGAIN,
            Reason::NoServer => libc::EAI_FAIL,
        };
        fails(code, &failure.text)
    })?;
    if mapped {
        for address in &mut found.addresses {
            if let IpAddr::V4(v4) = address {
                *address = v4.to_ipv6_mapped().into();
            }
        }
    }
    Ok(found)
}

/// Finds a service by its number, or by one of a few names: an image from scratch has no
/// /etc/services.
fn port(service: &[u8], flags: c_int) -> Option<u16> {
    if let Some(number) = std::str::from_utf8(service).ok().and_then(|text| text.parse().ok()) {
        return Some(number);
    }
    const NAMES: &[(&[u8], u16)] = &[
        (b"domain", 53),
        (b"http", 80),
        (b"https", 443),
        (b"mysql", 3306),
        (b"postgresql", 5432),
        (b"redis", 6379),
    ];
    let by_name = flags & libc::AI_NUMERICSERV == 0;
    let known = NAMES.iter().find(|(name, _)| by_name && *name == service)?;
    Some(known.1)
}

fn entry(
    socket: &SocketAddr,
    (kind, protocol): (c_int, c_int),
    canonical: Option<CString>,
    next: *mut libc::addrinfo,
) -> *mut libc::addrinfo {
    let mut address = RawAddress::default();
    let size = address.set(socket);
    let info = libc::addrinfo {
        ai_flags: 0,
        ai_family: if socket.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 },
        ai_socktype: kind,
        ai_protocol: protocol,
        ai_addrlen: size,
        ai_addr: ptr::null_mut(),
        ai_canonname: ptr::null_mut(),
        ai_next: next,
    };
    let entry = Box::into_raw(Box::new(Entry { info, address, canonical }));
    // JUSTIFICATION: the structure is C's, and points into itself.
    // SAFETY: this function just made the box, and no other code has its address.
    unsafe {
        (*entry).info.ai_addr = (&raw mut (*entry).address).cast();
        if let Some(name) = &(*entry).canonical {
            (*entry).info.ai_canonname = name.as_ptr().cast_mut();
        }
    }
    entry.cast()
}

/// Implements freeaddrinfo(3).
///
/// # Safety
/// The same as for the C library's function: `list` is from [`getaddrinfo`], or the rest of such a
/// list.
pub unsafe fn freeaddrinfo(mut list: *mut libc::addrinfo) {
    while !list.is_null() {
        // JUSTIFICATION: the list is C's.
        // SAFETY: the caller promises that `entry` made each element, and that it frees each only
        // once.
        let entry = unsafe { Box::from_raw(list.cast::<Entry>()) };
        list = entry.info.ai_next;
    }
}

/// Stores the error text: `text`, or the standard text of the code.
fn fails(code: c_int, text: &str) -> c_int {
    let text = if text.is_empty() { words(code) } else { text };
    CODE.set(code);
    LAST.with(|last| {
        let mut words = [0; WORDS];
        let size = text.len().min(WORDS - 1);
        words[..size].copy_from_slice(&text.as_bytes()[..size]);
        // JUSTIFICATION: `gai_strerror` hands the address out.
        // SAFETY: the buffer belongs to this thread, and nothing else refers to it now: C callers
        // no longer use the result of an earlier call.
        unsafe { *last.get() = words };
    });
    code
}

/// Implements gai_strerror(3): returns the error of this thread's last look-up if it failed with
/// `code`. The text is valid until the thread's next look-up.
pub fn gai_strerror(code: c_int) -> *const c_char {
    if code != CODE.get() {
        CODE.set(code);
        fails(code, "");
    }
    LAST.with(|last| last.get().cast_const().cast())
}

fn words(code: c_int) -> &'static str {
    match code {
        0 => "no error",
        libc::EAI_AGAIN => "no name server knows; try again",
        libc::EAI_BADFLAGS => "the flags are invalid",
        libc::EAI_FAMILY => "the address family is not supported",
        libc::EAI_MEMORY => "out of memory",
        libc::EAI_NODATA => "the name has no address",
        libc::EAI_NONAME => "there is no such name",
        libc::EAI_SERVICE => "the service is not known; give its port in digits",
        libc::EAI_SOCKTYPE => "the socket type is not supported",
        libc::EAI_SYSTEM => "a system call has failed",
        _ => "the name cannot be found",
    }
}
