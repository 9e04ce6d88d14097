//! What the system says of this process, under the names that Prometheus' own clients use.

use std::fmt::Error;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Reads `/proc/self` at every scrape; elsewhere than on Linux nothing is shown.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        let Some(state) = State::read() else {
            return Ok(());
        };
        let mut gauge = |name, help, value: f64| {
            let gauge = ConstGauge::new(value);
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)
        };
        gauge(
            "process_resident_memory_bytes",
            "Memory in use",
            state.resident,
        )?;
        gauge(
            "process_virtual_memory_bytes",
            "Memory reserved",
            state.reserved,
        )?;
        gauge("process_open_fds", "Open files", state.files)?;
        if let Some(most) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
            gauge("process_max_fds", "Open files at most", most as f64)?;
        }
        if let Some(booted) = booted() {
            let started = booted + state.started;
            gauge("process_start_time_seconds", "When it began", started)?;
        }
        let time = ConstCounter::new(state.cpu);
        let (name, help) = ("process_cpu", "Processor time used");
        let metric =
            encoder.encode_descriptor(name, help, Some(&Unit::Seconds), time.metric_type())?;
        time.encode(metric)
    }
}

struct State {
    /// Bytes.
    resident: f64,
    /// Bytes.
    reserved: f64,
    files: f64,
    /// Seconds.
    cpu: f64,
    /// Seconds after the system.
    started: f64,
}

/// When the system began, in seconds since 1970.
fn booted() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

impl State {
    fn read() -> Option<Self> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        let files = std::fs::read_dir("/proc/self/fd").ok()?.count();
        let page = rustix::param::page_size();
        let state = Self::parse(&stat, rustix::param::clock_ticks_per_second(), page as f64)?;
        let files = files as f64;
        Some(Self { files, ..state })
    }

    /// From `/proc/PID/stat`, as proc(5) describes it.
    fn parse(stat: &str, ticks: u64, page: f64) -> Option<Self> {
        // The name of the program, in parentheses, may hold anything.
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        // The first of them is the third in the manual.
        let number = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
        Some(Self {
            cpu: (number(14)? + number(15)?) / ticks as f64,
            started: number(22)? / ticks as f64,
            reserved: number(23)?,
            resident: number(24)? * page,
            files: 0.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_system_is_read() {
        let line = "7 (a b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 9 0 4711 1048576 256 18";
        let state = State::parse(line, 100, 4096.0).unwrap();
        assert_eq!(
            (state.cpu, state.started, state.reserved, state.resident),
            (2.0, 47.11, 1048576.0, 1048576.0)
        );
        assert!(State::parse("7 (a) S 1", 100, 4096.0).is_none());
        let ours = State::read().unwrap();
        assert!(ours.resident > 0.0);
        let age = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        let age = age - booted().unwrap() - ours.started;
        assert!((-2.0..3600.0).contains(&age), "{age}");
    }
}
