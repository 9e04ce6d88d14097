//! The tags of all ImageRepositories: in memory, and in a file each, so that a restart loses none.
//!
//! A file is written beside its place and renamed, so that it is complete or not there. Its tags
//! are sorted and each is stored without what it has in common with the one before.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fs, io};

use flux_registry::{Difference, Tags};

use crate::context::Shared;
use crate::key::Key;

/// First line of a file; another form gets another number.
const MAGIC: &str = "flux tags 1\n";

/// Largest file that is read: the registry client keeps no longer lists.
const MAX_FILE: u64 = 128 << 20;

/// The tags of an ImageRepository after exclusion, byte-wise descending.
#[derive(Clone, Debug)]
pub struct Known {
    /// The tags.
    pub tags: Arc<Tags>,
    /// A number that no other list of this process has.
    pub version: u64,
    /// The version before, and what changed since.
    pub change: Option<(u64, Arc<Difference>)>,
    /// What the tags are of: the image and the exclusion list. Other tags are of no use.
    subject: String,
}

/// Keeps them.
pub struct TagStore {
    dir: PathBuf,
    known: Shared<Known>,
    versions: AtomicU64,
}

impl TagStore {
    /// Keeps files below `dir`, which is made when it is needed.
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            known: Shared::default(),
            versions: AtomicU64::new(1),
        }
    }

    /// The tags of an ImageRepository, from its file after a restart. Blocks for that once.
    pub fn get(&self, key: &Key, subject: &str) -> Option<Known> {
        if let Some(known) = self.known.get(key) {
            return (known.subject == subject).then_some(known);
        }
        let tags = read(&self.file(key), subject)?;
        let known = self.fresh(Arc::new(tags), None, subject);
        self.known.set(key, known.clone());
        Some(known)
    }

    /// Takes the result of a scan in. Says whether anything changed; a file that cannot be written
    /// is only missed after a restart.
    pub fn set(&self, key: &Key, subject: &str, tags: Arc<Tags>) -> bool {
        let before = self.get(key, subject);
        if before.as_ref().is_some_and(|known| known.tags == tags) {
            return false;
        }
        let change = before.map(|old| (old.version, Arc::new(old.tags.difference(&tags))));
        if let Err(error) = write(&self.file(key), subject, &tags) {
            tracing::warn!(object = %key, %error, "the tags cannot be kept over a restart");
        }
        let known = self.fresh(tags, change, subject);
        self.known.set(key, known);
        true
    }

    /// Forgets an ImageRepository that is gone.
    pub fn remove(&self, key: &Key) {
        self.known.remove(key);
        // Not there if it was never scanned.
        fs::remove_file(self.file(key)).ok();
    }

    fn fresh(
        &self,
        tags: Arc<Tags>,
        change: Option<(u64, Arc<Difference>)>,
        subject: &str,
    ) -> Known {
        Known {
            tags,
            version: self.versions.fetch_add(1, Ordering::Relaxed),
            change,
            subject: subject.to_owned(),
        }
    }

    /// Names of objects and namespaces are safe as names of files.
    fn file(&self, key: &Key) -> PathBuf {
        self.dir.join(&key.namespace).join(&key.name)
    }
}

fn write(file: &Path, subject: &str, tags: &Tags) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(64 + subject.len() + tags.bytes() / 2);
    bytes.extend_from_slice(MAGIC.as_bytes());
    bytes.extend_from_slice(subject.as_bytes());
    bytes.push(b'\n');
    let mut before = "";
    for tag in tags.iter() {
        let shared = common(before, tag);
        // Tags have at most 128 characters, all of one byte.
        bytes.push(u8::try_from(shared).unwrap_or_default());
        bytes.extend_from_slice(tag.get(shared..).unwrap_or_default().as_bytes());
        bytes.push(b'\n');
        before = tag;
    }
    bytes.extend_from_slice(END.as_bytes());
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir)?;
    }
    // A dot cannot begin the name of an object.
    let beside = file.with_file_name(format!(
        ".{}",
        file.file_name().unwrap_or_default().to_string_lossy()
    ));
    fs::write(&beside, bytes)?;
    fs::rename(beside, file)
}

/// Last bytes of a file.
const END: &str = "end\n";

fn read(file: &Path, subject: &str) -> Option<Tags> {
    if fs::metadata(file).ok()?.len() > MAX_FILE {
        return None;
    }
    let text = String::from_utf8(fs::read(file).ok()?).ok()?;
    let rest = text.strip_prefix(MAGIC)?.strip_prefix(subject)?;
    let rest = rest.strip_prefix('\n')?.strip_suffix(END)?;
    let mut tags = Tags::default();
    let mut before = String::new();
    // The first byte of a line is a number, and may be that of a line end.
    let mut left = rest.as_bytes();
    while let Some((shared, after)) = left.split_first() {
        let end = after.iter().position(|byte| *byte == b'\n')?;
        let (own, next) = after.split_at(end);
        before.truncate(usize::from(*shared).min(before.len()));
        before.push_str(std::str::from_utf8(own).ok()?);
        tags.push(&before);
        left = next.get(1..)?;
    }
    Some(tags)
}

/// How many bytes at the beginning are the same, at most 127.
fn common(a: &str, b: &str) -> usize {
    let same = a.bytes().zip(b.bytes()).take(127);
    same.take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(tags: &[&str]) -> Arc<Tags> {
        Arc::new(tags.iter().copied().collect::<Tags>().sorted(|_| true))
    }

    #[test]
    fn tags_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let store = || TagStore::new(dir.path().join("tags"));
        let key = Key::new("ns", "app");
        let long = "a".repeat(128);
        let tags = list(&[
            "1.0.0",
            "1.0.1",
            "2",
            &long,
            &format!("{}b", &long[1..]),
            "_-.",
        ]);
        let first = store();
        assert!(first.get(&key, "app").is_none());
        assert!(first.set(&key, "app", tags.clone()));
        assert!(!first.set(&key, "app", tags.clone()), "nothing new");
        let second = store();
        assert_eq!(second.get(&key, "app").unwrap().tags, tags);
        // The same object, with another image: these are not its tags.
        assert!(store().get(&key, "other").is_none());
        assert!(second.get(&key, "other").is_none());
        second.remove(&key);
        assert!(store().get(&key, "app").is_none());
    }

    #[test]
    fn a_scan_tells_what_changed() {
        let dir = tempfile::tempdir().unwrap();
        let store = TagStore::new(dir.path().to_owned());
        let key = Key::new("ns", "app");
        store.set(&key, "app", list(&["1", "2"]));
        let first = store.get(&key, "app").unwrap();
        assert!(first.change.is_none());
        store.set(&key, "app", list(&["2", "3"]));
        let second = store.get(&key, "app").unwrap();
        let (from, difference) = second.change.unwrap();
        assert_eq!(from, first.version);
        assert_eq!(difference.added, ["3"]);
        assert_eq!(difference.removed, ["1"]);
    }

    #[test]
    fn damaged_files_are_none() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        write(&file, "app", &list(&["1.0", "1.1"])).unwrap();
        let whole = fs::read(&file).unwrap();
        assert_eq!(read(&file, "app").unwrap().len(), 2);
        for length in 0..whole.len() {
            fs::write(&file, &whole[..length]).unwrap();
            assert!(read(&file, "app").is_none(), "{length}");
        }
        fs::write(&file, b"\xff\xfe").unwrap();
        assert!(read(&file, "app").is_none());
    }
}
