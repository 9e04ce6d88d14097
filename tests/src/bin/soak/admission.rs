//! The admission webhook under load: what an apply costs with it, without it and with a policy in
//! the API server instead; and what clients notice of disturbances.

use std::time::{Duration, Instant};

use anyhow::Result;
use flux_tests::{
    env::Env,
    hook::{
        COLUMNS, Load, Phase, SHORT_LIVES, Tally, Trial, authority_changes, delete_authority,
        overwrite_bundles,
    },
    measure::Meter,
};

/// What the probes of the load are denied for, as a policy of the API server.
const POLICY: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: soak
spec:
  failurePolicy: Ignore
  matchConstraints:
    resourceRules:
    - apiGroups: [source.toolkit.fluxcd.io]
      apiVersions: ["*"]
      operations: [CREATE, UPDATE]
      resources: [gitrepositories]
  matchConditions:
  - name: changed
    expression: "request.operation == 'CREATE' || object.spec != oldObject.spec"
  validations:
  - expression: "!object.spec.url.matches('^ssh://[^/]*:[^0-9/]')"
    message: "[GR02] the organization is read as a port"
  - expression: "!has(object.spec.secretRef) || object.spec.secretRef.name != ''"
    message: "spec.secretRef.name is empty"
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: soak
spec:
  policyName: soak
  validationActions: [Deny]
"#;

/// Settings of the measurement.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Requests a second.
    #[arg(long, default_value_t = 60)]
    rate: u32,

    /// Seconds of each measurement, and after each disturbance.
    #[arg(long, default_value_t = 20)]
    seconds: u64,

    /// How often all disturbances are gone through.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let env = Env::start().await?;
    env.kubectl(&["create", "namespace", "flux-system"])
        .await?
        .success()?;
    let span = Duration::from_secs(arguments.seconds);

    println!(
        "{} requests a second, {} s each\n",
        arguments.rate, arguments.seconds
    );
    println!("| apply | p50 ms | p99 ms | errors |\n|---|---|---|---|");
    {
        let load = Load::start(&env, arguments.rate).await?;
        // Caches of the API server and connections are filled first.
        tokio::time::sleep(Duration::from_secs(3)).await;
        load.take();
        tokio::time::sleep(span).await;
        row("without a webhook", &load.take());
        let apply = ["apply", "-f", "-"];
        env.kubectl_with_input(&apply, POLICY).await?.success()?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        load.take();
        tokio::time::sleep(span).await;
        row("with a ValidatingAdmissionPolicy", &load.take());
        let delete = ["delete", "-f", "-"];
        env.kubectl_with_input(&delete, POLICY).await?.success()?;
    }
    let flags = [&SHORT_LIVES[..], &["--shutdown-delay=1"]].concat();
    let started = Instant::now();
    let mut trial = Trial::start(&env, arguments.rate, &flags, [&[], &[]]).await?;
    let ready = started.elapsed().as_secs_f64();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let processes = trial.replicas.processes();
    let meters: Vec<Meter> = processes.into_iter().map(Meter::start).collect();
    let calm = trial.phase("nothing", span, async |_| Ok(())).await?;
    row("with the webhook", &calm.tally);
    println!("\nboth replicas, started at once, ready after {ready:.2} s");
    for usage in meters.iter().filter_map(Meter::usage) {
        println!(
            "\na replica: {:.2} s of processor time in {:.1} s, {:.1} MiB resident, peak {:.1}",
            usage.cpu.as_secs_f64(),
            usage.wall.as_secs_f64(),
            mebibytes(usage.resident),
            mebibytes(usage.peak)
        );
    }

    println!("\n{COLUMNS}\n{calm}");
    for _ in 0..arguments.rounds {
        round(&env, &mut trial, span).await?;
    }
    drop(trial);

    let (ahead, behind) = (["--clock-offset=2h"], ["--clock-offset=-2h"]);
    let trial = Trial::start(&env, arguments.rate, &["--no-scan"], [&ahead, &behind]).await;
    let mut trial = trial?;
    show(
        &trial
            .phase("clocks 2 h off", span, async |_| Ok(()))
            .await?,
    );
    Ok(())
}

async fn round(env: &Env, trial: &mut Trial<'_>, span: Duration) -> Result<()> {
    show(
        &trial
            .phase("another authority", span, async |_| {
                authority_changes(env).await
            })
            .await?,
    );
    show(
        &trial
            .phase("a replica killed", span, async |r| r.kill().await)
            .await?,
    );
    show(
        &trial
            .phase("rolling restart", span, async |r| r.roll().await)
            .await?,
    );
    show(
        &trial
            .phase("Secret deleted", span, async |_| {
                delete_authority(env).await
            })
            .await?,
    );
    show(
        &trial
            .phase("caBundle removed", span, async |_| {
                overwrite_bundles(env).await
            })
            .await?,
    );
    Ok(())
}

fn show(phase: &Phase) {
    println!("{phase}");
    for error in phase.tally.errors.iter().take(3) {
        println!("  error: {error}");
    }
}

fn row(name: &str, tally: &Tally) {
    let mut sorted = tally.latencies.clone();
    sorted.sort_unstable();
    let at = |percent: usize| {
        let index = sorted.len() * percent / 100;
        let found = sorted.get(index.min(sorted.len().saturating_sub(1)));
        found.copied().unwrap_or_default().as_secs_f64() * 1000.0
    };
    println!(
        "| {name} | {:.2} | {:.2} | {} |",
        at(50),
        at(99),
        tally.errors.len()
    );
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
