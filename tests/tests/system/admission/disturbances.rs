//! Under a load of applies: certificates change, replicas die and come, somebody deletes and
//! overwrites. Nobody at `kubectl apply` notices. With more load: `soak admission`.

use std::time::Duration;

use flux_tests::{
    env::Env,
    hook::{Phase, SHORT_LIVES, Trial, authority_changes, delete_authority, overwrite_bundles},
};

/// Applies a second: few, since other tests run beside.
const RATE: u32 = 20;

/// How long the load goes on after each disturbance.
const THEN: Duration = Duration::from_secs(2);

/// Reviews that may be under way in one process at that rate.
const UNDER_WAY: u64 = 3;

async fn cluster() -> Env {
    let env = Env::start().await.unwrap();
    let created = env.kubectl(&["create", "namespace", "flux-system"]).await;
    created.unwrap().success().unwrap();
    env
}

#[track_caller]
fn unnoticed(phase: &Phase) {
    eprintln!("{phase}");
    assert!(phase.tally.errors.is_empty(), "{phase}\n{:?}", phase.tally);
    assert!(phase.tally.applied > 0 && phase.tally.probes > 0, "{phase}");
    assert_eq!(phase.tally.unheard, 0, "{phase}");
    assert_eq!(phase.unanswered, 0, "{phase}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_certificates_that_change_or_replicas_that_go() {
    let env = cluster().await;
    let flags = [&SHORT_LIVES[..], &["--no-scan", "--shutdown-delay=1"]].concat();
    let mut trial = Trial::start(&env, RATE, &flags, [&[], &[]]).await.unwrap();

    let calm = trial.phase("nothing", THEN, async |_| Ok(())).await;
    unnoticed(&calm.unwrap());
    let before = trial.replicas.certificates();
    let rotated = trial
        .phase("another authority, new certificates", THEN, async |_| {
            authority_changes(&env).await
        })
        .await;
    unnoticed(&rotated.unwrap());
    let made = trial.replicas.certificates() - before;
    assert!(made >= 2, "{made} certificates");
    // What is under way in a process that is killed is lost, and nobody can ask again for it: the
    // API server goes on. No client is told, and the next request is answered.
    let killed = trial.phase("a replica killed", THEN, async |r| r.kill().await);
    let killed = killed.await.unwrap();
    eprintln!("{killed}");
    assert!(killed.tally.errors.is_empty(), "{killed}");
    assert!(killed.unanswered <= UNDER_WAY, "{killed}");
    assert!(
        u64::from(killed.tally.unheard) <= killed.unanswered,
        "{killed}"
    );
    let rolled = trial.phase("rolling restart", THEN, async |r| r.roll().await);
    unnoticed(&rolled.await.unwrap());
    let deleted = trial
        .phase("Secret deleted", THEN, async |_| {
            delete_authority(&env).await
        })
        .await;
    unnoticed(&deleted.unwrap());

    // Until the bundle is back the API server can verify nobody: it goes on without an answer.
    let overwritten = trial
        .phase("caBundle removed", THEN, async |_| {
            overwrite_bundles(&env).await
        })
        .await
        .unwrap();
    eprintln!("{overwritten}");
    assert!(overwritten.tally.errors.is_empty(), "{overwritten}");
    let after = trial.phase("after that", THEN, async |_| Ok(())).await;
    unnoticed(&after.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_may_be_two_hours_off() {
    let env = cluster().await;
    let (ahead, behind) = (["--clock-offset=2h"], ["--clock-offset=-2h"]);
    let trial = Trial::start(
        &env,
        RATE,
        &["--no-scan", "--shutdown-delay=1"],
        [&ahead, &behind],
    )
    .await;
    let mut trial = trial.unwrap();
    let phase = trial.phase("clocks 2 h off", THEN, async |r| r.roll().await);
    unnoticed(&phase.await.unwrap());
}

/// As after a long power cut: what is stored has ended for the replica whose clock is ahead, and
/// has not for the other one. They must come to trust the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_may_be_off_when_an_earlier_authority_is_found() {
    let env = cluster().await;
    let flags = [
        "--ca-lifetime=1h",
        "--certificate-lifetime=10m",
        "--no-scan",
    ];
    drop(Trial::start(&env, RATE, &flags, [&[], &[]]).await.unwrap());
    let (ahead, behind) = (["--clock-offset=2h"], ["--clock-offset=-2h"]);
    for each in [[&ahead, &behind], [&behind, &ahead]] {
        let each = each.map(|flags| &flags[..]);
        let mut trial = Trial::start(&env, RATE, &["--no-scan"], each)
            .await
            .unwrap();
        let phase = trial.phase("clocks 2 h off, started anew", THEN, async |_| Ok(()));
        unnoticed(&phase.await.unwrap());
    }
}
