//! The modules of a Go program, as its linker wrote them into it.
//!
//! Format: section `.go.buildinfo` as `debug/buildinfo` of Go's library reads it, with the strings
//! in line, which is how Go writes it since 1.18.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail, ensure};
use object::{Object, ObjectSection};

use super::Component;

/// What the section begins with.
const MAGIC: &[u8] = b"\xff Go buildinf:";
/// Flag in byte 15: the strings follow the header.
const STRINGS_IN_LINE: u8 = 2;
/// Length of the header.
const HEADER: usize = 32;
/// What encloses the module information, 16 bytes on either side.
const SENTINEL: usize = 16;

/// The program itself, its modules, and Go's library.
pub(super) fn components(program: &Path) -> Result<Vec<Component>> {
    let content =
        fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    read(&content).with_context(|| format!("{} has no build information", program.display()))
}

fn read(content: &[u8]) -> Result<Vec<Component>> {
    let file = object::read::elf::ElfFile64::<object::Endianness>::parse(content)?;
    let section = file
        .section_by_name(".go.buildinfo")
        .context("it is not a Go program")?;
    let (go, modules) = strings(section.data()?)?;
    parse(&go, &modules)
}

/// Version of Go, and the text about modules.
fn strings(section: &[u8]) -> Result<(String, String)> {
    ensure!(
        section.starts_with(MAGIC)
            && section
                .get(15)
                .is_some_and(|flags| flags & STRINGS_IN_LINE != 0),
        "it was built with a Go before 1.18"
    );
    let mut rest = section.get(HEADER..).unwrap_or_default();
    let go = string(&mut rest)?;
    let modules = string(&mut rest)?;
    let modules = modules
        .get(SENTINEL..modules.len().saturating_sub(SENTINEL))
        .unwrap_or_default();
    Ok((text(go), text(modules)))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A string with its length before it, seven bits a byte, the lowest first.
fn string<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8]> {
    let mut length = 0_usize;
    for shift in (0..usize::BITS).step_by(7) {
        let (&byte, tail) = rest.split_first().context("it is cut off")?;
        *rest = tail;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let (string, tail) = rest.split_at_checked(length).context("it is cut off")?;
            *rest = tail;
            return Ok(string);
        }
    }
    bail!("it is damaged")
}

/// Lines of words with tabs between: `mod PATH VERSION SUM`, `dep ...`, and after one that is
/// replaced `=> PATH VERSION SUM`.
fn parse(go: &str, modules: &str) -> Result<Vec<Component>> {
    let mut program = None;
    let mut libraries: Vec<Component> = Vec::new();
    for line in modules.lines() {
        let words: Vec<&str> = line.split('\t').collect();
        let [word, path, version, ..] = words[..] else {
            continue;
        };
        match word {
            "mod" => program = Some(module("application", path, version)),
            "dep" => libraries.push(module("library", path, version)),
            "=>" => {
                libraries.pop();
                libraries.push(module("library", path, version));
            }
            _ => {}
        }
    }
    let version = go.trim_start_matches("go");
    libraries.push(module("library", "std", version));
    let mut program = program.context("it names no module")?;
    program.uses = libraries.iter().map(|one| one.reference.clone()).collect();
    Ok([vec![program], libraries].concat())
}

fn module(kind: &'static str, path: &str, version: &str) -> Component {
    let reference = format!("pkg:golang/{path}@{}", version.replace('+', "%2B"));
    Component::new(kind, &reference, path, version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(go: &str, modules: &str) -> Vec<u8> {
        let mut section = MAGIC.to_vec();
        section.extend([8, STRINGS_IN_LINE]);
        section.resize(HEADER, 0);
        let sentinel = "0123456789abcdef";
        for text in [go.to_owned(), format!("{sentinel}{modules}{sentinel}")] {
            let length = u8::try_from(text.len() & 0x7f).unwrap();
            section.extend([length | 0x80, u8::try_from(text.len() >> 7).unwrap()]);
            section.extend(text.bytes());
        }
        section
    }

    #[test]
    fn reads_modules() {
        let modules = "path\texample.org/x/cmd\nmod\texample.org/x\tv5.8.1\th1:a=\n\
                       dep\texample.org/a\tv1.0.0\n=>\texample.org/fork\tv1.0.1\th1:b=\n\
                       dep\texample.org/b\tv2.0.0\th1:c=\nbuild\tCGO_ENABLED=0\n";
        let (go, modules) = strings(&section("go1.26.8", modules)).unwrap();
        let components = parse(&go, &modules).unwrap();
        let references: Vec<&str> = components
            .iter()
            .map(|one| one.reference.as_str())
            .collect();
        assert_eq!(
            references,
            [
                "pkg:golang/example.org/x@v5.8.1",
                "pkg:golang/example.org/fork@v1.0.1",
                "pkg:golang/example.org/b@v2.0.0",
                "pkg:golang/std@1.26.8",
            ]
        );
        assert_eq!(components[0].uses.len(), 3);
    }

    #[test]
    fn damage_is_said_not_read() {
        for section in [
            &b""[..],
            b"\xff Go buildinf:\x08\x00",
            &section("go1", "")[..40],
        ] {
            assert!(strings(section).is_err());
        }
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(
            read(&own).unwrap_err().to_string(),
            "it is not a Go program"
        );
    }
}
