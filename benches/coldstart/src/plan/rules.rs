//! Rules of the platforms, as data: each figure with its page and the day of the page or of its
//! reading. A value that no page states is not here; it is a flag, or a note of the plan.

use super::bill::Price;
use super::duration::SECOND_NS;
use super::limiter::StartLimit;
use super::pool::Overflow;

const MINUTE_NS: u64 = 60 * SECOND_NS;

/// A platform with known rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Platform {
    /// Tencent Cloud SCF.
    Scf,
    /// AWS Lambda.
    Lambda,
    /// Alibaba Cloud Function Compute.
    Fc,
    /// Google Cloud Run.
    #[value(name = "cloudrun")]
    CloudRun,
    /// Knative Serving.
    Knative,
}

/// Currency of a bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Currency {
    /// Renminbi.
    Cny,
    /// United States dollar.
    Usd,
}

/// Limit on the instances of a function or a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quota {
    /// Megabytes of all instances together.
    MemoryMb(u64),
    /// This many instances.
    Instances(u64),
    /// No quota.
    None,
}

/// Source of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Fact {
    /// Its subject.
    pub rule: &'static str,
    /// The page's statement.
    pub value: &'static str,
    /// The page.
    pub source: &'static str,
    /// Date of the page, or of its reading.
    pub date: &'static str,
}

/// The rules of one platform.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Its name in the flag.
    pub name: &'static str,
    /// Limit on the number of instances.
    pub quota: Quota,
    /// How fast on-demand instances may be started.
    pub starts: StartLimit,
    /// How fast provisioned instances may be started.
    pub provisioning: StartLimit,
    /// Fate of a request for which no instance may be started.
    pub overflow: Overflow,
    /// A request that waits does so for as many mean cold starts at least.
    pub wait_starts: f64,
    /// Requests that an instance serves at once, by default.
    pub concurrency: u32,
    prices: &'static [(Currency, Price)],
    /// The figures with their sources.
    pub facts: &'static [Fact],
    /// Rules that a plan for this platform leaves out.
    pub left_out: &'static [&'static str],
}

impl Rules {
    /// The price in a currency, if one was found.
    pub fn price(&self, currency: Currency) -> Option<Price> {
        self.prices.iter().find(|(of, _)| *of == currency).map(|(_, price)| *price)
    }

    /// Instances that the quota allows at a memory setting.
    pub fn most_instances(&self, memory_mib: u64) -> Option<u64> {
        match self.quota {
            Quota::MemoryMb(mb) => Some((mb / memory_mib).max(1)),
            Quota::Instances(n) => Some(n),
            Quota::None => None,
        }
    }
}

impl Platform {
    /// The rules of this platform.
    pub fn rules(self) -> &'static Rules {
        match self {
            Self::Scf => &SCF,
            Self::Lambda => &LAMBDA,
            Self::Fc => &FC,
            Self::CloudRun => &CLOUD_RUN,
            Self::Knative => &KNATIVE,
        }
    }
}

const SCF: Rules = Rules {
    name: "scf",
    quota: Quota::MemoryMb(128_000),
    starts: StartLimit::Window { count: 500, window_ns: MINUTE_NS },
    provisioning: StartLimit::Window { count: 100, window_ns: MINUTE_NS },
    overflow: Overflow::Refuse,
    wait_starts: 0.0,
    concurrency: 1,
    prices: &[
        (
            Currency::Cny,
            Price {
                currency: "CNY",
                date: "2021-11-01",
                source: "SCF, product pricing (product/583)",
                request_pico: 1_330_000,
                gb_second_pico: 111_080_000,
                idle_gb_second_pico: 54_710_000,
            },
        ),
        (
            Currency::Usd,
            Price {
                currency: "USD",
                date: "2021-11-01",
                source: "SCF, product pricing (document/product/583, international)",
                request_pico: 200_000,
                gb_second_pico: 16_700_000,
                idle_gb_second_pico: 8_470_000,
            },
        ),
    ],
    facts: &[
        Fact {
            rule: "quota",
            value: "128,000 MB of instances in Guangzhou, Shanghai, Beijing, Chengdu and Hong \
                    Kong; 64,000 MB elsewhere",
            source: "SCF, quotas (tencentyun/qcloud-documents)",
            date: "2026-11-23",
        },
        Fact {
            rule: "burst",
            value: "500 new instances a minute, over all functions of a region; beyond: 429 at \
                    once",
            source: "SCF, concurrency overview (product/583/46743)",
            date: "2022-12-22",
        },
        Fact {
            rule: "provisioning",
            value: "100 provisioned instances a minute, counted apart from the burst",
            source: "SCF, concurrency overview (product/583/46743)",
            date: "2022-12-22",
        },
        Fact {
            rule: "target tracking",
            value: "in use / target; up every 10 s, down after 10 minutes",
            source: "SCF, dynamic provisioning by metric (tencentyun/qcloud-documents)",
            date: "2026-11-27",
        },
        Fact {
            rule: "idle billing",
            value: "in each window of 10 s, max(provisioned - most requests at once, 0) x GB x s",
            source: "SCF, billing examples (tencentyun/qcloud-documents)",
            date: "2026-11-27",
        },
        Fact {
            rule: "prices",
            value: "CNY 0.0133 for 10,000 calls, 0.00011108 a GB-s, 0.00005471 an idle GB-s",
            source: "SCF, product pricing (product/583)",
            date: "2021-11-01",
        },
    ],
    left_out: &["asynchronous invocations, which the platform tries again after a 429"],
};

const LAMBDA: Rules = Rules {
    name: "lambda",
    quota: Quota::Instances(1_000),
    starts: StartLimit::Window { count: 1_000, window_ns: 10 * SECOND_NS },
    provisioning: StartLimit::Window { count: 6_000, window_ns: MINUTE_NS },
    overflow: Overflow::Refuse,
    wait_starts: 0.0,
    concurrency: 1,
    prices: &[],
    facts: &[
        Fact {
            rule: "burst",
            value: "1000 new environments in 10 s for each function; what is unused is not saved \
                    up",
            source: "AWS Lambda, scaling behavior (docs.aws.amazon.com/lambda)",
            date: "2026-11-27",
        },
        Fact {
            rule: "quota",
            value: "1000 concurrent executions a region, by default: remembered, not read again",
            source: "AWS Lambda, quotas (docs.aws.amazon.com/lambda)",
            date: "2026-11-27",
        },
        Fact {
            rule: "provisioning",
            value: "6000 environments a minute: assumed, not read",
            source: "none",
            date: "2026-11-27",
        },
    ],
    left_out: &[
        "the alarms of provisioned tracking look at averages of a minute; `target:` here looks \
         every 10 s",
    ],
};

const FC: Rules = Rules {
    name: "fc",
    quota: Quota::Instances(100),
    starts: StartLimit::Bucket { burst: 300, count: 300, window_ns: MINUTE_NS },
    provisioning: StartLimit::Bucket { burst: 300, count: 300, window_ns: MINUTE_NS },
    overflow: Overflow::Refuse,
    wait_starts: 0.0,
    concurrency: 1,
    prices: &[],
    facts: &[
        Fact {
            rule: "quota",
            value: "100 instances a region, by default",
            source: "Function Compute, quotas and limits (help.aliyun.com)",
            date: "2026-11-27",
        },
        Fact {
            rule: "burst",
            value: "300 at once, then 300 a minute (Hangzhou, Shanghai, Beijing, Zhangjiakou, \
                    Shenzhen); 100 and 100 elsewhere; beyond: 429",
            source: "Function Compute, quotas and limits (help.aliyun.com)",
            date: "2026-11-27",
        },
    ],
    left_out: &["the price depends on the number of vCPUs, which a plan does not know"],
};

const CLOUD_RUN: Rules = Rules {
    name: "cloudrun",
    quota: Quota::Instances(100),
    starts: StartLimit::Unlimited { window_ns: MINUTE_NS },
    provisioning: StartLimit::Unlimited { window_ns: MINUTE_NS },
    overflow: Overflow::Wait { limit_ns: 10 * SECOND_NS },
    wait_starts: 3.5,
    concurrency: 80,
    prices: &[],
    facts: &[
        Fact {
            rule: "concurrency",
            value: "80 requests an instance, by default",
            source: "Cloud Run, maximum concurrent requests \
                     (cloud.google.com/run/docs/about-concurrency)",
            date: "2026-11-27",
        },
        Fact {
            rule: "quota",
            value: "100 instances a service, by default; newer pages: by the region's CPU and \
                    memory",
            source: "Cloud Run, maximum instances \
                     (cloud.google.com/run/docs/configuring/max-instances-limits)",
            date: "2026-11-27",
        },
        Fact {
            rule: "queue",
            value: "a request waits at most 10 s (or 3.5 x the start, whichever is more)",
            source: "Cloud Run, about instance autoscaling (cloud.google.com/run/docs)",
            date: "2026-11-27",
        },
    ],
    left_out: &[
        "the autoscaler's target of 60 % CPU and concurrency over a minute: here an instance is \
         started when no other has room",
    ],
};

const KNATIVE: Rules = Rules {
    name: "knative",
    quota: Quota::None,
    starts: StartLimit::Unlimited { window_ns: MINUTE_NS },
    provisioning: StartLimit::Unlimited { window_ns: MINUTE_NS },
    overflow: Overflow::Wait { limit_ns: 600 * SECOND_NS },
    wait_starts: 0.0,
    concurrency: 100,
    prices: &[],
    facts: &[Fact {
        rule: "concurrency",
        value: "100 requests an instance where containerConcurrency is not set",
        source: "knative/serving, config/core/configmaps/autoscaler.yaml",
        date: "2026-11-27",
    }],
    left_out: &[
        "the autoscaler (KPA): its target of 70 %, windows of 60 s and 6 s, and tick of 2 s; \
         here an instance is started when no other has room",
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_platform_has_facts_with_source_and_date() {
        for platform in
            [Platform::Scf, Platform::Lambda, Platform::Fc, Platform::CloudRun, Platform::Knative]
        {
            let rules = platform.rules();
            assert!(!rules.facts.is_empty(), "{}", rules.name);
            for fact in rules.facts {
                assert!(!fact.source.is_empty() && fact.date.len() == 10, "{fact:?}");
            }
        }
        assert_eq!(SCF.most_instances(128), Some(1000));
    }
}
