//! The clock of the operator's machine jumps, as after a suspended virtual machine or a first contact
//! with a time server. Debian's libfaketime gives the running process another time of day.

use std::{ffi::OsString, fs, path::PathBuf};

use serde_json::json;

use super::{ELECT, cluster::Cluster};

fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten();
    let mut found = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    found.find(|file| file.exists())
}

#[tokio::test]
async fn a_clock_that_jumps_changes_nothing() {
    let Some(library) = library() else {
        eprintln!("skipped: there is no libfaketime (Debian's package faketime)");
        return;
    };
    let cluster = Cluster::start().await;
    let file = cluster.env.sandbox().dir().join("time");
    // Put in place as a whole: the process reads it at every look at the clock.
    let set = |time: &str| {
        let next = file.with_extension("next");
        fs::write(&next, time).unwrap();
        fs::rename(&next, &file).unwrap();
    };
    set("+0h");
    let variables: [(&str, OsString); 4] = [
        ("LD_PRELOAD", library.into()),
        ("FAKETIME_TIMESTAMP_FILE", file.clone().into()),
        ("FAKETIME_NO_CACHE", "1".into()),
        // As the kernel's: what measures durations does not jump.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
    ];
    let operator = cluster
        .operator_with(&variables, "clock", 0, &[ELECT])
        .await;
    operator.readyz(true).await;
    let copy = cluster.source("app").await;
    cluster.kustomization("app", "app", json!({})).await;
    let leads = r#"leader_election_master_status{name="kustomize-controller-leader-election"} 1"#;
    for (value, time) in [("1", "+0h"), ("2", "+2h"), ("3", "-2h"), ("4", "+0h")] {
        set(time);
        let revision = cluster.push(&copy, "app", "app", value).await;
        cluster.applied("app", &revision, "app", value).await;
        operator.metric(leads).await;
        operator.metric("flux_sync_kustomizations_verified 1").await;
    }
    assert!(operator.process.exit_status().is_none());
    operator.process.stop();
    cluster.env.stop().await;
}
