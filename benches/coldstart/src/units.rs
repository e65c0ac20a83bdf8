//! Numbers for people: three digits and a unit. Pure; terminal and report share it, so that both
//! show the same.

/// A time in nanoseconds, in the unit that gives one to three digits before the point.
pub fn duration(ns: f64) -> String {
    let (value, unit) = match ns.abs() {
        x if x < 1e3 => (ns, "ns"),
        x if x < 1e6 => (ns / 1e3, "µs"),
        x if x < 1e9 => (ns / 1e6, "ms"),
        _ => (ns / 1e9, "s"),
    };
    format!("{} {unit}", three_digits(value))
}

/// A size in bytes, in B, KiB, MiB or GiB.
pub fn bytes(bytes: u64) -> String {
    let value = bytes as f64;
    match value {
        x if x < 1024.0 => format!("{bytes} B"),
        x if x < 1024.0 * 1024.0 => format!("{} KiB", three_digits(x / 1024.0)),
        x if x < 1024.0 * 1024.0 * 1024.0 => format!("{} MiB", three_digits(x / 1024.0 / 1024.0)),
        x => format!("{} GiB", three_digits(x / 1024.0 / 1024.0 / 1024.0)),
    }
}

/// A factor, such as `5.02x`.
pub fn times(factor: f64) -> String {
    format!("{}x", three_digits(factor))
}

/// A share of one, in per cent: whole numbers from 10 % on, and never a false 100 % or 0 %.
pub fn percent(share: f64) -> String {
    match share * 100.0 {
        p if p > 99.9 && p < 100.0 => "over 99.9 %".into(),
        p if p > 0.0 && p < 0.05 => "under 0.1 %".into(),
        p if p > 99.0 && p < 100.0 => format!("{p:.1} %"),
        p if p.abs() >= 10.0 => format!("{p:.0} %"),
        p => format!("{p:.1} %"),
    }
}

fn three_digits(value: f64) -> String {
    match value.abs() {
        v if v < 9.995 => format!("{value:.2}"),
        v if v < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_a_unit() {
        let table = [
            (5.0, "5.00 ns"),
            (1234.0, "1.23 µs"),
            (45_600.0, "45.6 µs"),
            (99_960.0, "100 µs"),
            (123_456_789.0, "123 ms"),
            (2.5e9, "2.50 s"),
        ];
        for (ns, text) in table {
            assert_eq!(duration(ns), text);
        }
    }

    #[test]
    fn sizes_are_in_powers_of_1024() {
        for (size, text) in [
            (512, "512 B"),
            (2048, "2.00 KiB"),
            (428_614, "419 KiB"),
            (250 << 20, "250 MiB"),
            (3 << 30, "3.00 GiB"),
        ] {
            assert_eq!(bytes(size), text);
        }
    }

    #[test]
    fn a_share_is_never_rounded_to_100_or_0_per_cent() {
        assert_eq!(percent(0.996), "99.6 %");
        assert_eq!(percent(0.9999), "over 99.9 %");
        assert_eq!(percent(0.5), "50 %");
        assert_eq!(percent(0.031), "3.1 %");
        assert_eq!(percent(1.0), "100 %");
    }
}
