//! Budget of a run in an account: the number of calls of each action, the versions, and an upper
//! bound of the cost, all computed before the run creates anything. Pure. Prices are the platform's
//! list, in CNY (QD product pricing): GB-seconds, calls, idle provisioned instances.

use super::pace::{BURST_A_MINUTE, NEW_PROVISIONED_A_MINUTE, WINDOW, spacing};
use crate::results::{ColdBy, Scenario};
use std::time::Duration;

/// CNY per GB-second of a running instance.
const CNY_PER_GB_SECOND: f64 = 0.000_111_08;
/// CNY per 10,000 calls.
const CNY_PER_10_000_CALLS: f64 = 0.0133;
/// CNY per day of the basic package, for an account that has one and starts to use SCF.
const CNY_BASIC_A_DAY: f64 = 0.41;
/// Default time to wait for provisioned instances, in seconds: the platform's own limit for pull
/// and start is 300.
pub const PROVISIONED_WITHIN_S: u64 = 330;
/// Accelerated functions per account and region.
pub const MAX_ACCELERATED: usize = 5;
/// Functions per namespace.
pub const MAX_FUNCTIONS: usize = 50;

/// The parts of a case that determine its cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// The function that it calls.
    pub function: usize,
    /// Its memory setting.
    pub memory_mib: u64,
    /// The kind of measurement.
    pub scenario: Scenario,
    /// Number of concurrent calls.
    pub burst: u64,
}

/// The run that the budget is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// The cases.
    pub items: Vec<Item>,
    /// Number of turns of each case.
    pub samples: u64,
    /// How the run makes instances new.
    pub cold_by: ColdBy,
    /// The functions' time limit, in seconds; an initialization may take as long again.
    pub timeout_s: u64,
    /// Time limit of the initialization, in seconds.
    pub init_timeout_s: u64,
    /// How long to wait for provisioned instances, in seconds.
    pub provisioned_within_s: u64,
    /// The control function's memory.
    pub control_mib: u64,
    /// Most instances of the control function at once.
    pub controls_at_once: u64,
    /// Most new instances that the run requests in a minute.
    pub new_a_minute: u64,
    /// Number of accelerated functions.
    pub accelerated: usize,
    /// Whether the run creates the namespace.
    pub namespace: bool,
}

/// The calls and the upper bound of the cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    /// Most calls of each action, in the order of their first use.
    pub calls: Vec<(&'static str, u64)>,
    /// Number of functions that the run creates.
    pub functions: usize,
    /// Number of versions that the run creates, of all functions.
    pub versions: u64,
    /// Number of function calls, including those of the control function.
    pub invocations: u64,
    /// Number of images with a nonce that the run pushes.
    pub pushed: u64,
    /// Most new instances.
    pub new_instances: u64,
    /// Most new instances in a minute.
    pub new_a_minute: u64,
    /// The largest burst, if it alone exceeds that rate.
    pub over_pace: Option<u64>,
    /// Shortest duration of the run because of its pace, in seconds.
    pub paced_s: u64,
    /// Highest cost in CNY, by the time limits.
    pub ceiling_cny: f64,
}

/// Why a run exceeds the platform's limits.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// Too many functions.
    #[error(
        "{0} functions, and a namespace holds {MAX_FUNCTIONS}: fewer images or memory settings"
    )]
    Functions(usize),
    /// Too many accelerated functions.
    #[error(
        "{0} accelerated functions, and an account and region may have {MAX_ACCELERATED}: fewer \
         images or memory settings, or `--scenario cold`"
    )]
    Accelerated(usize),
    /// Too large a burst.
    #[error(
        "a burst of {0}, and a region starts {BURST_A_MINUTE} new instances a minute: a smaller \
         `--burst`, or `--pace` where yours starts more"
    )]
    Burst(u64),
}

impl Extent {
    /// Computes the budget.
    ///
    /// # Errors
    /// [`BudgetError`] if the platform would refuse the run.
    pub fn budget(&self) -> Result<Budget, BudgetError> {
        let mut functions: Vec<usize> = self.items.iter().map(|item| item.function).collect();
        functions.sort_unstable();
        functions.dedup();
        let functions = functions.len() + 1; // the control function
        if functions > MAX_FUNCTIONS {
            return Err(BudgetError::Functions(functions));
        }
        if self.accelerated > MAX_ACCELERATED {
            return Err(BudgetError::Accelerated(self.accelerated));
        }
        let most = BURST_A_MINUTE.max(self.new_a_minute);
        if let Some(burst) = self.items.iter().map(|i| i.burst).find(|&b| b > most) {
            return Err(BudgetError::Burst(burst));
        }
        let turns = self.items.len() as u64 * self.samples;
        let provisioned = self.items.iter().filter(|i| i.scenario == Scenario::Provisioned).count();
        let provisioned = provisioned as u64 * self.samples;
        let cold = turns - provisioned;
        // Each connection calls the control function twice and the measured function once.
        let invocations: u64 = self.items.iter().map(|i| i.burst * 3).sum::<u64>() * self.samples;
        let (config, code) = match self.cold_by {
            ColdBy::NewVersion => (0, 0),
            ColdBy::NewConfig => (cold, 0),
            ColdBy::NewLayer => (0, cold),
        };
        let created = u64::from(self.namespace);
        let calls = vec![
            ("GetAccount", 1),
            ("CreateNamespace", created),
            ("CreateFunction", functions as u64),
            ("UpdateFunctionConfiguration", config),
            ("UpdateFunctionCode", code),
            ("PublishVersion", turns),
            ("PutProvisionedConcurrencyConfig", provisioned),
            ("InvokeFunction", invocations),
            ("DeleteProvisionedConcurrencyConfig", provisioned),
            ("DeleteFunctionVersion", turns),
            ("DeleteFunction", functions as u64),
            ("DeleteNamespace", created),
        ];
        Ok(Budget {
            calls: calls.into_iter().filter(|(_, n)| *n > 0).collect(),
            functions,
            versions: turns,
            invocations,
            pushed: code,
            new_instances: self.new_instances(),
            new_a_minute: self.new_a_minute,
            over_pace: self.items.iter().map(|i| i.burst).max().filter(|b| *b > self.new_a_minute),
            paced_s: self.paced_s(turns),
            ceiling_cny: self.ceiling_cny(invocations),
        })
    }

    /// New instances: one for each call of a case, and once those of the control function.
    fn new_instances(&self) -> u64 {
        let largest = self.items.iter().map(|item| item.burst).max().unwrap_or(0);
        let controls = largest.min(self.controls_at_once);
        self.items.iter().map(|item| item.burst).sum::<u64>() * self.samples + controls
    }

    /// Computes the pace: the first minute's quota starts at once, and each further minute has the
    /// same quota. A turn that alone exceeds the pace waits for an empty minute.
    fn paced_s(&self, turns: u64) -> u64 {
        let is_provisioned = |item: &&Item| item.scenario == Scenario::Provisioned;
        let provisioned: u64 = self.items.iter().filter(is_provisioned).map(|i| i.burst).sum();
        let minutes = |instances: u64, most: u64| instances.saturating_sub(1) / most.max(1);
        let over = self.items.iter().filter(|item| item.burst > self.new_a_minute).count() as u64;
        let minutes = minutes(self.new_instances(), self.new_a_minute)
            .max(minutes(provisioned * self.samples, NEW_PROVISIONED_A_MINUTE))
            .max((over * self.samples).saturating_sub(1));
        let versions = spacing("PublishVersion").as_secs_f64() * turns as f64;
        (minutes * WINDOW.as_secs()).max(versions as u64)
    }

    /// Assumes that every call and every start reaches its limit, and that provisioned instances
    /// exist for the whole time that the run waits for them.
    fn ceiling_cny(&self, invocations: u64) -> f64 {
        let gb = |mib: u64| mib as f64 / 1024.0;
        let seconds = (self.timeout_s + self.init_timeout_s) as f64;
        let of_item = |item: &Item| {
            let measured = gb(item.memory_mib) * seconds;
            let control = 2.0 * gb(self.control_mib) * self.timeout_s as f64;
            let waited = match item.scenario {
                Scenario::Provisioned => gb(item.memory_mib) * self.provisioned_within_s as f64,
                Scenario::Cold | Scenario::Accelerated => 0.0,
            };
            item.burst as f64 * (measured + control + waited)
        };
        let gb_seconds = self.items.iter().map(of_item).sum::<f64>() * self.samples as f64;
        gb_seconds * CNY_PER_GB_SECOND + invocations as f64 / 10_000.0 * CNY_PER_10_000_CALLS
    }
}

impl Budget {
    /// Formats the budget for the user, before the run creates anything.
    pub fn describe(&self, region: &str, namespace: &str, run: &str) -> String {
        let mut text = format!(
            "run {run} in {region}, namespace {namespace}: {} functions (one of them only to \
             measure the way there), {} versions, {} calls of them\n",
            self.functions, self.versions, self.invocations
        );
        let calls: Vec<String> =
            self.calls.iter().map(|(action, n)| format!("{action} {n}")).collect();
        text += &format!("calls that change something or cost: {}\n", calls.join(", "));
        text += "calls that only ask, as often as it takes: GetFunction, \
                 GetProvisionedConcurrencyConfig, ListFunctions, SearchLog (CLS)\n";
        text += &format!(
            "new instances: {} at most, and no more than {} a minute are asked for (`--pace`; a \
             region starts {BURST_A_MINUTE}, of all functions together); for that, and for the \
             API's own rates, the run takes {} at least\n",
            self.new_instances,
            self.new_a_minute,
            humantime::format_duration(Duration::from_secs(self.paced_s))
        );
        if let Some(burst) = self.over_pace {
            text += &format!(
                "a burst of {burst} is over that pace by itself: what the region does not start is \
                 counted as throttled\n"
            );
        }
        if self.pushed > 0 {
            text += &format!(
                "{} images are pushed into your registry, each with one small layer more, under \
                 tags of their own; your registry may keep them until you delete them\n",
                self.pushed
            );
        }
        text + &format!(
            "ceiling: CNY {:.2} at list prices, if every call and start ran into its time limit; \
             free quotas are left out. Not in it: the basic package of CNY {CNY_BASIC_A_DAY} a day \
             where an account has one, CLS, the registry, traffic\n",
            // Rounded up, because it is an upper bound.
            (self.ceiling_cny * 100.0).ceil() / 100.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent() -> Extent {
        let item = |function, scenario, burst| Item { function, memory_mib: 128, scenario, burst };
        Extent {
            items: vec![
                item(0, Scenario::Cold, 1),
                item(1, Scenario::Accelerated, 1),
                item(0, Scenario::Provisioned, 4),
            ],
            samples: 10,
            cold_by: ColdBy::NewConfig,
            timeout_s: 3,
            init_timeout_s: 90,
            provisioned_within_s: PROVISIONED_WITHIN_S,
            control_mib: 128,
            controls_at_once: 8,
            new_a_minute: 450,
            accelerated: 1,
            namespace: true,
        }
    }

    #[test]
    fn every_call_is_counted_before_it_is_made() {
        let budget = extent().budget().unwrap();
        assert_eq!((budget.functions, budget.versions, budget.invocations), (3, 30, 180));
        let of = |name: &str| budget.calls.iter().find(|(n, _)| *n == name).map(|(_, n)| *n);
        assert_eq!(of("UpdateFunctionConfiguration"), Some(20), "none for provisioned ones");
        assert_eq!(of("PutProvisionedConcurrencyConfig"), Some(10));
        assert_eq!((of("UpdateFunctionCode"), of("CreateNamespace")), (None, Some(1)));
        // Computed by hand: 0.125 GB; six calls of 93 s, twelve control calls of 3 s, four waits of
        // 330 s.
        let gb_seconds = 10.0 * 0.125 * (6.0 * 93.0 + 12.0 * 3.0 + 4.0 * 330.0);
        let cny = gb_seconds * 0.000_111_08 + 180.0 / 10_000.0 * 0.0133;
        assert!((budget.ceiling_cny - cny).abs() < 1e-9, "{} {cny}", budget.ceiling_cny);
        let text = budget.describe("ap-guangzhou", "firstbyte-bench", "0a1b2c3d");
        for word in ["30 versions", "CreateFunction 3", "CNY 0.27", "0.41 a day"] {
            assert!(text.contains(word), "{word}: {text}");
        }
    }

    #[test]
    fn the_plan_states_the_duration_of_the_run() {
        let of = |bursts: &[u64], scenario, samples, new_a_minute| {
            let item = |&burst| Item { burst, scenario, ..extent().items[0] };
            let items = bursts.iter().map(item).collect();
            let budget = Extent { items, samples, new_a_minute, ..extent() }.budget().unwrap();
            let text = budget.describe("ap-guangzhou", "firstbyte-bench", "0a1b2c3d");
            (budget.new_instances, budget.paced_s, text)
        };
        let (new, paced_s, text) = of(&[1, 8], Scenario::Cold, 30, 450);
        assert_eq!((new, paced_s), (30 * 9 + 8, 3), "only PublishVersion's rate");
        assert!(text.contains("278 at most, and no more than 450 a minute"), "{text}");
        let (new, paced_s, text) = of(&[1, 8], Scenario::Cold, 100, 450);
        assert_eq!((new, paced_s), (908, 120), "450, 450 and 8");
        assert!(text.contains("the run takes 2m at least"), "{text}");
        let (_, paced_s, _) = of(&[10], Scenario::Provisioned, 20, 450);
        assert_eq!(paced_s, 120, "90 provisioned ones a minute");
        let (_, paced_s, text) = of(&[8], Scenario::Cold, 3, 5);
        assert_eq!(paced_s, 360, "32 instances, five a minute");
        assert!(text.contains("a burst of 8 is over that pace"), "{text}");
    }

    #[test]
    fn a_run_that_the_platform_would_refuse_is_refused_before() {
        let burst = |burst| {
            let mut of = extent();
            of.items[0].burst = burst;
            of.budget()
        };
        assert!(burst(500).is_ok());
        assert_eq!(burst(501), Err(BudgetError::Burst(501)));
        assert!(matches!(
            Extent { accelerated: 6, ..extent() }.budget(),
            Err(BudgetError::Accelerated(6))
        ));
        let items = (0..50).map(|function| Item { function, ..extent().items[0] }).collect();
        assert_eq!(Extent { items, ..extent() }.budget(), Err(BudgetError::Functions(51)));
    }
}
