//! Figures of the walk: printed, not judged.

use anyhow::Result;

use super::walk::Walk;

pub(super) async fn run(walk: &mut Walk) -> Result<()> {
    walk.report.chapter("Figures of this run");
    let mib = |bytes: Option<u64>| match bytes {
        Some(bytes) => format!("{:.1} MiB", bytes as f64 / f64::from(1024 * 1024)),
        None => "unknown".to_owned(),
    };
    let version = walk.time_version().await?;
    let (operator, webhook) = walk.resident_memory();
    let sandbox = match walk.has_node() {
        true => "cluster with node ready after ",
        false => "control plane ready after     ",
    };
    if walk.guest.is_none() {
        println!("{sandbox}      {:.1} s", walk.ready_after().as_secs_f64());
    }
    if let Some(install) = walk.figures.install {
        println!(
            "install to all Ready                {:.1} s",
            install.as_secs_f64()
        );
    }
    println!(
        "new tag to both Deployments         {:.2} s",
        walk.figures.new_tag_both.as_secs_f64()
    );
    println!(
        "new tag to one Deployment           {:.2} s",
        walk.figures.new_tag.as_secs_f64()
    );
    println!("operator resident                   {}", mib(operator));
    println!("webhook resident                    {}", mib(webhook));
    println!(
        "kubectl-flux version --client       {:.1} ms",
        version.as_secs_f64() * 1000.0
    );
    Ok(())
}
