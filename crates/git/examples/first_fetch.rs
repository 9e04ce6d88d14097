//! Benchmark: the first fetch of a repository into an empty mirror, a poll that finds nothing new,
//! and the tarball; with the time of each and the peak of resident memory.
//!
//! ```sh
//! cargo run --release -p flux-git --example first_fetch -- http://localhost:8000/large.git main
//! ```

use std::time::{Duration, Instant};

use flux_git::{Auth, DigestAlgorithm, Filter, Git, GitUrl, Reference, Remote};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("usage: first_fetch URL [BRANCH]")?;
    let branch = arguments.next().unwrap_or_else(|| "main".to_owned());
    let url = GitUrl::parse(&url)?;
    let remote = Remote::new(url.clone(), Auth::none(&url), Duration::from_secs(600));
    let reference = Reference::Branch(branch);
    let folder = std::env::temp_dir().join(format!("first-fetch-{}", std::process::id()));
    let git = Git::new(folder.join("mirrors"))?;
    println!("{:<10} {:>10} {:>12}", "step", "time", "peak memory");
    print("start", Duration::ZERO);

    let start = Instant::now();
    let commit = git.fetch(&remote, &reference).await?;
    print("fetch", start.elapsed());
    for _ in 0..2 {
        let start = Instant::now();
        git.resolve(&remote, &reference).await?;
        print("poll", start.elapsed());
    }
    let filter = Filter::default();
    let start = Instant::now();
    let digest = git.content_digest(&remote, &commit.id, &filter, None);
    digest.await?;
    print("digest", start.elapsed());
    let start = Instant::now();
    let dest = folder.join("artifact.tar.gz");
    let archive = git
        .archive(&remote, &commit.id, &filter, DigestAlgorithm::Sha256, &dest)
        .await?;
    print("tarball", start.elapsed());
    println!("{} {} bytes", archive.digest, archive.size);
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

fn print(step: &str, took: Duration) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap_or("?");
    println!("{step:<10} {took:>10.1?} {:>12}", peak.trim());
}
