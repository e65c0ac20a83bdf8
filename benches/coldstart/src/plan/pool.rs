//! Instances of one function, simulated event by event: which instance serves a request, when one
//! is started, how long it is kept. Pure: no clock, no files, and random numbers only for the
//! choice of an idle instance.
//!
//! A request goes to, in this order: the first provisioned instance with room (ordered hunting);
//! with a concurrency above one, the oldest running on-demand instance with room; an idle on-demand
//! instance, by [`Reuse`]; a new instance; and if none may be started it is refused, or waits. At
//! one instant ends come before arrivals, and an instance that has been idle for exactly its
//! keep-alive has ended.

use super::cold::ColdStarts;
use super::events::{Events, Least};
use super::limiter::Limiter;
use super::provision::Provision;
use super::random::Stream;
use std::collections::{BTreeSet, VecDeque};

/// Which idle on-demand instance gets a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Reuse {
    /// The one that became idle last.
    Newest,
    /// The one that has been idle longest.
    Oldest,
    /// Any, with equal probability.
    Random,
}

impl Reuse {
    /// Its name in the flag.
    pub fn name(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Oldest => "oldest",
            Self::Random => "random",
        }
    }
}

/// Fate of a request for which no instance may be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// Refused at once (429).
    Refuse,
    /// It waits for the first instance with room, for a limited time.
    Wait {
        /// After that it is refused.
        limit_ns: u64,
    },
}

/// The rules of one function.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Idle time after which an on-demand instance is ended.
    pub keep_alive_ns: u64,
    /// Which idle instance gets a request.
    pub reuse: Reuse,
    /// Requests that one instance serves at once. An instance that is starting has one.
    pub concurrency: u32,
    /// Largest number of instances of this function, provisioned ones included.
    pub most_instances: u64,
    /// Fate of a request for which no instance may be started.
    pub overflow: Overflow,
    /// Time for which a request holds its instance after its service time.
    pub hold_ns: u64,
    /// The provisioned instances.
    pub provision: Provision,
}

/// A request, with the service time that it has in every scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Its place among all requests of the function, from 0.
    pub number: u64,
    /// When it arrived, in the time of the pool.
    pub arrived_ns: u64,
    /// Service time on a warm instance.
    pub service_ns: u64,
    /// False during the warm-up.
    pub counted: bool,
}

/// Kind of instance that served a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// By a provisioned instance.
    Provisioned,
    /// An on-demand instance that already existed.
    Warm,
    /// An instance that was started for it.
    Cold {
        /// Duration of the start.
        start_ns: u64,
    },
}

/// Gets the result of each request.
pub trait Observer {
    /// `instance` numbers on-demand instances by their start, and provisioned ones by their place.
    fn served(&mut self, request: &Request, how: Served, instance: u32, latency_ns: u64);
    /// No instance could serve it.
    fn refused(&mut self, request: &Request);
}

/// A code of the event queue: a provisioned instance rather than one on demand.
const PROVISIONED: u32 = 1 << 31;
/// Its request has ended, rather than its start. So at one instant the end of a start comes first.
const DONE: u32 = 1 << 30;
/// Length of the windows in which idle provisioned instances are billed (SCF, billing).
pub const WINDOW_NS: u64 = 10_000_000_000;
/// Points of the curve of instances over time.
pub const POINTS: usize = 144;

/// An on-demand instance.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    id: u32,
    running: u32,
    starting: bool,
    created_ns: u64,
}

/// A provisioned instance.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    running: u32,
    busy_since_ns: u64,
    busy_ns: u64,
}

/// Sums over time, from the end of the warm-up on.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Usage {
    /// From the first counted instant to the last.
    pub length_ns: u64,
    /// Instance-nanoseconds of on-demand instances.
    pub on_demand_ns: u128,
    /// Instance-nanoseconds of provisioned instances that were ready.
    pub provisioned_ns: u128,
    /// Instance-nanoseconds in which a provisioned instance served.
    pub provisioned_busy_ns: u128,
    /// Sum over windows of max(provisioned - most requests at once, 0).
    pub idle_windows: u64,
    /// Number of windows.
    pub windows: u64,
    /// The most instances at once.
    pub peak_instances: u64,
    /// The most instances that were started in one window of the limit on starts, warm-up included
    /// where it is kept.
    pub most_starts: u64,
    /// The most provisioned instances that were ready at once.
    pub peak_provisioned: u64,
    /// Instances that have ended, and the sum of their lives.
    pub ended: u64,
    /// See `ended`.
    pub ended_life_ns: u128,
    /// Instances at the beginning of each part of the day, or of the run if that is shorter: sum,
    /// number of observations, maximum.
    pub points: Vec<(u64, u64, u64)>,
}

/// The instances of one function.
#[derive(Debug)]
pub struct Pool {
    settings: Settings,
    cold: ColdStarts,
    choice: Stream,
    choices: u64,
    events: Events,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Idle on-demand instances by the time they became idle.
    idle: VecDeque<(u64, u32)>,
    /// On-demand instances that run and have room, by age: (id, slot).
    roomy: BTreeSet<(u32, u32)>,
    places: Vec<Place>,
    /// Provisioned instances that are ready and have room.
    room: Least,
    /// Provisioned instances that are ready: the first so many places.
    ready: u32,
    /// Their wanted number.
    wanted: u32,
    /// Provisioned instances that are starting.
    coming: u32,
    next_provisioning_ns: u64,
    provisionings: u64,
    waiting: VecDeque<Request>,
    /// On-demand instances, idle ones included.
    alive: u64,
    started: u32,
    requests_running: u64,
    // What follows is counted.
    from_ns: u64,
    usage: Usage,
    ready_since_ns: u64,
    next_window_ns: u64,
    window_most: u64,
    next_point_ns: u64,
    point_ns: u64,
    next_look_ns: u64,
    running_since_ns: u64,
    running_sum_ns: u64,
}

impl Pool {
    /// A function at time 0 with no on-demand instance, and its provisioned ones ready. Counting
    /// begins at `from_ns`; a point of the curve of instances is `point_ns` wide.
    pub fn new(
        settings: Settings,
        cold: ColdStarts,
        choice: Stream,
        from_ns: u64,
        point_ns: u64,
        limiter: &mut Limiter,
    ) -> Self {
        let first = settings.provision.at_start(from_ns);
        let point_ns = point_ns.max(1);
        let mut pool = Self {
            cold,
            choice,
            choices: 0,
            events: Events::default(),
            slots: Vec::new(),
            free: Vec::new(),
            idle: VecDeque::new(),
            roomy: BTreeSet::new(),
            places: Vec::new(),
            room: Least::default(),
            ready: 0,
            wanted: first,
            coming: 0,
            next_provisioning_ns: 0,
            provisionings: 0,
            waiting: VecDeque::new(),
            alive: 0,
            started: 0,
            requests_running: 0,
            from_ns,
            usage: Usage { points: vec![(0, 0, 0); POINTS], ..Usage::default() },
            ready_since_ns: from_ns,
            next_window_ns: match settings.provision.is_nothing() {
                true => u64::MAX,
                false => from_ns.saturating_add(WINDOW_NS),
            },
            window_most: 0,
            next_point_ns: from_ns,
            point_ns,
            next_look_ns: settings.provision.look_every_ns(),
            running_since_ns: 0,
            running_sum_ns: 0,
            settings,
        };
        pool.usage.peak_provisioned = first.into();
        for _ in 0..first {
            pool.provisioned_is_ready();
        }
        limiter.add(first.into());
        pool.usage.peak_instances = first.into();
        pool
    }

    /// A request arrives. Times must not decrease.
    #[inline]
    pub fn arrive(
        &mut self,
        request: Request,
        limiter: &mut Limiter,
        observer: &mut impl Observer,
    ) {
        let now_ns = request.arrived_ns;
        self.advance(now_ns, limiter, observer);
        if let Some(place) = self.room.least() {
            let latency_ns = request.service_ns;
            observer.served(&request, Served::Provisioned, place as u32, latency_ns);
            self.take_place(now_ns, place, &request);
        } else if let Some(slot) = self.take_on_demand() {
            observer.served(
                &request,
                Served::Warm,
                self.slots[slot as usize].id,
                request.service_ns,
            );
            self.run(now_ns, now_ns, slot, &request);
        } else if self.waiting.is_empty() && self.may_start(now_ns, limiter) {
            self.start(now_ns, &request, observer);
        } else if self.settings.overflow == Overflow::Refuse {
            observer.refused(&request);
        } else {
            self.waiting.push_back(request);
            self.serve_waiting(now_ns, limiter, observer);
        }
    }

    /// Advances the time to `now_ns`: requests end, instances are ended, policies act.
    #[inline]
    pub fn advance(&mut self, now_ns: u64, limiter: &mut Limiter, observer: &mut impl Observer) {
        loop {
            let event_ns = self.events.next_ns();
            let timer_ns = self.next_window_ns.min(self.next_point_ns).min(self.next_look_ns);
            if event_ns.min(timer_ns) > now_ns {
                break;
            }
            if event_ns <= timer_ns {
                if let Some((at_ns, code)) = self.events.pop() {
                    self.happen(at_ns, code, limiter, observer);
                }
            } else {
                self.tick(timer_ns, limiter);
            }
        }
        self.expire(now_ns, limiter);
    }

    /// Ends counting at `end_ns`, serves what still waits, and returns the usage.
    pub fn close(
        mut self,
        end_ns: u64,
        limiter: &mut Limiter,
        observer: &mut impl Observer,
    ) -> (Usage, Vec<u64>) {
        self.advance(end_ns, limiter, observer);
        self.count_ready(end_ns);
        let mut usage = std::mem::take(&mut self.usage);
        usage.length_ns = end_ns.saturating_sub(self.from_ns);
        usage.most_starts = limiter.most_used();
        let idle: BTreeSet<u32> = self.idle.iter().map(|&(_, slot)| slot).collect();
        for (at, slot) in self.slots.iter().enumerate() {
            if slot.running > 0 || idle.contains(&(at as u32)) {
                let from_ns = slot.created_ns.max(self.from_ns);
                usage.on_demand_ns += u128::from(end_ns.saturating_sub(from_ns));
            }
        }
        let mut carried: Vec<u64> = Vec::with_capacity(self.places.len());
        for place in &self.places {
            let since_ns = place.busy_since_ns.max(self.from_ns);
            let open_ns = if place.running > 0 { end_ns.saturating_sub(since_ns) } else { 0 };
            carried.push(place.busy_ns + open_ns);
        }
        usage.provisioned_busy_ns = carried.iter().map(|&ns| u128::from(ns)).sum();
        (self.next_window_ns, self.next_point_ns, self.next_look_ns) =
            (u64::MAX, u64::MAX, u64::MAX);
        while !self.waiting.is_empty() && self.events.next_ns() != u64::MAX {
            self.advance(self.events.next_ns(), limiter, observer);
        }
        while let Some(request) = self.waiting.pop_front() {
            observer.refused(&request);
        }
        (usage, carried)
    }

    /// Instances that exist, provisioned ones included.
    fn instances(&self) -> u64 {
        self.alive + u64::from(self.ready)
    }

    fn may_start(&mut self, now_ns: u64, limiter: &mut Limiter) -> bool {
        self.instances() + u64::from(self.coming) < self.settings.most_instances
            && limiter.start(now_ns)
    }

    fn start(&mut self, now_ns: u64, request: &Request, observer: &mut impl Observer) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() as u32 - 1
        });
        let id = self.started;
        self.started = self.started.wrapping_add(1);
        self.alive += 1;
        if now_ns >= self.from_ns {
            self.usage.peak_instances = self.usage.peak_instances.max(self.instances());
        }
        // The first instances of a warm-up start at once. Otherwise each request during the first
        // cold start would start an instance, which would then be kept.
        let start_ns = match !request.counted && now_ns < self.from_ns / 2 {
            true => 0,
            false => self.cold.draw(now_ns, request.number),
        };
        let latency_ns = now_ns - request.arrived_ns + start_ns + request.service_ns;
        self.slots[slot as usize] =
            Slot { id, running: 0, starting: self.settings.concurrency > 1, created_ns: now_ns };
        observer.served(request, Served::Cold { start_ns }, id, latency_ns);
        if self.settings.concurrency > 1 {
            self.events.push(now_ns + start_ns, request.number as u32, slot);
        }
        self.run(now_ns, now_ns + start_ns, slot, request);
    }

    /// Takes an on-demand instance that has room.
    #[inline]
    fn take_on_demand(&mut self) -> Option<u32> {
        if let Some((_, slot)) = self.roomy.pop_first() {
            return Some(slot);
        }
        let idle = match self.settings.reuse {
            Reuse::Newest => self.idle.pop_back(),
            Reuse::Oldest => self.idle.pop_front(),
            Reuse::Random if self.idle.is_empty() => None,
            Reuse::Random => {
                self.choices += 1;
                let at = self.choice.below(self.choices, self.idle.len() as u64);
                self.idle.remove(at as usize)
            }
        };
        idle.map(|(_, slot)| slot)
    }

    /// A request runs on an on-demand instance, from `begin_ns` on.
    #[inline]
    fn run(&mut self, now_ns: u64, begin_ns: u64, slot: u32, request: &Request) {
        let at = &mut self.slots[slot as usize];
        at.running += 1;
        if at.running < self.settings.concurrency && !at.starting {
            self.roomy.insert((at.id, slot));
        }
        let end_ns = begin_ns + request.service_ns + self.settings.hold_ns;
        self.events.push(end_ns, request.number as u32, slot | DONE);
        self.more_running(now_ns);
    }

    #[inline]
    fn take_place(&mut self, now_ns: u64, place: usize, request: &Request) {
        let at = &mut self.places[place];
        if at.running == 0 {
            at.busy_since_ns = now_ns;
        }
        at.running += 1;
        if at.running >= self.settings.concurrency {
            self.room.remove(place);
        }
        let end_ns = now_ns + request.service_ns + self.settings.hold_ns;
        self.events.push(end_ns, request.number as u32, place as u32 | PROVISIONED | DONE);
        self.more_running(now_ns);
    }

    #[inline]
    fn more_running(&mut self, now_ns: u64) {
        self.count_running(now_ns);
        self.requests_running += 1;
        self.window_most = self.window_most.max(self.requests_running);
    }

    #[inline]
    fn count_running(&mut self, now_ns: u64) {
        if self.next_look_ns != u64::MAX {
            self.running_sum_ns += self.requests_running * (now_ns - self.running_since_ns);
            self.running_since_ns = now_ns;
        }
    }

    fn happen(
        &mut self,
        at_ns: u64,
        code: u32,
        limiter: &mut Limiter,
        observer: &mut impl Observer,
    ) {
        let index = (code & !(PROVISIONED | DONE)) as usize;
        match (code & PROVISIONED != 0, code & DONE != 0) {
            (false, true) => {
                self.count_running(at_ns);
                self.requests_running -= 1;
                let slot = &mut self.slots[index];
                slot.running -= 1;
                if slot.running == 0 {
                    if self.settings.concurrency > 1 {
                        self.roomy.remove(&(slot.id, index as u32));
                    }
                    self.idle.push_back((at_ns, index as u32));
                } else if !slot.starting {
                    self.roomy.insert((slot.id, index as u32));
                }
            }
            (false, false) => {
                let slot = &mut self.slots[index];
                slot.starting = false;
                self.roomy.insert((slot.id, index as u32));
            }
            (true, true) => {
                self.count_running(at_ns);
                self.requests_running -= 1;
                let place = &mut self.places[index];
                place.running -= 1;
                if place.running == 0 {
                    place.busy_ns += at_ns.saturating_sub(place.busy_since_ns.max(self.from_ns));
                }
                if index < self.ready as usize {
                    self.room.insert(index);
                }
            }
            (true, false) => {
                self.coming -= 1;
                match self.ready < self.wanted {
                    true => {
                        self.count_ready(at_ns);
                        self.provisioned_is_ready();
                        if at_ns >= self.from_ns {
                            let usage = &mut self.usage;
                            usage.peak_instances =
                                usage.peak_instances.max(self.alive + u64::from(self.ready));
                        }
                    }
                    false => limiter.remove(1), // no longer wanted
                }
            }
        }
        if !self.waiting.is_empty() {
            self.serve_waiting(at_ns, limiter, observer);
        }
    }

    /// Gives waiting requests to instances with room.
    fn serve_waiting(&mut self, now_ns: u64, limiter: &mut Limiter, observer: &mut impl Observer) {
        let Overflow::Wait { limit_ns } = self.settings.overflow else { return };
        self.expire(now_ns, limiter);
        while let Some(&request) = self.waiting.front() {
            let waited_ns = now_ns - request.arrived_ns;
            if waited_ns > limit_ns {
                observer.refused(&request);
            } else if let Some(place) = self.room.least() {
                let latency_ns = waited_ns + request.service_ns;
                observer.served(&request, Served::Provisioned, place as u32, latency_ns);
                self.take_place(now_ns, place, &request);
            } else if let Some(slot) = self.take_on_demand() {
                let id = self.slots[slot as usize].id;
                observer.served(&request, Served::Warm, id, waited_ns + request.service_ns);
                self.run(now_ns, now_ns, slot, &request);
            } else if self.may_start(now_ns, limiter) {
                self.start(now_ns, &request, observer);
            } else {
                break;
            }
            self.waiting.pop_front();
        }
    }

    /// Ends on-demand instances whose keep-alive is over.
    #[inline]
    fn expire(&mut self, now_ns: u64, limiter: &mut Limiter) {
        while let Some(&(since_ns, slot)) = self.idle.front() {
            let end_ns = since_ns.saturating_add(self.settings.keep_alive_ns);
            if end_ns > now_ns {
                break;
            }
            self.idle.pop_front();
            let created_ns = self.slots[slot as usize].created_ns;
            if end_ns > self.from_ns {
                self.usage.on_demand_ns += u128::from(end_ns - created_ns.max(self.from_ns));
                self.usage.ended += 1;
                self.usage.ended_life_ns += u128::from(end_ns - created_ns);
            }
            self.free.push(slot);
            self.alive -= 1;
            limiter.remove(1);
        }
    }

    fn provisioned_is_ready(&mut self) {
        let place = self.ready as usize;
        if place >= self.places.len() {
            self.places.push(Place::default());
            self.room.grow(place + 1);
        }
        self.ready += 1;
        self.usage.peak_provisioned = self.usage.peak_provisioned.max(self.ready.into());
        // An instance that is no longer wanted may still be serving.
        if self.places[place].running < self.settings.concurrency {
            self.room.insert(place);
        }
    }

    fn count_ready(&mut self, now_ns: u64) {
        let passed_ns = now_ns.saturating_sub(self.ready_since_ns);
        self.usage.provisioned_ns += u128::from(self.ready) * u128::from(passed_ns);
        self.ready_since_ns = self.ready_since_ns.max(now_ns);
    }

    fn tick(&mut self, now_ns: u64, limiter: &mut Limiter) {
        if now_ns == self.next_window_ns {
            let idle = u64::from(self.ready).saturating_sub(self.window_most);
            self.usage.idle_windows += idle;
            self.usage.windows += 1;
            self.window_most = self.requests_running;
            self.next_window_ns += WINDOW_NS;
        }
        if now_ns == self.next_look_ns {
            self.count_running(now_ns);
            let every_ns = self.settings.provision.look_every_ns();
            let mean = self.running_sum_ns as f64 / every_ns as f64;
            self.running_sum_ns = 0;
            let from_ns = self.from_ns;
            let wanted = self.settings.provision.wanted(now_ns, from_ns, mean);
            self.provision(now_ns, wanted, limiter);
            self.next_look_ns += every_ns;
        }
        if now_ns == self.next_point_ns {
            self.expire(now_ns, limiter);
            let now = self.instances();
            if now_ns == self.from_ns {
                // What existed before counting is dropped, what exists now is kept.
                self.usage.peak_instances = now;
                self.usage.peak_provisioned = self.ready.into();
                limiter.forget_most();
                self.window_most = self.requests_running;
            }
            let at = ((now_ns - self.from_ns) / self.point_ns) as usize % POINTS;
            let (sum, looks, most) = &mut self.usage.points[at];
            *sum += now;
            *looks += 1;
            *most = (*most).max(now);
            self.next_point_ns = self.next_point_ns.saturating_add(self.point_ns);
        }
    }

    /// Sets the wanted number of provisioned instances.
    fn provision(&mut self, now_ns: u64, wanted: u32, limiter: &mut Limiter) {
        self.wanted = wanted;
        while self.ready + self.coming < wanted && !limiter.is_full() {
            limiter.add(1);
            let begin_ns = self.next_provisioning_ns.max(now_ns);
            self.next_provisioning_ns = begin_ns + self.settings.provision.spacing_ns();
            self.provisionings += 1;
            let start_ns = self.cold.provisioning(self.provisionings);
            let order = self.provisionings as u32;
            self.events.push(begin_ns + start_ns, order, PROVISIONED);
            self.coming += 1;
        }
        if self.ready > wanted {
            self.count_ready(now_ns);
            for place in wanted..self.ready {
                if self.places[place as usize].running < self.settings.concurrency {
                    self.room.remove(place as usize);
                }
            }
            limiter.remove((self.ready - wanted).into());
            self.ready = wanted;
        }
    }
}
