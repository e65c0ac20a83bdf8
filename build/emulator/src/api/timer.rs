//! Timers: one thread sleeps until the next timer is due and sends its event as an asynchronous
//! invocation. Times that passed while the emulator did not run are skipped.

use crate::api::clock::{in_beijing, utc};
use crate::api::session::Session;
use crate::sync::lock;
use scaffold::cron::Cron;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use time::OffsetDateTime;

/// Longest sleep of the thread: the clock may be set at any time.
const LOOK: Duration = Duration::from_secs(30);
/// A timer that is later than this does not fire.
const MAX_LATE_MS: i64 = 60_000;
/// Number of days in which the next time is searched: a leap day comes within eight years.
const MAX_DAYS: u32 = 8 * 366;

/// The running timers. Dropping them ends them.
pub struct Timers {
    session: Arc<Session>,
    closing: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A timer that is due.
struct Due {
    namespace: String,
    function: String,
    qualifier: String,
    name: String,
    message: String,
}

impl Timers {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system cannot start a thread.
    pub fn start(session: Arc<Session>) -> std::io::Result<Timers> {
        let closing = Arc::new(AtomicBool::new(false));
        let (its, ends) = (session.clone(), closing.clone());
        let thread =
            thread::Builder::new().name("timers".into()).spawn(move || run(&its, &ends))?;
        Ok(Timers { session, closing, thread: Some(thread) })
    }
}

impl Drop for Timers {
    fn drop(&mut self) {
        let world = lock(&self.session.world);
        self.closing.store(true, Ordering::Relaxed);
        self.session.changed.notify_all();
        drop(world);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(session: &Arc<Session>, closing: &AtomicBool) {
    let mut done = session.now_ms();
    loop {
        let world = lock(&session.world);
        if closing.load(Ordering::Relaxed) {
            return;
        }
        let now = session.now_ms();
        if !(0..MAX_LATE_MS).contains(&(now - done)) {
            done = now; // the clock was set
        }
        let mut next: Option<i64> = None;
        let mut due = Vec::new();
        for function in world.functions.values() {
            for trigger in &function.triggers {
                if trigger.kind != "timer" || !trigger.enabled {
                    continue;
                }
                let parsed: Value = serde_json::from_str(&trigger.description).unwrap_or_default();
                let cron = parsed["cron"].as_str().and_then(|cron| Cron::parse(cron).ok());
                let after = done.max(trigger.modified_ms);
                let Some(at) = cron.and_then(|cron| next_after(&cron, after)) else { continue };
                if at <= now {
                    due.push((
                        at,
                        Due {
                            namespace: function.namespace.clone(),
                            function: function.name.clone(),
                            qualifier: trigger.qualifier.clone(),
                            name: trigger.name.clone(),
                            message: trigger.argument.clone(),
                        },
                    ));
                } else {
                    next = Some(next.map_or(at, |next| next.min(at)));
                }
            }
        }
        if due.is_empty() {
            let wait =
                next.map_or(LOOK, |at| Duration::from_millis((at - now).unsigned_abs()).min(LOOK));
            done = now;
            drop(session.changed.wait_timeout(world, wait).unwrap_or_else(PoisonError::into_inner));
            continue;
        }
        drop(world);
        // Only the first due time of each timer is sent; the next round finds later ones.
        done = due.iter().map(|(at, _)| *at).min().unwrap_or(now);
        for (at, timer) in due.into_iter().filter(|(at, _)| *at == done) {
            fire(session, at, &timer);
        }
    }
}

fn fire(session: &Arc<Session>, at: i64, timer: &Due) {
    let event = json!({
        "Type": "Timer",
        "TriggerName": timer.name,
        "Time": utc(at),
        "Message": timer.message,
    });
    let sent = session
        .target(&timer.namespace, &timer.function, &timer.qualifier, Some(false))
        .and_then(|target| session.send(&target, &event.to_string()));
    if let Err(error) = sent {
        session.note(format_args!("the timer `{}` was not sent: {error}", timer.name));
    }
}

/// The first time of a cron expression after `after`, both in milliseconds since 1970.
fn next_after(cron: &Cron, after: i64) -> Option<i64> {
    let start = in_beijing(after);
    let mut date = start.date();
    for _ in 0..MAX_DAYS {
        let weekday = date.weekday().number_days_from_sunday();
        if cron.is_day(date.year(), date.month().into(), date.day(), weekday) {
            let times = cron.hours().flat_map(|hour| {
                let seconds = move |minute| cron.seconds().map(move |s| (hour, minute, s));
                cron.minutes().flat_map(seconds)
            });
            let found = times
                .filter_map(|(hour, minute, second)| date.with_hms(hour, minute, second).ok())
                .map(|at| at.assume_offset(start.offset()))
                .map(OffsetDateTime::unix_timestamp)
                .find(|at| at.saturating_mul(1000) > after);
            if let Some(at) = found {
                return Some(at.saturating_mul(1000));
            }
        }
        date = date.next_day()?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(cron: &str, after: &str) -> String {
        let moment = crate::api::clock::moment(after).unwrap();
        let cron = Cron::parse(cron).unwrap();
        next_after(&cron, moment).map_or("never".into(), crate::api::clock::text)
    }

    #[test]
    fn finds_the_next_time_in_beijing() {
        for (cron, after, expected) in [
            ("*/5 * * * * * *", "2026-11-28 09:39:57", "2026-11-28 09:40:00"),
            ("*/5 * * * * * *", "2026-11-28 09:40:00", "2026-11-28 09:40:05"),
            ("0 0 2 1 * * *", "2026-11-28 09:40:00", "2026-12-01 02:00:00"),
            ("0 15 10 * * MON-FRI *", "2026-11-28 09:40:00", "2026-11-30 10:15:00"),
            ("0 0 0 29 2 * *", "2026-11-28 09:40:00", "2028-02-29 00:00:00"),
            ("0 0 0 * * * 2025", "2026-11-28 09:40:00", "never"),
        ] {
            assert_eq!(next(cron, after), expected, "{cron} after {after}");
        }
    }
}
