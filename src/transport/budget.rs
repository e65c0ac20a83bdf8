//! Memory budget: how many bytes of bodies, and of replies that are not read, all connections may
//! hold together, so that no number of legal requests can get the process killed. It follows from
//! the machine's memory and from the limits of the instance's cgroup and of those above it.
//!
//! A body's bytes are not the worst case: parsed as JSON of the worst shape it takes
//! [`Limits::json_factor`](crate::Limits) times its size. The budget is therefore the least of
//! these limits, less what the process needs, divided by that factor. A request that does not fit
//! waits with its body unread, in the order of arrival; the kernel's buffers fill, and the peer
//! waits too.

use super::parker::Parker;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Memory that the process takes without any body, in bytes: connections, stacks, code.
const OWN_BYTES: usize = 24 * 1024 * 1024;
/// Bodies up to this sum are accepted without computing the budget, so that a first request reads
/// no file.
const UNASKED_BYTES: usize = 256 * 1024;

/// Largest size of a small body, in bytes. Small bodies have their own part of the budget, so a
/// slow large upload cannot block them. Heads larger than that have a part too: their holders wait
/// for the share of a body, and must not take it from each other.
pub(crate) const SMALL_BYTES: usize = 16 * 1024;
/// Either part of the budget is its whole divided by this.
const SMALL_PART: usize = 8;
/// How often a waiting request checks whether a slow peer holds the memory.
const LOOK: Duration = Duration::from_millis(20);

/// The budget of one server.
pub(crate) struct Budget {
    /// Largest body that the configuration allows, in bytes.
    body_limit: usize,
    /// Memory that a JSON body may take while it is handled, as a multiple of its size.
    json_factor: usize,
    total: OnceLock<usize>,
    heads: Portion,
    small: Portion,
    large: Portion,
}

/// One part of the budget.
#[derive(Default)]
struct Portion {
    held: AtomicUsize,
    /// Number of requests that wait, or are about to. They are counted before their last check, so
    /// that a release in between sees them.
    waiters: AtomicUsize,
    waiting: Mutex<VecDeque<Arc<Parker>>>,
}

/// Bytes of the budget, given back when dropped.
pub(crate) struct Share<'b> {
    pool: &'b Portion,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new(body_limit: usize, json_factor: usize) -> Budget {
        let pool = Portion::default;
        Budget {
            body_limit,
            json_factor: json_factor.max(1),
            total: OnceLock::new(),
            heads: pool(),
            small: pool(),
            large: pool(),
        }
    }

    /// Largest body that is accepted: the configured limit, or less if the memory does not allow
    /// it.
    pub(crate) fn body_limit(&self, asked: usize) -> usize {
        if asked <= UNASKED_BYTES {
            self.body_limit
        } else {
            self.body_limit.min(self.large_bytes())
        }
    }

    /// Takes `bytes` for a body, and waits until others have released theirs. A holder of a body's
    /// share waits for no other share, so no wait is endless. `relieve` is called repeatedly
    /// meanwhile: it ends a connection that holds a share and whose peer is behind.
    #[inline(never)]
    pub(crate) fn take(&self, bytes: usize, relieve: &dyn Fn()) -> Share<'_> {
        if bytes <= SMALL_BYTES {
            self.small.take(bytes, &|| self.small_bytes(), relieve)
        } else {
            self.large.take(bytes, &|| self.large_bytes(), relieve)
        }
    }

    /// Takes `bytes` for a head, which is held as it is: no handler multiplies its size.
    #[cold]
    #[inline(never)]
    pub(crate) fn take_head(&self, bytes: usize, relieve: &dyn Fn()) -> Share<'_> {
        self.heads.take(self.plain(bytes), &|| self.small_bytes(), relieve)
    }

    /// Takes `bytes` for a reply that its peer does not take at once. It is in memory already: if
    /// it exceeds the budget, later requests wait.
    pub(crate) fn take_reply(&self, bytes: usize) -> Share<'_> {
        let bytes = self.plain(bytes);
        self.large.held.fetch_add(bytes, Ordering::SeqCst);
        Share { pool: &self.large, bytes }
    }

    /// Waits as long as unread replies take more memory than the budget has: a handler might make
    /// another one.
    pub(crate) fn await_readers(&self, relieve: &dyn Fn()) {
        if self.large.held.load(Ordering::SeqCst) > UNASKED_BYTES {
            self.await_slow_readers(relieve);
        }
    }

    #[cold]
    #[inline(never)]
    fn await_slow_readers(&self, relieve: &dyn Fn()) {
        let is_over = || self.large.held.load(Ordering::SeqCst) > self.large_bytes();
        if is_over() {
            let me = Arc::new(Parker::default());
            while is_over() {
                relieve();
                me.park(Some(LOOK));
            }
        }
    }

    fn total(&self) -> usize {
        *self.total.get_or_init(|| {
            total_of(memory_limit(&|path| std::fs::read_to_string(path).ok()), self.json_factor)
        })
    }

    /// Converts `bytes` that are held as they are into the budget's unit, bytes of bodies.
    pub(crate) fn plain(&self, bytes: usize) -> usize {
        bytes.div_ceil(self.json_factor)
    }

    fn small_bytes(&self) -> usize {
        self.total() / SMALL_PART
    }

    fn large_bytes(&self) -> usize {
        self.total() - 2 * self.small_bytes()
    }
}

/// Bytes in outboxes count as unread replies. They may take half of the memory for bodies at most;
/// the other half is for peers that send.
#[cfg(feature = "websocket")]
impl crate::conversation::Memory for Budget {
    fn hold(&self, bytes: usize) -> bool {
        let held = self.large.try_take(self.plain(bytes), &|| self.large_bytes() / 2);
        held.map(std::mem::forget).is_some() // `let_go` gives it back
    }

    fn let_go(&self, bytes: usize) {
        self.large.give_back(self.plain(bytes));
    }
}

impl Portion {
    /// Never exceeds the budget, even for a moment: a concurrent check would wait for memory that
    /// is never released.
    fn try_take(&self, bytes: usize, most: &dyn Fn() -> usize) -> Option<Share<'_>> {
        let room = |held: usize| {
            let sum = held.checked_add(bytes)?;
            // A single body may always exceed it, if it passed the body limit: so a waiting one can
            // always continue when the others are done.
            (held == 0 || sum <= UNASKED_BYTES || sum <= most()).then_some(sum)
        };
        self.held.fetch_update(Ordering::SeqCst, Ordering::SeqCst, room).ok()?;
        Some(Share { pool: self, bytes })
    }

    /// Compiled once, not inlined at each caller: the connection's code would be full of copies.
    #[inline(never)]
    fn take(&self, bytes: usize, most: &dyn Fn() -> usize, relieve: &dyn Fn()) -> Share<'_> {
        if !self.is_wanted()
            && let Some(share) = self.try_take(bytes, most)
        {
            return share;
        }
        self.wait_for(bytes, most, relieve)
    }

    #[cold]
    fn wait_for(&self, bytes: usize, most: &dyn Fn() -> usize, relieve: &dyn Fn()) -> Share<'_> {
        self.waiters.fetch_add(1, Ordering::SeqCst);
        let me = Arc::new(Parker::default());
        self.lock().push_back(me.clone());
        loop {
            let first = self.lock().front().is_some_and(|first| Arc::ptr_eq(first, &me));
            if first && let Some(share) = self.try_take(bytes, most) {
                self.lock().pop_front();
                self.waiters.fetch_sub(1, Ordering::SeqCst);
                self.wake_first(); // the next one may fit as well
                return share;
            }
            if first {
                relieve();
            }
            me.park(first.then_some(LOOK));
        }
    }

    fn is_wanted(&self) -> bool {
        self.waiters.load(Ordering::SeqCst) > 0
    }

    fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::SeqCst);
        self.wake_first();
    }

    fn wake_first(&self) {
        if self.is_wanted()
            && let Some(first) = self.lock().front()
        {
            first.unpark();
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Parker>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share<'_> {
    /// Whether a request waits for it.
    pub(crate) fn is_wanted(&self) -> bool {
        self.pool.is_wanted()
    }

    /// Whether it has this many bytes of the budget's unit.
    pub(crate) fn is_of(&self, bytes: usize) -> bool {
        self.bytes == bytes
    }

    /// Releases what is not needed.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        if let Some(surplus) = self.bytes.checked_sub(bytes).filter(|surplus| *surplus > 0) {
            self.bytes = bytes;
            self.pool.give_back(surplus);
        }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.pool.give_back(self.bytes);
        }
    }
}

fn total_of(memory: Option<u64>, json_factor: usize) -> usize {
    let Some(memory) = memory.and_then(|memory| usize::try_from(memory).ok()) else {
        return usize::MAX;
    };
    memory.saturating_sub(OWN_BYTES.min(memory / 2)) / json_factor
}

/// Memory that this process may use, in bytes: the least of the machine's memory and of the limits
/// of its cgroup and each group above it, by version 2 or version 1 of the interface; `None` if
/// none of them can be read. (`X-Scf-Memory` has no documented unit and never sets a limit.)
fn memory_limit(read: &dyn Fn(&str) -> Option<String>) -> Option<u64> {
    const ROOTS: [(&str, &str, &str); 3] = [
        ("", "/sys/fs/cgroup", "memory.max"),
        ("", "/sys/fs/cgroup/unified", "memory.max"),
        ("memory", "/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
    ];
    let groups = read("/proc/self/cgroup").unwrap_or_default();
    let meminfo = read("/proc/meminfo").unwrap_or_default();
    let machine = meminfo.lines().find_map(|line| {
        let kib = line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?;
        kib.parse::<u64>().ok()?.checked_mul(1024)
    });
    let mut least = machine;
    for (controller, root, file) in ROOTS {
        let own = groups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            controllers.split(',').any(|name| name == controller).then_some(path)
        });
        // A container usually sees its own group as the root of the mount; a process outside a
        // container is below the root, and each group above it limits it too.
        let mut path = own.unwrap_or_default().trim_end_matches('/');
        for _ in 0..MOST_GROUPS {
            // "max" does not parse as a number, and version 1 writes "no limit" as a number near
            // 2^63.
            let limit = read(&format!("{root}{path}/{file}"))
                .and_then(|text| text.trim().parse().ok())
                .filter(|limit: &u64| *limit < 1 << 62);
            least = least.into_iter().chain(limit).min();
            let Some(parent) = path.rfind('/') else { break };
            path = &path[..parent];
        }
    }
    least
}

/// Largest number of nested groups that are read.
const MOST_GROUPS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn with(files: &[(&str, &str)]) -> Option<u64> {
        memory_limit(&|path| {
            files.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned())
        })
    }

    #[test]
    fn finds_the_memory_limit_of_either_cgroup_version() {
        assert_eq!(with(&[]), None);
        assert_eq!(with(&[("/sys/fs/cgroup/memory.max", "max\n")]), None);
        assert_eq!(with(&[("/sys/fs/cgroup/memory.max", "134217728\n")]), Some(128 << 20));
        assert_eq!(
            with(&[
                ("/proc/self/cgroup", "0::/a/b\n"),
                ("/sys/fs/cgroup/a/b/memory.max", "1000\n")
            ]),
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
    fn the_least_of_all_limits_counts() {
        let meminfo = ("/proc/meminfo", "MemTotal:       65536 kB\nMemFree: 1 kB\n");
        assert_eq!(with(&[meminfo]), Some(64 << 20), "no group, but the machine is small");
        let own = ("/proc/self/cgroup", "0::/a/b/c\n");
        let limit = |name, text| [meminfo, own, (name, text)];
        assert_eq!(with(&limit("/sys/fs/cgroup/a/b/c/memory.max", "3000\n")), Some(3000));
        assert_eq!(with(&limit("/sys/fs/cgroup/a/memory.max", "2000\n")), Some(2000));
        assert_eq!(with(&limit("/sys/fs/cgroup/memory.max", "1000\n")), Some(1000));
        assert_eq!(with(&limit("/sys/fs/cgroup/unified/a/b/memory.max", "500\n")), Some(500));
        assert_eq!(with(&limit("/sys/fs/cgroup/a/memory.max", "99999999999\n")), Some(64 << 20));
        let odd = ("/proc/self/cgroup", "0::/a:b/c,d/e f\n");
        for (name, text, least) in [
            ("/sys/fs/cgroup/a:b/c,d/e f/memory.max", "max\n", 64 << 20),
            ("/sys/fs/cgroup/a:b/c,d/memory.max", "800\n", 800),
        ] {
            assert_eq!(with(&[meminfo, odd, (name, text)]), Some(least), "{name}");
        }
        let outside = ("/proc/self/cgroup", "0::/../../x\n"); // of a namespace below this group
        assert_eq!(with(&[outside, ("/sys/fs/cgroup/memory.max", "600\n")]), Some(600));
        assert_eq!(with(&[meminfo, ("/sys/fs/cgroup/memory.max", "-1\n")]), Some(64 << 20));
        let version_1 = ("/proc/self/cgroup", "9:memory:/docker/x\n0::/\n");
        let above = ("/sys/fs/cgroup/memory/docker/memory.limit_in_bytes", "700\n");
        assert_eq!(with(&[meminfo, version_1, above]), Some(700));
    }

    #[test]
    fn the_budget_leaves_room_for_the_worst_json() {
        assert_eq!(total_of(None, 44), usize::MAX);
        for mib in [64, 128, 512, 3072] {
            let total = total_of(Some(mib << 20), 44);
            assert!(total * 44 <= (mib << 20) as usize - (OWN_BYTES.min((mib << 20) as usize / 2)));
        }
    }

    fn two_units() -> usize {
        UNASKED_BYTES * 2
    }

    /// Regression: an attempt that failed held its bytes until it had returned them, and a
    /// concurrent check in between waited for ever. If a waiter is forgotten, all threads of this
    /// test wait.
    #[test]
    fn no_waiting_share_is_forgotten() {
        let pool = Portion::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        drop(pool.take(two_units(), &two_units, &|| {}));
                    }
                });
            }
        });
        assert_eq!(pool.held.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn shares_come_back() {
        let pool = Portion::default();
        let mut first = pool.take(two_units(), &two_units, &|| {});
        assert!(pool.try_take(1, &two_units).is_none());
        first.shrink_to(UNASKED_BYTES);
        let second = pool.take(UNASKED_BYTES, &two_units, &|| {});
        assert!(pool.try_take(1, &two_units).is_none());
        drop(first);
        drop(second);
        // A body larger than the budget is refused by the limit; one that equals it passes when it
        // is alone.
        assert!(pool.try_take(UNASKED_BYTES * 3, &two_units).is_some());
    }

    #[test]
    fn large_bodies_leave_room_for_small_ones_and_for_heads() {
        let budget = Budget::new(usize::MAX, 44);
        budget.total.set(UNASKED_BYTES * 8 * SMALL_PART).unwrap();
        let large = budget.take(budget.large_bytes(), &|| {});
        assert!(budget.large.try_take(1, &|| budget.large_bytes()).is_none());
        drop((budget.take(SMALL_BYTES, &|| {}), budget.take_head(1 << 20, &|| {})));
        assert!(!large.is_wanted());
    }
}
