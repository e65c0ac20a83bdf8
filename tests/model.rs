//! Test of the scheduler's protocols under many orders of threads, which shuttle chooses
//! repeatably. A lost wake-up, or a second leader, causes a deadlock or a failed assertion. The
//! code is the server's own (parker.rs, role.rs); the layers below it are simulated.

use shuttle::sync::{Arc, Condvar, Mutex};
use shuttle::thread;
use std::time::Duration;

/// The names of src/transport/locks.rs, here for shuttle's types.
mod locks {
    pub(super) use shuttle::sync::atomic::{AtomicU64, Ordering};
    pub(super) use shuttle::sync::{Arc, Condvar, Mutex, MutexGuard};
    pub(super) use std::sync::PoisonError;
}

/// A coroutine, simulated by a thread of shuttle that waits until it is resumed.
mod coroutine {
    use super::locks::{Arc, Condvar, Mutex};

    #[derive(Clone)]
    pub(super) struct Coroutine(Arc<(Mutex<bool>, Condvar)>);

    impl Coroutine {
        pub(super) fn resume(self) {
            *self.0.0.lock().unwrap() = true;
            self.0.1.notify_one();
        }
    }

    pub(super) fn pause(then: impl FnOnce(Coroutine) + Send + 'static) {
        let this = Coroutine(Arc::new((Mutex::new(false), Condvar::new())));
        then(this.clone());
        let mut resumed = this.0.0.lock().unwrap();
        while !*resumed {
            resumed = this.0.1.wait(resumed).unwrap();
        }
    }
}

/// A loop that resumes ready coroutines at once, and whose timers fire in an order of shuttle's
/// choice.
mod event_loop {
    use super::coroutine::Coroutine;
    use super::locks::{Arc, Mutex};

    pub(super) trait Timed: Send + Sync {
        fn expire(&self, round: u64);
        fn is_past(&self, round: u64) -> bool;
    }

    #[derive(Default)]
    pub(super) struct EventLoop {
        pub(super) timers: Mutex<Vec<(Arc<dyn Timed>, u64)>>,
    }

    impl EventLoop {
        pub(super) fn make_ready(&self, coroutine: Coroutine) {
            coroutine.resume();
        }

        pub(super) fn set_timer(&self, _at: u64, timed: Arc<dyn Timed>, round: u64) {
            self.timers.lock().unwrap().push((timed, round));
        }

        pub(super) fn expire_all(&self) {
            let due = std::mem::take(&mut *self.timers.lock().unwrap());
            for (timed, round) in due {
                let _ = timed.is_past(round);
                timed.expire(round);
            }
        }
    }
}

mod home {
    use super::event_loop::EventLoop;
    use std::cell::Cell;

    shuttle::thread_local! {
        pub(super) static HOME: Cell<Option<&'static EventLoop>> = Cell::new(None);
    }

    pub(super) fn home() -> Option<&'static EventLoop> {
        HOME.with(Cell::get)
    }
}

/// A blocked thread; whether it lends its loop does not affect a wake.
mod handling {
    pub(super) struct Blocks;

    impl Blocks {
        pub(super) fn begin() -> Blocks {
            Blocks
        }
    }
}

#[path = "../src/transport/parker.rs"]
mod parker;
#[path = "../src/transport/role.rs"]
mod role;

/// The functions of src/sys.rs that parker.rs uses.
mod sys {
    pub(crate) fn monotonic_ns() -> u64 {
        0
    }
}

use event_loop::EventLoop;
use parker::Parker;
use role::Role;

const ORDERS: usize = 20_000;

fn a_loop() -> &'static EventLoop {
    Box::leak(Box::default())
}

/// Each of three waits of a coroutine is ended by one of three wakes, at any time. A wake before
/// the wait is kept, and several at once count as one.
#[test]
fn no_wake_of_a_coroutine_is_lost() {
    shuttle::check_random(
        || {
            let parker = Arc::new(Parker::default());
            let done = Arc::new(Mutex::new(0));
            let waits = {
                let (parker, done) = (parker.clone(), done.clone());
                thread::spawn(move || {
                    home::HOME.with(|home| home.set(Some(a_loop())));
                    for n in 1..=3 {
                        while *done.lock().unwrap() < n {
                            parker.park(None);
                        }
                    }
                })
            };
            for _ in 0..3 {
                *done.lock().unwrap() += 1;
                parker.unpark();
            }
            waits.join().unwrap();
        },
        ORDERS,
    );
}

/// The same for a thread.
#[test]
fn no_wake_of_a_thread_is_lost() {
    shuttle::check_random(
        || {
            let parker = Arc::new(Parker::default());
            let done = Arc::new(Mutex::new(false));
            let waits = {
                let (parker, done) = (parker.clone(), done.clone());
                thread::spawn(move || {
                    while !*done.lock().unwrap() {
                        parker.park(None);
                    }
                })
            };
            *done.lock().unwrap() = true;
            parker.unpark();
            waits.join().unwrap();
        },
        ORDERS,
    );
}

/// A timed wait ends by the timer or by a wake; a timer of an earlier wait does not end a later
/// one.
#[test]
fn timers_and_wakes_end_a_wait_once() {
    shuttle::check_random(
        || {
            let home = a_loop();
            let parker = Arc::new(Parker::default());
            let over = Arc::new(Mutex::new(false));
            let waits = {
                let (parker, over) = (parker.clone(), over.clone());
                thread::spawn(move || {
                    home::HOME.with(|its| its.set(Some(home)));
                    parker.park(Some(Duration::from_secs(1)));
                    parker.park(Some(Duration::from_secs(1)));
                    *over.lock().unwrap() = true;
                })
            };
            let timer = {
                let over = over.clone();
                thread::spawn(move || {
                    while !*over.lock().unwrap() {
                        home.expire_all();
                        thread::yield_now();
                    }
                })
            };
            parker.unpark();
            waits.join().unwrap();
            timer.join().unwrap();
        },
        ORDERS,
    );
}

/// An event loop's lock, bell and standby, as in event_loop.rs and shift.rs, around the real role.
/// The leader's handler waits for a result of work that becomes ready meanwhile.
#[derive(Default)]
struct Shift {
    state: Mutex<ShiftState>,
    /// Wakes the leader, or the standby while the role is offered, as epoll does.
    changed: Condvar,
}

struct ShiftState {
    role: Role<u32>,
    ready: u32,
    asleep: bool,
    rung: bool,
    /// The standby is woken by the bell.
    armed: bool,
    leading: u32,
    done: u32,
}

impl Default for ShiftState {
    fn default() -> Self {
        ShiftState {
            role: Role::Led(1),
            ready: 0,
            asleep: false,
            rung: false,
            armed: false,
            leading: 0,
            done: 0,
        }
    }
}

const WORK: u32 = 2;

impl Shift {
    fn make_ready(&self) {
        let mut state = self.state.lock().unwrap();
        state.ready += 1;
        if std::mem::take(&mut state.asleep) {
            state.rung = true;
            self.changed.notify_all();
        }
    }

    fn offer(&self, me: u32) {
        let mut state = self.state.lock().unwrap();
        if state.role.offer(me) {
            state.asleep = true;
            if state.ready > 0 && std::mem::take(&mut state.asleep) {
                state.rung = true;
            }
            state.armed = true;
            self.changed.notify_all();
        }
    }

    fn is_led_by(state: &mut ShiftState, me: u32) -> bool {
        let offered = state.role.is_offered();
        let leads = state.role.take_back(me);
        if offered && leads {
            (state.asleep, state.armed) = (false, false);
        }
        leads
    }

    /// Runs ready work until another thread has the role, or all work is done.
    fn lead(&self, me: u32) {
        loop {
            let mut state = self.state.lock().unwrap();
            if state.done == WORK || !Shift::is_led_by(&mut state, me) {
                self.changed.notify_all();
                return;
            }
            assert_eq!(state.leading, 0, "two threads lead at once");
            state.leading += 1;
            if state.ready > 0 {
                state.ready -= 1;
                state.done += 1;
                state.leading -= 1;
                self.changed.notify_all();
                continue;
            }
            state.asleep = true;
            state.leading -= 1;
            while !state.rung && state.done < WORK {
                state = self.changed.wait(state).unwrap();
            }
            (state.rung, state.asleep) = (false, false);
        }
    }

    fn stand_by(&self, me: u32) {
        let mut state = self.state.lock().unwrap();
        loop {
            if state.done == WORK {
                return;
            }
            if state.armed && state.rung && state.role.take(me).is_some() {
                (state.armed, state.asleep) = (false, false);
                break;
            }
            state = self.changed.wait(state).unwrap();
        }
        drop(state);
        self.lead(me);
    }
}

/// Work that becomes ready while the leader's handler waits is done by the current leader; there
/// are never two leaders.
#[test]
fn work_is_done_while_the_leaders_handler_waits() {
    shuttle::check_random(
        || {
            let shift = Arc::new(Shift::default());
            let leader = {
                let shift = shift.clone();
                thread::spawn(move || {
                    shift.offer(1); // its handler waits
                    let mut state = shift.state.lock().unwrap();
                    while state.done == 0 {
                        state = shift.changed.wait(state).unwrap();
                    }
                    drop(state);
                    shift.lead(1); // it has ended
                })
            };
            let standby = {
                let shift = shift.clone();
                thread::spawn(move || shift.stand_by(2))
            };
            let others = {
                let shift = shift.clone();
                thread::spawn(move || (0..WORK).for_each(|_| shift.make_ready()))
            };
            for thread in [leader, standby, others] {
                thread.join().unwrap();
            }
            assert_eq!(shift.state.lock().unwrap().done, WORK);
        },
        ORDERS,
    );
}
