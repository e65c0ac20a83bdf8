//! Data structures of the simulator's inner loop: a heap of future events, and a set of small
//! numbers with fast access to its least member.

/// A priority queue of events by time; events of one time are in the order of their `order`. It is
/// a four-way heap: half as deep as a binary one, with four keys in one cache line.
#[derive(Debug, Default)]
pub struct Events {
    /// Time, order and code in one number each, so that one comparison orders them.
    heap: Vec<u128>,
}

impl Events {
    /// Adds an event. Of events of one time that with the lower `order` is first.
    #[inline]
    pub fn push(&mut self, at_ns: u64, order: u32, code: u32) {
        let key = u128::from(at_ns) << 64 | u128::from(order) << 32 | u128::from(code);
        let mut at = self.heap.len();
        self.heap.push(key);
        while at > 0 {
            let parent = (at - 1) / 4;
            if self.heap[parent] <= key {
                break;
            }
            self.heap[at] = self.heap[parent];
            at = parent;
        }
        self.heap[at] = key;
    }

    /// Time of the next event; the end of time if there is none.
    #[inline]
    pub fn next_ns(&self) -> u64 {
        self.heap.first().map_or(u64::MAX, |key| (key >> 64) as u64)
    }

    /// Removes the next event; returns its time and its code.
    #[inline]
    pub fn pop(&mut self) -> Option<(u64, u32)> {
        let first = *self.heap.first()?;
        let last = self.heap.pop()?;
        let len = self.heap.len();
        if len > 0 {
            let mut at = 0;
            loop {
                let child = 4 * at + 1;
                if child >= len {
                    break;
                }
                let mut least = child;
                for other in child + 1..(child + 4).min(len) {
                    if self.heap[other] < self.heap[least] {
                        least = other;
                    }
                }
                if self.heap[least] >= last {
                    break;
                }
                self.heap[at] = self.heap[least];
                at = least;
            }
            self.heap[at] = last;
        }
        Some(((first >> 64) as u64, first as u32))
    }
}

/// A set of numbers below a limit, as words of 64 bits. Words of a higher level mark the words that
/// are not empty, so the least member of 262,144 takes three steps.
#[derive(Debug, Default)]
pub struct Least {
    levels: Vec<Vec<u64>>,
}

impl Least {
    /// Makes room for numbers below `limit`; keeps what is in it.
    pub fn grow(&mut self, limit: usize) {
        let members: Vec<usize> = match self.levels.first() {
            Some(words) if words.len() * 64 >= limit => return,
            Some(words) => {
                (0..words.len() * 64).filter(|n| words[n / 64] >> (n % 64) & 1 == 1).collect()
            }
            None => Vec::new(),
        };
        self.levels.clear();
        let mut len = limit.next_power_of_two().max(64);
        loop {
            len = len.div_ceil(64);
            self.levels.push(vec![0; len]);
            if len == 1 {
                break;
            }
        }
        members.into_iter().for_each(|n| self.insert(n));
    }

    /// Adds a number, which is below the limit.
    #[inline]
    pub fn insert(&mut self, mut n: usize) {
        for words in &mut self.levels {
            words[n / 64] |= 1 << (n % 64);
            n /= 64;
        }
    }

    /// Removes a number, if it is in the set.
    #[inline]
    pub fn remove(&mut self, mut n: usize) {
        for words in &mut self.levels {
            let word = &mut words[n / 64];
            *word &= !(1 << (n % 64));
            if *word != 0 {
                break;
            }
            n /= 64;
        }
    }

    /// The least number.
    #[inline]
    pub fn least(&self) -> Option<usize> {
        let mut n = 0;
        for words in self.levels.iter().rev() {
            let word = words[n];
            if word == 0 {
                return None;
            }
            n = n * 64 + word.trailing_zeros() as usize;
        }
        (!self.levels.is_empty()).then_some(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeSet, BinaryHeap};

    #[test]
    fn events_come_in_the_order_of_time_and_then_of_their_adding() {
        let mut random = fastrand::Rng::with_seed(5);
        let (mut events, mut reference) = (Events::default(), BinaryHeap::new());
        let mut order = 0;
        for _ in 0..20_000 {
            if random.f64() < 0.55 {
                let at = random.u64(..1000);
                events.push(at, order, order ^ 0x8000_0000);
                reference.push(std::cmp::Reverse((at, order)));
                order += 1;
            } else {
                assert_eq!(events.next_ns(), reference.peek().map_or(u64::MAX, |key| key.0.0));
                let expected = reference.pop().map(|key| (key.0.0, key.0.1 ^ 0x8000_0000));
                assert_eq!(events.pop(), expected);
            }
        }
    }

    #[test]
    fn the_least_member_is_that_of_a_sorted_set() {
        for limit in [1usize, 64, 65, 5_000, 300_000] {
            let mut random = fastrand::Rng::with_seed(limit as u64);
            let (mut set, mut reference) = (Least::default(), BTreeSet::new());
            assert_eq!(set.least(), None);
            set.grow(limit);
            for _ in 0..5_000 {
                let n = random.usize(..limit);
                if random.bool() {
                    set.insert(n);
                    reference.insert(n);
                } else {
                    set.remove(n);
                    reference.remove(&n);
                }
                assert_eq!(set.least(), reference.first().copied());
            }
            set.grow(limit * 3);
            assert_eq!(set.least(), reference.first().copied());
        }
    }
}
