//! DNS resolver. A look-up does not delay other requests. It can replace the C library's
//! `getaddrinfo`, for the crates that call that function.
//!
//! /etc/hosts first, then `localhost` without a file, then the name servers of /etc/resolv.conf.

mod config;
mod interposed;
mod lookup;
mod message;

pub use interposed::{freeaddrinfo, gai_strerror, getaddrinfo};
pub use libc::addrinfo;
pub(super) use lookup::{ByName, Lookup, Want, wait_until};

/// For fuzz/: reads `reply` as the reply to a question for `name`. No bytes may make it panic.
#[doc(hidden)]
pub fn fuzz_reply(reply: &[u8], name: &str, id: u16) -> usize {
    let mut question = Vec::new();
    if !message::write_question(&mut question, id, name, message::Kind::A) {
        return 0;
    }
    match message::read_reply(reply, &question) {
        Some(message::Answer::Addresses { addresses, canonical, .. }) => {
            assert!(canonical.len() <= 512);
            addresses.len()
        }
        _ => 0,
    }
}

/// For fuzz/: reads text as resolv.conf and as hosts.
#[doc(hidden)]
pub fn fuzz_files(text: &[u8], name: &str) -> usize {
    config::Config::parse(text).candidates(name).len() + config::in_hosts(text, name).len()
}
