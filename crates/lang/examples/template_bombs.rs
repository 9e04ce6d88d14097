//! What templates take that ask for more than there is: no message may hold up a controller.
//!
//! `cargo run --release -p flux-lang --example template_bombs`

#[path = "../src/gotmpl/bombs.rs"]
mod bombs;

use std::time::{Duration, Instant};

use flux_lang::gotmpl::{Struct, Template, limits};

fn main() {
    let data = Struct::new("Data").field("S", "text").into();
    let mut all: Vec<(Duration, String)> = Vec::new();
    for bomb in bombs::all(limits::MAX_DEPTH) {
        let start = Instant::now();
        let error = Template::parse(&bomb).and_then(|template| template.render(&data));
        let took = start.elapsed();
        let shown: String = bomb.chars().take(60).collect();
        let message = error.map_or_else(|error| error.to_string(), |_| "no error".to_owned());
        all.push((took, format!("{shown}\n          {message}")));
    }
    all.sort();
    let total: Duration = all.iter().map(|(took, _)| *took).sum();
    println!(
        "{} templates, {:.1} ms in all; the dearest:",
        all.len(),
        total.as_secs_f64() * 1e3
    );
    for (took, text) in all.iter().rev().take(5) {
        println!("{:>6.1} ms  {text}", took.as_secs_f64() * 1e3);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM:"));
    println!("{}", peak.unwrap_or_default());
}
