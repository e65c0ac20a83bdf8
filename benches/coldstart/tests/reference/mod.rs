//! Reference simulator, slow and simple: all instances are in one list, which is searched for each
//! request, without sorting and without delayed work. Tests compare the fast simulator with it,
//! event by event.

use coldstart::plan::arrivals::Generated;
use coldstart::plan::cold::ColdStarts;
use coldstart::plan::pool::{Observer, Request, Reuse, Served};
use coldstart::plan::random::{Purpose, Stream};
use coldstart::plan::simulate::{Arrivals, Run};

/// Result of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Served { how: Served, instance: u32, latency_ns: u64 },
    Refused,
}

impl Event {
    pub fn is_cold(&self) -> bool {
        matches!(self, Event::Served { how: Served::Cold { .. }, .. })
    }
}

/// Observer that keeps every event.
#[derive(Default)]
pub struct Seen {
    pub events: Vec<Event>,
    pub at_ns: Vec<u64>,
}

impl Observer for Seen {
    fn served(&mut self, request: &Request, how: Served, instance: u32, latency_ns: u64) {
        if request.counted {
            self.events.push(Event::Served { how, instance, latency_ns });
            self.at_ns.push(request.arrived_ns);
        }
    }

    fn refused(&mut self, request: &Request) {
        if request.counted {
            self.events.push(Event::Refused);
            self.at_ns.push(request.arrived_ns);
        }
    }
}

/// Observer that keeps nothing.
pub struct NoObserver;

impl Observer for NoObserver {
    fn served(&mut self, _: &Request, _: Served, _: u32, _: u64) {}
    fn refused(&mut self, _: &Request) {}
}

struct Instance {
    id: u32,
    provisioned: bool,
    ready_ns: u64,
    /// Ends of the requests that it has, and their numbers.
    running: Vec<(u64, u64)>,
    /// When it became idle, and by the end of which request.
    idle_since: (u64, u64),
}

/// The events of a run without warm-up, of a fixed number of provisioned instances.
pub fn simulate(run: &Run) -> Vec<Event> {
    let Arrivals::Generated { shape, per_second } = run.arrivals else {
        panic!("the reference does not support traces");
    };
    let settings = &run.settings;
    let n = settings.provision.at_start(0);
    let mut instances: Vec<Instance> = (0..n)
        .map(|id| Instance {
            id,
            provisioned: true,
            ready_ns: 0,
            running: Vec::new(),
            idle_since: (0, 0),
        })
        .collect();
    let mut arrivals = Generated::new(shape, per_second, run.seed, 0, 0);
    let services = Stream::new(run.seed, Purpose::Service, 0);
    let stream = |purpose| Stream::new(run.seed, purpose, 0);
    let mut cold =
        ColdStarts::new(run.cold.clone(), stream(Purpose::Cold), stream(Purpose::Provisioning));
    let mut started = 0;
    let mut events = Vec::new();
    for number in 0..run.requests {
        let now_ns = arrivals.next_ns();
        let service_ns = run.service.at(services.uniform(number));
        for instance in &mut instances {
            if let Some(&last) = instance.running.iter().filter(|(end, _)| *end <= now_ns).max() {
                instance.idle_since = last;
            }
            instance.running.retain(|(end_ns, _)| *end_ns > now_ns);
        }
        instances.retain(|i| {
            i.provisioned
                || !i.running.is_empty()
                || i.idle_since.0 + settings.keep_alive_ns > now_ns
        });
        let has_room =
            |i: &Instance| i.ready_ns <= now_ns && i.running.len() < settings.concurrency as usize;
        let idle_by = |i: &&mut Instance| i.idle_since;
        let found = instances
            .iter_mut()
            .filter(|i| i.provisioned && has_room(i))
            .min_by_key(|i| i.id)
            .map(|i| (i.id, true));
        let found = found.or_else(|| {
            let partly = instances
                .iter_mut()
                .filter(|i| !i.provisioned && !i.running.is_empty() && has_room(i));
            partly.min_by_key(|i| i.id).map(|i| (i.id, false))
        });
        let found = found.or_else(|| {
            let idle = instances.iter_mut().filter(|i| !i.provisioned && i.running.is_empty());
            let chosen = match settings.reuse {
                Reuse::Newest => idle.max_by_key(idle_by),
                Reuse::Oldest => idle.min_by_key(idle_by),
                Reuse::Random => panic!("the reference does not choose at random"),
            };
            chosen.map(|i| (i.id, false))
        });
        let hold_ns = service_ns + settings.hold_ns;
        match found {
            Some((id, provisioned)) => {
                let instance = instances
                    .iter_mut()
                    .find(|i| i.id == id && i.provisioned == provisioned)
                    .expect("it was found");
                instance.running.push((now_ns + hold_ns, number));
                let how = if provisioned { Served::Provisioned } else { Served::Warm };
                events.push(Event::Served { how, instance: id, latency_ns: service_ns });
            }
            None if (instances.len() as u64) < settings.most_instances => {
                let start_ns = cold.draw(now_ns, number);
                instances.push(Instance {
                    id: started,
                    provisioned: false,
                    ready_ns: now_ns + start_ns,
                    running: vec![(now_ns + start_ns + hold_ns, number)],
                    idle_since: (0, 0),
                });
                let how = Served::Cold { start_ns };
                let latency_ns = start_ns + service_ns;
                events.push(Event::Served { how, instance: started, latency_ns });
                started += 1;
            }
            None => events.push(Event::Refused),
        }
    }
    events
}
