//! Prints how long policies take over many tags: from nothing, and when one tag is new.
//!
//! `cargo run --release -p flux-image --example policy_speed`

use std::time::{Duration, Instant};

use flux_image::policy::{Ranking, Selector};
use serde_json::{Value, json};

/// The shortest of so many runs is printed.
const RUNS: usize = 15;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!(
        "{:<46} {:>12} {:>12} {:>14}",
        "policy, tags", "cold ms", "CPU ms", "one new tag us"
    );
    let build = json!({"pattern": "^main-[a-f0-9]+-(?P<n>[0-9]+)$", "extract": "$n"});
    let policies = [
        (
            "semver >=1.0.0",
            json!({"policy": {"semver": {"range": ">=1.0.0"}}}),
        ),
        (
            "numerical, pattern with extract",
            json!({"policy": {"numerical": {"order": "asc"}}, "filterTags": build}),
        ),
        (
            "alphabetical",
            json!({"policy": {"alphabetical": {"order": "asc"}}}),
        ),
    ];
    for (name, spec) in policies {
        for count in [10_000, 100_000] {
            measure(name, &spec, count)?;
        }
    }
    Ok(())
}

fn measure(name: &str, spec: &Value, count: u32) -> Result<(), Box<dyn std::error::Error>> {
    let mut spec = spec.clone();
    spec["imageRepositoryRef"] = json!({"name": "app"});
    let is_numerical = spec["filterTags"].is_object();
    let tag = |n: u32| {
        if is_numerical {
            format!("main-{:07x}-{n}", n.wrapping_mul(2_654_435_761) >> 4)
        } else {
            format!("{}.{}.{}", n % 7, n / 100, n % 100)
        }
    };
    let tags: Vec<String> = (0..count).map(tag).collect();
    let all = || tags.iter().map(String::as_str);
    let (mut cold, mut cpu, mut warm) = (Duration::MAX, Duration::MAX, Duration::MAX);
    for _ in 0..RUNS {
        let before = processor_time();
        let start = Instant::now();
        let selector = Selector::new(&serde_json::from_value(spec.clone())?)?;
        let mut ranking = Ranking::new(selector, all());
        ranking.select(all())?;
        cold = cold.min(start.elapsed());
        cpu = cpu.min(processor_time().saturating_sub(before));
        let new = tag(count + 1);
        let start = Instant::now();
        ranking.insert(&new);
        ranking.select(all())?;
        warm = warm.min(start.elapsed());
    }
    println!(
        "{:<46} {:>12.2} {:>12.2} {:>14.2}",
        format!("{name}, {count}"),
        cold.as_secs_f64() * 1e3,
        cpu.as_secs_f64() * 1e3,
        warm.as_secs_f64() * 1e6
    );
    Ok(())
}

/// What this thread has had of a processor: on a busy machine less than what went by.
fn processor_time() -> Duration {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let running = times.split(' ').next().and_then(|time| time.parse().ok());
    Duration::from_nanos(running.unwrap_or_default())
}
