//! `completion --install`: scripts in the places where shells and kubectl look for them.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::Shell;
use crate::error::Error;
use crate::output;

/// What kubectl runs.
const HOOK: &str = "kubectl_complete-flux";
/// The program itself.
const PLUGIN: &str = "kubectl-flux";

/// Installs for kubectl, and for the person's shell where there is a place for its script.
///
/// # Errors
/// If a script cannot be written.
pub(super) fn usual() -> Result<(), Error> {
    one(Shell::Kubectl)?;
    let shell = std::env::var("SHELL").unwrap_or_default();
    let shell = match Path::new(&shell).file_name().and_then(|name| name.to_str()) {
        Some("bash") => Shell::Bash,
        Some("zsh") => Shell::Zsh,
        Some("fish") => Shell::Fish,
        _ => {
            output::action(
                "SHELL names no shell with completion; give one: bash, zsh, fish or powershell",
            );
            return Ok(());
        }
    };
    one(shell)
}

/// Installs the script of one shell.
///
/// # Errors
/// If there is no place for it, or it cannot be written.
pub(super) fn one(shell: Shell) -> Result<(), Error> {
    let home = std::env::home_dir().unwrap_or_default();
    let folder = |variable: &str, default: &str| {
        let set = std::env::var_os(variable).filter(|value| !value.is_empty());
        set.map_or_else(|| home.join(default), PathBuf::from)
    };
    let path = match shell {
        Shell::Kubectl => hook_folder()?.join(HOOK),
        Shell::Bash => folder("XDG_DATA_HOME", ".local/share")
            .join("bash-completion/completions")
            .join(PLUGIN),
        Shell::Zsh => folder("ZDOTDIR", "")
            .join(".zfunc")
            .join(format!("_{PLUGIN}")),
        Shell::Fish => folder("XDG_CONFIG_HOME", ".config")
            .join("fish/completions")
            .join(format!("{PLUGIN}.fish")),
        Shell::Powershell => {
            return Err(Error::input(
                "PowerShell has no folder for scripts of completion; add this line to $PROFILE: \
                 kubectl flux completion powershell | Out-String | Invoke-Expression",
            ));
        }
    };
    write(&path, shell.script())?;
    output::success(format!("{} written", path.display()));
    match shell {
        Shell::Zsh => output::action(
            "zsh looks there with these lines in .zshrc: fpath+=~/.zfunc; autoload -U compinit; \
             compinit",
        ),
        Shell::Bash => output::action("bash finds it with the package bash-completion"),
        _ => {}
    }
    Ok(())
}

/// A folder of PATH that can be written to: that of the program itself, else one of the person.
fn hook_folder() -> Result<PathBuf, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    let of_program = folders.iter().filter(|folder| folder.join(PLUGIN).exists());
    let of_person = folders
        .iter()
        .filter(|folder| home.as_ref().is_some_and(|home| folder.starts_with(home)));
    let found = of_program
        .chain(of_person)
        .find(|folder| tempfile::NamedTempFile::new_in(folder).is_ok());
    found.cloned().ok_or_else(|| {
        Error::input(format!(
            "no folder of PATH can be written to; as somebody who may: kubectl flux completion \
             kubectl > FOLDER/{HOOK} && chmod +x FOLDER/{HOOK}"
        ))
    })
}

/// Writes an executable file, as a whole or not at all.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    let unwritable = |source| Error::File {
        what: "cannot write",
        path: path.display().to_string(),
        source,
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(unwritable)?;
    let mut new = tempfile::NamedTempFile::new_in(folder).map_err(unwritable)?;
    new.write_all(text.as_bytes()).map_err(unwritable)?;
    executable(new.path()).map_err(unwritable)?;
    new.persist(path).map_err(|error| unwritable(error.error))?;
    Ok(())
}

#[cfg(unix)]
fn executable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn executable(_: &Path) -> std::io::Result<()> {
    Ok(())
}
