//! Differential test of firstbyte::wire against an independent parser (hyper's HTTP/1 server) over
//! a generated corpus: for every request that we accept, hyper sees the same request with the same
//! body at the same place. Requests that two servers see differently can be smuggled. An intended
//! difference has a row with its reason, here or in `oracle::WE_ACCEPT`.

use outside::framing::{self, End};
use outside::{corpus, oracle};
use std::collections::BTreeMap;

/// Number of connections per run, which take a few seconds.
const CONNECTIONS: u64 = 150_000;

/// Why we refuse requests that hyper accepts, by the reason that the peer gets.
const WE_REFUSE: &[(&str, &str)] = &[
    (
        "CONNECT is not supported: this is not a proxy",
        "501 at the head: no handler could answer it (RFC 9110, section 9.3.6)",
    ),
    (
        "a chunk extension is not `;name`, `;name=token` or `;name=\"text\"`",
        "RFC 9112, section 7.1.1, is kept, and no space ends a size line, though all is dropped",
    ),
    (
        "a trailer field has an invalid byte",
        "trailer lines are checked like fields, though they are dropped",
    ),
    (
        "a chunk size has more than 16 digits",
        "leading zeros count, or a size line would have no end",
    ),
    (
        "a line ends in LF without CR",
        "allowed to recipients by RFC 9112, section 2.2, and how requests are smuggled past those \
         that do not",
    ),
    (
        "both Transfer-Encoding and Content-Length are present",
        "RFC 9112, section 6.3, rule 3: may be refused, ought to be handled as an error",
    ),
    ("only `Expect: 100-continue` is served", "417, RFC 9110, section 10.1.1"),
    ("the Content-Length field is not a number", "also where a transfer coding overrides it"),
    ("two Content-Length fields differ", "also where a transfer coding overrides them"),
    ("the Host field is missing", "RFC 9112, section 3.2: 400 on HTTP/1.1"),
    ("the Host field is not a host and port", "RFC 9112, section 3.2: 400 for an invalid value"),
    (
        "the chunked transfer coding is applied twice",
        "RFC 9112, section 7.1: must not be applied more than once",
    ),
    ("the only transfer coding served is `chunked`", "501, RFC 9112, section 6.1"),
    (
        "the request target has an invalid byte; percent-encode it",
        "a fragment or a byte above 0x7f has no place in a target",
    ),
    (
        "the request target is neither a path nor an absolute URI",
        "RFC 9112, section 3.2: the four forms, of which a server has use for two",
    ),
    ("there is more than one Host field", "RFC 9112, section 3.2"),
    (
        "too many empty lines before the request line",
        "one is robust (RFC 9112, section 2.2), five is no client",
    ),
];

#[test]
fn hyper_sees_the_same_message_for_every_accepted_request() {
    let mut accepted = 0u64;
    let mut differences = Vec::new();
    let mut refused: BTreeMap<&str, u64> = BTreeMap::new();
    let mut unlisted: BTreeMap<&str, String> = BTreeMap::new();
    for seed in 0..CONNECTIONS {
        let bytes = corpus::connection(seed);
        let (ours, end) = framing::read(&bytes);
        let theirs = oracle::read(&bytes);
        for (index, message) in ours.iter().enumerate() {
            accepted += 1;
            match theirs.get(index) {
                Some(their) if their == message => {}
                their => {
                    let known = oracle::WE_ACCEPT.iter().any(|(is_known, _)| is_known(message));
                    if !known {
                        let bytes = bytes.escape_ascii();
                        differences.push(format!(
                            "seed {seed}, request {index} of `{bytes}`:\nours   \
                             {message:?}\ntheirs {their:?}"
                        ));
                    }
                    break; // hyper has stopped, or continues at another place
                }
            }
        }
        if let End::Refused(_, reason) = end
            && theirs.len() > ours.len()
            && theirs[..ours.len()] == ours[..]
        {
            *refused.entry(reason).or_default() += 1;
            if !WE_REFUSE.iter().any(|(listed, _)| *listed == reason) {
                unlisted.entry(reason).or_insert_with(|| bytes.escape_ascii().to_string());
            }
        }
    }
    println!("{accepted} requests accepted; refused where hyper accepts: {refused:#?}");
    let shown = differences.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
    assert!(
        differences.is_empty(),
        "{} differences, of which the first:\n{shown}",
        differences.len()
    );
    assert!(accepted > CONNECTIONS / 2, "the corpus is mostly well-formed: {accepted}");
    assert!(unlisted.is_empty(), "refused for reasons that are not in the table: {unlisted:#?}");
    let unseen: Vec<_> =
        WE_REFUSE.iter().filter(|(reason, _)| !refused.contains_key(reason)).collect();
    assert!(unseen.is_empty(), "in the table, but not in the corpus: {unseen:?}");
}
