//! Pace of a run: requests per second of each action of the API, and new instances per minute. It
//! has no clock: the caller passes the time. Both rates stay a tenth below the platform's limit,
//! because the platform's seconds and minutes start at other times than this machine's, and other
//! users of the account call it too.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// New instances that a region starts in a minute for calls, by default: all functions of the
/// account together (583/46743). The platform answers calls beyond this with 429 at once.
pub const BURST_A_MINUTE: u64 = 500;
/// New instances that a run requests in a minute by default.
pub const NEW_A_MINUTE: u64 = BURST_A_MINUTE / 10 * 9;
/// Provisioned instances that a region starts in a minute (583/46743). That page counts them
/// separately, an older one together with the others: so a run counts them in both.
const PROVISIONED_A_MINUTE: u64 = 100;
/// Provisioned instances that a run requests in a minute.
pub const NEW_PROVISIONED_A_MINUTE: u64 = PROVISIONED_A_MINUTE / 10 * 9;
/// Period of both limits.
pub const WINDOW: Duration = Duration::from_secs(60);
/// The first and the longest pause after the platform started no more instances: its own count is
/// empty after a minute.
const BACK_OFF: Duration = Duration::from_secs(10);
const BACK_OFF_AT_MOST: Duration = WINDOW;

/// Requests per second of each action, the limits of an account on the API's pages (583/17235); 20
/// for all other actions together.
const RATES: [(&str, u32); 9] = [
    ("InvokeFunction", 10_000),
    ("SearchLog", 100), // one after the other, so that never more than 15 are under way
    ("CreateFunction", 100),
    ("GetFunction", 100),
    ("UpdateFunctionCode", 100),
    ("UpdateFunctionConfiguration", 100),
    ("DeleteFunction", 100),
    ("ListFunctions", 100),
    ("Invoke", 100),
];
const OTHER_RATE: u32 = 20;

/// Shortest time between two requests of an action.
pub fn spacing(action: &str) -> Duration {
    let rate = RATES.iter().find(|(known, _)| *known == action).map_or(OTHER_RATE, |r| r.1);
    Duration::from_secs(1) * 10 / (rate * 9)
}

/// When each action allows its next request.
#[derive(Debug, Default)]
pub struct Turns(HashMap<String, Instant>);

impl Turns {
    /// Reserves the next turn of an action and returns its time.
    pub fn take(&mut self, action: &str, now: Instant) -> Instant {
        let turn = self.0.get(action).copied().map_or(now, |at| at.max(now));
        self.0.insert(action.to_owned(), turn + spacing(action));
        turn
    }
}

/// Instances that the run requested in the last minute, and their limit.
#[derive(Debug)]
struct Sliding {
    most: u64,
    asked: VecDeque<(Instant, u64)>,
}

impl Sliding {
    fn new(most: u64) -> Self {
        Self { most, asked: VecDeque::new() }
    }

    /// When this many more are allowed. A number above the limit waits until the count is empty.
    fn free_at(&self, more: u64, now: Instant) -> Instant {
        let room = self.most.saturating_sub(more);
        let mut counted: u64 = self.asked.iter().map(|(_, n)| n).sum();
        let mut at = now;
        for &(asked, n) in &self.asked {
            if counted <= room {
                break;
            }
            counted -= n;
            at = at.max(asked + WINDOW);
        }
        at
    }

    fn ask(&mut self, instances: u64, now: Instant) {
        while self.asked.front().is_some_and(|&(at, _)| now.duration_since(at) >= WINDOW) {
            self.asked.pop_front();
        }
        if instances > 0 {
            self.asked.push_back((now, instances));
        }
    }
}

/// Why a turn waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// More new instances would exceed the pace.
    Pace,
    /// More provisioned instances would exceed their pace.
    Provisioned,
    /// The platform recently started no more instances.
    Throttled,
}

/// Keeps a run below the platform's limits on new instances.
#[derive(Debug)]
pub struct Pace {
    called: Sliding,
    provisioned: Sliding,
    /// How many times in a row the platform started no more instances.
    throttled: u32,
    not_before: Option<Instant>,
}

impl Pace {
    /// Creates a pace of at most this many new instances per minute.
    pub fn new(new_a_minute: u64) -> Self {
        Self {
            called: Sliding::new(new_a_minute),
            provisioned: Sliding::new(NEW_PROVISIONED_A_MINUTE.min(new_a_minute)),
            throttled: 0,
            not_before: None,
        }
    }

    /// When a turn may begin that needs this many new instances and this many provisioned ones; and
    /// the reason for the wait.
    pub fn next(&self, instances: u64, provisioned: u64, now: Instant) -> (Instant, Why) {
        let of_provisioned = match provisioned {
            0 => now,
            some => self.provisioned.free_at(some, now),
        };
        [
            (self.called.free_at(instances, now), Why::Pace),
            (of_provisioned, Why::Provisioned),
            (self.not_before.unwrap_or(now), Why::Throttled),
        ]
        .into_iter()
        .max_by_key(|(at, _)| *at)
        .unwrap_or((now, Why::Pace))
    }

    /// Records calls; `now` is after the last answer, the latest time at which their instances can
    /// have started.
    pub fn called(&mut self, instances: u64, now: Instant) {
        self.called.ask(instances, now);
    }

    /// Records provisioned instances that started, at the latest now.
    pub fn provisioned(&mut self, instances: u64, now: Instant) {
        self.called.ask(instances, now);
        self.provisioned.ask(instances, now);
    }

    /// Records whether the platform refused calls because too many instances started. The run then
    /// pauses, longer each time.
    pub fn answered(&mut self, throttled: bool, now: Instant) {
        if !throttled {
            self.throttled = 0;
            return;
        }
        let pause = BACK_OFF * 2u32.pow(self.throttled.min(8));
        self.throttled += 1;
        self.not_before = Some(now + pause.min(BACK_OFF_AT_MOST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds after `start` at which each turn begins.
    fn turns(pace: &mut Pace, start: Instant, each: u64, how_many: usize) -> Vec<u64> {
        let mut now = start;
        let mut went = Vec::new();
        for _ in 0..how_many {
            now = pace.next(each, 0, now).0;
            went.push((now - start).as_secs());
            now += Duration::from_secs(1);
            pace.called(each, now);
        }
        went
    }

    #[test]
    fn no_minute_has_more_new_instances_than_permitted() {
        let start = Instant::now();
        let went = turns(&mut Pace::new(9), start, 4, 6);
        assert_eq!(went, [0, 1, 61, 62, 122, 123], "two of four fit into nine");
        for minute in 0..200 {
            let inside = went.iter().filter(|at| (minute..minute + 60).contains(*at)).count();
            assert!(inside * 4 <= 9, "{inside} turns from second {minute}");
        }
        let went = turns(&mut Pace::new(NEW_A_MINUTE), start, 1, 451);
        assert_eq!((went[448], went[450]), (448, 450), "as slow as this it never waits");
    }

    #[test]
    fn a_turn_above_the_limit_waits_for_an_empty_minute() {
        let start = Instant::now();
        assert_eq!(turns(&mut Pace::new(3), start, 8, 3), [0, 61, 122]);
        let mut pace = Pace::new(3);
        pace.called(0, start);
        assert_eq!(pace.next(8, 0, start).0, start, "nothing was asked for");
    }

    #[test]
    fn provisioned_instances_count_in_both_limits() {
        let (start, at) = (Instant::now(), Duration::from_secs);
        let mut pace = Pace::new(NEW_A_MINUTE);
        pace.provisioned(90, start);
        assert_eq!(pace.next(1, 1, start), (start + at(60), Why::Provisioned));
        assert_eq!(pace.next(360, 0, start).0, start);
        assert_eq!(pace.next(361, 0, start), (start + at(60), Why::Pace));
    }

    #[test]
    fn each_throttling_makes_the_pause_longer() {
        let (start, at) = (Instant::now(), Duration::from_secs);
        let mut pace = Pace::new(NEW_A_MINUTE);
        let mut pauses = Vec::new();
        for _ in 0..5 {
            pace.answered(true, start);
            let (until, why) = pace.next(1, 0, start);
            pauses.push((until - start).as_secs());
            assert_eq!(why, Why::Throttled);
        }
        assert_eq!(pauses, [10, 20, 40, 60, 60]);
        pace.answered(false, start + at(60));
        pace.answered(true, start + at(60));
        assert_eq!(pace.next(1, 1, start + at(60)).0, start + at(70), "from the start again");
    }

    #[test]
    fn no_second_has_more_requests_of_an_action_than_permitted() {
        let start = Instant::now();
        for (action, most) in [("PublishVersion", 20), ("GetFunction", 100), ("SearchLog", 100)] {
            let mut turns = Turns::default();
            let times: Vec<Instant> = (0..300).map(|_| turns.take(action, start)).collect();
            let inside = times.iter().filter(|&&at| at - start < Duration::from_secs(1)).count();
            assert!((most * 8 / 10..most).contains(&inside), "{action}: {inside}");
            assert_eq!(turns.take("DeleteFunction", start), start, "each has its own");
        }
    }
}
