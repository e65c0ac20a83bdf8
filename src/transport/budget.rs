//! How many bytes of bodies all connections may hold at once, so that no number of legal requests gets the process
//! killed: it follows from the memory that the instance's cgroup allows.
//!
//! A body in memory is not the worst: parsed as JSON of the worst shape it takes [`JSON_FACTOR`] times its size. The
//! budget is therefore the cgroup's limit, less what the process itself needs, divided by that. A request that does not
//! fit waits with its body unread, in the order of arrival; the kernel's buffers fill and the peer waits too.

use super::lane::is_coroutine;
use may::sync::Blocker;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Memory that a JSON body may take while it is handled, in times its size: `[[],[],…]` as a tree of values took 27.5
/// times its size, as a tape 17 (measured; docs: "JSON and memory").
pub(crate) const JSON_FACTOR: usize = 28;
/// Memory that the process takes without any body, in bytes: connections, stacks, code.
const OWN_BYTES: usize = 24 * 1024 * 1024;
/// Bodies up to this sum never ask what the budget is: a first request reads no file.
const UNASKED_BYTES: usize = 256 * 1024;

/// The budget of one server.
pub(crate) struct Budget {
    /// Largest body that the configuration allows, in bytes.
    body_limit: usize,
    total: OnceLock<usize>,
    held: AtomicUsize,
    /// How many wait, or are about to. Counted before they look for the last time, so that whoever gives back sees them.
    waiters: AtomicUsize,
    waiting: Mutex<VecDeque<Arc<Blocker>>>,
}

/// Bytes of the budget, given back when dropped.
pub(crate) struct Share<'b> {
    budget: &'b Budget,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new(body_limit: usize) -> Budget {
        Budget {
            body_limit,
            total: OnceLock::new(),
            held: AtomicUsize::new(0),
            waiters: AtomicUsize::new(0),
            waiting: Mutex::default(),
        }
    }

    /// The largest body that is taken: the configured limit, or less where the memory does not allow it.
    pub(crate) fn body_limit(&self, asked: usize) -> usize {
        if asked <= UNASKED_BYTES { self.body_limit } else { self.body_limit.min(self.total()) }
    }

    fn total(&self) -> usize {
        *self.total.get_or_init(|| total_of(memory_limit(|path| std::fs::read_to_string(path).ok())))
    }

    /// Never takes more than there is, not for a moment: one who looked then would wait for what nobody gives back.
    fn try_take(&self, bytes: usize) -> Option<Share<'_>> {
        let room = |held: usize| {
            let sum = held.checked_add(bytes)?;
            // Alone, any body that passed the limit passes: a waiting one can always go on when the others are done.
            (held == 0 || sum <= UNASKED_BYTES || sum <= self.total()).then_some(sum)
        };
        self.held.fetch_update(Ordering::SeqCst, Ordering::SeqCst, room).ok()?;
        Some(Share { budget: self, bytes })
    }

    fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::SeqCst);
        self.wake_first();
    }

    /// Takes `bytes`, waiting for others to give theirs back. Nobody waits while holding a share, so nobody waits for
    /// ever.
    pub(crate) fn take(&self, bytes: usize) -> Share<'_> {
        if self.waiters.load(Ordering::SeqCst) == 0
            && let Some(share) = self.try_take(bytes)
        {
            return share;
        }
        if !is_coroutine() {
            super::lane::leave(); // who waits in the lane starts the runtime
        }
        self.waiters.fetch_add(1, Ordering::SeqCst);
        let me = Blocker::current();
        self.lock().push_back(me.clone());
        loop {
            let first = self.lock().front().is_some_and(|first| Arc::ptr_eq(first, &me));
            if first && let Some(share) = self.try_take(bytes) {
                self.lock().pop_front();
                self.waiters.fetch_sub(1, Ordering::SeqCst);
                self.wake_first(); // there may be room for the next as well
                return share;
            }
            let _ = me.park(None);
        }
    }

    fn wake_first(&self) {
        if self.waiters.load(Ordering::SeqCst) > 0
            && let Some(first) = self.lock().front()
        {
            first.unpark();
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Blocker>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share<'_> {
    /// Gives back what turned out not to be needed.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        if let Some(surplus) = self.bytes.checked_sub(bytes).filter(|surplus| *surplus > 0) {
            self.bytes = bytes;
            self.budget.give_back(surplus);
        }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.give_back(self.bytes);
        }
    }
}

fn total_of(memory: Option<u64>) -> usize {
    let Some(memory) = memory.and_then(|memory| usize::try_from(memory).ok()) else { return usize::MAX };
    memory.saturating_sub(OWN_BYTES.min(memory / 2)) / JSON_FACTOR
}

/// The memory limit of this process's cgroup, in bytes, from version 2 or version 1 of the interface; `None` if there
/// is none or it is not to be seen. (`X-Scf-Memory` has no documented unit and never sets a limit.)
fn memory_limit(read: impl Fn(&str) -> Option<String>) -> Option<u64> {
    let groups = read("/proc/self/cgroup").unwrap_or_default();
    // A container usually sees its own group as the root of the mount; a process outside of one is below it.
    let own = |controller: &str| {
        groups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            controllers.split(',').any(|name| name == controller).then(|| path.trim_end_matches('/').to_owned())
        })
    };
    let files = [
        own("").map(|path| format!("/sys/fs/cgroup{path}/memory.max")),
        own("memory").map(|path| format!("/sys/fs/cgroup/memory{path}/memory.limit_in_bytes")),
        Some("/sys/fs/cgroup/memory.max".to_owned()),
        Some("/sys/fs/cgroup/memory/memory.limit_in_bytes".to_owned()),
    ];
    // "max" is no number, and version 1 says "no limit" as a number near 2^63.
    files
        .into_iter()
        .flatten()
        .filter_map(|file| read(&file)?.trim().parse().ok())
        .filter(|limit| *limit < 1 << 62)
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(files: &[(&str, &str)]) -> Option<u64> {
        memory_limit(|path| files.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned()))
    }

    #[test]
    fn finds_the_memory_limit_of_either_cgroup_version() {
        assert_eq!(with(&[]), None);
        assert_eq!(with(&[("/sys/fs/cgroup/memory.max", "max\n")]), None);
        assert_eq!(with(&[("/sys/fs/cgroup/memory.max", "134217728\n")]), Some(128 << 20));
        assert_eq!(
            with(&[("/proc/self/cgroup", "0::/a/b\n"), ("/sys/fs/cgroup/a/b/memory.max", "1000\n")]),
            Some(1000)
        );
        assert_eq!(
            with(&[
                ("/proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/f/1\n0::/\n"),
                ("/sys/fs/cgroup/memory/f/1/memory.limit_in_bytes", "268435456\n"),
                ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ]),
            Some(256 << 20)
        );
    }

    #[test]
    fn the_budget_leaves_room_for_the_worst_json() {
        assert_eq!(total_of(None), usize::MAX);
        for mib in [64, 128, 512, 3072] {
            let total = total_of(Some(mib << 20));
            assert!(total * JSON_FACTOR <= (mib << 20) as usize - (OWN_BYTES.min((mib << 20) as usize / 2)));
        }
    }

    /// One who asked in vain held what it asked for until it had given it back, and another who looked in between waited for
    /// ever. Here all wait in the end if one is forgotten.
    #[test]
    fn nobody_is_forgotten() {
        let budget = Budget::new(1 << 20);
        budget.total.set(UNASKED_BYTES * 2).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        drop(budget.take(UNASKED_BYTES * 2));
                    }
                });
            }
        });
        assert_eq!(budget.held.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn shares_come_back() {
        let budget = Budget::new(1 << 20);
        budget.total.set(UNASKED_BYTES * 2).unwrap();
        let mut first = budget.take(UNASKED_BYTES * 2);
        assert!(budget.try_take(1).is_none());
        first.shrink_to(UNASKED_BYTES);
        let second = budget.take(UNASKED_BYTES);
        assert!(budget.try_take(1).is_none());
        drop(first);
        drop(second);
        // A body larger than the budget is refused by the limit; one that equals it passes when it is alone.
        assert!(budget.try_take(UNASKED_BYTES * 3).is_some());
    }
}
