//! What is in repositories that were made to do harm, in the form of `git fast-import`.

use std::io::{Result, Write as _};

/// Where it is written.
pub(super) type Out<'a> = std::io::BufWriter<&'a mut std::process::ChildStdin>;

/// How bad it is.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Of one file, in bytes. It is all zeros: in Git it is a thousand times smaller.
    pub file: usize,
    /// Number of files of one tree.
    pub files: usize,
    /// Levels of bases that name each other.
    pub levels: usize,
}

/// One way to do harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// A file that nobody should read into memory.
    LargeFile,
    /// More files than anybody needs.
    ManyFiles,
    /// A few hundred bytes that stand for a billion values.
    Bomb,
    /// A manifest that is a link to a file of the machine.
    Link,
    /// A folder that is a link to one of the machine.
    LinkedFolder,
    /// A kustomization.yaml that is a link out of the source.
    LinkedKustomization,
    /// `..` in a kustomization.yaml, as far up as it takes.
    Path,
    /// Bases that name each other.
    Circle,
    /// A chain of bases, with what needs the program kustomize at its end.
    Levels,
    /// File names that steer a terminal, on files that are no manifests.
    Names,
    /// Folders within folders, deeper than a path may be long.
    Depth,
}

/// All of them.
pub const TRAPS: [Trap; 11] = [
    Trap::LargeFile,
    Trap::ManyFiles,
    Trap::Bomb,
    Trap::Link,
    Trap::LinkedFolder,
    Trap::LinkedKustomization,
    Trap::Path,
    Trap::Circle,
    Trap::Levels,
    Trap::Names,
    Trap::Depth,
];

impl Trap {
    /// What to call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::LargeFile => "a large file",
            Self::ManyFiles => "many files",
            Self::Bomb => "a YAML bomb",
            Self::Link => "a link",
            Self::LinkedFolder => "a linked folder",
            Self::LinkedKustomization => "a linked kustomization",
            Self::Path => "a path out",
            Self::Circle => "a circle of bases",
            Self::Levels => "levels of bases",
            Self::Names => "file names",
            Self::Depth => "deep folders",
        }
    }

    /// A word that has to be said about a Kustomization of the whole repository.
    pub fn word(self) -> &'static str {
        match self {
            Self::LargeFile => "large.yaml",
            Self::ManyFiles => "100000 files",
            Self::Bomb => "bomb.yaml",
            // Links are no part of a source; what refers to one finds nothing there.
            Self::Link | Self::LinkedKustomization => "Applied revision",
            Self::LinkedFolder => "'etc/passwd' does not exist",
            Self::Path => "../etc/passwd",
            Self::Circle => "cycle",
            Self::Levels => "too deeply",
            Self::Names => "\u{fffd}",
            Self::Depth => "more than 128 levels",
        }
    }

    /// Adds it to a commit.
    pub(super) fn write(self, out: &mut Out<'_>, sizes: Sizes) -> Result<()> {
        match self {
            Self::LargeFile => large_file(out, sizes.file),
            Self::ManyFiles => many_files(out, sizes.files),
            Self::Bomb => bomb(out),
            Self::Link => link(out, "passwd.yaml", "/etc/passwd"),
            Self::LinkedFolder => {
                link(out, "etc", "../../../../../../etc")?;
                kustomization(out, "", &["etc/passwd"])
            }
            Self::LinkedKustomization => {
                link(out, "kustomization.yaml", "../../../../../../etc/passwd")
            }
            Self::Path => kustomization(out, "", &["part/../../../../../../../etc/passwd"]),
            Self::Circle => {
                kustomization(out, "", &["a"])?;
                kustomization(out, "a/", &["../b"])?;
                kustomization(out, "b/", &["../a"])
            }
            Self::Levels => {
                kustomization(out, "", &["0"])?;
                for level in 0..sizes.levels {
                    let next = format!("../{}", level + 1);
                    kustomization(out, &format!("{level}/"), &[&next])?;
                }
                let last = "namePrefix: x-\nresources: [../part/small.yaml]\n";
                file(out, &format!("{}/kustomization.yaml", sizes.levels), last)
            }
            Self::Names => {
                let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: \"\u{1b}[31m\"}\n";
                file(out, "\"a\\033[2J\\007b\\n\\r.yaml\"", text)
            }
            Self::Depth => {
                let path = "deep/".repeat(sizes.levels * 10);
                file(out, &format!("{path}broken.yaml"), "kind: [\n")
            }
        }
    }
}

/// A file of a commit.
pub(super) fn file(out: &mut Out<'_>, path: &str, content: &str) -> Result<()> {
    write!(
        out,
        "M 100644 inline {path}\ndata {}\n{content}\n",
        content.len()
    )
}

fn link(out: &mut Out<'_>, path: &str, target: &str) -> Result<()> {
    write!(
        out,
        "M 120000 inline {path}\ndata {}\n{target}\n",
        target.len()
    )
}

fn kustomization(out: &mut Out<'_>, folder: &str, resources: &[&str]) -> Result<()> {
    let text = format!("resources: {resources:?}\n");
    file(out, &format!("{folder}kustomization.yaml"), &text)
}

fn large_file(out: &mut Out<'_>, size: usize) -> Result<()> {
    write!(out, "M 100644 inline large.yaml\ndata {size}\n")?;
    let zeros = vec![0; 1 << 20];
    let mut left = size;
    while left > 0 {
        let part = left.min(zeros.len());
        out.write_all(&zeros[..part])?;
        left -= part;
    }
    writeln!(out)
}

fn many_files(out: &mut Out<'_>, count: usize) -> Result<()> {
    for number in 0..count {
        let folder = number / 1000;
        writeln!(out, "M 100644 :1 many/{folder}/{number}.yaml")?;
    }
    Ok(())
}

fn bomb(out: &mut Out<'_>) -> Result<()> {
    let mut text =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bomb}\na0: &a0 [x]\n".to_owned();
    for level in 1..=9 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        text.push_str(&format!("a{level}: &a{level} [{before}]\n"));
    }
    file(out, "bomb.yaml", &text)
}
