//! Which shared libraries a program needs to run where nothing is installed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use object::{
    Endianness,
    elf::{DT_NEEDED, EM_AARCH64, EM_X86_64, FileHeader64},
    read::elf::{FileHeader, ProgramHeader},
};

use super::{Error, Result};

/// glibc has looked up names (NSS) in itself since this version. Older ones load plug-ins for it
/// that no program names, and an image without them would resolve nothing.
const NAMES_BUILT_IN: &[u8] = b"\0GLIBC_2.34\0";

/// An architecture that images are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// x86-64.
    X86_64,
    /// 64-bit ARM.
    Aarch64,
}

impl Machine {
    /// Go's name, which OCI uses.
    pub fn go_name(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// Name in folders of libraries.
    fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// Where loaders look without being told, Debian's and others'.
    fn folders(self) -> Vec<PathBuf> {
        let multiarch = format!("lib/{}-linux-gnu", self.name());
        [&multiarch, "lib64", "lib"]
            .iter()
            .flat_map(|folder| [format!("/{folder}"), format!("/usr/{folder}")])
            .map(PathBuf::from)
            .collect()
    }
}

/// How a program or library is linked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linkage {
    /// What it runs on.
    pub machine: Machine,
    /// Path of its loader; none for libraries and for programs that are linked statically.
    pub interpreter: Option<PathBuf>,
    /// Names of the libraries it loads.
    pub needed: Vec<String>,
}

impl Linkage {
    /// Reads it from the content of an ELF file; the error says what is wrong with that.
    ///
    /// # Errors
    /// When it is not a 64-bit ELF file for a known machine, or is damaged.
    pub fn parse(content: &[u8]) -> Result<Self, String> {
        parse(content).map_err(|error| format!("it is not a sound 64-bit ELF file ({error})"))?
    }
}

fn parse(content: &[u8]) -> object::Result<Result<Linkage, String>> {
    let header = FileHeader64::<Endianness>::parse(content)?;
    let endian = header.endian()?;
    let machine = match header.e_machine(endian) {
        EM_X86_64 => Machine::X86_64,
        EM_AARCH64 => Machine::Aarch64,
        other => return Ok(Err(format!("it is for ELF machine {other:?}"))),
    };
    let mut interpreter = None;
    for segment in header.program_headers(endian, content)? {
        if let Some(path) = segment.interpreter(endian, content)? {
            interpreter = Some(PathBuf::from(String::from_utf8_lossy(path).as_ref()));
        }
    }
    let table = header
        .sections(endian, content)?
        .dynamic_table(endian, content)?;
    let mut needed = Vec::new();
    for entry in table.iter() {
        if entry.tag == DT_NEEDED {
            needed.push(String::from_utf8_lossy(table.string(entry)?).into_owned());
        }
    }
    Ok(Ok(Linkage {
        machine,
        interpreter,
        needed,
    }))
}

/// Everything that these programs need beside themselves: absolute path in the image to content.
#[derive(Debug)]
pub struct Libraries {
    /// What all of the programs run on.
    pub machine: Machine,
    /// Loader and libraries; empty when the programs are linked statically.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
}

/// Finds what `programs` need, and what that needs in turn. Libraries keep their folder, one in
/// which the loader looks.
///
/// # Errors
/// When a library is not there or for another machine, or when the C library keeps parts of
/// itself elsewhere.
pub fn libraries(programs: &[(&Path, &[u8])]) -> Result<Libraries> {
    let mut machine = None;
    let mut files = BTreeMap::new();
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut open: Vec<(PathBuf, Linkage)> = Vec::new();
    for (path, content) in programs {
        let linkage = linkage(path, content)?;
        if *machine.get_or_insert(linkage.machine) != linkage.machine {
            return Err(Error::Program {
                path: path.to_path_buf(),
                reason: "the other programs are for another architecture".to_owned(),
            });
        }
        open.push((path.to_path_buf(), linkage));
    }
    let machine = machine.unwrap_or(Machine::X86_64);
    while let Some((program, linkage)) = open.pop() {
        if let Some(loader) = linkage.interpreter {
            if !files.contains_key(&loader) {
                files.insert(loader.clone(), read(&loader)?);
            }
            // Libraries name the loader as one of them.
            if let Some(name) = loader.file_name().and_then(|name| name.to_str()) {
                found.insert(name.to_owned(), loader.clone());
            }
        }
        for library in linkage.needed {
            if found.contains_key(&library) {
                continue;
            }
            let (path, content, linkage) = find(&program, &library, machine)?;
            if library == "libc.so.6" && !holds(&content, NAMES_BUILT_IN) {
                return Err(Error::Program {
                    path,
                    reason: "glibc before 2.34 keeps name resolution in plug-ins: build on Debian \
                             12, Ubuntu 22.04 or newer"
                        .to_owned(),
                });
            }
            found.insert(library, path.clone());
            files.insert(path.clone(), content);
            open.push((path, linkage));
        }
    }
    Ok(Libraries { machine, files })
}

fn find(program: &Path, library: &str, machine: Machine) -> Result<(PathBuf, Vec<u8>, Linkage)> {
    let folders = machine.folders();
    for folder in &folders {
        let path = folder.join(library);
        if !path.exists() {
            continue;
        }
        let content = read(&path)?;
        // Folders hold libraries of other machines, too, where several are installed.
        match linkage(&path, &content) {
            Ok(linkage) if linkage.machine == machine => return Ok((path, content, linkage)),
            _ => {}
        }
    }
    let folders: Vec<String> = folders
        .iter()
        .map(|folder| folder.display().to_string())
        .collect();
    Err(Error::Library {
        program: program.to_owned(),
        library: library.to_owned(),
        folders: folders.join(", "),
    })
}

fn linkage(path: &Path, content: &[u8]) -> Result<Linkage> {
    Linkage::parse(content).map_err(|reason| Error::Program {
        path: path.to_owned(),
        reason,
    })
}

/// Reads a file for an image.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|source| Error::File {
        action: "read",
        path: path.to_owned(),
        source,
    })
}

fn holds(content: &[u8], part: &[u8]) -> bool {
    content.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_program() {
        let path = std::env::current_exe().unwrap();
        let content = fs::read(&path).unwrap();
        let linkage = Linkage::parse(&content).unwrap();
        assert!(linkage.needed.contains(&"libc.so.6".to_owned()));
        let loader = linkage.interpreter.unwrap();
        assert!(loader.exists(), "{}", loader.display());

        let libraries = libraries(&[(&path, &content)]).unwrap();
        assert_eq!(libraries.machine, linkage.machine);
        assert!(libraries.files.contains_key(&loader));
        let names: Vec<_> = libraries
            .files
            .keys()
            .map(|path| path.file_name().unwrap().to_str().unwrap())
            .collect();
        for name in &linkage.needed {
            assert!(names.contains(&name.as_str()), "{name} in {names:?}");
        }
    }

    #[test]
    fn what_is_no_program_is_said_to_be_none() {
        for (content, reason) in [
            (&b"#!/bin/sh\n"[..], "it is not a sound 64-bit ELF file"),
            (b"", "it is not a sound 64-bit ELF file"),
        ] {
            let error = Linkage::parse(content).unwrap_err();
            assert!(error.starts_with(reason), "{error}");
        }
        let error = libraries(&[(Path::new("script"), b"#!/bin/sh\n")]).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("script cannot be put into an image"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_library_is_named_with_who_needs_it() {
        let error = find(Path::new("bin/x"), "libnone.so.1", Machine::X86_64).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("bin/x needs libnone.so.1"), "{text}");
        assert!(text.contains("/lib/x86_64-linux-gnu, /usr/lib"), "{text}");
    }
}
