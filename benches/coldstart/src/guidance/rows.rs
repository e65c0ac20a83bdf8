//! Rows of the guidance, one function per advice. Every figure of the platform is here with its
//! page.

use super::{Load, companion, is_modelled};
use crate::link::Link;
use crate::phase::Phase;
use crate::pipe::transfer_ns;
use crate::plan::answer::percent as fine_percent;
use crate::plan::distribution::Distribution;
use crate::plan::sizing::{self, Sizing};
use crate::results::{Guidance, Overhead, Run, Scenario, Unit, Variant};
use crate::units::{bytes, duration, percent, times};
use bench_kit::stats::{self, median};

/// CNY per GB and second of an idle provisioned instance, from 2021-11-01 on.
const IDLE_CNY_PER_GB_SECOND: f64 = 0.000_054_71;
/// Time within which the HTTP server must listen.
const LISTEN_DEADLINE_NS: f64 = 30e9;
/// Time limit of pull and start of an image function together (the platform's SDK: InitTimeout, 90
/// s by default).
const INIT_TIMEOUT_NS: f64 = 90e9;
/// Basis of a row on a modelled link, besides the page.
const MODEL: &str =
    "link modelled: rate and round trip are assumed, TCP's slow start by RFC 6928 and RFC 5681";
/// Memory settings of a function, up to the one advised for images of less than 256 MB (SCF quotas:
/// 64, and 128 MB steps).
const MEMORY_SETTINGS_MIB: [u64; 5] = [64, 128, 256, 384, 512];
const IMAGE_PAGE: &str = "SCF, WebServer image function (583/41076)";
const CONCURRENCY_PAGE: &str = "SCF, concurrency management";
/// Factor by which an accelerated start is faster on average, as the platform states it.
const ACCELERATION_PROMISE: f64 = 5.0;
const SAME_REGION: &str = "keep image repository and function in one region, and pull over the VPC";
const MINIMAL_IMAGE: &str = "use a minimal base image and few layers";
const ACCELERATION: &str =
    "image acceleration: starts \"average 5 times\" as fast, free while in beta";
const PROVISIONED: &str =
    "provisioned concurrency: instances are started ahead; QPS x mean seconds is only the mean";
const DEADLINE: &str =
    "the HTTP server must listen within 30 s of its start (otherwise 446 PortBindingFailed)";

/// A row for something that was not measured, and what to do about it.
pub fn absent(variant: &Variant, id: &str, todo: String) -> Guidance {
    let (advice, source) = match id {
        "same-region" => (SAME_REGION, IMAGE_PAGE),
        "minimal-image" => (MINIMAL_IMAGE, IMAGE_PAGE),
        "acceleration" => (ACCELERATION, CONCURRENCY_PAGE),
        "provisioned" => (PROVISIONED, CONCURRENCY_PAGE),
        _ => (DEADLINE, IMAGE_PAGE),
    };
    Guidance {
        id: id.into(),
        variant: variant.name.clone(),
        link: None,
        advice: advice.into(),
        source: source.into(),
        modelled: false,
        measured: "not measured".into(),
        ci95: None,
        unit: None,
        max_share: None,
        verdict: format!("not measured: {todo}"),
        explanation: None,
    }
}

/// The compressed size; the engines of these rows load the image, so it is known.
fn compressed_bytes(variant: &Variant) -> u64 {
    variant.compressed_bytes.unwrap_or(0)
}

/// The page, with the link's model if the run rests on one.
fn with_model(page: &str, run: &Run) -> String {
    if is_modelled(run) { format!("{page}; {MODEL}") } else { page.into() }
}

/// Keep the registry in the function's region: compares the two modelled regions.
pub fn same_region(variant: &Variant) -> Option<Guidance> {
    let cold = |link: &str| {
        variant.runs.iter().find(|r| {
            r.scenario == Scenario::Cold && r.burst == 1 && r.link == link && r.summary.n > 0
        })
    };
    let (near, far) = (cold("same-region")?, cold("cross-region")?);
    let (ratio, interval) = stats::ratio_of_medians(&far.totals_ns(), &near.totals_ns())?;
    let saved = far.summary.median_ns? - near.summary.median_ns?;
    let share = saved / far.summary.median_ns?;
    Some(Guidance {
        id: "same-region".into(),
        variant: variant.name.clone(),
        link: Some(far.link.clone()),
        advice: SAME_REGION.into(),
        source: format!("{IMAGE_PAGE}; {MODEL}"),
        modelled: true,
        measured: format!(
            "a cold start is {} as fast with the registry in the same region",
            times(ratio)
        ),
        ci95: Some([interval.low, interval.high]),
        unit: Some(Unit::Times),
        max_share: Some(share.clamp(0.0, 1.0)),
        verdict: if interval.low > 1.05 {
            format!(
                "do it: it saves {} of each cold start, {} of it",
                duration(saved),
                percent(share)
            )
        } else {
            "it makes no difference that could be measured here".into()
        },
        explanation: None,
    })
}

/// Make the image smaller: at most pull and unpack disappear, and round trips stay.
pub fn minimal_image(variant: &Variant, cold: &Run, overhead: &Overhead) -> Guidance {
    let unpack = cold.phase_ns(Phase::Unpack);
    let carried = cold.times_ns(|s| Some(s.pull_ns? + s.unpack_ns?));
    let total = cold.summary.median_ns.unwrap_or(0.0);
    let share = median(&carried).filter(|_| total > 0.0).map(|ns| (ns / total).clamp(0.0, 1.0));
    // Folders, descriptors and threads cost time whatever the size: the time to unpack the floor
    // image. Without that time (Docker Engine, no C compiler) the size's part of it is not known.
    let floor_ns = overhead.unpack_ns_median;
    let unpack_ns = (median(&unpack).unwrap_or(0.0) - floor_ns.unwrap_or(0.0)).max(0.0);
    // The part of the pull that grows with the image: the link's model gives the time for an empty
    // one.
    let carry_ns = cold.link.parse::<Link>().ok().filter(Link::is_shaped).map(|link| {
        let longer =
            transfer_ns(&link, compressed_bytes(variant)).saturating_sub(transfer_ns(&link, 1));
        longer as f64
    });
    let by_size = carry_ns.unwrap_or(0.0) + unpack_ns;
    let size = bytes(compressed_bytes(variant));
    let layers = match variant.layers {
        1 => "one layer".to_owned(),
        n => format!("{n} layers"),
    };
    let unpacking = match floor_ns {
        _ if unpack_ns == 0.0 => "nothing that could be measured".into(),
        Some(_) => duration(unpack_ns),
        None => format!("at most {}", duration(unpack_ns)),
    };
    let verdict = match (carry_ns, by_size / total.max(1.0)) {
        (Some(carry), grows) if grows < 0.25 => format!(
            "small enough: {} on the link and {} to unpack grow with it; round trips and \
             handshakes, which a smaller image does not shorten, rule this pull",
            duration(carry),
            unpacking
        ),
        (Some(carry), grows) => format!(
            "size is worth work: {} of the cold start grows with it, {} on the link (rate and \
             slow start) and {} to unpack",
            percent(grows),
            duration(carry),
            unpacking
        ),
        (None, grows) if grows >= 0.25 && floor_ns.is_some() => {
            format!(
                "size is worth work: unpacking takes {} more than that of the smallest image",
                duration(unpack_ns)
            )
        }
        (None, grows) if grows >= 0.25 => format!(
            "unpacking takes {}; how much of it the size costs is not known without the smallest \
             image's unpacking: measure a smaller image beside it, or with `--engine embedded`",
            duration(unpack_ns)
        ),
        (None, _) => "small enough: what remains does not grow with the image".into(),
    };
    Guidance {
        id: "minimal-image".into(),
        variant: variant.name.clone(),
        link: Some(cold.link.clone()),
        advice: MINIMAL_IMAGE.into(),
        source: with_model(IMAGE_PAGE, cold),
        modelled: is_modelled(cold),
        measured: format!(
            "{size} compressed in {layers}; pull and unpack take {}",
            median(&carried).map_or("-".into(), duration)
        ),
        ci95: stats::bootstrap_median(&carried).map(|i| [i.low, i.high]),
        unit: Some(Unit::Ns),
        max_share: share,
        verdict,
        explanation: None,
    }
}

/// Image acceleration: the bytes are near the node before the first request.
pub fn acceleration(variant: &Variant, cold: &Run) -> Option<Guidance> {
    let run = companion(variant, cold, Scenario::Accelerated)?;
    let (ratio, interval) = stats::ratio_of_medians(&cold.totals_ns(), &run.totals_ns())?;
    let share = (1.0 - 1.0 / ratio).clamp(0.0, 1.0);
    let quota = "the quota is five functions an account and region";
    let promise = match interval {
        i if i.high < ACCELERATION_PROMISE => "less than the promised 5 times",
        i if i.low > ACCELERATION_PROMISE => "more than the promised 5 times",
        _ => "about the promised 5 times",
    };
    let verdict = if interval.high < 1.25 {
        format!(
            "leave it off: at most {} of the cold start is the pull, and {quota}",
            percent(share)
        )
    } else if interval.low > 2.0 {
        format!(
            "switch it on for functions that this link serves: a start is {} as fast, {promise}; \
             {quota}",
            times(ratio)
        )
    } else {
        format!(
            "worth it only for the functions that people wait for: it removes {} at most, \
             {promise}, and {quota}",
            percent(share)
        )
    };
    Some(Guidance {
        id: "acceleration".into(),
        variant: variant.name.clone(),
        link: Some(cold.link.clone()),
        advice: ACCELERATION.into(),
        source: with_model(CONCURRENCY_PAGE, cold),
        modelled: is_modelled(cold),
        measured: format!("a start without the pull is {} as fast", times(ratio)),
        ci95: Some([interval.low, interval.high]),
        unit: Some(Unit::Times),
        max_share: Some(share),
        verdict,
        explanation: None,
    })
}

/// Provisioned concurrency: instances started ahead, and what idle ones cost.
pub fn provisioned(
    variant: &Variant,
    cold: &Run,
    load: Load,
    sizing: Option<&Sizing>,
) -> Option<Guidance> {
    let run = companion(variant, cold, Scenario::Provisioned)?;
    let totals = run.totals_ns();
    let (ratio, interval) = stats::ratio_of_medians(&cold.totals_ns(), &totals)?;
    let mean_seconds = totals.iter().sum::<f64>() / totals.len() as f64 / 1e9;
    let cold_ns = cold.summary.median_ns?;
    let judgement = if cold_ns < 50e6 {
        format!("A cold start of {} rarely justifies the price", duration(cold_ns))
    } else {
        format!("It pays if {} is too long for a first request", duration(cold_ns))
    };
    let per_hour = load.memory_mib as f64 / 1024.0 * 3600.0 * IDLE_CNY_PER_GB_SECOND;
    let verdict = format!(
        "{need}. A request to a ready one is {gain} as fast as a cold start ({low} to {high}). \
         {judgement}",
        need = need(load, sizing, per_hour),
        gain = times(ratio),
        low = times(interval.low),
        high = times(interval.high)
    );
    Some(Guidance {
        id: "provisioned".into(),
        variant: variant.name.clone(),
        link: Some(cold.link.clone()),
        advice: PROVISIONED.into(),
        source: format!(
            "{CONCURRENCY_PAGE}; idle price CNY {IDLE_CNY_PER_GB_SECOND} per GB and second"
        ),
        modelled: true, // prices, and the handler's time is this one request's
        measured: format!(
            "a request to a ready instance is {} as fast as a cold one",
            times(ratio)
        ),
        ci95: Some([interval.low, interval.high]),
        unit: Some(Unit::Times),
        max_share: Some((1.0 - 1.0 / ratio).clamp(0.0, 1.0)),
        verdict,
        explanation: sizing.map(|sizing| explained(sizing, load, mean_seconds, per_hour)),
    })
}

fn instances(n: u32) -> String {
    format!("{n} instance{}", if n == 1 { "" } else { "s" })
}

/// The number of instances for 1 % of cold requests, and its price.
fn need(load: Load, sizing: Option<&Sizing>, per_hour: f64) -> String {
    let rate = load.requests_per_second;
    let Some(sizing) = sizing else {
        return format!(
            "{rate} requests/s need no instance ahead; an idle one of {} MiB costs CNY \
             {per_hour:.4} an hour",
            load.memory_mib
        );
    };
    let [low, high] = sizing.idle_cny;
    match sizing.without_keep_alive[1] {
        Some(n) => format!(
            "{rate} requests/s need {} ahead for at most 1 % cold: CNY {low:.2} to {high:.2} idle \
             in 30 days",
            instances(n)
        ),
        None => format!(
            "no number of instances was found with which {rate} requests/s are at most 1 % cold"
        ),
    }
}

/// The assumptions of a sizing, and its other numbers.
fn explained(sizing: &Sizing, load: Load, mean_seconds: f64, per_hour: f64) -> String {
    let three = |numbers: &[Option<u32>; 3]| -> String {
        let shown = numbers.iter().zip(sizing::SHARES).map(|(n, share)| match n {
            Some(n) => format!("{n} for {}", fine_percent(share)),
            None => format!("none found for {}", fine_percent(share)),
        });
        shown.collect::<Vec<_>>().join(", ")
    };
    let mut text = format!(
        "The numbers are simulated. Requests arrive at random (Poisson) and take {} on average, so \
         {} (rate x mean seconds) are busy on average; with so many, {} of requests find all of \
         them busy. Instances ahead for at most 5, 1 or 0.1 % of cold requests: {}, if idle \
         on-demand instances end at once",
        duration(mean_seconds * 1e9),
        instances(sizing.mean),
        fine_percent(sizing.outside_of_mean),
        three(&sizing.without_keep_alive)
    );
    if let Some(numbers) = &sizing.with_keep_alive {
        text.push_str(&format!(
            "; {}, if the platform keeps them for {} s (no page states its keep-alive)",
            three(numbers),
            sizing::KEEP_ALIVE_S
        ));
    }
    if let Some([newest, oldest]) = sizing.by_reuse {
        text.push_str(&format!(
            ". With that keep-alive and no instance ahead, {} of requests are cold if the newest \
             idle instance is reused first, and {} if the oldest is",
            fine_percent(newest),
            fine_percent(oldest)
        ));
    }
    text + &format!(
        ". An idle instance of {} MiB costs CNY {per_hour:.4} an hour. The price of 30 days is for \
         the number for 1 %: its lower bound counts the most requests at once of each 10 s, as the \
         page says, its upper bound the idle instances of each instant",
        load.memory_mib
    )
}

/// A request-to-ready-instance run and a cold one, simulated; `None` without a rate.
pub fn sizing(variant: &Variant, cold: &Run, load: Load) -> Option<Sizing> {
    let samples = |run: &Run| {
        Distribution::of_samples(run.totals_ns().into_iter().map(|ns| ns as u64).collect())
    };
    let ready = companion(variant, cold, Scenario::Provisioned)?;
    sizing::of(load.requests_per_second, &samples(ready)?, &samples(cold)?, load.memory_mib)
}

/// Listen within 30 s: compares the slowest measured start with the platform's limit.
pub fn deadline(variant: &Variant) -> Option<Guidance> {
    let starts: Vec<f64> = variant
        .runs
        .iter()
        .filter(|r| r.scenario != Scenario::Provisioned)
        .flat_map(|r| r.times_ns(|s| s.listen_ns.or(s.start_ns)))
        .collect();
    let worst = stats::sorted(&starts).last().copied()?;
    // A start in which nothing listened in time has no duration, and is the row's most important
    // one.
    let all = variant
        .runs
        .iter()
        .filter(|r| r.scenario != Scenario::Provisioned)
        .flat_map(|r| &r.samples);
    let late = all
        .filter(|s| s.error.as_ref().is_some_and(|e| e.message.contains("446 PortBindingFailed")))
        .count();
    let over = variant.runs.iter().find(|r| {
        r.scenario == Scenario::Cold
            && r.burst == 1
            && r.totals_ns().iter().any(|&total| total > INIT_TIMEOUT_NS)
    });
    Some(Guidance {
        id: "listen-deadline".into(),
        variant: variant.name.clone(),
        link: None,
        advice: DEADLINE.into(),
        source: IMAGE_PAGE.into(),
        modelled: false,
        measured: format!(
            "listens after {} (median), {} at the slowest of {} starts",
            median(&starts).map_or("-".into(), duration),
            duration(worst),
            starts.len()
        ),
        ci95: stats::bootstrap_median(&starts).map(|i| [i.low, i.high]),
        unit: Some(Unit::Ns),
        max_share: None,
        verdict: match LISTEN_DEADLINE_NS / worst {
            _ if late > 0 => {
                format!(
                    "act: {late} more did not listen within the deadline, and would be a 446 for \
                     their callers"
                )
            }
            _ if over.is_some() => format!(
                "listening is in time, pull and start together are not: over {} on {}, where the \
                 platform's InitTimeout of {} makes it a 450 InitContainerTimeout: use a smaller \
                 image, a nearer registry, or a longer InitTimeout",
                duration(INIT_TIMEOUT_NS),
                over.map_or("", |run| &run.link),
                duration(INIT_TIMEOUT_NS)
            ),
            room if room > 100.0 => format!("no concern: {} to spare", times(room.floor())),
            room if room > 3.0 => {
                format!(
                    "fine on this machine; {} to spare is little for a fraction of a core",
                    times(room)
                )
            }
            _ => "too close: move work behind the listening, or raise the function's memory and \
                  with it its CPU"
                .into(),
        },
        explanation: None,
    })
}

/// Memory by image size: compares the platform's table with the resident memory of an instance
/// after its answer.
pub fn memory(variant: &Variant) -> Guidance {
    const MIB: u64 = 1 << 20;
    let peaks: Vec<f64> = variant
        .runs
        .iter()
        .flat_map(|r| &r.samples)
        .filter(|s| s.counts())
        .filter_map(|s| s.peak_resident_bytes.map(|bytes| bytes as f64))
        .collect();
    let most = stats::sorted(&peaks).last().map(|&bytes| bytes as u64);
    let (advised, large) = match compressed_bytes(variant) / MIB {
        0..256 => ("256 to 512 MB", None),
        256..512 => (
            "512 MB to 1 GB",
            Some("give it at least 512 MB, or make the image smaller than 256 MB"),
        ),
        512..1024 => (
            "more than 1 GB",
            Some(
                "give it more than 1 GB, or make the image smaller: memory is paid for every \
                 second it runs",
            ),
        ),
        _ => ("not accepted", Some("over the limit of 1 GiB compressed: the platform refuses it")),
    };
    // Half of a setting is left to requests, to what a handler keeps, and to files that are read.
    let setting =
        most.and_then(|most| MEMORY_SETTINGS_MIB.into_iter().find(|mib| most <= mib * MIB / 2));
    let verdict = match (large, most, setting) {
        (Some(verdict), ..) => verdict.to_owned(),
        (None, Some(most), Some(setting)) => format!(
            "the table is about page cache for big images: {setting} MB hold the {} of a first \
             answer twice over; try that under load before paying for the table's",
            bytes(most)
        ),
        (None, Some(most), None) => format!(
            "its first answer takes {}: begin with what load shows, not with the table",
            bytes(most)
        ),
        (None, None, _) => "the table's smallest step covers it; the table is about page cache \
                            for big images, so measure less memory before paying for more"
            .into(),
    };
    let resident = median(&peaks).map(|peak| {
        format!(
            "; {} resident when it has answered (median of {})",
            bytes(peak as u64),
            peaks.len()
        )
    });
    let ci95 = stats::bootstrap_median(&peaks).map(|i| [i.low, i.high]);
    Guidance {
        id: "memory-by-image-size".into(),
        variant: variant.name.clone(),
        link: None,
        advice: format!("memory by image size: for this size {advised}"),
        source: IMAGE_PAGE.into(),
        modelled: false,
        measured: format!(
            "{} compressed{}",
            bytes(compressed_bytes(variant)),
            resident.unwrap_or_default()
        ),
        ci95,
        unit: ci95.map(|_| Unit::Bytes),
        max_share: None,
        verdict,
        explanation: None,
    }
}
