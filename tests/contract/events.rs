//! Published events, one of each kind, pass through the function unchanged in value. Provenance:
//! data/events/README.md.

use outside::events;
use outside::peer::{Peer, invoke};
use outside::server::Server;
use serde_json::Value;
use std::collections::BTreeSet;

#[test]
fn every_published_event_passes_through_unchanged_in_value() {
    let server = Server::echo();
    let mut peer = Peer::to(server.address);
    for (name, bytes) in events::samples() {
        let reply = peer.ask(invoke(&bytes));
        let sent: Value =
            serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((reply.status, &reply.json()), (200, &sent), "{name}");
    }
}

#[test]
fn every_sample_has_its_provenance() {
    let readme = include_str!("../data/events/README.md");
    let told: BTreeSet<&str> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" |").next())
        .filter(|name| *name != "file")
        .collect();
    let there: Vec<String> = events::samples().into_iter().map(|(name, _)| name).collect();
    let there: BTreeSet<&str> = there.iter().map(String::as_str).collect();
    assert_eq!(told, there, "README.md names exactly the samples");
}
