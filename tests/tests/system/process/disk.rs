//! A disk that is full: the data folder of the operator on a small file system of its own.

use std::{fs, io::Write as _, path::Path, process::Command};

use flux_api::{GitRepository, Kustomization};
use serde_json::json;

use super::cluster::Cluster;

/// A file system that lives in memory; gone when dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    /// None, with a word, where mounting is not allowed.
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(folder.path())
            .output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(Self(folder));
        }
        eprintln!("skipped: no right to mount a file system");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn resize(&self, size: &str) {
        let options = format!("remount,size={size}");
        let mut mount = Command::new("mount");
        mount.args(["-o", &options]).arg(self.path());
        assert!(mount.status().unwrap().success());
    }

    /// Takes all that is left.
    fn fill(&self) {
        let mut file = fs::File::create(self.path().join("filler")).unwrap();
        for size in [1 << 16, 1 << 10, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let mut unmount = Command::new("umount");
        unmount.arg("-l").arg(self.path()).status().ok();
    }
}

#[tokio::test]
async fn a_full_disk_is_said_and_made_good_for() {
    let Some(disk) = Disk::mount("4m") else {
        return;
    };
    let cluster = Cluster::start().await;
    let folder = disk.path().join("data");
    let operator = cluster.operator(folder.to_str().unwrap(), 0, &[]).await;
    operator.readyz(true).await;
    let copy = cluster.source("app").await;
    cluster.kustomization("app", "app", json!({})).await;
    let revision = cluster.push(&copy, "app", "app", "1").await;
    cluster.applied("app", &revision, "app", "1").await;

    // A repository that does not fit; one that does goes on.
    let large = cluster.source("large").await;
    let soon = json!({"spec": {"interval": "2s"}});
    cluster.patch::<GitRepository>("large", soon.clone()).await;
    cluster.kustomization("large", "large", json!({})).await;
    let mut state = 0x2545_f491_u32;
    let noise: String = (0..8 << 20)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            char::from(b'!' + (state % 90) as u8)
        })
        .collect();
    large.write("noise.txt", &noise).unwrap();
    let revision_of_large = cluster.push(&large, "large", "large", "1").await;
    let full = ["o space left on device"];
    let ready = cluster.says::<GitRepository>("large", "False", &full).await;
    eprintln!("{}: {}", ready.reason, ready.message);
    let revision = cluster.push(&copy, "app", "app", "2").await;
    cluster.applied("app", &revision, "app", "2").await;

    // Not a byte left for anybody: what is applied stays so.
    cluster
        .patch::<GitRepository>("large", json!({"spec": {"suspend": true}}))
        .await;
    cluster.patch::<GitRepository>("app", soon).await;
    disk.fill();
    let revision = cluster.push(&copy, "app", "app", "3").await;
    let ready = cluster.says::<GitRepository>("app", "False", &full).await;
    eprintln!("{}: {}", ready.reason, ready.message);
    let app = cluster.ready::<Kustomization>("app").await.unwrap();
    assert_eq!(app.status, "True", "{app:?}");

    // There is room again, and nobody need do anything.
    disk.free();
    cluster.applied("app", &revision, "app", "3").await;
    disk.resize("64m");
    cluster
        .patch::<GitRepository>("large", json!({"spec": {"suspend": false}}))
        .await;
    cluster
        .applied("large", &revision_of_large, "large", "1")
        .await;
    operator.process.stop();
    cluster.env.stop().await;
}
