//! The moment when a pull had all its bytes, from the engine's progress messages. The engine passes
//! on only the latest state of a layer (moby, distribution/xfer/transfer.go), so a short state is
//! never reported: a layer that is being extracted has been downloaded, whether that was reported
//! or not. Pure.

use std::collections::HashMap;

/// The layers of one pull.
#[derive(Debug, Default)]
pub struct Downloads {
    /// When each layer was first known to be complete.
    here_ns: HashMap<String, u64>,
}

impl Downloads {
    /// Takes a message about a layer at `now_ns`.
    pub fn heard(&mut self, layer: &str, status: &str, now_ns: u64) {
        if matches!(status, "Download complete" | "Extracting" | "Pull complete") {
            self.here_ns.entry(layer.to_owned()).or_insert(now_ns);
        }
    }

    /// When the last layer was complete; `None` if no layer was reported.
    pub fn last_ns(&self) -> Option<u64> {
        self.here_ns.values().copied().max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(events: &[(&str, &str, u64)]) -> Option<u64> {
        let mut downloads = Downloads::default();
        events.iter().for_each(|(layer, status, now_ns)| downloads.heard(layer, status, *now_ns));
        downloads.last_ns()
    }

    #[test]
    fn the_last_layer_to_arrive_ends_a_pull() {
        let events = [
            ("a", "Downloading", 1),
            ("b", "Download complete", 2),
            ("a", "Verifying Checksum", 3),
            ("a", "Download complete", 4),
            ("a", "Extracting", 5),
            ("a", "Pull complete", 6),
            ("b", "Extracting", 7),
            ("b", "Pull complete", 8),
        ];
        assert_eq!(last(&events), Some(4), "not when it was unpacked");
        assert_eq!(last(&[("latest", "Pulling from echo", 1)]), None);
    }

    /// The story: one pull of an image from scratch in thirty was reported without a "Download
    /// complete", and was a failure.
    #[test]
    fn a_layer_that_is_extracted_counts_as_downloaded_without_a_report() {
        assert_eq!(
            last(&[
                ("a", "Pulling fs layer", 1),
                ("a", "Extracting", 2),
                ("a", "Pull complete", 3)
            ]),
            Some(2)
        );
        assert_eq!(last(&[("a", "Pulling fs layer", 1), ("a", "Pull complete", 3)]), Some(3));
    }
}
