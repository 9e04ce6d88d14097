//! Where things are kept: the user's cache and state folders, and small file helpers.

use std::{
    env, fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::error::{Error, Result};

/// Name of our folder below the cache and state folders.
const NAME: &str = "flux-sandbox";

/// `$XDG_CACHE_HOME/flux-sandbox`, else `~/.cache/flux-sandbox`: programs built once.
pub(crate) fn cache() -> PathBuf {
    user_folder("XDG_CACHE_HOME", ".cache")
}

/// `$XDG_STATE_HOME/flux-sandbox`, else `~/.local/state/flux-sandbox`: records of what runs.
pub(crate) fn state() -> PathBuf {
    user_folder("XDG_STATE_HOME", ".local/state")
}

fn user_folder(variable: &str, below_home: &str) -> PathBuf {
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    env::var_os(variable)
        .map(PathBuf::from)
        .and_then(absolute)
        .or_else(|| {
            env::home_dir()
                .and_then(absolute)
                .map(|home| home.join(below_home))
        })
        .unwrap_or_else(env::temp_dir)
        .join(NAME)
}

/// Creates a folder and its parents.
pub(crate) fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(Error::file("create", path))
}

/// Reads a text file.
pub(crate) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(Error::file("read", path))
}

/// Writes a file that anyone may read.
pub(crate) fn write(path: &Path, content: &str) -> Result<()> {
    write_with_mode(path, content, 0o644)
}

/// Writes a file for the owner's eyes only: keys, kubeconfigs.
pub(crate) fn write_secret(path: &Path, content: &str) -> Result<()> {
    write_with_mode(path, content, 0o600)
}

/// Writes a shell script that may be executed.
pub(crate) fn write_script(path: &Path, content: &str) -> Result<()> {
    write_with_mode(path, content, 0o755)
}

/// Writes beside the file and renames: whoever reads sees the old content or the new one.
fn write_with_mode(path: &Path, content: &str, mode: u32) -> Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = PathBuf::from(beside);
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&beside)
        .and_then(|mut file| file.write_all(content.as_bytes()))
        .and_then(|()| fs::rename(&beside, path))
        .map_err(Error::file("write", path))
}

/// Removes a folder with all it holds; one that is not there is fine.
pub(crate) fn remove_dir(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::file("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// The executable `name` in one of `folders`, first match.
pub(crate) fn find_executable(
    name: &str,
    folders: impl IntoIterator<Item = PathBuf>,
) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    folders
        .into_iter()
        .map(|folder| folder.join(name))
        .find(|path| {
            fs::metadata(path)
                .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        })
}

/// The folders of `PATH`.
pub(crate) fn search_path() -> Vec<PathBuf> {
    env::var_os("PATH")
        .map(|path| env::split_paths(&path).collect())
        .unwrap_or_default()
}
