//! Shared libraries in an image: the C library, with the package of the distribution it is from.

use std::{path::Path, process::Command};

use anyhow::Result;

use super::Component;
use crate::image::{elf, hex};

/// The libraries that these programs load, as files of an image.
pub(super) fn components(programs: &[&Path]) -> Result<Vec<Component>> {
    let mut contents = Vec::new();
    for program in programs {
        contents.push((*program, std::fs::read(program)?));
    }
    let programs: Vec<(&Path, &[u8])> = contents
        .iter()
        .map(|(path, content)| (*path, content.as_slice()))
        .collect();
    let libraries = elf::libraries(&programs)?;
    let mut found = Vec::new();
    for (path, content) in &libraries.files {
        let name = path.display().to_string();
        let mut file = Component::new("file", &name, &name, "");
        file.sha256 = Some(hex(content));
        if let Some(package) = package(path) {
            file.version.clone_from(&package.version);
            file.uses = vec![package.reference.clone()];
            found.push(package);
        }
        found.push(file);
    }
    Ok(found)
}

/// The Debian package that a file is from; none on other distributions.
fn package(path: &Path) -> Option<Component> {
    // Since /lib is a link to /usr/lib, packages and loaders name the same file differently.
    let other = match path.strip_prefix("/usr") {
        Ok(rest) => Path::new("/").join(rest),
        Err(_) => Path::new("/usr").join(path.strip_prefix("/").ok()?),
    };
    let real = path.canonicalize().ok()?;
    let owner = [path.to_owned(), other, real]
        .iter()
        .find_map(|path| owner(path))?;
    let shown = query(&["-W", "-f", "${Package} ${Version} ${Architecture}", &owner])?;
    let [name, version, architecture] = shown.split(' ').collect::<Vec<_>>()[..] else {
        return None;
    };
    let reference = format!(
        "pkg:deb/debian/{name}@{}?arch={architecture}",
        version.replace('+', "%2B").replace(':', "%3A")
    );
    Some(Component::new("library", &reference, name, version))
}

/// `dpkg-query -S` answers `libc6:amd64: /lib/x86_64-linux-gnu/libc.so.6`.
fn owner(path: &Path) -> Option<String> {
    let answer = query(&["-S", path.to_str()?])?;
    let (owner, _) = answer.lines().next()?.split_once(": ")?;
    Some(owner.to_owned())
}

fn query(arguments: &[&str]) -> Option<String> {
    let output = Command::new("dpkg-query").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
