//! Servers, networks, disks and repositories at their worst.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use flux_git::{DigestAlgorithm, ErrorKind, Filter, Git, GitError, IgnoreList, Reference};

use crate::http::{GOOD, remote};
use crate::support::httpd::Httpd;
use crate::support::relay::{Fault, Relay};
use crate::support::{Client, Repo, run};

fn main_branch() -> Reference {
    Reference::Branch("main".to_owned())
}

/// Text that does not compress well.
fn noise(bytes: usize) -> String {
    let mut state = 0x2545_f491_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        char::from(b'!' + (state % 90) as u8)
    };
    (0..bytes).map(|_| next()).collect()
}

#[tokio::test]
async fn broken_answers_are_errors_and_the_mirror_stays_usable() {
    let repo = Repo::new();
    repo.commit(&[("big.txt", &noise(100_000))], "big");
    let server = Httpd::start(repo.bare(), false).await;
    let relay = Relay::start(server.port).await;
    let remote = remote(
        &format!("http://127.0.0.1:{}/org/app.git", relay.port),
        GOOD,
    );
    let client = Client::new();
    for fault in [
        Fault::Cut(0),
        Fault::Cut(100),
        Fault::Cut(20_000),
        Fault::Cut(60_000),
        Fault::Noise(0),
        Fault::Noise(300),
        Fault::Noise(20_000),
    ] {
        relay.set(fault);
        let Err(error) = client.git.fetch(&remote, &main_branch()).await else {
            panic!("{fault:?}: must fail");
        };
        let text = error.to_string();
        assert!(text.contains("127.0.0.1"), "{fault:?}: {text}");
        assert!(!text.chars().any(char::is_control), "{fault:?}: {text:?}");
    }
    relay.set(Fault::None);
    client.git.fetch(&remote, &main_branch()).await.unwrap();
    // What was there stays there, and nobody says that it is at fault.
    let other: String = noise(90_000).chars().rev().collect();
    repo.commit(&[("big.txt", &other)], "next");
    let before = repo.rev("main~1");
    for fault in [
        Fault::Cut(20_000),
        Fault::Noise(20_000),
        Fault::Flip(20_000, 1),
        Fault::Flip(30_000, 500),
        Fault::Flip(50_000, 8),
    ] {
        relay.set(fault);
        let Err(error) = client.git.fetch(&remote, &main_branch()).await else {
            panic!("{fault:?}: must fail");
        };
        let text = error.to_string();
        assert!(text.contains("127.0.0.1"), "{fault:?}: {text}");
        assert!(!text.contains("local copy"), "{fault:?}: {text}");
        let files = client
            .git
            .files(&remote, &before, &Filter::default(), None)
            .await;
        assert_eq!(files.unwrap().len(), 2, "{fault:?}");
    }
}

#[tokio::test]
async fn a_damaged_mirror_is_fetched_again_though_a_pack_arrives() {
    let repo = Repo::new();
    repo.commit(&[("big.txt", &noise(100_000))], "big");
    let server = Httpd::start(repo.bare(), false).await;
    let (remote, client) = (remote(&server.url(), GOOD), Client::new());
    client.git.fetch(&remote, &main_branch()).await.unwrap();
    // The server sends the next state as a delta to what is damaged here.
    let packs = client.mirror().join("objects/pack");
    for entry in fs::read_dir(packs).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|kind| kind == "pack") {
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle..middle + 100].fill(0);
            fs::remove_file(&path).unwrap();
            fs::write(&path, bytes).unwrap();
        }
    }
    let next = format!("{}next", noise(100_000));
    let id = repo.commit(&[("big.txt", &next)], "next");
    let commit = client.git.fetch(&remote, &main_branch()).await.unwrap();
    assert_eq!(commit.id, id);
    let filter = Filter::default();
    let files = client.git.files(&remote, &id, &filter, None);
    assert_eq!(files.await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_poll_of_a_remote_with_10000_refs_takes_less_than_2_kb() {
    let repo = Repo::new();
    let id = repo.rev("main");
    let refs: String = (0..10_000)
        .map(|n| format!("{id} refs/heads/feature/number-{n}\n"))
        .collect();
    let header = "# pack-refs with: peeled fully-peeled \n";
    fs::write(repo.bare().join("packed-refs"), format!("{header}{refs}")).unwrap();
    let server = Httpd::start(repo.bare(), false).await;
    let relay = Relay::start(server.port).await;
    let remote = remote(
        &format!("http://127.0.0.1:{}/org/app.git", relay.port),
        GOOD,
    );
    let client = Client::new();
    client.git.fetch(&remote, &main_branch()).await.unwrap();
    client.git.resolve(&remote, &main_branch()).await.unwrap();
    relay.take();
    let head = client.git.resolve(&remote, &main_branch()).await.unwrap();
    let bytes = relay.take();
    assert_eq!(head.id, id);
    println!("a poll with nothing new takes {bytes} bytes");
    assert!(bytes < 2000, "{bytes} bytes");
}

#[tokio::test]
async fn too_large_files_and_too_many_of_them_can_be_left_out() {
    let repo = Repo::new();
    fs::write(repo.work().join("huge.yaml"), vec![b'0'; 40 << 20]).unwrap();
    fs::write(repo.work().join("larger.bin"), vec![b'0'; 101 << 20]).unwrap();
    repo.commit(&[("a\u{1}b.yaml", "x: 1\n")], "huge");
    // 100,001 names for one blob.
    let blob = repo.git(&["rev-parse", "HEAD:apps/a.yaml"]);
    let lines: String = (0..=100_000)
        .map(|n| format!("100644 blob {blob}\t{n}.yaml\n"))
        .collect();
    fs::write(repo.work().join("../lines"), lines).unwrap();
    let work = repo.work();
    let many = run("sh", &["-c", "git mktree < ../lines"], &work);
    let tree = repo.git(&["rev-parse", "HEAD^{tree}"]);
    let root = format!(
        "git ls-tree {tree} > ../root && printf '040000 tree {many}\\tmany\\n' >> ../root && git mktree < ../root"
    );
    let tree = run("sh", &["-c", &root], &work);
    let id = repo.git(&["commit-tree", &tree, "-m", "many"]);
    repo.git(&[
        "push",
        "-q",
        "-f",
        "../bare",
        &format!("{id}:refs/heads/main"),
    ]);

    let server = Httpd::start(repo.bare(), false).await;
    let (remote, client) = (remote(&server.url(), GOOD), Client::new());
    client.git.fetch(&remote, &main_branch()).await.unwrap();
    let read = async |ignore: &str, dirs: &[&str]| {
        let filter = Filter {
            ignore: IgnoreList::parse(ignore, &[]),
            dirs: dirs.iter().map(|dir| (*dir).to_owned()).collect(),
        };
        client.git.files(&remote, &id, &filter, None).await
    };
    let error = read("many/", &[]).await.unwrap_err();
    assert!(matches!(error, GitError::TooLarge { .. }), "{error}");
    assert!(error.to_string().contains("file 'huge.yaml'"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Content);
    let error = read("huge.yaml", &[]).await.unwrap_err();
    assert!(
        error.to_string().contains("more than 100000 files"),
        "{error}"
    );
    // No build could use the other one.
    let files = read("many/\nhuge.yaml", &[]).await.unwrap();
    let names: Vec<_> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["a\u{1}b.yaml", "apps/a.yaml"]);
    let pack = async |ignore: &str| {
        let dest = client.cache.path().join("artifact.tar.gz");
        let filter = Filter::from(IgnoreList::parse(ignore, &[]));
        let sha256 = DigestAlgorithm::Sha256;
        client
            .git
            .archive(&remote, &id, &filter, sha256, &dest)
            .await
    };
    let error = pack("many/").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "file 'larger.bin' is too large: 105906176 bytes, the limit is 104857600; exclude it in .sourceignore or spec.ignore"
    );
    pack("many/\nlarger.bin").await.unwrap();
    let files = read("", &["./apps/"]).await.unwrap();
    assert_eq!(files.len(), 1);
    let error = read("", &["nowhere"]).await.unwrap_err();
    assert!(matches!(error, GitError::PathNotFound { .. }), "{error}");
}

/// A file system of one's own; none where that is not allowed.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(at: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let options = format!("size={size}");
        let arguments = ["-t", "tmpfs", "-o", &options, "tmpfs"];
        let mounted = Command::new("mount").args(arguments).arg(at).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(at.to_owned()));
        }
        eprintln!("skipped: no right to mount a file system");
        None
    }

    fn resize(&self, size: &str) {
        let options = format!("remount,size={size}");
        let at = self.0.to_str().unwrap();
        run("mount", &["-o", &options, at], Path::new("/"));
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

#[tokio::test]
async fn a_full_disk_is_named_and_nothing_is_lost_by_it() {
    let repo = Repo::new();
    let server = Httpd::start(repo.bare(), false).await;
    let remote = remote(&server.url(), GOOD);
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Tmpfs::mount(&dir.path().join("disk"), "512k") else {
        return;
    };
    let git = Git::new(disk.0.join("mirrors")).unwrap();
    let first = git.fetch(&remote, &main_branch()).await.unwrap();
    let second = repo.commit(&[("big.txt", &noise(2_000_000))], "big");
    let error = git.fetch(&remote, &main_branch()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
    assert!(error.to_string().contains("No space left"), "{error}");
    let files = git
        .files(&remote, &first.id, &Filter::default(), None)
        .await;
    assert_eq!(files.unwrap().len(), 1, "the first commit is still there");
    disk.resize("32m");
    let commit = git.fetch(&remote, &main_branch()).await.unwrap();
    assert_eq!(commit.id, second);
    disk.resize("5m");
    let dest = disk.0.join("artifact.tar.gz");
    fs::write(disk.0.join("filler"), vec![0; 2 << 20]).ok();
    let packed = git
        .archive(
            &remote,
            &second,
            &Filter::default(),
            DigestAlgorithm::Sha256,
            &dest,
        )
        .await;
    let error = packed.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
    assert!(!dest.exists(), "no half artifact");
}
