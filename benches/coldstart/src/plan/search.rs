//! Search for the least number of provisioned instances that meets a target: each step is a
//! simulation with the same random numbers. Erlang's formula is only the first guess.

use super::erlang;
use super::tally::Tally;
use super::target::Target;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Result of a search.
#[derive(Debug)]
pub struct Found {
    /// The least number that meets the target; `None` if not even the largest does.
    pub least: Option<u32>,
    /// Every number that was simulated.
    pub tried: BTreeMap<u32, Tally>,
}

/// Searches from 0 to `most`; `load` is the mean number of requests at once.
///
/// # Errors
/// That of `simulate`.
pub fn least<E>(
    target: &Target,
    load: f64,
    most: u32,
    mut simulate: impl FnMut(u32) -> Result<Tally, E>,
) -> Result<Found, E> {
    let mut tried = BTreeMap::new();
    let mut meets = |n: u32, tried: &mut BTreeMap<u32, Tally>| -> Result<bool, E> {
        if let Entry::Vacant(place) = tried.entry(n) {
            place.insert(simulate(n)?);
        }
        Ok(tried.get(&n).is_some_and(|tally| target.is_met(tally)))
    };
    if meets(0, &mut tried)? || most == 0 {
        let least = tried.get(&0).is_some_and(|tally| target.is_met(tally)).then_some(0);
        return Ok(Found { least, tried });
    }
    let guess = erlang::servers_for(target.share().max(1e-6), load).clamp(1, most.into()) as u32;
    let mut step = (load.sqrt() / 4.0).ceil().max(1.0) as u32;
    // `low` does not meet it, `high` does.
    let (mut low, mut high) = (0, guess);
    if meets(guess, &mut tried)? {
        while high - low > step {
            let lower = high - step;
            if !meets(lower, &mut tried)? {
                low = lower;
                break;
            }
            (high, step) = (lower, step.saturating_mul(2));
        }
    } else {
        loop {
            low = high;
            if low == most {
                return Ok(Found { least: None, tried });
            }
            high = low.saturating_add(step).min(most);
            step = step.saturating_mul(2);
            if meets(high, &mut tried)? {
                break;
            }
        }
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        match meets(middle, &mut tried)? {
            true => high = middle,
            false => low = middle,
        }
    }
    Ok(Found { least: Some(high), tried })
}

#[cfg(test)]
mod tests {
    use super::super::tally::Batch;
    use super::*;

    #[test]
    fn the_least_number_is_found_from_any_guess_in_few_steps() {
        for load in [0.1, 5.0, 40.0, 2000.0] {
            for least_of_all in [0u32, 1, 7, 53, 999, 1000] {
                let mut steps = 0;
                let found = least(&Target::Cold(0.01), load, 1000, |n| {
                    steps += 1;
                    let cold = u64::from(n < least_of_all);
                    let all = Batch { served: 1, cold, refused: 0 };
                    Ok::<_, ()>(Tally::of(all))
                });
                assert_eq!(found.unwrap().least, Some(least_of_all), "load {load}");
                assert!(steps <= 25, "{steps} steps for {least_of_all} at {load}");
            }
        }
    }

    #[test]
    fn a_target_that_no_number_meets_has_no_answer() {
        let never = |_| {
            let all = Batch { served: 1, cold: 1, refused: 0 };
            Ok::<_, ()>(Tally::of(all))
        };
        assert_eq!(least(&Target::Cold(0.01), 5.0, 64, never).unwrap().least, None);
    }
}
