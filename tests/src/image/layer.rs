//! A tree of files as a layer of an image: a tar archive that is the same for the same files.

use std::{collections::BTreeMap, io::Write};

use flate2::{GzBuilder, write::GzEncoder};
use serde_json::Value;
use tar::{EntryType, Header};

use super::{Blob, Error, Result, digest};

/// How the tar archive of a layer is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// As it is: for images that never leave the machine.
    None,
    /// With gzip of this level, which every registry and runtime reads.
    Gzip(u32),
}

impl Compression {
    /// As small as gzip makes it.
    pub const BEST: Self = Self::Gzip(9);

    fn media_type(self) -> &'static str {
        match self {
            Self::None => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip(_) => "application/vnd.oci.image.layer.v1.tar+gzip",
        }
    }
}

/// One entry of a tree.
#[derive(Clone, Debug)]
enum Node {
    Folder,
    File(Vec<u8>),
    Link(String),
}

#[derive(Clone, Debug)]
struct Entry {
    node: Node,
    mode: u32,
    owner: u64,
}

/// Files, folders and links below the root of an image. Paths are without a leading slash;
/// folders above them are made, with mode 0755. All of it belongs to root unless it says
/// otherwise, and was last changed in 1970.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    // In the order of names, in which a folder stands before what is in it.
    entries: BTreeMap<String, Entry>,
}

impl Tree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file.
    pub fn file(&mut self, path: &str, mode: u32, content: impl Into<Vec<u8>>) -> &mut Self {
        self.add(path, mode, 0, Node::File(content.into()))
    }

    /// Adds a folder with the number of its owner and group.
    pub fn folder(&mut self, path: &str, mode: u32, owner: u64) -> &mut Self {
        self.add(path, mode, owner, Node::Folder)
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, path: &str, target: &str) -> &mut Self {
        self.add(path, 0o777, 0, Node::Link(target.to_owned()))
    }

    fn add(&mut self, path: &str, mode: u32, owner: u64, node: Node) -> &mut Self {
        let path = path.trim_matches('/');
        for (end, _) in path.match_indices('/') {
            self.entries.entry(path[..end].to_owned()).or_insert(Entry {
                node: Node::Folder,
                mode: 0o755,
                owner: 0,
            });
        }
        let entry = Entry { node, mode, owner };
        self.entries.insert(path.to_owned(), entry);
        self
    }

    /// Packs the tree.
    ///
    /// # Errors
    /// When a path is longer than tar can say.
    pub fn pack(&self, compression: Compression) -> Result<Layer> {
        let pack = |source| Error::Pack {
            what: "a layer".to_owned(),
            source,
        };
        let archive = self.archive().map_err(pack)?;
        let diff_id = digest(&archive);
        let content = match compression {
            Compression::None => archive,
            Compression::Gzip(level) => gzip(&archive, level).map_err(pack)?,
        };
        Ok(Layer {
            blob: Blob::new(content),
            media_type: compression.media_type(),
            diff_id,
        })
    }

    /// The tree as a plain tar archive.
    pub(crate) fn archive(&self) -> std::io::Result<Vec<u8>> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, entry) in &self.entries {
            let mut header = Header::new_gnu();
            header.set_mode(entry.mode);
            header.set_uid(entry.owner);
            header.set_gid(entry.owner);
            header.set_mtime(0);
            header.set_size(0);
            match &entry.node {
                Node::Folder => {
                    header.set_entry_type(EntryType::Directory);
                    builder.append_data(&mut header, format!("{path}/"), &[][..])?;
                }
                Node::File(content) => {
                    header.set_size(content.len() as u64);
                    builder.append_data(&mut header, path, content.as_slice())?;
                }
                Node::Link(target) => {
                    header.set_entry_type(EntryType::Symlink);
                    builder.append_link(&mut header, path, target)?;
                }
            }
        }
        builder.into_inner()
    }
}

/// Compresses without the time and the name of the machine that gzip would write down.
pub(crate) fn gzip(content: &[u8], level: u32) -> std::io::Result<Vec<u8>> {
    let mut encoder: GzEncoder<Vec<u8>> = GzBuilder::new()
        .mtime(0)
        .operating_system(255)
        .write(Vec::new(), flate2::Compression::new(level));
    encoder.write_all(content)?;
    encoder.finish()
}

/// A packed layer.
#[derive(Clone, Debug)]
pub struct Layer {
    blob: Blob,
    media_type: &'static str,
    diff_id: String,
}

impl Layer {
    pub(super) fn blob(&self) -> &Blob {
        &self.blob
    }

    pub(super) fn descriptor(&self) -> Value {
        self.blob.descriptor(self.media_type)
    }

    /// Digest of the archive before compression, which an image's configuration lists.
    pub(super) fn diff_id(&self) -> &str {
        &self.diff_id
    }

    /// Bytes as stored.
    pub fn size(&self) -> usize {
        self.blob.content.len()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::new();
        tree.file("usr/local/bin/program", 0o755, "content")
            .link("lib64", "usr/lib64")
            .folder("tmp", 0o1777, 0)
            .folder("data", 0o700, 65532);
        tree
    }

    fn listing(archive: &[u8]) -> Vec<String> {
        tar::Archive::new(archive)
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                format!(
                    "{} {:o} {} {} {}",
                    entry.path().unwrap().display(),
                    header.mode().unwrap(),
                    header.uid().unwrap(),
                    header.mtime().unwrap(),
                    header.size().unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn folders_stand_before_what_is_in_them() {
        let expected = [
            "data/ 700 65532 0 0",
            "lib64 777 0 0 0",
            "tmp/ 1777 0 0 0",
            "usr/ 755 0 0 0",
            "usr/local/ 755 0 0 0",
            "usr/local/bin/ 755 0 0 0",
            "usr/local/bin/program 755 0 0 7",
        ];
        assert_eq!(listing(&tree().archive().unwrap()), expected);
    }

    #[test]
    fn the_same_files_make_the_same_digest() {
        let first = tree().pack(Compression::BEST).unwrap();
        let mut other_order = Tree::new();
        other_order
            .folder("data", 0o700, 65532)
            .folder("tmp", 0o1777, 0)
            .file("/usr/local/bin/program", 0o755, "content")
            .link("lib64", "usr/lib64");
        let second = other_order.pack(Compression::BEST).unwrap();
        assert_eq!(first.blob.digest, second.blob.digest);
        assert_eq!(first.diff_id, second.diff_id);

        let plain = tree().pack(Compression::None).unwrap();
        assert_eq!(plain.diff_id, first.diff_id);
        assert_eq!(plain.blob.digest, plain.diff_id);
    }

    #[test]
    fn gzip_holds_no_time_and_no_machine() {
        let compressed = gzip(b"content", 9).unwrap();
        assert_eq!(compressed[4..8], [0; 4], "time");
        assert_eq!(compressed[9], 255, "system");
        let mut text = String::new();
        flate2::read::GzDecoder::new(compressed.as_slice())
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "content");
    }

    #[test]
    fn long_paths_are_kept() {
        let path = format!("etc/{}/file", "long".repeat(60));
        let archive = Tree::new().file(&path, 0o644, "").archive().unwrap();
        assert!(listing(&archive).last().unwrap().starts_with(&path));
    }
}
