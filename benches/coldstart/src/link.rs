//! Link between instance host and registry: name, rate, round trip. `relay` shapes the traffic, by
//! the rules of `pipe`. Links are models: figures of a data centre's network, not measurements of
//! one.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// One link. Rate and round trip of zero mean: not shaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    name: String,
    /// Bits a second in each direction; 0 is unlimited.
    pub rate_bits_per_second: u64,
    /// Round trip without load.
    pub round_trip: Duration,
}

/// Text that is not a link.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid link `{0}`; use `loopback`, `same-region`, `cross-region`, or RATE/RTT such as \
     `100Mbit/30ms`"
)]
pub struct LinkError(String);

impl Link {
    /// As fast as this machine, without a model.
    pub fn loopback() -> Self {
        Self { name: "loopback".into(), rate_bits_per_second: 0, round_trip: Duration::ZERO }
    }

    /// A registry in the same region: 1 Gbit/s, 0.5 ms.
    pub fn same_region() -> Self {
        Self {
            name: "same-region".into(),
            rate_bits_per_second: 1_000_000_000,
            round_trip: Duration::from_micros(500),
        }
    }

    /// A registry in another region: 100 Mbit/s, 30 ms.
    pub fn cross_region() -> Self {
        Self {
            name: "cross-region".into(),
            rate_bits_per_second: 100_000_000,
            round_trip: Duration::from_millis(30),
        }
    }

    /// Its name in results.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether traffic is delayed at all.
    pub fn is_shaped(&self) -> bool {
        self.rate_bits_per_second > 0 || !self.round_trip.is_zero()
    }
}

impl FromStr for Link {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        match text {
            "loopback" => return Ok(Self::loopback()),
            "same-region" => return Ok(Self::same_region()),
            "cross-region" => return Ok(Self::cross_region()),
            _ => {}
        }
        let no = || LinkError(text.to_owned());
        let (rate, round_trip) = text.split_once('/').ok_or_else(no)?;
        let rate =
            with_unit(rate, &[("Gbit", 1e9), ("Mbit", 1e6), ("kbit", 1e3)]).ok_or_else(no)?;
        let round_trip =
            with_unit(round_trip, &[("ms", 1e6), ("us", 1e3), ("s", 1e9)]).ok_or_else(no)?;
        if rate < 1e3 || round_trip > 10e9 {
            return Err(no());
        }
        Ok(Self {
            name: text.to_owned(),
            rate_bits_per_second: rate as u64,
            round_trip: Duration::from_nanos(round_trip as u64),
        })
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// `100Mbit` with the factor of its unit; `None` for anything else, negative numbers and
/// infinities.
fn with_unit(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let (number, factor) =
        units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    let value: f64 = number.trim().parse().ok()?;
    (value.is_finite() && value >= 0.0).then_some(value * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_its_own_names() {
        assert_eq!("same-region".parse(), Ok(Link::same_region()));
        assert!(!Link::loopback().is_shaped());
    }

    #[test]
    fn reads_a_rate_and_a_round_trip() {
        let link: Link = "100Mbit/30ms".parse().unwrap();
        assert_eq!(
            (link.rate_bits_per_second, link.round_trip),
            (100_000_000, Duration::from_millis(30))
        );
        assert_eq!(link.name(), "100Mbit/30ms");
        let quick: Link = "2.5Gbit/250us".parse().unwrap();
        assert_eq!(
            (quick.rate_bits_per_second, quick.round_trip),
            (2_500_000_000, Duration::from_micros(250))
        );
    }

    #[test]
    fn refuses_an_invalid_link_and_lists_the_valid_ones() {
        for text in [
            "",
            "moon",
            "100Mbit",
            "100/30ms",
            "-1Mbit/3ms",
            "0Mbit/3ms",
            "infMbit/1ms",
            "1Mbit/60s",
        ] {
            let error = text.parse::<Link>().unwrap_err();
            assert!(error.to_string().contains("cross-region"), "{text}");
        }
    }
}
