//! Closed forms of teletraffic theory (A. K. Erlang, 1917): the simulator is tested against them,
//! and the search for a number of instances begins with them. Poisson arrivals only.

/// Erlang B: the share of requests that find all of `servers` busy when none waits, for an offered
/// load of `load` (arrival rate x mean service time). Holds for any distribution of service times.
pub fn blocked(servers: u64, load: f64) -> f64 {
    // B(0) = 1, B(k) = a B(k-1) / (k + a B(k-1)): stable at any size.
    (1..=servers).fold(1.0, |b, k| load * b / (k as f64 + load * b))
}

/// Erlang C: the share of requests that wait if all may wait. 1 if the load has no steady state.
pub fn waits(servers: u64, load: f64) -> f64 {
    let n = servers as f64;
    if load >= n {
        return 1.0;
    }
    let b = blocked(servers, load);
    n * b / (n - load * (1.0 - b))
}

/// The load that the `k`-th server (from 1) carries when the first free one is always taken
/// (ordered hunting): a (B(k-1, a) - B(k, a)).
pub fn carried_by(k: u64, load: f64) -> f64 {
    load * (blocked(k - 1, load) - blocked(k, load))
}

/// The least number of servers that leaves at most `share` of requests outside.
pub fn servers_for(share: f64, load: f64) -> u64 {
    let (mut b, mut k) = (1.0, 0u64);
    while b > share && k < 100_000_000 {
        k += 1;
        b = load * b / (k as f64 + load * b);
    }
    k
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erlang_b_and_c_have_their_tabled_values() {
        for (servers, load, expected) in [
            (5, 4.0, 0.19907),
            (10, 5.0, 0.01838),
            (40, 40.0, 0.11616),
            (50, 40.0, 0.01869),
            (56, 40.0, 0.00312),
            (60, 40.0, 0.00068),
        ] {
            assert!((blocked(servers, load) - expected).abs() < 5e-6, "B({servers}, {load})");
        }
        assert!((waits(50, 40.0) - 0.08695).abs() < 5e-6);
        assert_eq!(waits(40, 40.0), 1.0);
    }

    #[test]
    fn the_least_number_of_servers_is_the_tabled_one() {
        let shares = [0.05, 0.01, 0.001, 0.0001];
        for (load, numbers) in [
            (1.0, [4, 5, 6, 7]),
            (5.0, [9, 11, 14, 16]),
            (40.0, [46, 53, 60, 65]),
            (400.0, [394, 426, 450, 467]),
            (2000.0, [1917, 2028, 2095, 2136]),
        ] {
            assert_eq!(shares.map(|share| servers_for(share, load)), numbers, "load {load}");
        }
    }

    #[test]
    fn carried_and_blocked_load_add_up_to_the_whole_load() {
        let carried: f64 = (1..=50).map(|k| carried_by(k, 40.0)).sum();
        assert!((carried + 40.0 * blocked(50, 40.0) - 40.0).abs() < 1e-9);
    }
}
