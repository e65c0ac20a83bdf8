//! Time at which a pull had all its bytes, from the engine's progress messages. The engine reports
//! only the latest state of a layer (moby, distribution/xfer/transfer.go), so it may skip a short
//! state: a layer that is being extracted has been downloaded, even without a report. Pure.

use std::collections::HashMap;

/// The layers of one pull.
#[derive(Debug, Default)]
pub struct Downloads {
    /// Time at which each layer was first known to be complete.
    here_ns: HashMap<String, u64>,
}

impl Downloads {
    /// Records a message about a layer at `now_ns`.
    pub fn heard(&mut self, layer: &str, status: &str, now_ns: u64) {
        if matches!(status, "Download complete" | "Extracting" | "Pull complete") {
            self.here_ns.entry(layer.to_owned()).or_insert(now_ns);
        }
    }

    /// Time at which the last layer was complete; `None` if no layer was reported.
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
        assert_eq!(last(&events), Some(4), "the time of the download, not of the extraction");
        assert_eq!(last(&[("latest", "Pulling from echo", 1)]), None);
    }

    /// Regression: one in thirty pulls of an image from scratch was reported without "Download
    /// complete", and counted as a failure.
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
