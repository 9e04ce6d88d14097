//! What cargo links into our programs.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use super::{super::root, Component};
use crate::env;

/// A line of `cargo tree`: depth, package, licence.
const FORMAT: &str = "|{p}|{l}";

/// The components of each of these packages, the package itself among them. Asked for together,
/// since features depend on what is built together.
pub(super) fn trees<const N: usize>(packages: &[&str; N]) -> Result<[Vec<Component>; N]> {
    let lock = fs::read_to_string(root().join("Cargo.lock")).context("cannot read Cargo.lock")?;
    let sums = checksums(&lock);
    let output = env::cargo()
        .current_dir(root())
        .args(["tree", "--locked", "--prefix=depth", "--format", FORMAT])
        // What runs while compiling is not in the program.
        .args(["--edges=normal,no-proc-macro"])
        .args(packages.map(|name| format!("--package={name}")))
        .output()
        .context("cannot run cargo")?;
    ensure!(
        output.status.success(),
        "cargo tree failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout);
    // What one tree has shown is cut short in those after it: all of them together are complete.
    let mut all: BTreeMap<String, Component> = BTreeMap::new();
    for tree in text.split("\n\n") {
        for component in parse(tree, &sums)? {
            match all.get_mut(&component.reference) {
                Some(there) => there.uses.extend(component.uses),
                None => {
                    all.insert(component.reference.clone(), component);
                }
            }
        }
    }
    let mut found = packages.map(|_| Vec::new());
    for (place, name) in found.iter_mut().zip(packages) {
        let mut components =
            below(name, &all).with_context(|| format!("cargo tree says nothing about {name}"))?;
        components.extend(vendored(&components)?);
        components.push(standard_library()?);
        *place = components;
    }
    Ok(found)
}

/// A program and everything that it uses, directly or not; none when there is no such program.
fn below(name: &str, all: &BTreeMap<String, Component>) -> Option<Vec<Component>> {
    let is_it = |one: &&Component| one.kind == "application" && one.name == name;
    let mut open = vec![&all.values().find(is_it)?.reference];
    let mut found: BTreeMap<&String, Component> = BTreeMap::new();
    while let Some(reference) = open.pop() {
        if let (false, Some(component)) = (found.contains_key(reference), all.get(reference)) {
            found.insert(reference, component.clone());
            open.extend(&component.uses);
        }
    }
    Some(found.into_values().collect())
}

/// Reads one tree, the program on its first line.
fn parse(tree: &str, sums: &BTreeMap<(String, String), String>) -> Result<Vec<Component>> {
    let mut components: Vec<Component> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    // The package on each level above the line.
    let mut above: Vec<usize> = Vec::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let fields: Vec<&str> = line.split('|').collect();
        let [depth, package, licence] = fields[..] else {
            bail!("cargo tree said: {line}");
        };
        let depth: usize = depth
            .parse()
            .with_context(|| format!("cargo tree said: {line}"))?;
        let mut words = package.split(' ');
        let (Some(name), Some(version)) = (words.next(), words.next()) else {
            bail!("cargo tree said: {line}");
        };
        let version = version.trim_start_matches('v');
        let reference = reference(name, version);
        let place = *places.entry(reference.clone()).or_insert_with(|| {
            let kind = if depth == 0 { "application" } else { "library" };
            let mut component = Component::new(kind, &reference, name, version);
            // `(*)` says that what is below has been listed.
            let licence = licence.trim_end_matches("(*)").trim();
            // Older manifests write a slash for OR.
            component.licence = (!licence.is_empty()).then(|| licence.replace('/', " OR "));
            let key = (name.to_owned(), version.to_owned());
            component.sha256 = sums.get(&key).cloned();
            components.push(component);
            components.len() - 1
        });
        above.truncate(depth);
        if let Some(parent) = above.last().and_then(|&parent| components.get_mut(parent)) {
            parent.uses.push(reference);
        }
        above.push(place);
    }
    Ok(components)
}

fn reference(name: &str, version: &str) -> String {
    // `+` means a space in some readers of URLs.
    format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))
}

/// Checksums of the packages in a Cargo.lock, which are those of their archives.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let value = |block: &str, key: &str| {
        block.lines().find_map(|line| {
            let value = line.strip_prefix(key)?.strip_prefix(" = ")?;
            Some(value.trim_matches('"').to_owned())
        })
    };
    lock.split("[[package]]")
        .filter_map(|block| {
            let key = (value(block, "name")?, value(block, "version")?);
            Some((key, value(block, "checksum")?))
        })
        .collect()
}

/// C libraries that crates bring along and compile.
fn vendored(components: &[Component]) -> Result<Vec<Component>> {
    let mut found = Vec::new();
    for component in components {
        let (name, version, licence) = match component.name.as_str() {
            "libgit2-sys" => {
                let version = component
                    .version
                    .split_once('+')
                    .map(|(_, version)| version);
                let version = version.context("libgit2-sys does not say its libgit2")?;
                (
                    "libgit2",
                    version.to_owned(),
                    "GPL-2.0-only WITH GCC-exception-2.0",
                )
            }
            "libz-sys" => ("zlib", zlib_version(&component.version)?, "Zlib"),
            _ => continue,
        };
        let reference = format!("pkg:generic/{name}@{version}");
        let mut library = Component::new("library", &reference, name, &version);
        library.licence = Some(licence.to_owned());
        found.push(library);
    }
    Ok(found)
}

/// From the header in the crate's source, which cargo has unpacked to build it.
fn zlib_version(crate_version: &str) -> Result<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let sources = home.context("no CARGO_HOME")?.join("registry/src");
    let header = format!("libz-sys-{crate_version}/src/zlib/zlib.h");
    let registries =
        fs::read_dir(&sources).with_context(|| format!("cannot read {}", sources.display()))?;
    for registry in registries.flatten() {
        if let Ok(text) = fs::read_to_string(registry.path().join(&header)) {
            return version_in(&text).with_context(|| format!("{header} says no version"));
        }
    }
    bail!("{header} is not below {}", sources.display())
}

fn version_in(header: &str) -> Option<String> {
    let line = header
        .lines()
        .find(|line| line.starts_with("#define ZLIB_VERSION "))?;
    Some(line.split('"').nth(1)?.to_owned())
}

/// Rust's own library, linked statically.
fn standard_library() -> Result<Component> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = std::process::Command::new(rustc)
        .arg("--version")
        .current_dir(root())
        .output()
        .context("cannot run rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split(' ').nth(1).context("rustc says no version")?;
    let reference = format!("pkg:generic/rust-std@{version}");
    let mut library = Component::new("library", &reference, "rust-std", version);
    library.licence = Some("MIT OR Apache-2.0".to_owned());
    Ok(library)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_tree() {
        let tree = "0|program v0.1.0 (/src/program)|Apache-2.0\n\
                    1|a v1.0.0|MIT/Apache-2.0\n\
                    2|b v2.0.0+1.9|\n\
                    1|b v2.0.0+1.9| (*)\n";
        let lock = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nchecksum = \"abc\"\n\n\
                    [[package]]\nname = \"program\"\nversion = \"0.1.0\"\n";
        let components = parse(tree, &checksums(lock)).unwrap();
        let names: Vec<&str> = components.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["program", "a", "b"]);
        assert_eq!(
            components[0].uses,
            ["pkg:cargo/a@1.0.0", "pkg:cargo/b@2.0.0%2B1.9"]
        );
        assert_eq!(components[0].kind, "application");
        assert_eq!(components[1].licence.as_deref(), Some("MIT OR Apache-2.0"));
        assert_eq!(components[1].sha256.as_deref(), Some("abc"));
        assert_eq!(components[1].uses, ["pkg:cargo/b@2.0.0%2B1.9"]);
        assert_eq!(components[2].licence, None);
    }

    #[test]
    fn what_an_earlier_tree_has_shown_belongs_to_a_later_one_too() {
        let component = |kind, name: &str, uses: &[&str]| {
            let mut component = Component::new(kind, name, name, "1");
            component.uses = uses.iter().map(|one| (*one).to_owned()).collect();
            (name.to_owned(), component)
        };
        let all = BTreeMap::from([
            component("application", "first", &["a"]),
            component("application", "second", &["a"]),
            component("library", "a", &["b"]),
            component("library", "b", &["a"]),
            component("library", "c", &[]),
        ]);
        let names = |program| -> Option<Vec<String>> {
            let found = below(program, &all)?;
            Some(found.into_iter().map(|one| one.name).collect())
        };
        let expected = ["a", "b", "second"].map(str::to_owned).to_vec();
        assert_eq!(names("second"), Some(expected));
        assert_eq!(names("a"), None, "no program");
    }

    #[test]
    fn reads_the_version_of_zlib() {
        let header = "/* zlib */\n#define ZLIB_VERSION \"1.3.2\"\n";
        assert_eq!(version_in(header).as_deref(), Some("1.3.2"));
    }
}
